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
  private let byteCounts: [Int]
  private let alignment: Int
  /// The tensor that is being written, and how many of its bytes are.
  private var current = 0
  private var written = 0

  /// The longest name that llama.cpp reads.
  private static let nameLimit = 63

  /// Writes everything in front of the tensor data, and reserves disk space for the rest. Keys and names must be unique;
  /// `general.alignment` among the metadata is honoured.
  package init(path: String, metadata: [Pair], tensors: [Declaration]) throws(FormatError) {
    alignment = try GGUFWriter.alignment(metadata, path: path)
    var header = Array("GGUF".utf8) + GGUFField.littleEndian(UInt32(3))
    header += GGUFField.littleEndian(UInt64(tensors.count)) + GGUFField.littleEndian(UInt64(metadata.count))
    var keys: Set<String> = []
    for (key, value) in metadata {
      guard keys.insert(key).inserted else {
        throw .malformed(location: "\(path): metadata", expected: "every key once", found: "'\(key)' again")
      }
      header += GGUFField.lengthAndText(key) + value.bytes
    }
    var offset = 0
    var byteCounts: [Int] = []
    keys.removeAll()
    for (name, dtype, shape) in tensors {
      let place = "\(path): tensor '\(name)'"
      guard keys.insert(name).inserted else {
        throw .malformed(location: place, expected: "a name of its own", found: "a name that is taken")
      }
      guard (1...GGUFWriter.nameLimit).contains(name.utf8.count), (1...4).contains(shape.count) else {
        throw .unsupported(
          location: place, expected: "a name of 1 to \(GGUFWriter.nameLimit) bytes and 1 to 4 axes in GGUF",
          found: "a name of \(name.utf8.count) bytes and \(shape.count) axes")
      }
      guard let type = GGMLType.number(of: dtype) else {
        throw .unsupported(location: place, expected: "a type that GGUF has", found: "dtype \(dtype.name)")
      }
      guard let elements = Tensor.elementCount(of: shape), (shape.last ?? 1) % dtype.blockElements == 0,
        let bytes = dtype.byteCount(elements: elements),
        case let (end, overflow) = offset.addingReportingOverflow(bytes), !overflow, end < Int.max - alignment
      else {
        throw .malformed(location: place, expected: "rows of whole \(dtype.name) blocks, below 2^63 bytes", found: "shape \(shape)")
      }
      header += GGUFField.lengthAndText(name) + GGUFField.littleEndian(UInt32(shape.count))
      for length in shape.reversed() { header += GGUFField.littleEndian(UInt64(length)) }
      header += GGUFField.littleEndian(type) + GGUFField.littleEndian(UInt64(offset))
      byteCounts.append(bytes)
      offset = end + GGUFWriter.padding(after: end, alignment)
    }
    header += [UInt8](repeating: 0, count: GGUFWriter.padding(after: header.count, alignment))
    names = tensors.map(\.name)
    self.byteCounts = byteCounts
    file = try AtomicFile(path: path)
    try file.reserve(byteCount: header.count + offset)
    try write(header)
    try skipEmptyTensors()
  }

  private static func alignment(_ metadata: [Pair], path: String) throws(FormatError) -> Int {
    guard let field = metadata.first(where: { $0.key == "general.alignment" })?.value else { return 32 }
    guard let value = field.uint32, value >= 8, value <= 1 << 30, value.nonzeroBitCount == 1 else {
      throw .malformed(
        location: "\(path): general.alignment", expected: "a uint32 power of two from 8 to 2^30", found: "something else")
    }
    return Int(value)
  }

  private static func padding(after count: Int, _ alignment: Int) -> Int { (alignment - count % alignment) % alignment }

  /// Appends bytes of the tensor that is next, all of it or a part.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard !bytes.isEmpty else { return }
    guard current < names.count else {
      throw .malformed(location: file.path, expected: "no bytes after the last tensor", found: "\(bytes.count)")
    }
    guard bytes.count <= byteCounts[current] - written else {
      throw .malformed(
        location: "\(file.path): tensor '\(names[current])'", expected: "\(byteCounts[current]) bytes, as declared",
        found: "at least \(written + bytes.count)")
    }
    try file.write(bytes)
    written += bytes.count
    guard written == byteCounts[current] else { return }
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
        location: "\(file.path): tensor '\(names[current])'", expected: "\(byteCounts[current]) bytes, as declared",
        found: "\(written)")
    }
    try file.commit()
  }

  private func pad() throws(FormatError) {
    try write([UInt8](repeating: 0, count: GGUFWriter.padding(after: written, alignment)))
    written = 0
    current += 1
  }

  private func skipEmptyTensors() throws(FormatError) {
    while current < names.count, byteCounts[current] == 0 { try pad() }
  }

  private func write(_ bytes: [UInt8]) throws(FormatError) {
    let result: Result<Void, FormatError> = bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { return .success(try file.write(buffer)) } catch { return .failure(error) }
    }
    try result.get()
  }
}
