// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// `ID+BIAS` or `ID-BIAS`, as llama.cpp spells it; `ID-inf` bans a token.
struct TokenBiasArgument: ExpressibleByArgument {
  let id: Int32
  let bias: Float

  init?(argument: String) {
    guard let sign = argument.firstIndex(where: { $0 == "+" || $0 == "-" }), let id = Int32(argument[..<sign]),
      let bias = Float(argument[sign...])
    else { return nil }
    (self.id, self.bias) = (id, bias)
  }
}

/// How tokens are chosen. Names are those of llama.cpp; what is not given is off, except for the defaults that are shown.
struct SamplingFlags: ParsableArguments {
  @Option(
    name: [.customLong("temp"), .customLong("temperature")],
    help: "Randomness; 0 always takes the most likely token (default: \(SamplingOptions().temperature), demo model: 0).")
  var temperature: Float?

  @Option(help: "Keep so many of the most likely tokens; 0 keeps all.")
  var topK = SamplingOptions().topK

  @Option(help: "Keep the most likely tokens up to this probability together.")
  var topP = SamplingOptions().topP

  @Option(help: "Drop tokens less likely than this times the most likely one.")
  var minP = SamplingOptions().minP

  @Option(help: "Keep the tokens of about the expected surprise, up to this probability together.")
  var typical = SamplingOptions().typicalP

  @Option(help: "Make recent tokens less likely; 1 changes nothing.")
  var repeatPenalty = SamplingOptions().repetitionPenalty

  @Option(parsing: .unconditional, help: "How many tokens back the penalties look; -1: all.")
  var repeatLastN = SamplingOptions().repetitionWindow

  @Option(parsing: .unconditional, help: "Make recent tokens less likely, by this for every time.")
  var frequencyPenalty = SamplingOptions().frequencyPenalty

  @Option(parsing: .unconditional, help: "Make recent tokens less likely, by this once.")
  var presencePenalty = SamplingOptions().presencePenalty

  @Option(help: ArgumentHelp("Add to a token's logit, as 15043+1 or 15043-inf; repeatable.", valueName: "id+bias"))
  var logitBias: [TokenBiasArgument] = []

  @Option(help: ArgumentHelp("Penalty of repetitions (DRY), growing with their length; 0: off.", valueName: "number"))
  var dryMultiplier: Float = 0

  @Option(help: ArgumentHelp("DRY: growth for every further token.", valueName: "number"))
  var dryBase = DRYOptions(multiplier: 0).base

  @Option(help: ArgumentHelp("DRY: shorter repetitions are free.", valueName: "tokens"))
  var dryAllowedLength = DRYOptions(multiplier: 0).allowedLength

  @Option(
    parsing: .unconditional, help: ArgumentHelp("DRY: how many tokens back to look; -1: all.", valueName: "tokens"))
  var dryPenaltyLastN = -1

  @Option(
    help: ArgumentHelp(
      #"DRY: no repetition reaches across this text; repeatable, 'none' for none (default: \n : " *)."#, valueName: "text"))
  var drySequenceBreaker: [String] = []

  @Option(help: "The chance to drop the most likely tokens (XTC).")
  var xtcProbability: Float = 0

  @Option(help: "XTC: what is likely enough to be dropped.")
  var xtcThreshold = XTCOptions(probability: 0).threshold

  @Option(help: "2: hold the surprise of the text, instead of the cuts above (Mirostat 2); 0: off.")
  var mirostat = 0

  @Option(help: "Mirostat: how fast its threshold moves (eta).")
  var mirostatLr = MirostatOptions().learningRate

  @Option(help: "Mirostat: the surprise to hold, in bits (tau).")
  var mirostatEnt = MirostatOptions().targetSurprise

  @Option(help: "Same seed, same request, same text (default: a new one every time).")
  var seed: UInt64?

  func validate() throws {
    guard mirostat == 0 || mirostat == 2 else { throw ValidationError("--mirostat: expected 0 or 2, found \(mirostat)") }
    guard repeatLastN >= -1 else { throw ValidationError("--repeat-last-n: expected -1 or more, found \(repeatLastN)") }
    guard dryPenaltyLastN >= -1 else {
      throw ValidationError("--dry-penalty-last-n: expected -1 or more, found \(dryPenaltyLastN)")
    }
  }

  /// The options, with this temperature where none is given.
  func options(temperature standard: Float) -> SamplingOptions {
    var options = SamplingOptions(
      temperature: temperature ?? standard, topK: topK, topP: topP, minP: minP, repetitionPenalty: repeatPenalty,
      repetitionWindow: repeatLastN < 0 ? .max : repeatLastN, seed: seed)
    options.typicalP = typical
    options.frequencyPenalty = frequencyPenalty
    options.presencePenalty = presencePenalty
    for argument in logitBias { options.logitBias[argument.id, default: 0] += argument.bias }
    if dryMultiplier != 0 {
      var dry = DRYOptions(
        multiplier: dryMultiplier, base: dryBase, allowedLength: dryAllowedLength,
        window: dryPenaltyLastN < 0 ? nil : dryPenaltyLastN)
      if !drySequenceBreaker.isEmpty {
        dry.sequenceBreakers = drySequenceBreaker.filter { $0 != "none" }.map(SamplingFlags.unescaped)
      }
      options.dry = dry
    }
    if xtcProbability != 0 { options.xtc = XTCOptions(probability: xtcProbability, threshold: xtcThreshold) }
    if mirostat == 2 { options.mirostat = MirostatOptions(targetSurprise: mirostatEnt, learningRate: mirostatLr) }
    return options
  }

  /// `\n`, `\t`, `\"` and `\\` as people write them in a shell.
  private static func unescaped(_ text: String) -> String {
    text.replacingOccurrences(of: #"\n"#, with: "\n").replacingOccurrences(of: #"\t"#, with: "\t")
      .replacingOccurrences(of: #"\""#, with: "\"").replacingOccurrences(of: #"\\"#, with: "\\")
  }
}
