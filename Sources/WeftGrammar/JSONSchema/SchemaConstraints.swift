// SPDX-License-Identifier: Apache-2.0

/// What several schemas demand of one value together.
struct SchemaConstraints {
  /// A limit of a number.
  struct Bound {
    var value: Double
    var isExclusive: Bool
    var place: LocatedSchema
  }

  /// The schemas, without references and `allOf`: those are here with what they name.
  let schemas: [LocatedSchema]
  /// The kinds of value that `type` allows; nil where no schema says it.
  private(set) var types: Set<SchemaKind>?
  /// What `enum` and `const` allow.
  private(set) var values: [SchemaValue]?
  private(set) var isImpossible = false
  private(set) var minimumLength = 0
  private(set) var maximumLength: Int?
  /// `pattern` and `format`.
  private(set) var shapes: [(keyword: String, schema: LocatedSchema)] = []
  private(set) var minimum: Bound?
  private(set) var maximum: Bound?
  private(set) var minimumItems = 0
  private(set) var maximumItems: Int?
  private(set) var required: [String] = []

  /// Keywords that say something about values of one kind only.
  private static let particular: [(kind: SchemaKind, keywords: [String])] = [
    (.object, ["properties", "required", "additionalProperties"]),
    (.array, ["items", "prefixItems", "minItems", "maxItems", "uniqueItems"]),
    (.string, ["minLength", "maxLength", "pattern", "format"]),
    (.number, ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"]),
  ]
  private static let general = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref", "$defs", "definitions"]
  /// Keywords that demand nothing.
  static let annotations: Set<String> = [
    "title", "description", "default", "examples", "$schema", "$id", "$comment", "deprecated", "readOnly", "writeOnly", "$defs",
    "definitions",
  ]
  private static let keywords = Set(general + particular.flatMap(\.keywords)).union(annotations)

  init(_ schemas: [LocatedSchema]) throws(GrammarError) {
    self.schemas = schemas
    for schema in schemas {
      if case .bool(let isAny) = schema.value {
        if !isAny { isImpossible = true }
        continue
      }
      guard let members = schema.members else { throw schema.error("an object, true or false") }
      for (key, member) in members { try read(key, member) }
    }
  }

  /// Whether some schema has this keyword.
  func has(_ keyword: String) -> Bool { schemas.contains { $0.value[keyword] != nil } }

  /// The kinds of value that are made: what `type` allows, or else those that the keywords speak of, or else all. Values of
  /// other kinds would be valid where `type` is absent, but are hardly what was meant.
  var kinds: Set<SchemaKind> {
    var kinds = types ?? Set(SchemaConstraints.particular.filter { $0.keywords.contains(where: has) }.map(\.kind))
    if kinds.isEmpty && types == nil { kinds = [.null, .boolean, .number, .string, .array, .object] }
    return kinds
  }

  /// Keywords beside `enum` and `const` that would have to be checked for each of their values.
  var keywordBesideValues: LocatedSchema? {
    for schema in schemas {
      for (_, keywords) in SchemaConstraints.particular {
        for keyword in keywords { if let found = schema.member(keyword) { return found } }
      }
    }
    return nil
  }

  private mutating func read(_ key: String, _ member: LocatedSchema) throws(GrammarError) {
    switch key {
    case "type": try readType(member)
    case "enum":
      guard case .array(let list) = member.value, !list.isEmpty else { throw member.error("a list of values") }
      restrict(to: list)
    case "const": restrict(to: [member.value])
    case "minLength": minimumLength = max(minimumLength, try count(member))
    case "maxLength": maximumLength = min(maximumLength ?? .max, try count(member))
    case "minItems": minimumItems = max(minimumItems, try count(member))
    case "maxItems": maximumItems = min(maximumItems ?? .max, try count(member))
    case "uniqueItems":
      guard member.value == .bool(false) else { throw member.error("no demand for unique items, which is not supported") }
    case "pattern", "format":
      guard case .string = member.value else { throw member.error("text") }
      if !shapes.contains(where: { $0.keyword == key && $0.schema.value == member.value }) { shapes.append((key, member)) }
    case "minimum": raise(try bound(member, isExclusive: false))
    case "exclusiveMinimum": raise(try bound(member, isExclusive: true))
    case "maximum": lower(try bound(member, isExclusive: false))
    case "exclusiveMaximum": lower(try bound(member, isExclusive: true))
    case "required":
      for element in member.elements ?? [] {
        guard case .string(let name) = element.value else { throw element.error("the name of a property") }
        if !required.contains(name) { required.append(name) }
      }
      if member.elements == nil { throw member.error("a list of names") }
    default:
      guard SchemaConstraints.keywords.contains(key) else {
        throw member.error("a supported keyword (\(SchemaConstraints.keywords.sorted().joined(separator: ", ")))", "'\(key)'")
      }
    }
  }

  private mutating func readType(_ member: LocatedSchema) throws(GrammarError) {
    var found: Set<SchemaKind> = []
    for element in member.elements ?? [member] {
      guard case .string(let name) = element.value, let kind = SchemaKind(rawValue: name) else {
        throw element.error("one of the types \(SchemaKind.allCases.map(\.rawValue).joined(separator: ", "))")
      }
      found.insert(kind)
    }
    // Integers are numbers.
    if found.contains(.number) { found.remove(.integer) }
    guard let old = types else { return types = found }
    types = old.intersection(found)
    if old.union(found).isSuperset(of: [.integer, .number]) { types?.insert(.integer) }
  }

  private mutating func restrict(to list: [SchemaValue]) {
    values = values.map { old in old.filter { list.contains($0) } } ?? list
  }

  private func count(_ member: LocatedSchema) throws(GrammarError) -> Int {
    guard let count = member.value.integer, (0...GBNFParser.maximumCount).contains(count) else {
      throw member.error("an integer from 0 to \(GBNFParser.maximumCount)")
    }
    return count
  }

  private func bound(_ member: LocatedSchema, isExclusive: Bool) throws(GrammarError) -> Bound {
    guard case .number(let value) = member.value, abs(value) <= SchemaValue.largestInteger else {
      throw member.error("a number of magnitude up to 2^53")
    }
    return Bound(value: value, isExclusive: isExclusive, place: member)
  }

  private mutating func raise(_ bound: Bound) {
    guard let old = minimum else { return minimum = bound }
    if bound.value > old.value || (bound.value == old.value && bound.isExclusive) { minimum = bound }
  }

  private mutating func lower(_ bound: Bound) {
    guard let old = maximum else { return maximum = bound }
    if bound.value < old.value || (bound.value == old.value && bound.isExclusive) { maximum = bound }
  }
}
