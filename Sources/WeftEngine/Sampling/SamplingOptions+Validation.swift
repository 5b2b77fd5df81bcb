// SPDX-License-Identifier: Apache-2.0

extension SamplingOptions {
  /// These options, or an error that names the first one out of its range.
  package func validated() throws(EngineError) -> SamplingOptions {
    for (id, bias) in logitBias {
      try check(id >= 0, "logit bias", "token ids from 0 upwards", "\(id)")
      try check(!bias.isNaN && bias < .infinity, "logit bias of token \(id)", "a number or -infinity", "\(bias)")
    }
    try check(
      repetitionPenalty > 0 && repetitionPenalty.isFinite, "repetition penalty", "a positive number", "\(repetitionPenalty)")
    try check(frequencyPenalty.isFinite, "frequency penalty", "a finite number", "\(frequencyPenalty)")
    try check(presencePenalty.isFinite, "presence penalty", "a finite number", "\(presencePenalty)")
    try check(repetitionWindow >= 0, "repetition window", "0 or more", "\(repetitionWindow)")
    if let dry {
      try check(
        dry.multiplier >= 0 && dry.multiplier.isFinite, "DRY multiplier", "a number from 0 upwards", "\(dry.multiplier)")
      try check(dry.base >= 1 && dry.base.isFinite, "DRY base", "a number from 1 upwards", "\(dry.base)")
      try check(dry.allowedLength >= 1, "DRY allowed length", "1 or more", "\(dry.allowedLength)")
      try check(dry.window ?? 0 >= 0, "DRY window", "0 or more", "\(dry.window ?? 0)")
      try check(!dry.sequenceBreakers.contains(""), "DRY sequence breaker", "text", "none")
    }
    try check(topK >= 0, "top-k", "0 or more", "\(topK)")
    try check(typicalP > 0 && typicalP <= 1, "typical-p", "a number above 0, up to 1", "\(typicalP)")
    try check(topP > 0 && topP <= 1, "top-p", "a number above 0, up to 1", "\(topP)")
    try check(minP >= 0 && minP <= 1, "min-p", "a number from 0 to 1", "\(minP)")
    if let xtc {
      try check(xtc.probability >= 0 && xtc.probability <= 1, "XTC probability", "a number from 0 to 1", "\(xtc.probability)")
      try check(xtc.threshold >= 0 && xtc.threshold <= 1, "XTC threshold", "a number from 0 to 1", "\(xtc.threshold)")
    }
    try check(temperature >= 0 && temperature.isFinite, "temperature", "a number from 0 upwards", "\(temperature)")
    if let mirostat {
      let (target, rate) = (mirostat.targetSurprise, mirostat.learningRate)
      try check(target > 0 && target.isFinite, "mirostat target surprise", "a positive number", "\(target)")
      try check(rate >= 0 && rate.isFinite, "mirostat learning rate", "a number from 0 upwards", "\(rate)")
    }
    return self
  }

  private func check(_ holds: Bool, _ name: String, _ expected: String, _ found: String) throws(EngineError) {
    if !holds { throw EngineError(.invalidArgument, "\(name): expected \(expected), found \(found)") }
  }
}
