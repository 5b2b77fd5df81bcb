// SPDX-License-Identifier: Apache-2.0

/// Pieces by their beginnings: finds every piece that a text starts with, in one walk.
///
/// Nodes lie in breadth-first order; the edges of a node are neighbours, sorted by byte.
struct PieceTrie: Sendable {
  private struct Node {
    var firstEdge: Int32
    var edgeCount: Int32
    /// The id of the piece that ends here, or -1.
    var id: Int32
  }

  private var nodes: [Node] = []
  private var edgeBytes: [UInt8] = []
  private var edgeTargets: [Int32] = []

  /// Takes pieces with their ids; of equal pieces the first counts, and empty ones are passed over.
  init(_ pieces: [(piece: [UInt8], id: Int32)]) {
    var entries = pieces.filter { !$0.piece.isEmpty }
    entries.sort { $0.piece == $1.piece ? $0.id < $1.id : $0.piece.lexicographicallyPrecedes($1.piece) }
    nodes.append(Node(firstEdge: 0, edgeCount: 0, id: -1))
    // Which entries, sorted, share the beginning that a node stands for.
    var pending: [(node: Int, entries: Range<Int>, depth: Int)] = [(0, entries.indices, 0)]
    var next = 0
    while next < pending.count {
      let (node, range, depth) = pending[next]
      next += 1
      var index = range.lowerBound
      while index < range.upperBound, entries[index].piece.count == depth {
        if nodes[node].id < 0 { nodes[node].id = entries[index].id }
        index += 1
      }
      nodes[node].firstEdge = Int32(edgeBytes.count)
      while index < range.upperBound {
        let byte = entries[index].piece[depth]
        let start = index
        while index < range.upperBound, entries[index].piece[depth] == byte { index += 1 }
        edgeBytes.append(byte)
        edgeTargets.append(Int32(nodes.count))
        nodes[node].edgeCount += 1
        pending.append((nodes.count, start..<index, depth + 1))
        nodes.append(Node(firstEdge: 0, edgeCount: 0, id: -1))
      }
    }
  }

  /// Calls `found` with the length and id of every piece that stands at `start`, shortest first.
  func forEachPrefix(of text: Span<UInt8>, from start: Int, _ found: (Int, Int32) -> Void) {
    var node = 0
    var index = start
    while index < text.count, let next = child(of: node, text[index]) {
      node = next
      index += 1
      if nodes[node].id >= 0 { found(index - start, nodes[node].id) }
    }
  }

  /// The longest piece that stands at `start`.
  func longestPrefix(of text: Span<UInt8>, from start: Int) -> (length: Int, id: Int32)? {
    var best: (length: Int, id: Int32)?
    forEachPrefix(of: text, from: start) { length, id in best = (length, id) }
    return best
  }

  private func child(of node: Int, _ byte: UInt8) -> Int? {
    var low = Int(nodes[node].firstEdge)
    var high = low + Int(nodes[node].edgeCount)
    while low < high {
      let middle = (low + high) / 2
      if edgeBytes[middle] == byte { return Int(edgeTargets[middle]) }
      if edgeBytes[middle] < byte { low = middle + 1 } else { high = middle }
    }
    return nil
  }
}
