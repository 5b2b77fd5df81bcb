// SPDX-License-Identifier: Apache-2.0

/// How a mixture could run, what each way would take, and which one takes least.
///
///     let plan = try engine.plan(for: ["chef", "poet"], expectedTokens: 2000)
///     print(plan)                                                    // the estimates, and the choice
///     let mixture = try engine.apply(plan)                           // what to request with
public struct ExecutionPlan: Sendable, CustomStringConvertible {
  /// A way to run a mixture.
  public enum Way: String, Sendable, Hashable, CaseIterable {
    /// Adapters beside the base, as they are: nothing to prepare, any weight at any time.
    case side
    /// Low-rank adapters as one adapter that is made of them once and kept.
    case composite
    /// W + dW in place of W: a step costs what the base costs, and every request of the engine gets the mixture.
    case fuse
  }

  /// What a way would take, beside what the base takes in every way.
  public struct Estimate: Sendable, Hashable {
    /// The way.
    public let way: Way
    /// Seconds once, before the first token, and after the last one where the base is restored.
    public let preparation: Double
    /// Seconds for all tokens of the prompts.
    public let prefill: Double
    /// Seconds for all tokens that are generated.
    public let decode: Double
    /// Bytes that it needs and that are not there yet.
    public let byteCount: Int
    /// Why it cannot be taken; nil when it can.
    public let refusal: String?
    /// Seconds in all.
    public var seconds: Double { preparation + prefill + decode }
  }

  /// What was asked for.
  public let mixture: AdapterMixture
  /// Tokens that each sequence will generate.
  public let expectedTokens: Int
  /// Tokens of each prompt.
  public let promptTokens: Int
  /// Sequences that run at the same time.
  public let sequences: Int
  /// The rank that a composite is cut to; nil for the exact one.
  public let rank: Int?
  /// One for each way.
  public let estimates: [Estimate]
  /// The way that takes least.
  public let way: Way

  /// The estimate of a way.
  public func estimate(_ way: Way) -> Estimate? { estimates.first { $0.way == way } }

  /// A line for each way, the chosen one marked.
  public var description: String {
    let tokens = "\(promptTokens) + \(expectedTokens) tokens" + (sequences == 1 ? "" : " x \(sequences)")
    let rows = estimates.map { estimate in
      let mark = estimate.way == way ? "*" : " "
      let name = estimate.way.rawValue + String(repeating: " ", count: 10 - estimate.way.rawValue.utf8.count)
      if let refusal = estimate.refusal { return "\(mark) \(name)not possible: \(refusal)" }
      let parts = [
        ("to prepare", estimate.preparation), ("for prompts", estimate.prefill), ("to decode", estimate.decode),
      ].filter { $0.1 > 0 }.map { "\(ExecutionPlan.text($0.1)) \($0.0)" }
      let memory = estimate.byteCount > 0 ? ", \(MemoryPlan.text(estimate.byteCount)) more" : ""
      return "\(mark) \(name)\(ExecutionPlan.text(estimate.seconds))"
        + (parts.isEmpty ? "" : " (\(parts.joined(separator: ", ")))") + memory
    }
    return (["\(mixture), \(tokens): beside the base"] + rows).joined(separator: "\n")
  }

  /// `12.3 ms`
  static func text(_ seconds: Double) -> String {
    for (unit, factor) in [("s", 1.0), ("ms", 1e3), ("µs", 1e6)] where seconds * factor >= 1 || unit == "µs" {
      let tenths = Int((seconds * factor * 10).rounded())
      return "\(tenths / 10).\(tenths % 10) \(unit)"
    }
    return "0"
  }
}
