// SPDX-License-Identifier: Apache-2.0

extension AdapterFamily {
  /// Forms of adapters that PEFT does not write.
  static let otherFormFamilies: [AdapterFamily] = [
  ]
}
