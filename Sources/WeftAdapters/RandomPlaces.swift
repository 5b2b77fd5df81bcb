// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// The places of coefficients that FourierFT and WaveFT do not store; modules of one size have the same.
struct RandomPlaces {
  private struct Size: Hashable {
    let count: Int
    let places: Int
  }

  private let seed: Int
  private var known: [Size: [Int]] = [:]

  init(seed: Int) { self.seed = seed }

  /// The first `count` numbers of torch's random permutation of 0..<`places`.
  mutating func first(_ count: Int, of places: Int) -> [Int] {
    let size = Size(count: count, places: places)
    if let positions = known[size] { return positions }
    var generator = TorchGenerator(seed: seed)
    let positions = generator.permutation(of: places, first: count)
    known[size] = positions
    return positions
  }
}
