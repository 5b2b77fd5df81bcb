// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

/// The linear maps of a layer that read the same activations. Their A factors are one matrix, computed once.
enum InputGroup: Int, CaseIterable {
  case attention, output, feedForward, down

  var projections: [Projection] {
    switch self {
    case .attention: [.query, .key, .value]
    case .output: [.output]
    case .feedForward: [.gate, .up]
    case .down: [.down]
    }
  }
}

/// An adapter packed for the kernels. Beside the base, never inside it.
package final class ResidentAdapter: @unchecked Sendable {
  /// B of one projection: y += scale B u[offset ..< offset + rank].
  struct Part {
    var b: MatrixView
    var offset: Int
    var rank: Int
    var scale: Float
  }

  /// The factors of an input group. A part is nil where the adapter has nothing; `a` is nil when all are.
  struct Group {
    var a: MatrixView?
    var parts: (Part?, Part?, Part?)

    @inline(__always)
    func part(_ index: Int) -> Part? {
      switch index {
      case 0: parts.0
      case 1: parts.1
      default: parts.2
      }
    }
  }

  private let matrices: [PackedMatrix]
  private let groups: UnsafeMutablePointer<Group>
  private let groupCount: Int
  /// Floats of u that the widest group needs, in whole tiles.
  package let width: Int
  /// Bytes of the packed factors.
  package var byteCount: Int { matrices.reduce(0) { $0 + $1.byteCount } }

  /// Packs a delta set that fits `layerCount` layers.
  package init(_ deltas: DeltaSet, layerCount: Int, pool: ThreadPool) throws(StorageError) {
    var matrices: [PackedMatrix] = []
    var built: [Group] = []
    var width = 0
    for layer in 0..<layerCount {
      for group in InputGroup.allCases {
        let operators = group.projections.map { deltas.operators[.layer(layer, $0)] }
        let made = try ResidentAdapter.pack(operators, into: &matrices, pool: pool)
        width = max(width, made.a?.paddedRows ?? 0)
        built.append(made)
      }
    }
    let head = try ResidentAdapter.pack([deltas.operators[.outputHead]], into: &matrices, pool: pool)
    built.append(head)
    self.width = max(width, head.a?.paddedRows ?? 0)
    self.matrices = matrices
    groupCount = built.count
    groups = .allocate(capacity: built.count)
    groups.initialize(from: built, count: built.count)
  }

  deinit {
    groups.deinitialize(count: groupCount)
    groups.deallocate()
  }

  /// One group per layer and `InputGroup`, in order; the output head last. Valid while this object lives.
  var groupTable: UnsafePointer<Group> { UnsafePointer(groups) }

  private static func pack(
    _ operators: [DeltaOperator?], into matrices: inout [PackedMatrix], pool: ThreadPool
  ) throws(StorageError) -> Group {
    let factors: [LowRank?] = operators.map {
      switch $0 {
      case .lowRank(let factors): factors
      case nil: nil
      }
    }
    let present = factors.compactMap { $0 }
    guard let first = present.first else { return Group(a: nil, parts: (nil, nil, nil)) }
    // One matrix has one dtype: rounding nothing, a mixed group is widened to F32.
    let dtype = present.allSatisfy({ $0.a.dtype == first.a.dtype }) ? first.a.dtype : .f32
    let stacked = try stack(present.map(\.a), dtype: dtype)
    let a = try PackedMatrix(stacked, pool: pool)
    matrices.append(a)
    var parts: [Part?] = []
    var offset = 0
    for factors in factors {
      guard let factors else {
        parts.append(nil)
        continue
      }
      let b = try PackedMatrix(factors.b, pool: pool)
      matrices.append(b)
      parts.append(Part(b: b.view, offset: offset, rank: factors.rank, scale: factors.scale))
      offset += factors.rank
    }
    parts += [nil, nil]
    return Group(a: a.view, parts: (parts[0], parts[1], parts[2]))
  }

  /// The rows of several matrices under each other.
  private static func stack(_ tensors: [Tensor], dtype: DType) throws(StorageError) -> Tensor {
    let converted = try tensors.map { tensor throws(StorageError) in try tensor.converted(to: dtype) }
    let storage = try Storage(byteCount: converted.reduce(0) { $0 + $1.byteCount })
    var offset = 0
    for tensor in converted {
      (storage.base + offset).copyMemory(from: tensor.base, byteCount: tensor.byteCount)
      offset += tensor.byteCount
    }
    let rows = converted.reduce(0) { $0 + $1.rows }
    return Tensor(dtype: dtype, shape: [rows, converted[0].columns], storage: storage, offset: 0)!
  }
}
