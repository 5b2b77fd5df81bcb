// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Writes a GGUF file (version 3, the layout of `GGUFFile`) whose metadata and tensors are declared first and whose tensor
/// bytes follow in that order, so that a large model never has to be in memory as a whole.
///
/// The file appears at its path when `finish` succeeds, and not before. The same declaration and bytes give the same file.
///
///     let writer = try GGUFWriter(
///       path: "model.gguf", metadata: [("general.architecture", .string("llama"))],
///       tensors: [("token_embd.weight", .f32, [rows, columns])])
///     for row in 0..<rows { try writer.append(bytes(row)) }
///     try writer.finish()
package final class GGUFWriter {
  /// Name, element type and shape (PyTorch's order) of a tensor that will be written.
  package typealias Declaration = (name: String, dtype: DType, shape: [Int])
  /// A metadata key and its value.
  package typealias Pair = (key: String, value: GGUFField)

  private let file: AtomicFile
  private let names: [String]
  private let header: GGUFHeader
  /// The tensor that is being written, and how many of its bytes are.
  private var current = 0
  private var written = 0

  /// Writes everything in front of the tensor data, and reserves disk space for the rest. Keys and names must be unique;
  /// `general.alignment` among the metadata is honoured.
  package init(path: String, metadata: [Pair], tensors: [Declaration]) throws(FormatError) {
    header = try GGUFHeader(path: path, metadata: metadata, tensors: tensors)
    names = tensors.map(\.name)
    file = try AtomicFile(path: path)
    try file.reserve(byteCount: header.bytes.count + header.dataByteCount)
    try write(header.bytes)
    try skipEmptyTensors()
  }

  /// Appends bytes of the tensor that is next, all of it or a part.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard !bytes.isEmpty else { return }
    guard current < names.count else {
      throw .malformed(location: file.path, expected: "no bytes after the last tensor", found: "\(bytes.count)")
    }
    guard bytes.count <= header.byteCounts[current] - written else {
      throw .malformed(
        location: "\(file.path): tensor '\(names[current])'", expected: "\(header.byteCounts[current]) bytes, as declared",
        found: "at least \(written + bytes.count)")
    }
    try file.write(bytes)
    written += bytes.count
    guard written == header.byteCounts[current] else { return }
    try pad()
    try skipEmptyTensors()
  }

  /// Appends f32 values.
  package func append(_ values: [Float]) throws(FormatError) {
    let result: Result<Void, FormatError> = values.withUnsafeBytes { bytes in
      do throws(FormatError) { return .success(try append(bytes)) } catch { return .failure(error) }
    }
    try result.get()
  }

  /// Completes the file. An error, and no file, when bytes are missing.
  package func finish() throws(FormatError) {
    guard current == names.count else {
      throw .malformed(
        location: "\(file.path): tensor '\(names[current])'", expected: "\(header.byteCounts[current]) bytes, as declared",
        found: "\(written)")
    }
    try file.commit()
  }

  private func pad() throws(FormatError) {
    try write([UInt8](repeating: 0, count: header.padding(after: written)))
    written = 0
    current += 1
  }

  private func skipEmptyTensors() throws(FormatError) {
    while current < names.count, header.byteCounts[current] == 0 { try pad() }
  }

  private func write(_ bytes: [UInt8]) throws(FormatError) {
    let result: Result<Void, FormatError> = bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { return .success(try file.write(buffer)) } catch { return .failure(error) }
    }
    try result.get()
  }
}
