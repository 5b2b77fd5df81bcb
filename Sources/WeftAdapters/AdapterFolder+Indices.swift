// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension AdapterFolder {
  /// The elements of a tensor of integers, each of them in 0..<`limit`.
  mutating func takeIndices(_ name: String, shape expected: [Int], below limit: Int) throws(AdapterError) -> [Int] {
    try requireShape(name, expected)
    let tensor = try take(name)
    guard let indices = tensor.integers() else {
      throw .wrongType(location: tensorsLocation, tensor: name, expected: "I64, I32, I16 or U8", found: tensor.dtype.name)
    }
    if let index = indices.firstIndex(where: { $0 < 0 || $0 >= limit }) {
      throw .indexOutOfRange(
        location: tensorsLocation, tensor: name, element: index, expected: "0 to \(limit - 1)", found: indices[index])
    }
    return indices
  }
}
