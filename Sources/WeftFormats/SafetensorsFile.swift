// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// An opened safetensors file: named tensors as views of the mapped bytes, and text metadata.
///
/// | bytes | what |
/// |---|---|
/// | 8 | length of the header, little-endian |
/// | length | JSON: name -> `{"dtype", "shape", "data_offsets": [begin, end]}`, and `__metadata__`: text -> text |
/// | the rest | the tensors, row-major, little-endian, without holes and without overlap |
///
/// Source: https://github.com/huggingface/safetensors#format
package struct SafetensorsFile: Sendable {
  package let path: String
  package let metadata: [String: String]
  package let tensors: [String: Tensor]
  /// The tensor names in the order of their bytes.
  package let tensorOrder: [String]
  /// The mapped file that all tensors borrow from.
  package let storage: Storage

  /// The longest header that is read, as in the reference implementation.
  package static let headerLimit = 100_000_000

  /// Maps and checks the file at `path`.
  package init(path: String) throws(FormatError) {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .storage(error) }
    try self.init(storage: storage, path: path)
  }

  /// Checks a file that is mapped or in memory already; `path` names it in errors.
  package init(storage: Storage, path: String) throws(FormatError) {
    var cursor = ByteCursor(storage, path: path)
    let headerLength = try SafetensorsFile.headerLength(&cursor)
    let header = try SafetensorsFile.header(storage, length: headerLength, path: path)

    let dataStart = 8 + headerLength
    var metadata: [String: String]?
    var tensors: [String: Tensor] = [:]
    var spans: [(name: String, begin: Int, end: Int)] = []
    for (name, value) in header {
      if name == "__metadata__" {
        guard metadata == nil else {
          throw .malformed(location: path, expected: "every header key once", found: "'__metadata__' again")
        }
        // mlx writes null where it has none; the reference implementation reads that too.
        metadata = value.isNull ? [:] : try SafetensorsFile.metadata(value, path: path)
        continue
      }
      let place = "\(path): tensor '\(name)'"
      let entry = try SafetensorsEntry(value, location: place)
      let tensor = try entry.view(of: storage, dataStart: dataStart, location: place)
      guard tensors.updateValue(tensor, forKey: name) == nil else {
        throw .malformed(location: path, expected: "every tensor name once", found: "'\(name)' again")
      }
      spans.append((name, entry.begin, entry.end))
    }
    spans.sort { ($0.begin, $0.end) < ($1.begin, $1.end) }
    var filled = 0
    for span in spans {
      guard span.begin == filled else {
        throw .malformed(
          location: "\(path): tensor '\(span.name)'",
          expected: "bytes from \(filled), where the tensor before it ends (no holes, no overlap)",
          found: "bytes from \(span.begin)")
      }
      filled = span.end
    }
    guard filled == storage.bytes.count - dataStart else {
      throw .malformed(
        location: path, expected: "\(filled) bytes of tensor data, as the header says",
        found: "\(storage.bytes.count - dataStart)")
    }
    self.path = path
    self.metadata = metadata ?? [:]
    self.tensors = tensors
    self.tensorOrder = spans.map(\.name)
    self.storage = storage
  }

  private static func headerLength(_ cursor: inout ByteCursor) throws(FormatError) -> Int {
    let place = cursor.location
    let length = try cursor.integer(UInt64.self, "the length of the header")
    let limit = min(cursor.remaining, headerLimit)
    guard length >= 2, length <= UInt64(limit) else {
      throw .malformed(location: place, expected: "a header length from 2 to \(limit)", found: "\(length)")
    }
    return Int(length)
  }

  private static func header(
    _ storage: Storage, length: Int, path: String
  ) throws(FormatError) -> [(key: String, value: JSON)] {
    let text = UnsafeRawBufferPointer(rebasing: storage.bytes[8..<8 + length])
    guard text.first == UInt8(ascii: "{") else {
      throw .malformed(location: "\(path): byte 8", expected: "a header that begins with {", found: "byte \(text[0])")
    }
    let header = try JSON(parsing: text, location: "\(path): header")
    guard let members = header.members else {
      throw .malformed(location: "\(path): header", expected: "an object", found: header.kind)
    }
    return members
  }

  private static func metadata(_ value: JSON, path: String) throws(FormatError) -> [String: String] {
    guard let members = value.members else {
      throw .malformed(location: "\(path): __metadata__", expected: "an object", found: value.kind)
    }
    var metadata: [String: String] = [:]
    for (key, value) in members {
      guard let text = value.string else {
        throw .malformed(location: "\(path): __metadata__ '\(key)'", expected: "a string", found: value.kind)
      }
      guard metadata.updateValue(text, forKey: key) == nil else {
        throw .malformed(location: "\(path): __metadata__", expected: "every key once", found: "'\(key)' again")
      }
    }
    return metadata
  }
}
