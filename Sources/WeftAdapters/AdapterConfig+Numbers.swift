// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

extension AdapterConfig {
  /// The rules of a PEFT family that adapts linear modules: its own options beside those that every such config may have.
  static func rules(read: [String], inert: [String] = [], off: [String] = []) -> [String: Rule] {
    var rules = commonRules.merging(targetRules) { own, _ in own }
    // How the base stores its weights is known from the base, and how the tensors began is in the tensors.
    for option in inert + ["fan_in_fan_out", "init_weights"] { rules[option] = .inert }
    for option in off { rules[option] = .off }
    for option in read + ["bias", "modules_to_save"] { rules[option] = .read }
    return rules
  }

  /// An integer of at least `least`; `value` when the option is absent.
  func integer(_ option: String, default value: Int, atLeast least: Int = 1) throws(AdapterError) -> Int {
    guard let json = self[option] else { return value }
    guard let integer = json.int, integer >= least else {
      throw malformed(option, expected: "an integer of at least \(least)", found: json)
    }
    return integer
  }

  /// A finite number; `value` when the option is absent.
  func number(_ option: String, default value: Double) throws(AdapterError) -> Double {
    guard let json = self[option] else { return value }
    guard let number = json.double, number.isFinite else { throw malformed(option, expected: "a number", found: json) }
    return number
  }

  /// True or false; `value` when the option is absent.
  func bool(_ option: String, default value: Bool) throws(AdapterError) -> Bool {
    self[option] == nil ? value : try bool(option)
  }

  /// Refuses a rank with which the factors of these modules would be larger than the modules, where that is much: what a few
  /// numbers in a file ask for is then no larger than the base.
  ///
  /// - Parameter option: the option that the user would change.
  func requireRoom(rank: Int, option: String, modules: [BaseModule], base: BaseModel) throws(AdapterError) {
    var (factors, weights) = (0, 1 << 24)
    for module in modules {
      let size = base.size(of: module)
      let (product, overflow) = rank.multipliedReportingOverflow(by: size.out + size.in)
      let (sum, isBeyond) = factors.addingReportingOverflow(product)
      factors = overflow || isBeyond ? Int.max : sum
      weights += size.out * size.in
      guard factors <= weights else {
        throw malformed(option, expected: "factors that are no larger than the weights", found: self[option])
      }
    }
  }

  /// A rank of at least `least`, and at most 1024 or the largest size of the base's modules if that is more: what is computed from it
  /// is then no larger than the base.
  func rank(_ option: String, default value: Int, atLeast least: Int = 1, base: BaseModel) throws(AdapterError) -> Int {
    let rank = try integer(option, default: value, atLeast: least)
    let largest = base.shape.modules.reduce(1024) { max($0, base.size(of: $1).out, base.size(of: $1).in) }
    guard rank <= largest else {
      throw malformed(option, expected: "a rank of at most \(largest)", found: self[option])
    }
    return rank
  }
}
