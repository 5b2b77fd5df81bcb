// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
package import WeftDeltas
internal import WeftTensors

/// A module that adapters change, as files and models name it.
package struct MergePlace: Sendable, Equatable {
  package enum Kind: Sendable, Equatable {
    case linear
    /// A change [hidden, vocabulary] of an embedding.
    case embedding
    /// A change [hidden, positions] of learned positions.
    case positions
    /// IA3's factors.
    case factors(isOfInput: Bool)
  }

  /// In transformers; of an expert that a model stacks, the site's own name.
  package let path: String
  package let kind: Kind
  /// The weights that it is, one under the other; empty where no base tells.
  package let sites: [WeightSite]
  /// Rows of each of them.
  package let rowCounts: [Int]
  /// [out, in], or [n].
  package let shape: [Int]
  package let layer: Int?
  package let isTransposed: Bool
  /// Whether PEFT's files have a name for it.
  package let isNamed: Bool

  init(
    path: String, kind: Kind, sites: [WeightSite] = [], rowCounts: [Int] = [], shape: [Int], layer: Int?,
    isTransposed: Bool = false,
    isNamed: Bool = true
  ) {
    self.path = path
    self.kind = kind
    self.sites = sites
    self.rowCounts = rowCounts
    self.shape = shape
    self.layer = layer
    self.isTransposed = isTransposed
    self.isNamed = isNamed
  }

  package var module: MergeProblem.Module { .init(name: path, shape: shape, layer: layer, isTransposed: isTransposed) }
}

/// What one task does at a place, as it was read.
enum PlacePart: Sendable {
  case lowRank(a: Tensor, b: Tensor, scale: Float)
  /// A change [in, out]: a matrix of an embedding.
  case transposed(Tensor)
  /// A vector that is taken as it is.
  case vector([Float])
  /// Operators of each site, whose change is worked out when it is asked for.
  case operators([[DeltaOperator]])

  /// nil for a part that is no product of two factors.
  var factors: MergeFactors? {
    guard case .lowRank(let a, let b, let scale) = self else { return nil }
    let rank = a.rows
    var values = b.floats()
    // The columns of a factor in blocks may be padded.
    if b.columns > rank {
      values = (0..<b.rows).flatMap { row in values[row * b.columns..<row * b.columns + rank] }
    }
    return MergeFactors(a: a.floats(), b: values, rank: rank, scale: scale)
  }

  /// tau [out * in].
  func delta(_ place: MergePlace, base: BaseModel?, task: String) throws(MergeError) -> [Float] {
    switch self {
    case .vector(let values): return values
    case .transposed(let matrix):
      return LinearAlgebra.transposed(matrix.floats(), rows: matrix.rows, columns: matrix.columns)
    case .lowRank:
      guard let factors else { return [] }
      var product: [Float]
      do {
        product = try LinearAlgebra.product(
          factors.b, factors.a, rows: place.shape[0], inner: factors.rank, columns: place.shape[1])
      } catch { throw .linearAlgebra(error) }
      // As peft: the product, then the scale.
      if factors.scale != 1 {
        for i in product.indices { product[i] *= factors.scale }
      }
      return product
    case .operators(let lists):
      var rows: [Float] = []
      for (site, list) in zip(place.sites, lists) { rows += try PlacePart.change(at: site, list, base: base, task: task) }
      return rows
    }
  }

  /// W' - W of one weight: of additive operators alone their sum, otherwise what they make of the base's weight.
  private static func change(
    at site: WeightSite, _ operators: [DeltaOperator], base: BaseModel?, task: String
  ) throws(MergeError) -> [Float] {
    guard let base, let size = base.shape.shape(of: site) else {
      throw .notMixable(task: task, reason: "\(site) is no weight of the base")
    }
    var sum = [Float](repeating: 0, count: size.out * size.in)
    if operators.allSatisfy(\.isAdditive) {
      for delta in operators {
        for (i, value) in (delta.materialize() ?? []).enumerated() { sum[i] += value }
      }
      return sum
    }
    if let delta = operators.first(where: { if case .bias = $0 { true } else { false } }) {
      throw .notMixable(task: task, reason: "it has a \(delta.name) at \(site), which no change of a weight can hold")
    }
    guard let values = base.values else {
      throw .notMixable(
        task: task, reason: "what it does at \(site) depends on the base's weights, and only its shape is known")
    }
    let weight = values.weight(site)
    do {
      let fused = try FusedMap(weight: weight, bias: nil, size: size, terms: [(1, operators)])
      for i in sum.indices { sum[i] = fused.weight[i] - weight[i] }
    } catch { throw .notMixable(task: task, reason: "\(site): \(error)") }
    return sum
  }
}
