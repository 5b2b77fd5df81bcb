// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// IA3 (https://arxiv.org/abs/2205.05638): a factor for every output, y = l * (W x + b), or on feed-forward modules for every
/// input, y = W (l * x) + b.
///
/// `ia3_l` per module: [out, 1], or [1, in] where `feedforward_modules` names the module.
enum IA3 {
  static let vector = "ia3_l"

  static let rules = AdapterConfig.rules(read: ["feedforward_modules"], inert: ["init_ia3_weights"])

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let feedForward = try FeedForwardModules(files.config)
    let modules = try files.targetedModules([vector], base: model.shape)
    var builder = try DeltaBuilder(model, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let name = try tensors.name(vector)
      let size = model.size(of: tensors.module)
      let isOfInput = try feedForward.contains(tensors.module) ?? (files.shape(of: name).first == 1 && size.out != 1)
      let factors = try files.takeFloats(name, shape: isOfInput ? [1, size.in] : [size.out, 1])
      try builder.add(to: tensors.module) { rows throws(DeltaError) in
        .scale(try isOfInput ? ScaleDelta(.input, factors) : ScaleDelta(.output, Array(factors[rows])))
      }
    }
    return builder.deltas
  }

  /// `feedforward_modules`: a text is an expression for the whole path, a list has ends of paths, dot or no dot.
  private struct FeedForwardModules {
    private let expression: NamePattern?
    private let ends: [String]?

    init(_ config: AdapterConfig) throws(AdapterError) {
      let names = try config.strings("feedforward_modules")
      if let text = config["feedforward_modules"]?.string {
        expression = try NamePattern(text, option: "feedforward_modules", location: config.location)
        ends = nil
      } else {
        expression = nil
        ends = names
      }
    }

    /// nil where the config says nothing, and the shapes have to.
    func contains(_ module: BaseModule) throws(AdapterError) -> Bool? {
      if let expression { return try expression.matches(module.path) }
      return ends.map { $0.contains { module.path.hasSuffix($0) } }
    }
  }
}
