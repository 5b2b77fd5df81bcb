// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

extension AdapterFamily {
  /// Families that become low-rank factors.
  static let lowRankFamilies: [AdapterFamily] = [
    lowRank("VeRA", "VERA", source: "https://arxiv.org/abs/2310.11454", resolve: VeRA.resolve),
    lowRank("PVeRA", "PVERA", source: "https://arxiv.org/abs/2512.07703", resolve: PVeRA.resolve),
    lowRank("VB-LoRA", "VBLORA", source: "https://arxiv.org/abs/2405.15179", resolve: VBLoRA.resolve),
    lowRank("RandLoRA", "RANDLORA", source: "https://arxiv.org/abs/2502.00987", resolve: RandLoRA.resolve),
    AdapterFamily(
      "GraLoRA", peftType: "GRALORA", operators: ["low-rank", "dense"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2505.20355", resolve: GraLoRA.resolve),
    lowRank("DeLoRA", "DELORA", source: "https://arxiv.org/abs/2503.18225", resolve: DeLoRA.resolve),
    lowRank("TinyLoRA", "TINYLORA", source: "https://arxiv.org/abs/2602.04118", resolve: TinyLoRA.resolve),
    lowRank("UniLoRA", "UNILORA", source: "https://arxiv.org/abs/2506.00799", resolve: UniLoRA.resolve),
    lowRank("DEFT", "DEFT", source: "https://huggingface.co/docs/peft/package_reference/deft", resolve: DEFT.resolve),
    AdapterFamily(
      "OSF", peftType: "OSF", operators: ["low-rank", "dense"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2504.07097", resolve: OSF.resolve),
    // Known, and refused with the reason.
    AdapterFamily(
      "PSOFT", peftType: "PSOFT", operators: [], mixing: .exclusive, isFusable: false,
      source: "https://openreview.net/forum?id=FSHrinMArK", resolve: PSOFT.resolve),
    AdapterFamily(
      "AdaMSS", peftType: "ADAMSS", operators: [], mixing: .exclusive, isFusable: false,
      source: "https://huggingface.co/docs/peft/package_reference/adamss", resolve: AdaMSS.resolve),
  ]

  private static func lowRank(
    _ name: String, _ peftType: String, source: String,
    resolve: @escaping @Sendable (inout AdapterFolder, BaseModel, AdapterOptions) throws(AdapterError) -> DeltaSet
  ) -> AdapterFamily {
    AdapterFamily(
      name, peftType: peftType, operators: ["low-rank"], mixing: .sum, isFusable: true, source: source, resolve: resolve)
  }
}
