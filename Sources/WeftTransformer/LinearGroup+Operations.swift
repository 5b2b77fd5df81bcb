// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The inputs of the maps of a group after adapters changed them: rows for all of the batch. nil where a map reads what the
/// others read.
struct ChangedInputs {
  var parts: (Activations?, Activations?, Activations?)

  @inline(__always)
  subscript(index: Int) -> Activations? {
    switch index {
    case 0: parts.0
    case 1: parts.1
    default: parts.2
    }
  }
}

/// What adapters do to linear maps beside low rank (the order is `DeltaOperator`'s): a phase before the product where an input
/// changes, and a phase behind it that leaves y finished.
extension LinearGroup {
  /// Whether any row has operations at this group: then `adjust` does what `finish` does, and the rest.
  @inline(__always)
  func isAdjusted(_ layout: RowLayout) -> Bool {
    guard layout.operationCount > 0 else { return false }
    for index in 0..<layout.segmentCount {
      for entry in layout.segments[index].entries {
        if entry.groups[site].pointee.operations?.pointee.changesOutput == true { return true }
      }
    }
    return false
  }

  /// Whether all that adapters do to the input of this group is to scale it, with nobody else reading it: then what makes the
  /// input calls `scaleInput`, and there is no phase before the product.
  func scalesInputInPlace(_ layout: RowLayout) -> Bool {
    guard layout.operationCount > 0, hasScalingProducer else { return false }
    var scales = false
    for index in 0..<layout.segmentCount {
      let entries = layout.segments[index].entries
      guard entries.contains(where: { $0.groups[site].pointee.operations?.pointee.changesInput(0) == true }) else { continue }
      scales = true
      for entry in entries {
        let group = entry.groups[site].pointee
        guard group.inputs.0 == nil, group.operations.map({ $0.pointee.scalesInPlace }) ?? true else { return false }
      }
    }
    return scales
  }

  /// Scales some columns of a row of the input in place.
  func scaleInput(_ x: UnsafeMutablePointer<Float>, columns: Range<Int>, row: Int, layout: RowLayout, _ worker: Worker) {
    scale(x, .input, layout.segment(of: row).entries, 0, rows: columns, worker)
  }

  /// Whether any row has another input for part `index`.
  func changesInput(_ layout: RowLayout, part index: Int) -> Bool {
    guard layout.operationCount > 0, part(index) != nil, !scalesInputInPlace(layout) else { return false }
    for segment in 0..<layout.segmentCount {
      for entry in layout.segments[segment].entries {
        if entry.groups[site].pointee.operations?.pointee.changesInput(index) == true { return true }
      }
    }
    return false
  }

  /// Writes the inputs of a part for some rows: those of rows without such operations are copied.
  func changeInput(
    _ target: Activations, part index: Int, _ x: Activations, rows: Range<Int>, layout: RowLayout, _ kernels: Kernels,
    _ worker: Worker
  ) {
    guard let linear = part(index) else { return }
    let count = linear.weight.columns
    layout.forEachSegment(in: rows) { segment, rows in
      for row in rows {
        let own = target.row(row)
        own.update(from: x.row(row), count: count)
        scale(own, .input, segment.entries, index, rows: 0..<count, worker)
        for entry in segment.entries {
          guard let operations = entry.groups[site].pointee.operations?.pointee else { continue }
          let scratch = operations.scratch + worker.index * operations.scratchStride
          for operation in operations.part(index) {
            switch operation {
            case .blocks(let blocks, let size, let order):
              Rotations.blocks(own, blocks, size: size, order: order, count: count, scratch: scratch)
            case .reflections(let units, let reflections): Rotations.reflect(own, units, reflections, count: count)
            case .inputScale, .replace, .productScale, .dense, .structured, .bias, .outputScale, .planes: continue
            }
          }
        }
        target.write(InputForms(linear.weight.inputForm), row: row, begin: 0, end: count, kernels)
      }
    }
  }

