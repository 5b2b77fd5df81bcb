// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// Jinja's tests, the words after `is`.
  enum Test: String, Sendable {
    case defined, undefined, none, boolean, `true`, `false`, integer, float, number, string, mapping, sequence, iterable,
      callable
    case odd, even, divisibleby, lower, upper, filter, test, escaped, sameas
    case `in`
    case eq, equalto, ne, lt, lessthan, le, gt, greaterthan, ge
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="

    /// The comparison that this test is another word for.
    var relation: Relation? {
      switch self {
      case .eq, .equalto, .equal: .equal
      case .ne, .notEqual: .notEqual
      case .lt, .lessthan, .less: .less
      case .le, .lessOrEqual: .lessOrEqual
      case .gt, .greaterthan, .greater: .greater
      case .ge, .greaterOrEqual: .greaterOrEqual
      case .in: .contained
      default: nil
      }
    }
  }
}

extension Jinja.Evaluator {
  mutating func passes(test name: String, _ value: Value, with arguments: CallArguments) throws(TemplateError) -> Bool {
    guard let test = Jinja.Test(rawValue: name) else { throw .unsupported(location: location, found: "the test '\(name)'") }
    if let relation = test.relation {
      guard let other = try bind(arguments, "other", of: name)[0] else { throw mismatch("a value to compare with", .none) }
      return try holds(value, relation, other)
    }
    switch test {
    case .divisibleby:
      guard let divisor = try bind(arguments, "num", of: name)[0], let by = divisor.integer, let number = value.integer, by != 0
      else { throw mismatch("an integer and a divisor other than 0", value) }
      return number.remainderReportingOverflow(dividingBy: by).partialValue == 0
    case .sameas:
      guard let other = try bind(arguments, "other", of: name)[0] else { throw mismatch("a value to compare with", .none) }
      return isSame(value, other)
    default:
      _ = try bind(arguments, of: name)
      return try passes(test, value)
    }
  }

  /// Tests without arguments.
  private func passes(_ test: Jinja.Test, _ value: Value) throws(TemplateError) -> Bool {
    switch (test, value) {
    case (.defined, _): return !value.isUndefined
    case (.undefined, _): return value.isUndefined
    case (.none, .none), (.boolean, .bool), (.integer, .integer), (.float, .float), (.mapping, .dictionary), (.string, .string):
      return true
    case (.number, _): return value.number != nil
    case (.true, .bool(let flag)): return flag
    case (.false, .bool(let flag)): return !flag
    case (.sequence, .string), (.sequence, .list), (.sequence, .tuple), (.sequence, .dictionary), (.sequence, .undefined):
      return true
    case (.iterable, .string), (.iterable, .list), (.iterable, .tuple), (.iterable, .dictionary), (.iterable, .undefined):
      return true
    case (.callable, .function), (.callable, .method), (.callable, .macro), (.callable, .loop), (.callable, .undefined):
      return true
    case (.odd, _), (.even, _):
      guard let number = value.integer else { throw mismatch("an integer", value) }
      return (number & 1 == 1) == (test == .odd)
    case (.lower, _), (.upper, _):
      guard case .string(let text) = value else { throw mismatch("a string", value) }
      let scalars = text.unicodeScalars
      let (hasUpper, hasLower) = (
        scalars.contains { $0.properties.isUppercase }, scalars.contains { $0.properties.isLowercase }
      )
      return test == .lower ? hasLower && !hasUpper : hasUpper && !hasLower
    case (.filter, .string(let name)): return Jinja.Filter(rawValue: name) != nil
    case (.test, .string(let name)): return Jinja.Test(rawValue: name) != nil
    default: return false
    }
  }

  /// Python's `is`, as far as values have an identity here: of the same kind and equal.
  private func isSame(_ left: Value, _ right: Value) -> Bool {
    switch (left, right) {
    case (.bool, .bool), (.integer, .integer), (.float, .float), (.string, .string), (.none, .none), (.undefined, .undefined),
      (.namespace, .namespace), (.macro, .macro), (.loop, .loop), (.function, .function):
      left.equals(right, dialect: template.dialect)
    default: false
    }
  }
}
