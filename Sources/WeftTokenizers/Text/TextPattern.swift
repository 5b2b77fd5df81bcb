// SPDX-License-Identifier: Apache-2.0

internal import CPCRE2

/// A compiled regular expression over UTF-8 (PCRE2 with JIT and Unicode properties). Immutable, shared by threads.
final class TextPattern: @unchecked Sendable {
  private let code: OpaquePointer

  /// Compiles an expression in the dialect of tokenizer files (see `PatternTranslation`). `location` names its place in errors.
  convenience init(_ source: String, location: String) throws(TokenizerError) {
    try self.init(pcre2: PatternTranslation.translate(source, location: location), source: source, location: location)
  }

  /// An expression that matches exactly this text.
  convenience init(literal: String, location: String) throws(TokenizerError) {
    var escaped = ""
    for scalar in literal.unicodeScalars { escaped += "\\x{" + String(scalar.value, radix: 16) + "}" }
    try self.init(pcre2: escaped, source: literal, location: location)
  }

  private init(pcre2 pattern: String, source: String, location: String) throws(TokenizerError) {
    var errorCode: Int32 = 0
    var errorOffset = 0
    let bytes = Array(pattern.utf8)
    guard let context = pcre2_compile_context_create_8(nil) else {
      throw .malformed(location: location, expected: "memory for a regular expression", found: "none")
    }
    defer { pcre2_compile_context_free_8(context) }
    pcre2_set_newline_8(context, UInt32(PCRE2_NEWLINE_LF))
    let options = UInt32(PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C)
    let compiled = bytes.withUnsafeBufferPointer {
      pcre2_compile_8($0.baseAddress, bytes.count, options, &errorCode, &errorOffset, context)
    }
    guard let compiled else {
      var message = [UInt8](repeating: 0, count: 256)
      let length = pcre2_get_error_message_8(errorCode, &message, message.count)
      let reason = String(decoding: message.prefix(max(0, Int(length))), as: UTF8.self)
      throw .malformed(location: location, expected: "a regular expression", found: "\"\(source)\" (\(reason))")
    }
    code = compiled
    // Without JIT (a system that forbids executable pages) the same expression is interpreted.
    _ = pcre2_jit_compile_8(compiled, UInt32(PCRE2_JIT_COMPLETE))
  }

  deinit { pcre2_code_free_8(code) }

  /// Calls `found` with every match in `text[range]`, from left to right; the range is matched as a text of its own.
  ///
  /// An empty match directly behind a match is passed over. Should the matcher give up (its limit on backtracking), the rest
  /// counts as not matching: text is never lost by it.
  func matches(in text: Span<UInt8>, _ range: Range<Int>, found: (Range<Int>) -> Void) {
    guard let matchData = pcre2_match_data_create_8(1, nil) else { return }
    defer { pcre2_match_data_free_8(matchData) }
    text.withUnsafeBufferPointer { buffer in
      guard let base = buffer.baseAddress else { return }
      let subject = base + range.lowerBound
      var position = 0
      var lastEnd = -1
      while position <= range.count {
        // The text is a Swift string's: valid, and checking it again at every match would be quadratic.
        var result = pcre2_match_8(code, subject, range.count, position, UInt32(PCRE2_NO_UTF_CHECK), matchData, nil)
        if result == PCRE2_ERROR_JIT_STACKLIMIT {
          // Compiled code has a small stack for backtracking; the interpreter takes it from the heap.
          let options = UInt32(PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT)
          result = pcre2_match_8(code, subject, range.count, position, options, matchData, nil)
        }
        guard result >= 0, let bounds = pcre2_get_ovector_pointer_8(matchData) else { return }
        let match = bounds[0]..<max(bounds[0], bounds[1])
        if match.isEmpty, match.lowerBound == lastEnd {
          position += position < range.count ? utf8Length(lead: subject[position]) : 1
          continue
        }
        found(range.lowerBound + match.lowerBound..<range.lowerBound + match.upperBound)
        position = match.upperBound
        lastEnd = match.upperBound
      }
    }
  }
}
