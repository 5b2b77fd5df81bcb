// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// A linear transform of the input or the output of a map, that has a cheap form. Mixtures take one per place.
package struct RotationDelta: Sendable {
  package enum Form: Sendable {
    /// x <- P' blockdiag(R) P x with R [blocks, size, size] (OFT, a level of BOFT): element `order[i]` of x is the i-th of
    /// P x; nil for the identity. `blocks` divides nothing twice: blocks * size = in.
    case blocks(Tensor, order: [Int32]?)
    /// x <- H_1 H_2 ... H_r x with H_i = I - 2 u_i u_i', rows u_i [r, in] of unit length (HRA).
    case reflections(Tensor)
    /// y <- c y + s rot(y), where rot turns the halves (a, b) of every `group` channels into (-b, a) (RoAd).
    case planes(cosines: [Float], sines: [Float], group: Int)

    /// Whether it acts on x; otherwise on the whole output, bias included.
    package var isOfInput: Bool {
      switch self {
      case .blocks, .reflections: true
      case .planes: false
      }
    }

    /// The length of the vector that it turns.
    package var size: Int {
      switch self {
      case .blocks(let blocks, _): blocks.shape[0] * blocks.shape[1]
      case .reflections(let units): units.columns
      case .planes(let cosines, _, _): cosines.count
      }
    }
  }

  package let form: Form

  /// Checks that the sizes belong together. Tensors are F32.
  package init(_ form: Form) throws(DeltaError) {
    switch form {
    case .blocks(let blocks, let order):
      guard blocks.dtype == .f32, blocks.shape.count == 3, blocks.shape[1] == blocks.shape[2], blocks.elementCount > 0 else {
        throw .malformed(factor: "blocks", expected: "F32 [blocks, size, size]", found: "\(blocks.dtype.name) \(blocks.shape)")
      }
      let size = blocks.shape[0] * blocks.shape[1]
      if let order, order.count != size || Set(order) != Set(0..<Int32(size)) {
        throw .malformed(factor: "order", expected: "a permutation of \(size)", found: "\(order.count) others")
      }
    case .reflections(let units):
      guard units.dtype == .f32, units.shape.count == 2, units.elementCount > 0 else {
        throw .malformed(factor: "units", expected: "F32 [count, in]", found: "\(units.dtype.name) \(units.shape)")
      }
    case .planes(let cosines, let sines, let group):
      guard group >= 2, group % 2 == 0, !cosines.isEmpty, cosines.count % group == 0, sines.count == cosines.count else {
        throw .malformed(
          factor: "planes", expected: "two vectors of whole groups of an even size",
          found: "\(cosines.count), \(sines.count) in groups of \(group)")
      }
    }
    self.form = form
  }

  package var byteCount: Int {
    switch form {
    case .blocks(let blocks, let order): blocks.byteCount + (order?.count ?? 0) * 4
    case .reflections(let units): units.byteCount
    case .planes(let cosines, _, _): cosines.count * 8
    }
  }
}