  /// Everything behind the product, for one part of some rows.
  /// - Parameters:
  ///   - x: the input as it was.
  ///   - changed: the input that the weight reads.
  func adjust(
    _ y: Activations, part index: Int, _ x: Activations, changed: Activations, rows: Range<Int>, layout: RowLayout,
    low: Activations,
    _ kernels: Kernels, _ worker: Worker
  ) {
    guard let linear = part(index) else { return }
    let tiles = 0..<linear.weight.tileCount
    let outputs = 0..<linear.weight.rows
    layout.forEachSegment(in: rows) { segment, rows in
      for entry in segment.entries {
        for case .replace(let matrix) in operations(entry, index) {
          kernels.multiply(
            y.row(rows.lowerBound) + offset(index), yStride: y.stride, matrix, changed.row(rows.lowerBound),
            xStride: changed.stride * 4, tiles: tiles, rows: rows.count, accumulate: false)
        }
      }
      for row in rows { scale(y.row(row) + offset(index), .product, segment.entries, index, rows: outputs, worker) }
      for entry in segment.entries {
        if let part = entry.groups[site].pointee.part(index) {
          kernels.expand(
            y.row(rows.lowerBound) + offset(index), yStride: y.stride, part.b,
            low.row(rows.lowerBound) + entry.offset + part.offset, uStride: low.stride, tiles: tiles, rows: rows.count)
        }
        let weight = entry.weight(group: site, part: index)
        for case .dense(let matrix, let scale) in operations(entry, index) {
          guard let scratch = scratch(entry, worker) else { continue }
          kernels.multiply(
            scratch, yStride: matrix.paddedRows, matrix, x.row(rows.lowerBound), xStride: x.stride * 4, tiles: tiles,
            rows: rows.count, accumulate: false)
          for row in rows {
            let (own, change) = (y.row(row) + offset(index), scratch + (row - rows.lowerBound) * matrix.paddedRows)
            for i in outputs { own[i] += weight * scale * change[i] }
          }
        }
        for case .structured(let matrix, let scale, let range) in operations(entry, index) {
          guard let scratch = scratch(entry, worker) else { continue }
          for row in rows {
            matrix._withUnsafeGuaranteedRef {
              $0.apply(
                x.row(row), addingTo: y.row(row) + offset(index), weight: weight * scale, rows: range, scratch: scratch)
            }
          }
        }
      }
      for row in rows { finishRow(y.row(row) + offset(index), index, segment, linear, kernels, worker) }
    }
  }

  /// Biases, then scales and rotations of the output.
  private func finishRow(
    _ y: UnsafeMutablePointer<Float>, _ index: Int, _ segment: Segment, _ linear: Linear, _ kernels: Kernels, _ worker: Worker
  ) {
    let count = linear.weight.rows
    var bias = linear.bias
    for entry in segment.entries {
      for case .bias(let values, true) in operations(entry, index) { bias = values }
    }
    if let bias { kernels.add(y, bias, count: count) }
    for entry in segment.entries {
      let weight = entry.weight(group: site, part: index)
      for case .bias(let values, false) in operations(entry, index) {
        for i in 0..<count { y[i] += weight * values[i] }
      }
    }
    scale(y, .output, segment.entries, index, rows: 0..<count, worker)
    for entry in segment.entries {
      let weight = entry.weight(group: site, part: index)
      for operation in operations(entry, index) {
        switch operation {
        case .outputScale(_, .some(let shift), _): for i in 0..<count { y[i] += weight * shift[i] }
        case .planes(let cosines, let sines, let group): Rotations.turn(y, cosines, sines, group: group, count: count)
        case .outputScale, .inputScale, .blocks, .reflections, .replace, .productScale, .dense, .structured, .bias: continue
        }
      }
    }
  }

