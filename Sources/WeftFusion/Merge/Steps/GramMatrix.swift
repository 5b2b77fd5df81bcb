// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// The products of several vectors with each other, from which coefficients of their sums follow.
package struct GramMatrix: Sendable {
  package let count: Int
  /// [count * count]
  package let products: [Double]

  package init(count: Int, products: [Double]) {
    self.count = count
    self.products = products
  }

  /// Of dense vectors of one length.
  init(of vectors: [ArraySlice<Float>]) {
    var products = [Double](repeating: 0, count: vectors.count * vectors.count)
    for i in vectors.indices {
      for j in 0...i {
        var sum = 0.0
        var other = vectors[j].startIndex
        for index in vectors[i].indices {
          sum += Double(vectors[i][index]) * Double(vectors[j][other])
          other += 1
        }
        products[i * vectors.count + j] = sum
        products[j * vectors.count + i] = sum
      }
    }
    self.init(count: vectors.count, products: products)
  }

  package subscript(_ i: Int, _ j: Int) -> Double { products[i * count + j] }

  package func length(_ i: Int) -> Double { max(self[i, i], 0).squareRoot() }

  /// The product of two sums of the vectors.
  func product(_ x: [Double], _ y: [Double]) -> Double {
    var sum = 0.0
    for i in 0..<count {
      for j in 0..<count { sum += x[i] * self[i, j] * y[j] }
    }
    return sum
  }

  /// The cosine between two vectors; 0 where one has no length.
  func cosine(_ i: Int, _ j: Int) -> Double {
    let lengths = length(i) * length(j)
    return lengths > 0 ? max(-1, min(1, self[i, j] / lengths)) : 0
  }

  /// Of two vectors: along the arc between their directions, with their own lengths.
  /// - Parameter isLinear: whether a cosine is so near 1 or -1 that the straight line is taken.
  func interpolation(_ t: Double, isLinear: (Double) -> Bool) -> [Double] {
    let cosine = cosine(0, 1)
    guard !isLinear(cosine) else { return [1 - t, t] }
    let angle = acos(cosine)
    return [sin((1 - t) * angle) / sin(angle), sin(t * angle) / sin(angle)]
  }

  /// mergekit's multislerp: in the tangent space at the weighted mean direction.
  func tangentMean(_ weights: [Double], smallest: Double) throws(MergeError) -> [Double] {
    let lengths = (0..<count).map(length)
    // Directions as coefficients of the vectors.
    let scales = lengths.map { 1 / ($0 + smallest) }
    var mean = (0..<count).map { weights[$0] * scales[$0] }
    let meanLength = max(product(mean, mean), 0).squareRoot()
    guard meanLength >= smallest else {
      if count == 2 { return weights }
      throw .mismatch(
        location: "method multislerp", expected: "directions whose weighted sum is not 0", found: "\(weights)")
    }
    mean = mean.map { $0 / meanLength }
    var tangent = [Double](repeating: 0, count: count)
    for i in 0..<count {
      var direction = [Double](repeating: 0, count: count)
      direction[i] = scales[i]
      let dot = product(direction, mean)
      for j in 0..<count { tangent[j] += weights[i] * (direction[j] - dot * mean[j]) }
    }
    let step = max(product(tangent, tangent), 0).squareRoot() + smallest
    let length = zip(lengths, weights).reduce(0) { $0 + $1.0 * $1.1 }
    return (0..<count).map { length * (cos(step) * mean[$0] + sin(step) / step * tangent[$0]) }
  }

  /// The direction whose arcs to all directions sum up to zero, times the mean length.
  func karcherMean(iterations: Int, tolerance: Double) -> [Double] {
    let lengths = (0..<count).map(length)
    let valid = (0..<count).filter { lengths[$0] > tolerance }
    guard !valid.isEmpty else { return [Double](repeating: 0, count: count) }
    let share = 1 / Double(valid.count)
    func unit(_ x: [Double]) -> [Double] {
      let length = max(product(x, x), 0).squareRoot()
      return length > tolerance ? x.map { $0 / length } : x
    }
    var mean = [Double](repeating: 0, count: count)
    for i in valid { mean[i] = share / lengths[i] }
    if max(product(mean, mean), 0).squareRoot() < tolerance {
      mean = [Double](repeating: 0, count: count)
      mean[valid[0]] = 1 / lengths[valid[0]]
    } else {
      mean = unit(mean)
    }
    for _ in 0..<iterations {
      var tangent = [Double](repeating: 0, count: count)
      for i in valid {
        var direction = [Double](repeating: 0, count: count)
        direction[i] = 1 / lengths[i]
        let dot = max(-1, min(1, product(mean, direction)))
        let angle = acos(dot)
        guard angle >= tolerance else { continue }
        for j in 0..<count { tangent[j] += share * angle / sin(angle) * (direction[j] - dot * mean[j]) }
      }
      let step = max(product(tangent, tangent), 0).squareRoot()
      guard step >= tolerance else { break }
      mean = unit((0..<count).map { cos(step) * mean[$0] + sin(step) / step * tangent[$0] })
    }
    let length = lengths.reduce(0, +) / Double(count)
    return mean.map { $0 * length }
  }

  /// Model Stock: the mean of the vectors, drawn to zero by how little they agree.
  func stock() -> [Double] {
    var (sum, pairs) = (0.0, 0.0)
    for i in 0..<count {
      for j in i + 1..<max(count, i + 1) {
        sum += max(-1, min(1, self[i, j] / max(length(i) * length(j), 1e-6)))
        pairs += 1
      }
    }
    let (cosine, n) = (sum / pairs, Double(count))
    let share = n * cosine / (1 + (n - 1) * cosine)
    return [Double](repeating: share / n, count: count)
  }
}
