// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// Builds the tree of a template from its tokens: recursive descent, in Jinja's own order of precedence.
  struct Parser {
    let location: String
    let limits: Limits
    private let tokens: [Token]
    private var index = 0
    /// Levels of recursion at this moment.
    var depth = 0
    /// Loops around this place within the same macro.
    private var loopCount = 0
    /// Names that the macro being parsed mentions, of those that change how it may be called.
    var mentioned: Set<String> = []

    init(tokens: [Token], location: String, limits: Limits) {
      self.tokens = tokens
      self.location = location
      self.limits = limits
    }

    /// The whole template.
    mutating func run() throws(TemplateError) -> [Statement] {
      let body = try parseBody(until: [])
      guard current.kind == .end else { throw unexpected("the end of the template") }
      return body
    }

    // MARK: Tokens

    /// The last token is `end`, and `advance` stays on it.
    var current: Token { tokens[index] }

    var following: Token { tokens[min(index + 1, tokens.count - 1)] }

    mutating func advance() { index = min(index + 1, tokens.count - 1) }

    mutating func skip(_ symbol: Symbol) -> Bool {
      guard current.kind == .symbol(symbol) else { return false }
      advance()
      return true
    }

    mutating func skip(word: String) -> Bool {
      guard current.kind == .name(word) else { return false }
      advance()
      return true
    }

    mutating func expect(_ kind: Token.Kind) throws(TemplateError) {
      guard current.kind == kind else { throw unexpected(kind.spelling) }
      advance()
    }

    mutating func expectName(_ what: String) throws(TemplateError) -> String {
      guard case .name(let name) = current.kind else { throw unexpected(what) }
      advance()
      return name
    }

    func unexpected(_ expected: String) -> TemplateError {
      .syntax(location: "\(location):\(current.line)", expected: expected, found: current.kind.spelling)
    }

    /// Enters one level of recursion; pair it with `depth -= 1`.
    mutating func enter() throws(TemplateError) {
      depth += 1
      guard depth <= limits.depth else {
        throw .limit(location: "\(location):\(current.line)", expected: "at most \(limits.depth) levels of nesting")
      }
    }

    // MARK: Statements

    /// Statements up to a tag whose first word is one of `words`; its `{%` and word stay unread.
    mutating func parseBody(until words: Set<String>) throws(TemplateError) -> [Statement] {
      try enter()
      defer { depth -= 1 }
      var body: [Statement] = []
      while true {
        let line = current.line
        switch current.kind {
        case .text(let text):
          advance()
          body.append(Statement(kind: .text(text), line: line))
        case .outputBegin:
          advance()
          let value = try parseTuple()
          try expect(.outputEnd)
          body.append(Statement(kind: .output(value), line: line))
        case .tagBegin:
          guard case .name(let word) = following.kind else {
            advance()
            throw unexpected("the name of a tag")
          }
          if words.contains(word) { return body }
          advance()
          advance()
          body.append(Statement(kind: try parseTag(word), line: line))
        default:
          guard words.isEmpty else { throw unexpected(words.sorted().map { "{% \($0) %}" }.joined(separator: " or ")) }
          return body
        }
      }
    }

    /// Statements up to `{% word %}`, which is consumed.
    private mutating func parseBlock(endedBy word: String) throws(TemplateError) -> [Statement] {
      let body = try parseBody(until: [word])
      advance()
      advance()
      try expect(.tagEnd)
      return body
    }

    /// The rest of a tag after its first word, with its body where it has one.
    private mutating func parseTag(_ word: String) throws(TemplateError) -> Statement.Kind {
      switch word {
      case "if": return try parseIf()
      case "for": return .loop(try parseFor())
      case "set": return try parseSet()
      case "macro":
        let name = try expectName("the name of a macro")
        return .macro(try parseMacro(name: name, endedBy: "endmacro"))
      case "call": return try parseCallBlock()
      case "filter":
        let filtered = try parseFilters(of: captured(), startsWithName: true)
        try expect(.tagEnd)
        return .filter(filtered, body: try parseBlock(endedBy: "endfilter"))
      case "with": return try parseWith()
      case "generation":
        try expect(.tagEnd)
        return .generation(try parseBlock(endedBy: "endgeneration"))
      case "break", "continue":
        guard loopCount > 0 else {
          throw .syntax(location: "\(location):\(current.line)", expected: "a loop around it", found: "'\(word)'")
        }
        try expect(.tagEnd)
        return word == "break" ? .breakLoop : .continueLoop
      case "block", "extends", "include", "import", "from", "autoescape", "do", "trans":
        throw .unsupported(location: "\(location):\(current.line)", found: "the tag '\(word)'")
      default:
        throw .syntax(location: "\(location):\(current.line)", expected: "a tag of Jinja", found: "'\(word)'")
      }
    }

    private mutating func parseIf() throws(TemplateError) -> Statement.Kind {
      var branches: [(condition: Expression, body: [Statement])] = []
      while true {
        let condition = try parseTuple(allowsConditional: false)
        try expect(.tagEnd)
        branches.append((condition, try parseBody(until: ["elif", "else", "endif"])))
        advance()
        if skip(word: "elif") { continue }
        if skip(word: "endif") {
          try expect(.tagEnd)
          return .branch(branches, otherwise: [])
        }
        advance()
        try expect(.tagEnd)
        return .branch(branches, otherwise: try parseBlock(endedBy: "endif"))
      }
    }

    private mutating func parseFor() throws(TemplateError) -> Loop {
      let target = try parseTarget()
      guard skip(word: "in") else { throw unexpected("'in'") }
      let sequence = try parseTuple(allowsConditional: false, endWord: "recursive")
      let condition = skip(word: "if") ? try parseExpression() : nil
      let isRecursive = skip(word: "recursive")
      try expect(.tagEnd)
      loopCount += 1
      let body = try parseBody(until: ["else", "endfor"])
      loopCount -= 1
      advance()
      var otherwise: [Statement] = []
      if skip(word: "else") {
        try expect(.tagEnd)
        otherwise = try parseBlock(endedBy: "endfor")
      } else {
        advance()
        try expect(.tagEnd)
      }
      return Loop(
        target: target, sequence: sequence, condition: condition, isRecursive: isRecursive, body: body, otherwise: otherwise)
    }

    private mutating func parseSet() throws(TemplateError) -> Statement.Kind {
      let target = try parseTarget(allowsAttribute: true)
      if skip(.assign) {
        let value = try parseTuple()
        try expect(.tagEnd)
        return .assign(target, value)
      }
      let filtered = try parseFilters(of: captured(), startsWithName: false)
      try expect(.tagEnd)
      return .capture(target, filtered: filtered, body: try parseBlock(endedBy: "endset"))
    }

    private mutating func parseWith() throws(TemplateError) -> Statement.Kind {
      var assignments: [(target: Target, value: Expression)] = []
      while current.kind != .tagEnd {
        if !assignments.isEmpty { try expect(.symbol(.comma)) }
        let target = try parseTarget()
        try expect(.symbol(.assign))
        assignments.append((target, try parseExpression()))
      }
      advance()
      return .with(assignments, body: try parseBlock(endedBy: "endwith"))
    }

    private mutating func parseCallBlock() throws(TemplateError) -> Statement.Kind {
      let parameters = current.kind == .symbol(.openParenthesis) ? try parseParameters() : []
      let call = try parseExpression()
      guard case .call = call.kind else {
        throw .syntax(location: "\(location):\(call.line)", expected: "a call", found: "another expression")
      }
      let caller = try parseMacroBody(name: "caller", parameters: parameters, endedBy: "endcall")
      return .callBlock(call, caller: caller)
    }

    private mutating func parseMacro(name: String, endedBy word: String) throws(TemplateError) -> Macro {
      guard current.kind == .symbol(.openParenthesis) else { throw unexpected("'('") }
      let parameters = try parseParameters()
      return try parseMacroBody(name: name, parameters: parameters, endedBy: word)
    }

    private mutating func parseMacroBody(
      name: String, parameters: [(name: String, fallback: Expression?)], endedBy word: String
    ) throws(TemplateError) -> Macro {
      try expect(.tagEnd)
      let outer = (mentioned, loopCount)
      (mentioned, loopCount) = ([], 0)
      let body = try parseBlock(endedBy: word)
      let inner = mentioned
      (mentioned, loopCount) = outer
      return Macro(
        name: name, parameters: parameters, body: body, takesExtraPositional: inner.contains("varargs"),
        takesExtraKeywords: inner.contains("kwargs"))
    }

    /// `(a, b=default, ...)`
    private mutating func parseParameters() throws(TemplateError) -> [(name: String, fallback: Expression?)] {
      try expect(.symbol(.openParenthesis))
      var parameters: [(name: String, fallback: Expression?)] = []
      while !skip(.closeParenthesis) {
        if !parameters.isEmpty { try expect(.symbol(.comma)) }
        let name = try expectName("the name of a parameter")
        let fallback = skip(.assign) ? try parseExpression() : nil
        guard fallback != nil || parameters.last?.fallback == nil else { throw unexpected("a default for '\(name)'") }
        parameters.append((name, fallback))
      }
      return parameters
    }

    /// A name, `namespace.attribute`, or a tuple of them, parenthesised or not.
    private mutating func parseTarget(allowsAttribute: Bool = false) throws(TemplateError) -> Target {
      let first = try parseSingleTarget(allowsAttribute: allowsAttribute)
      guard current.kind == .symbol(.comma) else { return first }
      var targets = [first]
      while skip(.comma) {
        guard current.kind != .name("in") || following.kind == .name("in"), current.kind != .symbol(.assign) else { break }
        targets.append(try parseSingleTarget(allowsAttribute: allowsAttribute))
      }
      return .tuple(targets)
    }

    private mutating func parseSingleTarget(allowsAttribute: Bool) throws(TemplateError) -> Target {
      try enter()
      defer { depth -= 1 }
      if skip(.openParenthesis) {
        let target = try parseTarget(allowsAttribute: allowsAttribute)
        try expect(.symbol(.closeParenthesis))
        return target
      }
      let name = try expectName("a name to assign to")
      if allowsAttribute, skip(.dot) { return .attribute(of: name, try expectName("the name of an attribute")) }
      return .name(name)
    }

    private func captured() -> Expression { Expression(kind: .captured, line: current.line, height: 1) }
  }
}
