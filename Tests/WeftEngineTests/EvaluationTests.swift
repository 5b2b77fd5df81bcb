// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftEngine

private let folder = TestPaths.package + "/Models/demo"

/// Loss, accuracy and entropy on the demo model.
struct EvaluationTests {
  private func engine(sequences: Int) throws -> Engine {
    let engine = try Engine(
      model: folder + "/base.gguf", options: EngineOptions(threads: 1, maximumSequences: sequences, maximumLogitRows: 64))
    for name in ["roman", "numbers"] { try engine.loadAdapter(name, from: folder + "/experts/\(name).weft") }
    return engine
  }

  private func questions(_ name: String, _ count: Int) throws -> [Question] {
    Array(try Question.read(folder + "/eval/\(name).jsonl").prefix(count))
  }

  /// The loss is that of the log-likelihoods of the same tokens, one sequence at a time; accuracy is that of generated answers.
  @Test func isThatOfSequencesAlone() throws {
    let engine = try engine(sequences: 4)
    let questions = try questions("roman", 6)
    let expert: AdapterMixture = ["roman"]
    let asked = GenerationRequest(.messages([.user(questions[0].prompt)]), activation: .mixture(expert), sampling: .greedy)
    let end = try #require(try engine.generate(asked).tokens.last)
    for mixture in [expert, []] {
      let evaluation = try engine.evaluate(questions, activation: .mixture(mixture))
      var (sum, count, right) = (0.0, 0, 0)
      for question in questions {
        let messages = [Message.user(question.prompt)]
        let asked = GenerationRequest(.messages(messages), activation: .mixture(mixture), sampling: .greedy, maximumTokens: 64)
        let answered = try engine.generate(asked)
        if answered.text == question.answer { right += 1 }
        let prompt = try engine.promptTokens(.messages(messages))
        let answer = try engine.tokenize(question.answer) + [end]
        let likelihoods = try engine.logLikelihoods(of: prompt + answer, from: prompt.count, adapters: mixture)
        sum -= likelihoods.reduce(0, +)
        count += likelihoods.count
      }
      #expect(evaluation.tokenCount == count)
      #expect(evaluation.rightCount == right)
      #expect(evaluation.loss == sum / Double(count))
      #expect(try engine.loss(on: questions, activation: .mixture(mixture)) == evaluation.loss)
    }
  }

  /// The expert of the questions foresees their answers, and is surer of its own, than the base or another expert.
  @Test func theRightExpertIsTheBest() throws {
    let engine = try engine(sequences: 8)
    let questions = try questions("numbers", 12)
    let right = try engine.evaluate(questions, activation: .mixture(["numbers"]))
    for other in [Activation.base, .mixture(["roman"])] {
      let wrong = try engine.evaluate(questions, activation: other)
      #expect(right.loss < wrong.loss && right.entropy < wrong.entropy && right.accuracy > wrong.accuracy)
      #expect(
        try engine.entropy(of: questions.map(\.prompt), activation: .mixture(["numbers"]))
          < engine.entropy(of: questions.map(\.prompt), activation: other))
    }
  }

  /// Bit for bit, whatever is evaluated at the same time.
  @Test func doesNotDependOnTheBatch() throws {
    let questions = try questions("numbers", 5)
    let activation = Activation.mixture(try AdapterMixture(parsing: "numbers:0.6,roman:0.4"))
    let together = try engine(sequences: 8).evaluate(questions, activation: activation)
    let alone = try engine(sequences: 1).evaluate(questions, activation: activation)
    #expect(together == alone)
  }

  @Test func refusesWhatIsNoQuestion() throws {
    let engine = try engine(sequences: 1)
    let long = Question(prompt: "?", answer: String(repeating: "many words ", count: 4000))
    #expect(throws: EngineError.self) { try engine.evaluate([Question(prompt: "?", answer: "!"), long]) }
    // What failed left nothing in flight.
    #expect(try engine.evaluate([Question(prompt: "?", answer: "!")]).questionCount == 1)
    let file = try TemporaryFolder()
    for (text, part) in [
      ("\n", "at least one question"), ("{\"prompt\": \"a\"}\n", "line 1"), ("\n{\"prompt\": 1, \"answer\": \"\"}\n", "line 2"),
    ] {
      let path = try file.write(text.utf8, to: "bad.jsonl")
      #expect { try Question.read(path) } throws: { ($0 as? EngineError)?.message.contains(part) == true }
    }
  }
}
