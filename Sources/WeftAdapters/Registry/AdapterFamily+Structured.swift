// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families with a structured or dense matrix.
  static let structuredFamilies: [AdapterFamily] = [
    AdapterFamily(
      "LoHa", peftType: "LOHA", operators: ["hadamard"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2108.06098", resolve: LoHa.resolve),
    AdapterFamily(
      "LoKr", peftType: "LOKR", operators: ["kronecker"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2309.14859", resolve: LoKr.resolve),
    AdapterFamily(
      "FourierFT", peftType: "FOURIERFT", operators: ["fourier"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2405.03003", resolve: FourierFT.resolve),
    AdapterFamily(
      "WaveFT", peftType: "WAVEFT", operators: ["wavelet", "sparse"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2505.12532", resolve: WaveFT.resolve),
    AdapterFamily(
      "C3A", peftType: "C3A", operators: ["circulant"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2407.19342", resolve: C3A.resolve),
    AdapterFamily(
      "MiSS", peftType: "MISS", operators: ["low-rank", "dense"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2409.15371", resolve: MiSS.resolve),
    AdapterFamily(
      "SHiRA", peftType: "SHIRA", operators: ["sparse"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2406.13175", resolve: SHiRA.resolve),
    AdapterFamily(
      "Super-tuning", peftType: "SUPERTUNING", operators: ["sparse", "low-rank"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2607.09287", resolve: Supertuning.resolve),
    AdapterFamily(
      "HiRA", peftType: "HIRA", operators: ["dense"], mixing: .sum, isFusable: true,
      source: "https://openreview.net/forum?id=TwJrTz9cRS", resolve: HiRA.resolve),
    AdapterFamily(
      "GLoRA", peftType: "GLORA", operators: ["dense", "low-rank", "scale", "bias"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2306.07967", resolve: GLoRA.resolve),
    AdapterFamily(
      "PEANuT", peftType: "PEANUT", operators: ["low-rank"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2410.01870", resolve: PEANuT.resolve),
    AdapterFamily(
      "FRoD", peftType: "FROD", operators: ["dense"], mixing: .sum, isFusable: true,
      source: "https://github.com/huggingface/peft/tree/main/src/peft/tuners/frod", resolve: FRoD.resolve),
  ]
}
