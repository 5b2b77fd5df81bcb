// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import WeftFormats
package import WeftTensors

/// Writes an adapter as PEFT has it: `adapter_config.json` and `adapter_model.safetensors`.
package enum AdapterFactorsWriter {
  /// Writes a folder that appears complete or not at all. Nothing may be at the path, or an empty folder.
  /// - Parameters:
  ///   - dtype: F32, F16 or BF16.
  ///   - metadata: kept in the file of tensors, which PEFT does not look into.
  package static func write(
    _ adapter: AdapterFactors, folder path: String, dtype: DType = .f32, metadata: [String: String] = [:]
  ) throws(FormatError) {
    let tensors = try tensors(of: adapter, dtype: dtype, location: path)
    let config = config(of: adapter)
    let temporary = try temporaryFolder(beside: path)
    do throws(FormatError) {
      try SafetensorsWriter.write(
        tensors, metadata: metadata.merging(["format": "pt"]) { $1 }, to: "\(temporary)/\(AdapterPlace.peftName)")
      let file = try AtomicFile(path: "\(temporary)/\(AdapterPlace.configName)")
      let bytes = Array(config.utf8)
      let written: Result<Void, FormatError> = bytes.withUnsafeBytes { buffer in
        do throws(FormatError) { return .success(try file.write(buffer)) } catch { return .failure(error) }
      }
      try written.get()
      try file.commit()
      guard rename(temporary, target(path)) == 0 else {
        throw .cannotWrite(path: path, reason: String(cString: strerror(errno)))
      }
    } catch {
      remove(folder: temporary)
      throw error
    }
  }

  /// Removes a folder that was written so.
  package static func remove(folder path: String) {
    for name in [AdapterPlace.peftName, AdapterPlace.configName] { unlink("\(path)/\(name)") }
    rmdir(path)
  }

  /// The text of `adapter_config.json`, with options in alphabetical order as PEFT writes them. Rank and alpha are equal, so
  /// that the scale is 1: what is written has its scales in its tensors.
  package static func config(of adapter: AdapterFactors) -> String {
    var options: [(key: String, value: String)] = [
      ("base_model_name_or_path", adapter.options.baseModel.map(JSON.text) ?? "null"), ("inference_mode", "true"),
      ("task_type", adapter.options.taskType.map(JSON.text) ?? "null"),
      ("fan_in_fan_out", adapter.options.isTransposed ? "true" : "false"),
      ("target_modules", list(adapter.options.targets ?? adapter.modules.map(\.path))), ("modules_to_save", "null"),
    ]
    if adapter.modules.contains(where: { if case .factors = $0.part { true } else { false } }) {
      let (targets, ofInputs) = scaled(adapter)
      options.removeAll { $0.key == "target_modules" }
      options += [("peft_type", "\"IA3\""), ("target_modules", list(targets)), ("feedforward_modules", list(ofInputs))]
    } else {
      let ranks = adapter.modules.map { ($0.path, rank(of: $0)) }
      let usual = usualRank(ranks.map(\.1))
      let pattern = ranks.filter { $0.1 != usual }.map { "\(JSON.text(escaped($0.0))): \($0.1)" }
      let patterns = pattern.isEmpty ? "{}" : "{\n    \(pattern.joined(separator: ",\n    "))\n  }"
      options += [
        ("peft_type", "\"LORA\""), ("r", "\(usual)"), ("lora_alpha", "\(usual)"), ("rank_pattern", patterns),
        ("alpha_pattern", patterns), ("bias", "\"none\""), ("lora_dropout", "0.0"), ("use_rslora", "false"),
        ("use_dora", "false"), ("init_lora_weights", "true"),
      ]
    }
    let members = options.sorted { $0.key < $1.key }.map { "  \(JSON.text($0.key)): \($0.value)" }
    return "{\n\(members.joined(separator: ",\n"))\n}\n"
  }

  /// IA3's targets and those of them whose factors are of inputs, which PEFT wants to be some of the same names.
  private static func scaled(_ adapter: AdapterFactors) -> (targets: [String], ofInputs: [String]) {
    let paths = adapter.modules.map { module in
      if case .factors(_, isOfInput: true) = module.part { (module.path, true) } else { (module.path, false) }
    }
    guard let targets = adapter.options.targets else { return (paths.map(\.0), paths.filter(\.1).map(\.0)) }
    func named(_ target: String) -> [Bool] {
      paths.filter { $0.0 == target || $0.0.hasSuffix(".\(target)") }.map(\.1)
    }
    guard targets.allSatisfy({ Set(named($0)).count <= 1 }) else { return (paths.map(\.0), paths.filter(\.1).map(\.0)) }
    return (targets, targets.filter { named($0).contains(true) })
  }

  private static func rank(of module: AdapterFactors.Module) -> Int {
    switch module.part {
    case .linear(let a, _, _), .embedding(let a, _, _): a.rows
    case .factors: 0
    }
  }

  /// The rank that most modules have, and of several the largest.
  private static func usualRank(_ ranks: [Int]) -> Int {
    var counts: [Int: Int] = [:]
    for rank in ranks { counts[rank, default: 0] += 1 }
    return counts.max { ($0.value, $0.key) < ($1.value, $1.key) }?.key ?? 1
  }

  /// A path as an expression for itself: PEFT's patterns are matched as such.
  private static func escaped(_ path: String) -> String { path.split(separator: ".").joined(separator: "\\.") }

  private static func list(_ names: [String]) -> String {
    names.isEmpty ? "[]" : "[\n    \(names.map(JSON.text).joined(separator: ",\n    "))\n  ]"
  }

  /// The tensors under the names that PEFT has for them, with scales multiplied into B.
  /// - Parameter dtype: F32, F16 or BF16.
  package static func tensors(
    of adapter: AdapterFactors, dtype: DType = .f32, location: String
  ) throws(FormatError) -> [String: Tensor] {
    var tensors: [String: Tensor] = [:]
    for module in adapter.modules {
      let path = AdapterFolder.prefix + module.path
      var parts: [(name: String, values: [Float], shape: [Int])] = []
      switch module.part {
      case .linear(let a, let b, let scale):
        parts = [("lora_A.weight", a.floats(), a.shape), ("lora_B.weight", b.floats().map { $0 * scale }, b.shape)]
      case .embedding(let a, let b, let scale):
        parts = [("lora_embedding_A", a.floats(), a.shape), ("lora_embedding_B", b.floats().map { $0 * scale }, b.shape)]
      case .factors(let values, let isOfInput):
        parts = [(IA3.vector, values, isOfInput ? [1, values.count] : [values.count, 1])]
      }
      for (name, values, shape) in parts {
        let tensor: Tensor
        do { tensor = try Tensor(values, shape: shape).rounded(to: dtype) } catch { throw .storage(error) }
        if let index = tensor.firstNonFinite() {
          throw .unsupported(
            location: "\(location): \(path).\(name)", expected: "numbers that \(dtype.name) holds", found: "\(values[index])")
        }
        tensors["\(path).\(name)"] = tensor
      }
    }
    return tensors
  }

  /// The path without slashes at its end.
  package static func target(_ path: String) -> String {
    var target = path
    while target.count > 1, target.hasSuffix("/") { target.removeLast() }
    return target
  }

  /// A new folder beside the one that is to be; nothing is there, or an empty folder.
  package static func temporaryFolder(beside path: String) throws(FormatError) -> String {
    let target = target(path)
    var status = stat()
    if stat(target, &status) == 0 {
      // A folder with something in it, or no folder, is not replaced.
      guard status.st_mode & S_IFMT == S_IFDIR, rmdir(target) == 0 else {
        throw .cannotWrite(path: path, reason: "expected nothing there, or an empty folder, found something else")
      }
    }
    for _ in 0..<16 {
      let candidate = "\(target).\(String(UInt32.random(in: .min ... .max), radix: 16)).tmp"
      if mkdir(candidate, 0o777) == 0 { return candidate }
      guard errno == EEXIST else { break }
    }
    throw .cannotWrite(path: path, reason: String(cString: strerror(errno)))
  }
}

extension Tensor {
  /// The same numbers in F32, F16 or BF16, rounded to the nearest.
  fileprivate func rounded(to format: DType) throws(StorageError) -> Tensor {
    guard format != dtype else { return self }
    let storage = try Storage(byteCount: rows * columns * format.blockBytes)
    encodeRows(0..<rows, as: format, into: storage.base)
    guard let tensor = Tensor(dtype: format, shape: shape, storage: storage, offset: 0) else {
      preconditionFailure("a copy has the size of its original")
    }
    return tensor
  }
}
