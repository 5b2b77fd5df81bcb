// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families that become low-rank factors.
  static let lowRankFamilies: [AdapterFamily] = [
  ]
}
