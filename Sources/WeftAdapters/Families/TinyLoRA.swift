// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// TinyLoRA (https://arxiv.org/abs/2602.04118): Delta = B R A with the frozen A and B of the base's largest singular components
/// and R = sum of v_i P_i, where only v is trained, for a group of modules together.
///
/// Tensors per adapted module: `tinylora_A` [rank, in], `tinylora_B` [out, rank], and `tinylora_P` [u, rank, rank], or a seed
/// (`save_projection`: false). Of the model: `tinylora_v.0`, `tinylora_v.1` ... [u], one per group.
///
/// The embedding may be adapted too: its row of a token is changed by the token's row of B R A.
enum TinyLoRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "u", "weight_tying", "projection_seed", "save_projection"], inert: ["tinylora_dropout", "init_v_bound"])
  private static let parameters = ["tinylora_A", "tinylora_B", "tinylora_P"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let rank = try config.rank("r", default: 2, base: base)
    let (embedding, modules) = try targets(&files, base)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    let inner = try InnerMatrices(&files, moduleCount: modules.count + (embedding == nil ? 0 : 1))
    if let embedding { builder.deltas.embedding.append(try embeddingDelta(embedding, rank, inner, base, &files)) }
    for (index, tensors) in modules.enumerated() {
      let size = base.size(of: tensors.module)
      let own = min(rank, size.out, size.in)
      let (nameA, nameB) = (try tensors.name(parameters[0]), try tensors.name(parameters[1]))
      try files.requireRank(nameA, own, axis: 0)
      let a = try files.take(nameA, shape: [own, size.in])
      let b = try files.takeFloats(nameB, shape: [size.out, own])
      let r = try inner.matrix(
        index + (embedding == nil ? 0 : 1), rank: own, projection: tensors.names[parameters[2]],
        path: tensors.module.path, &files)
      let left = try product(b, r, size.out, own, own, files)
      try builder.addLowRank(a, try makeTensor(left, [size.out, own]), scale: 1, to: tensors.module)
    }
    return builder.deltas
  }

  /// e += (R A)' B[token, :]'
  private static func embeddingDelta(
    _ names: [String: String], _ rank: Int, _ inner: InnerMatrices, _ base: BaseModel, _ files: inout AdapterFolder
  ) throws(AdapterError) -> EmbeddingDelta {
    let (path, rows, columns) = (
      base.shape.embedding.path, base.shape.embedding.vocabularySize, base.shape.embedding.hiddenSize
    )
    let own = min(rank, rows, columns)
    var factors: [[Float]] = []
    for (parameter, shape) in [(parameters[0], [own, columns]), (parameters[1], [rows, own])] {
      guard let name = names[parameter] else {
        throw .missingTensor(location: files.tensorsLocation, tensor: "\(AdapterFolder.prefix)\(path).\(parameter)")
      }
      factors.append(try files.takeFloats(name, shape: shape))
    }
    // The embedding comes before every other module of the model.
    let r = try inner.matrix(0, rank: own, projection: names[parameters[2]], path: path, &files)
    let left = try product(r, factors[0], own, own, columns, files)
    let a = try makeTensor(LinearAlgebra.transposed(factors[1], rows: rows, columns: own), [own, rows])
    let b = try makeTensor(LinearAlgebra.transposed(left, rows: own, columns: columns), [columns, own])
    guard let factors = try? LowRank(a: a, b: b, scale: 1) else {
      preconditionFailure("the factors have the sizes of the embedding")
    }
    return .lowRank(factors)
  }

  /// The modules that are adapted, and the names of the embedding's tensors if it is one of them: a config that says
  /// "all-linear" does not mean it.
  private static func targets(
    _ files: inout AdapterFolder, _ base: BaseModel
  ) throws(AdapterError) -> (embedding: [String: String]?, modules: [ModuleTensors]) {
    let modules = try files.targetedModules(parameters, base: base.shape)
    let path = base.shape.embedding.path
    let target = try TargetModules(files.config)
    guard try target.contains(path: path) else { return (nil, modules) }
    var embedding: [String: String] = [:]
    for name in files.tensorNames {
      guard let (path, parameter) = AdapterFolder.split(name, parameters), base.shape.isEmbedding(path) else { continue }
      embedding[parameter] = name
    }
    // Only a config that names no modules is silent about the embedding.
    return (embedding.isEmpty && !target.isStated ? nil : embedding, modules)
  }

  private static func product(
    _ a: [Float], _ b: [Float], _ rows: Int, _ inner: Int, _ columns: Int, _ files: AdapterFolder
  ) throws(AdapterError) -> [Float] {
    do { return try LinearAlgebra.product(a, b, rows: rows, inner: inner, columns: columns) } catch {
      throw .linearAlgebra(location: files.tensorsLocation, error)
    }
  }

  /// The R of every module.
  private struct InnerMatrices {
    private let vectors: [[Float]]
    /// Modules in a group.
    private let groupSize: Int
    private let size: Int
    private let seed: Int
    private let isSaved: Bool

    init(_ files: inout AdapterFolder, moduleCount: Int) throws(AdapterError) {
      let config = files.config
      size = try config.integer("u", default: 64)
      seed = try config.integer("projection_seed", default: 42, atLeast: .min)
      isSaved = try config.bool("save_projection", default: true)
      let tying = try config.number("weight_tying", default: 0)
      guard (0...1).contains(tying) else {
        throw config.malformed("weight_tying", expected: "a number from 0 to 1", found: config["weight_tying"])
      }
      let groups = max(1, Int((Double(moduleCount) * (1 - tying)).rounded(.toNearestOrEven)))
      groupSize = max(1, moduleCount / groups)
      var vectors: [[Float]] = []
      for group in 0..<groups {
        vectors.append(try files.takeFloats(try files.requireModelTensor("tinylora_v.\(group)"), shape: [size]))
      }
      self.vectors = vectors
    }

    /// R [rank, rank] of the module with this place among those that are adapted.
    ///
    /// - Parameter projection: the name of its P, if the file has one.
    func matrix(
      _ index: Int, rank: Int, projection: String?, path: String, _ files: inout AdapterFolder
    ) throws(AdapterError) -> [Float] {
      let projections: [Float]
      if isSaved {
        guard let projection else {
          throw .missingTensor(location: files.tensorsLocation, tensor: "\(AdapterFolder.prefix)\(path).tinylora_P")
        }
        projections = try files.takeFloats(projection, shape: [size, rank, rank])
      } else {
        var generator = TorchGenerator(seed: seed &+ index)
        projections = generator.normal(size * rank * rank, mean: 0, deviation: 1 / Double(rank).squareRoot())
      }
      let vector = vectors[min(index / groupSize, vectors.count - 1)]
      return (0..<rank * rank).map { place in
        var sum = 0.0
        for (i, factor) in vector.enumerated() { sum += Double(factor) * Double(projections[i * rank * rank + place]) }
        return Float(sum)
      }
    }
  }
}
