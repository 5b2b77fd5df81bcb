// SPDX-License-Identifier: Apache-2.0

/// Which texts are allowed: a recursive program over the bytes of UTF-8. Immutable; `GrammarMatcher` runs it.
///
/// Characters are cut into bytes when a grammar is compiled, so that tokens may begin and end inside a character.
package struct Grammar: Sendable {
  /// A state of the program. A text is allowed when some path through the instructions reads it.
  struct Instruction: Sendable {
    enum Kind: UInt8, Sendable {
      /// Reads a byte from `low` to `high` and goes on at `next`.
      case byte
      /// Goes on at `next` and at `other`.
      case split
      /// Goes on at the rule `other`, and at `next` behind its end.
      case call
      /// The end of a rule.
      case end
    }

    var kind: Kind
    var low: UInt8 = 0
    var high: UInt8 = 0
    var next: Int32 = 0
    var other: Int32 = 0
  }

  let instructions: [Instruction]
  /// Where each rule begins.
  let starts: [Int32]
  let root: Int
  /// Bytes that no instruction tells apart have one class.
  let byteClasses: [UInt8]
  let classCount: Int

  /// The instruction that ends every rule.
  static let end: Int32 = 0

  /// Compiles GBNF; see `GBNFParser` for the notation.
  package init(gbnf text: String) throws(GrammarError) {
    let rules = try GBNFParser.parse(text)
    try rules.check()
    let compiler = try GrammarCompiler(rules)
    instructions = compiler.instructions
    starts = compiler.starts
    root = rules.root
    var isBoundary = [Bool](repeating: false, count: 257)
    for instruction in instructions where instruction.kind == .byte {
      isBoundary[Int(instruction.low)] = true
      isBoundary[Int(instruction.high) + 1] = true
    }
    var classes: [UInt8] = []
    var last = 0
    for byte in 0..<256 {
      if byte > 0 && isBoundary[byte] { last += 1 }
      classes.append(UInt8(last))
    }
    byteClasses = classes
    classCount = last + 1
  }
}
