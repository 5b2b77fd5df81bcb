// SPDX-License-Identifier: Apache-2.0

extension JSONSchemaCompiler {
  /// Whether no document that is made for some schemas satisfies some others. False also means: not known.
  func excludes(_ made: [LocatedSchema], _ others: [LocatedSchema], depth: Int) throws(GrammarError) -> Bool {
    guard depth < 8 else { return false }
    let made = try SchemaConstraints(try expanded(made))
    let others = try SchemaConstraints(try expanded(others))
    if made.isImpossible || others.isImpossible { return true }
    if let values = made.values {
      return values.allSatisfy { value in
        if let allowed = others.values, !allowed.contains(value) { return true }
        return others.types.map { $0.isDisjoint(with: value.kinds) } ?? false
      }
    }
    if made.has("anyOf") || made.has("oneOf") || others.has("anyOf") || others.has("oneOf") {
      return try alternativesExclude(made.schemas, others.schemas, depth)
    }
    let kinds = made.kinds
    if let types = others.types {
      var allowed = types
      // A number that is made may be an integer, and the reverse always is one.
      if !types.isDisjoint(with: [.integer, .number]) { allowed.formUnion([.integer, .number]) }
      if kinds.isDisjoint(with: allowed) { return true }
    }
    if let values = others.values, values.allSatisfy({ kinds.isDisjoint(with: $0.kinds) }) { return true }
    guard kinds == [.object] else { return false }
    return try objectsExclude(made, others, depth)
  }

  /// Objects exclude each other by a property that the others require: it is never made, or never with a value that they allow.
  private func objectsExclude(
    _ made: SchemaConstraints, _ others: SchemaConstraints, _ depth: Int
  ) throws(GrammarError) -> Bool {
    let (shape, otherShape) = (try shape(made), try shape(others))
    for name in others.required {
      guard let schemas = shape.properties.first(where: { $0.name == name })?.schemas ?? shape.additional else { return true }
      let otherSchemas = otherShape.properties.first { $0.name == name }?.schemas ?? []
      if try excludes(schemas, otherSchemas, depth: depth + 1) { return true }
    }
    return false
  }

  private func alternativesExclude(
    _ made: [LocatedSchema], _ others: [LocatedSchema], _ depth: Int
  ) throws(GrammarError) -> Bool {
    for choice in try choices(of: made) {
      for other in try choices(of: others) {
        guard try excludes(choice, other, depth: depth + 1) else { return false }
      }
    }
    return true
  }

  /// The schemas with each alternative of their first `anyOf` or `oneOf`.
  private func choices(of schemas: [LocatedSchema]) throws(GrammarError) -> [[LocatedSchema]] {
    for keyword in ["anyOf", "oneOf"] {
      guard let place = schemas.firstIndex(where: { $0.value[keyword] != nil }) else { continue }
      guard let list = schemas[place].member(keyword)?.elements else {
        throw schemas[place].error("a list of schemas in '\(keyword)'")
      }
      var rest = schemas
      rest[place] = schemas[place].without(keyword)
      return list.map { rest + [$0] }
    }
    return [schemas]
  }
}
