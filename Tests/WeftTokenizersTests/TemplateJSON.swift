// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// Test files of templates. The JSON reader refuses U+0000, which one unit case contains, so it travels as U+E000.
enum TemplateJSON {
  static func load(_ path: String) throws -> JSON {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let pattern = try NSRegularExpression(pattern: #"(?<!\\)((?:\\\\)*)\\u0000"#)
    let range = NSRange(text.startIndex..., in: text)
    return try JSON(
      parsing: pattern.stringByReplacingMatches(in: text, range: range, withTemplate: #"$1\\uE000"#), location: path)
  }

  /// The members of an object as template variables; "[fn]" stands for a function.
  static func variables(_ json: JSON?) throws -> [(String, Jinja.Value)] {
    try (json?.members ?? []).map { ($0.key, restored(try Jinja.Value($0.value, location: $0.key))) }
  }

  static func string(_ json: JSON?) -> String? { json?.string?.replacingOccurrences(of: "\u{E000}", with: "\u{0}") }

  private static func restored(_ value: Jinja.Value) -> Jinja.Value {
    switch value {
    case .string("[fn]"): return .function(.range)
    case .string(let text): return .string(text.replacingOccurrences(of: "\u{E000}", with: "\u{0}"))
    case .list(let list): return .list(Jinja.List(list.elements.map { restored($0) }))
    case .dictionary(let dictionary):
      var result = Jinja.Dictionary()
      for (key, value) in dictionary.entries { result[restored(key)] = restored(value) }
      return .dictionary(result)
    default: return value
    }
  }

  /// FNV-1a, 64 bit.
  static func hash(_ text: String) -> String {
    let digest = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    let digits = String(digest, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}
