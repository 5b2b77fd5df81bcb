// SPDX-License-Identifier: Apache-2.0

/// How GGUF calls the parts of a base: what adapters in GGUF speak of. Paths are without `.weight`.
package struct GGUFNames: Sendable {
  /// Linear modules, as `BaseShape.modules` has those of transformers. Two may have one path (Phi-3's `ffn_up` is gate and up):
  /// the number of rows tells.
  package let modules: [BaseModule]
  /// `token_embd`
  package let embedding: String
  package let norms: [NormSite: String]
  /// Whether GGUF interleaves the two halves of every query and key head.
  package let interleavesHeads: Bool

  package init(modules: [BaseModule], embedding: String, norms: [NormSite: String], interleavesHeads: Bool) {
    self.modules = modules
    self.embedding = embedding
    self.norms = norms
    self.interleavesHeads = interleavesHeads
  }

  /// For every row of a head of transformers' order, where GGUF has it: row p d/2 + i there is row 2 i + p here.
  package static func interleavedRows(headDimension d: Int, rows: Int) -> [Int] {
    (0..<rows).map { row in
      let (head, r) = (row / d, row % d)
      return head * d + 2 * (r % (d / 2)) + r / (d / 2)
    }
  }
}
