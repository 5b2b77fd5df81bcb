// SPDX-License-Identifier: Apache-2.0

// The text of a mixture:
//
//   mixture = "base" | part { ("," | ">") part } [ "/" rule ]
//   part    = name [ "@" layers ] [ ":" number ] [ "[" entry { "," entry } "]" ]
//   entry   = ( module [ "@" layers ] | "@" layers ) "=" number
//   layers  = range { "+" range }      range = layer [ "-" layer ]      rule = "multiply" | "average"
//
//   chef:0.7,poet:0.3               two adapters side by side
//   lang@0-7,task@8-23              each in its own layers
//   lang>task                       task upon lang: for operators whose order matters
//   chef:0.7[q_proj=0.2,@20-23=0]   0.7, except 0.2 in all q_proj and nothing in the last layers
//   fast:0.5,calm:0.5/average       scales are averaged, not multiplied

extension Mixture: CustomStringConvertible {
  /// `chef:0.7,poet:0.3`, or `base`; `init(parsing:)` reads it back exactly.
  package var description: String {
    guard let first = parts.first else { return Mixture.baseText }
    var text = first.description
    for (part, previous) in zip(parts.dropFirst(), parts) {
      text += (part.level == previous.level ? "," : ">") + part.description
    }
    return scales == .multiply ? text : "\(text)/\(scales.rawValue)"
  }

  /// Reads parts in any order; a name without a weight has weight 1; `base` is no adapter at all.
  package init(parsing text: String) throws(MixtureError) {
    if text == Mixture.baseText {
      self = .base
      return
    }
    var parser = MixtureParser(text)
    self = try parser.mixture()
  }

  /// The shortest decimal number that is read back as this weight.
  static func text(of weight: Float) -> String {
    let text = weight.description
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}

extension Mixture.Part: CustomStringConvertible {
  /// `chef@0-7:0.7[q_proj=0.2]`
  package var description: String {
    let entries = modules.map { "\($0.place)=\(Mixture.text(of: $0.weight))" }.joined(separator: ",")
    return adapter + (layers.map { "@\($0)" } ?? "") + ":" + Mixture.text(of: weight) + (entries.isEmpty ? "" : "[\(entries)]")
  }
}
