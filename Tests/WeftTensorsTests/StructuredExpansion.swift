// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftTensors

/// A structured operator with random factors, and its elements in Float64 by the definition of its form.
struct StructuredExpansion {
  let structured: StructuredMatrix
  /// D[row, column].
  let element: (Int, Int) -> Double

  var out: Int { structured.outputSize }
  var inputs: Int { structured.inputSize }

  /// D x for some rows.
  func product(_ x: [Float], rows: Range<Int>) -> [Float] {
    rows.map { row in
      var sum = 0.0
      for (i, value) in x.enumerated() { sum += element(row, i) * Double(value) }
      return Float(sum)
    }
  }
}

extension StructuredExpansion {
  /// - Parameter seed: of the factors; also picks between variants of a form (formats, factored or whole, filter lengths).
  /// - Returns: nil where the form does not have this size.
  init?(_ form: StructuredMatrix.Form, out: Int, in inputs: Int, seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    func tensor(_ shape: [Int]) throws -> Tensor {
      try Tensor(generator.floats(shape.reduce(1, *)), shape: shape)
    }
    switch form {
    case .dense:
      let matrix = try tensor([out, inputs]).converted(to: [.f32, .f16, .bf16][seed % 3])
      let values = matrix.floats()
      self.init(structured: try .dense(matrix)) { Double(values[$0 * inputs + $1]) }
    case .rows:
      let indices = (0..<out).filter { _ in Bool.random(using: &generator) }
      guard !indices.isEmpty else { return nil }
      let matrix = try tensor([indices.count, inputs])
      let values = matrix.floats()
      self.init(structured: try .rows(matrix, at: indices, out: out)) { row, column in
        indices.firstIndex(of: row).map { Double(values[$0 * inputs + column]) } ?? 0
      }
    case .sparse:
      let (positions, values) = generator.elements(of: out * inputs)
      let table = Dictionary(uniqueKeysWithValues: zip(positions, values))
      self.init(structured: try .sparse(positions: positions, values: values, out: out, in: inputs)) {
        Double(table[$0 * inputs + $1] ?? 0)
      }
    case .signs:
      let words = (inputs + 31) / 32
      let planes = (0..<out * words).map { _ in UInt32.random(in: 0 ... .max, using: &generator) }
      self.init(structured: try .signs(planes: planes, out: out, in: inputs)) {
        planes[$0 * words + $1 / 32] >> UInt32($1 % 32) & 1 == 1 ? 1 : -1
      }
    case .hadamard:
      let (r, s) = (1 + seed % 9, 1 + seed % 5)
      let (a1, b1) = (try tensor([out, r]), try tensor([r, inputs]))
      let (a2, b2) = (try tensor([out, s]), try tensor([s, inputs]))
      let (first, second) = (Self.product(a1, b1), Self.product(a2, b2))
      self.init(structured: try .hadamard(a1: a1, b1: b1, a2: a2, b2: b2)) {
        first[$0 * inputs + $1] * second[$0 * inputs + $1]
      }
    case .kronecker:
      let (l, m) = (Self.smallFactor(of: out), Self.smallFactor(of: inputs))
      let (k, n) = (out / l, inputs / m)
      func factor(_ rows: Int, _ columns: Int, isWhole: Bool) throws -> (StructuredMatrix.KroneckerFactor, [Double]) {
        if isWhole {
          let matrix = try tensor([rows, columns])
          return (.full(matrix), matrix.floats().map { Double($0) })
        }
        let (left, right) = (try tensor([rows, 3]), try tensor([3, columns]))
        return (.product(left, right), Self.product(left, right))
      }
      let (first, one) = try factor(l, m, isWhole: seed % 2 == 0)
      let (second, two) = try factor(k, n, isWhole: seed / 2 % 2 == 0)
      self.init(structured: try .kronecker(first, second)) {
        one[$0 / k * m + $1 / n] * two[$0 % k * n + $1 % n]
      }
    case .circulant:
      guard let b = (1...min(out, inputs)).last(where: { out % $0 == 0 && inputs % $0 == 0 && $0 <= 256 }) else { return nil }
      let kernel = try tensor([out / b, inputs / b, b])
      let values = kernel.floats()
      self.init(structured: try .circulant(kernel: kernel, transform: FourierTransform(count: b))) {
        Double(values[($0 / b * (inputs / b) + $1 / b) * b + ($1 % b + b - $0 % b) % b])
      }
    case .fourier:
      let (positions, values) = generator.elements(of: out * inputs)
      let operatorOfForm = try StructuredMatrix.fourier(
        positions: positions, values: values, rows: FourierTransform(count: out), columns: FourierTransform(count: inputs))
      let (turnsOfRows, turnsOfColumns) = (Self.cosines(out), Self.cosines(inputs))
      self.init(structured: operatorOfForm) { row, column in
        var sum = 0.0
        for (position, value) in zip(positions, values) {
          let a = turnsOfRows[position / inputs * row % out]
          let b = turnsOfColumns[position % inputs * column % inputs]
          sum += Double(value) * (a.cos * b.cos - a.sin * b.sin)
        }
        return sum / Double(out * inputs)
      }
    case .wavelet:
      let taps = [2, 4, 12, 30][seed % 4]
      let (low, high) = (generator.floats(taps), generator.floats(taps))
      let (positions, values) = generator.elements(of: out * inputs)
      let (rows, columns) = (Self.synthesis(out, low, high), Self.synthesis(inputs, low, high))
      let (rowOffset, columnOffset) = ((rows[0].count - out) / 2, (columns[0].count - inputs) / 2)
      self.init(
        structured: try .wavelet(positions: positions, values: values, low: low, high: high, out: out, in: inputs)
      ) { row, column in
        zip(positions, values).reduce(0) { sum, element in
          let (k, l) = (element.0 / inputs + rowOffset, element.0 % inputs + columnOffset)
          let (height, width) = (rows[0].count / 2, columns[0].count / 2)
          // Top right (cH): the high filter from row to row.
          return sum + rows[row][k % height + l / width * height] * Double(element.1)
            * columns[column][l % width + k / height * width]
        }
      }
    case .basis:
      let rank = 1 + seed % 9
      let dtype: DType = [.f32, .f16, .bf16][seed % 3]
      let (u, v) = (try tensor([out, rank]).converted(to: dtype), try tensor([rank, inputs]).converted(to: dtype))
      let core = try tensor([rank, rank])
      let mixed = try Tensor(Self.product(u, core).map { Float($0) }, shape: [out, rank])
      let values = Self.product(mixed, v)
      self.init(structured: try .basis(u: u, core: core, v: v)) { values[$0 * inputs + $1] }
    case .masked:
      let rank = 1 + seed % 40
      let dtype: DType = [.f32, .f16, .bf16][seed % 3]
      let (a, b) = (try tensor([rank, inputs]).converted(to: dtype), try tensor([out, rank]).converted(to: dtype))
      func mask(_ rows: Int, _ columns: Int) -> [UInt32] {
        (0..<rows * ((columns + 31) / 32)).map { _ in UInt32.random(in: 0 ... .max, using: &generator) }
      }
      let (maskA, maskB) = (mask(rank, inputs), mask(out, rank))
      func kept(_ matrix: Tensor, _ mask: [UInt32]) throws -> Tensor {
        let (values, words) = (matrix.floats(), (matrix.columns + 31) / 32)
        return try Tensor(
          values.indices.map { index in
            let (row, column) = (index / matrix.columns, index % matrix.columns)
            return mask[row * words + column / 32] >> UInt32(column % 32) & 1 == 1 ? values[index] : 0
          }, shape: matrix.shape)
      }
      let values = Self.product(try kept(b, maskB), try kept(a, maskA))
      self.init(structured: try .masked(a: a, b: b, maskA: maskA, maskB: maskB)) { values[$0 * inputs + $1] }
    }
  }

