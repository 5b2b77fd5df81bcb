// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// HiRA (https://openreview.net/forum?id=TwJrTz9cRS): W' = W o (1 + B A), elementwise; a dense matrix W o (B A) once it is read.
///
/// Tensors per module: `hira_A` [r, in], `hira_B` [out, r]; of the embedding: `hira_embedding_A` [r, vocabulary],
/// `hira_embedding_B` [hidden, r].
enum HiRA {
  private static let rules = AdapterConfig.rules(
    read: ["r", "rank_pattern"],
    inert: ["hira_dropout"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let ranks = try Ranks(files.config, base)
    let modules = try files.targetedModules(["hira_A", "hira_B"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let (module, size) = (tensors.module, base.size(of: tensors.module))
      let rank = try ranks.rank(of: module, files.shape(of: tensors.name("hira_A")))
      let a = try files.takeFloats(tensors.name("hira_A"), shape: [rank, size.in])
      let b = try files.takeFloats(tensors.name("hira_B"), shape: [size.out, rank])
      try builder.addProduct(of: b, a, rank: rank, timesBaseOf: module)
    }
    try addEmbedding(ranks, &builder, &files)
    return builder.deltas
  }

  /// PEFT 0.21 reads `rank_pattern` for an adapter beside another one and ignores it for the first: files may have either rank.
  private struct Ranks {
    private let usual: Int
    private let patterned: PatternedRank

    init(_ config: AdapterConfig, _ base: BaseModel) throws(AdapterError) {
      usual = try config.rank("r", default: 32, base: base)
      patterned = try PatternedRank(config, "r", default: 32, pattern: "rank_pattern", base: base)
    }

    func rank(of module: BaseModule, _ shapeOfA: [Int]) throws(AdapterError) -> Int {
      shapeOfA.first == usual ? usual : try patterned.rank(of: module)
    }
  }

  /// E' = E o (1 + (B A)'), as a replacement of the matrix.
  private static func addEmbedding(
    _ ranks: Ranks, _ builder: inout DeltaBuilder, _ files: inout AdapterFolder
  ) throws(AdapterError) {
    var names: [String: String] = [:]
    for name in files.tensorNames {
      guard let (path, parameter) = AdapterFolder.split(name, ["hira_embedding_A", "hira_embedding_B"]),
        builder.base.shape.isEmbedding(path)
      else { continue }
      files.recognize(name)
      if let other = names.updateValue(name, forKey: parameter) {
        throw .duplicateTensor(location: files.tensorsLocation, tensor: other, other: name)
      }
    }
    let embedding = builder.base.shape.embedding
    let target = try TargetModules(files.config)
    guard try target.contains(path: embedding.path), target.isStated || !names.isEmpty else { return }
    let module = BaseModule(path: embedding.path, sites: [])
    let tensors = ModuleTensors(module: module, names: names, location: files.tensorsLocation)
    let width = embedding.hiddenSize
    let rank = try ranks.rank(of: module, files.shape(of: tensors.name("hira_embedding_A")))
    let a = try files.takeFloats(tensors.name("hira_embedding_A"), shape: [rank, embedding.vocabularySize])
    let b = try files.takeFloats(tensors.name("hira_embedding_B"), shape: [width, rank])
    var rows = try builder.values().embedding(0..<embedding.vocabularySize)
    for token in 0..<embedding.vocabularySize {
      for i in 0..<width {
        var sum = 1.0
        for r in 0..<rank { sum += Double(b[i * rank + r]) * Double(a[r * embedding.vocabularySize + token]) }
        rows[token * width + i] = Float(Double(rows[token * width + i]) * sum)
      }
    }
    guard rows.allSatisfy(\.isFinite) else {
      throw .nonFinite(
        location: files.tensorsLocation, tensor: try tensors.name("hira_embedding_B"),
        index: rows.firstIndex { !$0.isFinite } ?? 0)
    }
    builder.deltas.embedding.append(.replace(try makeTensor(rows, [embedding.vocabularySize, width])))
  }
}

extension DeltaBuilder {
  /// Adds the dense matrix W o (left right), with left [out, rank] and right [rank, in].
  mutating func addProduct(
    of left: [Float], _ right: [Float], rank: Int, timesBaseOf module: BaseModule
  ) throws(AdapterError) {
    let size = base.size(of: module)
    let weight = try values().weight(of: module)
    var product = try solving { () throws(LinearAlgebraError) in
      try LinearAlgebra.product(left, right, rows: size.out, inner: rank, columns: size.in)
    }
    for i in product.indices { product[i] *= weight[i] }
    try addDense(product, to: module)
  }
}
