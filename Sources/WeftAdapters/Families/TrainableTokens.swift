// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// PEFT's trainable tokens: rows `token_indices` of the embedding, and of the head where it is targeted or tied, become those of
/// `trainable_tokens_delta` [tokens, hidden], which despite its name is no difference.
enum TrainableTokens {
  private static let rows = "trainable_tokens_delta"
  private static let option = "token_indices"

  private static let rules = AdapterConfig.commonRules.merging(
    ["token_indices": .read, "target_modules": .read, "init_weights": .inert]
  ) { $1 }

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    guard config[option]?.array != nil, let indices = try config.integers(option), !indices.isEmpty else {
      throw config.malformed(option, expected: "an array of rows", found: config[option])
    }
    let (shape, target) = (model.shape, try TargetModules(config))
    var builder = DeltaBuilder(model, files)
    var ofEmbedding: TokenRows.Rows?
    if try target.contains(path: shape.embedding.path) {
      let own = try take(indices, at: shape.embedding.path, shape, &files)
      builder.deltas.embedding.append(.rows(tokens: own.tokens, vectors: own.vectors))
      ofEmbedding = own
    }
    guard let head = shape.modules.first(where: { $0.sites == [.outputHead] }) else { return builder.deltas }
    // A head that is the embedding follows it. PEFT stores its rows once more, though not every version does.
    let follows = shape.isTied && ofEmbedding != nil
    if follows, files.name(of: head.path, rows, base: shape) == nil, let ofEmbedding {
      try builder.addRows(ofEmbedding, to: head)
      return builder.deltas
    }
    let isTargeted = try target.contains(head) && target.isStated
    if follows || isTargeted {
      try builder.addRows(try take(indices, at: head.path, shape, &files), to: head)
    }
    return builder.deltas
  }

  private static func take(
    _ indices: [Int], at path: String, _ base: BaseShape, _ files: inout AdapterFolder
  ) throws(AdapterError) -> TokenRows.Rows {
    guard let name = files.name(of: path, rows, base: base) else {
      throw .missingTensor(location: files.tensorsLocation, tensor: "\(AdapterFolder.prefix)\(path).\(rows)")
    }
    return try TokenRows.Rows(indices, of: base.embedding, name, option, &files)
  }
}
