// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Rows of the embedding, or of the head, that an adapter replaces (PEFT's trainable tokens, also `trainable_token_indices`).
///
/// The file holds the new rows, [tokens, hidden], though it calls them a delta; which rows they are only the config says.
struct TokenRows {
  /// Modules by the ends of their paths, each with its rows.
  private let tokens: [(module: String?, indices: [Int])]
  private let option: String
  private let ensuresTying: Bool

  /// - Parameters:
  ///   - option: its name in the config; a list of rows, or an object with a list for each module.
  ///   - module: what a list speaks of; nil for the embedding.
  init?(
    _ config: AdapterConfig, option: String, module: String? = nil, ensuresTying: Bool = false
  ) throws(AdapterError) {
    guard let value = config[option] else { return nil }
    self.option = option
    self.ensuresTying = ensuresTying
    var tokens: [(module: String?, indices: [Int])] = []
    if value.array != nil {
      tokens.append((module, try config.integers(option) ?? []))
    } else {
      for (module, list) in try config.members(option) {
        guard let indices = list.array?.map(\.int), !indices.contains(nil) else {
          throw config.malformed(option, expected: "an array of rows for each module", found: list)
        }
        tokens.append((module, indices.compactMap { $0 }))
      }
    }
    guard tokens.contains(where: { !$0.indices.isEmpty }) else { return nil }
    self.tokens = tokens
  }

  /// Takes the rows from the file.
  ///
  /// - Parameter parameter: what follows the path of a module in the file.
  func add(_ parameter: String, from files: inout AdapterFolder, to builder: inout DeltaBuilder) throws(AdapterError) {
    let shape = builder.base.shape
    let head = shape.modules.first { $0.sites == [.outputHead] }
    var rows: (embedding: Rows?, head: Rows?) = (nil, nil)
    let shared = tokens.first { isEmbedding($0.module, shape) }
    for (module, indices) in tokens {
      let isEmbedding = isEmbedding(module, shape)
      guard isEmbedding || head.map({ TokenRows.ends($0.path, module) }) == true else {
        throw .malformedOption(
          location: files.config.location, option: option, expected: "the embedding or the head of this base",
          found: "'\(module ?? "")'")
      }
      // Of two tied modules with the same rows, the file has the embedding's.
      if !isEmbedding, shape.isTied, indices == shared?.indices { continue }
      let path = isEmbedding ? shape.embedding.path : head?.path ?? ""
      guard let name = files.name(of: path, parameter, base: shape) else {
        throw .missingTensor(location: files.tensorsLocation, tensor: "\(AdapterFolder.prefix)\(path).\(parameter)")
      }
      let found = try Rows(indices, of: shape.embedding, name, option, &files)
      if isEmbedding { rows.embedding = found } else { rows.head = found }
    }
    if let embedding = rows.embedding {
      builder.deltas.embedding.append(.rows(tokens: embedding.tokens, vectors: embedding.vectors))
      // PEFT ties the head's rows to the embedding's where both are one matrix and the config has no others for the head.
      if shape.isTied, rows.head == nil || ensuresTying { rows.head = embedding }
    }
    guard let rows = rows.head, let head else { return }
    try builder.addRows(rows, to: head)
  }

  private func isEmbedding(_ module: String?, _ shape: BaseShape) -> Bool {
    module == nil || TokenRows.ends(shape.embedding.path, module)
  }

  /// As PEFT compares: the end of a path, dot or no dot.
  private static func ends(_ path: String, _ module: String?) -> Bool { path.hasSuffix(module ?? "") }

  struct Rows {
    /// Ascending.
    let tokens: [Int32]
    /// [tokens, hidden]
    let vectors: Tensor

    init(
      _ indices: [Int], of embedding: BaseEmbedding, _ name: String, _ option: String, _ files: inout AdapterFolder
    ) throws(AdapterError) {
      for index in indices where !(0..<embedding.vocabularySize).contains(index) {
        throw .malformedOption(
          location: files.config.location, option: option, expected: "rows below \(embedding.vocabularySize)",
          found: "\(index)")
      }
      guard Set(indices).count == indices.count else {
        throw .malformedOption(
          location: files.config.location, option: option, expected: "every row once", found: "a row twice")
      }
      let width = embedding.hiddenSize
      let values = try files.takeFloats(name, shape: [indices.count, width])
      let order = indices.indices.sorted { indices[$0] < indices[$1] }
      tokens = order.map { Int32(indices[$0]) }
      vectors = try makeTensor(order.flatMap { values[$0 * width..<($0 + 1) * width] }, [indices.count, width])
    }
  }
}

extension AdapterFolder {
  /// The name in the file of a parameter of the module at a path of the base, however it is spelled; nil when there is none.
  mutating func name(of path: String, _ parameter: String, base: BaseShape) -> String? {
    let name = tensorNames.first { name in
      guard let found = AdapterFolder.split(name, [parameter])?.path else { return false }
      return base.isEmbedding(found) ? path == base.embedding.path : base.module(at: found)?.path == path
    }
    if let name { recognize(name) }
    return name
  }
}

extension DeltaBuilder {
  /// Replaces rows of the head: adds the difference of the new row and the base's.
  mutating func addRows(_ rows: TokenRows.Rows, to head: BaseModule) throws(AdapterError) {
    let values = try values()
    let size = base.size(of: head)
    let own = base.shape.isTied ? [] : values.weight(of: head)
    var difference = rows.vectors.floats()
    for (place, token) in rows.tokens.enumerated() {
      let row = Int(token)
      let old = own.isEmpty ? values.embedding(row..<row + 1) : Array(own[row * size.in..<(row + 1) * size.in])
      for i in 0..<size.in { difference[place * size.in + i] -= old[i] }
    }
    let vectors = try makeTensor(difference, [rows.tokens.count, size.in])
    try addStructured(scale: 1, to: head) { () throws(StructuredError) in
      try .rows(vectors, at: rows.tokens.map { Int($0) }, out: size.out)
    }
  }
}
