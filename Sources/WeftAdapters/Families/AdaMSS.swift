// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas

/// AdaMSS (`peft.tuners.adamss`): the rows of a weight in groups, each with a low-rank product of its own.
///
/// Refused: the file has the products, but not which rows belong to which group. These come from a k-means clustering of a
/// randomised singular value decomposition.
enum AdaMSS {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    throw .notReproducible(
      location: files.path,
      reason: "an AdaMSS adapter is stored without its groups of rows, which came from a clustering when training began",
      remedy: "where it was trained, merge it with peft's merge_and_unload and load the model that this gives")
  }
}
