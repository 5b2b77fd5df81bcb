// SPDX-License-Identifier: Apache-2.0

extension GrammarRules {
  /// Refuses rules that no text can satisfy, and rules that call themselves before they read anything: following those would
  /// never end.
  func check() throws(GrammarError) {
    let isNullable = fixpoint { $0.isNullable($1) }
    var marks = [Mark](repeating: .new, count: rules.count)
    for index in rules.indices where marks[index] == .new { try findLeftRecursion(index, isNullable, &marks) }
    let canEnd = fixpoint { $0.canEnd($1) }
    if let index = canEnd.firstIndex(of: false) {
      throw .malformed(
        rules[index].place, expected: "a rule '\(rules[index].name)' that can end", found: "one that always needs itself")
    }
  }

  private enum Mark { case new, open, closed }

  /// The least solution of a property of all rules that depends on itself.
  private func fixpoint(_ property: (Expression, [Bool]) -> Bool) -> [Bool] {
    var holds = [Bool](repeating: false, count: rules.count)
    var isChanging = true
    while isChanging {
      isChanging = false
      for index in rules.indices where !holds[index] && property(rules[index].body, holds) {
        holds[index] = true
        isChanging = true
      }
    }
    return holds
  }

  /// A search in depth with a stack of its own: rules may follow each other in long chains.
  private func findLeftRecursion(_ start: Int, _ isNullable: [Bool], _ marks: inout [Mark]) throws(GrammarError) {
    var path = [(rule: start, calls: rules[start].body.firstCalls(isNullable))]
    marks[start] = .open
    while let top = path.last {
      guard let (next, place) = top.calls.last else {
        marks[top.rule] = .closed
        path.removeLast()
        continue
      }
      path[path.count - 1].calls.removeLast()
      switch marks[next] {
      case .closed: break
      case .open:
        throw .malformed(
          place, expected: "text before '\(rules[next].name)' is read again", found: "left recursion of this rule")
      case .new:
        marks[next] = .open
        path.append((next, rules[next].body.firstCalls(isNullable)))
      }
    }
  }
}

extension GrammarRules.Expression {
  /// Whether it can read all of some text, when the rules that are marked can.
  fileprivate func canEnd(_ rules: [Bool]) -> Bool {
    switch self {
    case .literal, .character: true
    case .sequence(let parts): parts.allSatisfy { $0.canEnd(rules) }
    case .choice(let parts): parts.contains { $0.canEnd(rules) }
    case .repetition(let part, let minimum, _, _): minimum == 0 || part.canEnd(rules)
    case .rule(let index, _): rules[index]
    }
  }

  /// Whether it can read nothing, when the rules that are marked can.
  fileprivate func isNullable(_ rules: [Bool]) -> Bool {
    switch self {
    case .literal(let text): text.isEmpty
    case .character: false
    case .sequence(let parts): parts.allSatisfy { $0.isNullable(rules) }
    case .choice(let parts): parts.contains { $0.isNullable(rules) }
    case .repetition(let part, let minimum, _, _): minimum == 0 || part.isNullable(rules)
    case .rule(let index, _): rules[index]
    }
  }

  /// The rules that it can call before it has read anything.
  fileprivate func firstCalls(_ isNullable: [Bool]) -> [(rule: Int, place: SourcePlace)] {
    switch self {
    case .literal, .character: return []
    case .sequence(let parts):
      var calls: [(rule: Int, place: SourcePlace)] = []
      for part in parts {
        calls += part.firstCalls(isNullable)
        guard part.isNullable(isNullable) else { break }
      }
      return calls
    case .choice(let parts): return parts.flatMap { $0.firstCalls(isNullable) }
    case .repetition(let part, _, let maximum, _): return maximum == 0 ? [] : part.firstCalls(isNullable)
    case .rule(let index, let place): return [(index, place)]
    }
  }
}
