// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftTensors
internal import WeftTransformer

/// Why adapters cannot become one.
struct CompositeRefusal: Error {
  let reason: String
}

/// The low-rank changes of a mixture by place: what one adapter of them all would be made of.
struct CompositeShape {
  /// Factors with the weight of their adapter at this place.
  private typealias Term = (weight: Float, factors: LowRankOutline)

  private let terms: [WeightSite: [Term]]
  private let sizes: [WeightSite: BaseShape.Size]
  private let groups: [[WeightSite]]
  private let rank: Int?

  /// Throws for a mixture in which something is not low rank, or whose adapters act one after the other, or only sometimes.
  init(
    _ activated: ActivatedMixture, base: BaseShape, groups: [[WeightSite]], rank: Int?
  ) throws(CompositeRefusal) {
    guard activated.adapters.count > 1 || rank != nil else { throw CompositeRefusal(reason: "it is one adapter already") }
    guard !activated.mixture.isStacked else { throw CompositeRefusal(reason: "its adapters act upon each other") }
    var terms: [WeightSite: [Term]] = [:]
    var sizes: [WeightSite: BaseShape.Size] = [:]
    for (part, adapter) in zip(activated.mixture.parts, activated.adapters) {
      if let reason = adapter.reasonAgainstComposites {
        throw CompositeRefusal(reason: "\(adapter.name) \(reason)")
      }
      for (site, factors) in adapter.resident.outlines {
        let weight = part.weight(at: site)
        if weight != 0 { terms[site, default: []].append((weight, factors)) }
        sizes[site] = base.shape(of: site)
      }
    }
    guard !terms.isEmpty else { throw CompositeRefusal(reason: "nothing in it acts") }
    (self.terms, self.sizes, self.groups, self.rank) = (terms, sizes, groups, rank)
  }

  private func fullRank(_ terms: [Term]) -> Int { terms.reduce(0) { $0 + $1.factors.rank } }
  private func rank(_ terms: [Term]) -> Int { min(fullRank(terms), rank ?? .max) }

  /// Whether some place has more than the rank that is asked for.
  var isCut: Bool { terms.values.contains { rank($0) < fullRank($0) } }

  /// Numbers of all factors.
  var elementCount: Int {
    terms.reduce(0) { sum, entry in
      let size = sizes[entry.key] ?? (out: 0, in: 0)
      return sum + rank(entry.value) * (size.out + size.in)
    }
  }

  /// Multiply-adds of decomposing all factors: of each, its length times the square of its rank.
  var decompositionProducts: Double {
    terms.reduce(0) { sum, entry in
      let size = sizes[entry.key] ?? (out: 0, in: 0)
      let full = fullRank(entry.value)
      return full > rank(entry.value) ? sum + Double(size.out + size.in) * Double(full) * Double(full) : sum
    }
  }

  /// Bytes when packed.
  var packedBytes: Int { work.bytes }

  /// What it asks of every step.
  var work: PlannedWork {
    var work = PlannedWork()
    for group in groups {
      let parts = group.compactMap { site in terms[site].map { (site: site, terms: $0) } }
      guard let first = parts.first, let width = sizes[first.site]?.in else { continue }
      let ranks = parts.map { rank($0.terms) }
      let isCut = parts.contains { rank($0.terms) < fullRank($0.terms) }
      let bytesOfA = isCut ? 4 : parts.map { CompositeShape.joined($0.terms).blockBytes }.max() ?? 4
      work.bytes += MatrixView.padded(ranks.reduce(0, +)) * width * bytesOfA
      for (part, rank) in zip(parts, ranks) {
        let out = sizes[part.site]?.out ?? 0
        let isScaled = isCut || !CompositeShape.hasOneScale(part.terms)
        let bytesOfB = isScaled ? 4 : CompositeShape.joined(part.terms, ofB: true).blockBytes
        work.bytes += MatrixView.padded(out) * rank * bytesOfB
        work.products += rank * (width + out)
      }
      work.calls += 1 + parts.count
    }
    return work
  }

