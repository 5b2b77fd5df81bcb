// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
internal import WeftTensors

extension AdapterFactors {
  /// The same as an adapter in memory, without files: what a candidate is tried with.
  package func adapter(_ name: String, base: BaseModel) throws(AdapterError) -> Adapter {
    guard Mixture.isName(name) else { throw .invalidName(name) }
    var deltas = DeltaSet()
    for module in modules {
      guard case .linear(let a, let b, let scale) = module.part, let place = base.shape.module(at: module.path) else {
        throw .unknownTensor(
          location: name, tensor: module.path, expected: "a linear module of this base with A and B")
      }
      var row = 0
      for site in place.sites {
        guard let size = base.shape.shape(of: site) else { preconditionFailure("modules have sites of their base") }
        do throws(DeltaError) {
          guard size.in == a.columns, row + size.out <= b.rows else {
            throw .malformed(
              factor: "b", expected: "[\(size.out), \(size.in)]", found: "[\(b.rows), \(a.columns)]")
          }
          let part = place.sites.count == 1 ? b : b.slice(rows: row..<row + size.out)
          deltas.operators[site, default: []].append(.lowRank(try LowRank(a: a, b: part, scale: scale)))
        } catch { throw .delta(location: name, site: site, error) }
        row += size.out
      }
    }
    guard !deltas.isEmpty else { throw .noTensors(location: name) }
    return Adapter(
      name: name, deltas: deltas, baseModel: options.baseModel, family: "LoRA",
      provenance: .init(folder: "memory", peftVersion: nil))
  }
}
