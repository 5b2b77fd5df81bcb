// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftDeltas
package import WeftTensors

extension AdapterLoader {
  /// An adapter of random factors in one type, for measuring: what it computes means nothing, and changes answers little.
  /// - Parameters:
  ///   - type: of both factors: f32, f16, bf16, q8_0, q4_0 or ternary.
  ///   - projections: the maps of every layer that it changes.
  package func synthetic(
    _ name: String, rank: Int, type: DType, projections: Set<Projection>, seed: UInt64
  ) throws(EngineError) -> Adapter {
    var numbers = RandomSource(seed: seed)
    var deltas = DeltaSet()
    for site in base.shape.sites {
      guard case .layer(_, let projection) = site, projections.contains(projection), let size = base.shape.shape(of: site)
      else { continue }
      let (a, b): (Tensor, Tensor)
      do throws(StorageError) {
        a = try Tensor.random(rows: rank, columns: size.in, type, &numbers)
        b = try Tensor.random(rows: size.out, columns: rank, type, &numbers)
      } catch { throw EngineError(.outOfMemory, "adapter \(name): \(error)") }
      do { deltas.operators[site] = [.lowRank(try LowRank(a: a, b: b, scale: 0.01))] } catch {
        throw EngineError(.invalidArgument, "adapter \(name): \(site): \(error)")
      }
    }
    return Adapter(
      name: name, deltas: deltas, baseModel: nil, family: "LoRA", provenance: .init(folder: "", peftVersion: nil))
  }
}

extension Tensor {
  /// A factor of random numbers in -0.1 ... 0.1, its columns padded to whole blocks.
  fileprivate static func random(
    rows: Int, columns: Int, _ type: DType, _ numbers: inout RandomSource
  ) throws(StorageError) -> Tensor {
    let unit = type.blockElements
    let padded = (columns + unit - 1) / unit * unit
    if type == .ternary {
      let storage = try Storage(byteCount: rows * padded / unit)
      for index in storage.bytes.indices {
        // Of each pair of bits the lower one says whether the element is 0, the upper one its sign.
        let bits = numbers.next()
        let (filled, signs) = (UInt8(truncatingIfNeeded: bits) & 0x55, UInt8(truncatingIfNeeded: bits >> 8) & 0x55)
        storage.bytes[index] = filled | (filled & signs) << 1
      }
      return Tensor(dtype: .ternary, shape: [rows, padded], storage: storage, offset: 0, scale: 0.1)!
    }
    let floats = try Tensor((0..<rows * padded).map { _ in numbers.unitFloat() * 0.2 - 0.1 }, shape: [rows, padded])
    guard type.isQuantized else { return try floats.converted(to: type) }
    let storage = try Storage(byteCount: rows * padded / unit * type.blockBytes)
    floats.encodeRows(0..<rows, as: type, into: storage.base)
    return Tensor(dtype: type, shape: [rows, padded], storage: storage, offset: 0)!
  }
}
