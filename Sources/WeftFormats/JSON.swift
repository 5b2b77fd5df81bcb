// SPDX-License-Identifier: Apache-2.0

internal import CCJSON
internal import Glibc
internal import WeftTensors

/// One value of a parsed JSON document: a thin view over cJSON's tree, which it keeps alive.
///
/// Look-ups (`value["key"]`) walk the members in order, as cJSON stores them: fine for configurations, while
/// large objects (vocabularies) are read with `members` in one pass.
package struct JSON: @unchecked Sendable {
  private let document: Document
  private let node: UnsafeMutablePointer<cJSON>

  /// Frees the tree when the last view is gone.
  private final class Document {
    let root: UnsafeMutablePointer<cJSON>
    init(root: UnsafeMutablePointer<cJSON>) { self.root = root }
    deinit { cJSON_Delete(root) }
  }

  /// Parses UTF-8 text (RFC 8259). `location` names the file in errors. Nesting deeper than 1000 is refused, and so is the
  /// character U+0000 in a string: cJSON would cut the string there without a word.
  package init(parsing text: UnsafeRawBufferPointer, location: String) throws(FormatError) {
    do throws(UTF8.ValidationError) { _ = try UTF8Span(validating: text.assumingMemoryBound(to: UInt8.self).span) } catch {
      throw .malformed(
        location: location, expected: "UTF-8", found: "\(error.kind) at byte \(error.byteOffsets.lowerBound)")
    }
    if let offset = JSON.escapedNull(in: text) {
      throw .unsupported(location: location, expected: "text without U+0000", found: "\\u0000 at byte \(offset)")
    }
    var end: UnsafePointer<CChar>?
    let start = text.baseAddress?.assumingMemoryBound(to: CChar.self)
    guard let start, let root = cJSON_ParseWithLengthOpts(start, text.count, &end, 0) else {
      let offset = end.flatMap { end in start.map { end - $0 } } ?? 0
      throw .malformed(location: location, expected: "JSON", found: "invalid text at byte \(offset) of \(text.count)")
    }
    let document = Document(root: root)
    if let stray = text[((end ?? start) - start)...].firstIndex(where: { !" \n\r\t".utf8.contains($0) }) {
      throw .malformed(location: location, expected: "one JSON value", found: "more text at byte \(stray)")
    }
    self.init(document: document, node: root)
  }

  /// Parses a string; for tests and small texts.
  package init(parsing text: String, location: String) throws(FormatError) {
    let bytes = Array(text.utf8)
    let result: Result<JSON, FormatError> = bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { return .success(try JSON(parsing: buffer, location: location)) } catch {
        return .failure(error)
      }
    }
    self = try result.get()
  }

  /// Maps and parses a file.
  package init(file path: String) throws(FormatError) {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .storage(error) }
    defer { withExtendedLifetime(storage) {} }
    try self.init(parsing: UnsafeRawBufferPointer(storage.bytes), location: path)
  }

  private init(document: Document, node: UnsafeMutablePointer<cJSON>) {
    self.document = document
    self.node = node
  }

  package var isNull: Bool { cJSON_IsNull(node) != 0 }
  package var isObject: Bool { cJSON_IsObject(node) != 0 }
  package var isArray: Bool { cJSON_IsArray(node) != 0 }
  /// The text, when this is a string.
  package var string: String? { cJSON_IsString(node) != 0 ? String(cString: node.pointee.valuestring) : nil }
  package var bool: Bool? { cJSON_IsBool(node) != 0 ? cJSON_IsTrue(node) != 0 : nil }
  package var double: Double? { cJSON_IsNumber(node) != 0 ? node.pointee.valuedouble : nil }
  /// The number, when it is an integer of magnitude up to 2^53 (JSON numbers are doubles here).
  package var int: Int? {
    guard let value = double, value.rounded() == value, abs(value) <= 9_007_199_254_740_992 else { return nil }
    return Int(value)
  }
  /// Elements of an array, or nil.
  package var array: [JSON]? { isArray ? children.map { $0.value } : nil }
  /// Members of an object in file order, or nil. Duplicate keys appear twice.
  package var members: [(key: String, value: JSON)]? { isObject ? children : nil }
  /// What kind of value this is, for error messages.
  package var kind: String {
    if isNull { return "null" }
    if let bool { return bool ? "true" : "false" }
    if let int { return "\(int)" }
    if let double { return "\(double)" }
    if let string { return "\"\(string.prefix(60))\"" }
    return isArray ? "an array" : "an object"
  }

  /// The member with this key, or nil when absent, null, or this is no object.
  package subscript(key: String) -> JSON? {
    guard isObject, let child = cJSON_GetObjectItemCaseSensitive(node, key) else { return nil }
    return cJSON_IsNull(child) != 0 ? nil : JSON(document: document, node: child)
  }

  /// This value as JSON, without line breaks.
  package var text: String {
    guard let printed = cJSON_PrintUnformatted(node) else { return "null" }
    defer { cJSON_free(printed) }
    return String(cString: printed)
  }

  private var children: [(key: String, value: JSON)] {
    var result: [(key: String, value: JSON)] = []
    var next = node.pointee.child
    while let child = next {
      let key = child.pointee.string.map { String(cString: $0) } ?? ""
      result.append((key, JSON(document: document, node: child)))
      next = child.pointee.next
    }
    return result
  }

  /// The byte at which a string holds the escape of U+0000, or nil.
  private static func escapedNull(in text: UnsafeRawBufferPointer) -> Int? {
    guard let base = text.baseAddress else { return nil }
    var start = 0
    while start < text.count, let found = memchr(base + start, Int32(UInt8(ascii: "\\")), text.count - start) {
      let offset = UnsafeRawPointer(found) - base
      if text[offset...].starts(with: "\\u0000".utf8) { return offset }
      start = offset + 2  // the escaped character may be a backslash that escapes nothing
    }
    return nil
  }
}
