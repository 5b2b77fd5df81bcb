// SPDX-License-Identifier: Apache-2.0

extension JSONSchemaCompiler {
  /// First the items of `prefixItems`, then those of `items`.
  mutating func array(_ constraints: SchemaConstraints, _ name: String) throws(GrammarError) -> String? {
    let least = constraints.minimumItems
    var most = constraints.maximumItems ?? .max
    var prefix: [[LocatedSchema]] = []
    for schema in constraints.schemas {
      if let items = schema.member("items"), items.elements != nil {
        throw items.error("one schema; a list of schemas is 'prefixItems'", "a list")
      }
      guard let list = schema.member("prefixItems") else { continue }
      guard let elements = list.elements else { throw list.error("a list of schemas") }
      while prefix.count < elements.count { prefix.append([]) }
    }
    var others: [LocatedSchema] = []
    for schema in constraints.schemas {
      let elements = schema.member("prefixItems")?.elements ?? []
      for index in prefix.indices {
        if index < elements.count {
          prefix[index].append(elements[index])
        } else if let items = schema.member("items") {
          prefix[index].append(items)
        }
      }
      if let items = schema.member("items") { others.append(items) }
    }
    // Nothing is said about what follows the prefix: nothing follows, unless something has to.
    if !prefix.isEmpty && !constraints.has("items") { most = min(most, max(prefix.count, least)) }

    // A place at which nothing can stand ends the array.
    var items: [String] = []
    for schemas in prefix.prefix(most) {
      guard let item = try value(schemas) else {
        most = items.count
        break
      }
      items.append(item)
    }
    var other: String?
    if most > items.count {
      other = try value(others)
      if other == nil { most = items.count }
    }
    guard least <= most else { return nil }
    guard most > 0 else { return "\"[]\"" }

    // From the end to the beginning: what follows behind so many items, commas included.
    var tail = ""
    if let other {
      let open = max(0, least - max(items.count, 1))
      let limit = most == .max ? "" : "\(most - max(items.count, 1))"
      if limit != "0" { tail = "(\",\" gap \(other)){\(open),\(limit)}" }
    }
    for index in items.indices.reversed() where index > 0 {
      let rule = "\(name)-tail-\(rules.count)"
      add(rule, index < least ? "\",\" gap \(items[index]) \(tail)" : "(\",\" gap \(items[index]) \(tail))?")
      tail = rule
    }
    let body = "gap \(items.first ?? other ?? "value") \(tail) gap"
    return least > 0 ? "\"[\" \(body) \"]\"" : "\"[\" (\(body))? \"]\""
  }
}
