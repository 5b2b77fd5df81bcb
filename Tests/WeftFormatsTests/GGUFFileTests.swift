// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// `tiny.gguf` was written by the gguf package (tools/make_format_goldens.py).
struct GGUFFileTests {
  private let file: GGUFFile

  init() throws { file = try GGUFFile(path: TestPaths.goldens + "/formats/tiny.gguf") }

  @Test func everyKindOfMetadataIsRead() {
    let expected: [String: GGUFValue] = [
      "general.architecture": .string("llama"), "general.alignment": .unsigned(64),
      "kind.uint8": .unsigned(200), "kind.int8": .signed(-100), "kind.uint16": .unsigned(60000),
      "kind.int16": .signed(-30000), "kind.uint32": .unsigned(4_000_000_000), "kind.int32": .signed(-2_000_000_000),
      "kind.float32": .float(Double(Float(0.1))), "kind.bool": .bool(true), "kind.string": .string("naïve ✓ 😀"),
      "kind.uint64": .unsigned(.max), "kind.int64": .signed(.min), "kind.float64": .float(0.1),
      "array.strings": .strings(["", "a", "Ġthe"]), "array.uint8": .integers([0, 255]),
      "array.int8": .integers([-128, 127]), "array.uint16": .integers([0, 65535]),
      "array.int16": .integers([-32768, 32767]), "array.uint32": .integers([0, 4_294_967_295]),
      "array.int32": .integers([-7, 7]), "array.uint64": .integers([0, .max]), "array.int64": .integers([.min, .max]),
      "array.float32": .floats([0.1, -1e30]), "array.float64": .floats([0.1, -1e30]), "array.bool": .bools([true, false]),
    ]
    #expect(file.metadata == expected)
    #expect(Set(file.metadataOrder) == Set(expected.keys) && file.metadataOrder.count == expected.count)
  }

  @Test func numbersAreOfferedOnlyWhereTheyFit() {
    #expect(file.metadata["kind.uint64"]?.int == nil)
    #expect(file.metadata["kind.int64"]?.int == .min)
    #expect(file.metadata["kind.string"]?.int == nil)
    #expect(file.metadata["kind.uint8"]?.double == 200)
  }

  /// The gguf package dequantises with f32 products of the same scale and integer, so the values are equal to the last bit.
  @Test(arguments: ["F32", "F16", "BF16", "Q8_0", "Q4_0"])
  func everyWeightTypeHasTheValuesOfTheForeignReader(type: String) throws {
    let expected = try Golden("formats/tiny.gguf.safetensors")
    let tensor = try #require(file.tensors["matrix.\(type)"])
    #expect(tensor.dtype.name == type && tensor.shape == [3, 64])
    #expect(referenceFloats(tensor) == (try expected.floats("matrix.\(type)")))
    #expect(tensor.floats() == (try expected.floats("matrix.\(type)")))
    #expect(tensor.offset % 64 == 0)
  }

  @Test func shapesAreInPyTorchOrder() throws {
    let expected = try Golden("formats/tiny.gguf.safetensors")
    for (name, shape) in [("vector.F32", [5]), ("cube.F32", [2, 3, 4])] {
      let tensor = try #require(file.tensors[name])
      #expect(tensor.shape == shape)
      #expect(referenceFloats(tensor) == (try expected.floats(name)))
    }
  }

  @Test func integerTensorsAreRead() throws {
    let narrow = try #require(file.tensors["integers.I32"]), wide = try #require(file.tensors["integers.I64"])
    #expect(integers(narrow) == [Int(Int32.min), 0, Int(Int32.max)])
    #expect(integers(wide) == [-1 << 40, 1 << 40])
  }

  @Test func tensorOrderIsThatOfTheFile() {
    #expect(
      file.tensorOrder == [
        "matrix.F32", "matrix.F16", "matrix.BF16", "matrix.Q8_0", "matrix.Q4_0", "vector.F32", "cube.F32", "integers.I32",
        "integers.I64",
      ])
  }

  @Test func version2IsReadLikeVersion3() throws {
    var bytes = try readBytes(file.path)
    bytes[4] = 2
    let folder = try TemporaryFolder()
    let older = try GGUFFile(path: try folder.write(bytes, to: "older.gguf"))
    #expect(older.version == 2 && file.version == 3)
    #expect(older.metadata == file.metadata && older.tensorOrder == file.tensorOrder)
  }

  @Test func everyNameOfTheForeignListIsKnownByItsNumber() {
    // gguf 0.19.0: GGMLQuantizationType
    let foreign: [UInt32: String] = [
      0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
      12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
      21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16",
      34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
    ]
    for (number, name) in foreign { #expect(GGMLType.name(of: number) == name) }
    #expect(GGMLType.name(of: 42) == nil)
    let supported = foreign.filter { GGMLType.dtype(of: $0.key) != nil }.map(\.value)
    #expect(
      Set(supported) == [
        "F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL",
        "IQ4_XS",
        "TQ1_0", "TQ2_0", "MXFP4", "I16", "I32", "I64",
      ])
  }
}
