// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
package import WeftTensors

/// A decoder: batches of tokens to logits. Owns the memory that a step writes; one step at a time.
///
/// A step is one parallel region. All threads run `run`, share the slices of every phase and meet at a barrier after it.
package final class Transformer {
  package let weights: ModelWeights
  package let cache: KVCache
  package let kernels: Kernels
  let workspace: Workspace
  private let pool: ThreadPool
  private let rotaries: [RotaryEmbedding]
  private var batch: Batch
  private var program: ((Worker) -> Void)?

  package var config: ModelConfig { weights.config }
  /// Most floats of u that a mixture may need.
  package let maximumDeltaWidth: Int
  package let maximumRows: Int
  package let maximumLogitRows: Int
  /// Gets the inputs of the linear maps of every step, while it is set.
  package var recorder: InputRecorder?
  /// Bytes of activations and logits.
  package var workspaceByteCount: Int { workspace.byteCount }

  /// Bytes of activations and logits that a transformer of these maxima has.
  /// - Parameter roundsActivations: as that of its weights.
  package static func workspaceByteCount(
    config: ModelConfig, roundsActivations: Bool, maximumRows: Int, maximumLogitRows: Int, maximumDeltaWidth: Int
  ) throws(ModelError) -> Int {
    do {
      return try Workspace.byteCount(
        config: config, rows: maximumRows, logitRows: maximumLogitRows, deltaWidth: maximumDeltaWidth,
        forms: InputForms(roundsActivations: roundsActivations))
    } catch { throw .storage(error) }
  }

  /// Takes all memory that steps of up to `maximumRows` rows need.
  /// - Parameter contextLength: the longest sequence that will be run; nil for the longest that the model was made for.
  package init(
    weights: ModelWeights, cache: KVCache, kernels: Kernels, pool: ThreadPool, maximumRows: Int, maximumLogitRows: Int,
    maximumDeltaWidth: Int, contextLength: Int? = nil
  ) throws(ModelError) {
    self.weights = weights
    self.cache = cache
    self.kernels = kernels
    self.pool = pool
    self.maximumDeltaWidth = maximumDeltaWidth
    self.maximumRows = maximumRows
    self.maximumLogitRows = maximumLogitRows
    let config = weights.config
    rotaries = config.rotaries.map { RotaryEmbedding($0, contextLength: contextLength ?? config.contextLength) }
    do {
      workspace = try Workspace(
        config: config, rows: maximumRows, logitRows: maximumLogitRows, deltaWidth: maximumDeltaWidth,
        forms: InputForms(roundsActivations: weights.roundsActivations))
    } catch { throw .storage(error) }
    batch = Batch(maximumRows: 1, maximumSegments: 1)
    program = { [unowned self] worker in self.run(worker) }
  }

  /// Logits of the `index`-th row that asked for them, in the order of the batch: [vocabularySize]. Valid until the next step.
  package func logits(_ index: Int) -> UnsafeMutableBufferPointer<Float> {
    UnsafeMutableBufferPointer(start: workspace.logits.row(index), count: config.vocabularySize)
  }

  /// The residual stream of a row after the last layer that ran: [hiddenSize]. Valid until the next step.
  package func hidden(_ row: Int) -> UnsafeBufferPointer<Float> {
    UnsafeBufferPointer(start: workspace.hidden.row(row), count: config.hiddenSize)
  }

  /// Bytes that were taken by `reserve`.
  package var adapterWorkspaceByteCount: Int { workspace.adapterByteCount }

  /// Bytes that will be taken when an adapter is reserved for.
  package func adapterWorkspaceByteCount(with adapter: ResidentAdapter) throws(StorageError) -> Int {
    try workspace.adapterNeeds.union(AdapterNeeds(adapter)).byteCount(
      config: config, rows: maximumRows, roundsActivations: weights.roundsActivations)
  }

  /// Takes the memory that steps with this adapter need beyond what every step needs. Call it, between steps, before a
  /// mixture with the adapter is in a batch.
  package func reserve(for adapter: ResidentAdapter) throws(StorageError) {
    try workspace.reserve(AdapterNeeds(adapter), config: config, rows: maximumRows)
  }

  /// Gates for rows of the step that has just run, by the classifier of an adapter: that step was one of the base alone, over
  /// all layers. Valid until gates are computed again for these rows; nil for an adapter without a classifier.
  package func computeGates(_ adapter: ResidentAdapter, rows: Range<Int>) -> ExternalGates? {
    guard let classifier = adapter.classifier, let memory = workspace.gates else { return nil }
    let (normed, hidden) = (workspace.normed, workspace.hidden)
    let norm = weights.outputNorm
    for row in rows {
      switch config.norm {
      case .rootMeanSquare:
        kernels.rmsNorm(
          normed.row(row), hidden.row(row), weight: norm.weight, count: config.hiddenSize, epsilon: config.normEpsilon)
      case .layer:
        kernels.layerNorm(
          normed.row(row), hidden.row(row), weight: norm.weight, bias: norm.bias, count: config.hiddenSize,
          epsilon: config.normEpsilon)
      }
      classifier.classify(normed.row(row), into: memory.row(row), kernels)
    }
    return ExternalGates(first: memory.row(rows.lowerBound), stride: memory.stride)
  }

  /// Runs one step. The batch must respect the maxima that this transformer was made with.
  package func forward(_ batch: Batch) {
    precondition(batch.rowCount <= maximumRows && batch.logitRowCount <= maximumLogitRows)
    guard batch.rowCount > 0, let program else { return }
    self.batch = batch
    pool.run(program)
  }

  private func run(_ worker: Worker) {
    let batch = self.batch
    let layerCount = min(batch.layerLimit ?? config.layerCount, config.layerCount)
    let layers = weights.layers
    let step = Step(
      batch: batch, workspace: workspace, config: config, kernels: kernels, cache: cache, worker: worker,
      recorder: recorder)
    step.embed(weights, rotaries, first: layers[0])
    for index in 0..<layerCount {
      step.attention(layers[index], index)
      step.feedForward(layers[index], index, next: index + 1 < layerCount ? layers[index + 1] : nil)
    }
    if layerCount == config.layerCount && batch.logitRowCount > 0 { step.logits(weights.head, norm: weights.outputNorm) }
  }
}
