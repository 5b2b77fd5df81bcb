// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftFusion
internal import Glibc

/// How much the errors of an adapter's modules matter, measured on questions.
package struct ModuleSensitivity: Sendable {
  /// Of a squared error of each module, for `TernaryAllocation`.
  package let weights: [Double]

  /// A module of which nothing can be measured counts as this share of the mean.
  private static let floor = 0.02

  /// Compresses one module after the other, the others as they are, and asks how much larger the loss is.
  ///
  /// The weight is the geometric mean of that, per squared error, and of what an equal share of each module's change would be
  /// worth: losses of single modules are small and add up with others in ways that one measurement does not see.
  /// - Parameter onProgress: gets the modules that are done, and how many there are.
  package init(
    of modules: [ModuleFactors], options: AdapterFactors.Options, allocation: TernaryAllocation, on questions: [Question],
    engine: Engine, onProgress: (Int, Int) -> Void = { _, _ in }
  ) throws(EngineError) {
    let exact = try modules.map { module throws(EngineError) in try module.exact() }
    func loss(_ modules: [CompressedModule]) throws(EngineError) -> Double {
      try engine.loss(of: CompressedAdapter(name: "candidate", modules: modules, options: options).factors, on: questions)
    }
    let before = try loss(exact)
    var (losses, errors): ([Double], [Double]) = ([], [])
    for index in modules.indices {
      let reference: (module: CompressedModule, squaredError: Double)
      do { reference = try allocation.reference(index) } catch { throw EngineError(error) }
      var trial = exact
      trial[index] = reference.module
      losses.append(max(0, try loss(trial) - before))
      errors.append(max(reference.squaredError, 1e-12))
      onProgress(index + 1, modules.count)
    }
    let mean = losses.reduce(0, +) / Double(max(losses.count, 1))
    let even = allocation.evenWeights
    weights = losses.indices.map { index in
      let measured = max(losses[index], ModuleSensitivity.floor * mean) / errors[index]
      return mean > 0 ? (measured * even[index]).squareRoot() : even[index]
    }
  }
}

extension ModuleFactors {
  /// The factors as they are, in F32.
  fileprivate func exact() throws(EngineError) -> CompressedModule {
    do { return try uncompressed() } catch { throw EngineError(error) }
  }
}
