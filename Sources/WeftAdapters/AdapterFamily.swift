// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// One kind of adapter: how it calls itself in files, what it resolves to, and the function that resolves it.
package struct AdapterFamily: Sendable {
  /// The name in listings: `LoRA`.
  package let name: String
  /// By what its files are known.
  package let mark: AdapterMark
  /// What it resolves to, in words of `DeltaOperator.name`.
  package let operators: [String]
  /// What a weight in a mixture means.
  package let mixing: Mixing
  /// Whether its change can become part of the base's weights.
  package let isFusable: Bool
  /// The address of the paper or specification.
  package let source: String
  /// What the user may have to say about an adapter of this family.
  package let options: [AdapterOptions.Name]
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
    _ name: String, mark: AdapterMark, operators: [String], mixing: Mixing, isFusable: Bool, source: String,
    options: [AdapterOptions.Name] = [],
    resolve: @escaping @Sendable (inout AdapterFolder, BaseModel, AdapterOptions) throws(AdapterError) -> DeltaSet
  ) {
    self.name = name
    self.mark = mark
    self.operators = operators
    self.mixing = mixing
    self.isFusable = isFusable
    self.source = source
    self.options = options
    self.resolve = resolve
  }

  /// A family of PEFT.
  init(
    _ name: String, peftType: String, operators: [String], mixing: Mixing, isFusable: Bool, source: String,
    options: [AdapterOptions.Name] = [],
    resolve: @escaping @Sendable (inout AdapterFolder, BaseModel, AdapterOptions) throws(AdapterError) -> DeltaSet
  ) {
    self.init(
      name, mark: .peftType(peftType), operators: operators, mixing: mixing, isFusable: isFusable, source: source,
      options: options, resolve: resolve)
  }

  /// `peft_type` in `adapter_config.json`; nil for families that PEFT does not have.
  package var peftType: String? { if case .peftType(let type) = mark { type } else { nil } }

  /// Every supported family.
  package static let all =
    loraFamilies + lowRankFamilies + structuredFamilies + scaleFamilies + promptFamilies + libraryFamilies
    + otherFormFamilies
}
