// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
internal import WeftTensors

/// What an adapter does to one module, as compression starts from it: the change is B A, with all scales in B.
package struct ModuleFactors: Sendable, Equatable {
  /// The path in transformers, as in `model.layers.3.self_attn.q_proj`.
  package let path: String
  /// [rank * in], row-major.
  package var a: [Float]
  /// [out * rank], row-major.
  package var b: [Float]
  package var rank: Int
  package let inputSize: Int
  package let outputSize: Int
  /// What B was multiplied with: the factors of the file are A and B / scale.
  package let scale: Float
  /// Whether the model keeps its weight as [in, out].
  package let isTransposed: Bool

  package init(
    path: String, a: [Float], b: [Float], rank: Int, inputSize: Int, outputSize: Int, scale: Float = 1,
    isTransposed: Bool = false
  ) {
    precondition(a.count == rank * inputSize && b.count == outputSize * rank && rank > 0)
    self.path = path
    self.a = a
    self.b = b
    self.rank = rank
    self.inputSize = inputSize
    self.outputSize = outputSize
    self.scale = scale
    self.isTransposed = isTransposed
  }

  /// Numbers in both factors.
  package var elementCount: Int { a.count + b.count }

  /// The same with other factors, whose scale is 1.
  func with(a: [Float], b: [Float], rank: Int) -> ModuleFactors {
    ModuleFactors(
      path: path, a: a, b: b, rank: rank, inputSize: inputSize, outputSize: outputSize, isTransposed: isTransposed)
  }
}

extension ModuleFactors {
  /// The squared Frobenius norm of B A.
  package var energy: Double { ModuleFactors.product(self, self) }

  /// The sum over all elements of the products of two changes of one module, without either matrix: the elementwise product of
  /// B1' B2 and A1 A2'.
  package static func product(_ first: ModuleFactors, _ second: ModuleFactors) -> Double {
    var sum = 0.0
    for r in 0..<first.rank {
      for s in 0..<second.rank {
        var (inner, outer) = (0.0, 0.0)
        for i in 0..<first.inputSize {
          inner += Double(first.a[r * first.inputSize + i]) * Double(second.a[s * second.inputSize + i])
        }
        if inner == 0 { continue }
        for o in 0..<first.outputSize {
          outer += Double(first.b[o * first.rank + r]) * Double(second.b[o * second.rank + s])
        }
        sum += inner * outer
      }
    }
    return sum
  }

  /// The squared Frobenius norm of the difference.
  package func squaredDistance(to other: ModuleFactors) -> Double {
    max(0, energy - 2 * ModuleFactors.product(self, other) + other.energy)
  }
}

extension AdapterFactors {
  /// The linear modules, with their scales in B.
  package func moduleFactors(adapter: String) throws(CompressionError) -> [ModuleFactors] {
    try modules.map { module throws(CompressionError) in
      guard case .linear(let a, let b, let scale) = module.part else {
        throw .notCompressible(adapter: adapter, reason: "\(module.path) is not a linear map changed by B A")
      }
      return ModuleFactors(
        path: module.path, a: a.floats(), b: b.floats().map { $0 * scale }, rank: a.rows, inputSize: a.columns,
        outputSize: b.rows, scale: scale, isTransposed: module.isTransposed)
    }
  }
}
