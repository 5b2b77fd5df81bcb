// SPDX-License-Identifier: Apache-2.0

/// The 256 characters that stand for bytes in byte-level vocabularies (GPT-2): printable Latin-1 stands for itself, the other
/// 68 bytes for U+0100 ... U+0143 in their order, so that a space is "Ġ" and a newline "Ċ".
struct ByteAlphabet: Sendable {
  /// UTF-8 of the character of each byte: one or two bytes, the second 0 when there is one.
  private let spellings: [(first: UInt8, second: UInt8)]
  /// The byte of each character below U+0144, -1 for the others.
  private let bytes: [Int16]

  init() {
    var spellings: [(UInt8, UInt8)] = []
    var bytes = [Int16](repeating: -1, count: 0x144)
    var next = 0x100
    for byte in 0..<256 {
      let isPrintable = (0x21...0x7E).contains(byte) || (0xA1...0xAC).contains(byte) || byte >= 0xAE
      let scalar = isPrintable ? byte : next
      if !isPrintable { next += 1 }
      bytes[scalar] = Int16(byte)
      spellings.append(
        scalar < 0x80 ? (UInt8(scalar), 0) : (UInt8(0xC0 | scalar >> 6), UInt8(0x80 | scalar & 0x3F)))
    }
    self.spellings = spellings
    self.bytes = bytes
  }

  /// Appends the characters that stand for the bytes of `text`.
  func spell(_ text: Span<UInt8>, into result: inout [UInt8]) {
    for index in text.indices {
      let spelling = spellings[Int(text[index])]
      result.append(spelling.first)
      if spelling.second != 0 { result.append(spelling.second) }
    }
  }

  /// The bytes that the characters of `piece` (UTF-8) stand for; nil when one of them stands for none.
  func bytes(of piece: [UInt8]) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(piece.count)
    var index = 0
    while index < piece.count {
      let end = min(piece.count, index + utf8Length(lead: piece[index]))
      guard let scalar = firstScalar(of: piece.span.extracting(index..<end)), scalar.value < bytes.count else { return nil }
      let byte = bytes[Int(scalar.value)]
      guard byte >= 0 else { return nil }
      result.append(UInt8(byte))
      index = end
    }
    return result
  }
}
