// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// PEFT's SHADOW: a small network that runs beside the base and exchanges states with every block.
///
/// Refused: it is a model of its own, not a change of the base's maps.
enum Shadow {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    throw .notReproducible(
      location: files.config.location,
      reason: "peft_type SHADOW is a network of its own that runs beside the base, not a change of the base",
      remedy: "run it with peft, or train an adapter of another family")
  }
}
