// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// LoRA in one safetensors file without a configuration: of loralib (https://github.com/microsoft/LoRA), with the names of
/// kohya's scripts, and with peft's own names: y = W x + alpha / rank * B (A x).
///
/// | tensor | shape | names |
/// |---|---|---|
/// | A | [rank, in] | `<module>.lora_A.weight`, `.lora_A.default.weight`, `.lora_A`, `.lora_down.weight` |
/// | B | [out, rank] | the same with `B` and `up` |
/// | alpha | one number | `<module>.alpha`; where absent, the load option `alpha` or the metadata `lora_alpha` |
///
/// Of the embedding A is [rank, vocabulary] and B [hidden, rank]; peft calls them `lora_embedding_A` and `lora_embedding_B`.
/// loralib's A of a fused module has the ranks of its parts under each other.
enum LoRAFile {
  static let endingsOfA = [".lora_A.weight", ".lora_A.default.weight", ".lora_A", ".lora_down.weight", ".lora_embedding_A"]
  private static let endingsOfB = [
    ".lora_B.weight", ".lora_B.default.weight", ".lora_B", ".lora_up.weight", ".lora_embedding_B",
  ]
  private static let endingsOfAlpha = [".alpha"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    var builder = DeltaBuilder(base, files)
    let modules = try pairs(in: &files)
    let given = try alpha(files, options)
    if options.alpha != nil, modules.allSatisfy({ $0.alpha != nil }) {
      throw .uselessOption(location: files.path, option: "alpha", family: "a file that holds it")
    }
    for pair in modules {
      let rank = files.shape(of: pair.b).last ?? 0
      let alpha = try pair.alpha.map { name throws(AdapterError) in try number(name, &files) } ?? given
      guard let alpha else {
        throw .missingOption(
          location: files.path, option: "alpha", why: "'\(pair.a)' has no .alpha beside it; LoRA's scale is alpha / rank")
      }
      guard rank > 0 else {
        throw .wrongRank(location: files.tensorsLocation, tensor: pair.b, expected: 1, found: 0)
      }
      let scale = Float(alpha / Double(rank))
      if base.shape.isEmbedding(pair.path) {
        let (vocabulary, hidden) = (base.shape.embedding.vocabularySize, base.shape.embedding.hiddenSize)
        let a = try files.take(pair.a, shape: [rank, vocabulary])
        let b = try files.take(pair.b, shape: [hidden, rank])
        try builder.addEmbedding { () throws(DeltaError) in .lowRank(try LowRank(a: a, b: b, scale: scale)) }
        continue
      }
      guard let module = base.shape.module(at: pair.path) else {
        throw files.unknownModule(pair.a, pair.path, ["lora_A", "lora_B"], base.shape)
      }
      try add(pair, to: module, scale, &files, &builder)
    }
    return builder.deltas
  }

  private struct Pair {
    let path: String
    let a: String
    let b: String
    let alpha: String?
  }

  private static func pairs(in files: inout AdapterFolder) throws(AdapterError) -> [Pair] {
    var found: [String: (a: String?, b: String?, alpha: String?)] = [:]
    for name in files.tensorNames {
      for (role, endings) in [endingsOfA, endingsOfB, endingsOfAlpha].enumerated() {
        guard let ending = endings.first(where: { name.hasSuffix($0) }) else { continue }
        var path = String(name.dropLast(ending.count))
        if path.hasPrefix(AdapterFolder.prefix) { path.removeFirst(AdapterFolder.prefix.count) }
        files.recognize(name)
        let key: WritableKeyPath<(a: String?, b: String?, alpha: String?), String?> = [\.a, \.b, \.alpha][role]
        if let other = found[path]?[keyPath: key] {
          throw .duplicateTensor(location: files.tensorsLocation, tensor: other, other: name)
        }
        found[path, default: (nil, nil, nil)][keyPath: key] = name
        break
      }
    }
    var pairs: [Pair] = []
    for (path, names) in found.sorted(by: { $0.key < $1.key }) {
      guard let a = names.a, let b = names.b else {
        throw .missingTensor(
          location: files.tensorsLocation, tensor: "\(path), the \(names.a == nil ? "A" : "B") of its pair")
      }
      pairs.append(Pair(path: path, a: a, b: b, alpha: names.alpha))
    }
    return pairs
  }

  private static func add(
    _ pair: Pair, to module: BaseModule, _ scale: Float, _ files: inout AdapterFolder, _ builder: inout DeltaBuilder
  ) throws(AdapterError) {
    let size = builder.base.size(of: module)
    let (shapeA, shapeB) = (files.shape(of: pair.a), files.shape(of: pair.b))
    let parts = module.sites.count
    let rank = shapeB.last ?? 0
    // loralib's fused modules: a rank for each part.
    if parts > 1, shapeA == [rank * parts, size.in], shapeB == [size.out, rank], rank > 0 {
      let (a, b) = (try files.takeWeights(pair.a), try files.takeWeights(pair.b))
      var part = 0
      try builder.add(to: module) { rows throws(DeltaError) in
        defer { part += 1 }
        return .lowRank(try LowRank(a: a.slice(rows: part * rank..<(part + 1) * rank), b: b.slice(rows: rows), scale: scale))
      }
      return
    }
    let a = try files.take(pair.a, shape: [rank, size.in])
    let b = try files.take(pair.b, shape: [size.out, rank])
    try builder.addLowRank(a, b, scale: scale, to: module)
  }

  /// The alpha of modules without one of their own.
  private static func alpha(_ files: AdapterFolder, _ options: AdapterOptions) throws(AdapterError) -> Double? {
    if let alpha = options.alpha { return alpha }
    guard let text = files.metadata["lora_alpha"] else { return nil }
    guard let alpha = Double(text), alpha.isFinite else {
      throw .malformedOption(location: files.path, option: "metadata lora_alpha", expected: "a number", found: text)
    }
    return alpha
  }

  private static func number(_ name: String, _ files: inout AdapterFolder) throws(AdapterError) -> Double {
    Double(try files.takeNumber(name))
  }
}

extension AdapterFolder {
  /// The value of a tensor that is one number, [] or [1].
  mutating func takeNumber(_ name: String) throws(AdapterError) -> Float {
    guard shape(of: name).allSatisfy({ $0 == 1 }) else {
      throw .wrongShape(location: tensorsLocation, tensor: name, expected: [], found: shape(of: name))
    }
    return try takeWeights(name).floats()[0]
  }
}

extension DeltaBuilder {
  /// Adds a change of the embedding.
  mutating func addEmbedding(_ make: () throws(DeltaError) -> EmbeddingDelta) throws(AdapterError) {
    do throws(DeltaError) { deltas.embedding.append(try make()) } catch {
      throw .part(location: location, part: "embedding", error)
    }
  }
}
