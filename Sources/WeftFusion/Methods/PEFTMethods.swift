// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// The combination types of peft's `add_weighted_adapter`, under its names (peft 0.21.2; peft-reference.md, 2.1).
  static let peftMethods: [MergeMethod] = [
    MergeMethod("cat", source: peft, space: .concat) { (problem, emit) throws(MergeError) in
      for module in problem.modules.indices { try emit(module, .factors(try problem.concatenated(module))) }
    }
  ]

  private static let peft = "https://huggingface.co/docs/peft/package_reference/lora"
}
