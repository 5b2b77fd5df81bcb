// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Collects the operators that a family makes of its tensors, module by module.
struct DeltaBuilder {
  var deltas = DeltaSet()
  let base: BaseModel
  /// The file of the tensors, for errors.
  let location: String

  init(_ base: BaseModel, _ files: AdapterFolder) {
    self.base = base
    location = files.tensorsLocation
  }

  /// Adds an operator of a module: `make` gets the rows of the module that belong to each of its parts, which is all of them for
  /// a module of one part.
  mutating func add(
    to module: BaseModule, _ make: (_ rows: Range<Int>) throws(DeltaError) -> DeltaOperator
  ) throws(AdapterError) {
    var row = 0
    for site in module.sites {
      guard let size = base.shape.shape(of: site) else { preconditionFailure("modules have sites of their base") }
      do throws(DeltaError) {
        let delta = try make(row..<row + size.out)
        guard delta.fits(size) else {
          throw .malformed(
            factor: delta.name, expected: "[\(size.out), \(size.in)]",
            found: "[\(delta.size.out.map { "\($0)" } ?? "any"), \(delta.size.in.map { "\($0)" } ?? "any")]")
        }
        deltas.operators[site, default: []].append(delta)
      } catch { throw .delta(location: location, site: site, error) }
      row += size.out
    }
  }

  /// Adds scale * B A with B of all rows of the module.
  mutating func addLowRank(_ a: Tensor, _ b: Tensor, scale: Float, to module: BaseModule) throws(AdapterError) {
    try add(to: module) { rows throws(DeltaError) in
      .lowRank(try LowRank(a: a, b: module.sites.count == 1 ? b : b.slice(rows: rows), scale: scale))
    }
  }

  /// Values of the base; an error for callers that only know its shape.
  func values() throws(AdapterError) -> BaseModel.Values {
    guard let values = base.values else { throw .needsBaseWeights(location: location) }
    return values
  }
}

/// A tensor from values that were computed; running out of memory is an `AdapterError`.
func makeTensor(_ values: [Float], _ shape: [Int]) throws(AdapterError) -> Tensor {
  do { return try Tensor(values, shape: shape) } catch { throw .storage(error) }
}
