// SPDX-License-Identifier: Apache-2.0

/// Reads the text of a mixture from left to right, in one pass; the grammar is stated in `Mixture+Text.swift`.
struct MixtureParser {
  private let bytes: [UInt8]
  private var position = 0

  init(_ text: String) { bytes = Array(text.utf8) }

  mutating func mixture() throws(MixtureError) -> Mixture {
    var parts: [Mixture.Part] = []
    var scales = Mixture.ScaleRule.multiply
    var level = 0
    repeat {
      let begin = position
      let part = try part(level: level)
      do { try part.validate() } catch { throw MixtureError(error.problem, at: begin + 1) }
      if parts.contains(where: { $0.adapter == part.adapter }) {
        throw MixtureError(.duplicate(part.adapter), at: begin + 1)
      }
      parts.append(part)
      if take(">") { level += 1 } else if !take(",") { break }
    } while true
    if take("/") {
      let begin = position
      let name = text(until: "")
      guard let rule = Mixture.ScaleRule(rawValue: name) else {
        throw MixtureError(.invalidScaleRule(name), at: begin + 1)
      }
      scales = rule
    }
    guard position == bytes.count else { throw unexpected("',', '>', '/' or the end") }
    return try Mixture(parts, scales: scales)
  }

  private mutating func part(level: Int) throws(MixtureError) -> Mixture.Part {
    let begin = position
    let name = text(until: ",>:@[/")
    guard Mixture.isName(name) else { throw MixtureError(.invalidName(name), at: begin + 1) }
    let layers = try take("@") ? layers(of: name, until: ",>:[/") : nil
    let weight = try take(":") ? weight(of: name, until: ",>[/") : 1
    var modules: [Mixture.ModuleWeight] = []
    if take("[") {
      repeat { modules.append(try entry(of: name)) } while take(",")
      guard take("]") else { throw unexpected("',' or ']'") }
    }
    return Mixture.Part(adapter: name, weight: weight, layers: layers, modules: modules, level: level)
  }

  private mutating func entry(of adapter: String) throws(MixtureError) -> Mixture.ModuleWeight {
    let begin = position
    let name = text(until: ",]@=")
    let module = Mixture.Module(name: name)
    guard module != nil || (name.isEmpty && position < bytes.count && bytes[position] == UInt8(ascii: "@")) else {
      throw MixtureError(.invalidModule(adapter: adapter, found: name), at: begin + 1)
    }
    let layers = try take("@") ? layers(of: adapter, until: ",]=") : nil
    guard take("=") else { throw unexpected("'=' and a weight") }
    return Mixture.ModuleWeight(module: module, layers: layers, weight: try weight(of: adapter, until: ",]"))
  }

  private mutating func layers(of adapter: String, until ends: String) throws(MixtureError) -> Mixture.Layers {
    let begin = position
    let text = text(until: ends)
    var ranges: [ClosedRange<Int>] = []
    for piece in text.split(separator: "+", omittingEmptySubsequences: false) {
      let bounds = piece.split(separator: "-", omittingEmptySubsequences: false).map { bound in
        bound.utf8.allSatisfy { (48...57).contains($0) } ? Int(bound) : nil
      }
      guard bounds.count <= 2, let first = bounds[0], let last = bounds[bounds.count - 1], first <= last else {
        throw MixtureError(.invalidLayers(adapter: adapter, found: text), at: begin + 1)
      }
      ranges.append(first...last)
    }
    guard let layers = Mixture.Layers(ranges) else {
      throw MixtureError(.invalidLayers(adapter: adapter, found: text), at: begin + 1)
    }
    return layers
  }

  /// A decimal number. Swift's own reader also knows `inf`, `nan` and hexadecimal, which nobody means here.
  private mutating func weight(of adapter: String, until ends: String) throws(MixtureError) -> Float {
    let begin = position
    let text = text(until: ends)
    guard text.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }), let weight = Float(text), weight.isFinite else {
      throw MixtureError(.invalidWeight(adapter: adapter, found: text), at: begin + 1)
    }
    return weight
  }

  // MARK: - Characters

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    guard position < bytes.count, bytes[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  /// What stands before the first of the characters `ends`.
  private mutating func text(until ends: String) -> String {
    let end = bytes[position...].firstIndex { ends.utf8.contains($0) } ?? bytes.count
    defer { position = end }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  private func unexpected(_ expected: String) -> MixtureError {
    let found = position < bytes.count ? "'\(String(decoding: bytes[position...], as: UTF8.self))'" : "the end"
    return MixtureError(.unexpected(expected: expected, found: found), at: position + 1)
  }
}
