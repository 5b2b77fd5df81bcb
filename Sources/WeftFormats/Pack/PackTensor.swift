// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// What the index says of one stored tensor.
package struct PackTensor: Sendable {
  package let dtype: DType
  package let shape: [Int]
  /// What the codes of a ternary tensor are multiplied with; 1 otherwise.
  package let scale: Float
  package let coding: PackCoding
  /// Bytes in the file.
  package let storedBytes: Int
  /// Bytes decoded.
  package let byteCount: Int
  let chunk: Int
  /// From the start of the file.
  let offset: Int

  package var elementCount: Int { shape.reduce(1, *) }
}

/// Tensors whose bytes follow each other and are hashed together.
struct PackChunk {
  let offset: Int
  let storedBytes: Int
  let hash: ContentHash

  /// Where its bytes end, with the zeros behind them.
  var paddedEnd: Int { PackLimits.aligned(offset + storedBytes) }
}

/// The numbers by which packs name element types: ggml's where it has the type, and three more.
enum PackType {
  private static let additional: [(DType, UInt32)] = [(.u8, 0x1_0000), (.ternary, 0x1_0001)]

  static func number(of dtype: DType) -> UInt32? {
    GGMLType.number(of: dtype) ?? additional.first { $0.0 == dtype }?.1
  }

  static func dtype(of number: UInt32) -> DType? {
    GGMLType.dtype(of: number) ?? additional.first { $0.1 == number }?.0
  }
}
