// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Forms of adapters that PEFT does not write. The first whose mark files have is meant.
  static let otherFormFamilies: [AdapterFamily] = [
    AdapterFamily(
      "GGUF LoRA", mark: .metadata(key: "adapter.type", value: "lora"), operators: ["low-rank"], mixing: .sum,
      isFusable: true, source: "https://github.com/ggml-org/llama.cpp", resolve: GGUFLoRA.resolve),
    AdapterFamily(
      "control vector", mark: .metadata(key: "general.architecture", value: "controlvector"), operators: ["steering"],
      mixing: .sum, isFusable: false, source: "https://github.com/ggml-org/llama.cpp", options: [.strength, .layers],
      resolve: SteeringVectors.resolveControl),
    AdapterFamily(
      "MLX", mark: .folder(tensors: "adapters.safetensors"), operators: ["low-rank", "scale", "replace"], mixing: .sum,
      isFusable: true, source: "https://github.com/ml-explore/mlx-lm", resolve: MLXAdapter.resolve),
    AdapterFamily(
      "bottleneck", mark: .folder(tensors: "adapter.safetensors"), operators: ["bottleneck"], mixing: .sum, isFusable: false,
      source: "https://arxiv.org/abs/1902.00751", resolve: BottleneckAdapter.resolve),
    AdapterFamily(
      "LoRA file", mark: .tensors(endings: LoRAFile.endingsOfA), operators: ["low-rank"], mixing: .sum, isFusable: true,
      source: "https://github.com/microsoft/LoRA", options: [.alpha], resolve: LoRAFile.resolve),
    AdapterFamily(
      "BitDelta", mark: .tensors(endings: [".coeff"]), operators: ["signs", "low-rank", "replace"], mixing: .sum,
      isFusable: true, source: "https://arxiv.org/abs/2402.10193", resolve: BitDelta.resolve),
    AdapterFamily(
      "SSF", mark: .tensors(endings: ScaleAndShift.parameters.map { "." + $0 }), operators: ["scale"], mixing: .scale,
      isFusable: true, source: "https://arxiv.org/abs/2210.08823", resolve: ScaleAndShift.resolve),
    AdapterFamily(
      "NOLA", mark: .tensors(endings: NOLA.parameters.map { "." + $0 }), operators: ["low-rank"], mixing: .sum,
      isFusable: true, source: "https://arxiv.org/abs/2310.02556", resolve: NOLA.resolve),
    AdapterFamily(
      "MoS", mark: .tensors(endings: MixtureOfShards.parameters.map { "." + $0 }), operators: ["low-rank"], mixing: .sum,
      isFusable: true, source: "https://arxiv.org/abs/2410.00938", resolve: MixtureOfShards.resolve),
    AdapterFamily(
      "steering", mark: .layerVectors, operators: ["steering"], mixing: .sum, isFusable: false,
      source: "https://arxiv.org/abs/2310.01405", options: [.strength, .layers], resolve: SteeringVectors.resolve),
    AdapterFamily(
      "task vector", mark: .model, operators: ["dense", "sparse", "low-rank", "bias"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2212.04089", options: [.taskVector], resolve: TaskVector.resolve),
  ]
}
