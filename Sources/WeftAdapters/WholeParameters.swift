// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

extension DeltaBuilder {
  /// Takes all tensors that are called like parameters of the base (`<module>.weight`, `<module>.bias`): they take the place of
  /// the base's. Weights are [out, in]; norms are as files of transformers have them.
  mutating func replaceParameters(_ files: inout AdapterFolder) throws(AdapterError) {
    var norms: [NormSite: (norm: BaseNorm, weight: [Float]?, bias: [Float]?)] = [:]
    for name in files.tensorNames {
      guard let tensor = BaseTensorName(name, base: base.shape), !tensor.isWrapped else { continue }
      switch tensor.owner {
      case .norm(let norm):
        let values = try files.takeFloats(name, shape: [norm.size])
        if tensor.isBias {
          norms[norm.site, default: (norm, nil, nil)].bias = values
        } else {
          norms[norm.site, default: (norm, nil, nil)].weight = values.map { $0 + norm.offset }
        }
      case .embedding(let embedding):
        let weight = try files.take(name, shape: [embedding.vocabularySize, embedding.hiddenSize])
        deltas.embedding.append(.replace(weight))
        guard base.shape.isTied, let head = base.shape.modules.last(where: { $0.sites == [.outputHead] }) else { continue }
        try add(to: head) { _ throws(DeltaError) in .replace(try WeightReplacement(weight)) }
      case .linear(let module):
        let size = base.size(of: module)
        if tensor.isBias {
          let values = try files.takeFloats(name, shape: [size.out])
          try add(to: module) { rows throws(DeltaError) in .bias(try BiasDelta(Array(values[rows]), isReplacement: true)) }
        } else {
          let weight = try files.take(name, shape: [size.out, size.in])
          try add(to: module) { rows throws(DeltaError) in .replace(try WeightReplacement(weight.slice(rows: rows))) }
        }
      case .stacked, .positions: continue
      }
    }
    for (site, entry) in norms {
      do throws(DeltaError) { deltas.norms[site] = try NormReplacement(weight: entry.weight, bias: entry.bias) } catch {
        throw .part(location: files.tensorsLocation, part: entry.norm.path, error)
      }
    }
  }
}

extension AdapterFolder {
  /// The elements of a tensor of I32 as words of 32 bits.
  mutating func takeWords(_ name: String) throws(AdapterError) -> [UInt32] {
    let tensor = try take(name)
    guard tensor.dtype == .i32 else {
      throw .wrongType(location: tensorsLocation, tensor: name, expected: "I32", found: tensor.dtype.name)
    }
    return (0..<tensor.elementCount).map {
      UInt32(littleEndian: tensor.base.loadUnaligned(fromByteOffset: $0 * 4, as: UInt32.self))
    }
  }
}

extension Tensor {
  /// A matrix of floats turned round, in its own format.
  func transposed() throws(AdapterError) -> Tensor {
    let turned = LinearAlgebra.transposed(floats(), rows: rows, columns: columns)
    do { return try Tensor(rounding: turned, shape: [columns, rows], to: dtype) } catch { throw .storage(error) }
  }
}
