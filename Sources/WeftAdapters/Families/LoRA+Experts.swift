// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension LoRA {
  /// The deltas of stacked experts (PEFT's `target_parameters`).
  ///
  /// A module whose parameters are adapted holds one pair of tensors for each: the last one under its own name, those before
  /// it under `base_layer`, in the order of the module. A [experts * rank, in] is divided by expert, B [out, rank * experts]
  /// by rank and then by expert.
  static func experts(
    _ path: String, _ pairs: [Int: [Factor: String]], _ options: LoRAOptions, _ folder: inout AdapterFolder,
    _ base: BaseShape
  ) throws(AdapterError) -> [(WeightSite, DeltaOperator)] {
    let location = folder.tensorsLocation
    let parameters = base.parameters(at: path).filter(options.target.contains(parameter:))
    var deltas: [(WeightSite, DeltaOperator)] = []
    for (depth, names) in pairs.sorted(by: { $0.key < $1.key }) {
      // Depth 0 is the outermost, which is the last parameter.
      let index = parameters.count - 1 - depth
      guard parameters.indices.contains(index) else { continue }
      guard let a = names[.a], let b = names[.b] else {
        throw .missingTensor(location: location, tensor: partner(of: names))
      }
      deltas += try divide(parameters[index], a, b, options, &folder, base)
    }
    guard pairs.count >= parameters.count else {
      throw .missingTensor(
        location: location,
        tensor: "base_model.model.\(path)\(String(repeating: ".base_layer", count: pairs.count)).lora_A.weight")
    }
    return deltas
  }

  private static func divide(
    _ module: BaseModule, _ a: String, _ b: String, _ options: LoRAOptions, _ folder: inout AdapterFolder, _ base: BaseShape
  ) throws(AdapterError) -> [(WeightSite, DeltaOperator)] {
    let location = folder.tensorsLocation
    let sites = module.sites
    var experts: [[WeightSite]] = []
    for site in sites {
      guard case .expert(_, let expert, _) = site else { continue }
      if expert == experts.count { experts.append([]) }
      experts[expert].append(site)
    }
    let sizes = experts[0].compactMap { base.shape(of: $0) }
    let (rows, columns) = (sizes.reduce(0) { $0 + $1.out }, sizes[0].in)
    let rank = try options.rank(of: module)
    let (shapeA, shapeB) = ([experts.count * rank, columns], [rows, rank * experts.count])
    guard folder.shape(of: a) == shapeA else {
      throw .wrongShape(location: location, tensor: a, expected: shapeA, found: folder.shape(of: a))
    }
    guard folder.shape(of: b) == shapeB else {
      throw .wrongShape(location: location, tensor: b, expected: shapeB, found: folder.shape(of: b))
    }
    let scale = try options.scale(of: module, rank: rank)
    let (tensorA, tensorB) = (try folder.take(a), try folder.take(b))
    guard tensorB.dtype.isWeight else {
      throw .delta(
        location: location, site: sites[0], .malformed(factor: "b", expected: "F32, F16 or BF16", found: tensorB.dtype.name))
    }
    let all = tensorB.floats()
    var deltas: [(WeightSite, DeltaOperator)] = []
    for (expert, sites) in experts.enumerated() {
      let own = tensorA.slice(rows: expert * rank..<(expert + 1) * rank)
      var values = [Float](repeating: 0, count: rows * rank)
      for row in 0..<rows {
        for r in 0..<rank { values[row * rank + r] = all[(row * rank + r) * experts.count + expert] }
      }
      let stacked: Tensor
      do { stacked = try Tensor(rounding: values, shape: [rows, rank], to: tensorB.dtype) } catch { throw .storage(error) }
      var row = 0
      for (site, size) in zip(sites, sizes) {
        do throws(DeltaError) {
          let part = stacked.slice(rows: row..<row + size.out)
          deltas.append((site, .lowRank(try LowRank(a: own, b: part, scale: scale))))
        } catch { throw .delta(location: location, site: site, error) }
        row += size.out
      }
    }
    return deltas
  }
}
