// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// LoRA, and what selects among LoRAs.
  static let loraFamilies: [AdapterFamily] = [
    AdapterFamily(
      "LoRA", peftType: "LORA", operators: ["low-rank", "scale", "bias", "replace", "rows"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2106.09685", resolve: LoRA.resolve),
    AdapterFamily(
      "Arrow", mark: .peftOption(type: "LORA", option: Arrow.option), operators: ["gated"], mixing: .sum, isFusable: false,
      source: "https://arxiv.org/abs/2405.11157", resolve: Arrow.resolve),
    AdapterFamily(
      "X-LoRA", peftType: XLoRA.peftType, operators: ["gated"], mixing: .sum, isFusable: false,
      source: "https://arxiv.org/abs/2402.07148", resolve: XLoRA.resolve),
    AdapterFamily(
      "AdaLoRA", peftType: "ADALORA", operators: ["low-rank"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2303.10512", resolve: AdaLoRA.resolve),
    AdapterFamily(
      "Poly", peftType: "POLY", operators: ["low-rank"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2202.13914", options: [.task], resolve: Poly.resolve),
    AdapterFamily(
      "Lily", peftType: "LILY", operators: ["gated"], mixing: .sum, isFusable: false,
      source: "https://arxiv.org/abs/2407.09946", resolve: Lily.resolve),
  ]
}
