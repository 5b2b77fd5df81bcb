// SPDX-License-Identifier: Apache-2.0

/// How the elements of a tensor are stored.
///
/// Quantised formats keep GGUF's spelling and block layout (ggml's `block_q8_0`, `block_q4_K`, ...):
/// a block holds `blockElements` consecutive elements of one row in `blockBytes` bytes.
package enum DType: UInt8, Sendable, CaseIterable {
  // The order is that of kernels.h.
  case f32, f16, bf16
  case q8_0, q4_0, q4_1, q5_0, q5_1
  case q2_k, q3_k, q4_k, q5_k, q6_k
  case iq4_nl, iq4_xs
  case tq1_0, tq2_0
  case mxfp4
  /// Weft's own: 4 elements in a byte, 2-bit two's complement (0, 1, 3 = -1), element i in bits 2 i and 2 i + 1; their scale is
  /// `Tensor.scale`. Of adapters, never of a base.
  case ternary
  /// Integers: they occur in adapter and router files as indices, never as weights.
  case i32, i64, u8, i16

  /// Elements in one block; 1 for plain element types.
  package var blockElements: Int { layout.elements }

  /// Bytes in one block.
  package var blockBytes: Int { layout.bytes }

  /// The name in GGUF's spelling.
  package var name: String { layout.name }

  private var layout: (name: String, elements: Int, bytes: Int) {
    switch self {
    case .f32: ("F32", 1, 4)
    case .f16: ("F16", 1, 2)
    case .bf16: ("BF16", 1, 2)
    // d, e: one f16 each; s, m: integer scales and minimums of sub-blocks; q: quants, low bits + high bits
    case .q8_0: ("Q8_0", 32, 34)  // d 2, q 32
    case .q4_0: ("Q4_0", 32, 18)  // d 2, q 16
    case .q4_1: ("Q4_1", 32, 20)  // d 2, e 2, q 16
    case .q5_0: ("Q5_0", 32, 22)  // d 2, q 16 + 4
    case .q5_1: ("Q5_1", 32, 24)  // d 2, e 2, q 16 + 4
    case .q2_k: ("Q2_K", 256, 84)  // d 2, e 2, s and m 16, q 64
    case .q3_k: ("Q3_K", 256, 110)  // d 2, s 12, q 64 + 32
    case .q4_k: ("Q4_K", 256, 144)  // d 2, e 2, s and m 12, q 128
    case .q5_k: ("Q5_K", 256, 176)  // d 2, e 2, s and m 12, q 128 + 32
    case .q6_k: ("Q6_K", 256, 210)  // d 2, s 16, q 128 + 64
    case .iq4_nl: ("IQ4_NL", 32, 18)  // d 2, q 16
    case .iq4_xs: ("IQ4_XS", 256, 136)  // d 2, s 6, q 128
    case .tq1_0: ("TQ1_0", 256, 54)  // d 2, q 52: five ternary digits in a byte
    case .tq2_0: ("TQ2_0", 256, 66)  // d 2, q 64
    case .mxfp4: ("MXFP4", 32, 17)  // exponent 1, q 16
    case .ternary: ("TERNARY", 4, 1)
    case .i32: ("I32", 1, 4)
    case .i64: ("I64", 1, 8)
    case .u8: ("U8", 1, 1)
    case .i16: ("I16", 1, 2)
    }
  }

  /// True for the formats that a weight matrix may have.
  package var isWeight: Bool {
    switch self {
    case .i32, .i64, .u8, .i16: false
    default: true
    }
  }

  /// True when several elements share a scale, or a byte.
  package var isQuantized: Bool { blockElements > 1 }

  /// Bytes of `elements` consecutive elements, or nil when that is not a whole number of blocks or overflows.
  package func byteCount(elements: Int) -> Int? {
    guard elements >= 0, elements % blockElements == 0 else { return nil }
    let (bytes, overflow) = (elements / blockElements).multipliedReportingOverflow(by: blockBytes)
    return overflow ? nil : bytes
  }
}
