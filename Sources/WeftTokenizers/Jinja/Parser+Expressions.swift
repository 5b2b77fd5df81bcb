// SPDX-License-Identifier: Apache-2.0

extension Jinja.Parser {
  typealias Expression = Jinja.Expression

  /// A node over its children, refused when the tree gets too high: chains (`a + b + ...`, `a.b.c...`) grow without recursion.
  private func node(_ kind: Expression.Kind, line: Int, over children: [Expression]) throws(TemplateError) -> Expression {
    var height = 1
    for child in children { height = max(height, child.height + 1) }
    guard height <= limits.depth else {
      throw .limit(location: "\(location):\(line)", expected: "at most \(limits.depth) levels of nesting")
    }
    return Expression(kind: kind, line: line, height: height)
  }

  /// One expression, or several with commas between them, which make a tuple.
  mutating func parseTuple(
    allowsConditional: Bool = true, endWord: String? = nil, isParenthesised: Bool = false
  ) throws(TemplateError) -> Expression {
    let line = current.line
    var elements: [Expression] = []
    var isTuple = false
    while true {
      if isTupleEnd(endWord: endWord) { break }
      elements.append(try parseExpression(allowsConditional: allowsConditional))
      guard skip(.comma) else { break }
      isTuple = true
    }
    if !isTuple {
      if let only = elements.first { return only }
      guard isParenthesised else { throw unexpected("an expression") }
    }
    return try node(.tuple(elements), line: line, over: elements)
  }

  private func isTupleEnd(endWord: String?) -> Bool {
    switch current.kind {
    case .tagEnd, .outputEnd, .symbol(.closeParenthesis): true
    case .name(let name): name == endWord
    default: false
    }
  }

  mutating func parseExpression(allowsConditional: Bool = true) throws(TemplateError) -> Expression {
    try enter()
    defer { depth -= 1 }
    guard allowsConditional else { return try parseOr() }
    var result = try parseOr()
    while current.kind == .name("if") {
      let line = current.line
      advance()
      let condition = try parseOr()
      let otherwise = skip(word: "else") ? try parseExpression() : nil
      result = try node(
        .conditional(then: result, condition: condition, otherwise: otherwise), line: line,
        over: [result, condition] + (otherwise.map { [$0] } ?? []))
    }
    return result
  }

  private mutating func parseOr() throws(TemplateError) -> Expression {
    var left = try parseAnd()
    while current.kind == .name("or") {
      let line = current.line
      advance()
      let right = try parseAnd()
      left = try node(.or(left, right), line: line, over: [left, right])
    }
    return left
  }

  private mutating func parseAnd() throws(TemplateError) -> Expression {
    var left = try parseNot()
    while current.kind == .name("and") {
      let line = current.line
      advance()
      let right = try parseNot()
      left = try node(.and(left, right), line: line, over: [left, right])
    }
    return left
  }

  private mutating func parseNot() throws(TemplateError) -> Expression {
    guard current.kind == .name("not") else { return try parseComparison() }
    try enter()
    defer { depth -= 1 }
    let line = current.line
    advance()
    let operand = try parseNot()
    return try node(.not(operand), line: line, over: [operand])
  }

  private mutating func parseComparison() throws(TemplateError) -> Expression {
    let line = current.line
    let first = try parseSum()
    var rest: [(relation: Jinja.Relation, operand: Expression)] = []
    while let relation = skipRelation() { rest.append((relation, try parseSum())) }
    guard !rest.isEmpty else { return first }
    return try node(.comparison(first, rest), line: line, over: [first] + rest.map { $0.operand })
  }

  private mutating func skipRelation() -> Jinja.Relation? {
    switch current.kind {
    case .symbol(let symbol):
      guard let relation = Jinja.Relation(rawValue: symbol.rawValue) else { return nil }
      advance()
      return relation
    case .name("in"):
      advance()
      return .contained
    case .name("not") where following.kind == .name("in"):
      advance()
      advance()
      return .notContained
    default: return nil
    }
  }

  private mutating func parseSum() throws(TemplateError) -> Expression {
    var left = try parseConcatenation()
    while let operation = skipOperator([.plus, .minus]) {
      let right = try parseConcatenation()
      left = try node(.binary(operation, left, right), line: right.line, over: [left, right])
    }
    return left
  }

