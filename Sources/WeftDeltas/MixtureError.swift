// SPDX-License-Identifier: Apache-2.0

/// Parts, or a text, that do not make up a mixture.
package struct MixtureError: Error, Equatable, Sendable, CustomStringConvertible {
  package enum Problem: Equatable, Sendable {
    case invalidName(String)
    /// `adapter` may have a place behind it: `chef[q_proj]`.
    case invalidWeight(adapter: String, found: String)
    case duplicate(String)
    case invalidLayers(adapter: String, found: String)
    /// A place that cannot have a weight of its own.
    case invalidModule(adapter: String, found: String)
    /// Two weights for the same place.
    case overlap(adapter: String, String, String)
    /// A weight for layers in which the adapter is not active.
    case outsideLayers(adapter: String, found: String, layers: Mixture.Layers)
    case layerOutOfRange(adapter: String, found: Mixture.Layers, layerCount: Int)
    case invalidScaleRule(String)
    case unexpected(expected: String, found: String)
  }

  package let problem: Problem
  /// The character of the text at which that was found, counted from 1; nil for parts that come from no text.
  package let position: Int?

  package init(_ problem: Problem, at position: Int? = nil) {
    self.problem = problem
    self.position = position
  }

  package var description: String { "mixture" + (position.map { ", character \($0)" } ?? "") + ": \(sentence)" }

  private var sentence: String {
    switch problem {
    case .invalidName(let name):
      "expected an adapter name of letters, digits, '.', '_' and '-' (not 'base'), found '\(name)'"
    case .invalidWeight(let adapter, let found): "expected a finite number as the weight of '\(adapter)', found '\(found)'"
    case .duplicate(let name): "expected every adapter once, found '\(name)' twice"
    case .invalidLayers(let adapter, let found):
      "expected layers of '\(adapter)' as in '@0-7' or '@0-3+20-23', found '\(found)'"
    case .invalidModule(let adapter, let found):
      "expected a place of '\(adapter)' as in 'q_proj', '@0-7' or 'q_proj@0-7', found '\(found)'; "
        + "modules are \(Mixture.Module.all.map(\.name).joined(separator: ", "))"
    case .overlap(let adapter, let one, let other):
      "expected one weight of '\(adapter)' for each place, found '\(one)' and '\(other)'"
    case .outsideLayers(let adapter, let found, let layers):
      "expected places in the layers of '\(adapter)', \(layers), found '\(found)'"
    case .layerOutOfRange(let adapter, let found, let layerCount):
      "expected layers 0 to \(layerCount - 1) for '\(adapter)', as the base has, found \(found)"
    case .invalidScaleRule(let found):
      "expected \(Mixture.ScaleRule.allCases.map(\.rawValue).joined(separator: " or ")) behind '/', found '\(found)'"
    case .unexpected(let expected, let found): "expected \(expected), found \(found)"
    }
  }
}
