// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// What an adapter does to the embedding of a token: a row e of [vocabulary, hidden]. Several act in the order of their list.
///
/// A model whose head is its embedding still has both as separate places: an adapter that means both says so twice.
package enum EmbeddingDelta: Sendable {
  /// e += scale * B A[:, token] with A [rank, vocabulary], B [hidden, rank].
  case lowRank(LowRank)
  /// e += row `token` of this matrix [vocabulary, hidden].
  case sum(Tensor)
  /// e += row `position` of this matrix [positions, hidden]: a change of learned positions.
  case positions(Tensor)
  /// e = row i of `vectors` [n, hidden] where the token is the i-th of `tokens`, which are ascending.
  case rows(tokens: [Int32], vectors: Tensor)
  /// The whole matrix, [vocabulary, hidden].
  case replace(Tensor)
  /// e *= factors [hidden] (DoRA).
  case scale([Float])
  /// e <- blockdiag(R) e (OFT), `RotationDelta.Form.blocks`.
  case rotate(RotationDelta)

  /// The name in messages and listings.
  package var name: String {
    switch self {
    case .lowRank: "low-rank"
    case .sum: "dense"
    case .positions: "positions"
    case .rows: "replaced rows"
    case .replace: "replace"
    case .scale: "scale"
    case .rotate: "rotate"
    }
  }

  /// Whether a weight other than 1 means something: of what replaces, scales or rotates there is one.
  package var isAdditive: Bool {
    switch self {
    case .lowRank, .sum, .positions: true
    case .rows, .replace, .scale, .rotate: false
    }
  }

  /// Bytes of the tensors, as stored.
  package var byteCount: Int {
    switch self {
    case .lowRank(let factors): factors.byteCount
    case .rows(let tokens, let vectors): tokens.count * 4 + vectors.byteCount
    case .replace(let weight), .sum(let weight), .positions(let weight): weight.byteCount
    case .scale(let factors): factors.count * 4
    case .rotate(let rotation): rotation.byteCount
    }
  }
}