  private mutating func parseConcatenation() throws(TemplateError) -> Expression {
    let line = current.line
    var parts = [try parseProduct()]
    while skip(.tilde) { parts.append(try parseProduct()) }
    return parts.count == 1 ? parts[0] : try node(.concatenation(parts), line: line, over: parts)
  }

  private mutating func parseProduct() throws(TemplateError) -> Expression {
    var left = try parsePower()
    while let operation = skipOperator([.times, .divide, .floorDivide, .modulo]) {
      let right = try parsePower()
      left = try node(.binary(operation, left, right), line: right.line, over: [left, right])
    }
    return left
  }

  private mutating func parsePower() throws(TemplateError) -> Expression {
    var left = try parseUnary()
    while skipOperator([.power]) != nil {
      let right = try parseUnary()
      left = try node(.binary(.power, left, right), line: right.line, over: [left, right])
    }
    return left
  }

  private mutating func skipOperator(_ symbols: [Jinja.Symbol]) -> Jinja.BinaryOperator? {
    guard case .symbol(let symbol) = current.kind, symbols.contains(symbol) else { return nil }
    advance()
    return Jinja.BinaryOperator(rawValue: symbol.rawValue)
  }

  /// A sign binds closer than a filter: `-1 | abs` is 1.
  private mutating func parseUnary(allowsFilters: Bool = true) throws(TemplateError) -> Expression {
    let line = current.line
    var result: Expression
    if current.kind == .symbol(.minus) || current.kind == .symbol(.plus) {
      try enter()
      defer { depth -= 1 }
      let isNegative = current.kind == .symbol(.minus)
      advance()
      let operand = try parseUnary(allowsFilters: false)
      result = try node(isNegative ? .negative(operand) : .positive(operand), line: line, over: [operand])
    } else {
      result = try parsePrimary()
    }
    result = try parsePostfix(of: result)
    return allowsFilters ? try parseFilters(of: result, startsWithName: false) : result
  }

  private mutating func parsePrimary() throws(TemplateError) -> Expression {
    let line = current.line
    switch current.kind {
    case .name(let name):
      advance()
      switch name {
      case "true", "True": return try node(.constant(.bool(true)), line: line, over: [])
      case "false", "False": return try node(.constant(.bool(false)), line: line, over: [])
      case "none", "None": return try node(.constant(.none), line: line, over: [])
      default:
        if name == "varargs" || name == "kwargs" { mentioned.insert(name) }
        return try node(.name(name), line: line, over: [])
      }
    case .string(var text):
      advance()
      while case .string(let more) = current.kind {
        text += more
        advance()
      }
      return try node(.constant(.string(text)), line: line, over: [])
    case .integer(let value):
      advance()
      return try node(.constant(.integer(value)), line: line, over: [])
    case .float(let value):
      advance()
      return try node(.constant(.float(value)), line: line, over: [])
    case .symbol(.openParenthesis):
      advance()
      let inner = try parseTuple(isParenthesised: true)
      try expect(.symbol(.closeParenthesis))
      return inner
    case .symbol(.openBracket):
      advance()
      let elements = try parseElements(until: .closeBracket)
      return try node(.list(elements), line: line, over: elements)
    case .symbol(.openBrace): return try parseDictionary()
    default: throw unexpected("an expression")
    }
  }

  /// Expressions with commas between them (one may trail) up to `closing`, which is consumed.
  private mutating func parseElements(until closing: Jinja.Symbol) throws(TemplateError) -> [Expression] {
    var elements: [Expression] = []
    while !skip(closing) {
      if !elements.isEmpty {
        try expect(.symbol(.comma))
        if skip(closing) { break }
      }
      elements.append(try parseExpression())
    }
    return elements
  }

  private mutating func parseDictionary() throws(TemplateError) -> Expression {
    let line = current.line
    advance()
    var entries: [(key: Expression, value: Expression)] = []
    while !skip(.closeBrace) {
      if !entries.isEmpty {
        try expect(.symbol(.comma))
        if skip(.closeBrace) { break }
      }
      let key = try parseExpression()
      try expect(.symbol(.colon))
      entries.append((key, try parseExpression()))
    }
    return try node(.dictionary(entries), line: line, over: entries.flatMap { [$0.key, $0.value] })
  }

