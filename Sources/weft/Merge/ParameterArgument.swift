// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine
import WeftFusion

/// `[NAME:]KEY=VALUE`: a parameter of the method, or of one task. A value is a number, a word that the method has for one, or
/// numbers with commas between, which spread over the layers.
struct ParameterArgument: ExpressibleByArgument {
  let task: String?
  let key: String
  let value: String

  init?(argument: String) {
    guard let equals = argument.firstIndex(of: "=") else { return nil }
    let place = argument[..<equals].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    value = String(argument[argument.index(after: equals)...])
    task = place.count == 2 ? place[0] : nil
    key = place[place.count - 1]
    guard !key.isEmpty, !value.isEmpty, task?.isEmpty != true else { return nil }
  }

  func entry(for method: MergeMethod) throws -> MergeParameters.Entry {
    let parameter = method.parameters.first { $0.name == key }
    let numbers = try value.split(separator: ",", omittingEmptySubsequences: false).map { part in
      guard let number = ParameterArgument.number(String(part), parameter: parameter) else {
        throw EngineError(
          .invalidArgument, "--set \(key): expected \(parameter?.rangeText ?? "a number"), found '\(part)'")
      }
      return number
    }
    return .init(numbers)
  }

  /// A number as text, or as one of the words of its parameter.
  static func number(_ text: String, parameter: MergeParameter?) -> Float? {
    if let parameter, let index = parameter.words.firstIndex(of: text.lowercased()) { return Float(index) }
    guard let number = Float(text), number.isFinite else { return nil }
    return number
  }
}
