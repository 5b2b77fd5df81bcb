// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftFusion
internal import WeftTensors
internal import WeftTransformer

extension Engine {
  /// The name under which candidates are tried; what a user has loaded under it is replaced.
  private static let candidateName = "weft-candidate"

  /// How well an adapter in memory answers questions; it is not kept.
  package func evaluate(
    _ adapter: AdapterFactors, on questions: [Question], onProgress: (Int, Int) -> Void = { _, _ in }
  ) throws(EngineError) -> Evaluation {
    try trying(adapter) { activation throws(EngineError) in
      try evaluate(questions, activation: activation, onProgress: onProgress)
    }
  }

  /// The mean -log p(token) of the expected answers with an adapter in memory; it is not kept.
  package func loss(of adapter: AdapterFactors, on questions: [Question]) throws(EngineError) -> Double {
    try trying(adapter) { activation throws(EngineError) in try loss(on: questions, activation: activation) }
  }

  private func trying<Result>(
    _ factors: AdapterFactors, _ body: (Activation) throws(EngineError) -> Result
  ) throws(EngineError) -> Result {
    guard !factors.modules.isEmpty else { return try body(.base) }
    let adapter: Adapter
    do { adapter = try factors.adapter(Engine.candidateName, base: weights.base) } catch { throw EngineError(error) }
    try install(adapterLoader.prepare(adapter))
    defer { try? unloadAdapter(Engine.candidateName) }
    return try body(.mixture([WeightedAdapter(Engine.candidateName)]))
  }

  /// Reads the modules of an adapter that is compressed: the factors of a plain LoRA as they are; of any other family that only
  /// adds to the weights of linear maps, the factors that it resolves to, or those of its change's singular values.
  package func compressible(
    _ path: String, options: AdapterLoadOptions = .init()
  ) throws(EngineError) -> (modules: [ModuleFactors], options: AdapterFactors.Options) {
    do throws(CompressionError) {
      return try CompressionSource.read(path, base: weights.base, options: try choices(options, path))
    } catch { throw EngineError(error) }
  }

  private func choices(_ options: AdapterLoadOptions, _ path: String) throws(CompressionError) -> AdapterOptions {
    do { return try options.options(for: path) } catch {
      throw .mismatch(location: path, expected: "options that fit", found: error.message)
    }
  }
}

extension EngineError {
  package init(_ error: CompressionError) {
    switch error {
    case .adapter(let error): self.init(error)
    case .format(let error): self.init(error)
    case .storage(let error): self.init(error)
    case .linearAlgebra, .mismatch: self.init(.invalidArgument, error.description)
    case .notCompressible: self.init(.unsupported, error.description)
    }
  }
}
