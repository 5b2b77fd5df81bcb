// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// Which tensors of the base a PEFT adapter brings whole, beside what its family changes: `bias` and `modules_to_save`.
///
/// Both are replacements, whatever their names say.
struct ReplacementOptions {
  enum Biases: Equatable {
    case none
    /// Every bias of the base.
    case all
    /// Those of the modules that the family adapts (`lora_only`).
    case adapted
  }

  let biases: Biases
  /// Ends of paths: the modules there are replaced with all that is in them.
  let modules: [String]
  /// Whether the head follows a replaced embedding, on a base whose head is its embedding (`ensure_weight_tying`).
  let tiesHead: Bool

  static let rules: [String: AdapterConfig.Rule] = ["bias": .read, "modules_to_save": .read]

  init(_ config: AdapterConfig, tiesHead: Bool = false) throws(AdapterError) {
    switch try config.string("bias") {
    case nil, "none", "": biases = .none
    case "all": biases = .all
    case let name? where name.hasSuffix("_only"): biases = .adapted
    default: throw config.malformed("bias", expected: "\"none\", \"all\" or \"<family>_only\"", found: config["bias"])
    }
    modules = try config.strings("modules_to_save")?.filter { !$0.isEmpty } ?? []
    self.tiesHead = tiesHead
  }

  /// Whether a module, or one that it is part of, is replaced: PEFT compares the ends of paths, dot or no dot.
  func names(_ path: String) -> Bool { ReplacementOptions.names(path, modules) }

  static func names(_ path: String, _ modules: [String]) -> Bool {
    guard !modules.isEmpty else { return false }
    var end = path.endIndex
    while true {
      let part = path[..<end]
      if modules.contains(where: { part.hasSuffix($0) }) { return true }
      guard let dot = part.lastIndex(of: ".") else { return false }
      end = dot
    }
  }
}
