// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// Shadow (`peft.tuners.shadow`): a small network that runs beside the layers of the base and adds to their inputs.
///
/// Refused: it is a model of its own, with layers, a state and gates, and no change of the base's weights or states alone.
enum Shadow {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    throw .notReproducible(
      location: files.path,
      reason: "peft_type SHADOW is a network of its own that runs beside the base, not a change of the base",
      remedy: "run it with peft, or train an adapter of another family")
  }
}
