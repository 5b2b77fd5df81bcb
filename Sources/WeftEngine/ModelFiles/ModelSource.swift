// SPDX-License-Identifier: Apache-2.0

package import WeftFormats
package import WeftTensors

/// What goes into a GGUF file: metadata and tensors by GGUF's names, from another GGUF file or from a Hugging Face folder.
package struct ModelSource {
  /// A tensor of the file that will be written.
  package struct Part {
    /// GGUF's name.
    package let name: String
    /// PyTorch's order; [experts, out, in] for a stack of matrices.
    package let shape: [Int]
    /// The format that the numbers have in the source.
    package let dtype: DType
    /// For every row of the tensor the row of the source it comes from; nil for the identity.
    let rowMap: [Int32]?
    /// The tensors that make up this one, rows one after the other.
    let load: () throws(EngineError) -> [Tensor]

    package var elementCount: Int { shape.reduce(1, *) }
  }

  /// The file or folder.
  package let path: String
  package let metadata: [GGUFWriter.Pair]
  package let parts: [Part]
  package let model: QuantizationPlan.Model

  /// The tensors and metadata of a GGUF file as they are.
  init(gguf file: GGUFFile) throws(EngineError) {
    if let count = file.metadata["split.count"]?.int, count > 1 {
      throw EngineError(.unsupported, "\(file.path): expected a whole model, found one of \(count) parts; join them first")
    }
    guard let architecture = file.metadata["general.architecture"]?.string else {
      throw EngineError(.corruptFile, "\(file.path): expected a model with general.architecture, found none")
    }
    path = file.path
    metadata = file.metadataOrder.filter { !$0.hasPrefix("split.") }
      .compactMap { key in file.field(key).map { (key, $0) } }
    parts = file.tensorOrder.compactMap { name in
      file.tensors[name].map { tensor in
        Part(name: name, shape: tensor.shape, dtype: tensor.dtype, rowMap: nil) { () throws(EngineError) in [tensor] }
      }
    }
    func largest(_ key: String) -> Int? {
      let value = file.metadata["\(architecture).\(key)"]
      return value?.int ?? value?.integers?.max().flatMap { Int(exactly: $0) }
    }
    let heads = largest("attention.head_count") ?? 1
    model = QuantizationPlan.Model(
      architecture: architecture, layerCount: largest("block_count") ?? 0, headCount: heads,
      keyValueHeadCount: largest("attention.head_count_kv") ?? heads, expertCount: largest("expert_count") ?? 0)
  }

  /// Opens a GGUF file or a Hugging Face folder.
  package init(path: String) throws(EngineError) {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw EngineError(error) }
    guard let gguf = checkpoint.gguf else {
      throw EngineError(.unsupported, "\(path): expected a GGUF file, found a Hugging Face folder")
    }
    try self.init(gguf: gguf)
  }
}
