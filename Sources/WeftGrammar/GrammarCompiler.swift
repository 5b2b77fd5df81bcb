// SPDX-License-Identifier: Apache-2.0

/// Makes instructions of rules, from the end of every rule to its beginning: an expression is compiled for the place at which
/// the text goes on behind it, and results in the place at which it begins.
struct GrammarCompiler {
  typealias Instruction = Grammar.Instruction
  typealias Expression = GrammarRules.Expression

  private(set) var instructions = [Instruction(kind: .end)]
  private(set) var starts: [Int32]

  /// Instructions of a grammar at most.
  static let maximumInstructions = 1 << 19

  init(_ rules: GrammarRules) throws(GrammarError) {
    starts = [Int32](repeating: Grammar.end, count: rules.rules.count)
    for (index, rule) in rules.rules.enumerated() {
      place = rule.place
      starts[index] = try compile(rule.body, Grammar.end)
    }
  }

  /// Where the expression that is being compiled was written.
  private var place = SourcePlace(line: 1, column: 1)

  private mutating func emit(_ instruction: Instruction) throws(GrammarError) -> Int32 {
    guard instructions.count < GrammarCompiler.maximumInstructions else {
      throw .malformed(
        place, expected: "a grammar of at most \(GrammarCompiler.maximumInstructions) states", found: "a larger one")
    }
    instructions.append(instruction)
    return Int32(instructions.count - 1)
  }

  private mutating func compile(_ expression: Expression, _ next: Int32) throws(GrammarError) -> Int32 {
    switch expression {
    case .literal(let bytes):
      var start = next
      for byte in bytes.reversed() { start = try emit(Instruction(kind: .byte, low: byte, high: byte, next: start)) }
      return start
    case .character(let set): return try compile(set, next)
    case .sequence(let parts):
      var start = next
      for part in parts.reversed() { start = try compile(part, start) }
      return start
    case .choice(let parts):
      var starts: [Int32] = []
      for part in parts { starts.append(try compile(part, next)) }
      return try either(starts)
    case .repetition(let part, let minimum, let maximum, let place):
      self.place = place
      return try compile(repeating: part, minimum, maximum, next)
    case .rule(let index, let place):
      self.place = place
      return try emit(Instruction(kind: .call, next: next, other: Int32(index)))
    }
  }

  /// A choice of places. There is at least one.
  private mutating func either(_ starts: [Int32]) throws(GrammarError) -> Int32 {
    var start = starts[starts.count - 1]
    for other in starts.dropLast().reversed() { start = try emit(Instruction(kind: .split, next: other, other: start)) }
    return start
  }

  /// Byte sequences of a class share their ends.
  private mutating func compile(_ set: CharacterSet, _ next: Int32) throws(GrammarError) -> Int32 {
    struct Ending: Hashable {
      var low: UInt8
      var high: UInt8
      var next: Int32
    }
    var known: [Ending: Int32] = [:]
    var starts: [Int32] = []
    for sequence in set.byteSequences {
      var start = next
      for range in sequence.reversed() {
        let ending = Ending(low: range.lowerBound, high: range.upperBound, next: start)
        if let found = known[ending] {
          start = found
        } else {
          start = try emit(Instruction(kind: .byte, low: ending.low, high: ending.high, next: ending.next))
          known[ending] = start
        }
      }
      starts.append(start)
    }
    return try either(starts)
  }

  private mutating func compile(
    repeating part: Expression, _ minimum: Int, _ maximum: Int?, _ next: Int32
  ) throws(GrammarError) -> Int32 {
    let part = try shared(part, copies: max(minimum, maximum ?? 0))
    var start = next
    if let maximum {
      for _ in minimum..<maximum {
        let body = try compile(part, start)
        start = try emit(Instruction(kind: .split, next: body, other: next))
      }
    } else {
      start = try emit(Instruction(kind: .split, next: next, other: next))
      instructions[Int(start)].next = try compile(part, start)
    }
    for _ in 0..<minimum { start = try compile(part, start) }
    return start
  }

  /// What is repeated often becomes a rule of its own, so that a copy of it is a single instruction.
  private mutating func shared(_ part: Expression, copies: Int) throws(GrammarError) -> Expression {
    guard copies > 1 else { return part }
    switch part {
    case .rule: return part
    case .literal(let bytes) where bytes.count <= 1: return part
    case .character(let set) where set.byteSequences.count == 1 && set.byteSequences[0].count == 1: return part
    default:
      let index = starts.count
      starts.append(Grammar.end)
      let here = place
      starts[index] = try compile(part, Grammar.end)
      return .rule(index, here)
    }
  }
}