  /// `.name`, `.0`, `[...]` and `(...)` after an expression.
  private mutating func parsePostfix(of base: Expression) throws(TemplateError) -> Expression {
    var result = base
    while true {
      let line = current.line
      if skip(.dot) {
        switch current.kind {
        case .name(let name): result = try node(.attribute(result, name), line: line, over: [result])
        case .integer(let index):
          let key = try node(.constant(.integer(index)), line: line, over: [])
          result = try node(.item(result, key), line: line, over: [result])
        default: throw unexpected("the name of an attribute")
        }
        advance()
      } else if skip(.openBracket) {
        result = try parseSubscript(of: result, line: line)
      } else if current.kind == .symbol(.openParenthesis) {
        let arguments = try parseArguments()
        result = try node(.call(result, arguments), line: line, over: [result] + arguments.expressions)
      } else {
        return result
      }
    }
  }

  /// `[key]` or `[start:stop:step]`, after the bracket.
  private mutating func parseSubscript(of base: Expression, line: Int) throws(TemplateError) -> Expression {
    var parts: [Expression?] = [nil]
    while !skip(.closeBracket) {
      if skip(.colon) {
        parts.append(nil)
        guard parts.count <= 3 else { throw unexpected("']'") }
      } else {
        guard parts[parts.count - 1] == nil else { throw unexpected("']'") }
        parts[parts.count - 1] = try parseExpression()
      }
    }
    let children = [base] + parts.compactMap { $0 }
    if parts.count == 1 {
      guard let key = parts[0] else { throw unexpected("a key") }
      return try node(.item(base, key), line: line, over: children)
    }
    let step = parts.count == 3 ? parts[2] : nil
    return try node(.slice(base, start: parts[0], stop: parts[1], step: step), line: line, over: children)
  }

  private mutating func parseArguments() throws(TemplateError) -> Jinja.Arguments {
    try expect(.symbol(.openParenthesis))
    var arguments = Jinja.Arguments()
    var isFirst = true
    while !skip(.closeParenthesis) {
      if !isFirst {
        try expect(.symbol(.comma))
        if skip(.closeParenthesis) { break }
      }
      isFirst = false
      if skip(.times) {
        arguments.positional.append((try parseExpression(), true))
      } else if skip(.power) {
        arguments.keywords.append((nil, try parseExpression()))
      } else if case .name(let name) = current.kind, following.kind == .symbol(.assign) {
        advance()
        advance()
        arguments.keywords.append((name, try parseExpression()))
      } else {
        guard arguments.keywords.isEmpty else { throw unexpected("a keyword argument") }
        arguments.positional.append((try parseExpression(), false))
      }
    }
    return arguments
  }

  /// `| filter(...)` and `is test ...` after an expression. With `startsWithName` the first filter has no bar, as in `{% filter upper %}`.
  mutating func parseFilters(of base: Expression, startsWithName: Bool) throws(TemplateError) -> Expression {
    var result = base
    var startsWithName = startsWithName
    while true {
      let line = current.line
      if startsWithName || skip(.pipe) {
        startsWithName = false
        let name = try parseDottedName("the name of a filter")
        let arguments = current.kind == .symbol(.openParenthesis) ? try parseArguments() : Jinja.Arguments()
        result = try node(.filter(result, name: name, arguments), line: line, over: [result] + arguments.expressions)
      } else if skip(word: "is") {
        result = try parseTest(of: result, line: line)
      } else if current.kind == .symbol(.openParenthesis) {
        let arguments = try parseArguments()
        result = try node(.call(result, arguments), line: line, over: [result] + arguments.expressions)
      } else {
        return result
      }
    }
  }

  private mutating func parseDottedName(_ what: String) throws(TemplateError) -> String {
    var name = try expectName(what)
    while skip(.dot) { name += "." + (try expectName(what)) }
    return name
  }

  /// `[not] test`, `test(arguments)` or `test argument`, after `is`.
  private mutating func parseTest(of base: Expression, line: Int) throws(TemplateError) -> Expression {
    let isNegated = skip(word: "not")
    let name = try parseDottedName("the name of a test")
    var arguments = Jinja.Arguments()
    switch current.kind {
    case .symbol(.openParenthesis): arguments = try parseArguments()
    case .name("else"), .name("or"), .name("and"), .name("if"), .name("is"), .name("in"), .name("not"): break
    case .name, .string, .integer, .float, .symbol(.openBracket), .symbol(.openBrace):
      let primary = try parsePrimary()
      arguments.positional.append((try parsePostfix(of: primary), false))
    default: break
    }
    return try node(
      .test(base, name: name, arguments, isNegated: isNegated), line: line, over: [base] + arguments.expressions)
  }
}
