// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families on the side of the sequence.
  static let promptFamilies: [AdapterFamily] = [
  ]
}
