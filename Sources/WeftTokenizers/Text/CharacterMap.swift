// SPDX-License-Identifier: Apache-2.0

/// SentencePiece's precompiled map from character sequences to what they are written as.
///
/// The bytes are: the size of a trie (32 bit, little endian), the trie, and replacements that each end in a zero byte. The trie is
/// a double array of Darts-clone: a unit has a label in bits 0-7 and 31, "a key ends here" in bit 8, and the distance to its
/// children in bits 10-30, shifted left by 8 where bit 9 is set; a unit with bit 31 holds a value in its other bits.
struct CharacterMap: Sendable {
  /// Which parts of a text are looked up.
  enum Matching: Sendable {
    /// The longest key at every place, as SentencePiece does.
    case longest
    /// `tokenizers` looks up whole grapheme clusters of less than six bytes, then their characters, and takes the shortest key.
    case cluster
  }

  private let units: [UInt32]
  private let replacements: [UInt8]
  private let matching: Matching

  /// - Throws: `TokenizerError.malformed` when sizes do not fit.
  init(_ bytes: [UInt8], matching: Matching, location: String) throws(TokenizerError) {
    guard bytes.count >= 4 else {
      throw .malformed(location: location, expected: "a character map of at least 4 bytes", found: "\(bytes.count) bytes")
    }
    func word(_ index: Int) -> UInt32 {
      UInt32(bytes[index]) | UInt32(bytes[index + 1]) << 8 | UInt32(bytes[index + 2]) << 16 | UInt32(bytes[index + 3]) << 24
    }
    let size = Int(word(0))
    guard size % 4 == 0, size > 0, size < bytes.count - 4 else {
      throw .malformed(
        location: location, expected: "a character map whose trie is smaller than its \(bytes.count) bytes", found: "\(size)")
    }
    units = (0..<size / 4).map { word(4 + $0 * 4) }
    replacements = Array(bytes[(4 + size)...])
    guard replacements.last == 0, String(validating: replacements, as: UTF8.self) != nil else {
      throw .malformed(
        location: location, expected: "replacements in UTF-8 that end in a zero byte", found: "\(replacements.count) bytes")
    }
    self.matching = matching
  }

  func apply(to text: inout [UInt8]) {
    var result: [UInt8] = []
    result.reserveCapacity(text.count)
    switch matching {
    case .longest:
      var index = 0
      while index < text.count {
        var best: (length: Int, value: Int)?
        search(text, index..<text.count) { length, value in
          best = (length, value)
          return true
        }
        if let best {
          appendReplacement(best.value, to: &result)
          index += best.length
        } else {
          let end = min(text.count, index + utf8Length(lead: text[index]))
          result.append(contentsOf: text[index..<end])
          index = end
        }
      }
    case .cluster:
      var start = 0
      for cluster in String(decoding: text, as: UTF8.self) {
        let end = start + cluster.utf8.count
        if end - start >= 6 || !appendShortest(text, start..<end, to: &result) {
          var index = start
          while index < end {
            let next = min(end, index + utf8Length(lead: text[index]))
            if !appendShortest(text, index..<next, to: &result) { result.append(contentsOf: text[index..<next]) }
            index = next
          }
        }
        start = end
      }
    }
    text = result
  }

  private func appendShortest(_ text: [UInt8], _ range: Range<Int>, to result: inout [UInt8]) -> Bool {
    var found: Int?
    search(text, range) { _, value in
      found = value
      return false
    }
    guard let found else { return false }
    appendReplacement(found, to: &result)
    return true
  }

  /// Calls `found` with the length and value of every key that `text[range]` begins with, until it returns false.
  private func search(_ text: [UInt8], _ range: Range<Int>, _ found: (Int, Int) -> Bool) {
    guard let root = units.first else { return }
    var place = Self.offset(root)
    for index in range {
      let byte = UInt32(text[index])
      place ^= Int(byte)
      guard byte != 0, place < units.count else { return }
      let unit = units[place]
      guard unit & 0x8000_00FF == byte else { return }
      place ^= Self.offset(unit)
      if unit & 0x100 != 0 {
        guard place < units.count, found(index + 1 - range.lowerBound, Int(units[place] & 0x7FFF_FFFF)) else { return }
      }
    }
  }

  private static func offset(_ unit: UInt32) -> Int { Int((unit >> 10) << ((unit & 0x200) >> 6)) }

  /// A value beyond the replacements, which only a damaged map has, replaces by nothing.
  private func appendReplacement(_ start: Int, to result: inout [UInt8]) {
    // A value into the middle of a character would make text that is not UTF-8.
    guard start < replacements.count, replacements[start] & 0xC0 != 0x80 else { return }
    var index = start
    while replacements[index] != 0 {
      result.append(replacements[index])
      index += 1
    }
  }
}
