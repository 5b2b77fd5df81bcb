// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftEngine

/// Output to people: colours, bars and progress where somebody sees them, plain text elsewhere.
enum Terminal {
  enum Stream: Int32 {
    case input = 0
    case output = 1
    case error = 2

    var isTerminal: Bool { isatty(rawValue) == 1 }

    /// No colour in files and pipes, for TERM=dumb, or when NO_COLOR says so (https://no-color.org).
    var hasColour: Bool {
      let environment = ProcessInfo.processInfo.environment
      return isTerminal && environment["TERM"] != "dumb" && (environment["NO_COLOR"] ?? "").isEmpty
    }
  }

  enum Style: Int {
    case bold = 1
    case dim = 2
    case red = 31
  }

  /// The text in a style, where the stream shows styles.
  static func styled(_ text: String, _ style: Style, on stream: Stream = .output) -> String {
    stream.hasColour ? "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// Writes at once, without a newline of its own.
  static func write(_ text: String, to stream: Stream = .output) {
    guard stream == .output else { return FileHandle.standardError.write(Data(text.utf8)) }
    print(text, terminator: "")
    fflush(nil)
  }

  /// A line on standard error that begins with `error:`.
  static func report(error message: String) {
    write(styled("error:", .red, on: .error) + " \(message)\n", to: .error)
  }

  /// A line on standard error for people, not for programs.
  static func note(_ message: String) { write(styled(message, .dim, on: .error) + "\n", to: .error) }

  /// Replaces the current line of standard error, when that is a terminal. An empty message clears it.
  static func showProgress(_ message: String) {
    guard Stream.error.isTerminal else { return }
    write("\r\u{1B}[2K" + styled(String(message.prefix(width - 1)), .dim, on: .error), to: .error)
  }

  /// Runs `body` while the terminal does not show what is typed: an answer is not the place for it. Typed lines are kept.
  static func withoutEcho<Result>(_ body: () throws(EngineError) -> Result) throws(EngineError) -> Result {
    var settings = termios()
    guard tcgetattr(Stream.input.rawValue, &settings) == 0 else { return try body() }
    var quiet = settings
    quiet.c_lflag &= ~tcflag_t(ECHO)
    tcsetattr(Stream.input.rawValue, TCSANOW, &quiet)
    defer { tcsetattr(Stream.input.rawValue, TCSANOW, &settings) }
    return try body()
  }

  /// Columns of the terminal; 80 when it does not say.
  static var width: Int {
    var size = winsize()
    guard ioctl(Stream.error.rawValue, UInt(TIOCGWINSZ), &size) == 0, size.ws_col >= 20 else { return 80 }
    return Int(size.ws_col)
  }

  /// A bar for a share from 0 to 1, in eighths of a column.
  static func bar(_ share: Double, width: Int = 24) -> String {
    let eighths = Int((min(max(share, 0), 1) * Double(width * 8)).rounded())
    let parts = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"]
    return String(repeating: "█", count: eighths / 8) + parts[eighths % 8]
  }
}

/// Numbers as people read them.
enum Readable {
  /// `8.4M`, `1.2G`: counts and, with a unit behind, bytes.
  static func scaled(_ count: Int) -> String {
    var value = Double(count)
    for suffix in ["", "k", "M", "G"] {
      if value < 999.5 {
        return (suffix.isEmpty ? "\(count)" : decimal(value, digits: value < 10 ? 2 : value < 100 ? 1 : 0)) + suffix
      }
      value /= 1000
    }
    return decimal(value, digits: 2) + "T"
  }

  static func bytes(_ count: Int) -> String {
    let text = scaled(count)
    guard let last = text.last, last.isLetter else { return "\(text) B" }
    return "\(text.dropLast()) \(last)B"
  }

  static func percent(_ share: Double, digits: Int = 0) -> String { decimal(share * 100, digits: digits) + " %" }

  static func decimal(_ value: Double, digits: Int) -> String { String(format: "%.\(digits)f", value) }

  static func seconds(_ value: Double) -> String {
    value < 1 ? decimal(value * 1000, digits: 0) + " ms" : decimal(value, digits: value < 10 ? 2 : 1) + " s"
  }

  /// `1 token`, `2 tokens`
  static func count(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  /// The text with blanks behind it, or before it, up to a width in characters.
  static func padded(_ text: String, _ width: Int, right: Bool = false) -> String {
    let blanks = String(repeating: " ", count: max(0, width - text.count))
    return right ? blanks + text : text + blanks
  }
}
