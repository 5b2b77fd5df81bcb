// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftFormats
internal import WeftTensors

/// Several adapters of one base over shared tensors: a pack whose members have parts in common.
package struct AdapterLibrary: Sendable {
  /// One adapter as it goes in.
  package struct Source: Sendable {
    package let name: String
    package let modules: [ModuleFactors]

    package init(name: String, modules: [ModuleFactors]) {
      self.name = name
      self.modules = modules
    }
  }

  /// A tensor of a member, by its name in the module.
  private struct Part {
    let path: String
    let parameter: String
    let tensor: Tensor
  }

  package let names: [String]
  private let peftType: String
  /// Of all members: `basis_U`, `shared_A`.
  private var shared: [Part] = []
  /// Of each member.
  private var own: [[Part]]
  /// By member: the squared errors of all modules, and the squared changes.
  package private(set) var errors: [(squaredError: Double, energy: Double)]

  private init(_ sources: [Source], peftType: String) throws(CompressionError) {
    guard sources.count >= 2 else {
      throw .mismatch(location: "library", expected: "at least two adapters", found: "\(sources.count)")
    }
    names = sources.map(\.name)
    self.peftType = peftType
    own = [[Part]](repeating: [], count: sources.count)
    errors = sources.map { source in (0, source.modules.reduce(0) { $0 + $1.energy }) }
  }

  /// Over common bases (Compress-then-Serve): modules that one adapter does not change are zero in it.
  package init(sharing sources: [Source], basisRank rank: Int) throws(CompressionError) {
    try self.init(sources, peftType: "SHARED_BASIS")
    for (path, changes) in try AdapterLibrary.modules(of: sources) {
      let basis = try SharedBasis(changes.map(\.change), rank: rank)
      let (out, width) = (changes[0].change.outputSize, changes[0].change.inputSize)
      do throws(StorageError) {
        shared.append(
          Part(path: path, parameter: "basis_U", tensor: try Tensor(rounding: basis.u, shape: [out, basis.rank], to: .f16)))
        shared.append(
          Part(path: path, parameter: "basis_V", tensor: try Tensor(rounding: basis.v, shape: [basis.rank, width], to: .f16)))
        for (change, core) in zip(changes, basis.cores) {
          own[change.member].append(
            Part(
              path: path, parameter: "core",
              tensor: try Tensor(rounding: core, shape: [basis.rank, basis.rank], to: .f16)))
          // U and V are orthonormal: what a core holds is what is left of the change.
          let kept = core.reduce(0.0) { $0 + Double($1) * Double($1) }
          errors[change.member].squaredError += max(0, change.change.energy - kept)
        }
      } catch { throw .storage(error) }
    }
  }

  /// Under bit masks of one shared change (TALL masks). All adapters change the same modules with the same ranks.
  package init(masking sources: [Source], lambda: Float) throws(CompressionError) {
    try self.init(sources, peftType: "MASKED")
    for (path, changes) in try AdapterLibrary.modules(of: sources) {
      guard changes.count == sources.count else {
        throw .mismatch(
          location: path, expected: "all \(sources.count) adapters to change it", found: "\(changes.count)")
      }
      let masks = try TaskMasks(changes.map(\.change), lambda: lambda)
      let (out, width) = (changes[0].change.outputSize, changes[0].change.inputSize)
      do throws(StorageError) {
        shared.append(
          Part(path: path, parameter: "shared_A", tensor: try Tensor(rounding: masks.a, shape: [masks.rank, width], to: .f16)))
        shared.append(
          Part(path: path, parameter: "shared_B", tensor: try Tensor(rounding: masks.b, shape: [out, masks.rank], to: .f16)))
        for (member, task) in masks.tasks.enumerated() {
          own[member].append(
            Part(path: path, parameter: "mask_A", tensor: try AdapterLibrary.words(task.a, rows: masks.rank, columns: width)))
          own[member].append(
            Part(path: path, parameter: "mask_B", tensor: try AdapterLibrary.words(task.b, rows: out, columns: masks.rank)))
          own[member].append(
            Part(path: path, parameter: "mask_scale", tensor: try Tensor([task.scale], shape: [1])))
          errors[member].squaredError += task.squaredError
        }
      } catch { throw .storage(error) }
    }
  }

  /// Every module that some adapter changes, with who changes it, in the order of the first that has it.
  private static func modules(
    of sources: [Source]
  ) throws(CompressionError) -> [(path: String, changes: [(member: Int, change: ModuleFactors)])] {
    var order: [String] = []
    var changes: [String: [(member: Int, change: ModuleFactors)]] = [:]
    for (member, source) in sources.enumerated() {
      for module in source.modules {
        if changes[module.path] == nil { order.append(module.path) }
        changes[module.path, default: []].append((member, module))
      }
    }
    return order.map { ($0, changes[$0] ?? []) }
  }

  /// Rows of bits as words of 32.
  private static func words(_ bits: [Bool], rows: Int, columns: Int) throws(StorageError) -> Tensor {
    let count = (columns + 31) / 32
    var words = [UInt32](repeating: 0, count: rows * count)
    for row in 0..<rows {
      for column in 0..<columns where bits[row * columns + column] {
        words[row * count + column / 32] |= 1 << UInt32(column % 32)
      }
    }
    let storage = try Storage(byteCount: words.count * 4)
    for (index, word) in words.enumerated() {
      storage.base.storeBytes(of: word.littleEndian, toByteOffset: index * 4, as: UInt32.self)
    }
    guard let tensor = Tensor(dtype: .i32, shape: [rows, count], storage: storage, offset: 0) else {
      preconditionFailure("the storage was made for it")
    }
    return tensor
  }

  /// Writes the pack.
  package func write(
    path: String, options: AdapterFactors.Options, provenance: PackProvenance
  ) throws(CompressionError) {
    do throws(FormatError) {
      let writer = try PackWriter(path: path, provenance: provenance)
      var common: [(path: String, reference: PackMember.Reference)] = []
      for part in shared { common.append((part.path, try AdapterLibrary.add(part, to: writer))) }
      let base = options.baseModel.map(JSON.text) ?? "null"
      let config = "{\n  \"base_model_name_or_path\": \(base),\n  \"peft_type\": \"\(peftType)\"\n}\n"
      for (name, parts) in zip(names, own) {
        let paths = Set(parts.map(\.path))
        var references = common.filter { paths.contains($0.path) }.map(\.reference)
        for part in parts { references.append(try AdapterLibrary.add(part, to: writer)) }
        try writer.addMember(name, config: config, tensors: references)
      }
      try writer.finish()
    } catch { throw .format(error) }
  }

  private static func add(_ part: Part, to writer: PackWriter) throws(FormatError) -> PackMember.Reference {
    .init("base_model.model.\(part.path).\(part.parameter)", try writer.add(part.tensor))
  }
}
