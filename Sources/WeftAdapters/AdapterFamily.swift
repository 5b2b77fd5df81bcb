// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// One kind of adapter: how it calls itself in files, and the function that resolves it into canonical operators.
package struct AdapterFamily: Sendable {
  package let name: String
  /// `peft_type` in `adapter_config.json`.
  package let peftType: String
  package let paper: String
  /// Takes the tensors it uses out of the folder; `AdapterReader` refuses an adapter that has others.
  let resolve: @Sendable (inout AdapterFolder, BaseShape) throws(AdapterError) -> DeltaSet

  /// Every supported family.
  package static let all = [
    AdapterFamily(name: "LoRA", peftType: "LORA", paper: "https://arxiv.org/abs/2106.09685", resolve: LoRA.resolve)
  ]
}
