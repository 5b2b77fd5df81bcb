// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families with a structured or dense matrix.
  static let structuredFamilies: [AdapterFamily] = [
  ]
}
