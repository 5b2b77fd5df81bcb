// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

/// What a layer has to remember of its way forward; the rest is computed again.
struct LayerActivations {
  /// The residual stream as attention and feed-forward found it.
  let input: FloatRows
  let middle: FloatRows
  /// The maps of attention before norms and rotation.
  let query: FloatRows
  let key: FloatRows
  let value: FloatRows
  /// What attention gave to its output projection, and what that made of it.
  let attended: FloatRows
  let projected: FloatRows
  /// nil without a gate.
  let gate: FloatRows?
  let up: FloatRows
  /// The product of the down projection.
  let down: FloatRows
}

extension GradientModel {
  /// Adds what a layer adds to the residual stream.
  func forward(_ layer: Int, _ hidden: inout FloatRows) throws(LinearAlgebraError) -> LayerActivations {
    let input = hidden
    let normed = norm(.layer(layer, .attentionInput))?.forward(input) ?? input
    let query = try linear(.layer(layer, .query), normed)
    let key = try linear(.layer(layer, .key), normed)
    let value = try linear(.layer(layer, .value), normed)
    let attended = try attend(layer, rotated(layer, query, .query), rotated(layer, key, .key), value)
    let projected = try linear(.layer(layer, .output), attended)
    hidden.add(norm(.layer(layer, .attentionOutput))?.forward(projected) ?? projected, times: config.residualScale)

    let middle = hidden
    let read = norm(.layer(layer, .feedForwardInput))?.forward(middle) ?? middle
    let gate = config.isGated ? try linear(.layer(layer, .gate), read) : nil
    let up = try linear(.layer(layer, .up), read)
    let down = try linear(.layer(layer, .down), activated(gate, up))
    hidden.add(norm(.layer(layer, .feedForwardOutput))?.forward(down) ?? down, times: config.residualScale)
    return LayerActivations(
      input: input, middle: middle, query: query, key: key, value: value, attended: attended, projected: projected, gate: gate,
      up: up, down: down)
  }

  /// Takes the gradient of the residual stream behind a layer to that before it.
  func backward(
    _ layer: Int, _ seen: LayerActivations, _ dhidden: inout FloatRows,
    _ onLinear: (WeightSite, FloatRows, FloatRows) throws(LinearAlgebraError) -> Void
  ) throws(LinearAlgebraError) {
    let added = dhidden.scaled(by: config.residualScale)
    let ddown = norm(.layer(layer, .feedForwardOutput))?.backward(added, seen.down) ?? added
    let dactivated = try backward(.layer(layer, .down), activated(seen.gate, seen.up), ddown, onLinear)
    let readNorm = norm(.layer(layer, .feedForwardInput))
    let read = readNorm?.forward(seen.middle) ?? seen.middle
    let (dgate, dup) = activationGradients(dactivated, seen.gate, seen.up)
    var dread = try backward(.layer(layer, .up), read, dup, onLinear)
    if let dgate { dread.add(try backward(.layer(layer, .gate), read, dgate, onLinear)) }
    dhidden.add(readNorm?.backward(dread, seen.middle) ?? dread)

    let attention = dhidden.scaled(by: config.residualScale)
    let dprojected = norm(.layer(layer, .attentionOutput))?.backward(attention, seen.projected) ?? attention
    let dattended = try backward(.layer(layer, .output), seen.attended, dprojected, onLinear)
    let (dq, dk, dvalue) = try attentionGradients(
      layer, dattended, rotated(layer, seen.query, .query), rotated(layer, seen.key, .key), seen.value)
    let (dquery, dkey) = (unrotated(layer, dq, seen.query, .query), unrotated(layer, dk, seen.key, .key))
    let inputNorm = norm(.layer(layer, .attentionInput))
    let normed = inputNorm?.forward(seen.input) ?? seen.input
    var dnormed = try backward(.layer(layer, .value), normed, dvalue, onLinear)
    dnormed.add(try backward(.layer(layer, .key), normed, dkey, onLinear))
    dnormed.add(try backward(.layer(layer, .query), normed, dquery, onLinear))
    dhidden.add(inputNorm?.backward(dnormed, seen.input) ?? dnormed)
  }

  // MARK: - The non-linearity

  private func activated(_ gate: FloatRows?, _ up: FloatRows) -> FloatRows {
    guard let gate else { return FloatRows(up.values.map { activation($0).value }, width: up.width) }
    return FloatRows(zip(gate.values, up.values).map { activation($0).value * $1 }, width: up.width)
  }

  private func activationGradients(_ dy: FloatRows, _ gate: FloatRows?, _ up: FloatRows) -> (gate: FloatRows?, up: FloatRows) {
    guard let gate else {
      return (nil, FloatRows(zip(dy.values, up.values).map { $0 * activation($1).slope }, width: up.width))
    }
    var (dgate, dup) = (dy, dy)
    for index in dy.values.indices {
      let (value, slope) = activation(gate.values[index])
      dgate.values[index] *= slope * up.values[index]
      dup.values[index] *= value
    }
    return (dgate, dup)
  }

  /// silu(x) = x sigmoid(x); gelu(x) = x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)), its tanh approximation.
  private func activation(_ x: Float) -> (value: Float, slope: Float) {
    switch config.activation {
    case .swiglu:
      let s = 1 / (1 + exp(-x))
      return (x * s, s * (1 + x * (1 - s)))
    case .geglu, .gelu:
      let c: Float = 1.5957691216
      let s = 1 / (1 + exp(-c * (x + 0.044715 * x * x * x)))
      return (x * s, s + x * s * (1 - s) * c * (1 + 3 * 0.044715 * x * x))
    }
  }
}
