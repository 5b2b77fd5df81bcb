// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine
import WeftFusion

/// `weft stats`: what a task's data says about a model.
struct StatsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stats",
    abstract: "Collect statistics of a task from data, for weft merge.",
    discussion: """
      Data are JSON lines {"prompt": "...", "answer": "..."}; some hundred are enough. --gram collects how the inputs of every linear \
      module lie (for the method regmean), --fisher how much answers depend on every weight (for fisher), --fisher-of factors the same \
      for the factors of an adapter (for fisher_factors). The answers are those of the data (empirical), or drawn from the model \
      (sampled), which needs prompts alone. The form of the file: docs/statistics-format.md.

        weft stats --adapter roman=adapters/roman --data roman.jsonl --output roman.stats.safetensors
        weft stats --model tuned.gguf --data task.jsonl --gram none --fisher empirical --output task.stats.safetensors
      """)

  @OptionGroup(title: "Model")
  var model: ModelOptions

  @OptionGroup(title: "Adapters")
  var adapters: AdapterFlags

  @Option(help: ArgumentHelp("Questions with answers.", valueName: "file"))
  var data: String

  @Option(name: .shortAndLong, help: ArgumentHelp("The statistics to write.", valueName: "file"))
  var output: String

  @Option(help: "Of the inputs of linear modules: full matrices, their diagonal, or none.")
  var gram = StatisticsOptions.Gram.full

  @Option(help: "The Fisher information by empirical or sampled answers, or none.")
  var fisher = StatisticsOptions.Fisher.none

  @Option(help: "The Fisher information of weights, of the adapter's factors, or of both (default: weights).")
  var fisherOf: FisherSubject?

  @Flag(help: "Keep the gradients of outputs too, for the method mats_kfac.")
  var gradientGram = false

  @Option(help: "Use only so many questions.")
  var limit: Int?

  @Option(help: "Longest sampled answer in tokens (default: 64).")
  var maxTokens: Int?

  @Option(help: "Seed of sampled answers.")
  var seed: UInt64 = 0

  func validate() throws {
    guard adapters.mixture == nil, adapters.named.count <= 1, adapters.named.allSatisfy({ $0.weight == 1 }) else {
      throw ValidationError("expected the model alone or one --adapter of weight 1, found --mixture, several or another weight")
    }
    guard gram != .none || fisher != .none else { throw ValidationError("expected --gram or --fisher, found both none") }
    if let fisherOf {
      guard fisher != .none else { throw ValidationError("--fisher-of: expected --fisher beside it") }
      guard !adapters.named.isEmpty || fisherOf == .weights else {
        throw ValidationError("--fisher-of \(fisherOf.rawValue): expected an --adapter, found none")
      }
    }
    guard maxTokens == nil || fisher == .sampled else {
      throw ValidationError("--max-tokens: expected --fisher sampled beside it")
    }
    guard !gradientGram || fisher != .none else { throw ValidationError("--gradient-gram: expected --fisher beside it") }
    guard limit ?? 1 >= 1, maxTokens ?? 1 >= 1 else { throw ValidationError("expected --limit and --max-tokens of 1 or more") }
  }

  func run() throws {
    let questions = Array(try Question.read(data, requiresAnswers: fisher == .empirical).prefix(limit ?? .max))
    let engine = try model.open(EngineOptions(maximumSequences: 16, kvType: .f32), adapters).engine
    defer { Terminal.showProgress("") }
    let statistics = try engine.statistics(
      of: questions, data: data, adapter: adapters.named.first?.name,
      options: StatisticsOptions(
        gram: gram, fisher: fisher, ofWeights: fisherOf != .factors, ofFactors: fisherOf ?? .weights != .weights,
        hasGradientGram: gradientGram, maximumTokens: maxTokens ?? 64, seed: seed)
    ) { done, total in
      Terminal.showProgress("\(Readable.padded(Terminal.bar(Double(done) / Double(total)), 24)) \(done) of \(total) passes")
    }
    Terminal.showProgress("")
    do { try statistics.write(to: output) } catch { throw EngineError(error) }
    print(
      "\(output): \(Readable.count(statistics.names.count, "tensor")) of \(Readable.count(questions.count, "example"))"
        + (gram == .none ? "" : ", \(Readable.count(statistics.origin.tokenCount, "token"))"))
  }
}

/// What the Fisher information is of.
enum FisherSubject: String, CaseIterable, ExpressibleByArgument { case weights, factors, both }

// Their cases have the spelling of the command line.
extension StatisticsOptions.Gram: ExpressibleByArgument {}
extension StatisticsOptions.Fisher: ExpressibleByArgument {}