  /// a b in Float64.
  private static func product(_ a: Tensor, _ b: Tensor) -> [Double] {
    let (left, right) = (a.floats(), b.floats())
    let (rank, columns) = (b.shape[0], b.shape[1])
    var result = [Double](repeating: 0, count: a.shape[0] * columns)
    for row in 0..<a.shape[0] {
      for r in 0..<rank {
        for i in 0..<columns { result[row * columns + i] += Double(left[row * rank + r]) * Double(right[r * columns + i]) }
      }
    }
    return result
  }

  private static func smallFactor(of count: Int) -> Int {
    (1...count).last { count % $0 == 0 && $0 * $0 <= count } ?? 1
  }

  /// All quadruples of a one-level synthesis: row p holds the weight of every coefficient in value p, by convolution of a unit
  /// coefficient with stride 2, cut by taps - 2 at both ends and then in the middle.
  private static func synthesis(_ count: Int, _ low: [Float], _ high: [Float]) -> [[Double]] {
    let taps = low.count
    let padded = (count + taps - 2 + 1) / 2 * 2
    let cut = taps - 2
    var matrix = [[Double]](repeating: [Double](repeating: 0, count: padded), count: count)
    for coefficient in 0..<padded {
      let isHigh = coefficient >= padded / 2
      let center = coefficient - (isHigh ? padded / 2 : 0)
      var full = [Double](repeating: 0, count: padded - 2 + taps)
      for tap in 0..<taps { full[2 * center + tap] += Double((isHigh ? high : low)[tap]) }
      let values = Array(full[cut..<full.count - cut])
      let start = (values.count - count) / 2
      for p in 0..<count { matrix[p][coefficient] = values[start + p] }
    }
    return matrix
  }
}

extension SeededGenerator {
  /// Up to 50 different places below `count`, with values.
  fileprivate mutating func elements(of count: Int) -> (positions: [Int], values: [Float]) {
    var positions: Set<Int> = []
    for _ in 0..<50 { positions.insert(Int.random(in: 0..<count, using: &self)) }
    return (positions.sorted().shuffled(using: &self), floats(positions.count))
  }
}
