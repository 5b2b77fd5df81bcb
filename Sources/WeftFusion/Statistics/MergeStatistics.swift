// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
package import WeftTensors

/// What a task's data says about a model, module by module: how its inputs lie, and how much its answers depend on each weight.
/// The file is specified in `docs/statistics-format.md`.
package struct MergeStatistics: Sendable {
  /// What is known of a module: the second part of a tensor's name, behind the module's path and a dot.
  package enum Kind: String, Sendable, CaseIterable {
    /// X^T X / n [in, in] of the n rows X that the module read.
    case gram
    /// Its diagonal [in].
    case gramDiagonal = "gram_diagonal"
    /// The same of the gradients of log p(answer | prompt) by what the module wrote, [out, out].
    case gradientGram = "gradient_gram"
    /// The diagonal Fisher information of the weight [out, in].
    case fisher
    /// That of an adapter's factors A [rank, in] and B [out, rank].
    case fisherA = "fisher_a"
    case fisherB = "fisher_b"
  }

  /// Where they come from.
  package struct Origin: Sendable, Equatable {
    /// Names the base, as `ModelSummary.fingerprint` does.
    package var base: String
    /// The adapter that was active; empty for a model alone.
    package var adapter: String
    /// The file of the examples.
    package var data: String
    package var exampleCount: Int
    /// Rows that the Gram matrices are of.
    package var tokenCount: Int
    /// Whose answers the Fisher information is of: `empirical` (those of the data), `sampled` (the model's own), or `none`.
    package var fisher: String
    /// Of the sampled answers.
    package var seed: UInt64

    package init(
      base: String, adapter: String = "", data: String, exampleCount: Int, tokenCount: Int, fisher: String, seed: UInt64 = 0
    ) {
      self.base = base
      self.adapter = adapter
      self.data = data
      self.exampleCount = exampleCount
      self.tokenCount = tokenCount
      self.fisher = fisher
      self.seed = seed
    }
  }

  /// Names the statistics in errors.
  package let location: String
  package let origin: Origin
  /// By the name in a file: the module's path, a dot and the kind.
  private let tensors: [String: Tensor]

  /// - Parameter tensors: f32, by `name(module, kind)`.
  package init(location: String, origin: Origin, tensors: [String: Tensor]) {
    self.location = location
    self.origin = origin
    self.tensors = tensors
  }

  /// The name of a tensor.
  package static func name(_ module: String, _ kind: Kind) -> String { "\(module).\(kind.rawValue)" }

  /// The names of all tensors, sorted.
  package var names: [String] { tensors.keys.sorted() }

  /// What is known of a module; nil when it is not among the statistics. Throws for another shape than is expected.
  package func values(_ kind: Kind, of module: String, shape: [Int]) throws(MergeError) -> [Float]? {
    let name = MergeStatistics.name(module, kind)
    guard let tensor = tensors[name] else { return nil }
    guard tensor.shape == shape else {
      throw .mismatch(location: "\(location): \(name)", expected: "shape \(shape)", found: "shape \(tensor.shape)")
    }
    return tensor.floats()
  }

  // MARK: - The file

  /// The version that is written; newer ones are refused.
  private static let version = 1

  /// Reads a file. Everything is checked: form, version, names, types, and that all numbers are finite.
  package init(path: String) throws(MergeError) {
    let file: SafetensorsFile
    do { file = try SafetensorsFile(path: path) } catch { throw .format(error) }
    guard file.metadata["format"] == "weft-statistics" else {
      throw .mismatch(
        location: "\(path): format", expected: "'weft-statistics', as `weft stats` writes",
        found: file.metadata["format"].map { "'\($0)'" } ?? "none")
    }
    func text(_ key: String) throws(MergeError) -> String {
      guard let value = file.metadata[key] else {
        throw .mismatch(location: path, expected: "metadata '\(key)'", found: "none")
      }
      return value
    }
    func number<Number: FixedWidthInteger>(_ key: String) throws(MergeError) -> Number {
      let text = try text(key)
      guard let number = Number(text), number >= 0 else {
        throw .mismatch(location: "\(path): \(key)", expected: "a number", found: "'\(text)'")
      }
      return number
    }
    let version: Int = try number("version")
    guard version == MergeStatistics.version else {
      throw .mismatch(location: "\(path): version", expected: "\(MergeStatistics.version)", found: "\(version)")
    }
    let kinds = Set(Kind.allCases.map(\.rawValue))
    for (name, tensor) in file.tensors {
      let kind = name.lastIndex(of: ".").map { String(name[name.index(after: $0)...]) } ?? ""
      guard kinds.contains(kind), tensor.dtype == .f32 else {
        throw .mismatch(
          location: "\(path): tensor '\(name)'", expected: "F32 of \(kinds.sorted().joined(separator: ", "))",
          found: tensor.dtype.name)
      }
      if let index = tensor.firstNonFinite() {
        throw .mismatch(location: "\(path): tensor '\(name)'", expected: "finite numbers", found: "another at \(index)")
      }
    }
    self.init(
      location: path,
      origin: Origin(
        base: try text("base"), adapter: try text("adapter"), data: try text("data"), exampleCount: try number("examples"),
        tokenCount: try number("tokens"), fisher: try text("fisher"), seed: try number("seed")),
      tensors: file.tensors)
  }

  /// Writes a file. The same statistics give the same bytes.
  package func write(to path: String) throws(MergeError) {
    let metadata = [
      "format": "weft-statistics", "version": "\(MergeStatistics.version)", "base": origin.base, "adapter": origin.adapter,
      "data": origin.data, "examples": "\(origin.exampleCount)", "tokens": "\(origin.tokenCount)", "fisher": origin.fisher,
      "seed": "\(origin.seed)",
    ]
    do { try SafetensorsWriter.write(tensors, metadata: metadata, to: path) } catch { throw .format(error) }
  }
}
