// SPDX-License-Identifier: Apache-2.0

/// A schema with its place in the document.
struct LocatedSchema {
  var value: SchemaValue
  /// RFC 6901, without the leading `#`. Two places that differ have different schemas.
  var pointer: String

  /// The member with this key.
  func member(_ key: String) -> LocatedSchema? { value[key].map { LocatedSchema(value: $0, pointer: path(key)) } }

  /// The elements of a list, or nil.
  var elements: [LocatedSchema]? {
    guard case .array(let values) = value else { return nil }
    return values.enumerated().map { LocatedSchema(value: $0.element, pointer: "\(pointer)/\($0.offset)") }
  }

  /// The members of an object, or nil.
  var members: [(key: String, schema: LocatedSchema)]? {
    guard case .object(let keys, let values) = value else { return nil }
    return keys.compactMap { key in values[key].map { (key, LocatedSchema(value: $0, pointer: path(key))) } }
  }

  /// The same schema without a keyword.
  func without(_ keyword: String) -> LocatedSchema {
    guard case .object(let keys, var values) = value else { return self }
    values[keyword] = nil
    return LocatedSchema(value: .object(keys.filter { $0 != keyword }, values), pointer: "\(pointer) without \(keyword)")
  }

  func error(_ expected: String, _ found: String? = nil) -> GrammarError {
    .schema(pointer: pointer, expected: expected, found: found ?? value.description)
  }

  private func path(_ key: String) -> String {
    pointer + "/" + key.replacing("~", with: "~0").replacing("/", with: "~1")
  }
}

extension String {
  /// All occurrences of a character replaced; the language's own `replacing` is part of another module.
  fileprivate func replacing(_ character: Character, with text: String) -> String {
    reduce(into: "") { result, next in
      if next == character { result += text } else { result.append(next) }
    }
  }
}
