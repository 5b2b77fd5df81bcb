// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The norms that an adapter replaces, by their place.
struct ResidentNorms {
  /// Places of one layer.
  static let perLayer = NormRole.allCases.count

  /// The place of a norm in tables; the last norm of the model is in front of all layers.
  @inline(__always)
  static func index(_ layer: Int, _ role: NormRole) -> Int { 1 + layer * perLayer + role.rawValue }
  static let output = 0

  let count: Int
  /// Two pointers for each place: weight, bias; nil where the base's stays.
  let table: UnsafePointer<UnsafePointer<Float>?>

  init(_ norms: [NormSite: NormReplacement], _ memory: ResidentMemory) throws(StorageError) {
    var last = 0
    for site in norms.keys {
      if case .layer(let layer, let role) = site { last = max(last, ResidentNorms.index(layer, role)) }
    }
    var pointers = [UnsafePointer<Float>?](repeating: nil, count: 2 * (last + 1))
    for (site, norm) in norms {
      let index =
        switch site {
        case .layer(let layer, let role): ResidentNorms.index(layer, role)
        case .output: ResidentNorms.output
        }
      pointers[2 * index] = try norm.weight.map { weight throws(StorageError) in try memory.keep(weight) }
      pointers[2 * index + 1] = try norm.bias.map { bias throws(StorageError) in try memory.keep(bias) }
    }
    count = last + 1
    table = try memory.keep(pointers)
  }

  /// The replaced norm at a place, or nil.
  @inline(__always)
  func norm(_ index: Int, own: DecoderLayer.Norm) -> DecoderLayer.Norm? {
    guard index < count, table[2 * index] != nil || table[2 * index + 1] != nil else { return nil }
    return DecoderLayer.Norm(weight: table[2 * index] ?? own.weight, bias: table[2 * index + 1] ?? own.bias)
  }
}
