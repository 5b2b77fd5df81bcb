// SPDX-License-Identifier: Apache-2.0

/// How the elements of a tensor are stored.
///
/// Quantised formats keep GGUF's spelling and block layout (ggml's `block_q8_0`, `block_q4_0`):
/// a block holds `blockElements` consecutive elements of one row in `blockBytes` bytes.
package enum DType: UInt8, Sendable, CaseIterable {
  case f32, f16, bf16, q8_0, q4_0
  /// Integers: they occur in adapter and router files as indices, never as weights.
  case i32, i64, u8

  /// Elements in one block; 1 for plain element types.
  package var blockElements: Int {
    switch self {
    case .q8_0, .q4_0: 32
    case .f32, .f16, .bf16, .i32, .i64, .u8: 1
    }
  }

  /// Bytes in one block.
  package var blockBytes: Int {
    switch self {
    case .f32, .i32: 4
    case .f16, .bf16: 2
    case .q8_0: 34  // f16 scale, 32 x int8
    case .q4_0: 18  // f16 scale, 16 bytes of nibbles
    case .i64: 8
    case .u8: 1
    }
  }

  /// True for the formats that a weight matrix may have.
  package var isWeight: Bool {
    switch self {
    case .f32, .f16, .bf16, .q8_0, .q4_0: true
    case .i32, .i64, .u8: false
    }
  }

  /// True when several elements share a scale.
  package var isQuantized: Bool { blockElements > 1 }

  /// The name in GGUF's spelling.
  package var name: String {
    switch self {
    case .f32: "F32"
    case .f16: "F16"
    case .bf16: "BF16"
    case .q8_0: "Q8_0"
    case .q4_0: "Q4_0"
    case .i32: "I32"
    case .i64: "I64"
    case .u8: "U8"
    }
  }

  /// Bytes of `elements` consecutive elements, or nil when that is not a whole number of blocks or overflows.
  package func byteCount(elements: Int) -> Int? {
    guard elements >= 0, elements % blockElements == 0 else { return nil }
    let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }
}
