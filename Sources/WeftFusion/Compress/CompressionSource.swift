// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftDeltas
internal import WeftTensors

/// Reads what is compressed.
package enum CompressionSource {
  /// The modules of the adapter at `path`: the factors of a plain LoRA as they are; of any other family that only adds to the
  /// weights of linear maps, what it resolves to, as peft's `convert_to_lora` would have it.
  ///
  /// Throws for adapters that do more: scales, rotations, biases, prompts, changes of embeddings.
  package static func read(
    _ path: String, base: BaseModel, options: AdapterOptions = AdapterOptions()
  ) throws(CompressionError) -> (modules: [ModuleFactors], options: AdapterFactors.Options) {
    if options.given.isEmpty {
      let reading: AdapterFactors.Reading
      do { reading = try AdapterReader.factors(folder: path, base: base) } catch { throw .adapter(error) }
      if case .factors(let factors) = reading, factors.isLinear {
        return (try factors.moduleFactors(adapter: path), factors.options)
      }
    }
    let adapter: Adapter
    do { adapter = try AdapterReader.read(folder: path, name: "adapter", base: base, options: options) } catch {
      throw .adapter(error)
    }
    return (
      try modules(of: adapter.deltas, path, base), AdapterFactors.Options(baseModel: adapter.baseModel, taskType: "CAUSAL_LM")
    )
  }

  private static func modules(
    of deltas: DeltaSet, _ path: String, _ base: BaseModel
  ) throws(CompressionError) -> [ModuleFactors] {
    var linear = deltas
    linear.operators = [:]
    guard linear.isEmpty, deltas.invocation == nil else {
      throw .notCompressible(adapter: path, reason: "it changes more than linear maps")
    }
    var modules: [ModuleFactors] = []
    for site in deltas.sites {
      guard let place = base.shape.modules.first(where: { $0.parameter == nil && $0.sites == [site] }),
        let size = base.shape.shape(of: site)
      else { throw .notCompressible(adapter: path, reason: "PEFT's files have no name for \(site)") }
      var change = [Float](repeating: 0, count: size.out * size.in)
      for delta in deltas.operators[site] ?? [] {
        guard let own = delta.materialize() else {
          throw .notCompressible(adapter: path, reason: "\(delta.name) at \(site) is no change that is added")
        }
        for i in change.indices { change[i] += own[i] }
      }
      modules.append(try module(of: change, place, size))
    }
    return modules
  }

  /// The factors of a matrix by its singular values, without those that are rounding.
  private static func module(
    of change: [Float], _ place: BaseModule, _ size: BaseShape.Size
  ) throws(CompressionError) -> ModuleFactors {
    let parts: SingularValues<Float>
    do { parts = try LinearAlgebra.singularValues(of: change, rows: size.out, columns: size.in) } catch {
      throw .linearAlgebra(error)
    }
    let count = parts.values.count
    let rank = max(1, parts.values.firstIndex { $0 <= parts.values[0] * 1e-6 } ?? count)
    var (a, b) = ([Float](), [Float](repeating: 0, count: size.out * rank))
    for r in 0..<rank {
      let root = parts.values[r].squareRoot()
      a += parts.vT[r * size.in..<(r + 1) * size.in].map { $0 * root }
      for o in 0..<size.out { b[o * rank + r] = parts.u[o * count + r] * root }
    }
    return ModuleFactors(
      path: place.path, a: a, b: b, rank: rank, inputSize: size.in, outputSize: size.out, isTransposed: place.isTransposed)
  }
}

extension AdapterFactors {
  fileprivate var isLinear: Bool { modules.allSatisfy { if case .linear = $0.part { true } else { false } } }
}
