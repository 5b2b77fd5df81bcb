// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// One rendering: walks the tree, writes text, and keeps count of what it uses.
  struct Evaluator {
    let template: Template
    let secondsSinceEpoch: Int?
    var output = ""
    private var outputBytes = 0
    private var steps = 0
    private var depth = 0
    /// Line of the node being evaluated, for errors.
    var line = 1
    var scope = Scope(parent: nil)
    /// Text of the block whose filters are being applied.
    var captured = ""
    // What values refer to by index.
    var namespaces: [Dictionary] = []
    var macros: [MacroClosure] = []
    var loops: [LoopState] = []

    /// The names of one block. A `final class`, because a macro sees the later assignments of the block that defines it.
    final class Scope {
      private var names: [(name: String, value: Value)] = []
      private let parent: Scope?

      init(parent: Scope?) { self.parent = parent }

      func value(of name: String) -> Value? {
        if let entry = names.last(where: { $0.name == name }) { return entry.value }
        return parent?.value(of: name)
      }

      func set(_ name: String, _ value: Value) {
        if let index = names.firstIndex(where: { $0.name == name }) {
          names[index].value = value
        } else {
          names.append((name, value))
        }
      }
    }

    struct MacroClosure {
      let macro: Macro
      let scope: Scope
    }

    /// What `loop` shows.
    struct LoopState {
      let loop: Loop
      let scope: Scope
      /// 0 for an outermost loop; a recursive call of `loop` adds one.
      let level: Int
      var elements: [Value]
      var index = 0
      var lastChanged: Value?
    }

    /// How a list of statements ended.
    enum Completion { case normal, breakLoop, continueLoop }

    init(template: Template, secondsSinceEpoch: Int?) {
      self.template = template
      self.secondsSinceEpoch = secondsSinceEpoch
    }

    mutating func render(_ variables: [(String, Value)]) throws(TemplateError) -> String {
      for (name, value) in variables {
        try check(value)
        scope.set(name, value)
      }
      scope = Scope(parent: scope)
      _ = try execute(template.body)
      return output
    }

    // MARK: Limits and errors

    var location: String { "\(template.location):\(line)" }

    func mismatch(_ expected: String, _ found: Value) -> TemplateError {
      .value(location: location, expected: expected, found: found.kind)
    }

    /// Counts work against the step budget.
    mutating func charge(_ count: Int) throws(TemplateError) {
      steps = steps.addingSaturating(count)
      guard steps <= template.limits.steps else {
        throw .limit(location: location, expected: "at most \(template.limits.steps) steps")
      }
    }

    mutating func enter() throws(TemplateError) {
      depth += 1
      guard depth <= template.limits.depth * 3 else {
        throw .limit(location: location, expected: "at most \(template.limits.depth * 3) levels of nesting and calls")
      }
    }

    mutating func leave() { depth -= 1 }

    /// Charges for a string of this many bytes before it is made.
    mutating func reserve(bytes: Int) throws(TemplateError) {
      guard bytes <= template.limits.outputBytes else {
        throw .limit(location: location, expected: "a text of at most \(template.limits.outputBytes) bytes")
      }
      try charge(bytes / 32 + 1)
    }

    /// The value, unless it is nested too deep to be walked or released safely.
    @discardableResult
    func check(_ value: Value) throws(TemplateError) -> Value {
      guard value.depth <= template.limits.depth else {
        throw .limit(location: location, expected: "a value of at most \(template.limits.depth) levels")
      }
      return value
    }

    mutating func list(_ elements: [Value]) throws(TemplateError) -> Value {
      try charge(elements.count)
      return try check(.list(List(elements)))
    }

    mutating func string(_ text: String) throws(TemplateError) -> Value {
      try reserve(bytes: text.utf8.count)
      return .string(text)
    }

    mutating func write(_ text: String) throws(TemplateError) {
      outputBytes = outputBytes.addingSaturating(text.utf8.count)
      guard outputBytes <= template.limits.outputBytes else {
        throw .limit(location: location, expected: "an output of at most \(template.limits.outputBytes) bytes")
      }
      output += text
    }

    /// Runs `body` in a new scope and returns what it wrote instead of letting it out.
    mutating func capture(_ body: [Statement], in inner: Scope) throws(TemplateError) -> String {
      var text = ""
      var other = inner
      swap(&text, &output)
      swap(&other, &scope)
      _ = try execute(body)
      swap(&text, &output)
      swap(&other, &scope)
      return text
    }

    // MARK: Statements

    mutating func execute(_ body: [Statement]) throws(TemplateError) -> Completion {
      try enter()
      defer { leave() }
      for statement in body {
        line = statement.line
        try charge(1)
        let completion = try execute(statement)
        guard completion == .normal else { return completion }
      }
      return .normal
    }

    private mutating func execute(_ statement: Statement) throws(TemplateError) -> Completion {
      switch statement.kind {
      case .text(let text): try write(text)
      case .output(let expression): try write(text(of: try evaluate(expression)))
      case .branch(let branches, let otherwise):
        for (condition, body) in branches where try evaluate(condition).isTrue { return try execute(body) }
        return try execute(otherwise)
      case .loop(let loop):
        let sequence = try evaluate(loop.sequence)
        try execute(loop, over: try elements(of: sequence), level: 0)
      case .assign(let target, let expression): try assign(try evaluate(expression), to: target)
      case .capture(let target, let filtered, let body):
        captured = try capture(body, in: Scope(parent: scope))
        try assign(try evaluate(filtered), to: target)
      case .filter(let filtered, let body):
        captured = try capture(body, in: Scope(parent: scope))
        try write(text(of: try evaluate(filtered)))
      case .macro(let macro): scope.set(macro.name, define(macro))
      case .callBlock(let call, let caller): try write(text(of: try evaluate(call, caller: define(caller))))
      case .with(let assignments, let body):
        let outer = scope
        let inner = Scope(parent: outer)
        for (target, expression) in assignments {
          let value = try evaluate(expression)
          scope = inner
          try assign(value, to: target)
          scope = outer
        }
        scope = inner
        defer { scope = outer }
        return try execute(body)
      case .generation(let body):
        let outer = scope
        scope = Scope(parent: outer)
        defer { scope = outer }
        return try execute(body)
      case .breakLoop: return .breakLoop
      case .continueLoop: return .continueLoop
      }
      return .normal
    }

    /// Runs a loop over `elements`, each round in its own scope.
    mutating func execute(_ loop: Loop, over elements: [Value], level: Int) throws(TemplateError) {
      let outer = scope
      defer { scope = outer }
      var elements = elements
      if let condition = loop.condition {
        var kept: [Value] = []
        for element in elements {
          try charge(1)
          scope = Scope(parent: outer)
          try assign(element, to: loop.target)
          if try evaluate(condition).isTrue { kept.append(element) }
        }
        elements = kept
        scope = outer
      }
      guard !elements.isEmpty else {
        scope = Scope(parent: outer)
        _ = try execute(loop.otherwise)
        return
      }
      let identity = loops.count
      loops.append(LoopState(loop: loop, scope: outer, level: level, elements: elements))
      defer { loops[identity].elements = [] }
      for (index, element) in elements.enumerated() {
        try charge(1)
        loops[identity].index = index
        scope = Scope(parent: outer)
        scope.set("loop", .loop(identity))
        try assign(element, to: loop.target)
        if try execute(loop.body) == .breakLoop { break }
      }
    }

    mutating func assign(_ value: Value, to target: Target) throws(TemplateError) {
      switch target {
      case .name(let name): scope.set(name, value)
      case .attribute(let owner, let attribute):
        let found = scope.value(of: owner) ?? .undefined(name: owner)
        guard case .namespace(let identity) = found else { throw mismatch("a namespace to set '\(attribute)' of", found) }
        try setAttribute(attribute, of: identity, to: value)
      case .tuple(let targets):
        let values = try elements(of: value)
        guard values.count == targets.count else {
          throw .value(location: location, expected: "\(targets.count) values to unpack", found: "\(values.count)")
        }
        for (target, value) in zip(targets, values) { try assign(value, to: target) }
      }
    }

    /// Names that begin with an underscore are refused, as transformers' sandbox does.
    mutating func setAttribute(_ name: String, of identity: Int, to value: Value) throws(TemplateError) {
      guard !name.hasPrefix("_") else {
        throw .value(location: location, expected: "an attribute without leading underscore", found: "'\(name)'")
      }
      try charge(namespaces[identity].entries.count / 4)
      namespaces[identity][.string(name)] = value
    }

    private mutating func define(_ macro: Macro) -> Value {
      macros.append(MacroClosure(macro: macro, scope: scope))
      return .macro(macros.count - 1)
    }
  }
}
