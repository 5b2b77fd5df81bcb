// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Families of scales, rotations, biases and replacements.
  static let scaleFamilies: [AdapterFamily] = [
  ]
}
