// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families on the side of the sequence.
  static let promptFamilies: [AdapterFamily] = [
    AdapterFamily(
      "Prompt tuning", peftType: "PROMPT_TUNING", operators: ["prompt"], mixing: .exclusive, isFusable: false,
      source: "https://arxiv.org/abs/2104.08691", resolve: PromptTuning.resolve),
    AdapterFamily(
      "P-tuning", peftType: "P_TUNING", operators: ["prompt"], mixing: .exclusive, isFusable: false,
      source: "https://arxiv.org/abs/2103.10385", resolve: PromptTuning.resolve),
    AdapterFamily(
      "CPT", peftType: "CPT", operators: ["prompt"], mixing: .exclusive, isFusable: false,
      source: "https://arxiv.org/abs/2410.17222", resolve: PromptTuning.resolve),
    AdapterFamily(
      "Multitask prompt tuning", peftType: "MULTITASK_PROMPT_TUNING", operators: ["prompt"], mixing: .exclusive,
      isFusable: false, source: "https://arxiv.org/abs/2303.02861", options: [.task], resolve: MultitaskPromptTuning.resolve),
    AdapterFamily(
      "Prefix tuning", peftType: "PREFIX_TUNING", operators: ["key-value prefix"], mixing: .exclusive, isFusable: false,
      source: "https://arxiv.org/abs/2101.00190", resolve: PrefixTuning.resolve),
    AdapterFamily(
      "Cartridge", peftType: "CARTRIDGE", operators: ["key-value prefix"], mixing: .exclusive, isFusable: false,
      source: "https://arxiv.org/abs/2506.06266", resolve: PrefixTuning.resolve),
    AdapterFamily(
      "LLaMA-Adapter", peftType: "ADAPTION_PROMPT", operators: ["gated prompt", "bias"], mixing: .exclusive, isFusable: false,
      source: "https://arxiv.org/abs/2303.16199", resolve: LLaMAAdapter.resolve),
  ]
}