  /// Multiplies a vector with the scales of one place: with the product of those that multiply, and with 1 + the sum of
  /// weight (f - 1) of those that add.
  private func scale(
    _ x: UnsafeMutablePointer<Float>, _ place: ScaleDelta.Place, _ entries: UnsafeBufferPointer<ActiveMixture.Entry>,
    _ index: Int, rows: Range<Int>,
    _ worker: Worker
  ) {
    var sums = 0
    for entry in entries {
      let weight = entry.weight(group: site, part: index)
      for operation in operations(entry, index) {
        guard let (factors, adds) = operation.scale(place) else { continue }
        if adds || entry.averagesScales {
          sums += 1
        } else if weight == 1 {
          for i in rows { x[i] *= factors[i] }
        } else {
          for i in rows { x[i] *= 1 + weight * (factors[i] - 1) }
        }
      }
    }
    guard sums > 0 else { return }
    // The memory of an adapter is as long as its own vectors: that of one with a scale here.
    let owner = entries.lazy.filter { entry in operations(entry, index).contains { $0.scale(place) != nil } }.first
    guard let memory = owner.flatMap({ scratch($0, worker) }) else { return }
    for i in rows { memory[i] = 1 }
    for entry in entries {
      let weight = entry.weight(group: site, part: index)
      for operation in operations(entry, index) {
        guard let (factors, adds) = operation.scale(place), adds || entry.averagesScales else { continue }
        for i in rows { memory[i] += weight * (factors[i] - 1) }
      }
    }
    for i in rows { x[i] *= memory[i] }
  }

  @inline(__always)
  private func operations(_ entry: ActiveMixture.Entry, _ index: Int) -> UnsafeBufferPointer<ResidentOperation> {
    entry.groups[site].pointee.operations?.pointee.part(index) ?? UnsafeBufferPointer(start: nil, count: 0)
  }

  @inline(__always)
  private func scratch(_ entry: ActiveMixture.Entry, _ worker: Worker) -> UnsafeMutablePointer<Float>? {
    guard let operations = entry.groups[site].pointee.operations?.pointee else { return nil }
    return operations.scratch + worker.index * operations.scratchStride
  }
}

extension ResidentOperation {
  /// The factors of a scale at this place, and whether they always add.
  @inline(__always)
  fileprivate func scale(_ place: ScaleDelta.Place) -> (UnsafePointer<Float>, adds: Bool)? {
    switch (self, place) {
    case (.inputScale(let factors, let sums), .input), (.productScale(let factors, let sums), .product),
      (.outputScale(let factors, _, let sums), .output):
      (factors, sums)
    default: nil
    }
  }
}

/// Transforms of one vector in place.
enum Rotations {
  /// x <- P' blockdiag(R) P x; see `RotationDelta.Form.blocks`. `scratch` has room for x.
  static func blocks(
    _ x: UnsafeMutablePointer<Float>, _ blocks: UnsafePointer<Float>, size: Int, order: UnsafePointer<Int32>?, count: Int,
    scratch: UnsafeMutablePointer<Float>
  ) {
    if let order {
      for i in 0..<count { scratch[i] = x[Int(order[i])] }
    } else {
      scratch.update(from: x, count: count)
    }
    for i in 0..<count {
      let row = blocks + i * size
      let block = scratch + i / size * size
      var sum: Float = 0
      for j in 0..<size { sum += row[j] * block[j] }
      x[order.map { Int($0[i]) } ?? i] = sum
    }
  }

  /// x <- H_1 ... H_r x with H = I - 2 u u'.
  static func reflect(_ x: UnsafeMutablePointer<Float>, _ units: UnsafePointer<Float>, _ reflections: Int, count: Int) {
    for r in stride(from: reflections - 1, through: 0, by: -1) {
      let unit = units + r * count
      var dot: Float = 0
      for i in 0..<count { dot += unit[i] * x[i] }
      for i in 0..<count { x[i] -= 2 * dot * unit[i] }
    }
  }

  /// y <- c y + s rot(y); see `RotationDelta.Form.planes`.
  static func turn(
    _ y: UnsafeMutablePointer<Float>, _ cosines: UnsafePointer<Float>, _ sines: UnsafePointer<Float>, group: Int, count: Int
  ) {
    let half = group / 2
    for first in stride(from: 0, to: count, by: group) {
      for i in first..<first + half {
        let (a, b) = (y[i], y[i + half])
        y[i] = cosines[i] * a - sines[i] * b
        y[i + half] = cosines[i + half] * b + sines[i + half] * a
      }
    }
  }
}
