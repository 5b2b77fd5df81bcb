// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// What `weft run --logprobs` prints below an answer: one line for each token, with what the model would have liked best.
enum LogProbabilityTable {
  static func print(_ result: GenerationResult, _ engine: Engine) {
    let rows = result.logProbabilities.map { entry in
      (text: quoted(engine.bytes(of: entry.chosen.id)), entry: entry)
    }
    let width = min(24, rows.map(\.text.count).max() ?? 0)
    for (text, entry) in rows {
      let top = entry.top.map { "\(quoted(engine.bytes(of: $0.id))) \(value($0))" }.joined(separator: "  ")
      Swift.print(
        Readable.padded(text, width) + Readable.padded(value(entry.chosen), 9, right: true)
          + (top.isEmpty ? "" : Terminal.styled("   " + top, .dim)))
    }
  }

  /// A token as people can read it: in quotes, with blanks and what is no character written as escapes.
  private static func quoted(_ bytes: [UInt8]) -> String {
    guard let text = String(validating: bytes, as: UTF8.self) else {
      return "<" + bytes.map { Readable.hexadecimal($0) }.joined(separator: " ") + ">"
    }
    return "\"" + text.unicodeScalars.map { $0.escaped(asASCII: false) }.joined() + "\""
  }

  private static func value(_ token: TokenLogProbability) -> String {
    Readable.decimal(Double(token.logProbability), digits: 3)
  }
}

extension Readable {
  fileprivate static func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
  }
}
