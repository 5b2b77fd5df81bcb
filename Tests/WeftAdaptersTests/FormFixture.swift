// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftAdapters
import WeftDeltas
import WeftFormats
import WeftTensors

/// The files of an adapter that is not peft's, small and right, for tests to break.
struct FormFixture {
  /// 2 layers, hidden size 32, k_proj [16, 32], up_proj [64, 32], 12 tokens.
  static let base = BaseShape.llama(
    layerCount: 2, hiddenSize: 32, queryWidth: 32, keyValueWidth: 16, intermediateSize: 64, vocabularySize: 12, headDimension: 8
  )

  enum Form {
    /// `adapter.safetensors` with metadata.
    case single
    case gguf
    /// `adapter_config.json` beside a file of this name.
    case folder(String)
    /// The bytes of other files, by name.
    case files
  }

  var form: Form
  var tensors: [String: Tensor] = [:]
  var metadata: [String: String] = [:]
  var fields: [(key: String, value: GGUFField)] = []
  /// The text of the configuration.
  var config = ""
  var files: [String: String] = [:]
  var options = AdapterOptions()
  /// Whether the base's weights are known: all are 1.
  var hasWeights = false
  /// What opening the path as a model gives; nil where that is not possible.
  var model: Result<BaseModel, BaseModel.OpenError>?

  init(_ form: Form) { self.form = form }

  /// A tensor of ones.
  mutating func set(_ name: String, _ shape: [Int], value: Float = 1) throws {
    tensors[name] = try Tensor([Float](repeating: value, count: shape.reduce(1, *)), shape: shape)
  }

  mutating func set(_ name: String, _ shape: [Int], words: [Int32]) throws {
    let storage = try Storage(byteCount: words.count * 4)
    words.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    tensors[name] = Tensor(dtype: .i32, shape: shape, storage: storage, offset: 0)
  }

  /// Writes the files; the path to read.
  func write(to folder: TemporaryFolder) throws -> String {
    switch form {
    case .single:
      try SafetensorsWriter.write(tensors, metadata: metadata, to: folder.file("adapter.safetensors"))
      return folder.file("adapter.safetensors")
    case .gguf:
      let path = folder.file("adapter.gguf")
      let sorted = tensors.sorted { $0.key < $1.key }
      let writer = try GGUFWriter(
        path: path, metadata: fields, tensors: sorted.map { ($0.key, $0.value.dtype, $0.value.shape) })
      for (_, tensor) in sorted { try writer.append(UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)) }
      try writer.finish()
      return path
    case .folder(let name):
      try folder.write(config.utf8, to: "adapter_config.json")
      try SafetensorsWriter.write(tensors, metadata: metadata, to: folder.file(name))
      return folder.path
    case .files:
      for (name, text) in files { try folder.write(text.utf8, to: name) }
      return folder.path
    }
  }

  static func ones(_ shape: BaseShape, value: Float = 1) -> BaseModel.Values {
    BaseModel.Values(
      weight: { site in
        [Float](repeating: value, count: shape.shape(of: site).map { $0.out * $0.in } ?? 0)
      },
      bias: { _ in nil },
      embedding: { [Float](repeating: value, count: $0.count * shape.embedding.hiddenSize) },
      norm: { site in
        shape.norms.first { $0.site == site }
          .flatMap { try? NormReplacement(weight: [Float](repeating: value, count: $0.size), bias: nil) }
      })
  }

  /// Reads the adapter.
  func read() throws -> Adapter {
    let folder = try TemporaryFolder()
    return try read(write(to: folder))
  }

  private func read(_ path: String) throws(AdapterError) -> Adapter {
    let values = hasWeights ? FormFixture.ones(FormFixture.base) : nil
    guard let model else {
      return try AdapterReader.read(
        folder: path, name: "tiny", base: BaseModel(shape: FormFixture.base, values: values), options: options)
    }
    let open: @Sendable (String) throws(BaseModel.OpenError) -> BaseModel = { _ throws(BaseModel.OpenError) in
      try model.get()
    }
    return try AdapterReader.read(
      folder: path, name: "tiny", base: BaseModel(shape: FormFixture.base, values: values, open: open), options: options)
  }

  /// The error of reading, with PATH for the adapter's path; nil when reading succeeds.
  func error() throws -> String? {
    let folder = try TemporaryFolder()
    let path = try write(to: folder)
    do throws(AdapterError) {
      _ = try read(path)
      return nil
    } catch { return error.description.replacing(path, with: "PATH") }
  }
}
