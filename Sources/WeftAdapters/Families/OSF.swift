// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// OSF (https://arxiv.org/abs/2504.07097): the base keeps its largest singular components, `effective_rank` of them; the others
/// are trained. Delta = U diag(S) V - (what the base has of those components).
///
/// Tensors per adapted module, with m = min(in, out) - effective_rank: `osf_svd_params.U_low` [out, m], `S_low` [m],
/// `V_low` [m, in].
///
/// The base's components come from its singular value decomposition in f32, as PEFT makes it: on the order of
/// 10 * out * in * min(out, in) operations of each module when the adapter is read. The change has rank 2 m, with the usual m of
/// half the smaller size as much as a dense matrix: where it is not smaller, it is stored as one.
enum OSF {
  private static let rules = AdapterConfig.rules(
    read: ["effective_rank", "rank_pattern"], inert: ["target_svd_config"])
  private static let parameters = ["osf_svd_params.U_low", "osf_svd_params.S_low", "osf_svd_params.V_low"]

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    try files.config.check(rules)
    let ranks = try KeptRank(files.config)
    let modules = try files.targetedModules(parameters, base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    let values = try builder.values()
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let kept = try ranks.rank(of: tensors.module, smallerSize: min(size.out, size.in))
      let count = min(size.out, size.in) - kept
      let names = try parameters.map { (parameter) throws(AdapterError) in try tensors.name(parameter) }
      try files.requireRank(names[0], count, axis: 1)
      let u = try files.takeFloats(names[0], shape: [size.out, count])
      let s = try files.takeFloats(names[1], shape: [count])
      let v = try files.takeFloats(names[2], shape: [count, size.in])
      guard count > 0 else { continue }
      let old: SingularValues<Float>
      do {
        old = try LinearAlgebra.singularValues(of: values.weight(of: tensors.module), rows: size.out, columns: size.in)
      } catch { throw .linearAlgebra(location: files.tensorsLocation, error) }
      var b = [Float](repeating: 0, count: size.out * 2 * count)
      for o in 0..<size.out {
        for r in 0..<count {
          b[o * 2 * count + r] = u[o * count + r] * s[r]
          b[o * 2 * count + count + r] = -old.u[o * (kept + count) + kept + r] * old.values[kept + r]
        }
      }
      try builder.addProduct(v + old.vT[(kept * size.in)...], b, rank: 2 * count, to: tensors.module)
    }
    return builder.deltas
  }

  /// How many components of each module stay the base's.
  private struct KeptRank {
    private let usual: JSON?
    private let patterns: [(pattern: NamePattern, rank: JSON)]
    private let config: AdapterConfig

    init(_ config: AdapterConfig) throws(AdapterError) {
      self.config = config
      usual = config["effective_rank"]
      var patterns: [(pattern: NamePattern, rank: JSON)] = []
      for (key, value) in try config.members("rank_pattern") {
        // Here a pattern may match anywhere in a path.
        patterns.append((try NamePattern("(?s:.*)(?:\(key))(?s:.*)", option: "rank_pattern", location: config.location), value))
      }
      self.patterns = patterns
    }

    /// Half of the smaller size of the module when nothing is said; a number below 1 is a share of it.
    func rank(of module: BaseModule, smallerSize: Int) throws(AdapterError) -> Int {
      for (pattern, rank) in patterns where try pattern.matches(module.path) {
        return try number(rank, "rank_pattern", smallerSize)
      }
      guard let usual else { return smallerSize / 2 }
      return try number(usual, "effective_rank", smallerSize)
    }

    private func number(_ value: JSON, _ option: String, _ smallerSize: Int) throws(AdapterError) -> Int {
      guard let number = value.double, number > 0, number.isFinite else {
        throw config.malformed(option, expected: "a number above 0", found: value)
      }
      return number < 1 ? Int(Double(smallerSize) * number) : Int(min(number, Double(smallerSize)))
    }
  }
}
