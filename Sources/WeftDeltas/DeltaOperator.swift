// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// What an adapter does to one linear map y = W x + b with W [out, in], in canonical form. Families are resolved into these
/// cases when they are read; only these cases have arithmetic, and every algorithm over them is an exhaustive switch.
///
/// Several operators of one map act in this order, whatever order they are listed in; those of one kind in the order of the list:
///
///     x' = rotations of (input scales of x)
///     p  = W x'                      or W_new x' where the matrix is replaced
///     p  = product scales of p
///     p += additive operators of the original x
///     p += bias                      or the bias that replaces it, and biases that are added
///     y  = rotations of (output scales of p)
package enum DeltaOperator: Sendable {
  /// p += scale * B (A x)
  case lowRank(LowRank)
  /// p += sum over experts e of gate_e scale_e B_e (A_e x), with gates that depend on the token
  case gated(GatedLowRank)
  /// p += scale * D x, where D has a structure that is never expanded
  case structured(StructuredDelta)
  case scale(ScaleDelta)
  case rotate(RotationDelta)
  case bias(BiasDelta)
  /// W becomes this matrix [out, in].
  case replace(WeightReplacement)

  /// The name in messages and listings.
  package var name: String {
    switch self {
    case .lowRank: "low-rank"
    case .gated: "gated"
    case .structured(let delta): delta.matrix.formName
    case .scale: "scale"
    case .rotate: "rotate"
    case .bias(let delta): delta.isReplacement ? "replaced bias" : "bias"
    case .replace: "replace"
    }
  }

  /// Whether the change is p += (matrix) x: a matrix of its own, that does not depend on W, on the token or on other operators.
  package var isAdditive: Bool {
    switch self {
    case .lowRank, .structured: true
    case .gated, .scale, .rotate, .bias, .replace: false
    }
  }

  /// The number of directions in which the weight can change, where that is what the operator is made of.
  package var rank: Int? {
    switch self {
    case .lowRank(let factors): factors.rank
    case .gated(let experts): experts.factors.rank
    case .structured, .scale, .rotate, .bias, .replace: nil
    }
  }

  /// Bytes of the tensors, as stored.
  package var byteCount: Int {
    switch self {
    case .lowRank(let factors): factors.byteCount
    case .gated(let experts): experts.byteCount
    case .structured(let delta): delta.matrix.byteCount
    case .scale(let delta): (delta.factors.count + (delta.shift?.count ?? 0)) * 4
    case .rotate(let delta): delta.byteCount
    case .bias(let delta): delta.values.count * 4
    case .replace(let delta): delta.weight.byteCount
    }
  }

  /// The sizes [out, in] that the operator has, as far as it has them: a scale of outputs says nothing about inputs.
  package var size: (out: Int?, in: Int?) {
    switch self {
    case .lowRank(let factors): (factors.outputSize, factors.inputSize)
    case .gated(let experts): (experts.factors.outputSize, experts.factors.inputSize)
    case .structured(let delta): (delta.rows.count, delta.matrix.inputSize)
    case .scale(let delta): delta.place == .input ? (nil, delta.factors.count) : (delta.factors.count, nil)
    case .rotate(let delta): delta.form.isOfInput ? (nil, delta.form.size) : (delta.form.size, nil)
    case .bias(let delta): (delta.values.count, nil)
    case .replace(let delta): (delta.weight.rows, delta.weight.columns)
    }
  }

  /// Whether it fits a weight of this size.
  package func fits(_ shape: BaseShape.Size) -> Bool {
    (size.out ?? shape.out) == shape.out && (size.in ?? shape.in) == shape.in
  }
}
