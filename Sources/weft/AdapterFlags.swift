// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine
import WeftFormats

/// The options of all commands that load adapters into a model.
struct AdapterFlags: ParsableArguments {
  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp(
      "Answer with this adapter, a folder or file; repeatable. NAME alone means an expert of the demo model, 'none' the base alone.",
      valueName: "name=path[:weight]"))
  var adapters: [AdapterArgument] = []

  @Option(name: .customLong("adapter-option"), help: AdapterOptionArgument.help)
  var adapterOptions: [AdapterOptionArgument] = []

  @Option(
    help: ArgumentHelp(
      "Who of the loaded adapters answers, and where: 'chef:0.7,poet:0.3', 'lang@0-7,task@8-23', 'lang>task', "
        + "'chef[q_proj=0.2]'.", valueName: "text"))
  var mixture: String?

  @Option(
    name: .customLong("require-signed"),
    help: ArgumentHelp(
      "Load only adapters in packs that the holder of this key signed (weft pack sign); repeatable.", valueName: "public.pem"))
  var requiredSigners: [String] = []

  @Option(help: ArgumentHelp("Refuse packs that are larger, as stored or as decoded (default: 64Gi).", valueName: "size"))
  var maxPack: MemorySize?

  func validate() throws { try adapterOptions.validate(for: adapters.filter { $0.path != nil }.map(\.name)) }

  /// Sets what concerns adapters.
  func apply(to options: inout EngineOptions) {
    options.requiredSigners = requiredSigners.isEmpty ? nil : requiredSigners
    options.maximumPackSize = maxPack?.byteCount ?? PackLimits.standardBytes
  }

  /// Loads those that have a path.
  func load(into engine: Engine) throws(EngineError) {
    for adapter in adapters {
      guard let path = adapter.path else { continue }
      try engine.loadAdapter(adapter.name, from: path, options: .init(adapterOptions, for: adapter.name))
    }
  }

  /// Whether no option names one, not even `none`.
  var isEmpty: Bool { adapters.isEmpty }

  /// Those that were named, without `none`.
  var named: [WeightedAdapter] { adapters.filter { $0.name != "none" || $0.path != nil }.map(\.weighted) }

  /// Who answers where no router chooses: the mixture, or all that were named.
  func answering() throws(EngineError) -> AdapterMixture {
    guard let mixture else { return AdapterMixture(named) }
    return try AdapterMixture(parsing: mixture)
  }
}
