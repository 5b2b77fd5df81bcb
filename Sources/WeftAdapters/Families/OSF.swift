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
      do throws(LinearAlgebraError) {
        let old = try LinearAlgebra.singularValues(
          of: values.weight(of: tensors.module), rows: size.out, columns: size.in)
        var b = [Float](repeating: 0, count: size.out * 2 * count)
        for o in 0..<size.out {
          for r in 0..<count {
            b[o * 2 * count + r] = u[o * count + r] * s[r]
            b[o * 2 * count + count + r] = -old.u[o * old.values.count + kept + r] * old.values[kept + r]
          }
        }
        try add(v + old.vT[(kept * size.in)...], b, rank: 2 * count, size, tensors.module, &builder)
      } catch { throw .linearAlgebra(location: files.tensorsLocation, error) }
    }
    return builder.deltas
  }
}
