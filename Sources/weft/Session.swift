// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// An open model, and who answers when nobody says otherwise.
struct Session {
  let engine: Engine
  var activation: Activation
  /// The demo model, when that is what runs.
  let demo: DemoModel?

  /// Opens a model with adapters and router. The router chooses unless adapters are named without one.
  init(
    _ model: ModelOptions, _ adapters: AdapterFlags, _ router: RouterFlags, _ options: EngineOptions
  ) throws {
    if adapters.mixture != nil, router.router != nil {
      throw ValidationError("--mixture: expected no router beside it, as the mixture says who answers")
    }
    (engine, demo) = try model.open(options, adapters)
    try router.load(into: engine, demo)
    let isRouted = adapters.mixture == nil && (router.router != nil || (adapters.isEmpty && engine.routerSummary != nil))
    if isRouted {
      activation = router.activation
    } else {
      try router.refuseWithoutChoice()
      activation = try Session.activation(of: adapters.answering(), engine)
    }
  }

  /// The activation of a mixture, which is refused here if it could not be activated.
  static func activation(of mixture: AdapterMixture, _ engine: Engine) throws(EngineError) -> Activation {
    try engine.validate(mixture)
    return mixture.adapters.isEmpty ? .base : .mixture(mixture)
  }

  /// The temperature where none is given. The demo's experts solve tasks with one right answer: there nothing is left to chance
  /// unless asked for.
  var standardTemperature: Float { demo == nil ? SamplingOptions().temperature : 0 }

  /// Runs a request to its end, or until Ctrl-C: then the result is what was answered so far.
  func answer(_ request: GenerationRequest, onText: (String) -> Void) throws(EngineError) -> GenerationResult {
    _ = Interrupt.take()
    let id = try engine.submit(request)
    var result: GenerationResult?
    while true {
      if Interrupt.take() { engine.cancel(id) }
      engine.step { event in
        switch event {
        case .token(_, _, let text, _): onText(text)
        case .finished(_, let finished): result = finished
        case .activated: break
        }
      }
      if let error = result?.error { throw error }
      if let result { return result }
    }
  }

  /// Who answered with which weights, and how fast: the line under an answer.
  static func summary(of result: GenerationResult) -> String {
    let mixtures = result.mixtures.map(\.mixture.readable).joined(separator: " → ")
    var parts = [mixtures.isEmpty ? "base" : mixtures, Readable.count(result.tokens.count, "token")]
    if result.tokensPerSecond > 0 { parts.append(Readable.decimal(result.tokensPerSecond, digits: 0) + " tokens/s") }
    switch result.finishReason {
    case .length: parts.append(result.isContextFull ? "cut: the context is full" : "cut at the longest answer")
    case .cancelled: parts.append("stopped")
    case .endToken, .stopString, .grammarEnd, .failed: break
    }
    return parts.joined(separator: " · ")
  }
}
