// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// `tiny.safetensors` was written by the safetensors package (tools/make_format_goldens.py).
struct SafetensorsFileTests {
  private let file: SafetensorsFile

  init() throws { file = try SafetensorsFile(path: TestPaths.goldens + "/formats/tiny.safetensors") }

  @Test func floatTensorsHaveTheValuesOfTheForeignWriter() throws {
    let json = try JSON(file: TestPaths.goldens + "/formats/tiny.safetensors.json")
    let members = try #require(json.members)
    #expect(members.count == 6)
    for (name, values) in members {
      let expected = try #require(values.array).map { Float(try #require($0.double)) }
      #expect(referenceFloats(try #require(file.tensors[name])) == expected, "\(name)")
    }
  }

  @Test func integersScalarsAndEmptyTensorsAreRead() throws {
    #expect(integers(try #require(file.tensors["i32"])) == [Int(Int32.min), 0, Int(Int32.max)])
    #expect(integers(try #require(file.tensors["i64"])) == [-1 << 40, 1 << 40])
    #expect(file.tensors["i64"]?.shape == [2, 1])
    #expect(integers(try #require(file.tensors["u8"])) == [0, 255, 7])
    #expect(file.tensors["scalar"]?.shape == [])
    #expect(file.tensors["empty"]?.shape == [0, 4] && file.tensors["empty"]?.byteCount == 0)
  }

  @Test func namesAndMetadataAreUnescaped() {
    #expect(file.metadata == ["note é": "line\nquote\" slash/"])
    #expect(
      file.tensorOrder == ["i64", "empty", "f32", "quote\" back\\ tab\t bell\u{7} é✓", "scalar", "i32", "bf16", "f16", "u8"])
  }
}
