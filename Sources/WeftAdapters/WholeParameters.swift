// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension DeltaBuilder {
  /// Takes all tensors that are called like parameters of the base (`<module>.weight`, `<module>.bias`): they take the place of
  /// the base's. Weights are [out, in], as `BaseShape` has them.
  mutating func replaceParameters(_ files: inout AdapterFolder) throws(AdapterError) {
    let shape = base.shape
    for name in files.tensorNames {
      guard let (path, parameter) = AdapterFolder.split(name, ["weight", "bias"]) else { continue }
      if let norm = shape.norm(at: path) {
        guard parameter == "weight" else { continue }
        try replace(norm, name, &files)
      } else if shape.isEmbedding(path), parameter == "weight" {
        let tensor = try files.take(name, shape: [shape.embedding.vocabularySize, shape.embedding.hiddenSize])
        deltas.embedding.append(.replace(tensor))
        if shape.isTied, let head = shape.modules.last(where: { $0.sites == [.outputHead] }) {
          try add(to: head) { _ throws(DeltaError) in .replace(try WeightReplacement(tensor)) }
        }
      } else if let module = shape.module(at: path) {
        let size = base.size(of: module)
        if parameter == "weight" {
          let tensor = try files.take(name, shape: [size.out, size.in])
          try add(to: module) { rows throws(DeltaError) in .replace(try WeightReplacement(tensor.slice(rows: rows))) }
        } else {
          let values = try files.takeFloats(name, shape: [size.out])
          try add(to: module) { rows throws(DeltaError) in .bias(try BiasDelta(Array(values[rows]), isReplacement: true)) }
        }
      }
    }
  }

  /// A norm's weight, with the bias beside it if there is one.
  private mutating func replace(_ norm: BaseNorm, _ name: String, _ files: inout AdapterFolder) throws(AdapterError) {
    let weight = try files.takeFloats(name, shape: [norm.size])
    let bias = name.dropLast("weight".count) + "bias"
    let values = try files.has(bias) ? files.takeFloats(bias, shape: [norm.size]) : nil
    do throws(DeltaError) {
      deltas.norms[norm.site] = try NormReplacement(weight: weight.map { $0 + norm.offset }, bias: values)
    } catch { throw .malformedDelta(location: files.tensorsLocation, place: norm.path, error) }
  }
}

extension AdapterFolder {
  /// The elements of a tensor of I32 as words of 32 bits.
  mutating func takeWords(_ name: String) throws(AdapterError) -> [UInt32] {
    let tensor = try take(name)
    guard tensor.dtype == .i32 else {
      throw .wrongType(location: tensorsLocation, tensor: name, expected: "I32", found: tensor.dtype.name)
    }
    return (0..<tensor.elementCount).map { UInt32(littleEndian: tensor.base.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self)) }
  }

  /// The elements of a tensor of I32 or I64.
  mutating func takeIntegers(_ name: String) throws(AdapterError) -> [Int] {
    let tensor = try take(name)
    switch tensor.dtype {
    case .i32:
      return (0..<tensor.elementCount).map {
        Int(Int32(littleEndian: tensor.base.loadUnaligned(fromByteOffset: $0 * 4, as: Int32.self)))
      }
    case .i64:
      return (0..<tensor.elementCount).map {
        Int(Int64(littleEndian: tensor.base.loadUnaligned(fromByteOffset: $0 * 8, as: Int64.self)))
      }
    default: throw .wrongType(location: tensorsLocation, tensor: name, expected: "I32 or I64", found: tensor.dtype.name)
    }
  }
}

extension Tensor {
  /// A matrix of floats turned round, in its own format.
  func transposed() throws(AdapterError) -> Tensor {
    let (rows, columns, values) = (rows, columns, floats())
    var turned = [Float](repeating: 0, count: values.count)
    for row in 0..<rows { for column in 0..<columns { turned[column * rows + row] = values[row * columns + column] } }
    do { return try Tensor(rounding: turned, shape: [columns, rows], to: dtype) } catch { throw .storage(error) }
  }
}
