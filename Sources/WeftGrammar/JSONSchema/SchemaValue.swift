// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// A JSON value as it stands in a schema.
indirect enum SchemaValue: Equatable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([SchemaValue])
  /// Members in the order of the text; of equal keys the last one counts.
  case object([String], [String: SchemaValue])

  init(_ json: JSON) {
    if let members = json.members {
      var keys: [String] = []
      var values: [String: SchemaValue] = [:]
      for (key, value) in members where values.updateValue(SchemaValue(value), forKey: key) == nil { keys.append(key) }
      self = .object(keys, values)
    } else if let elements = json.array {
      self = .array(elements.map { SchemaValue($0) })
    } else if let text = json.string {
      self = .string(text)
    } else if let number = json.double {
      self = .number(number)
    } else if let bool = json.bool {
      self = .bool(bool)
    } else {
      self = .null
    }
  }

  /// Objects are equal whatever the order of their members.
  static func == (one: SchemaValue, other: SchemaValue) -> Bool {
    switch (one, other) {
    case (.null, .null): true
    case (.bool(let one), .bool(let other)): one == other
    case (.number(let one), .number(let other)): one == other
    case (.string(let one), .string(let other)): one == other
    case (.array(let one), .array(let other)): one == other
    case (.object(_, let one), .object(_, let other)): one == other
    default: false
    }
  }

  subscript(key: String) -> SchemaValue? {
    if case .object(_, let members) = self { members[key] } else { nil }
  }

  var integer: Int? {
    guard case .number(let value) = self, value.rounded() == value, abs(value) <= SchemaValue.largestInteger else { return nil }
    return Int(value)
  }

  /// Integers up to here have an exact number in JSON.
  static let largestInteger = 9_007_199_254_740_992.0

  /// The kinds of value that this is one of.
  var kinds: Set<SchemaKind> {
    switch self {
    case .null: [.null]
    case .bool: [.boolean]
    case .number: integer == nil ? [.number] : [.integer, .number]
    case .string: [.string]
    case .array: [.array]
    case .object: [.object]
    }
  }

  /// The value as JSON text without blanks; nil for a number that has none exactly.
  var text: String? {
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .number(let value):
      if let integer { return "\(integer)" }
      return value.isFinite && abs(value) < SchemaValue.largestInteger ? "\(value)" : nil
    case .string(let value): return JSON.text(value)
    case .array(let elements):
      let texts = elements.compactMap(\.text)
      return texts.count == elements.count ? "[" + texts.joined(separator: ", ") + "]" : nil
    case .object(let keys, let members):
      let texts = keys.compactMap { key in members[key]?.text.map { JSON.text(key) + ": " + $0 } }
      return texts.count == keys.count ? "{" + texts.joined(separator: ", ") + "}" : nil
    }
  }

  /// What this is, for messages.
  var description: String { text.map { $0.count > 60 ? "\($0.prefix(60))..." : $0 } ?? "a number" }
}

/// The types of a JSON schema.
enum SchemaKind: String, CaseIterable {
  case null, boolean, integer, number, string, array, object
}
