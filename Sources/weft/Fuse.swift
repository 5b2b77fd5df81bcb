// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

/// `weft fuse`: a base and adapters as one new checkpoint.
struct Fuse: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a model whose weights have adapters worked into them.",
    discussion: """
      MODEL is a GGUF file or a Hugging Face folder with F32, F16 or BF16 weights. The output is a GGUF file when its name ends in \
      .gguf, else a folder, with config.json and tokenizer, which MODEL then has to be too. Without --type the numbers keep \
      their formats; with a quantised type the fused weights are rounded once, and what that costs is printed: the error of the \
      weights, and how much rounding lies beside the change. Nothing is fused into weights that are quantised already: name \
      their float original with --master.

        weft fuse base-f16.gguf --adapter chef=adapters/chef --output chef-f16.gguf
        weft fuse folder --adapter a=adapters/a --adapter b=adapters/b --mixture a:0.5,b --output fused
        weft fuse base-q4_0.gguf --master base-f16.gguf --adapter chef=adapters/chef --output chef-q4_0.gguf
      """)

  @Argument(help: ArgumentHelp("A GGUF file or a Hugging Face folder.", valueName: "model"))
  var model: String

  @Option(
    name: .customLong("adapter"),
    help: ArgumentHelp("Fuse this adapter, a folder or file; repeatable.", valueName: "name=path[:weight]"))
  var adapters: [AdapterArgument] = []

  @Option(name: .customLong("adapter-option"), help: AdapterOptionArgument.help)
  var adapterOptions: [AdapterOptionArgument] = []

  @Option(help: ArgumentHelp("How the adapters take part (default: all, side by side).", valueName: "text"))
  var mixture: String?

  @Option(help: ArgumentHelp("The float original of MODEL, which is fused in its place.", valueName: "path"))
  var master: String?

  @Option(help: ArgumentHelp("The file or folder to write.", valueName: "path"))
  var output: String

  @Option(help: "gguf or folder (default: gguf where the output ends in .gguf).")
  var format: ModelFusion.Form?

  @Option(help: "What to write (default: what the model has).")
  var type: QuantizationType?

  @Option(help: ArgumentHelp("An importance matrix, for quantised types.", valueName: "file"))
  var imatrix: String?

  @Option(help: ArgumentHelp("Largest safetensors file of a folder (default: 5G).", valueName: "size"))
  var maxShardSize: MemorySize?

  @Option(help: "Threads (default: as many as processors).")
  var threads: Int?

  private var form: ModelFusion.Form { format ?? (output.lowercased().hasSuffix(".gguf") ? .gguf : .folder) }

  func validate() throws {
    try adapterOptions.validate(for: adapters.map(\.name))
    guard maxShardSize == nil || form == .folder else {
      throw ValidationError("--max-shard-size: expected a folder to write, found a GGUF file")
    }
  }

  func run() throws {
    for path in [model, master].compactMap({ $0 }) where FileIdentity(path) != nil && FileIdentity(path) == FileIdentity(output)
    {
      throw EngineError(.invalidArgument, "--output: expected another place than the model, found \(output)")
    }
    guard imatrix == nil || form == .gguf else {
      throw EngineError(.invalidArgument, "--imatrix: expected a GGUF file to write, found a folder")
    }
    Terminal.showProgress("reading \(master ?? model)")
    defer { Terminal.showProgress("") }
    let fusion = try ModelFusion(
      model: model, master: master, adapters: try named(),
      mixture: try mixture.map { try AdapterMixture(parsing: $0) } ?? AdapterMixture(adapters.map(\.weighted)),
      threads: threads ?? EngineOptions.processorCount)
    let begin = ContinuousClock.now
    var shown = begin
    let tensors = try fusion.write(
      to: output, form: form, type: type, importance: imatrix,
      maximumShardBytes: maxShardSize?.byteCount ?? MemorySize.shard.byteCount
    ) { share in
      guard ContinuousClock.now - shown > .milliseconds(50) else { return }
      shown = .now
      Terminal.showProgress("\(Readable.padded(Terminal.bar(share), 24)) \(Readable.percent(share))  \(output)")
    }
    Terminal.showProgress("")
    print(
      "\(output): \(Readable.count(tensors.count, "tensor")) changed, "
        + Readable.seconds((ContinuousClock.now - begin) / .seconds(1)))
    FusionTable.print(tensors)
  }

  private func named() throws -> [ModelFusion.Named] {
    guard !adapters.isEmpty else { throw ValidationError("--adapter: expected at least one NAME=PATH, found none") }
    return try adapters.map { adapter in
      guard let path = adapter.path else { throw ValidationError("--adapter: expected NAME=PATH, found \(adapter.name)") }
      return (adapter.name, path, AdapterLoadOptions(adapterOptions, for: adapter.name))
    }
  }
}

extension ModelFusion.Form: ExpressibleByArgument {}

/// What `weft fuse` prints about the rounding of the fused weights: layer by layer, and the worst and the mean of the tensors.
enum FusionTable {
  static func print(_ tensors: [FusedTensor]) {
    let weights = tensors.filter { $0.noise.isFinite }
    guard weights.contains(where: { $0.error > 0 }) else { return }
    var rows = [("", "weights", "rounding / change", "change kept")]
    for layer in Set(weights.map(\.layer)).sorted(by: { $0 ?? .max < $1 ?? .max }) {
      let together = FusedTensor.together(weights.filter { $0.layer == layer }, name: "")
      rows.append((layer.map { "layer \($0)" } ?? "other", error(together), noise(together), kept(together)))
    }
    let count = Double(weights.count)
    func mean(_ value: (FusedTensor) -> Double) -> Double { weights.reduce(0) { $0 + value($1) } / count }
    rows.append(
      ("mean of tensors", percent(mean(\.error)), ratio(mean(\.noise)), percent(mean(\.survival))))
    if let worst = weights.max(by: { $0.noise < $1.noise }) {
      rows.append(("worst: \(worst.name)", error(worst), noise(worst), kept(worst)))
    }
    let width = rows.map(\.0.count).max() ?? 0
    for row in rows {
      Swift.print(
        "  " + Readable.padded(row.0, width) + "  " + Readable.padded(row.1, 9, right: true) + "  "
          + Readable.padded(row.2, 17, right: true) + "  " + Readable.padded(row.3, 11, right: true))
    }
    if mean(\.noise) > 1 {
      Terminal.note(
        "rounding is larger than the change: a type with more bits keeps more of it, and beside the base nothing is lost")
    }
  }

  private static func error(_ tensor: FusedTensor) -> String { percent(tensor.error) }
  private static func noise(_ tensor: FusedTensor) -> String { ratio(tensor.noise) }
  private static func kept(_ tensor: FusedTensor) -> String { percent(tensor.survival) }

  private static func percent(_ share: Double) -> String { String(format: "%.3g %%", share * 100) }
  private static func ratio(_ value: Double) -> String { String(format: "%.3g", value) }
}

/// What a path leads to, whatever it is called; nil when there is nothing.
struct FileIdentity: Equatable {
  private let node: Int
  private let device: Int

  init?(_ path: String) {
    guard let attributes = try? FileManager.default.attributesOfItem(atPath: path),
      let node = attributes[.systemFileNumber] as? Int, let device = attributes[.systemNumber] as? Int
    else { return nil }
    (self.node, self.device) = (node, device)
  }
}
