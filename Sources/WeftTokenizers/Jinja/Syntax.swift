// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// An expression of the tree. `height` counts the levels below it, so that neither evaluating nor releasing it can exhaust the stack.
  struct Expression: Sendable {
    let kind: Kind
    let line: Int
    let height: Int

    indirect enum Kind: Sendable {
      case constant(Value)
      case name(String)
      case list([Expression])
      case tuple([Expression])
      case dictionary([(key: Expression, value: Expression)])
      case attribute(Expression, String)
      case item(Expression, Expression)
      case slice(Expression, start: Expression?, stop: Expression?, step: Expression?)
      case call(Expression, Arguments)
      case filter(Expression, name: String, Arguments)
      case test(Expression, name: String, Arguments, isNegated: Bool)
      case not(Expression)
      case negative(Expression)
      case positive(Expression)
      case binary(BinaryOperator, Expression, Expression)
      case and(Expression, Expression)
      case or(Expression, Expression)
      case concatenation([Expression])
      case comparison(Expression, [(relation: Relation, operand: Expression)])
      case conditional(then: Expression, condition: Expression, otherwise: Expression?)
      /// The text of the block that the filters of a `filter` or `set` block apply to.
      case captured
    }
  }

  enum BinaryOperator: String, Sendable {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
  }

  enum Relation: String, Sendable {
    case equal = "=="
    case notEqual = "!="
    case less = "<"
    case lessOrEqual = "<="
    case greater = ">"
    case greaterOrEqual = ">="
    case contained = "in"
    case notContained = "not in"
  }

  /// The arguments of a call as written: `f(1, *rest, key=2, **more)`.
  struct Arguments: Sendable {
    var positional: [(value: Expression, isUnpacked: Bool)] = []
    /// `name` is nil for `**mapping`.
    var keywords: [(name: String?, value: Expression)] = []

    var expressions: [Expression] { positional.map { $0.value } + keywords.map { $0.value } }
  }

  /// What `set`, `for` and `with` assign to.
  indirect enum Target: Sendable {
    case name(String)
    /// `namespace.attribute`
    case attribute(of: String, String)
    case tuple([Target])
  }

  struct Statement: Sendable {
    let kind: Kind
    let line: Int

    indirect enum Kind: Sendable {
      case text(String)
      case output(Expression)
      case branch([(condition: Expression, body: [Statement])], otherwise: [Statement])
      case loop(Loop)
      case assign(Target, Expression)
      /// `{% set target | filters %}body{% endset %}`; `filtered` is the filters over `captured`.
      case capture(Target, filtered: Expression, body: [Statement])
      case filter(Expression, body: [Statement])
      case macro(Macro)
      case callBlock(Expression, caller: Macro)
      case with([(target: Target, value: Expression)], body: [Statement])
      case generation([Statement])
      case breakLoop
      case continueLoop
    }
  }

  struct Loop: Sendable {
    let target: Target
    let sequence: Expression
    /// `for x in xs if condition`
    let condition: Expression?
    let isRecursive: Bool
    let body: [Statement]
    let otherwise: [Statement]
  }

  struct Macro: Sendable {
    let name: String
    let parameters: [(name: String, fallback: Expression?)]
    let body: [Statement]
    /// Whether the body mentions `varargs` or `kwargs`; only then may a caller pass more than the parameters take.
    let takesExtraPositional: Bool
    let takesExtraKeywords: Bool
  }
}
