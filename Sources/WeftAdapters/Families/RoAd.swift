// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftDeltas
internal import WeftFormats

/// RoAd (https://arxiv.org/abs/2409.00119): pairs of outputs, bias included, are turned and scaled: y <- c y + s rot(y), where
/// rot turns the halves (a, b) of every group of channels into (-b, a), c = alpha cos(theta), s = alpha sin(theta).
///
/// `road_theta` and `road_alpha` per module: one number per pair (road_1: [out / 2]), one per channel (road_2: [out]), or in
/// every group those of c, then those of s (road_4: [2 out]).
enum RoAd {
  private static let angles = "road_theta"
  private static let lengths = "road_alpha"

  private enum Variant: String, CaseIterable {
    case pairs = "road_1"
    case channels = "road_2"
    case separate = "road_4"

    func count(_ outputs: Int) -> Int {
      switch self {
      case .pairs: outputs / 2
      case .channels: outputs
      case .separate: 2 * outputs
      }
    }

    /// The parameters of channel `index`: of its cosine and of its sine.
    func indices(_ index: Int, group: Int) -> (cosine: Int, sine: Int) {
      switch self {
      case .pairs:
        let pair = index / group * (group / 2) + index % (group / 2)
        return (pair, pair)
      case .channels: return (index, index)
      case .separate:
        let first = index / group * 2 * group + index % group
        return (first, first + group)
      }
    }
  }

  private static let rules = AdapterConfig.rules(read: ["variant", "group_size"])

  static func resolve(
    _ files: inout AdapterFolder, _ model: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    guard let variant = Variant(rawValue: try config.string("variant") ?? Variant.pairs.rawValue) else {
      throw config.malformed(
        "variant", expected: Variant.allCases.map(\.rawValue).joined(separator: " or "), found: config["variant"])
    }
    let group = try config.integer("group_size", default: 64, atLeast: 2)
    guard group % 2 == 0 else { throw config.malformed("group_size", expected: "an even number", found: config["group_size"]) }
    let modules = try files.targetedModules([angles, lengths], base: model.shape)
    var builder = try DeltaBuilder(model, &files, adapting: modules.map(\.module))
    for tensors in modules {
      for site in tensors.module.sites {
        guard let size = model.shape.shape(of: site), size.out % group == 0 else {
          throw config.malformed(
            "group_size", expected: "a divisor of the outputs of \(tensors.module.path)", found: config["group_size"])
        }
      }
      let outputs = model.size(of: tensors.module).out
      let theta = try files.takeFloats(try tensors.name(angles), shape: [variant.count(outputs)])
      let alpha = try files.takeFloats(try tensors.name(lengths), shape: [variant.count(outputs)])
      var (cosines, sines): ([Float], [Float]) = ([], [])
      for index in 0..<outputs {
        let source = variant.indices(index, group: group)
        cosines.append(Float(Double(alpha[source.cosine]) * cos(Double(theta[source.cosine]))))
        sines.append(Float(Double(alpha[source.sine]) * sin(Double(theta[source.sine]))))
      }
      try builder.add(to: tensors.module) { rows throws(DeltaError) in
        .rotate(
          try RotationDelta(.planes(cosines: Array(cosines[rows]), sines: Array(sines[rows]), group: group)))
      }
    }
    return builder.deltas
  }
}
