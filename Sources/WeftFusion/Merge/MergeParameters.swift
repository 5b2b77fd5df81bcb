// SPDX-License-Identifier: Apache-2.0

/// Values of parameters by name: numbers, gradients over the layers, and values for modules by a part of their name, as
/// mergekit's recipes have them.
package struct MergeParameters: Sendable, Equatable {
  /// One value, perhaps for some modules only.
  package struct Entry: Sendable, Equatable {
    /// One number, or several that are spread over the layers and interpolated linearly.
    package let numbers: [Float]
    /// A part of the name of the modules it is for; nil for all.
    package let filter: String?

    package init(_ numbers: [Float], filter: String? = nil) {
      precondition(!numbers.isEmpty)
      self.numbers = numbers
      self.filter = filter
    }
  }

  package private(set) var entries: [String: [Entry]]

  package init(_ numbers: [String: Float] = [:]) { entries = numbers.mapValues { [Entry([$0])] } }

  /// Adds a value; of several that are for a module, the first counts.
  package mutating func add(_ name: String, _ entry: Entry) { entries[name, default: []].append(entry) }

  package var names: [String] { entries.keys.sorted() }

  /// The value for a module; nil when nothing is said about it.
  /// - Parameter layerCount: layers of the model, over which a gradient spreads.
  package func value(_ name: String, module: MergeProblem.Module, layerCount: Int) -> Float? {
    guard
      let entry = entries[name]?.first(where: { entry in
        entry.filter.map { "\(module.name).weight".contains($0) } ?? true
      })
    else { return nil }
    guard entry.numbers.count > 1, layerCount > 1 else { return entry.numbers[0] }
    let position = Float(module.layer ?? 0) / Float(layerCount - 1) * Float(entry.numbers.count - 1)
    let lower = min(Int(position), entry.numbers.count - 2)
    return entry.numbers[lower] + (position - Float(lower)) * (entry.numbers[lower + 1] - entry.numbers[lower])
  }

  /// The value for the whole merge; nil when there is none.
  package func value(_ name: String) -> Float? { entries[name]?.first { $0.filter == nil }?.numbers[0] }
}
