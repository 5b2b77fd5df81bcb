// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension DeltaBuilder {
  /// A builder for a family of PEFT that adapts these modules.
  init(_ base: BaseModel, _ files: inout AdapterFolder, adapting modules: [BaseModule]) throws(AdapterError) {
    self.init(base, files)
    try addReplacements(try ReplacementOptions(files.config), from: &files, adapted: Set(modules.map(\.path)))
  }

  /// Adds scale * B A with A [rank, in] and B [out, rank], or their product where that takes no more memory.
  mutating func addProduct(
    _ a: [Float], _ b: [Float], rank: Int, scale: Float = 1, to module: BaseModule
  ) throws(AdapterError) {
    let size = base.size(of: module)
    guard rank * (size.out + size.in) >= size.out * size.in else {
      return try addLowRank(
        try makeTensor(a, [rank, size.in]), try makeTensor(b, [size.out, rank]), scale: scale, to: module)
    }
    let product: [Float]
    do { product = try LinearAlgebra.product(b, a, rows: size.out, inner: rank, columns: size.in) } catch {
      throw .linearAlgebra(location: location, error)
    }
    let matrix = try makeTensor(product, [size.out, size.in])
    try add(to: module) { rows throws(DeltaError) in
      let part: StructuredMatrix
      do throws(StructuredError) { part = try .dense(matrix.slice(rows: rows)) } catch {
        throw .malformed(factor: "matrix", expected: "a matrix [out, in]", found: "\(error)")
      }
      return .structured(try StructuredDelta(part, scale: scale))
    }
  }
}
