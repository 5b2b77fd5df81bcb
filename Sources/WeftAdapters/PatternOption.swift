// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// An option such as `alpha_pattern`: values for the modules whose paths match an expression. The first in file order decides.
struct PatternOption {
  private let option: String
  private let config: AdapterConfig
  private let entries: [(pattern: NamePattern, value: JSON)]

  /// - Parameter needsDot: a key matches after a dot only (`n_frequency_pattern` of FourierFT, `block_size_pattern`), not also as
  ///   a whole path.
  init(_ option: String, _ config: AdapterConfig, needsDot: Bool = false) throws(AdapterError) {
    self.option = option
    self.config = config
    var entries: [(pattern: NamePattern, value: JSON)] = []
    for (key, value) in try config.members(option) {
      let path = needsDot ? ".*\\.\(key)" : "(.*\\.)?(\(key))"
      entries.append((try NamePattern(path, option: option, location: config.location), value))
    }
    self.entries = entries
  }

  /// The integer, of at least 1, for a module; `standard` when no key matches.
  func integer(for module: BaseModule, default standard: Int) throws(AdapterError) -> Int {
    guard let value = try value(for: module) else { return standard }
    guard let integer = value.int, integer >= 1 else {
      throw config.malformed(option, expected: "integers of at least 1", found: value)
    }
    return integer
  }

  /// The finite number for a module; `standard` when no key matches.
  func number(for module: BaseModule, default standard: Double) throws(AdapterError) -> Double {
    guard let value = try value(for: module) else { return standard }
    guard let number = value.double, number.isFinite else {
      throw config.malformed(option, expected: "numbers", found: value)
    }
    return number
  }

  private func value(for module: BaseModule) throws(AdapterError) -> JSON? {
    for entry in entries where try entry.pattern.matches(module.name) { return entry.value }
    return nil
  }
}
