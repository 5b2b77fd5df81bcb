// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The norms that an adapter replaces, and what it adds to norms, by their place.
struct ResidentNorms {
  /// Places of one layer.
  static let perLayer = NormRole.allCases.count

  /// The place of a norm in tables; the last norm of the model is in front of all layers.
  @inline(__always)
  static func index(_ layer: Int, _ role: NormRole) -> Int { 1 + layer * perLayer + role.rawValue }
  static let output = 0

  let count: Int
  /// Four pointers for each place: weight and bias that replace the base's, nil where that stays; weight and bias that are
  /// added, nil where nothing is.
  let table: UnsafePointer<UnsafePointer<Float>?>
  /// Whether anything is added.
  let hasSums: Bool
  /// Memory for what is added to a row, of each thread: `scratchStride` floats apart.
  let scratch: UnsafeMutablePointer<Float>
  let scratchStride: Int

  /// nil when the adapter does nothing to norms.
  init?(_ deltas: DeltaSet, threads: Int, _ memory: ResidentMemory) throws(StorageError) {
    let sites = Set(deltas.norms.keys).union(deltas.normSums.keys)
    guard !sites.isEmpty else { return nil }
    count = 1 + (sites.map(ResidentNorms.index).max() ?? 0)
    var pointers = [UnsafePointer<Float>?](repeating: nil, count: 4 * count)
    for (site, norm) in deltas.norms {
      let index = ResidentNorms.index(site)
      pointers[4 * index] = try norm.weight.map { weight throws(StorageError) in try memory.keep(weight) }
      pointers[4 * index + 1] = try norm.bias.map { bias throws(StorageError) in try memory.keep(bias) }
    }
    for (site, sum) in deltas.normSums {
      let index = ResidentNorms.index(site)
      pointers[4 * index + 2] = try memory.keep(sum.weight)
      pointers[4 * index + 3] = try sum.bias.map { bias throws(StorageError) in try memory.keep(bias) }
    }
    table = try memory.keep(pointers)
    hasSums = !deltas.normSums.isEmpty
    scratchStride = MatrixView.padded(deltas.normSums.values.reduce(1) { max($0, $1.weight.count) })
    scratch = try memory.reserve(floats: hasSums ? scratchStride * threads : 1)
  }

  private static func index(_ site: NormSite) -> Int {
    switch site {
    case .layer(let layer, let role): index(layer, role)
    case .output: output
    }
  }

  /// The replaced norm at a place, or nil.
  @inline(__always)
  func norm(_ index: Int, own: DecoderLayer.Norm) -> DecoderLayer.Norm? {
    guard index < count, table[4 * index] != nil || table[4 * index + 1] != nil else { return nil }
    return DecoderLayer.Norm(weight: table[4 * index] ?? own.weight, bias: table[4 * index + 1] ?? own.bias)
  }

  /// What is added at a place, as a norm of its own, or nil.
  @inline(__always)
  func sum(_ index: Int) -> DecoderLayer.Norm? {
    guard hasSums, index < count, let weight = table[4 * index + 2] else { return nil }
    return DecoderLayer.Norm(weight: weight, bias: table[4 * index + 3])
  }
}
