// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension DeltaBuilder {
  /// Adds scale * D x, with D [out, in] of the whole module.
  mutating func addStructured(
    scale: Float, to module: BaseModule, _ make: () throws(StructuredError) -> StructuredMatrix
  ) throws(AdapterError) {
    let matrix: StructuredMatrix
    do throws(StructuredError) { matrix = try make() } catch {
      switch error {
      case .malformed(let factor, let expected, let found):
        throw malformed(factor, expected: expected, found: found, module)
      case .storage(let error): throw .storage(error)
      }
    }
    try add(to: module) { rows throws(DeltaError) in .structured(try StructuredDelta(matrix, scale: scale, rows: rows)) }
  }

  /// Adds D x with a matrix [out * in] that was computed from the base.
  mutating func addDense(_ values: [Float], to module: BaseModule) throws(AdapterError) {
    guard values.allSatisfy(\.isFinite) else {
      throw malformed("delta", expected: "finite numbers", found: "infinity or NaN", module)
    }
    let size = base.size(of: module)
    let matrix = try makeTensor(values, [size.out, size.in])
    try addStructured(scale: 1, to: module) { () throws(StructuredError) in try .dense(matrix) }
  }

  /// Factors that do not fit together, at the first place that the module is.
  func malformed(_ factor: String, expected: String, found: String, _ module: BaseModule) -> AdapterError {
    .delta(location: location, site: module.sites[0], .malformed(factor: factor, expected: expected, found: found))
  }

  /// A step of linear algebra at load; its failure is an error of the adapter.
  func solving<Result>(_ step: () throws(LinearAlgebraError) -> Result) throws(AdapterError) -> Result {
    do { return try step() } catch { throw .linearAlgebra(location: location, error) }
  }
}
