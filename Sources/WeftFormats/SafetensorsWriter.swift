// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Writes a safetensors file whose tensors are declared first and whose bytes follow in that order, so that a large
/// result never has to be in memory as a whole.
///
/// The file appears at its path when `finish` succeeds, and not before. The same declaration and bytes give the same file.
///
///     let writer = try SafetensorsWriter(path: "logits.safetensors", tensors: [("logits", .f32, [rows, columns])])
///     for row in 0..<rows { try writer.append(logits(row)) }
///     try writer.finish()
package final class SafetensorsWriter {
  /// Name, element type and shape of a tensor that will be written.
  package typealias Declaration = (name: String, dtype: DType, shape: [Int])

  private let file: AtomicFile
  private let declaredBytes: Int
  private var appendedBytes = 0

  /// Writes the header. Names and metadata keys must be unique; block formats (Q8_0, Q4_0) have no name in safetensors.
  package init(
    path: String, tensors: [Declaration], metadata: [String: String] = [:]
  ) throws(FormatError) {
    var end = 0
    var header = "{"
    if !metadata.isEmpty {
      let pairs = metadata.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
      header += "\"__metadata__\":{"
      header += pairs.map { "\(JSON.text($0.key)):\(JSON.text($0.value))" }.joined(separator: ",") + "}"
    }
    var names: Set<String> = ["__metadata__"]
    for (name, dtype, shape) in tensors {
      let place = "\(path): tensor '\(name)'"
      guard names.insert(name).inserted else {
        throw .malformed(location: place, expected: "a name of its own", found: "a name that is taken")
      }
      guard dtype.blockElements == 1 else {
        throw .unsupported(location: place, expected: "a plain element type", found: "dtype \(dtype.name) in safetensors")
      }
      guard let elements = Tensor.elementCount(of: shape), let bytes = dtype.byteCount(elements: elements),
        case let (sum, overflow) = end.addingReportingOverflow(bytes), !overflow
      else {
        throw .malformed(location: place, expected: "fewer than 2^63 bytes", found: "shape \(shape)")
      }
      if header.utf8.count > 1 { header += "," }
      header += "\(JSON.text(name)):{\"dtype\":\"\(dtype.name)\",\"shape\":["
      header += shape.map(String.init).joined(separator: ",") + "],\"data_offsets\":[\(end),\(sum)]}"
      end = sum
    }
    header += "}"
    // Padding to 8 bytes keeps the tensor data aligned, as the reference implementation does.
    header += String(repeating: " ", count: (8 - header.utf8.count % 8) % 8)
    guard header.utf8.count <= SafetensorsFile.headerLimit else {
      throw .malformed(
        location: path, expected: "a header of at most \(SafetensorsFile.headerLimit) bytes",
        found: "\(header.utf8.count)")
    }
    declaredBytes = end
    file = try AtomicFile(path: path)
    let length = UInt64(header.utf8.count).littleEndian
    try write(withUnsafeBytes(of: length, Array.init) + Array(header.utf8))
  }

  /// Appends bytes of the declared tensors, in their order; a call may carry a part of a tensor, or several.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(FormatError) {
    guard bytes.count <= declaredBytes - appendedBytes else {
      throw .malformed(
        location: file.path, expected: "\(declaredBytes) bytes of tensor data, as declared",
        found: "at least \(appendedBytes + bytes.count)")
    }
    try file.write(bytes)
    appendedBytes += bytes.count
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
    guard appendedBytes == declaredBytes else {
      throw .malformed(
        location: file.path, expected: "\(declaredBytes) bytes of tensor data, as declared", found: "\(appendedBytes)")
    }
    try file.commit()
  }

  /// Writes whole tensors, ordered as the reference implementation orders them: by element type, then by name.
  package static func write(
    _ tensors: [String: Tensor], metadata: [String: String] = [:], to path: String
  ) throws(FormatError) {
    // Wider types first, so that every tensor is aligned; among equals, the order of the reference's list of types.
    let types: [DType] = [.i64, .f32, .i32, .bf16, .f16, .i16, .u8]
    func rank(_ tensor: Tensor) -> Int { types.firstIndex(of: tensor.dtype) ?? types.count }
    let ordered = tensors.sorted { left, right in
      let ranks = (rank(left.value), rank(right.value))
      return ranks.0 == ranks.1 ? left.key.utf8.lexicographicallyPrecedes(right.key.utf8) : ranks.0 < ranks.1
    }
    let writer = try SafetensorsWriter(
      path: path, tensors: ordered.map { ($0.key, $0.value.dtype, $0.value.shape) }, metadata: metadata)
    for (_, tensor) in ordered {
      try writer.append(UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount))
    }
    try writer.finish()
  }

  private func write(_ bytes: [UInt8]) throws(FormatError) {
    let result: Result<Void, FormatError> = bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { return .success(try file.write(buffer)) } catch { return .failure(error) }
    }
    try result.get()
  }
}
