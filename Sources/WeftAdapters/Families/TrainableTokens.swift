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
    let ofEmbedding = try target.contains(path: shape.embedding.path)
      ? try TokenRows.Rows(indices, at: shape.embedding.path, rows, of: shape, option, &files) : nil
    if let ofEmbedding {
      builder.deltas.embedding.append(.rows(tokens: ofEmbedding.tokens, vectors: ofEmbedding.vectors))
    }
    guard let head = shape.modules.first(where: { $0.sites == [.outputHead] }) else { return builder.deltas }
    // A head that is the embedding follows it. PEFT stores its rows once more, though not by every version.
    let followsEmbedding = shape.isTied && ofEmbedding != nil
    if followsEmbedding, files.name(of: head.path, rows, base: shape) == nil, let ofEmbedding {
      try builder.addRows(ofEmbedding, to: head)
    } else if try followsEmbedding || target.isStated && target.contains(head) {
      try builder.addRows(try TokenRows.Rows(indices, at: head.path, rows, of: shape, option, &files), to: head)
    }
    return builder.deltas
  }
}
