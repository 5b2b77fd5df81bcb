// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Members of libraries: packs whose adapters have parts in common.
  static let libraryFamilies: [AdapterFamily] = [
    AdapterFamily(
      "shared basis", peftType: SharedBasis.peftType, operators: ["basis"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2407.00066", resolve: SharedBasis.resolve),
    AdapterFamily(
      "masked", peftType: Masked.peftType, operators: ["masked"], mixing: .sum, isFusable: true,
      source: "https://arxiv.org/abs/2405.07813", resolve: Masked.resolve),
  ]
}
