// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// The numbers by which GGUF names tensor types (ggml's `ggml_type`).
package enum GGMLType {
  /// Names in ggml's order: the index is the number in the file. Retired numbers keep the name they had.
  package static let names = [
    "F32", "F16", "Q4_0", "Q4_1", "Q4_2", "Q4_3", "Q5_0", "Q5_1", "Q8_0", "Q8_1",
    "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S",
    "IQ4_NL", "IQ3_S", "IQ2_S", "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M",
    "BF16", "Q4_0_4_4", "Q4_0_4_8", "Q4_0_8_8", "TQ1_0", "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",
    "NVFP4", "Q1_0",
  ]

  /// The name of a type number, or nil when ggml does not define it.
  package static func name(of number: UInt32) -> String? {
    Int(number) < names.count ? names[Int(number)] : nil
  }

  /// The storage of a type number, or nil when Weft does not support it.
  package static func dtype(of number: UInt32) -> DType? {
    name(of: number).flatMap { name in DType.allCases.first { $0.name == name } }
  }

  /// The number of a storage, or nil when GGUF does not have it.
  package static func number(of dtype: DType) -> UInt32? { names.firstIndex(of: dtype.name).map { UInt32($0) } }

  /// The names of the types that Weft reads, in the order of their numbers, for messages.
  package static var supportedNames: String {
    let supported = names.indices.filter { dtype(of: UInt32($0)) != nil }.map { names[$0] }
    return supported.dropLast().joined(separator: ", ") + " or " + supported[supported.count - 1]
  }
}
