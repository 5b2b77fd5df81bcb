// SPDX-License-Identifier: Apache-2.0

/// From a JSON schema (2020-12) to a grammar in GBNF, whose texts are documents that are valid under the schema: not every
/// valid document, but none that is not.
///
/// Supported: `type` (also a list), `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`, `prefixItems`,
/// `minItems`, `maxItems`, `minLength`, `maxLength`, `pattern` (see `PatternCompiler`), `format` (date, time, date-time, uuid),
/// `minimum`, `maximum` and their exclusive forms (integers; for `number` up to nine digits), `anyOf`, `oneOf` (where no
/// document that is made for one alternative can be valid under another), `allOf`, `$ref` inside the document (recursive
/// ones, too), `$defs`, `definitions`, true and false. Annotations are ignored; any other keyword is refused by name.
///
/// What the documents look like: properties come in the order of the schema. Where `additionalProperties` is absent and
/// properties are named, there are no others. Behind `prefixItems` without `items` nothing follows. Numbers have up to 16
/// digits before and behind the point, years four digits. Between parts there is at most a space, or a line break with up to
/// 16 spaces.
struct JSONSchemaCompiler {
  private let document: LocatedSchema
  private(set) var rules: [(name: String, body: String)] = []
  /// The rule of a conjunction of schemas, by their places. An empty name: no value satisfies them.
  private var known: [String: String] = [:]
  private var depth = 0

  private static let maximumDepth = 200
  private static let maximumRules = 5000

  /// The grammar of a schema's documents.
  static func gbnf(of schema: SchemaValue) throws(GrammarError) -> String {
    var compiler = JSONSchemaCompiler(document: LocatedSchema(value: schema, pointer: ""))
    let root = try compiler.value([compiler.document])
    guard let root else { throw compiler.document.error("a schema that some document satisfies", "one that none can") }
    let all = [("root", root)] + compiler.rules + JSONGrammar.rules
    return all.map { "\($0.0) ::= \($0.1)\n" }.joined()
  }

  private init(document: LocatedSchema) { self.document = document }

  // MARK: - Values

  /// The rule of the values that satisfy all of some schemas; nil when there are none.
  mutating func value(_ schemas: [LocatedSchema]) throws(GrammarError) -> String? {
    let all = try expanded(schemas)
    if all.isEmpty { return "value" }
    let key = all.map(\.pointer).sorted().joined(separator: " & ")
    if let name = known[key] { return name.isEmpty ? nil : name }
    depth += 1
    defer { depth -= 1 }
    guard depth <= JSONSchemaCompiler.maximumDepth, rules.count < JSONSchemaCompiler.maximumRules else {
      throw all[0].error("a schema that is less deep and less wide", "more than \(JSONSchemaCompiler.maximumRules) rules")
    }
    let name = newName(all[0].pointer)
    known[key] = name
    let place = rules.count
    rules.append((name, ""))
    guard let body = try body(all, name) else {
      // Others may have counted on it.
      guard !rules[place...].contains(where: { $0.body.split(separator: " ").contains { $0 == name } }) else {
        throw all[0].error("a schema that some document satisfies", "one that always needs itself")
      }
      rules.removeSubrange(place...)
      known[key] = ""
      return nil
    }
    rules[place].body = body
    return name
  }

  private mutating func body(_ schemas: [LocatedSchema], _ name: String) throws(GrammarError) -> String? {
    let constraints = try SchemaConstraints(schemas)
    guard !constraints.isImpossible else { return nil }
    for keyword in ["anyOf", "oneOf"] {
      guard let place = schemas.firstIndex(where: { $0.value[keyword] != nil }) else { continue }
      return try alternatives(schemas, place, keyword)
    }
    if let values = constraints.values { return try literals(values, constraints) }
    var parts: [String] = []
    for kind in SchemaKind.allCases where constraints.kinds.contains(kind) {
      if let part = try part(kind, constraints, name) { parts.append(part) }
    }
    return parts.isEmpty ? nil : parts.joined(separator: " | ")
  }

  private mutating func part(
    _ kind: SchemaKind, _ constraints: SchemaConstraints, _ name: String
  ) throws(GrammarError) -> String? {
    switch kind {
    case .null: "\"null\""
    case .boolean: "(\"true\" | \"false\")"
    case .integer: try integer(constraints)
    case .number: try number(constraints)
    case .string: try string(constraints)
    case .array: try array(constraints, name)
    case .object: try object(constraints, name)
    }
  }

  private func literals(_ values: [SchemaValue], _ constraints: SchemaConstraints) throws(GrammarError) -> String? {
    if let keyword = constraints.keywordBesideValues {
      throw keyword.error("nothing but 'type' beside 'enum' and 'const'", "this keyword")
    }
    var texts: [String] = []
    for value in values where constraints.types.map({ !$0.isDisjoint(with: value.kinds) }) ?? true {
      guard let text = value.text else {
        throw constraints.schemas[0].error("numbers of magnitude up to 2^53 in 'enum' and 'const'", "a larger one")
      }
      texts.append(GBNFText.literal(text))
    }
    return texts.isEmpty ? nil : texts.joined(separator: " | ")
  }

