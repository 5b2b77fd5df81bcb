// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension CompressionMethod {
  private static let rankParameter = CompressionParameter(
    "rank", standard: nil, range: 1...4096, isWhole: true, text: "directions that are kept at most")

  /// Fewer directions.
  static let rankMethods: [CompressionMethod] = [
    CompressionMethod(
      "low-rank", text: "the largest singular values of each change, as LoRA in F16",
      source: "https://huggingface.co/docs/peft/package_reference/lora_conversion",
      parameters: [
        rankParameter,
        CompressionParameter(
          "energy", standard: nil, range: 1e-6...1, text: "share of the squared change that is kept (default: 0.95)"),
      ]
    ) { (modules, values) throws(CompressionError) in
      try modules.map { module throws(CompressionError) in
        let truncation = try Truncation(module)
        let rank = values["rank"].map { Int($0) } ?? Int.max
        let ofEnergy = values["energy"] ?? (values["rank"] == nil ? 0.95 : nil)
        return try module.with(truncation.factors(rank: min(rank, ofEnergy.map { truncation.rank(energy: $0) } ?? rank)))
          .encoded(as: .f16)
      }
    }
  ]

  /// The factors as they are, in fewer bits.
  static let numberMethods: [CompressionMethod] = [
    numbers("f16", .f16, "F16", source: "https://ieeexplore.ieee.org/document/8766229"),
    numbers("bf16", .bf16, "BF16", source: "https://arxiv.org/abs/1905.12322"),
    numbers("q8_0", .q8_0, "8 bits, a scale for 32", source: "https://github.com/ggml-org/ggml"),
    numbers("q4_0", .q4_0, "4 bits, a scale for 32", source: "https://github.com/ggml-org/ggml"),
  ]

  private static func numbers(_ name: String, _ dtype: DType, _ text: String, source: String) -> CompressionMethod {
    CompressionMethod(
      name, text: "the factors in \(text)", source: source, parameters: [rankParameter]
    ) { (modules, values) throws(CompressionError) in
      try modules.map { module throws(CompressionError) in
        var kept = module
        if let rank = values["rank"].map({ Int($0) }), rank < module.rank {
          kept = module.with(try Truncation(module).factors(rank: rank))
        }
        return try kept.encoded(as: dtype)
      }
    }
  }
}

extension ModuleFactors {
  func with(_ factors: ModuleFactors) -> ModuleFactors { with(a: factors.a, b: factors.b, rank: factors.rank) }

  /// The factors in a format. Rows of B are as long as the rank: where they are no whole blocks, or a block format is larger than
  /// F16 with them, B is in F16.
  func encoded(as dtype: DType) throws(CompressionError) -> CompressedModule {
    do throws(StorageError) {
      return CompressedModule(
        path: path, a: try ModuleFactors.tensor(a, rows: rank, columns: inputSize, as: dtype),
        b: try ModuleFactors.tensor(b, rows: outputSize, columns: rank, as: dtype), isTransposed: isTransposed)
    } catch { throw .storage(error) }
  }

  private static func tensor(
    _ values: [Float], rows: Int, columns: Int, as dtype: DType
  ) throws(StorageError) -> Tensor {
    let shape = [rows, columns]
    guard dtype.isQuantized else { return try Tensor(rounding: values, shape: shape, to: dtype) }
    guard columns % dtype.blockElements == 0, let bytes = dtype.byteCount(elements: rows * columns) else {
      return try Tensor(rounding: values, shape: shape, to: .f16)
    }
    let storage = try Storage(byteCount: bytes)
    try Tensor(values, shape: shape).encodeRows(0..<rows, as: dtype, into: storage.base)
    guard let tensor = Tensor(dtype: dtype, shape: shape, storage: storage, offset: 0) else {
      preconditionFailure("the storage was made for it")
    }
    return tensor
  }
}
