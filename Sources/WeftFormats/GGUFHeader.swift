// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// All of a GGUF file that stands in front of the tensor data.
struct GGUFHeader {
  let bytes: [UInt8]
  /// Of every tensor, without padding.
  let byteCounts: [Int]
  /// Of all tensors, with the padding behind each.
  let dataByteCount: Int
  private let alignment: Int

  /// The longest name that llama.cpp reads.
  private static let nameLimit = 63

  /// - Parameter path: names the file in errors.
  init(path: String, metadata: [GGUFWriter.Pair], tensors: [GGUFWriter.Declaration]) throws(FormatError) {
    alignment = try GGUFHeader.alignment(metadata, path: path)
    var bytes = Array("GGUF".utf8) + GGUFField.littleEndian(UInt32(3))
    bytes += GGUFField.littleEndian(UInt64(tensors.count)) + GGUFField.littleEndian(UInt64(metadata.count))
    var keys: Set<String> = []
    for (key, value) in metadata {
      guard keys.insert(key).inserted else {
        throw .malformed(location: "\(path): metadata", expected: "every key once", found: "'\(key)' again")
      }
      bytes += GGUFField.lengthAndText(key) + value.bytes
    }
    var offset = 0
    var byteCounts: [Int] = []
    var names: Set<String> = []
    for (name, dtype, shape) in tensors {
      let place = "\(path): tensor '\(name)'"
      guard names.insert(name).inserted else {
        throw .malformed(location: place, expected: "a name of its own", found: "a name that is taken")
      }
      guard (1...GGUFHeader.nameLimit).contains(name.utf8.count), (1...4).contains(shape.count) else {
        throw .unsupported(
          location: place, expected: "a name of 1 to \(GGUFHeader.nameLimit) bytes and 1 to 4 axes in GGUF",
          found: "a name of \(name.utf8.count) bytes and \(shape.count) axes")
      }
      guard let type = GGMLType.number(of: dtype) else {
        throw .unsupported(location: place, expected: "a type that GGUF has", found: "dtype \(dtype.name)")
      }
      guard let elements = Tensor.elementCount(of: shape), (shape.last ?? 1) % dtype.blockElements == 0,
        let count = dtype.byteCount(elements: elements),
        case let (end, overflow) = offset.addingReportingOverflow(count), !overflow, end < Int.max / 2
      else {
        throw .malformed(
          location: place, expected: "rows of whole \(dtype.name) blocks, below 2^62 bytes", found: "shape \(shape)")
      }
      bytes += GGUFField.lengthAndText(name) + GGUFField.littleEndian(UInt32(shape.count))
      for length in shape.reversed() { bytes += GGUFField.littleEndian(UInt64(length)) }
      bytes += GGUFField.littleEndian(type) + GGUFField.littleEndian(UInt64(offset))
      byteCounts.append(count)
      offset = end + GGUFHeader.padding(after: end, alignment)
    }
    self.bytes = bytes + [UInt8](repeating: 0, count: GGUFHeader.padding(after: bytes.count, alignment))
    self.byteCounts = byteCounts
    dataByteCount = offset
  }

  func padding(after count: Int) -> Int { GGUFHeader.padding(after: count, alignment) }

  private static func padding(after count: Int, _ alignment: Int) -> Int { (alignment - count % alignment) % alignment }

  private static func alignment(_ metadata: [GGUFWriter.Pair], path: String) throws(FormatError) -> Int {
    guard let field = metadata.first(where: { $0.key == "general.alignment" })?.value else { return 32 }
    guard let value = field.uint32, value >= 8, value <= 1 << 30, value.nonzeroBitCount == 1 else {
      throw .malformed(
        location: "\(path): general.alignment", expected: "a uint32 power of two from 8 to 2^30", found: "something else")
    }
    return Int(value)
  }
}

extension GGUFFile {
  /// A file in memory with this metadata and these vectors (f32): what a reader would find in one that is not written yet.
  package init(path: String, metadata: [GGUFWriter.Pair], vectors: [(name: String, values: [Float])]) throws(FormatError) {
    let header = try GGUFHeader(path: path, metadata: metadata, tensors: vectors.map { ($0.name, .f32, [$0.values.count]) })
    let storage: Storage
    do { storage = try Storage(byteCount: header.bytes.count + header.dataByteCount) } catch { throw .storage(error) }
    header.bytes.withUnsafeBytes { storage.bytes.copyMemory(from: $0) }
    var place = header.bytes.count
    for (vector, count) in zip(vectors, header.byteCounts) {
      vector.values.withUnsafeBytes {
        if let base = $0.baseAddress { (storage.base + place).copyMemory(from: base, byteCount: count) }
      }
      place += count + header.padding(after: count)
    }
    try self.init(storage: storage, path: path)
  }
}
