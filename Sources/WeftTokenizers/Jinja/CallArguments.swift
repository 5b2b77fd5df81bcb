// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  /// The evaluated arguments of a call.
  struct CallArguments {
    var positional: [Jinja.Value] = []
    var keywords: [(name: String, value: Jinja.Value)] = []
    /// The block of a `call` tag.
    var caller: Jinja.Value?
  }

  /// Matches arguments with parameter names: one slot per name, nil where the call says nothing.
  func bind(_ arguments: CallArguments, _ names: String..., of function: String) throws(TemplateError) -> [Value?] {
    guard arguments.positional.count <= names.count else {
      throw .value(
        location: location, expected: "at most \(names.count) arguments of '\(function)'",
        found: "\(arguments.positional.count)")
    }
    var slots: [Value?] = arguments.positional.map { $0 }
    slots += Array(repeating: nil, count: names.count - slots.count)
    for (name, value) in arguments.keywords {
      guard let index = names.firstIndex(of: name) else {
        throw .value(
          location: location, expected: "arguments of '\(function)' named \(names.joined(separator: ", "))", found: "'\(name)'")
      }
      guard slots[index] == nil else {
        throw .value(location: location, expected: "'\(name)' of '\(function)' once", found: "it twice")
      }
      slots[index] = value
    }
    return slots
  }

  /// The text of a string argument.
  func string(_ value: Value?, _ what: String) throws(TemplateError) -> String {
    guard case .string(let text)? = value else { throw mismatch("\(what) as a string", value ?? .none) }
    return text
  }

  /// An integer argument, or `fallback` when it is missing or none.
  func integer(_ value: Value?, _ what: String, fallback: Int) throws(TemplateError) -> Int {
    switch value {
    case nil, .some(.none): return fallback
    case .some(let value):
      guard let number = value.integer else { throw mismatch("\(what) as an integer", value) }
      return number
    }
  }
}
