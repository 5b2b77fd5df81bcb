// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// One kind of adapter: how it calls itself in files, what it resolves to, and the function that resolves it.
package struct AdapterFamily: Sendable {
  /// The name in listings: `LoRA`.
  package let name: String
  /// `peft_type` in `adapter_config.json`; nil for families that PEFT does not have.
  package let peftType: String?
  /// What it resolves to, in words of `DeltaOperator.name`.
  package let operators: [String]
  /// What a weight in a mixture means.
  package let mixing: Mixing
  /// Whether its change can become part of the base's weights.
  package let isFusable: Bool
  /// The address of the paper or specification.
  package let source: String
  /// Takes the tensors it uses out of the files; `AdapterReader` refuses an adapter that has others.
  let resolve: @Sendable (inout AdapterFolder, BaseModel, AdapterOptions) throws(AdapterError) -> DeltaSet

  package enum Mixing: String, Sendable {
    /// Weighted sums with any other additive adapter.
    case sum
    /// Factors: multiplied, or averaged when the mixture says so.
    case scale
    /// One of its kind per place, with weight 1.
    case exclusive
  }

  init(
    _ name: String, peftType: String?, operators: [String], mixing: Mixing, isFusable: Bool, source: String,
    resolve: @escaping @Sendable (inout AdapterFolder, BaseModel, AdapterOptions) throws(AdapterError) -> DeltaSet
  ) {
    self.name = name
    self.peftType = peftType
    self.operators = operators
    self.mixing = mixing
    self.isFusable = isFusable
    self.source = source
    self.resolve = resolve
  }

  /// Every supported family.
  package static let all =
    loraFamilies + lowRankFamilies + structuredFamilies + scaleFamilies + promptFamilies + otherFormFamilies
}
