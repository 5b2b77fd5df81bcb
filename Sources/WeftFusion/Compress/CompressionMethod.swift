// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// One way to make an adapter smaller: a row of the registry.
package struct CompressionMethod: Sendable {
  /// The name on the command line.
  package let name: String
  /// What it keeps of an adapter, for help.
  package let text: String
  /// The address of the paper or of the specification of the format.
  package let source: String
  /// Every parameter it knows; others are refused.
  package let parameters: [CompressionParameter]
  /// Makes the modules smaller, all together. Parameters are checked before.
  let run: @Sendable (_ modules: [ModuleFactors], _ values: CompressionValues) throws(CompressionError) -> [CompressedModule]

  init(
    _ name: String, text: String, source: String, parameters: [CompressionParameter] = [],
    run: @escaping @Sendable ([ModuleFactors], CompressionValues) throws(CompressionError) -> [CompressedModule]
  ) {
    self.name = name
    self.text = text
    self.source = source
    self.parameters = parameters
    self.run = run
  }

  /// Makes modules smaller, each in its place; a module whose change becomes nothing is left out.
  package func compress(
    _ modules: [ModuleFactors], _ values: CompressionValues = CompressionValues()
  ) throws(CompressionError) -> [CompressedModule] {
    for (name, value) in values.numbers.sorted(by: { $0.key < $1.key }) {
      guard let parameter = parameters.first(where: { $0.name == name }) else {
        let known = parameters.isEmpty ? "none" : parameters.map(\.name).joined(separator: ", ")
        throw .mismatch(location: "method \(self.name)", expected: "parameters: \(known)", found: name)
      }
      guard parameter.range.contains(value), !parameter.isWhole || value == value.rounded() else {
        let kind = parameter.isWhole ? "a whole number from" : "a number from"
        throw .mismatch(
          location: "method \(self.name): \(name)",
          expected: "\(kind) \(parameter.range.lowerBound) to \(parameter.range.upperBound)", found: "\(value)")
      }
    }
    for module in modules {
      guard let index = (module.a + module.b).firstIndex(where: { !$0.isFinite }) else { continue }
      throw .mismatch(location: module.path, expected: "finite factors", found: "infinity or NaN at element \(index)")
    }
    var complete = values
    for parameter in parameters where values[parameter.name] == nil { complete[parameter.name] = parameter.standard }
    return try run(modules, complete).filter { module in
      module.a.dtype != .ternary || (module.a.scale != 0 && module.b.scale != 0)
    }
  }

  /// Every method that makes one adapter smaller by itself.
  package static let all = ternaryMethods + rankMethods + numberMethods

  /// The method of a name; an error that lists all when there is none.
  package static func named(_ name: String) throws(CompressionError) -> CompressionMethod {
    guard let method = all.first(where: { $0.name == name }) else {
      throw .mismatch(
        location: "method", expected: all.map(\.name).joined(separator: ", "), found: name)
    }
    return method
  }
}
