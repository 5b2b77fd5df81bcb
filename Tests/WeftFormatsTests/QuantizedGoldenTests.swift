// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// Random blocks of every quantised type (tools/make_quant_goldens.py) have the values that the gguf package gives them, bit for bit.
struct QuantizedGoldenTests {
  static let types = DType.allCases.filter { $0.isQuantized && $0 != .ternary }

  @Test(arguments: types) func valuesAreThoseOfTheForeignReader(dtype: DType) throws {
    let file = try GGUFFile(path: TestPaths.goldens + "/quantized/blocks.gguf")
    let tensor = try #require(file.tensors[dtype.name])
    #expect(tensor.dtype == dtype && tensor.shape == [6, 256])
    #expect(tensor.byteCount == 6 * 256 / dtype.blockElements * dtype.blockBytes)
    let expected = try Golden("quantized/blocks.gguf.safetensors").floats(dtype.name)
    let found = tensor.floats()
    #expect(found.map { $0.bitPattern } == expected.map { $0.bitPattern })
    var row = [Float](repeating: 0, count: 256)
    tensor.dequantizeRow(5, into: &row)
    #expect(row.map { $0.bitPattern } == expected[1280...].map { $0.bitPattern })
  }

  @Test func everyTypeHasAGolden() throws {
    let file = try GGUFFile(path: TestPaths.goldens + "/quantized/blocks.gguf")
    #expect(Set(file.tensors.keys) == Set(Self.types.map(\.name)))
  }
}
