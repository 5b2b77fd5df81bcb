// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine
import WeftFormats

/// The options of all commands that run a model.
struct ModelOptions: ParsableArguments {
  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp("A GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

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

  @Option(help: ArgumentHelp("Let this router choose the adapters.", valueName: "file"))
  var router: String?

  @Option(
    name: .customLong("shared"),
    help: ArgumentHelp(
      "Beside whatever the router chooses this loaded adapter acts, as what the experts of twin_merging share; repeatable.",
      valueName: "name[:weight]"))
  var shared: [AdapterArgument] = []

  @Flag(help: "Let the router choose again after every sentence of an answer.")
  var perSentence = false

  @Option(name: [.long, .customShort("t")], help: "Threads (default: as many as processors).")
  var threads: Int?

  @Option(
    name: [.long, .customShort("c")], help: "Longest conversation in tokens (default: what the model allows, at most 4096).")
  var context: Int?

  @Option(
    help: ArgumentHelp(
      "Run these layers of the model, counted from 0, in this order; a layer may come several times: 0-7,4-11.",
      valueName: "ranges"))
  var layers: LayerRanges?

  @Option(help: "How keys and values are stored (default: f16; for logits f32).")
  var kvType: EngineOptions.KVType?

  @Flag(help: "Multiply bf16 weights with F32 activations, in place of activations rounded to bf16: exact, and slower.")
  var f32Activations = false

  @Option(
    name: .customLong("require-signed"),
    help: ArgumentHelp(
      "Load only adapters in packs that the holder of this key signed (weft pack sign); repeatable.", valueName: "public.pem"))
  var requiredSigners: [String] = []

  @Option(help: ArgumentHelp("Refuse packs that are larger, as stored or as decoded (default: 64Gi).", valueName: "size"))
  var maxPack: MemorySize?

  @Option(
    help: ArgumentHelp(
      "Refuse to load what needs more memory, as in 800M, 4G or 4Gi (default: what the system has).", valueName: "size"))
  var maxMemory: MemorySize?

  /// Opens the model with its adapters and router.
  func open(
    maximumSequences: Int = 1, context minimum: Int? = nil, logitRows: Int = 8,
    kvType standard: EngineOptions.KVType = .f16, contextPolicy: ContextPolicy = .stop
  ) throws -> Session {
    let demo = model == nil ? try DemoModel.find() : nil
    let path = model ?? demo?.model ?? ""
    let options = EngineOptions(
      threads: threads, contextLength: context ?? minimum, maximumSequences: maximumSequences, maximumLogitRows: logitRows,
      kvType: kvType ?? standard, maximumMemory: maxMemory?.byteCount,
      contextPolicy: contextPolicy, layers: layers?.layers,
      requiredSigners: requiredSigners.isEmpty ? nil : requiredSigners,
      maximumPackSize: maxPack?.byteCount ?? PackLimits.standardBytes, f32Activations: f32Activations)
    Terminal.showProgress("loading \(path)")
    defer { Terminal.showProgress("") }
    let engine = try Engine(model: path, options: options)
    if engine.model.otherPartTensorCount > 0 {
      Terminal.showProgress("")
      Terminal.note("\(engine.model.otherPartTensorCount) tensors of parts other than text (images) are not loaded")
    }
    for expert in demo?.experts ?? [] { try engine.loadAdapter(expert.name, from: expert.path) }
    for adapter in adapters {
      if let path = adapter.path {
        try engine.loadAdapter(adapter.name, from: path, options: .init(adapterOptions, for: adapter.name))
      }
    }
    if let file = router ?? demo?.router {
      try engine.loadRouter(from: file, beside: shared.map(\.weighted))
    } else if !shared.isEmpty {
      throw ValidationError("--shared: expected a router beside it, found none")
    }
    return Session(engine: engine, activation: try activation(engine), demo: demo)
  }

  /// The router's choice unless adapters are named without a router; their names are checked.
  private func activation(_ engine: Engine) throws -> Activation {
    if let mixture {
      guard router == nil, !perSentence else {
        throw ValidationError("--mixture: expected no router beside it, as the mixture says who answers")
      }
      return try Session.activation(of: AdapterMixture(parsing: mixture), engine)
    }
    if router != nil || (adapters.isEmpty && engine.routerSummary != nil) { return perSentence ? .routedPerSentence : .routed }
    guard !perSentence else { throw ValidationError("--per-sentence: expected a router that chooses, found none") }
    let named = adapters.filter { $0.name != "none" || $0.path != nil }.map(\.weighted)
    return try Session.activation(of: AdapterMixture(named), engine)
  }
}

/// The options of all commands that generate text.
struct GenerationFlags: ParsableArguments {
  @Option(help: "Longest answer in tokens.")
  var maxTokens = 512

  @Option(help: ArgumentHelp("What the model is told before the conversation.", valueName: "text"))
  var system: String?
}
