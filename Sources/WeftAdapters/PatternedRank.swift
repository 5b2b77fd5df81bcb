// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// Values of an option for the modules that a pattern matches (`rank_pattern`): the first pattern in the file that matches.
struct PatternedRank {
  private let usual: Int
  private let patterns: [(pattern: NamePattern, rank: Int)]

  /// - Parameters:
  ///   - option: what every module has that no pattern matches; `value` when it is absent.
  ///   - pattern: the option with the patterns. A key matches at the end of a path, after a dot or alone.
  init(
    _ config: AdapterConfig, _ option: String, default value: Int, pattern: String, base: BaseModel
  ) throws(AdapterError) {
    usual = try config.rank(option, default: value, base: base)
    var patterns: [(pattern: NamePattern, rank: Int)] = []
    for (key, value) in try config.members(pattern) {
      guard let rank = value.int, rank > 0 else {
        throw config.malformed(pattern, expected: "ranks of at least 1", found: value)
      }
      patterns.append((try NamePattern("(.*\\.)?(\(key))", option: pattern, location: config.location), rank))
    }
    self.patterns = patterns
  }

  func rank(of module: BaseModule) throws(AdapterError) -> Int {
    for (pattern, rank) in patterns where try pattern.matches(module.name) { return rank }
    return usual
  }
}
