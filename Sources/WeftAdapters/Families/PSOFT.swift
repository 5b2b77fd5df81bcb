// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// PSOFT (https://openreview.net/forum?id=FSHrinMArK): an orthogonal change R within the base's largest singular components,
/// Delta = scale * B (R - I) A.
///
/// Refused: the file holds R, but neither A nor B. Singular vectors have no signs of their own, another LAPACK returns others,
/// and with each sign the elements of R mean something else.
enum PSOFT {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    throw .notReproducible(
      location: files.path,
      reason: "a PSOFT adapter is stored without the singular vectors that it turns, and their signs are those of the LAPACK "
        + "that trained it",
      remedy: "where it was trained, convert it with peft's convert_to_lora and load the LoRA")
  }
}
