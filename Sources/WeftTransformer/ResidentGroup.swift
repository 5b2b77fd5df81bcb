// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension ResidentAdapter {
  /// B of one projection: y += B u[offset ..< offset + rank], where u = weight scale A x.
  struct Part {
    let b: MatrixView
    private let start: Int32
    private let count: Int32
    /// The scale of the low rank, of A and of B together.
    let scale: Float
    /// Those apart: what `deltas` gives back.
    let ownScale: Float
    let aScale: Float
    let bScale: Float
    /// Which matrix of the group has its A.
    let input: UInt8
    /// Whether this part scales its share of u: false where an earlier part has the same one.
    let ownsInput: Bool
    /// How strongly each expert acts, when the rank is divided among experts.
    let gate: UnsafePointer<ResidentGate>?

    init(
      b: MatrixView, offset: Int, rank: Int, input: Int, scale: Float, aScale: Float, bScale: Float, ownsInput: Bool,
      gate: UnsafePointer<ResidentGate>?
    ) {
      self.b = b
      (start, count) = (Int32(offset), Int32(rank))
      self.scale = scale * aScale * bScale
      (ownScale, self.aScale, self.bScale) = (scale, aScale, bScale)
      self.input = UInt8(input)
      self.ownsInput = ownsInput
      self.gate = gate
    }

    @inline(__always) var offset: Int { Int(start) }
    @inline(__always) var rank: Int { Int(count) }
  }

  /// What an adapter does to the maps of an input group.
  struct Group {
    /// A of all parts, one matrix for each type of factor, the first ones first; u has their rows, padded to tiles, one behind the
    /// other.
    var inputs: (MatrixView?, MatrixView?, MatrixView?)
    /// nil where the adapter has no low rank.
    var parts: (Part?, Part?, Part?)
    /// What else it does to the maps of the group.
    var operations: UnsafePointer<ResidentOperations>?

    @inline(__always)
    func input(_ index: Int) -> MatrixView? {
      switch index {
      case 0: inputs.0
      case 1: inputs.1
      default: inputs.2
      }
    }

    @inline(__always)
    func part(_ index: Int) -> Part? {
      switch index {
      case 0: parts.0
      case 1: parts.1
      default: parts.2
      }
    }

    /// Whether there is no low rank.
    var isEmpty: Bool { inputs.0 == nil }
    /// Where the rows of an input begin in u.
    func firstRow(ofInput index: Int) -> Int { (0..<index).reduce(0) { $0 + (input($1)?.paddedRows ?? 0) } }
    /// Floats of u.
    var width: Int { firstRow(ofInput: 3) }
    /// Whether A reads activations in int8 blocks.
    var readsQuantized: Bool { (0..<3).contains { input($0)?.inputForm == .blocks } }
  }
}
