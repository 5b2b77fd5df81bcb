// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
package import WeftFormats

extension ImportanceMatrix {
  /// What was recorded, by the names that the matrices have in a GGUF file of this model.
  package init(_ recorder: InputRecorder, config: ModelConfig, dataset: String, chunkCount: Int, chunkSize: Int) {
    var entries: [String: Entry] = [:]
    let fusesAttention = GGUFExport.fusesAttention.contains(config.architecture)
    let fusesFeedForward = GGUFExport.fusesFeedForward.contains(config.architecture)
    for (site, sums) in recorder.sums {
      guard case .layer(let layer, let projection) = site else { continue }
      let names: [String] =
        switch projection {
        case .query: fusesAttention ? ["attn_qkv"] : ["attn_q", "attn_k", "attn_v"]
        case .output: ["attn_output"]
        case .up: fusesFeedForward || !config.isGated ? ["ffn_up"] : ["ffn_gate", "ffn_up"]
        case .down: ["ffn_down"]
        case .router:
          ["ffn_gate_inp"] + (config.experts?.sharedIntermediateSize ?? 0 > 0 ? ["ffn_gate_shexp", "ffn_up_shexp"] : [])
        case .sharedDown: ["ffn_down_shexp"]
        case .key, .value, .gate, .sharedExpertGate, .sharedGate, .sharedUp: []
        }
      for name in names {
        entries["blk.\(layer).\(name).weight"] = Entry(sums: sums.squares.map { Float($0) }, counts: [Float(sums.rowCount)])
      }
    }
    for layer in 0..<config.layerCount {
      for (projection, names) in [(Projection.up, ["ffn_gate_exps", "ffn_up_exps"]), (.down, ["ffn_down_exps"])] {
        guard let entry = Self.experts(recorder, config, layer, projection) else { continue }
        for name in names { entries["blk.\(layer).\(name).weight"] = entry }
      }
    }
    self.init(entries: entries, datasets: [dataset], chunkCount: chunkCount, chunkSize: chunkSize)
  }

  /// The sums of all experts of a layer one after the other; zeros for those that were never chosen. Nil for a dense layer.
  private static func experts(
    _ recorder: InputRecorder, _ config: ModelConfig, _ layer: Int, _ projection: Projection
  ) -> Entry? {
    guard config.layers[layer].isSparse, let experts = config.experts else { return nil }
    let columns = projection == .down ? experts.intermediateSize : config.hiddenSize
    var entry = Entry(sums: [], counts: [])
    for expert in 0..<experts.count {
      let sums = recorder.sums[.expert(layer, expert, projection)]
      entry.sums += sums?.squares.map { Float($0) } ?? [Float](repeating: 0, count: columns)
      entry.counts.append(Float(sums?.rowCount ?? 0))
    }
    return entry
  }
}
