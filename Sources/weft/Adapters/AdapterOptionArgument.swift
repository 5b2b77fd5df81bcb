// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// `[NAME:]KEY=VALUE`: an option of the adapter NAME, or of the only one.
struct AdapterOptionArgument: ExpressibleByArgument {
  static let help = ArgumentHelp(
    "What an adapter's files do not say: task=2, strength=1.5, layers=10-20, alpha=16, task-vector=dense, sparse:SHARE or "
      + "rank:COUNT. NAME: in front where there are several adapters; repeatable.", valueName: "[name:]key=value")

  let adapter: String?
  private let change: (inout AdapterLoadOptions) -> Void

  init?(argument: String) {
    guard let equals = argument.firstIndex(of: "=") else { return nil }
    let place = argument[..<equals].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    let value = String(argument[argument.index(after: equals)...])
    adapter = place.count == 2 ? place[0] : nil
    switch place[place.count - 1] {
    case "task":
      guard let task = Int(value), task >= 0 else { return nil }
      change = { $0.task = task }
    case "strength":
      guard let strength = Float(value), strength.isFinite else { return nil }
      change = { $0.strength = strength }
    case "layers":
      let ends = value.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, 0 <= first, first <= last else {
        return nil
      }
      change = { $0.layers = first...last }
    case "alpha":
      guard let alpha = Double(value), alpha.isFinite else { return nil }
      change = { $0.alpha = alpha }
    case "task-vector": change = { $0.taskVector = value }
    default: return nil
    }
  }

  func apply(to options: inout AdapterLoadOptions) { change(&options) }
}

extension AdapterLoadOptions {
  /// Those of the arguments that speak of this adapter, or of none.
  init(_ arguments: [AdapterOptionArgument], for name: String) {
    self.init()
    for argument in arguments where argument.adapter == nil || argument.adapter == name { argument.apply(to: &self) }
  }
}

extension [AdapterOptionArgument] {
  /// Refuses options without any of the adapters that they could be for.
  func validate(for names: [String]) throws {
    let named = names.isEmpty ? "an adapter" : names.joined(separator: ", ")
    if let option = first(where: { option in option.adapter.map { !names.contains($0) } ?? names.isEmpty }) {
      throw ValidationError("--adapter-option: expected one for \(named), found \(option.adapter ?? "none to read")")
    }
  }
}
