// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// Prompts with the adapter that should answer them, for the training of a router.
package struct RoutingExamples: Sendable {
  package let examples: [(prompt: String, adapter: String)]
  /// The adapters that occur, sorted, so that their order does not depend on that of the lines.
  package let names: [String]

  /// Reads JSON lines: `{"prompt": "...", "adapter": "name"}` each; `none` stands for the base model alone. Other members
  /// and empty lines are ignored.
  package static func read(_ path: String) throws(RouterError) -> RoutingExamples {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .file(.storage(error)) }
    defer { withExtendedLifetime(storage) {} }
    var examples: [(prompt: String, adapter: String)] = []
    let lines = storage.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, line) in lines.enumerated() where line.contains(where: { !" \r\t".utf8.contains($0) }) {
      let location = "\(path): line \(index + 1)"
      let json: JSON
      do {
        json = try JSON(parsing: UnsafeRawBufferPointer(rebasing: line), location: location)
      } catch { throw .file(error) }
      guard json.isObject else { throw .unusable(location: location, expected: "an object", found: json.kind) }
      examples.append((try text("prompt", json, location), try text("adapter", json, location)))
    }
    guard !examples.isEmpty else { throw .unusable(location: path, expected: "at least one example", found: "none") }
    let names = Set(examples.map(\.adapter)).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    return RoutingExamples(examples: examples, names: names)
  }

  private static func text(_ key: String, _ json: JSON, _ location: String) throws(RouterError) -> String {
    guard let value = json[key] else { throw .file(.missing(location: location, name: "'\(key)'")) }
    guard let text = value.string, !text.isEmpty else {
      throw .unusable(location: "\(location): \(key)", expected: "a string that is not empty", found: value.kind)
    }
    return text
  }
}
