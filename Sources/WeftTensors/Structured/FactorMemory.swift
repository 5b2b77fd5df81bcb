// SPDX-License-Identifier: Apache-2.0

/// Collects the copies of factors that an operator will own, and checks their shapes on the way.
struct FactorMemory {
  private(set) var owned: [Storage] = []
  private(set) var byteCount = 0

  /// Keeps shared tables alive without counting their bytes.
  mutating func share(_ transform: FourierTransform) { owned += transform.owned }

  /// The bytes of a matrix that other operators share, in its own float format; not counted.
  mutating func shared(_ tensor: Tensor, _ factor: String, shape: [Int?]) throws(StructuredError) -> UnsafeRawPointer {
    try FactorMemory.check(tensor, factor, shape: shape)
    guard tensor.dtype == .f32, Int(bitPattern: tensor.base) % 4 != 0 else {
      owned.append(tensor.storage)
      return tensor.base
    }
    return UnsafeRawPointer(try copy(tensor.floats()))
  }

  /// The elements of a tensor of this shape as f32. Nil in `shape` fits any size of at least 1.
  mutating func floats(
    _ tensor: Tensor, _ factor: String, shape: [Int?]
  ) throws(StructuredError) -> UnsafePointer<Float> {
    try FactorMemory.check(tensor, factor, shape: shape)
    return try copy(tensor.floats())
  }

  /// A copy of plain values.
  mutating func copy<Element: BitwiseCopyable>(_ values: [Element]) throws(StructuredError) -> UnsafePointer<Element> {
    let storage: Storage
    do throws(StorageError) {
      storage = try Storage(byteCount: values.count * MemoryLayout<Element>.stride)
    } catch { throw .storage(error) }
    values.withUnsafeBytes { if $0.count > 0 { storage.bytes.copyMemory(from: $0) } }
    hold(storage, bytes: storage.bytes.count)
    return UnsafePointer(storage.base.assumingMemoryBound(to: Element.self))
  }

  /// The bytes of a matrix in its own float format; aligned to its elements, so that an unaligned f32 one is copied.
  mutating func matrix(_ tensor: Tensor, _ factor: String) throws(StructuredError) -> UnsafeRawPointer {
    try FactorMemory.check(tensor, factor, shape: [nil, nil])
    guard tensor.dtype == .f32, Int(bitPattern: tensor.base) % 4 != 0 else {
      hold(tensor.storage, bytes: tensor.byteCount)
      return tensor.base
    }
    return UnsafeRawPointer(try copy(tensor.floats()))
  }

  private mutating func hold(_ storage: Storage, bytes: Int) {
    owned.append(storage)
    byteCount += bytes
  }

  static func check(_ tensor: Tensor, _ factor: String, shape: [Int?]) throws(StructuredError) {
    guard [.f32, .f16, .bf16].contains(tensor.dtype) else {
      throw .malformed(factor: factor, expected: "F32, F16 or BF16", found: tensor.dtype.name)
    }
    let fits = tensor.shape.count == shape.count && zip(tensor.shape, shape).allSatisfy { $0 > 0 && ($1 == nil || $0 == $1) }
    guard fits else {
      let sizes = shape.map { $0.map { "\($0)" } ?? "any" }.joined(separator: ", ")
      throw .malformed(factor: factor, expected: "shape [\(sizes)]", found: "shape \(tensor.shape)")
    }
  }

  /// Checks that a matrix of this size could exist: what is addressed by row and column.
  static func check(out: Int, in inputs: Int) throws(StructuredError) {
    guard out > 0, inputs > 0, out < 1 << 31, inputs < 1 << 31 else {
      throw .malformed(factor: "size", expected: "rows and columns from 1 to 2^31 - 1", found: "[\(out), \(inputs)]")
    }
  }
}
