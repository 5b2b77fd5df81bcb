// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// A value of the template language.
  ///
  /// Values are trees. What can refer to itself (namespaces, macros, loops) is an index into the evaluator's own storage, so
  /// there are no reference cycles, and `depth` bounds how deep a tree can get.
  package indirect enum Value: Sendable {
    /// A name, attribute or key that does not exist; `name` is how it was asked for.
    case undefined(name: String)
    case none
    case bool(Bool)
    case integer(Int)
    case float(Double)
    case string(String)
    case list(List)
    case tuple(List)
    case dictionary(Dictionary)
    case function(Function)
    case method(Method, of: Value)
    case namespace(Int)
    case macro(Int)
    case loop(Int)

    /// Levels of nesting below this value.
    package var depth: Int {
      switch self {
      case .list(let list), .tuple(let list): list.depth
      case .dictionary(let dictionary): dictionary.depth
      case .method(_, let receiver): receiver.depth + 1
      default: 0
      }
    }

    /// What walking the whole tree costs, in steps: one per value and one per 32 bytes. A value that occurs twice counts twice, so
    /// that a small graph of lists that unfolds into a huge tree is seen as one.
    var size: Int {
      switch self {
      case .string(let text): text.utf8.count / 32 + 1
      case .list(let list), .tuple(let list): list.size
      case .dictionary(let dictionary): dictionary.size
      case .method(_, let receiver): receiver.size.addingSaturating(1)
      default: 1
      }
    }
  }

  /// The elements of a list or tuple, with their nesting and size.
  package struct List: Sendable {
    package let elements: [Value]
    let depth: Int
    let size: Int

    package init(_ elements: [Value]) {
      self.elements = elements
      var depth = 0
      var size = 1
      for element in elements {
        depth = max(depth, element.depth)
        size = size.addingSaturating(element.size)
      }
      self.depth = depth + 1
      self.size = size
    }
  }

  /// A mapping in insertion order. Look-ups walk the entries: the mappings of templates have a handful.
  package struct Dictionary: Sendable {
    package private(set) var entries: [(key: Value, value: Value)] = []
    private(set) var depth = 1
    private(set) var size = 1

    package init() {}

    /// Later entries replace earlier ones of the same key, in place.
    package init(_ entries: [(String, Value)]) {
      for (key, value) in entries { self[.string(key)] = value }
    }

    package subscript(key: Value) -> Value? {
      get { index(of: key).map { entries[$0].value } }
      set {
        guard let newValue else { return }
        depth = max(depth, newValue.depth + 1, key.depth + 1)
        size = size.addingSaturating(newValue.size).addingSaturating(key.size)
        if let index = index(of: key) { entries[index].value = newValue } else { entries.append((key, newValue)) }
      }
    }

    private func index(of key: Value) -> Int? {
      entries.firstIndex { $0.key.equals(key, dialect: .transformers) }
    }
  }

  /// The functions every template can call.
  package enum Function: String, Sendable {
    case range
    case dict
    case namespace
    case raiseException = "raise_exception"
    case strftimeNow = "strftime_now"
  }

  /// The methods of strings, mappings and sequences that templates can call. Methods that change their receiver are absent, as in
  /// the immutable sandbox.
  package enum Method: String, Sendable {
    // Strings
    case upper, lower, title, capitalize, swapcase, strip, lstrip, rstrip, split, rsplit, splitlines, startswith, endswith
    case replace, find, rfind, join, isdigit, isalpha, isalnum, isspace, isupper, islower, zfill, ljust, rjust, center
    case removeprefix, removesuffix, partition, rpartition
    // Mappings
    case get, items, keys, values
    // Sequences (and strings)
    case index, count
    case copy
    // The loop variable
    case cycle, changed
  }
}

extension Jinja.Value {
  /// What Python calls this kind of value, for error messages.
  var kind: String {
    switch self {
    case .undefined(let name): "undefined '\(name)'"
    case .none: "none"
    case .bool(let value): value ? "true" : "false"
    case .integer(let value): "the integer \(value)"
    case .float(let value): "the number \(value)"
    case .string(let text): "the string '\(text.prefix(40))'"
    case .list: "a list"
    case .tuple: "a tuple"
    case .dictionary: "a mapping"
    case .function(let function): "the function \(function.rawValue)"
    case .method(let method, _): "the method \(method.rawValue)"
    case .namespace: "a namespace"
    case .macro: "a macro"
    case .loop: "the loop variable"
    }
  }

  /// Python's truth.
  var isTrue: Bool {
    switch self {
    case .undefined, .none: false
    case .bool(let value): value
    case .integer(let value): value != 0
    case .float(let value): value != 0
    case .string(let text): !text.isEmpty
    case .list(let list), .tuple(let list): !list.elements.isEmpty
    case .dictionary(let dictionary): !dictionary.entries.isEmpty
    case .function, .method, .namespace, .macro, .loop: true
    }
  }

  var isUndefined: Bool { if case .undefined = self { true } else { false } }

  /// The number, where Python would take this as one: booleans are 0 and 1.
  var number: Jinja.Number? {
    switch self {
    case .bool(let value): .integer(value ? 1 : 0)
    case .integer(let value): .integer(value)
    case .float(let value): .float(value)
    default: nil
    }
  }

  /// Integers and booleans.
  var integer: Int? { if case .integer(let value)? = number { value } else { nil } }
}

extension Jinja {
  enum Number: Sendable {
    case integer(Int)
    case float(Double)

    var double: Double {
      switch self {
      case .integer(let value): Double(value)
      case .float(let value): value
      }
    }
  }
}

extension Int {
  /// The sum, or the bound that it passes.
  func addingSaturating(_ other: Int) -> Int {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? (other < 0 ? .min : .max) : sum
  }
}
