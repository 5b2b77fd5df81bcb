// SPDX-License-Identifier: Apache-2.0

import WeftTensors

/// One token's key or value as the cache should hold it, rounded in Swift.
struct KVRow {
  let dtype: KVDType
  /// What the cache gives back.
  private(set) var values: [Float] = []
  /// Elements, and scales of 32 dimensions each, as bit patterns.
  private var elements: [UInt32] = []
  private var scales: [UInt16] = []

  init(_ x: [Float], _ dtype: KVDType) {
    self.dtype = dtype
    switch dtype {
    case .f32:
      values = x
      elements = x.map(\.bitPattern)
    case .f16:
      values = x.map { Float(Float16($0)) }
      elements = x.map { UInt32(Float16($0).bitPattern) }
    case .q8_0:
      for begin in stride(from: 0, to: x.count, by: 32) {
        let block = x[begin..<min(begin + 32, x.count)]
        let scale = Float16(min(block.map(abs).max()! / 127, Float(Float16.greatestFiniteMagnitude)))
        for value in block {
          let inverse = scale > 0 ? 1 / Float(scale) : 0
          let q = Int8(min(max((value * inverse).rounded(.toNearestOrEven), -127), 127))
          values.append(Float(q) * Float(scale))
          elements.append(UInt32(UInt8(bitPattern: q)))
        }
        scales.append(scale.bitPattern)
      }
    }
  }

  /// Writes it as the key of a slot.
  func put(key slot: Int, into keys: UnsafeMutableRawPointer) {
    put(keys, slot, step: 16, elementCount: values.count * 16, slot)
  }

  /// Writes it as the value of a slot.
  func put(value slot: Int, into base: UnsafeMutableRawPointer) {
    let padded = (values.count + 15) / 16 * 16
    put(base, slot * padded, step: 1, elementCount: padded * 16, slot)
  }

  private func put(_ base: UnsafeMutableRawPointer, _ first: Int, step: Int, elementCount: Int, _ slot: Int) {
    for (index, bits) in elements.enumerated() {
      let place = first + index * step
      switch dtype {
      case .f32: base.storeBytes(of: bits, toByteOffset: place * 4, as: UInt32.self)
      case .f16: base.storeBytes(of: UInt16(bits), toByteOffset: place * 2, as: UInt16.self)
      case .q8_0: base.storeBytes(of: UInt8(bits), toByteOffset: place, as: UInt8.self)
      }
    }
    for (block, bits) in scales.enumerated() {
      base.storeBytes(of: bits, toByteOffset: elementCount + (block * 16 + slot) * 2, as: UInt16.self)
    }
  }
}
