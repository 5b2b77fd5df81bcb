// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  /// Python's arithmetic, and its `+`, `*` and `%` on strings and lists.
  mutating func combine(_ left: Value, _ operation: Jinja.BinaryOperator, _ right: Value) throws(TemplateError) -> Value {
    if let first = left.number, let second = right.number {
      if case .integer(let first) = first, case .integer(let second) = second, operation != .divide {
        return try combine(first, operation, second)
      }
      return try combine(first.double, operation, second.double)
    }
    switch (operation, left, right) {
    case (.add, .string(let first), .string(let second)):
      try reserve(bytes: first.utf8.count + second.utf8.count)
      return .string(first + second)
    case (.add, .list(let first), .list(let second)): return try list(first.elements + second.elements)
    case (.add, .tuple(let first), .tuple(let second)):
      try charge((first.elements.count + second.elements.count) / 4)
      return .tuple(Jinja.List(first.elements + second.elements))
    case (.add, _, _) where template.dialect == .huggingfaceJS && !left.isUndefined && !right.isUndefined:
      return try string(try text(of: left) + text(of: right))
    case (.multiply, .string(let text), _) where right.integer != nil,
      (.multiply, _, .string(let text)) where left.integer != nil:
      let count = max(0, right.integer ?? left.integer ?? 0)
      let (bytes, overflow) = text.utf8.count.multipliedReportingOverflow(by: count)
      try reserve(bytes: overflow ? .max : bytes)
      return .string(String(repeating: text, count: count))
    case (.multiply, .list(let elements), _) where right.integer != nil,
      (.multiply, _, .list(let elements)) where left.integer != nil:
      let count = max(0, right.integer ?? left.integer ?? 0)
      let (total, overflow) = elements.elements.count.multipliedReportingOverflow(by: count)
      try charge(overflow ? .max : total)
      return try list(Array(repeatElement(elements.elements, count: total == 0 ? 0 : count).joined()))
    case (.modulo, .string(let format), .tuple(let values)): return try string(try formatted(format, values.elements))
    case (.modulo, .string(let format), _): return try string(try formatted(format, [right]))
    default:
      throw .value(
        location: location, expected: "operands that '\(operation.rawValue)' takes", found: "\(left.kind) and \(right.kind)")
    }
  }

  private func combine(_ left: Int, _ operation: Jinja.BinaryOperator, _ right: Int) throws(TemplateError) -> Value {
    var result: (partialValue: Int, overflow: Bool)
    switch operation {
    case .add: result = left.addingReportingOverflow(right)
    case .subtract: result = left.subtractingReportingOverflow(right)
    case .multiply: result = left.multipliedReportingOverflow(by: right)
    case .floorDivide, .modulo:
      guard right != 0 else { throw divisionByZero }
      let quotient = left.dividedReportingOverflow(by: right)
      let remainder = left.remainderReportingOverflow(dividingBy: right).partialValue
      // Python rounds towards minus infinity; the remainder takes the sign of the divisor.
      let roundsDown = remainder != 0 && (remainder < 0) != (right < 0)
      if operation == .modulo { return .integer(roundsDown ? remainder + right : remainder) }
      result = (quotient.partialValue - (roundsDown ? 1 : 0), quotient.overflow)
    case .power:
      guard right >= 0 else { return .float(power(Double(left), right)) }
      result = (1, false)
      var (base, exponent) = (left, right)
      while exponent > 0, !result.overflow {
        if exponent & 1 == 1 { result = result.partialValue.multipliedReportingOverflow(by: base) }
        exponent >>= 1
        guard exponent > 0, !result.overflow else { break }
        let square = base.multipliedReportingOverflow(by: base)
        (base, result.overflow) = (square.partialValue, square.overflow)
      }
    case .divide: return try combine(Double(left), operation, Double(right))
    }
    guard !result.overflow else {
      throw .value(location: location, expected: "a number of at most 63 bits", found: "\(left) \(operation.rawValue) \(right)")
    }
    return .integer(result.partialValue)
  }

  private func combine(_ left: Double, _ operation: Jinja.BinaryOperator, _ right: Double) throws(TemplateError) -> Value {
    switch operation {
    case .add: return .float(left + right)
    case .subtract: return .float(left - right)
    case .multiply: return .float(left * right)
    case .divide:
      guard right != 0 else { throw divisionByZero }
      return .float(left / right)
    case .floorDivide:
      guard right != 0 else { throw divisionByZero }
      return .float((left / right).rounded(.down))
    case .modulo:
      guard right != 0 else { throw divisionByZero }
      let remainder = left.truncatingRemainder(dividingBy: right)
      return .float(remainder != 0 && (remainder < 0) != (right < 0) ? remainder + right : remainder)
    case .power:
      guard let exponent = Int(exactly: right) else {
        throw .value(location: location, expected: "an integer as exponent", found: "\(right)")
      }
      return .float(power(left, exponent))
    }
  }

  private func power(_ base: Double, _ exponent: Int) -> Double {
    var (result, square, rest) = (1.0, base, exponent.magnitude)
    while rest > 0 {
      if rest & 1 == 1 { result *= square }
      square *= square
      rest >>= 1
    }
    return exponent < 0 ? 1 / result : result
  }

  private var divisionByZero: TemplateError { .value(location: location, expected: "a divisor other than 0", found: "0") }

  func negated(_ value: Value) throws(TemplateError) -> Value {
    switch value.number {
    case .integer(let number)? where number != .min: return .integer(-number)
    case .float(let number)?: return .float(-number)
    default: throw mismatch("a number after '-'", value)
    }
  }

  /// Whether a comparison holds.
  mutating func holds(_ left: Value, _ relation: Jinja.Relation, _ right: Value) throws(TemplateError) -> Bool {
    try charge(min(left.size, right.size))
    switch relation {
    case .equal: return left.equals(right, dialect: template.dialect)
    case .notEqual: return !left.equals(right, dialect: template.dialect)
    case .contained: return try contains(left, in: right)
    case .notContained: return !(try contains(left, in: right))
    case .less: return try precedes(left, right)
    case .greater: return try precedes(right, left)
    case .lessOrEqual: return try precedes(left, right) || left.equals(right, dialect: .transformers)
    case .greaterOrEqual: return try precedes(right, left) || left.equals(right, dialect: .transformers)
    }
  }

  mutating func precedes(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
    try charge(min(left.size, right.size))
    guard let result = left.precedes(right) else {
      throw .value(location: location, expected: "two values with an order", found: "\(left.kind) and \(right.kind)")
    }
    return result
  }

  /// `needle in value`
  mutating func contains(_ needle: Value, in value: Value) throws(TemplateError) -> Bool {
    switch value {
    case .string(let text):
      guard case .string(let part) = needle else { throw mismatch("a string before 'in' a string", needle) }
      return try !occurrences(of: part, in: text, limit: 1).isEmpty || part.isEmpty
    case .dictionary(let dictionary):
      try charge(needle.size / 4 + dictionary.entries.count / 8)
      return dictionary[needle] != nil
    default:
      for element in try elements(of: value) {
        try charge(min(needle.size, element.size))
        if element.equals(needle, dialect: template.dialect) { return true }
      }
      return false
    }
  }
}
