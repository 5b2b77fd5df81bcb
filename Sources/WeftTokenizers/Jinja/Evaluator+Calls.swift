// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  mutating func call(_ callee: Value, with arguments: CallArguments) throws(TemplateError) -> Value {
    switch callee {
    case .function(let function): return try call(function, with: arguments)
    case .macro(let identity): return try string(try call(macro: identity, with: arguments))
    case .method(let method, of: let receiver): return try call(method, of: receiver, with: arguments)
    case .loop(let identity):
      // loop(elements), inside `for ... recursive`: the same body one level deeper.
      let state = loops[identity]
      let slots = try bind(arguments, "iterable", of: "loop")
      guard state.loop.isRecursive, let value = slots[0] else { throw mismatch("a recursive loop with one argument", callee) }
      try enter()
      defer { leave() }
      var written = ""
      var outer = state.scope
      swap(&written, &output)
      swap(&outer, &scope)
      try execute(state.loop, over: try elements(of: value), level: state.level + 1)
      swap(&written, &output)
      swap(&outer, &scope)
      return try string(written)
    default: throw mismatch("something to call", callee)
    }
  }

  private mutating func call(macro identity: Int, with arguments: CallArguments) throws(TemplateError) -> String {
    let closure = macros[identity]
    let macro = closure.macro
    let inner = Scope(parent: closure.scope)
    var rest = arguments.keywords
    for (index, parameter) in macro.parameters.enumerated() {
      if index < arguments.positional.count {
        inner.set(parameter.name, arguments.positional[index])
      } else if let at = rest.firstIndex(where: { $0.name == parameter.name }) {
        inner.set(parameter.name, rest.remove(at: at).value)
      } else if let fallback = parameter.fallback {
        let outer = scope
        scope = inner
        inner.set(parameter.name, try evaluate(fallback))
        scope = outer
      } else {
        inner.set(parameter.name, .undefined(name: parameter.name))
      }
    }
    let extra = arguments.positional.dropFirst(macro.parameters.count)
    guard extra.isEmpty || macro.takesExtraPositional else {
      throw .value(
        location: location, expected: "at most \(macro.parameters.count) arguments of '\(macro.name)'",
        found: "\(arguments.positional.count)")
    }
    guard rest.isEmpty || macro.takesExtraKeywords else {
      throw .value(location: location, expected: "only known arguments of '\(macro.name)'", found: "'\(rest[0].name)'")
    }
    if macro.takesExtraPositional { inner.set("varargs", .tuple(Jinja.List(Array(extra)))) }
    if macro.takesExtraKeywords { inner.set("kwargs", .dictionary(Jinja.Dictionary(rest.map { ($0.name, $0.value) }))) }
    inner.set("caller", arguments.caller ?? .undefined(name: "caller"))
    let outerLine = line
    let text = try capture(macro.body, in: inner)
    line = outerLine
    return text
  }

  private mutating func call(_ function: Jinja.Function, with arguments: CallArguments) throws(TemplateError) -> Value {
    switch function {
    case .range: return try range(arguments)
    case .dict: return .dictionary(try dictionary(from: arguments))
    case .namespace:
      let initial = try dictionary(from: arguments)
      namespaces.append(Jinja.Dictionary())
      let identity = namespaces.count - 1
      for (key, value) in initial.entries {
        guard case .string(let name) = key else { throw mismatch("a string as name of an attribute", key) }
        try setAttribute(name, of: identity, to: value)
      }
      return .namespace(identity)
    case .raiseException:
      let slots = try bind(arguments, "message", of: function.rawValue)
      throw .raised(location: location, message: try text(of: slots[0] ?? .none))
    case .strftimeNow:
      let slots = try bind(arguments, "format", of: function.rawValue)
      let format = try string(slots[0], "the format")
      guard let text = Jinja.calendarText(format, secondsSinceEpoch: secondsSinceEpoch) else {
        throw .value(location: location, expected: "a date format", found: "'\(format.prefix(40))'")
      }
      return try string(text)
    }
  }

  /// At most 100000 numbers, as in Jinja's sandbox.
  private mutating func range(_ arguments: CallArguments) throws(TemplateError) -> Value {
    let slots = try bind(arguments, "start", "stop", "step", of: "range")
    let first = try integer(slots[0], "the bound of a range", fallback: 0)
    let (start, stop) = slots[1] == nil ? (0, first) : (first, try integer(slots[1], "the bound of a range", fallback: 0))
    let step = try integer(slots[2], "the step of a range", fallback: 1)
    guard step != 0 else { throw .value(location: location, expected: "a range step other than 0", found: "0") }
    var numbers: [Value] = []
    var number = start
    while step > 0 ? number < stop : number > stop {
      numbers.append(.integer(number))
      guard numbers.count <= 100_000 else { throw .limit(location: location, expected: "a range of at most 100000 numbers") }
      number = number.addingSaturating(step)
    }
    try charge(numbers.count)
    return try list(numbers)
  }

  /// `dict(mapping or pairs, key=value, ...)`
  private mutating func dictionary(from arguments: CallArguments) throws(TemplateError) -> Jinja.Dictionary {
    var result = Jinja.Dictionary()
    guard arguments.positional.count <= 1 else {
      throw .value(location: location, expected: "at most 1 positional argument", found: "\(arguments.positional.count)")
    }
    if case .dictionary(let entries)? = arguments.positional.first {
      result = entries
    } else if let pairs = arguments.positional.first {
      for pair in try elements(of: pairs) {
        let parts = try elements(of: pair)
        guard parts.count == 2, parts[0].isHashable else { throw mismatch("pairs of key and value", pair) }
        try charge(result.entries.count / 4)
        result[parts[0]] = parts[1]
      }
    }
    for (name, value) in arguments.keywords {
      try charge(result.entries.count / 4)
      result[.string(name)] = value
    }
    try check(.dictionary(result))
    return result
  }
}
