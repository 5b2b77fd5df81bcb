// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// The memory that steps with some adapters need beyond what every step needs: for inputs of linear maps that they change, and for
/// gates.
package struct AdapterNeeds: Sendable, Equatable {
  private var changesInput = false
  /// Gates of a row.
  private var gateCount = 0

  /// Of no adapter.
  package init() {}

  package init(_ adapter: ResidentAdapter) {
    changesInput = adapter.changesInput
    gateCount = adapter.classifier?.count ?? 0
  }

  /// Of these and others.
  package func union(_ other: AdapterNeeds) -> AdapterNeeds {
    var both = self
    both.changesInput = changesInput || other.changesInput
    both.gateCount = max(gateCount, other.gateCount)
    return both
  }

  /// Bytes for steps of up to `rows` rows.
  /// - Parameter roundsActivations: as that of the weights.
  package func byteCount(config: ModelConfig, rows: Int, roundsActivations: Bool) throws(StorageError) -> Int {
    let shapes = shapes(config, rows)
    guard !shapes.isEmpty else { return 0 }
    return Storage.residentBytes(try Workspace.byteCount(shapes, InputForms(roundsActivations: roundsActivations)))
  }

  /// Takes the memory: inputs of three maps, and gates; nil where nothing is needed.
  func reserve(
    config: ModelConfig, rows: Int, forms: InputForms
  ) throws(StorageError) -> (storage: Storage, changedInputs: ChangedInputs?, gates: Activations?)? {
    let shapes = shapes(config, rows)
    guard !shapes.isEmpty else { return nil }
    let (storage, made) = try Workspace.reserve(shapes, forms)
    return (
      storage, changesInput ? ChangedInputs(parts: (made[0], made[1], made[2])) : nil, gateCount > 0 ? made.last : nil
    )
  }

  private func shapes(_ config: ModelConfig, _ rows: Int) -> [Workspace.Shape] {
    var shapes: [Workspace.Shape] = []
    if changesInput {
      let (narrow, wide) = (config.hiddenSize, max(config.hiddenSize, config.queryWidth, config.intermediateSize))
      shapes = [(wide, wide, rows), (narrow, narrow, rows), (narrow, narrow, rows)]
    }
    if gateCount > 0 { shapes.append((gateCount, 0, rows)) }
    return shapes
  }
}
