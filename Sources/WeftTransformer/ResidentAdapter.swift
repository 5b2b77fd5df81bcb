// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

/// An adapter packed for the kernels. Beside the base, never inside it.
package final class ResidentAdapter: @unchecked Sendable {
  /// B of one projection: y += scale B u[offset ..< offset + rank].
  struct Part {
    var b: MatrixView
    var offset: Int
    var rank: Int
    var scale: Float
    /// Whether this part scales its share of u: false where an earlier part has the same one.
    var ownsInput: Bool
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

  /// Packs a delta set for a base with these input groups (`ModelConfig.inputGroups`).
  package init(_ deltas: DeltaSet, groups sites: [[WeightSite]], pool: ThreadPool) throws(StorageError) {
    var matrices: [PackedMatrix] = []
    var built: [Group] = []
    var width = 0
    for group in sites {
      let made = try ResidentAdapter.pack(group.map { deltas.operators[$0] }, into: &matrices, pool: pool)
      width = max(width, made.a?.paddedRows ?? 0)
      built.append(made)
    }
    self.width = width
    self.matrices = matrices
    groupCount = built.count
    groups = .allocate(capacity: built.count)
    groups.initialize(from: built, count: built.count)
  }

  deinit {
    groups.deinitialize(count: groupCount)
    groups.deallocate()
  }

  /// One per input group of the base, in order. Valid while this object lives.
  var groupTable: UnsafePointer<Group> { UnsafePointer(groups) }

  private static func pack(
    _ operators: [[DeltaOperator]?], into matrices: inout [PackedMatrix], pool: ThreadPool
  ) throws(StorageError) -> Group {
    let factors: [LowRank?] = operators.map { list in
      list?.lazy.compactMap { if case .lowRank(let factors) = $0 { factors } else { nil } }.first
    }
    let present = factors.compactMap { $0 }
    guard let first = present.first else { return Group(a: nil, parts: (nil, nil, nil)) }
    // The parts of a fused module share one A and one scale: it is computed once.
    var distinct: [LowRank] = []
    for factors in present where !distinct.contains(where: { $0.sharesInput(with: factors) }) { distinct.append(factors) }
    // One matrix has one dtype: rounding nothing, a mixed group is widened to F32.
    let dtype = present.allSatisfy({ $0.a.dtype == first.a.dtype }) ? first.a.dtype : .f32
    let a = try PackedMatrix(try stack(distinct.map(\.a), dtype: dtype), pool: pool)
    matrices.append(a)
    var parts: [Part?] = []
    for factors in factors {
      guard let factors, let index = distinct.firstIndex(where: { $0.sharesInput(with: factors) }) else {
        parts.append(nil)
        continue
      }
      let b = try PackedMatrix(factors.b, pool: pool)
      matrices.append(b)
      let offset = distinct[..<index].reduce(0) { $0 + $1.rank }
      let isFirst = !parts.contains { $0?.offset == offset }
      parts.append(Part(b: b.view, offset: offset, rank: factors.rank, scale: factors.scale, ownsInput: isFirst))
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