  private static func joined(_ terms: [Term], ofB: Bool = false) -> DType {
    LowRank.joinedType(terms.map { ofB ? $0.factors.b : $0.factors.a })
  }

  private static func hasOneScale(_ terms: [Term]) -> Bool {
    Set(terms.map { $0.weight * $0.factors.scale }).count <= 1
  }
}

extension LoadedAdapter {
  /// Why it cannot become part of a composite, in words; nil when it can.
  var reasonAgainstComposites: String? {
    let deltas = adapter.deltas
    for site in deltas.sites {
      for delta in deltas.operators[site] ?? [] {
        if case .lowRank = delta { continue }
        return "has '\(delta.name)' at \(site), which is not low rank"
      }
    }
    var rest = deltas
    rest.operators = [:]
    guard rest.isEmpty, deltas.invocation == nil, deltas.classifier == nil else {
      return "does more than change linear maps by low rank"
    }
    return nil
  }
}

extension LowRank {
  /// The format of factors beside each other: their own where they agree and it is a float format.
  static func joinedType(_ dtypes: [DType]) -> DType {
    guard let dtype = dtypes.first, dtype.blockElements == 1, [.f32, .f16, .bf16].contains(dtype),
      dtypes.allSatisfy({ $0 == dtype })
    else { return .f32 }
    return dtype
  }

  /// Several of one weight as one of their ranks together, exactly, each with a weight. Where all are multiplied by the same number,
  /// factors keep their format; else their weights and scales go into B, in F32.
  init(joining terms: [(weight: Float, factors: LowRank)]) throws(DeltaError) {
    let scales = terms.map { $0.weight * $0.factors.scale }
    if terms.count == 1 {
      try self.init(a: terms[0].factors.a, b: terms[0].factors.b, scale: scales[0])
      return
    }
    let isEven = scales.allSatisfy { $0 == scales[0] }
    do {
      let a = try Tensor(rowsOf: terms.map(\.factors.a), as: LowRank.joinedType(terms.map(\.factors.a.dtype)))
      let b = try Tensor(
        columnsOf: zip(terms, scales).map { ($0.factors.b, $0.factors.rank, isEven ? 1 : $1) },
        as: isEven ? LowRank.joinedType(terms.map(\.factors.b.dtype)) : .f32)
      try self.init(a: a, b: b, scale: isEven ? scales[0] : 1)
    } catch let error as DeltaError { throw error } catch {
      throw .malformed(factor: "a", expected: "memory for \(terms.count) adapters together", found: "\(error)")
    }
  }
}

extension Tensor {
  /// The rows of several matrices under each other, in a float format.
  fileprivate init(rowsOf parts: [Tensor], as dtype: DType) throws(StorageError) {
    let (rows, columns) = (parts.reduce(0) { $0 + $1.rows }, parts[0].columns)
    let storage = try Storage(unwritten: rows * columns * dtype.blockBytes)
    var offset = 0
    for part in parts {
      let own = try part.converted(to: dtype)
      (storage.base + offset).copyMemory(from: own.base, byteCount: own.byteCount)
      offset += own.byteCount
    }
    self.init(dtype: dtype, shape: [rows, columns], storage: storage, offset: 0)!
  }

  /// The first columns of several matrices beside each other, each multiplied by a number that is 1 unless the format is F32.
  fileprivate init(columnsOf parts: [(matrix: Tensor, count: Int, factor: Float)], as dtype: DType) throws(StorageError) {
    let (rows, width) = (parts[0].matrix.rows, parts.reduce(0) { $0 + $1.count })
    let size = dtype.blockBytes
    let storage = try Storage(unwritten: rows * width * size)
    var first = 0
    for (matrix, count, factor) in parts {
      let own = try matrix.converted(to: dtype)
      for row in 0..<rows {
        let target = storage.base + (row * width + first) * size
        target.copyMemory(from: own.base + row * own.rowBytes, byteCount: count * size)
        guard factor != 1 else { continue }
        let values = target.assumingMemoryBound(to: Float.self)
        for i in 0..<count { values[i] *= factor }
      }
      first += count
    }
    self.init(dtype: dtype, shape: [rows, width], storage: storage, offset: 0)!
  }
}
