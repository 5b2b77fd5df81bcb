// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// WaveFT (https://arxiv.org/abs/2505.12532): D = scaling times the one-level wavelet synthesis of a matrix of which only n elements
/// are not zero, or (`use_idwt` false) that matrix itself.
///
/// Tensor per module: `waveft_spectrum` [n]; its places are those of FourierFT.
enum WaveFT {
  private static let rules = AdapterConfig.rules(
    read: [
      "n_frequency", "n_frequency_pattern", "proportional_parameters", "scaling", "random_loc_seed", "wavelet_family",
      "use_idwt",
    ])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let scale = Float(try config.number("scaling", default: 25))
    let filters = try filters(config)
    var places = RandomPlaces(seed: try config.integer("random_loc_seed", default: 777, atLeast: .min))
    let modules = try files.targetedModules(["waveft_spectrum"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    let counts = try counts(of: modules.map(\.module), base, config)
    for (tensors, count) in zip(modules, counts) {
      let size = base.size(of: tensors.module)
      let values = try files.takeFloats(tensors.name("waveft_spectrum"), shape: [count])
      guard count <= size.out * size.in else {
        throw builder.malformed("n_frequency", expected: "at most \(size.out * size.in)", found: "\(count)", tensors.module)
      }
      let positions = places.first(count, of: size.out * size.in)
      try builder.addStructured(scale: scale, to: tensors.module) { () throws(StructuredError) in
        guard let filters else { return try .sparse(positions: positions, values: values, out: size.out, in: size.in) }
        return try .wavelet(
          positions: positions, values: values, low: filters.low, high: filters.high, out: size.out, in: size.in)
      }
    }
    return builder.deltas
  }

  /// Nil without synthesis.
  private static func filters(_ config: AdapterConfig) throws(AdapterError) -> WaveletFilters? {
    guard try config.bool("use_idwt", default: true) else { return nil }
    let name = try config.string("wavelet_family") ?? "db1"
    guard let filters = WaveletFilters(name) else {
      throw .unsupportedOption(
        location: config.location, option: "wavelet_family",
        expected: "one of \(WaveletFilters.names.joined(separator: ", "))", found: "\"\(name)\"")
    }
    return filters
  }

  /// The number of coefficients of each module: by the config, or in proportion to the elements of its weight.
  private static func counts(
    of modules: [BaseModule], _ base: BaseModel, _ config: AdapterConfig
  ) throws(AdapterError) -> [Int] {
    let standard = try config.integer("n_frequency", default: 2592, atLeast: 1)
    let patterns = try PatternOption("n_frequency_pattern", config)
    guard try config.bool("proportional_parameters") else {
      var counts: [Int] = []
      for module in modules { counts.append(try patterns.integer(for: module, default: standard)) }
      return counts
    }
    let elements = modules.map { base.size(of: $0) }.map { Double($0.out) * Double($0.in) }
    let (sum, budget) = (elements.reduce(0, +), Double(standard) * Double(modules.count))
    // Python's round: halves go to the even number.
    return elements.map { Int(exactly: max(1, ($0 / sum * budget).rounded(.toNearestOrEven))) ?? .max }
  }
}
