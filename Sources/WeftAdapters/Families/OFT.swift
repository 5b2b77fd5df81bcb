// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// OFT (https://arxiv.org/abs/2306.07280), in the form of peft since 0.14: the input, as a row, is multiplied by
/// blockdiag(R), or the row of the embedding is.
///
/// `oft_R.weight` [blocks, b (b - 1) / 2] per linear module has of every block the strict upper triangle of a skew-symmetric Q,
/// row by row; one block for all with `block_share`. R is the Cayley transform of Q, exact or as a series: the two have
/// opposite orientations. Files of peft before 0.18, which summed the series a little differently, are read as the others are, as
/// peft reads them.
enum OFT {
  private static let linear = "oft_R.weight"
  private static let embedding = "oft_embedding_R.weight"

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try refuseFirstForm(files)
    let options = try OFTOptions(files.config)
    let modules = try files.targetedModules([linear], base: model.shape)
    var builder = try DeltaBuilder(model, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let rotation = try rotation(
        try tensors.name(linear), width: model.size(of: tensors.module).in, options, &files)
      try builder.add(to: tensors.module) { _ in .rotate(rotation) }
    }
    let target = try TargetModules(files.config)
    let (path, width) = (model.shape.embedding.path, model.shape.embedding.hiddenSize)
    let name = files.name(of: path, embedding, base: model.shape)
    if try target.contains(path: path) {
      if let name {
        builder.deltas.embedding.append(.rotate(try rotation(name, width: width, options, &files)))
      } else if target.isStated {
        throw .missingTensor(location: files.tensorsLocation, tensor: "\(AdapterFolder.prefix)\(path).\(embedding)")
      }
    }
    return builder.deltas
  }

  private static func rotation(
    _ name: String, width: Int, _ options: OFTOptions, _ files: inout AdapterFolder
  ) throws(AdapterError) -> RotationDelta {
    let shape = files.shape(of: name)
    let expected = options.blockSize(of: width)
    let size = shape.count == 2 ? OFT.size(ofTriangle: shape[1]) ?? expected : expected
    // The size is that of the tensor where the config's does not divide the width: peft took one nearby.
    let isOptional = width % options.wantedBlockSize(of: width) != 0
    let block = width % size == 0 && (isOptional || size == expected) ? size : expected
    let vectors = try files.takeFloats(
      name, shape: [options.isShared ? 1 : width / block, block * (block - 1) / 2])
    let own = vectors.count / (block * (block - 1) / 2)
    let triangles = vectors.map { Double($0) }
    var blocks: [Float] = []
    blocks.reserveCapacity(width * block)
    for index in 0..<own {
      let q = options.constrained(CayleyTransform.skew(triangles, index: index, size: block), blocks: own)
      let r: [Double]
      do throws(LinearAlgebraError) { r = try options.transform(q, size: block) } catch {
        throw .linearAlgebra(location: "\(files.tensorsLocation): \(name)", error)
      }
      // x R for a row x is R' x.
      for i in 0..<block { for j in 0..<block { blocks.append(Float(r[j * block + i])) } }
    }
    if own == 1 {
      let one = blocks
      for _ in 1..<(width / block) { blocks += one }
    }
    let tensor = try makeTensor(blocks, [width / block, block, block])
    do { return try RotationDelta(.blocks(tensor, order: nil)) } catch {
      throw .part(location: files.tensorsLocation, part: name, error)
    }
  }

  /// b of b (b - 1) / 2; nil where there is none.
  private static func size(ofTriangle count: Int) -> Int? {
    guard count > 0, count < 1 << 40 else { return nil }
    let size = Int((1 + (1 + 8 * Double(count)).squareRoot()) / 2)
    return size * (size - 1) / 2 == count ? size : nil
  }

  private static func refuseFirstForm(_ files: AdapterFolder) throws(AdapterError) {
    guard files.tensorNames.contains(where: { $0.hasSuffix(".oft_r") || $0.contains(".oft_r.") }) else { return }
    throw .notReproducible(
      location: files.tensorsLocation,
      reason: "tensors named oft_r are OFT as peft had it before 0.14, which has other formulas and which peft itself refuses",
      remedy: "merge the adapter with peft 0.13, or train it again")
  }
}

/// The options of PEFT's `OFTConfig`.
struct OFTOptions {
  let isShared: Bool
  private let count: Int
  private let size: Int
  /// Terms of the series; nil for the exact transform.
  private let terms: Int?
  /// The largest norm of Q, times the root of the number of blocks; nil without a constraint.
  private let limit: Double?

  private static let rules = AdapterConfig.rules(
    read: [
      "r", "oft_block_size", "block_share", "use_cayley_neumann", "num_cayley_neumann_terms", "coft", "eps",
    ], inert: ["module_dropout"])

  init(_ config: AdapterConfig) throws(AdapterError) {
    try config.check(OFTOptions.rules)
    count = try config.integer("r", default: 0, atLeast: 0)
    size = try config.integer("oft_block_size", default: count > 0 ? 0 : 32, atLeast: 0)
    guard (count > 0) != (size > 0) else {
      throw config.malformed(
        "oft_block_size", expected: count > 0 ? "0, as r is \(count)" : "at least 1, as r is 0",
        found: config["oft_block_size"])
    }
    isShared = try config.bool("block_share")
    let isSeries = try config.bool("use_cayley_neumann", default: true)
    let terms = try config.integer("num_cayley_neumann_terms", default: 5)
    guard terms <= 100 else {
      throw config.malformed("num_cayley_neumann_terms", expected: "at most 100", found: config["num_cayley_neumann_terms"])
    }
    self.terms = isSeries ? terms : nil
    limit = try config.bool("coft") ? try config.number("eps", default: 6e-5) : nil
  }

  /// The size that the config asks for, whether or not it divides the width.
  func wantedBlockSize(of width: Int) -> Int { size > 0 ? size : count }

  /// The size of the blocks for an input of this width: the divisor nearest to what the config asks for.
  func blockSize(of width: Int) -> Int {
    let divisor = OFTOptions.divisor(of: width, near: wantedBlockSize(of: width))
    return max(size > 0 ? divisor : width / divisor, 2)
  }

  private static func divisor(of width: Int, near wanted: Int) -> Int {
    guard wanted < width else { return width }
    var (above, below) = (wanted, wanted)
    while width % above != 0 { above += 1 }
    while width % below != 0 { below -= 1 }
    return wanted - below <= above - wanted ? below : above
  }

  /// Q, shortened where the config limits it.
  func constrained(_ q: [Double], blocks: Int) -> [Double] {
    guard let limit else { return q }
    let allowed = limit / Double(blocks).squareRoot()
    let norm = q.reduce(0) { $0 + $1 * $1 }.squareRoot()
    return norm <= allowed ? q : q.map { $0 * allowed / norm }
  }

  /// R of Q.
  func transform(_ q: [Double], size: Int) throws(LinearAlgebraError) -> [Double] {
    guard let terms else { return try CayleyTransform.exact(q, size: size) }
    return try CayleyTransform.series(q, size: size, terms: terms)
  }
}
