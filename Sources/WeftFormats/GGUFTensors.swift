// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension ByteCursor {
  /// One entry of the tensor list, before the start of the tensor data is known.
  private struct TensorEntry {
    let name: String
    let shape: [Int]
    let dtype: DType
    let byteCount: Int
    let offset: UInt64
  }

  /// Reads `count` tensor entries and the views that they describe. Tensors may not overlap or leave the file.
  mutating func tensors(
    count: Int, alignment: Int
  ) throws(FormatError) -> (tensors: [String: Tensor], order: [String]) {
    var entries: [TensorEntry] = []
    entries.reserveCapacity(count)
    for index in 0..<count { entries.append(try tensorEntry(index)) }
    let dataStart = (offset + alignment - 1) / alignment * alignment

    var tensors: [String: Tensor] = [:]
    tensors.reserveCapacity(count)
    for entry in entries {
      let tensor = try view(of: entry, dataStart: dataStart, alignment: alignment)
      guard tensors.updateValue(tensor, forKey: entry.name) == nil else {
        throw .malformed(location: path, expected: "every tensor name once", found: "'\(entry.name)' again")
      }
    }
    let filled = entries.filter { $0.byteCount > 0 }.sorted { $0.offset < $1.offset }
    for (left, right) in zip(filled, filled.dropFirst()) where left.offset + UInt64(left.byteCount) > right.offset {
      throw .malformed(
        location: "\(path): tensor '\(right.name)'",
        expected: "an offset of at least \(left.offset + UInt64(left.byteCount)), where '\(left.name)' ends",
        found: "\(right.offset)")
    }
    return (tensors, entries.map(\.name))
  }

  private mutating func tensorEntry(_ index: Int) throws(FormatError) -> TensorEntry {
    let name = try string("the name of tensor \(index)")
    let place = "\(path): tensor '\(name)'"
    let axisCount = try integer(UInt32.self, "the number of axes of tensor '\(name)'")
    guard axisCount <= 4 else { throw .malformed(location: place, expected: "at most 4 axes", found: "\(axisCount)") }
    var shape: [Int] = []
    for _ in 0..<axisCount {
      let length = try integer(UInt64.self, "the length of an axis of tensor '\(name)'")
      guard let length = Int(exactly: length) else {
        throw .malformed(location: place, expected: "an axis below 2^63", found: "\(length)")
      }
      shape.insert(length, at: 0)
    }
    let type = try integer(UInt32.self, "the type of tensor '\(name)'")
    guard let typeName = GGMLType.name(of: type) else {
      throw .malformed(location: place, expected: "a type below \(GGMLType.names.count)", found: "type \(type)")
    }
    guard let dtype = GGMLType.dtype(of: type) else {
      throw .unsupported(location: place, expected: GGMLType.supportedNames, found: "type \(typeName)")
    }
    guard let elements = Tensor.elementCount(of: shape) else {
      throw .malformed(location: place, expected: "fewer than 2^63 elements", found: "shape \(shape)")
    }
    guard (shape.last ?? 1) % dtype.blockElements == 0, let byteCount = dtype.byteCount(elements: elements) else {
      throw .malformed(
        location: place, expected: "rows of whole \(typeName) blocks (\(dtype.blockElements) elements)",
        found: "shape \(shape)")
    }
    let offset = try integer(UInt64.self, "the offset of tensor '\(name)'")
    return TensorEntry(name: name, shape: shape, dtype: dtype, byteCount: byteCount, offset: offset)
  }

  private func view(of entry: TensorEntry, dataStart: Int, alignment: Int) throws(FormatError) -> Tensor {
    let place = "\(path): tensor '\(entry.name)'"
    guard entry.offset % UInt64(alignment) == 0 else {
      throw .malformed(location: place, expected: "an offset that is a multiple of \(alignment)", found: "\(entry.offset)")
    }
    let available = max(storage.bytes.count - dataStart, 0)
    guard entry.offset <= UInt64(available), entry.byteCount <= available - Int(entry.offset),
      let tensor = Tensor(
        dtype: entry.dtype, shape: entry.shape, storage: storage, offset: dataStart + Int(entry.offset))
    else {
      throw .malformed(
        location: place, expected: "bytes inside the \(available) bytes of tensor data",
        found: "\(entry.byteCount) bytes at offset \(entry.offset)")
    }
    return tensor
  }
}
