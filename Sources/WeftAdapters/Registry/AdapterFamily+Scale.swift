// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families of scales, rotations, biases and replacements.
  static let scaleFamilies: [AdapterFamily] = [
    AdapterFamily(
      "IA3", peftType: "IA3", operators: ["scale"], mixing: .scale, isFusable: true,
      source: "https://arxiv.org/abs/2205.05638", resolve: IA3.resolve),
    AdapterFamily(
      "OFT", peftType: "OFT", operators: ["rotate"], mixing: .exclusive, isFusable: true,
      source: "https://arxiv.org/abs/2306.07280", resolve: OFT.resolve),
    AdapterFamily(
      "BOFT", peftType: "BOFT", operators: ["rotate", "scale"], mixing: .exclusive, isFusable: true,
      source: "https://arxiv.org/abs/2311.06243", resolve: BOFT.resolve),
    AdapterFamily(
      "HRA", peftType: "HRA", operators: ["rotate"], mixing: .exclusive, isFusable: true,
      source: "https://arxiv.org/abs/2405.17484", resolve: HRA.resolve),
    AdapterFamily(
      "RoAd", peftType: "ROAD", operators: ["rotate"], mixing: .exclusive, isFusable: true,
      source: "https://arxiv.org/abs/2409.00119", resolve: RoAd.resolve),
    AdapterFamily(
      "LN tuning", peftType: "LN_TUNING", operators: ["replaced norm"], mixing: .exclusive, isFusable: true,
      source: "https://arxiv.org/abs/2312.11420", resolve: LNTuning.resolve),
    AdapterFamily(
      "BEFT", peftType: "BEFT", operators: ["bias"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2509.15974", resolve: BEFT.resolve),
    AdapterFamily(
      "Trainable tokens", peftType: "TRAINABLE_TOKENS", operators: ["embedding replaced rows", "low-rank"],
      mixing: .exclusive, isFusable: false,
      source: "https://huggingface.co/docs/peft/package_reference/trainable_tokens", resolve: TrainableTokens.resolve),
    AdapterFamily(
      "Shadow", peftType: "SHADOW", operators: [], mixing: .exclusive, isFusable: false,
      source: "https://huggingface.co/docs/peft/package_reference/shadow", resolve: Shadow.resolve),
  ]
}
