// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// LoRA, and what selects among LoRAs.
  static let loraFamilies: [AdapterFamily] = [
    AdapterFamily(
      "LoRA", peftType: "LORA", operators: ["low-rank"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2106.09685", resolve: LoRA.resolve)
  ]
}
