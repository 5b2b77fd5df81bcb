// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  typealias Value = Jinja.Value
  typealias Expression = Jinja.Expression

  /// The value of an expression. `caller` is the block of a `call` tag, handed to the macro that the expression calls.
  mutating func evaluate(_ expression: Expression, caller: Value? = nil) throws(TemplateError) -> Value {
    try enter()
    defer { leave() }
    try charge(1)
    line = expression.line
    switch expression.kind {
    case .constant(let value): return value
    case .name(let name): return look(up: name)
    case .list(let elements): return try list(try evaluateAll(elements))
    case .tuple(let elements):
      let values = try evaluateAll(elements)
      try charge(values.count / 4)
      return try check(.tuple(Jinja.List(values)))
    case .dictionary(let entries): return try evaluateDictionary(entries)
    case .attribute(let base, let name):
      let value = try evaluate(base)
      line = expression.line
      return try attribute(name, of: value)
    case .item(let base, let key):
      let value = try evaluate(base)
      let key = try evaluate(key)
      line = expression.line
      return try item(key, of: value)
    case .slice(let base, let start, let stop, let step):
      let value = try evaluate(base)
      let bounds = (try evaluateBound(start), try evaluateBound(stop), try evaluateBound(step))
      return try slice(value, start: bounds.0, stop: bounds.1, step: bounds.2)
    case .call(let callee, let arguments):
      let function = try evaluate(callee)
      var values = try evaluate(arguments)
      values.caller = caller
      line = expression.line
      return try call(function, with: values)
    case .filter(let input, let name, let arguments):
      let value = try evaluate(input)
      let values = try evaluate(arguments)
      line = expression.line
      return try apply(filter: name, to: value, with: values)
    case .test(let input, let name, let arguments, let isNegated):
      let value = try evaluate(input)
      let values = try evaluate(arguments)
      line = expression.line
      return .bool(try passes(test: name, value, with: values) != isNegated)
    case .captured: return try string(captured)
    default: return try evaluateOperation(expression)
    }
  }

  /// Operators; apart from `evaluate`, whose stack frame every level of nesting pays for.
  private mutating func evaluateOperation(_ expression: Expression) throws(TemplateError) -> Value {
    switch expression.kind {
    case .not(let operand): return .bool(!(try evaluate(operand).isTrue))
    case .and(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? try evaluate(right) : value
    case .or(let left, let right):
      let value = try evaluate(left)
      return value.isTrue ? value : try evaluate(right)
    case .negative(let operand): return try negated(try evaluate(operand))
    case .positive(let operand):
      let value = try evaluate(operand)
      switch value.number {
      case .integer(let number)?: return .integer(number)
      case .float(let number)?: return .float(number)
      case nil: throw mismatch("a number after '+'", value)
      }
    case .binary(let operation, let left, let right):
      let first = try evaluate(left)
      let second = try evaluate(right)
      line = expression.line
      return try combine(first, operation, second)
    case .concatenation(let parts):
      var joined = ""
      for part in parts {
        joined += try text(of: try evaluate(part))
        try reserve(bytes: joined.utf8.count)
      }
      return .string(joined)
    case .comparison(let first, let rest):
      var left = try evaluate(first)
      for (relation, operand) in rest {
        let right = try evaluate(operand)
        line = expression.line
        guard try holds(left, relation, right) else { return .bool(false) }
        left = right
      }
      return .bool(true)
    case .conditional(let then, let condition, let otherwise):
      if try evaluate(condition).isTrue { return try evaluate(then) }
      guard let otherwise else { return .undefined(name: "the value of an 'if' without 'else'") }
      return try evaluate(otherwise)
    default: return .none
    }
  }

  private mutating func evaluateAll(_ expressions: [Expression]) throws(TemplateError) -> [Value] {
    var values: [Value] = []
    values.reserveCapacity(expressions.count)
    for expression in expressions { values.append(try evaluate(expression)) }
    return values
  }

  private mutating func evaluateDictionary(
    _ entries: [(key: Expression, value: Expression)]
  ) throws(TemplateError) -> Value {
    var dictionary = Jinja.Dictionary()
    for (key, value) in entries {
      let key = try evaluate(key)
      guard key.isHashable else { throw mismatch("a key that does not change", key) }
      try charge(dictionary.entries.count / 4)
      dictionary[key] = try evaluate(value)
    }
    return try check(.dictionary(dictionary))
  }

  private mutating func evaluateBound(_ expression: Expression?) throws(TemplateError) -> Int? {
    guard let expression else { return nil }
    let value = try evaluate(expression)
    if case .none = value { return nil }
    guard let index = value.integer else { throw mismatch("an integer as bound of a slice", value) }
    return index
  }

  mutating func evaluate(_ arguments: Jinja.Arguments) throws(TemplateError) -> CallArguments {
    var values = CallArguments()
    for (expression, isUnpacked) in arguments.positional {
      let value = try evaluate(expression)
      if isUnpacked { values.positional += try elements(of: value) } else { values.positional.append(value) }
    }
    for (name, expression) in arguments.keywords {
      let value = try evaluate(expression)
      if let name {
        values.keywords.append((name, value))
        continue
      }
      guard case .dictionary(let dictionary) = value else { throw mismatch("a mapping after '**'", value) }
      for (key, value) in dictionary.entries {
        guard case .string(let name) = key else { throw mismatch("a string as key after '**'", key) }
        values.keywords.append((name, value))
      }
    }
    try charge(values.positional.count / 4 + values.keywords.count / 4)
    return values
  }

  private func look(up name: String) -> Value {
    if let value = scope.value(of: name) { return value }
    if let function = Jinja.Function(rawValue: name) { return .function(function) }
    if name == "null", template.dialect == .huggingfaceJS { return .none }
    return .undefined(name: name)
  }

  // MARK: Parts of values

  /// The elements that iterating gives: of a list, the keys of a mapping, the characters of a string, nothing of an undefined value.
  mutating func elements(of value: Value) throws(TemplateError) -> [Value] {
    switch value {
    case .list(let list), .tuple(let list):
      try charge(list.elements.count / 4)
      return list.elements
    case .dictionary(let dictionary):
      try charge(dictionary.entries.count / 4)
      return dictionary.entries.map { $0.key }
    case .string(let text):
      try charge(text.utf8.count)
      return text.unicodeScalars.map { .string(String($0)) }
    case .undefined: return []
    default: throw mismatch("something to iterate over", value)
    }
  }

  /// `value.name`: a method before a key, as attributes come first in Python.
  mutating func attribute(_ name: String, of value: Value) throws(TemplateError) -> Value {
    if case .undefined = value { throw mismatch("a defined value before '.\(name)'", value) }
    if let method = Jinja.Method(rawValue: name), value.has(method) { return try check(.method(method, of: value)) }
    return try member(.string(name), of: value) ?? .undefined(name: name)
  }

  /// `value[key]`: a key before a method.
  mutating func item(_ key: Value, of value: Value) throws(TemplateError) -> Value {
    if case .undefined = value { throw mismatch("a defined value before '['", value) }
    if let found = try member(key, of: value) { return found }
    guard case .string(let name) = key else { return .undefined(name: key.kind) }
    if let method = Jinja.Method(rawValue: name), value.has(method) { return try check(.method(method, of: value)) }
    return .undefined(name: name)
  }

  /// The element or entry under a key, or the attribute of a namespace, loop or macro.
  private mutating func member(_ key: Value, of value: Value) throws(TemplateError) -> Value? {
    switch value {
    case .dictionary(let dictionary):
      try charge(key.size / 4 + dictionary.entries.count / 8)
      return dictionary[key]
    case .list(let list), .tuple(let list):
      guard let index = key.integer else { return nil }
      return list.elements.element(at: index)
    case .string(let text):
      guard let index = key.integer else { return nil }
      try charge(text.utf8.count / 32)
      let scalars = text.unicodeScalars
      if index >= 0 {
        guard let at = scalars.index(scalars.startIndex, offsetBy: index, limitedBy: scalars.endIndex), at < scalars.endIndex
        else { return nil }
        return .string(String(scalars[at]))
      }
      guard let at = scalars.index(scalars.endIndex, offsetBy: index, limitedBy: scalars.startIndex) else { return nil }
      return .string(String(scalars[at]))
    case .namespace(let identity): return namespaces[identity][key]
    case .loop(let identity):
      guard case .string(let name) = key else { return nil }
      return loopAttribute(name, of: identity)
    case .macro(let identity):
      guard case .string(let name) = key else { return nil }
      let macro = macros[identity].macro
      return switch name {
      case "name": .string(macro.name)
      case "arguments": .tuple(Jinja.List(macro.parameters.map { .string($0.name) }))
      default: nil
      }
    default: return nil
    }
  }

  private func loopAttribute(_ name: String, of identity: Int) -> Value? {
    let state = loops[identity]
    switch name {
    case "index": return .integer(state.index + 1)
    case "index0": return .integer(state.index)
    case "revindex": return .integer(state.elements.count - state.index)
    case "revindex0": return .integer(state.elements.count - state.index - 1)
    case "first": return .bool(state.index == 0)
    case "last": return .bool(state.index == state.elements.count - 1)
    case "length": return .integer(state.elements.count)
    case "depth": return .integer(state.level + 1)
    case "depth0": return .integer(state.level)
    case "previtem": return state.index > 0 ? state.elements.element(at: state.index - 1) : nil
    case "nextitem": return state.index + 1 < state.elements.count ? state.elements[state.index + 1] : nil
    default: return nil
    }
  }

  /// `value[start:stop:step]` with Python's rules for negative and missing bounds.
  private mutating func slice(_ value: Value, start: Int?, stop: Int?, step: Int?) throws(TemplateError) -> Value {
    switch value {
    case .string(let text):
      try charge(text.utf8.count / 32)
      let scalars = Array(text.unicodeScalars)
      var result = String.UnicodeScalarView()
      for index in try sliceIndices(count: scalars.count, start: start, stop: stop, step: step) {
        result.append(scalars[index])
      }
      return try string(String(result))
    case .list(let elements), .tuple(let elements):
      let indices = try sliceIndices(count: elements.elements.count, start: start, stop: stop, step: step)
      let result = indices.map { elements.elements[$0] }
      if case .tuple = value { return .tuple(Jinja.List(result)) }
      return try list(result)
    default: throw mismatch("a string or a list to take a slice of", value)
    }
  }

  private mutating func sliceIndices(count: Int, start: Int?, stop: Int?, step: Int?) throws(TemplateError) -> [Int] {
    let step = step ?? 1
    guard step != 0 else { throw .value(location: location, expected: "a slice step other than 0", found: "0") }
    let (lowest, highest) = step > 0 ? (0, count) : (-1, count - 1)
    func clamped(_ bound: Int?, _ missing: Int) -> Int {
      guard let bound else { return missing }
      return min(max(bound < 0 ? bound.addingSaturating(count) : bound, lowest), highest)
    }
    let first = clamped(start, step > 0 ? lowest : highest)
    let end = clamped(stop, step > 0 ? highest : lowest)
    var indices: [Int] = []
    var index = first
    while step > 0 ? index < end : index > end {
      indices.append(index)
      index = index.addingSaturating(step)
    }
    try charge(indices.count / 4 + 1)
    return indices
  }
}

extension Array {
  /// The element at an index that may be negative, from the end; nil outside.
  func element(at index: Int) -> Element? {
    let position = index < 0 ? index + count : index
    return indices.contains(position) ? self[position] : nil
  }
}

extension Jinja.Value {
  /// Whether this can be the key of a mapping.
  var isHashable: Bool {
    switch self {
    case .list, .dictionary, .namespace: false
    case .tuple(let list): list.elements.allSatisfy { $0.isHashable }
    default: true
    }
  }

  /// Whether this kind of value has a method.
  func has(_ method: Jinja.Method) -> Bool {
    switch self {
    case .string:
      switch method {
      case .get, .items, .keys, .values, .copy, .cycle, .changed: false
      default: true
      }
    case .dictionary: [.get, .items, .keys, .values, .copy].contains(method)
    case .list: [.index, .count, .copy].contains(method)
    case .tuple: [.index, .count].contains(method)
    case .loop: [.cycle, .changed].contains(method)
    default: false
    }
  }
}
