// SPDX-License-Identifier: Apache-2.0

/// The numbers at given places of a sorted sequence that is read twice in place of being held: exact, in 512 KiB and as much for
/// every place.
///
/// The first reading counts the upper halves of the numbers' bits, the second the lower halves of those whose upper half stands at
/// a place that is asked for.
struct RadixSelection {
  private struct Place {
    /// Bits of the number, upper half first, as far as they are known.
    var upper = 0
    /// The place among the numbers with this upper half.
    var rank: Int
    var counts: [Int] = []
  }

  private var places: [Place] = []
  private var counts = [Int](repeating: 0, count: 1 << 16)
  private var isNarrow = false
  /// How many numbers the first reading had.
  private(set) var total = 0

  /// Takes numbers of the reading in progress; none of them may be NaN.
  mutating func read(_ numbers: [Float]) {
    guard isNarrow else {
      for number in numbers { counts[Int(RadixSelection.key(number) >> 16)] += 1 }
      total += numbers.count
      return
    }
    for number in numbers {
      let key = RadixSelection.key(number)
      for place in places.indices where places[place].upper == Int(key >> 16) {
        places[place].counts[Int(key & 0xFFFF)] += 1
      }
    }
  }

  /// Ends the first reading.
  /// - Parameter ranks: the places, from zero, of the sequence from its smallest number on.
  mutating func narrow(to ranks: [Int]) {
    precondition(!isNarrow && ranks.allSatisfy { (0..<total).contains($0) })
    isNarrow = true
    places = ranks.map { rank in
      let (upper, rank) = RadixSelection.bucket(of: rank, counts)
      return Place(upper: upper, rank: rank, counts: [Int](repeating: 0, count: 1 << 16))
    }
  }

  /// The numbers at the places, after the second reading, which must have the numbers of the first.
  var values: [Float] {
    places.map { RadixSelection.number(UInt32($0.upper << 16 | RadixSelection.bucket(of: $0.rank, $0.counts).index)) }
  }

  private static func bucket(of rank: Int, _ counts: [Int]) -> (index: Int, rank: Int) {
    var rank = rank
    for (index, count) in counts.enumerated() {
      if rank < count { return (index, rank) }
      rank -= count
    }
    preconditionFailure("the second reading had fewer numbers than the first")
  }

  /// Bits that are ordered as the numbers are; -0 counts as 0.
  private static func key(_ number: Float) -> UInt32 {
    let bits = (number + 0).bitPattern
    return bits & 0x8000_0000 == 0 ? bits | 0x8000_0000 : ~bits
  }

  private static func number(_ key: UInt32) -> Float {
    Float(bitPattern: key & 0x8000_0000 == 0 ? ~key : key & 0x7FFF_FFFF)
  }
}
