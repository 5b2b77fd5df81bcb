// SPDX-License-Identifier: Apache-2.0

/// The bytes of the character that begins with this byte, in valid UTF-8. A continuation byte counts as one.
@inline(__always)
func utf8Length(lead: UInt8) -> Int {
  if lead < 0xC0 { return 1 }
  if lead < 0xE0 { return 2 }
  return lead < 0xF0 ? 3 : 4
}

/// The scalar at the start of a piece of valid UTF-8; nil when there is none.
func firstScalar(of text: Span<UInt8>) -> Unicode.Scalar? {
  guard !text.isEmpty else { return nil }
  return scalar(text, 0..<min(text.count, utf8Length(lead: text[0])))
}

/// The scalar at the end of a piece of valid UTF-8; nil when there is none.
func lastScalar(of text: Span<UInt8>) -> Unicode.Scalar? {
  var start = text.count
  while start > 0 {
    start -= 1
    if text[start] & 0xC0 != 0x80 { return scalar(text, start..<text.count) }
  }
  return nil
}

private func scalar(_ text: Span<UInt8>, _ range: Range<Int>) -> Unicode.Scalar? {
  let lead = UInt32(text[range.lowerBound])
  var value = range.count == 1 ? lead : lead & (0x7F >> UInt32(range.count))
  for index in range.dropFirst() { value = value << 6 | UInt32(text[index] & 0x3F) }
  return Unicode.Scalar(value)
}

extension Array<UInt8> {
  /// Appends a part of a text.
  mutating func append(_ text: Span<UInt8>) {
    text.withUnsafeBufferPointer { append(contentsOf: $0) }
  }

  /// Whether `part` stands at `index`.
  func matches(_ part: [UInt8], at index: Int) -> Bool {
    guard index >= 0, count - index >= part.count else { return false }
    for offset in part.indices where self[index + offset] != part[offset] { return false }
    return true
  }

  /// This text with every `pattern` (not empty) replaced, from left to right.
  func replacing(_ pattern: [UInt8], with content: [UInt8]) -> [UInt8] {
    guard let first = pattern.first else { return self }
    var result: [UInt8] = []
    result.reserveCapacity(count)
    var index = 0
    while index < count {
      if self[index] == first, matches(pattern, at: index) {
        result.append(contentsOf: content)
        index += pattern.count
      } else {
        result.append(self[index])
        index += 1
      }
    }
    return result
  }
}
