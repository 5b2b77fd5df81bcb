// SPDX-License-Identifier: Apache-2.0

extension MergeTable {
  /// Makes a table from spelled merges, the earliest first, against the pieces that they name.
  struct Builder {
    private(set) var table: MergeTable
    private let pieces: PieceTable
    private let location: String
    private var rank: UInt32 = 0

    /// `count` merges will follow; `location` names their list in errors.
    init(pieces: PieceTable, count: Int, location: String) {
      table = MergeTable(capacity: count)
      self.pieces = pieces
      self.location = location
    }

    /// Appends "left right", split at the only space: pieces of byte-level vocabularies hold none.
    mutating func append(line: String) throws(TokenizerError) {
      let parts = Array(line.utf8).split(separator: 0x20, omittingEmptySubsequences: false)
      guard parts.count == 2 else {
        throw .malformed(
          location: "\(location)[\(rank)]", expected: "two pieces with a space between them", found: "\"\(line)\"")
      }
      try append(left: Array(parts[0]), right: Array(parts[1]))
    }

    mutating func append(left: [UInt8], right: [UInt8]) throws(TokenizerError) {
      let merged = try id(left + right)
      table.insert(left: try id(left), right: try id(right), rank: rank, merged: merged)
      rank += 1
    }

    private func id(_ piece: [UInt8]) throws(TokenizerError) -> Int32 {
      guard let id = pieces.id(of: piece.span) else {
        throw .malformed(
          location: "\(location)[\(rank)]", expected: "pieces of the vocabulary",
          found: "\"\(String(decoding: piece, as: UTF8.self))\"")
      }
      return id
    }
  }
}
