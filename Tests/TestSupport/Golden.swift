// SPDX-License-Identifier: Apache-2.0

package import WeftFormats
package import WeftTensors

/// A golden file: tensors in safetensors, read as floats or integers.
package struct Golden {
  package let file: SafetensorsFile

  /// Opens `Tests/Goldens/<name>`.
  package init(_ name: String) throws {
    file = try SafetensorsFile(path: TestPaths.goldens + "/" + name)
  }

  /// The names of all tensors, sorted.
  package var names: [String] { file.tensors.keys.sorted() }

  /// The tensor with this name.
  package func tensor(_ name: String) throws -> Tensor {
    guard let tensor = file.tensors[name] else { throw FormatError.missing(location: file.path, name: "tensor '\(name)'") }
    return tensor
  }

  /// The elements of a float tensor, row-major.
  package func floats(_ name: String) throws -> [Float] { referenceFloats(try tensor(name)) }

  /// The elements of an integer tensor, row-major.
  package func integers(_ name: String) throws -> [Int] { TestSupport.integers(try tensor(name)) }
}

/// The elements of an integer tensor, row-major.
package func integers(_ tensor: Tensor) -> [Int] {
  (0..<tensor.elementCount).map { index in
    switch tensor.dtype {
    case .i64: Int(tensor.base.loadUnaligned(fromByteOffset: index * 8, as: Int64.self))
    case .i32: Int(tensor.base.loadUnaligned(fromByteOffset: index * 4, as: Int32.self))
    case .u8: Int(tensor.base.loadUnaligned(fromByteOffset: index, as: UInt8.self))
    default: preconditionFailure("\(tensor.dtype.name) does not hold integers")
    }
  }
}

/// The elements of a tensor as floats, one at a time and without the kernels: the plainest reading of each format, so that
/// tests do not compare a kernel with itself. The other quantised formats are read by the kernel: `QuantizedGoldenTests` holds it
/// to the bits of the gguf package.
package func referenceFloats(_ tensor: Tensor) -> [Float] {
  if tensor.dtype.isQuantized && ![.q8_0, .q4_0, .ternary].contains(tensor.dtype) { return tensor.floats() }
  let base = tensor.base
  func half(at offset: Int) -> Float { Float(Float16(bitPattern: base.loadUnaligned(fromByteOffset: offset, as: UInt16.self))) }
  return (0..<tensor.elementCount).map { index in
    let block = index / 32 * tensor.dtype.blockBytes
    let place = index % 32
    switch tensor.dtype {
    case .ternary:
      let code = base.loadUnaligned(fromByteOffset: index / 4, as: UInt8.self) >> UInt8(index % 4 * 2) & 3
      return tensor.scale * (code == 0 ? 0 : code == 1 ? 1 : -1)
    case .f32: return base.loadUnaligned(fromByteOffset: index * 4, as: Float.self)
    case .f16: return half(at: index * 2)
    case .bf16:
      return Float(bitPattern: UInt32(base.loadUnaligned(fromByteOffset: index * 2, as: UInt16.self)) << 16)
    case .q8_0:
      return half(at: block) * Float(base.loadUnaligned(fromByteOffset: block + 2 + place, as: Int8.self))
    case .q4_0:
      let byte = base.loadUnaligned(fromByteOffset: block + 2 + place % 16, as: UInt8.self)
      return half(at: block) * Float(Int(place < 16 ? byte & 15 : byte >> 4) - 8)
    case .i32: return Float(base.loadUnaligned(fromByteOffset: index * 4, as: Int32.self))
    case .i64: return Float(base.loadUnaligned(fromByteOffset: index * 8, as: Int64.self))
    case .u8: return Float(base.loadUnaligned(fromByteOffset: index, as: UInt8.self))
    default: preconditionFailure("\(tensor.dtype.name) was read above")
    }
  }
}
