// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// What a model file is made of, by the names that people know: a format for most matrices, and for `_M` and `_S` better
/// ones for the matrices that need it (`QuantizationPlan`).
package enum QuantizationType: String, CaseIterable, Sendable {
  case f32 = "F32"
  case f16 = "F16"
  case bf16 = "BF16"
  case q8_0 = "Q8_0"
  case q6_k = "Q6_K"
  case q5_k_m = "Q5_K_M"
  case q5_k_s = "Q5_K_S"
  case q5_1 = "Q5_1"
  case q5_0 = "Q5_0"
  case q4_k_m = "Q4_K_M"
  case q4_k_s = "Q4_K_S"
  case iq4_nl = "IQ4_NL"
  case q4_1 = "Q4_1"
  case q4_0 = "Q4_0"

  /// The type of this name in any case; `Q4_K` and `Q5_K` mean their `_M`.
  package init?(name: String) {
    let name = name.uppercased()
    guard let type = QuantizationType(rawValue: name) ?? QuantizationType(rawValue: name + "_M") else { return nil }
    self = type
  }

  /// The format of most matrices.
  package var dtype: DType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    case .q8_0: .q8_0
    case .q6_k: .q6_k
    case .q5_k_m, .q5_k_s: .q5_k
    case .q5_1: .q5_1
    case .q5_0: .q5_0
    case .q4_k_m, .q4_k_s: .q4_k
    case .iq4_nl: .iq4_nl
    case .q4_1: .q4_1
    case .q4_0: .q4_0
    }
  }

  /// The number that `general.file_type` has for it (llama.cpp's `llama_ftype`).
  package var number: UInt32 {
    switch self {
    case .f32: 0
    case .f16: 1
    case .q4_0: 2
    case .q4_1: 3
    case .q8_0: 7
    case .q5_0: 8
    case .q5_1: 9
    case .q4_k_s: 14
    case .q4_k_m: 15
    case .q5_k_s: 16
    case .q5_k_m: 17
    case .q6_k: 18
    case .iq4_nl: 25
    case .bf16: 32
    }
  }
}
