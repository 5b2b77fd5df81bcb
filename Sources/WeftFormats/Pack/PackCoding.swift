// SPDX-License-Identifier: Apache-2.0

/// How the bytes of a tensor are stored in a pack. `docs/pack-format.md` has each byte by byte.
package enum PackCoding: UInt8, Sendable, CaseIterable {
  /// The bytes themselves.
  case raw = 0
  /// zstd frames with checksums.
  case zstd = 1
  /// The first byte of every element (or block), then the second of every one, and so on; those as zstd frames.
  case bytePlanes = 2
  /// Ternary: a bit for each element that is not 0, then the signs of those that are not.
  case ternaryPlanes = 3
  /// Ternary: Golomb-Rice codes of the gaps between elements that are not 0, and their signs.
  case golombRice = 4
  /// Ternary without zeros: a sign for each element.
  case signs = 5

  /// For listings.
  package var name: String {
    switch self {
    case .raw: "raw"
    case .zstd: "zstd"
    case .bytePlanes: "byte planes, zstd"
    case .ternaryPlanes: "ternary planes"
    case .golombRice: "Golomb-Rice"
    case .signs: "signs"
    }
  }

  /// Whether it holds only ternary tensors.
  var isTernary: Bool { rawValue >= PackCoding.ternaryPlanes.rawValue }
}
