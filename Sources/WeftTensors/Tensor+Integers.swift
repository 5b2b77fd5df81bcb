// SPDX-License-Identifier: Apache-2.0

extension Tensor {
  /// All elements of a tensor of integers, row-major; nil for other types.
  package func integers() -> [Int]? {
    switch dtype {
    case .i64: read(Int64.self)
    case .i32: read(Int32.self)
    case .i16: read(Int16.self)
    case .u8: read(UInt8.self)
    default: nil
    }
  }

  private func read<Integer: FixedWidthInteger & BitwiseCopyable>(_ type: Integer.Type) -> [Int] {
    (0..<elementCount).map {
      Int(Integer(littleEndian: base.loadUnaligned(fromByteOffset: $0 * MemoryLayout<Integer>.size, as: type)))
    }
  }
}
