// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftDeltas
import WeftTensors
import WeftTransformer

/// Structured deltas are resident in their small form: nothing as large as the matrix [out, in] exists beside a request.
struct SmallFormTests {
  static let (out, width) = (896, 4864)

  static func tensor(_ shape: Int...) throws -> Tensor {
    try Tensor([Float](repeating: 0.01, count: shape.reduce(1, *)), shape: shape)
  }

  typealias Make = @Sendable () throws -> StructuredMatrix

  /// The form, how it is made, and the share of the dense matrix that it may take with the scratch memory of one thread.
  static let forms: [(name: String, make: Make, share: Double)] = [
    (
      "Hadamard of rank 8",
      { try .hadamard(a1: tensor(out, 8), b1: tensor(8, width), a2: tensor(out, 8), b2: tensor(8, width)) }, 0.03
    ),
    ("Kronecker", { try .kronecker(.full(tensor(28, 64)), .full(tensor(32, 76))) }, 0.01),
    (
      "circulant", { try .circulant(kernel: tensor(out / 128, width / 128, 128), transform: FourierTransform(count: 128)) },
      0.02
    ),
    (
      "1000 Fourier coefficients",
      {
        try .fourier(
          positions: (0..<1000).map { $0 * 4001 }, values: [Float](repeating: 1, count: 1000),
          rows: FourierTransform(count: out), columns: FourierTransform(count: width))
      }, 0.02
    ),
    (
      "1000 elements",
      { try .sparse(positions: (0..<1000).map { $0 * 4001 }, values: [Float](repeating: 1, count: 1000), out: out, in: width) },
      0.02
    ),
    ("signs", { try .signs(planes: [UInt32](repeating: 5, count: out * width / 32), out: out, in: width) }, 0.04),
  ]

  @Test(arguments: 0..<forms.count) func residentIsSmall(index: Int) throws {
    let (name, make, share) = Self.forms[index]
    let site = WeightSite.layer(0, .down)
    let deltas = DeltaSet([site: .structured(try StructuredDelta(make(), scale: 1))])
    let adapter = try ResidentAdapter(deltas, groups: [[site]], pool: try ThreadPool(threads: 1))
    let dense = Self.out * Self.width * 4
    #expect(adapter.byteCount > 0)
    #expect(Double(adapter.byteCount) <= share * Double(dense), "\(name): \(adapter.byteCount) of \(dense) bytes")
  }
}
