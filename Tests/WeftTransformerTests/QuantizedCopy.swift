// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors
import WeftTransformer

/// A GGUF file of a folder's model whose matrices are quantised, and one in F32 with the values that these have.
struct QuantizedCopy {
  let quantized: String
  let dequantized: String
  private let folder: TemporaryFolder

  init(of path: String, as dtype: DType) throws {
    folder = try TemporaryFolder()
    (quantized, dequantized) = (folder.file("quantized.gguf"), folder.file("dequantized.gguf"))
    let export = try GGUFExport(Checkpoint(path: path))
    let types = export.parts.map { $0.isPrecise || $0.shape.count < 2 ? DType.f32 : dtype }
    func writer(_ path: String, _ types: [DType]) throws -> GGUFWriter {
      try GGUFWriter(
        path: path, metadata: [("general.architecture", .string(export.architecture))] + export.metadata,
        tensors: zip(export.parts, types).map { ($0.name, $1, $0.shape) })
    }
    let writers = (try writer(quantized, types), try writer(dequantized, types.map { _ in .f32 }))
    for (part, type) in zip(export.parts, types) {
      for tensor in part.tensors {
        let storage = try Storage(byteCount: tensor.elementCount / type.blockElements * type.blockBytes)
        tensor.encodeRows(0..<tensor.rows, as: type, rowMap: part.rowMap, into: storage.base)
        try writers.0.append(UnsafeRawBufferPointer(storage.bytes))
        let values = try #require(Tensor(dtype: type, shape: tensor.shape, storage: storage, offset: 0)).floats()
        try writers.1.append(values)
      }
    }
    try writers.0.finish()
    try writers.1.finish()
  }
}
