// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// The options of all commands that run a model.
struct ModelOptions: ParsableArguments {
  @Option(
    name: [.long, .customShort("m")],
    help: ArgumentHelp("A GGUF file or a Hugging Face folder (default: the demo model).", valueName: "path"))
  var model: String?

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
    help: ArgumentHelp(
      "Refuse to load what needs more memory, as in 800M, 4G or 4Gi (default: what the system has).", valueName: "size"))
  var maxMemory: MemorySize?

  /// Opens the model, and loads its adapters where there are options for them; the demo's experts, too, when that is the model.
  /// - Parameter standard: what holds where no option says otherwise.
  func open(_ standard: EngineOptions, _ adapters: AdapterFlags? = nil) throws -> (engine: Engine, demo: DemoModel?) {
    let demo = model == nil ? try DemoModel.find() : nil
    let path = model ?? demo?.model ?? ""
    var options = standard
    if let threads { options.threads = threads }
    if let context { options.contextLength = context }
    if let kvType { options.kvType = kvType }
    options.layers = layers?.layers
    options.f32Activations = f32Activations
    options.maximumMemory = maxMemory?.byteCount
    adapters?.apply(to: &options)
    Terminal.showProgress("loading \(path)")
    defer { Terminal.showProgress("") }
    let engine = try Engine(model: path, options: options)
    if engine.model.otherPartTensorCount > 0 {
      Terminal.showProgress("")
      Terminal.note("\(engine.model.otherPartTensorCount) tensors of parts other than text (images) are not loaded")
    }
    if let adapters {
      for expert in demo?.experts ?? [] { try engine.loadAdapter(expert.name, from: expert.path) }
      try adapters.load(into: engine)
    }
    return (engine, demo)
  }
}

/// The options of all commands that generate text.
struct GenerationFlags: ParsableArguments {
  @Option(help: "Longest answer in tokens.")
  var maxTokens = 512

  @Option(help: ArgumentHelp("What the model is told before the conversation.", valueName: "text"))
  var system: String?
}
