// SPDX-License-Identifier: Apache-2.0

extension MergeTable {
  /// Makes a table from spelled merges, the earliest first, against the pieces that they name.
  struct Builder {
    private(set) var table: MergeTable
    private let pieces: PieceTable
    private let location: String
    /// What the right one of two pieces loses when they become one.
    private let continuing: [UInt8]
    private var rank: UInt32 = 0

    /// `count` merges will follow; `location` names their list in errors.
    init(pieces: PieceTable, count: Int, location: String, continuing: [UInt8] = []) {
      table = MergeTable(capacity: count)
      self.pieces = pieces
      self.location = location
      self.continuing = continuing
    }

    /// Appends "left right", split at the only space: pieces of byte-level vocabularies hold none.
    mutating func append(line: String) throws(TokenizerError) {
      let bytes = Array(line.utf8)
      guard let space = bytes.firstIndex(of: 0x20), bytes.lastIndex(of: 0x20) == space else {
        throw .malformed(
          location: "\(location)[\(rank)]", expected: "two pieces with a space between them", found: "\"\(line)\"")
      }
      try append(left: Array(bytes[..<space]), right: Array(bytes[(space + 1)...]))
    }

    mutating func append(left: [UInt8], right: [UInt8]) throws(TokenizerError) {
      let rest = right.starts(with: continuing) ? right[continuing.count...] : right[...]
      let whole = left + rest
      let merged = try id(whole.span)
      table.insert(left: try id(left.span), right: try id(right.span), rank: rank, merged: merged)
      rank += 1
    }

    private func id(_ piece: Span<UInt8>) throws(TokenizerError) -> Int32 {
      guard let id = pieces.id(of: piece) else {
        var spelling: [UInt8] = []
        spelling.append(piece)
        throw .malformed(
          location: "\(location)[\(rank)]", expected: "pieces of the vocabulary",
          found: "\"\(String(decoding: spelling, as: UTF8.self))\"")
      }
      return id
    }
  }
}
