// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFusion
internal import WeftTensors
internal import WeftTransformer

/// Adds up squared gradients, example by example and module by module.
final class FisherSums {
  /// By the name in a file of statistics.
  private(set) var sums: [String: (shape: [Int], values: [Float])] = [:]
  private let model: GradientModel
  private let options: StatisticsOptions
  /// Where a map is in its module: the module's path, the first row, and the rows of the module.
  private let places: [WeightSite: (path: String, row: Int, rows: Int)]
  /// Gradients of one example by factors: those of a fused module are complete when all its parts have been added.
  private var factors: [String: (shape: [Int], values: [Float])] = [:]

  /// - Parameter sites: the maps that count; nil for all.
  init(_ model: GradientModel, shape: BaseShape, sites: [WeightSite]?, options: StatisticsOptions) {
    self.model = model
    self.options = options
    var places: [WeightSite: (path: String, row: Int, rows: Int)] = [:]
    let wanted = sites.map(Set.init)
    for module in shape.modules where module.isPublished && module.parameter == nil {
      let rows = module.sites.map { shape.shape(of: $0)?.out ?? 0 }
      for (index, site) in module.sites.enumerated() where wanted?.contains(site) ?? true {
        places[site] = (module.path, rows[..<index].reduce(0, +), rows.reduce(0, +))
      }
    }
    self.places = places
  }

  /// Adds an example.
  func add(_ tokens: [Int32], from first: Int) throws(LinearAlgebraError) {
    factors = [:]
    try model.backward(tokens, from: first) { (site, x, dy) throws(LinearAlgebraError) in try add(site, x, dy) }
    for (name, gradient) in factors { addSquares(gradient.values[...], to: name, shape: gradient.shape, at: 0) }
  }

  private func add(_ site: WeightSite, _ x: FloatRows, _ dy: FloatRows) throws(LinearAlgebraError) {
    guard let place = places[site] else { return }
    if options.ofWeights {
      let gradient = try dy.transposedTimes(x)
      addSquares(
        gradient[...], to: MergeStatistics.name(place.path, .fisher), shape: [place.rows, x.width], at: place.row * x.width)
    }
    if options.hasGradientGram, place.rows == dy.width {
      let products = FisherSums.symmetric(try dy.transposedTimes(dy), count: dy.width)
      add(products, to: MergeStatistics.name(place.path, .gradientGram), shape: [dy.width, dy.width])
    }
    guard options.ofFactors, let (a, b) = try model.factorGradients(site, x, dy) else { return }
    let rank = a.count / x.width
    let (nameA, nameB) = (MergeStatistics.name(place.path, .fisherA), MergeStatistics.name(place.path, .fisherB))
    var sumA = factors[nameA]?.values ?? [Float](repeating: 0, count: a.count)
    for index in a.indices { sumA[index] += a[index] }
    factors[nameA] = ([rank, x.width], sumA)
    var wholeB = factors[nameB]?.values ?? [Float](repeating: 0, count: place.rows * rank)
    wholeB.replaceSubrange(place.row * rank..<place.row * rank + b.count, with: b)
    factors[nameB] = ([place.rows, rank], wholeB)
  }

  private func addSquares(_ gradient: ArraySlice<Float>, to name: String, shape: [Int], at first: Int) {
    var sum = sums.removeValue(forKey: name) ?? (shape, [Float](repeating: 0, count: shape.reduce(1, *)))
    for (index, value) in gradient.enumerated() { sum.values[first + index] += value * value }
    sums[name] = sum
  }

  private func add(_ products: [Float], to name: String, shape: [Int]) {
    var sum = sums.removeValue(forKey: name) ?? (shape, [Float](repeating: 0, count: products.count))
    for index in products.indices { sum.values[index] += products[index] }
    sums[name] = sum
  }

  /// A product X^T X as it is without rounding: equal to its transpose. [count * count]
  static func symmetric(_ matrix: [Float], count: Int) -> [Float] {
    var matrix = matrix
    for row in 0..<count { for column in 0..<row { matrix[row * count + column] = matrix[column * count + row] } }
    return matrix
  }
}
