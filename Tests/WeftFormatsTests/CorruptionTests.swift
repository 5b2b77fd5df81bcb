// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// Whatever the bytes of a file are, a reader succeeds or throws: it never traps and never reads outside them.
///
/// The bytes are in memory of their own rather than mapped, so that AddressSanitizer sees a read past their end.
struct CorruptionTests {
  /// One parser with a sound input.
  enum Subject: String, CaseIterable, CustomTestStringConvertible {
    case smallGGUF = "formats/must-fail/valid.gguf"
    case fullGGUF = "formats/tiny.gguf"
    case smallSafetensors = "formats/must-fail/valid.safetensors"
    case fullSafetensors = "formats/tiny.safetensors"
    case index = "formats/sharded/model.safetensors.index.json"
    case config = "formats/sharded/config.json"

    var testDescription: String { rawValue }

    func bytes() throws -> [UInt8] { try readBytes(TestPaths.goldens + "/" + rawValue) }

    /// Opens `bytes` and reads everything that the result gives access to. Returns whether they were accepted.
    func accepts(_ bytes: [UInt8]) throws -> Bool {
      let storage = try Storage(byteCount: bytes.count)
      bytes.withUnsafeBytes { if !$0.isEmpty { storage.bytes.copyMemory(from: $0) } }
      do throws(FormatError) {
        switch self {
        case .smallGGUF, .fullGGUF:
          visit(try GGUFFile(storage: storage, path: rawValue).tensors)
        case .smallSafetensors, .fullSafetensors:
          visit(try SafetensorsFile(storage: storage, path: rawValue).tensors)
        case .index, .config:
          visit(try JSON(parsing: UnsafeRawBufferPointer(storage.bytes), location: rawValue))
        }
        return true
      } catch {
        #expect(!error.description.isEmpty)
        return false
      }
    }

    private func visit(_ tensors: [String: Tensor]) {
      for tensor in tensors.values {
        _ = tensor.firstNonFinite()
        // A corrupt shape may hold a huge number of empty rows; the bytes are what has to be readable.
        for offset in 0..<tensor.byteCount { _ = tensor.base.load(fromByteOffset: offset, as: UInt8.self) }
      }
    }

    private func visit(_ json: JSON) {
      _ = (json.kind, json.int, json.string)
      for (key, value) in json.members ?? [] {
        _ = json[key]
        visit(value)
      }
      for element in json.array ?? [] { visit(element) }
    }
  }

  @Test(arguments: Subject.allCases) func everyTruncationIsHandled(subject: Subject) throws {
    let bytes = try subject.bytes()
    #expect(try subject.accepts(bytes))
    var accepted = 0
    for length in bytes.indices where try subject.accepts(Array(bytes[..<length])) { accepted += 1 }
    // Only a final line break may be absent; the last tensor of a GGUF file may be followed by padding.
    #expect(accepted < 64)
  }

  @Test(arguments: Subject.allCases) func everyByteMayBeWrong(subject: Subject) throws {
    let bytes = try subject.bytes()
    var generator = SeededGenerator(seed: 1)
    for position in bytes.indices {
      var changed = bytes
      changed[position] ^= UInt8.random(in: 1...255, using: &generator)
      _ = try subject.accepts(changed)
    }
  }

  @Test(arguments: Subject.allCases) func severalBytesMayBeWrong(subject: Subject) throws {
    let bytes = try subject.bytes()
    let extremes: [UInt8] = [0, 1, 0x7F, 0x80, 0xFF, UInt8(ascii: "{"), UInt8(ascii: "]"), UInt8(ascii: "9")]
    var generator = SeededGenerator(seed: 2)
    for _ in 0..<1000 {
      var changed = bytes
      for _ in 0..<Int.random(in: 2...6, using: &generator) {
        let position = Int.random(in: 0..<bytes.count, using: &generator)
        changed[position] = extremes[Int.random(in: 0..<extremes.count, using: &generator)]
      }
      if Bool.random(using: &generator) { changed.removeLast(Int.random(in: 0..<bytes.count, using: &generator)) }
      _ = try subject.accepts(changed)
    }
  }
}
