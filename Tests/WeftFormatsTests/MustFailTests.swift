// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats

/// Every broken file of `Goldens/formats/must-fail` is refused with the error that `expected.json` states.
struct MustFailTests {
  private static let folder = TestPaths.goldens + "/formats/must-fail"

  private static let expectations: [(name: String, pieces: [String])] = {
    let members = (try? JSON(file: folder + "/expected.json"))?.members ?? []
    return members.map { ($0.key, ($0.value.array ?? []).compactMap(\.string)) }
  }()

  @Test(arguments: MustFailTests.expectations.map(\.name)) func isRefusedWithItsError(name: String) throws {
    let pieces = try #require(Self.expectations.first { $0.name == name }?.pieces)
    #expect(!pieces.isEmpty)
    let error = #expect(throws: FormatError.self) { try Self.open(Self.folder + "/" + name) }
    let text = error?.description ?? ""
    for piece in pieces { #expect(text.contains(piece), "\(name): \(text)") }
  }

  @Test func everyFileHasAnExpectation() throws {
    let sound: Set = ["valid.gguf", "valid.safetensors", "expected.json"]
    let present = Set(try FileManager.default.contentsOfDirectory(atPath: Self.folder)).subtracting(sound)
    #expect(present == Set(Self.expectations.map(\.name)))
    #expect(present.count > 100)
  }

  @Test func theSoundOriginalsOpen() throws {
    #expect(try GGUFFile(path: Self.folder + "/valid.gguf").tensorOrder == ["left", "right"])
    #expect(try SafetensorsFile(path: Self.folder + "/valid.safetensors").tensorOrder == ["left", "right"])
  }

  private static func open(_ path: String) throws(FormatError) {
    if path.hasSuffix(".gguf") {
      _ = try GGUFFile(path: path)
    } else if path.hasSuffix(".safetensors") {
      _ = try SafetensorsFile(path: path)
    } else if path.hasSuffix(".json") {
      _ = try JSON(file: path)
    } else {
      _ = try Checkpoint(path: path)
    }
  }
}
