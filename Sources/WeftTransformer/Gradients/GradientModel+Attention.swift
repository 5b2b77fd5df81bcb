// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftTensors

extension GradientModel {
  /// Queries or keys as attention sees them: normalised where the model does that, and rotated.
  func rotated(_ layer: Int, _ x: FloatRows, _ role: NormRole) -> FloatRows {
    var y = headNorm(layer, role).map { $0.forward(perNorm(x)).reshaped(width: x.width) } ?? x
    rotate(layer, &y, backward: false)
    return y
  }

  /// The gradient of a map of attention from that of its rotated form.
  func unrotated(_ layer: Int, _ dy: FloatRows, _ x: FloatRows, _ role: NormRole) -> FloatRows {
    var dx = dy
    rotate(layer, &dx, backward: true)
    guard let norm = headNorm(layer, role) else { return dx }
    return norm.backward(perNorm(dx), perNorm(x)).reshaped(width: x.width)
  }

  private func headNorm(_ layer: Int, _ role: NormRole) -> GradientNorm? {
    config.queryKeyNorm == .none ? nil : norm(.layer(layer, role))
  }

  /// In rows of what is normalised together.
  private func perNorm(_ x: FloatRows) -> FloatRows {
    config.queryKeyNorm == .head ? x.reshaped(width: config.headDimension) : x
  }

  /// Turns the pairs (i, i + half) of every head by the angles of its position, or back.
  private func rotate(_ layer: Int, _ x: inout FloatRows, backward: Bool) {
    guard let table = config.layers[layer].rotary else { return }
    let (rotary, d) = (rotaries[table], config.headDimension)
    let half = rotary.inverseFrequencies.count
    var angles = [Float](repeating: 0, count: 2 * half)
    for row in 0..<x.count {
      angles.withUnsafeMutableBufferPointer { if let target = $0.baseAddress { rotary.fill(target, position: row) } }
      for head in 0..<x.width / d {
        let first = row * x.width + head * d
        for i in 0..<half {
          let (cosine, sine) = (angles[i], backward ? -angles[half + i] : angles[half + i])
          let (a, b) = (x.values[first + i], x.values[first + half + i])
          x.values[first + i] = a * cosine - b * sine
          x.values[first + half + i] = b * cosine + a * sine
        }
      }
    }
  }

  /// softmax(scale q k^T) v, head by head.
  func attend(_ layer: Int, _ q: FloatRows, _ k: FloatRows, _ v: FloatRows) throws(LinearAlgebraError) -> FloatRows {
    let d = config.headDimension
    var result = FloatRows(zeros: q.count, width: q.width)
    let group = config.layers[layer].headCount / config.layers[layer].keyValueHeadCount
    for head in 0..<config.layers[layer].headCount {
      let shared = head / group * d..<(head / group + 1) * d
      let p = try probabilities(layer, q.columns(head * d..<(head + 1) * d), k.columns(shared))
      result.add(try p.times(v.columns(shared).values, columns: d), toColumnsFrom: head * d)
    }
    return result
  }

  /// The gradients of q, k and v from that of the result.
  func attentionGradients(
    _ layer: Int, _ dy: FloatRows, _ q: FloatRows, _ k: FloatRows, _ v: FloatRows
  ) throws(LinearAlgebraError) -> (q: FloatRows, k: FloatRows, v: FloatRows) {
    let (d, count) = (config.headDimension, q.count)
    var (dq, dk, dv) = (
      FloatRows(zeros: count, width: q.width), FloatRows(zeros: count, width: k.width), FloatRows(zeros: count, width: v.width)
    )
    let group = config.layers[layer].headCount / config.layers[layer].keyValueHeadCount
    for head in 0..<config.layers[layer].headCount {
      let (own, shared) = (head * d..<(head + 1) * d, head / group * d..<(head / group + 1) * d)
      let (qHead, kHead, dyHead) = (q.columns(own), k.columns(shared), dy.columns(own))
      let p = try probabilities(layer, qHead, kHead)
      dv.add(FloatRows(try p.transposedTimes(dyHead), width: d), toColumnsFrom: shared.lowerBound)
      // Of the scores: p (dp - sum of p dp in the row).
      var ds = try dyHead.timesTransposed(v.columns(shared).values, rows: count)
      for row in 0..<count {
        let range = row * count..<(row + 1) * count
        let sum = range.reduce(Float(0)) { $0 + p.values[$1] * ds.values[$1] }
        for index in range { ds.values[index] = p.values[index] * (ds.values[index] - sum) * config.attentionScale }
      }
      dq.add(try ds.times(kHead.values, columns: d), toColumnsFrom: own.lowerBound)
      dk.add(FloatRows(try ds.transposedTimes(qHead), width: d), toColumnsFrom: shared.lowerBound)
    }
    return (dq, dk, dv)
  }

  /// What every position takes of every other [T, T]: of those before it, itself included, within the window.
  private func probabilities(_ layer: Int, _ q: FloatRows, _ k: FloatRows) throws(LinearAlgebraError) -> FloatRows {
    var p = try q.timesTransposed(k.values, rows: k.count)
    let window = config.layers[layer].window
    for row in 0..<p.count {
      let begin = row * p.width
      let first = window > 0 ? max(0, row - window + 1) : 0
      var largest = -Float.infinity
      for column in first...row { largest = max(largest, p.values[begin + column]) }
      var sum = 0.0
      for column in 0..<p.width {
        guard (first...row).contains(column) else {
          p.values[begin + column] = 0
          continue
        }
        let value = exp(Double((p.values[begin + column] - largest) * config.attentionScale))
        p.values[begin + column] = Float(value)
        sum += value
      }
      for column in first...row { p.values[begin + column] /= Float(sum) }
    }
    return p
  }
}
