// SPDX-License-Identifier: Apache-2.0

/// A number that a method can be told.
package struct CompressionParameter: Sendable, Equatable {
  /// As in `density`.
  package let name: String
  /// Used when nobody says anything; nil where that is the method's own choice.
  package let standard: Double?
  /// What it may be, ends included.
  package let range: ClosedRange<Double>
  /// Whether it is a whole number.
  package let isWhole: Bool
  /// For help.
  package let text: String

  package init(_ name: String, standard: Double?, range: ClosedRange<Double>, isWhole: Bool = false, text: String) {
    self.name = name
    self.standard = standard
    self.range = range
    self.isWhole = isWhole
    self.text = text
  }
}

/// Values of a method's parameters; those that nobody gave are not there.
package struct CompressionValues: Sendable, Equatable {
  package private(set) var numbers: [String: Double]

  package init(_ numbers: [String: Double] = [:]) { self.numbers = numbers }

  package subscript(name: String) -> Double? {
    get { numbers[name] }
    set { numbers[name] = newValue }
  }

  /// `density=0.2 alpha=4`, by name.
  package var text: String { numbers.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ") }
}
