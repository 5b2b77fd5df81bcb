// SPDX-License-Identifier: Apache-2.0

extension Mixture: CustomStringConvertible {
  /// `chef:0.7,poet:0.3`, or `base`; `init(parsing:)` reads it back exactly.
  package var description: String {
    if parts.isEmpty { return Mixture.baseText }
    return parts.map { part in
      let weight = part.weight.description
      return "\(part.adapter):\(weight.hasSuffix(".0") ? String(weight.dropLast(2)) : weight)"
    }.joined(separator: ",")
  }

  /// Reads `name:weight` parts in any order, separated by commas; a name alone has weight 1; `base` is no adapter at all.
  package init(parsing text: String) throws(MixtureError) {
    if text == Mixture.baseText {
      self = .base
      return
    }
    var parts: [Part] = []
    for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
      let fields = piece.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      let name = String(fields[0])
      guard Mixture.isName(name) else { throw .invalidName(name) }
      let weight = try fields.count == 2 ? Mixture.weight(String(fields[1]), of: name) : 1
      parts.append(Part(adapter: name, weight: weight))
    }
    try self.init(parts)
  }

  /// A decimal number. Swift's own reader also knows `inf`, `nan` and hexadecimal, which nobody means here.
  private static func weight(_ text: String, of adapter: String) throws(MixtureError) -> Float {
    guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let weight = Float(text), weight.isFinite else {
      throw .invalidWeight(adapter: adapter, found: text)
    }
    return weight
  }
}
