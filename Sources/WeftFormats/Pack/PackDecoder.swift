// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Turns the stored bytes of one tensor into the tensor.
struct PackDecoder {
  let entry: PackTensor
  let storage: Storage
  /// Names the tensor in errors.
  let location: String

  private var stored: UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: storage.bytes[entry.offset..<entry.offset + entry.storedBytes])
  }

  func tensor() throws(FormatError) -> Tensor {
    switch entry.coding {
    case .raw:
      if entry.offset % PackLimits.alignment == 0, entry.byteCount >= PackLimits.chunkBytes {
        return try tensor(in: storage, offset: entry.offset)
      }
      let copy: Storage
      do { copy = try Storage(copying: stored) } catch { throw .storage(error) }
      return try tensor(in: copy, offset: 0)
    case .zstd:
      return try tensor(in: try Zstandard.decompress(stored, byteCount: entry.byteCount, location: location), offset: 0)
    case .bytePlanes:
      let planes = try Zstandard.decompress(stored, byteCount: entry.byteCount, location: location)
      let target = try memory()
      BytePlanes.join(UnsafeRawBufferPointer(planes.bytes), width: entry.dtype.blockBytes, into: target.base)
      return try tensor(in: target, offset: 0)
    case .ternaryPlanes, .golombRice, .signs:
      let target = try memory()
      let isWhole =
        switch entry.coding {
        case .golombRice: GolombRice.decode(stored, count: entry.elementCount, into: target.base)
        case .signs: TernaryPlanes.decodeSigns(stored, count: entry.elementCount, into: target.base)
        default: TernaryPlanes.decode(stored, count: entry.elementCount, into: target.base)
        }
      guard isWhole else {
        throw .malformed(
          location: location, expected: "\(entry.elementCount) elements in \(entry.coding.name)", found: "a broken stream")
      }
      return try tensor(in: target, offset: 0)
    }
  }

  private func memory() throws(FormatError) -> Storage {
    do { return try Storage(byteCount: entry.byteCount) } catch { throw .storage(error) }
  }

  private func tensor(in storage: Storage, offset: Int) throws(FormatError) -> Tensor {
    let tensor = Tensor(
      dtype: entry.dtype, shape: entry.shape, storage: storage, offset: offset, scale: entry.scale)
    guard let tensor else {
      throw .malformed(location: location, expected: "\(entry.byteCount) bytes", found: "\(storage.bytes.count - offset)")
    }
    if !entry.coding.isTernary, let index = tensor.firstInvalidCode() {
      throw .malformed(location: location, expected: "elements 0, 1 or -1", found: "-2 at element \(index)")
    }
    return tensor
  }
}

/// The bytes of elements, ordered by their place in the element: exponents compress beside exponents.
enum BytePlanes {
  /// Element after element into plane after plane.
  static func split(_ bytes: UnsafeRawBufferPointer, width: Int, into target: UnsafeMutableRawPointer) {
    let count = bytes.count / width
    for place in 0..<width {
      for element in 0..<count {
        target.storeBytes(of: bytes[element * width + place], toByteOffset: place * count + element, as: UInt8.self)
      }
    }
  }

  /// The reverse of `split`.
  static func join(_ planes: UnsafeRawBufferPointer, width: Int, into target: UnsafeMutableRawPointer) {
    let count = planes.count / width
    for place in 0..<width {
      for element in 0..<count {
        target.storeBytes(of: planes[place * count + element], toByteOffset: element * width + place, as: UInt8.self)
      }
    }
  }
}
