// SPDX-License-Identifier: Apache-2.0

internal import CPCRE2
internal import WeftTensors

/// A regular expression from a config, matched against whole module paths, as Python's `re.fullmatch` does.
///
/// The expression comes from a file: its size and the work of one match are limited.
final class NamePattern {
  private let code: OpaquePointer
  private let option: String
  private let location: String

  private static let lengthLimit = 10_000
  private static let matchLimit = 100_000

  /// `option` and `location` name the origin in errors.
  init(_ pattern: String, option: String, location: String) throws(AdapterError) {
    self.option = option
    self.location = location
    // A limit inside an expression can only lower this one.
    let text = Array("(*LIMIT_MATCH=\(NamePattern.matchLimit))\(pattern)".utf8)
    guard pattern.utf8.count <= NamePattern.lengthLimit else {
      throw .malformedOption(
        location: location, option: option, expected: "an expression of at most \(NamePattern.lengthLimit) bytes",
        found: "\(pattern.utf8.count)")
    }
    var error: Int32 = 0
    var offset = 0
    let flags = UInt32(PCRE2_UTF) | PCRE2_ANCHORED | PCRE2_ENDANCHORED | PCRE2_NEVER_BACKSLASH_C
    guard let code = pcre2_compile_8(text, text.count, flags, &error, &offset, nil) else {
      throw .malformedOption(
        location: location, option: option, expected: "a regular expression",
        found: "'\(pattern)' (\(NamePattern.message(error)) at byte \(offset))")
    }
    self.code = code
  }

  deinit { pcre2_code_free_8(code) }

  /// Whether the whole of `path` matches.
  func matches(_ path: String) throws(AdapterError) -> Bool {
    let text = Array(path.utf8)
    guard let match = pcre2_match_data_create_8(1, nil) else { throw .storage(.outOfMemory(bytes: text.count)) }
    defer { pcre2_match_data_free_8(match) }
    let result = pcre2_match_8(code, text, text.count, 0, 0, match, nil)
    if result >= 0 { return true }
    guard result == PCRE2_ERROR_NOMATCH else {
      throw .malformedOption(
        location: location, option: option, expected: "an expression that is matched in \(NamePattern.matchLimit) steps",
        found: NamePattern.message(result))
    }
    return false
  }

  private static func message(_ code: Int32) -> String {
    var text = [UInt8](repeating: 0, count: 256)
    let length = pcre2_get_error_message_8(code, &text, text.count)
    return String(decoding: text.prefix(max(0, Int(length))), as: UTF8.self)
  }
}
