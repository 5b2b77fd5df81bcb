// SPDX-License-Identifier: Apache-2.0

extension JSONSchemaCompiler {
  /// What a schema's objects may hold.
  struct ObjectShape {
    /// Names in order, and all that is demanded of their values. Nothing is demanded of a property in an empty list.
    var properties: [(name: String, schemas: [LocatedSchema])]
    /// What is demanded of properties without a name here; nil where there are none.
    var additional: [LocatedSchema]?
  }

  func shape(_ constraints: SchemaConstraints) throws(GrammarError) -> ObjectShape {
    var names: [String] = []
    for schema in constraints.schemas {
      guard let properties = schema.member("properties") else { continue }
      guard let members = properties.members else { throw properties.error("an object of schemas") }
      for (name, _) in members where !names.contains(name) { names.append(name) }
    }
    let isOpen = names.isEmpty || constraints.has("additionalProperties")
    for name in constraints.required where !names.contains(name) { names.append(name) }
    var shape = ObjectShape(properties: [], additional: isOpen ? [] : nil)
    for name in names {
      let schemas = constraints.schemas.compactMap {
        $0.member("properties")?.member(name) ?? $0.member("additionalProperties")
      }
      shape.properties.append((name, schemas))
    }
    for schema in constraints.schemas {
      guard let additional = schema.member("additionalProperties") else { continue }
      if additional.value == .bool(false) { shape.additional = nil } else { shape.additional?.append(additional) }
    }
    return shape
  }

  /// Properties come in order. Whether a comma is needed depends on whether one came before: there are two rules for each
  /// property, for the rest of an object with and without something in it.
  mutating func object(_ constraints: SchemaConstraints, _ name: String) throws(GrammarError) -> String? {
    let shape = try shape(constraints)
    var members: [(text: String, isRequired: Bool)] = []
    for (key, schemas) in shape.properties {
      let isRequired = constraints.required.contains(key)
      guard let value = try value(schemas) else {
        if isRequired { return nil }
        continue
      }
      guard let text = SchemaValue.string(key).text else { continue }
      members.append(("\(GBNFText.literal(text + ":")) space \(value)", isRequired))
    }
    var first = "\"\""
    var rest = "\"\""
    if let additional = shape.additional, let value = try value(additional) {
      let key = "\(name)-key-\(rules.count)"
      addKeys(key, besides: shape.properties.map(\.name))
      let more = "\(name)-more-\(rules.count)"
      add(more, "(\",\" gap \(key) \":\" space \(value))*")
      rest = more
      first = "(\(key) \":\" space \(value) \(more))?"
    }
    for (text, isRequired) in members.reversed() {
      let (oldFirst, oldRest) = (first, rest)
      let begun = "\(name)-rest-\(rules.count)"
      add(begun, isRequired ? "\",\" gap \(text) \(oldRest)" : "(\",\" gap \(text))? \(oldRest)")
      rest = begun
      let fresh = "\(name)-first-\(rules.count)"
      add(fresh, isRequired ? "\(text) \(oldRest)" : "\(text) \(oldRest) | \(oldFirst)")
      first = fresh
    }
    return members.contains(where: \.isRequired) ? "\"{\" gap \(first) gap \"}\"" : "\"{\" (gap \(first) gap)? \"}\""
  }

  /// Rules for keys that are none of these names. They have no escapes, so that a name has one spelling only.
  private mutating func addKeys(_ name: String, besides names: [String]) {
    // One rule for every beginning that some name has.
    var beginnings: [String: String] = ["": "\(name)-0"]
    var order = [""]
    for text in names {
      var beginning = ""
      for character in text.unicodeScalars {
        beginning.unicodeScalars.append(character)
        if beginnings[beginning] == nil {
          beginnings[beginning] = "\(name)-\(order.count)"
          order.append(beginning)
        }
      }
    }
    for beginning in order {
      var parts = beginning.isEmpty || names.contains(beginning) ? [] : ["\"\""]
      var taken = ""
      let length = beginning.unicodeScalars.count
      for longer in order
      where longer.unicodeScalars.count == length + 1 && longer.unicodeScalars.starts(with: beginning.unicodeScalars) {
        guard let next = longer.unicodeScalars.last, let rule = beginnings[longer] else { continue }
        // Keys do not have what would need an escape.
        guard next.value >= 0x20, next.value != 0x7F, next != "\"", next != "\\" else { continue }
        parts.append("\(GBNFText.literal(String(next))) \(rule)")
        taken += GBNFText.inClass(next.value)
      }
      parts.append("[^\"\\\\\\x00-\\x1F\\x7F\(taken)] [^\"\\\\\\x00-\\x1F\\x7F]*")
      add(beginnings[beginning] ?? name, parts.joined(separator: " | "))
    }
    add(name, "\"\\\"\" \(name)-0 \"\\\"\"")
  }
}
