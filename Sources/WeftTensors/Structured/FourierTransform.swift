// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels
internal import Glibc

/// The tables of a discrete Fourier transform of one length, which all operators of that length share.
///
/// Any length: by radices 4, 2 and odd primes below 100 where they make up the length, else by Bluestein's convolution ("A linear
/// filtering approach to the computation of discrete Fourier transform", 1970).
package final class FourierTransform: @unchecked Sendable {
  package let count: Int
  /// Bytes of the tables.
  package let byteCount: Int
  let description: weft_transform
  /// What the pointers of the description point to.
  let owned: [Storage]

  /// - Parameter count: points of the transform, from 1 to 2^28.
  package init(count: Int) throws(StructuredError) {
    guard (1...1 << 28).contains(count) else {
      throw .malformed(factor: "points", expected: "1 to 2^28", found: "\(count)")
    }
    self.count = count
    var memory = FactorMemory()
    let radices = FourierTransform.radices(of: count)
    var length = count
    if radices == nil {
      length = 1
      while length < 2 * count - 1 { length *= 2 }
    }
    let used = radices ?? FourierTransform.radices(of: length) ?? []
    var transform = weft_transform(
      count: length, length: length, radix_count: used.count, radices: try memory.copy(used),
      roots: try memory.copy(FourierTransform.turns((0..<length).lazy.map { Double($0) / Double(length) })), chirp: nil,
      chirp_filter: nil)
    if radices == nil {
      let chirp = FourierTransform.turns((0..<count).lazy.map { Double($0 * $0 % (2 * count)) / Double(2 * count) })
      transform.chirp_filter = try memory.copy(FourierTransform.chirpFilter(chirp, transform))
      transform.chirp = try memory.copy(chirp)
      transform.count = count
    }
    description = transform
    owned = memory.owned
    byteCount = memory.byteCount
  }

  /// In place on `count` real and `count` imaginary parts: z[k] = sum of x[j] exp(2 pi i j k / count).
  package func run(_ re: inout [Float], _ im: inout [Float]) {
    precondition(re.count == count && im.count == count)
    FourierTransform.run(description, &re, &im)
  }

  static func run(_ transform: weft_transform, _ re: inout [Float], _ im: inout [Float]) {
    var transform = transform
    withUnsafeTemporaryAllocation(of: Float.self, capacity: weft_transform_scratch(&transform)) { scratch in
      guard let scratch = scratch.baseAddress else { return }
      weft_transform_run(&transform, &re, &im, scratch)
    }
  }

  /// Fours, a two, odd primes below 100 ascending; nil when the count has a larger prime factor.
  private static func radices(of count: Int) -> [UInt32]? {
    var radices: [UInt32] = []
    var rest = count
    for radix in [4, 2] + stride(from: 3, to: 100, by: 2) {
      while rest % radix == 0 {
        radices.append(UInt32(radix))
        rest /= radix
      }
    }
    return rest == 1 ? radices : nil
  }

  /// Cosine and sine of each angle, in turns.
  private static func turns(_ angles: some Sequence<Double>) -> [Float] {
    angles.flatMap { [Float(cos(2 * .pi * $0)), Float(sin(2 * .pi * $0))] }
  }

  /// The transform of the conjugate chirp as a periodic sequence that is even, divided by its length.
  private static func chirpFilter(_ chirp: [Float], _ transform: weft_transform) -> [Float] {
    let (count, length) = (chirp.count / 2, transform.length)
    var re = [Float](repeating: 0, count: length)
    var im = re
    for j in 0..<count {
      for place in Set([j, (length - j) % length]) {
        re[place] = chirp[2 * j]
        im[place] = -chirp[2 * j + 1]
      }
    }
    run(transform, &re, &im)
    return zip(re, im).flatMap { [$0 / Float(length), $1 / Float(length)] }
  }
}