  private mutating func alternatives(
    _ schemas: [LocatedSchema], _ place: Int, _ keyword: String
  ) throws(GrammarError) -> String? {
    let list = schemas[place].member(keyword)
    guard let list, let choices = list.elements, !choices.isEmpty else {
      throw schemas[place].error("a list of schemas in '\(keyword)'")
    }
    var rest = schemas
    rest[place] = schemas[place].without(keyword)
    if keyword == "oneOf" {
      for (index, one) in choices.enumerated() {
        for (offset, other) in choices.enumerated() where index != offset {
          guard try excludes(rest + [one], rest + [other], depth: 0) else {
            throw list.error(
              "alternatives of which no document satisfies two; 'anyOf' allows it", "\(index) and \(offset), which may overlap")
          }
        }
      }
    }
    var names: [String] = []
    for choice in choices { if let name = try value(rest + [choice]), !names.contains(name) { names.append(name) } }
    return names.isEmpty ? nil : names.joined(separator: " | ")
  }

  private func integer(_ constraints: SchemaConstraints) throws(GrammarError) -> String? {
    guard constraints.minimum != nil || constraints.maximum != nil else { return "integer" }
    let largest = 9_999_999_999_999_999
    func isWhole(_ value: Double) -> Bool { value.rounded() == value }
    var (low, high) = (-largest, largest)
    if let bound = constraints.minimum {
      low = Int(bound.value.rounded(.up)) + (bound.isExclusive && isWhole(bound.value) ? 1 : 0)
    }
    if let bound = constraints.maximum {
      high = Int(bound.value.rounded(.down)) - (bound.isExclusive && isWhole(bound.value) ? 1 : 0)
    }
    return NumberRanges.integers(low, high)
  }

  private func number(_ constraints: SchemaConstraints) throws(GrammarError) -> String? {
    guard constraints.minimum != nil || constraints.maximum != nil else { return "number" }
    func whole(_ bound: SchemaConstraints.Bound?, _ standard: Int) throws(GrammarError) -> (value: Int, isExclusive: Bool) {
      guard let bound else { return (standard, false) }
      guard bound.value.rounded() == bound.value, abs(bound.value) <= Double(NumberRanges.largestBound) else {
        throw bound.place.error("for 'number', an integer of at most nine digits; 'integer' takes larger ones")
      }
      return (Int(bound.value), bound.isExclusive)
    }
    return NumberRanges.numbers(
      try whole(constraints.minimum, -NumberRanges.largestBound), try whole(constraints.maximum, NumberRanges.largestBound))
  }

  private func string(_ constraints: SchemaConstraints) throws(GrammarError) -> String? {
    let (least, most) = (constraints.minimumLength, constraints.maximumLength)
    guard let (keyword, shape) = constraints.shapes.first, case .string(let text) = shape.value else {
      guard least <= most ?? .max else { return nil }
      if least == 0 && most == nil { return "string" }
      return "\"\\\"\" char{\(least),\(most.map(String.init) ?? "")} \"\\\"\""
    }
    guard constraints.shapes.count == 1, least == 0, most == nil else {
      throw shape.error("one of 'pattern', 'format' and limits of length", "several of them")
    }
    if keyword == "pattern" { return "\"\\\"\" \(try PatternCompiler.compile(text, shape)) \"\\\"\"" }
    guard JSONGrammar.formats.contains(text) else {
      throw shape.error("one of the formats \(JSONGrammar.formats.joined(separator: ", "))")
    }
    return "\"\\\"\" \(text) \"\\\"\""
  }

  // MARK: - Names and references

  /// The schemas with those that they refer to, each once, and without those that demand nothing.
  func expanded(_ schemas: [LocatedSchema]) throws(GrammarError) -> [LocatedSchema] {
    var result: [LocatedSchema] = []
    var waiting = Array(schemas.reversed())
    var seen: Set<String> = []
    while let schema = waiting.popLast() {
      guard seen.insert(schema.pointer).inserted else { continue }
      var rest = schema
      if let reference = schema.member("$ref") {
        waiting.append(try target(reference))
        rest = rest.without("$ref")
      }
      if let all = schema.member("allOf") {
        guard let members = all.elements else { throw all.error("a list of schemas") }
        waiting += members.reversed()
        rest = rest.without("allOf")
      }
      if rest.value == .bool(true) { continue }
      if let members = rest.members, members.allSatisfy({ SchemaConstraints.annotations.contains($0.key) }) { continue }
      result.append(rest)
    }
    return result
  }

  private func target(_ reference: LocatedSchema) throws(GrammarError) -> LocatedSchema {
    guard case .string(let text) = reference.value, text == "#" || text.hasPrefix("#/") else {
      throw reference.error("a reference into this document (#/...)")
    }
    var schema = document
    for part in text.dropFirst(2).split(separator: "/", omittingEmptySubsequences: false) where text != "#" {
      let key = LocatedSchema.unescaped(part)
      let elements = schema.elements
      let next = elements.map { list in Int(key).flatMap { list.indices.contains($0) ? list[$0] : nil } } ?? schema.member(key)
      guard let next else { throw reference.error("a reference to a part of this document", "'\(text)', which is none") }
      schema = next
    }
    return schema
  }

  /// A name that no rule has, made of the last word of a place.
  mutating func newName(_ pointer: String) -> String {
    let words = pointer.split { !$0.isASCII || !($0.isLetter || $0.isNumber) }
    return "\(words.last.map { String($0.prefix(24)) } ?? "document")-\(rules.count)"
  }

  mutating func add(_ name: String, _ body: String) { rules.append((name, body)) }
}

extension LocatedSchema {
  /// A part of a JSON pointer as it was before it was put into one.
  static func unescaped(_ part: Substring) -> String {
    var text = ""
    var isEscaped = false
    for character in part {
      if isEscaped {
        text.append(character == "1" ? "/" : "~")
        isEscaped = false
      } else if character == "~" {
        isEscaped = true
      } else {
        text.append(character)
      }
    }
    return text
  }
}
