// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension WeightReader.NormSource {
  /// The pointers of a step. Valid while the storages live.
  var view: DecoderLayer.Norm {
    DecoderLayer.Norm(weight: floats(weight), bias: bias.map(floats))
  }

  var storages: [Storage] { [weight] + (bias.map { [$0] } ?? []) }
}

/// f32 values of a vector in memory of its own.
private func floats(_ storage: Storage) -> UnsafePointer<Float> {
  UnsafePointer(storage.base.assumingMemoryBound(to: Float.self))
}

/// The norms of one layer.
struct LayerNorms {
  private let sources: [NormRole: WeightReader.NormSource]

  /// Those that the configuration asks for, of every layer.
  static func read(_ reader: inout WeightReader) throws(ModelError) -> [LayerNorms] {
    let config = reader.config
    var layers: [LayerNorms] = []
    for index in config.layers.indices {
      var sources: [NormRole: WeightReader.NormSource] = [:]
      for role in NormRole.allCases {
        if let count = config.normSize(index, role) { sources[role] = try reader.norm(index, role, count: count) }
      }
      layers.append(LayerNorms(sources: sources))
    }
    return layers
  }

  subscript(role: NormRole) -> DecoderLayer.Norm? { sources[role]?.view }

  /// The norm as the file has it.
  func source(_ role: NormRole) -> WeightReader.NormSource? { sources[role] }

  var storages: [Storage] { sources.values.flatMap(\.storages) }
}

/// Puts packed matrices together into the layers that a step runs.
struct LayerAssembly {
  let config: ModelConfig
  let groups: [[WeightSite]]
  let matrices: [WeightSite: PackedMatrix]
  let biases: [WeightSite: Storage]
  private let firstGroups: [Int]

  init(
    config: ModelConfig, groups: [[WeightSite]], matrices: [WeightSite: PackedMatrix], biases: [WeightSite: Storage]
  ) {
    self.config = config
    self.groups = groups
    self.matrices = matrices
    self.biases = biases
    var firsts: [Int] = []
    for (index, group) in groups.enumerated() {
      if let layer = group[0].layer, layer == firsts.count { firsts.append(index) }
    }
    firstGroups = firsts
  }

  /// The group at an index of `ModelConfig.inputGroups`: its parts side by side, each padded to whole tiles.
  func group(_ index: Int) -> LinearGroup {
    var parts: [Linear?] = []
    var offsets: [Int] = []
    var width = 0
    for site in groups[index] {
      guard let matrix = matrices[site] else { preconditionFailure("every site was packed") }
      parts.append(Linear(weight: matrix.view, bias: biases[site].map(floats)))
      offsets.append(width)
      width += matrix.view.paddedRows
    }
    guard let first = parts[0] else { preconditionFailure("a group has at least one part") }
    parts += [nil, nil]
    offsets += [0, 0]
    // What is packed in the order of a step lies together.
    let own = groups[index].compactMap { matrices[$0] }
    let (begin, bytes) = (first.weight.base, own.reduce(0) { $0 + ($1.byteCount + 63) / 64 * 64 })
    return LinearGroup(
      parts: (first, parts[1], parts[2]), offsets: (offsets[0], offsets[1], offsets[2]), site: index,
      hasScalingProducer: groups[index][0].isBehindAttentionOrActivation,
      memory: UnsafeRawBufferPointer(start: begin, count: bytes))
  }

  /// A layer. The expert groups that it points to are the caller's to free.
  func layer(
    _ index: Int, _ norms: LayerNorms, _ expertGroups: inout [UnsafeMutablePointer<LinearGroup>]
  ) -> DecoderLayer {
    let first = firstGroups[index]
    let layer = config.layers[index]
    var dense: (LinearGroup, LinearGroup)?
    var experts: DecoderLayer.Experts?
    if layer.isSparse, let choice = config.experts {
      let feedForward = UnsafeMutablePointer<LinearGroup>.allocate(capacity: choice.count)
      let down = UnsafeMutablePointer<LinearGroup>.allocate(capacity: choice.count)
      for expert in 0..<choice.count {
        (feedForward + expert).initialize(to: group(first + 3 + expert * 2))
        (down + expert).initialize(to: group(first + 4 + expert * 2))
      }
      expertGroups += [feedForward, down]
      experts = DecoderLayer.Experts(router: group(first + 2), feedForward: feedForward, down: down)
      let shared = first + 3 + choice.count * 2
      if choice.sharedIntermediateSize > 0 { dense = (group(shared), group(shared + 1)) }
    } else {
      dense = (group(first + 2), group(first + 3))
    }
    return DecoderLayer(
      config: layer, attentionNorm: norms[.attentionInput], queryNorm: norms[.query], keyNorm: norms[.key],
      attentionOutputNorm: norms[.attentionOutput], feedForwardNorm: norms[.feedForwardInput],
      feedForwardOutputNorm: norms[.feedForwardOutput], attention: group(first), output: group(first + 1),
      feedForward: dense?.0, down: dense?.1, experts: experts)
  }
}

extension WeightSite {
  /// Whether its input is made for it alone: the heads' outputs, or the products of gate and up.
  fileprivate var isBehindAttentionOrActivation: Bool {
    switch self {
    case .layer(_, .output), .layer(_, .down): true
    case .layer, .expert, .outputHead: false
    }
  }
}
