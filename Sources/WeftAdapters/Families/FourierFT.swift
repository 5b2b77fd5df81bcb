// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// FourierFT (https://arxiv.org/abs/2405.03003): D = scaling times the real part of the inverse 2-D Fourier transform of a matrix
/// of which only n elements are not zero.
///
/// Tensor per module: `fourierft_spectrum` [n]. Where its numbers lie is not stored: at the first n of a random permutation of
/// all places, from `random_loc_seed`.
enum FourierFT {
  private static let rules = AdapterConfig.rules(
    read: ["n_frequency", "n_frequency_pattern", "scaling", "random_loc_seed"])

  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ choices: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    let config = files.config
    try config.check(rules)
    let scale = Float(try config.number("scaling", default: 150))
    let standard = try config.integer("n_frequency", default: 1000, atLeast: 1)
    let patterns = try PatternOption("n_frequency_pattern", config, needsDot: true)
    var places = RandomPlaces(seed: try config.integer("random_loc_seed", default: 777, atLeast: .min))
    var transforms: [Int: FourierTransform] = [:]
    let modules = try files.targetedModules(["fourierft_spectrum"], base: base.shape)
    var builder = try DeltaBuilder(base, &files, adapting: modules.map(\.module))
    for tensors in modules {
      let size = base.size(of: tensors.module)
      let count = try patterns.integer(for: tensors.module, default: standard)
      let values = try files.takeFloats(tensors.name("fourierft_spectrum"), shape: [count])
      guard count <= size.out * size.in else {
        throw builder.malformed("n_frequency", expected: "at most \(size.out * size.in)", found: "\(count)", tensors.module)
      }
      let positions = places.first(count, of: size.out * size.in)
      try builder.addStructured(scale: scale, to: tensors.module) { () throws(StructuredError) in
        for length in [size.out, size.in] where transforms[length] == nil {
          transforms[length] = try FourierTransform(count: length)
        }
        guard let rows = transforms[size.out], let columns = transforms[size.in] else {
          preconditionFailure("both were just made")
        }
        return try .fourier(positions: positions, values: values, rows: rows, columns: columns)
      }
    }
    return builder.deltas
  }
}
