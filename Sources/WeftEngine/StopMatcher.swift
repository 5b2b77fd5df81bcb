// SPDX-License-Identifier: Apache-2.0

/// Finds stop strings in streamed text. Text that may be the beginning of a stop string is held back until that is decided.
package struct StopMatcher {
  private let stops: [[UInt8]]
  private var held: [UInt8] = []

  /// Empty stop strings never match.
  package init(_ strings: [String]) {
    stops = strings.filter { !$0.isEmpty }.map { Array($0.utf8) }
  }

  /// Adds text. Returns what may be shown, and whether a stop string was found behind it.
  package mutating func append(_ text: String) -> (text: String, stopped: Bool) {
    guard !stops.isEmpty else { return (text, false) }
    held += text.utf8
    // The earliest match wins.
    for begin in held.indices {
      let rest = held[begin...]
      if stops.contains(where: { rest.starts(with: $0) }) {
        let shown = String(decoding: held[..<begin], as: UTF8.self)
        held = []
        return (shown, true)
      }
      if stops.contains(where: { $0.starts(with: rest) }) {
        let shown = String(decoding: held[..<begin], as: UTF8.self)
        held.removeFirst(begin)
        return (shown, false)
      }
    }
    defer { held.removeAll(keepingCapacity: true) }
    return (String(decoding: held, as: UTF8.self), false)
  }

  /// The end of the text: what was held back.
  package mutating func finish() -> String {
    defer { held = [] }
    return String(decoding: held, as: UTF8.self)
  }
}
