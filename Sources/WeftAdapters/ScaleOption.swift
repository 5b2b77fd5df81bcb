// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// `r`, `alpha` and their patterns, of LoHa and LoKr: scale = alpha / r.
struct ScaleOption {
  let ranks: PatternedRank
  private let alpha: Double
  private let patterns: PatternOption

  init(_ config: AdapterConfig, _ base: BaseModel) throws(AdapterError) {
    ranks = try PatternedRank(config, "r", default: 8, pattern: "rank_pattern", base: base)
    alpha = try config.number("alpha", default: 8)
    patterns = try PatternOption("alpha_pattern", config)
  }

  func scale(of module: BaseModule) throws(AdapterError) -> Float {
    Float(try patterns.number(for: module, default: alpha) / Double(try ranks.rank(of: module)))
  }
}
