// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftEngine

/// Grammars, log-probabilities and filters through the engine, on the demo model's base. `tools/check_grammar.py` generates
/// and validates a thousand documents with other programs.
struct ConstrainedGenerationTests {
  private static let model = TestPaths.package + "/Models/demo/base.gguf"

  private func engine(sequences: Int = 4) throws -> Engine {
    try Engine(model: Self.model, options: EngineOptions(threads: 2, contextLength: 512, maximumSequences: sequences))
  }

  private func request(
    _ grammar: OutputGrammar?, seed: UInt64, temperature: Float = 1.2, tokens: Int = 450
  ) -> GenerationRequest {
    var sampling = SamplingOptions(temperature: temperature, topK: 0, topP: 1, minP: 0, seed: seed)
    if temperature == 0 { sampling = .greedy }
    return GenerationRequest(.text("The answer:"), sampling: sampling, grammar: grammar, maximumTokens: tokens)
  }

  private static let person = ##"""
    {"type": "object", "additionalProperties": false, "required": ["name", "age", "tags"], "properties": {
      "name": {"type": "string", "minLength": 1, "maxLength": 12}, "age": {"type": "integer", "minimum": 18, "maximum": 120},
      "height": {"type": "number", "minimum": 0, "maximum": 3},
      "tags": {"type": "array", "items": {"enum": ["a", "b", 3]}, "minItems": 1, "maxItems": 3},
      "born": {"type": ["string", "null"], "format": "date"},
      "friend": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/pet"}]}},
     "$defs": {"pet": {"type": "object", "properties": {"kind": {"const": "cat"}, "code": {"pattern": "^[A-Z]{2}\\d$"}},
       "required": ["kind", "code"]}}}
    """##

  /// Each document is parsed by another parser and checked by hand.
  @Test func documentsAreValid() throws {
    let engine = try engine(sequences: 8)
    var ids: [SequenceID: UInt64] = [:]
    for seed in 0..<40 as Range<UInt64> { ids[try engine.submit(request(.jsonSchema(Self.person), seed: seed))] = seed }
    var complete = 0
    while engine.step({ event in
      guard case .finished(let id, let result) = event else { return }
      #expect(result.error == nil && ids[id] != nil)
      guard result.finishReason != .length else { return }
      complete += 1
      #expect([.grammarEnd, .endToken].contains(result.finishReason))
      #expect(isPerson(result.text), "\(result.text)")
    }) {}
    #expect(complete >= 38, "the schema is bounded: only many spaces make it longer than the limit")
  }

  private func isPerson(_ text: String) -> Bool {
    guard let value = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any] else { return false }
    guard Set(value.keys).isSubset(of: ["name", "age", "height", "tags", "born", "friend"]) else { return false }
    guard let name = value["name"] as? String, (1...12).contains(name.unicodeScalars.count) else { return false }
    guard let age = value["age"] as? Int, (18...120).contains(age) else { return false }
    if let height = value["height"] { guard let height = height as? Double, (0...3).contains(height) else { return false } }
    guard let tags = value["tags"] as? [Any], (1...3).contains(tags.count) else { return false }
    guard tags.allSatisfy({ ["a", "b"].contains($0 as? String) || $0 as? Int == 3 }) else { return false }
    if let born = value["born"], !(born is NSNull) {
      let formatter = DateFormatter()
      formatter.locale = Locale(identifier: "en_US_POSIX")
      formatter.dateFormat = "yyyy-MM-dd"
      formatter.isLenient = false
      guard let born = born as? String, formatter.date(from: born) != nil else { return false }
    }
    guard let friend = value["friend"], !(friend is NSNull) else { return true }
    guard let pet = friend as? [String: Any], Set(pet.keys) == ["kind", "code"], pet["kind"] as? String == "cat" else {
      return false
    }
    guard let code = pet["code"] as? String else { return false }
    return code.range(of: "^[A-Z]{2}[0-9]$", options: .regularExpression) != nil
  }

  @Test func arithmeticIsArithmetic() throws {
    let engine = try engine()
    let grammar = OutputGrammar.gbnf(
      """
      root  ::= term ([-+*] term){1,4} "="
      term  ::= value | "(" value [-+*] value ")"
      value ::= [1-9] [0-9]{0,2}
      """)
    for seed in 0..<15 as Range<UInt64> {
      let result = try engine.generate(request(grammar, seed: seed))
      #expect(result.finishReason == .grammarEnd)
      #expect(
        result.text.wholeMatch(of: #/(\d{1,3}|\(\d{1,3}[-+*]\d{1,3}\))([-+*](\d{1,3}|\(\d{1,3}[-+*]\d{1,3}\))){1,4}=/#) != nil,
        "\(result.text)")
    }
    let greedy = try engine.generate(request(grammar, seed: 1, temperature: 0))
    #expect(greedy.finishReason == .grammarEnd && greedy.text.hasSuffix("="))
  }

  /// An open end: the model's end token is permitted there and nowhere else.
  @Test func theModelEndsWhereItMay() throws {
    let engine = try engine()
    let result = try engine.generate(request(.gbnf("root ::= \"ab\" | \"ab\" [0-9]+"), seed: 3, temperature: 3))
    #expect(result.finishReason == .endToken && result.text.hasPrefix("ab"))
    #expect(engine.bytes(of: try #require(result.tokens.last)) == Array("<|end|>".utf8))
    var endless = request(.gbnf("root ::= [0-9]+"), seed: 3, tokens: 40)
    endless.ignoresEndTokens = true
    let digits = try engine.generate(endless)
    #expect(digits.finishReason == .length && digits.tokens.count == 40 && digits.text.allSatisfy(\.isNumber))
    let nothing = try engine.generate(request(.gbnf("root ::= \"\""), seed: 1))
    #expect(nothing.text.isEmpty && [.endToken, .grammarEnd].contains(nothing.finishReason))
  }

  /// Characters whose bytes are several tokens.
  @Test func charactersMayBeCutByTokens() throws {
    let engine = try engine()
    for seed in 0..<5 as Range<UInt64> {
      let result = try engine.generate(request(.gbnf("root ::= [α-ω]{3} [\\U0001F600-\\U0001F64F]{2} [一-龥]"), seed: seed))
      #expect(result.finishReason == .grammarEnd && result.text.unicodeScalars.count == 6)
      #expect(result.text.wholeMatch(of: #/[α-ω]{3}[😀-🙏]{2}[一-龥]/#) != nil, "\(result.text)")
    }
  }

  @Test func aConstrainedSequenceIsTheSameAmongOthers() throws {
    let requests = (0..<4 as Range<UInt64>).map { seed in
      request(seed % 2 == 0 ? .jsonSchema(Self.person) : nil, seed: seed, tokens: 60)
    }
    let alone = try requests.map { try engine().generate($0).tokens }
    let busy = try engine(sequences: 3)
    let ids = try requests.map { try busy.submit($0) }
    var results: [SequenceID: [Int32]] = [:]
    while busy.step({ if case .finished(let id, let result) = $0 { results[id] = result.tokens } }) {}
    #expect(ids.map { results[$0] } == alone)
  }

  @Test func logProbabilitiesComeWithTokens() throws {
    let engine = try engine()
    var request = request(nil, seed: 5, temperature: 0, tokens: 6)
    request.logProbabilities = 3
    var events: [TokenLogProbabilities] = []
    let id = try engine.submit(request)
    var last: GenerationResult?
    while engine.step({ event in
      switch event {
      case .token(id, _, _, let found?): events.append(found)
      case .finished(_, let finished): last = finished
      default: break
      }
    }) {}
    let result = try #require(last)
    #expect(result.logProbabilities == events && events.map(\.chosen.id) == result.tokens)
    // The engine's own logits, and the definition.
    let prompt = try engine.tokenize("The answer:", addSpecial: true)
    var rows: [[Float]] = []
    try engine.logits(of: prompt + result.tokens) { rows.append(Array($1)) }
    for (index, found) in events.enumerated() {
      let row = rows[prompt.count - 1 + index].map(Double.init)
      let total = log(row.map(exp).reduce(0, +))
      #expect(abs(Double(found.chosen.logProbability) - (row[Int(found.chosen.id)] - total)) < 1e-5)
      #expect(found.top.map(\.id) == row.indices.sorted { row[$0] > row[$1] }.prefix(3).map { Int32($0) })
      #expect(found.top.first == found.chosen, "greedy")
    }
    request.logProbabilities = nil
    #expect(try engine.generate(request).logProbabilities.isEmpty)
  }

  @Test func repetitionsEndUnderDRY() throws {
    let engine = try engine()
    var request = request(nil, seed: 5, temperature: 0, tokens: 60)
    request.prompt = .text("a b c a b c a b c a b c a b c")
    request.ignoresEndTokens = true
    let free = try engine.generate(request).tokens
    request.sampling.dry = DRYOptions(multiplier: 100, base: 2, allowedLength: 3, sequenceBreakers: [])
    let tokens = try engine.tokenize("a b c a b c a b c a b c a b c", addSpecial: true) + engine.generate(request).tokens
    #expect(tokens.suffix(60) != free.suffix(60))
    // No four tokens in a row of the answer occurred before.
    let windows = (0..<tokens.count - 3).map { Array(tokens[$0..<$0 + 4]) }
    for index in windows.indices.suffix(57) { #expect(!windows[..<index].contains(windows[index])) }
  }

  @Test(arguments: [
    (OutputGrammar.gbnf("root ::= x"), EngineError.Status.invalidArgument, "line 1, column 10"),
    (.jsonSchema("{"), .invalidArgument, "JSON schema"),
    (.jsonSchema(#"{"not": {}}"#), .invalidArgument, "'not'"),
    (.gbnf("root ::= (\"a\"?){100000}"), .unsupported, "ambiguous"),
  ])
  func refusals(grammar: OutputGrammar, status: EngineError.Status, part: String) throws {
    let engine = try engine()
    let error = #expect(throws: EngineError.self) { try engine.submit(request(grammar, seed: 1)) }
    #expect(error?.status == status && error?.message.contains(part) == true, "\(error?.message ?? "")")
    #expect(engine.sequenceCount == 0)
  }

  @Test func wrongOptionsAreRefused() throws {
    let engine = try engine()
    func message(_ change: (inout GenerationRequest) -> Void) -> String {
      var request = request(nil, seed: 1)
      change(&request)
      let error = #expect(throws: EngineError.self) { try engine.submit(request) }
      return error?.message ?? ""
    }
    #expect(message { $0.sampling.typicalP = 0 }.contains("typical-p"))
    #expect(message { $0.sampling.frequencyPenalty = .nan }.contains("frequency penalty"))
    #expect(message { $0.sampling.presencePenalty = .infinity }.contains("presence penalty"))
    #expect(message { $0.sampling.logitBias = [4096: 1] }.contains("0 to 4095, found 4096"))
    #expect(message { $0.sampling.logitBias = [-1: 1] }.contains("logit bias"))
    #expect(message { $0.sampling.logitBias = [1: .nan] }.contains("logit bias of token 1"))
    #expect(message { $0.sampling.xtc = XTCOptions(probability: 1.5) }.contains("XTC probability"))
    #expect(message { $0.sampling.mirostat = MirostatOptions(targetSurprise: 0) }.contains("mirostat target"))
    #expect(message { $0.sampling.dry = DRYOptions(multiplier: 1, base: 0.5) }.contains("DRY base"))
    #expect(message { $0.sampling.dry = DRYOptions(multiplier: 1, allowedLength: 0) }.contains("DRY allowed length"))
    #expect(message { $0.logProbabilities = 101 }.contains("found 101"))
    let plain = try Engine(model: GenerationTests.model, options: EngineOptions(threads: 1, contextLength: 64))
    let error = #expect(throws: EngineError.self) {
      try plain.submit(GenerationRequest(.tokens([1]), grammar: .gbnf("root ::= \"a\"")))
    }
    #expect(error?.message.contains("tokenizer") == true)
  }

  /// A grammar that no token of the vocabulary can follow ends that sequence only.
  @Test func whatTheVocabularyCannotWriteFails() throws {
    let engine = try engine()
    var banned = request(.gbnf("root ::= \"a\" \"\\U0001F600\""), seed: 1)
    for id in 0..<Int32(4096) where engine.bytes(of: id).first.map({ $0 >= 0x80 }) ?? false {
      banned.sampling.logitBias[id] = -.infinity
    }
    let error = #expect(throws: EngineError.self) { try engine.generate(banned) }
    #expect(error?.message.contains("found none") == true)
    #expect(try engine.generate(request(.gbnf("root ::= \"a\""), seed: 1)).text == "a")
  }
}
