// SPDX-License-Identifier: Apache-2.0

/// Which method makes which module smaller.
package struct CompressionPlan: Sendable {
  /// A method with its values.
  package struct Choice: Sendable {
    package let method: CompressionMethod
    package var values: CompressionValues

    package init(_ method: CompressionMethod, _ values: CompressionValues = CompressionValues()) {
      self.method = method
      self.values = values
    }

    /// `ternary density=0.2`
    package var text: String { values.numbers.isEmpty ? method.name : "\(method.name) \(values.text)" }
  }

  /// Of the modules whose path matches a pattern; the first that matches decides.
  package var exceptions: [(pattern: String, choice: Choice)]
  /// Of all others.
  package var standard: Choice

  package init(_ standard: Choice, exceptions: [(pattern: String, choice: Choice)] = []) {
    self.standard = standard
    self.exceptions = exceptions
  }

  /// Whether a path is, or ends behind a dot with, a pattern in which `*` stands for any text.
  package static func matches(_ path: String, _ pattern: String) -> Bool {
    let (text, glob) = (Array(path.utf8), Array(pattern.utf8))
    func matches(from start: Int) -> Bool {
      // The last star, and where the text was then: what follows it may begin later.
      var (position, index, star, mark) = (start, 0, -1, start)
      while position < text.count {
        if index < glob.count, glob[index] == UInt8(ascii: "*") {
          (star, mark) = (index, position)
          index += 1
        } else if index < glob.count, glob[index] == text[position] {
          index += 1
          position += 1
        } else if star >= 0 {
          mark += 1
          (index, position) = (star + 1, mark)
        } else {
          return false
        }
      }
      while index < glob.count, glob[index] == UInt8(ascii: "*") { index += 1 }
      return index == glob.count
    }
    return matches(from: 0) || text.indices.contains { text[$0] == UInt8(ascii: ".") && matches(from: $0 + 1) }
  }

  /// Makes every module smaller with its method. Modules of one choice are compressed together: `ternary` looks at all of them.
  package func compress(_ modules: [ModuleFactors]) throws(CompressionError) -> [CompressedModule] {
    var groups = [[Int]](repeating: [], count: exceptions.count + 1)
    for (index, module) in modules.enumerated() {
      let rule = exceptions.firstIndex { CompressionPlan.matches(module.path, $0.pattern) } ?? exceptions.count
      groups[rule].append(index)
    }
    for (exception, group) in zip(exceptions, groups) where group.isEmpty {
      throw .mismatch(
        location: "module '\(exception.pattern)'", expected: "a pattern of modules such as \(modules.first?.path ?? "")",
        found: "none that matches")
    }
    var results: [String: CompressedModule] = [:]
    for (rule, group) in groups.enumerated() where !group.isEmpty {
      let choice = rule < exceptions.count ? exceptions[rule].choice : standard
      for module in try choice.method.compress(group.map { modules[$0] }, choice.values) { results[module.path] = module }
    }
    return modules.compactMap { results[$0.path] }
  }

  /// For provenance: `ternary density=0.2; down_proj=q8_0`.
  package var text: String {
    ([standard.text] + exceptions.map { "\($0.pattern)=\($0.choice.text)" }).joined(separator: "; ")
  }
}
