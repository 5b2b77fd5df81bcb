// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// Rank and scale of every module: `r`, `lora_alpha`, `use_rslora`, `rank_pattern`, `alpha_pattern`.
struct LoRARanks {
  private let rank: Int
  private let alpha: Double
  private let isRankStabilized: Bool
  /// In file order; the first that matches a module decides.
  private let rankPatterns: [(pattern: NamePattern, rank: Int)]
  private let alphaPatterns: [(pattern: NamePattern, alpha: Double)]

  init(_ config: AdapterConfig) throws(AdapterError) {
    rank = try LoRARanks.rank(config["r"], "r", config)
    alpha = try LoRARanks.alpha(config["lora_alpha"], "lora_alpha", config)
    isRankStabilized = try config.bool("use_rslora")
    var ranks: [(pattern: NamePattern, rank: Int)] = []
    for (key, value) in try config.members("rank_pattern") {
      ranks.append((try LoRARanks.pattern(key, "rank_pattern", config), try LoRARanks.rank(value, "rank_pattern", config)))
    }
    rankPatterns = ranks
    var alphas: [(pattern: NamePattern, alpha: Double)] = []
    for (key, value) in try config.members("alpha_pattern") {
      alphas.append((try LoRARanks.pattern(key, "alpha_pattern", config), try LoRARanks.alpha(value, "alpha_pattern", config)))
    }
    alphaPatterns = alphas
  }

  /// The rank that the config gives to the module of this name.
  func rank(of name: String) throws(AdapterError) -> Int {
    for entry in rankPatterns where try entry.pattern.matches(name) { return entry.rank }
    return rank
  }

  /// alpha / rank, or alpha / sqrt(rank) with `use_rslora`.
  func scale(of name: String, rank: Int) throws(AdapterError) -> Float {
    var alpha = alpha
    for entry in alphaPatterns where try entry.pattern.matches(name) {
      alpha = entry.alpha
      break
    }
    return Float(alpha / (isRankStabilized ? Double(rank).squareRoot() : Double(rank)))
  }

  /// A key of a pattern option matches at the end of a path, after a dot or alone.
  static func pattern(_ key: String, _ option: String, _ config: AdapterConfig) throws(AdapterError) -> NamePattern {
    try NamePattern("(.*\\.)?(\(key))", option: option, location: config.location)
  }

  static func rank(_ value: JSON?, _ option: String, _ config: AdapterConfig) throws(AdapterError) -> Int {
    guard let rank = value?.int, rank > 0 else {
      throw config.malformed(option, expected: "a rank of at least 1", found: value)
    }
    return rank
  }

  static func alpha(_ value: JSON?, _ option: String, _ config: AdapterConfig) throws(AdapterError) -> Double {
    guard let alpha = value?.double, alpha.isFinite else { throw config.malformed(option, expected: "a number", found: value) }
    return alpha
  }
}
