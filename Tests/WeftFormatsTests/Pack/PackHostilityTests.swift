// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// Packs whose hashes are right and whose content is not: a writer with bad intent.
struct PackHostilityTests {
  /// What is wrong, and what the error has to say.
  struct Wrong: CustomTestStringConvertible, Sendable {
    let testDescription: String
    let words: String
    let change: @Sendable (inout HandmadePack) -> Void

    init(_ name: String, _ words: String, _ change: @escaping @Sendable (inout HandmadePack) -> Void) {
      testDescription = name
      self.words = words
      self.change = change
    }
  }

  static let wrongs: [Wrong] = [
    Wrong("newer", "a pack of version 2 is not supported; expected a pack of version 1") { $0.version = 2 },
    Wrong("version 0", "a pack of version 0 is not supported") { $0.version = 0 },
    Wrong("reserved", "byte 12: expected 0") { $0.reserved = 1 },
    Wrong("index behind the file", "the offset of the index from") { $0.indexOffset = 1 << 40 },
    Wrong("index in the header", "the offset of the index from") { $0.indexOffset = 64 },
    Wrong("index in the chunk", "the end of the file, or a signature") { $0.indexOffset = 128 },
    Wrong("index unaligned", "a multiple of 64") { $0.indexOffset = 129 },
    Wrong("index too long", "the bytes of the index from") { $0.indexStoredBytes = .max },
    Wrong("index expands", "at most 1024 times as many") { $0.indexDecodedBytes = 1 << 30 },
    Wrong("index longer than its frame", "zstd frames of") { $0.indexDecodedBytes = 2000 },
    Wrong("index shorter than its frame", "zstd frames of") { $0.indexDecodedBytes = 20 },
    Wrong("index with more", "the end of the index, found 1 more") { $0.indexSuffix = [0] },
    Wrong("more behind", "the end of the file, or a signature") { $0.tail = [0] },
    Wrong("too many chunks", "at most") { $0.chunkCount = .max },
    Wrong("too many tensors", "at most") { $0.tensorCount = 1 << 60 },
    Wrong("fewer tensors than chunks say", "1 tensors in all chunks, found more") { $0.chunkTensors = 7 },
    Wrong("tensors without a chunk", "0 tensors, as the chunks say, found 1") { $0.chunkTensors = 0 },
    Wrong("no such type", "type 4711 is not supported") { $0.tensors[0].type = 4711 },
    Wrong("no such coding", "a coding for F32, found coding 9") { $0.tensors[0].coding = 9 },
    Wrong("a ternary coding of floats", "a coding for F32, found coding 4") { $0.tensors[0].coding = 4 },
    Wrong("too many axes", "at most 8 axes, found 9") { $0.tensors[0].axes = 9 },
    Wrong("an axis beyond 2^63", "axes below 2^63") { $0.tensors[0].shape = [.max] },
    Wrong("a shape that overflows", "fewer than 2^63 bytes") { $0.tensors[0].shape = [1 << 40, 1 << 40] },
    Wrong("bytes that overflow", "fewer than 2^63 bytes") { $0.tensors[0].shape = [1 << 62] },
    Wrong("rows that are no blocks", "rows of whole blocks") { $0.tensors[0].type = 8 },
    Wrong("a scale of floats", "scale 1 for F32") { $0.tensors[0].scale = 2 },
    Wrong("a scale that is no number", "a finite scale") {
      $0.tensors = [.init(type: 0x1_0001, scale: .infinity, shape: [4], bytes: [0])]
    },
    Wrong("more bytes than there are", "at most the 64 bytes in front of the index") { $0.tensors[0].storedBytes = 65 },
    Wrong("bytes beyond 2^63", "at most the 64 bytes in front of the index") { $0.tensors[0].storedBytes = .max },
    Wrong("raw of another size", "4 bytes for F32 of shape [1], found 3") { $0.tensors[0].storedBytes = 3 },
    Wrong("raw of a larger shape", "8 bytes for F32 of shape [2], found 4") { $0.tensors[0].shape = [2] },
    Wrong("a ratio beyond the limit", "at least") {
      $0.tensors = [.init(coding: 1, shape: [1 << 20], bytes: [UInt8](repeating: 0, count: 4095))]
    },
    Wrong("no zstd", "zstd frames of 4 bytes") { $0.tensors[0].coding = 1 },
    Wrong("zstd of another size", "zstd frames of 8 bytes, found 4 bytes") {
      $0.tensors = [.init(coding: 1, shape: [2], bytes: HandmadePack.frame([0, 0, 0, 0]))]
    },
    Wrong("byte planes of another size", "zstd frames of 4 bytes") {
      $0.tensors = [.init(coding: 2, shape: [1], bytes: HandmadePack.frame([0, 0, 0, 0, 0]))]
    },
    Wrong("padding that is not zero but hashed", "byte 132: expected 0 behind a chunk") { $0.padding = 1 },
    Wrong("ternary code 2", "-2 at element 1") { $0.tensors = [.init(type: 0x1_0001, shape: [4], bytes: [0b1000])] },
    Wrong("no such name", "one of 1 names and of 1 tensors, found 1, 0") { $0.references = [(1, 0)] },
    Wrong("no such tensor", "one of 1 names and of 1 tensors, found 0, 1") { $0.references = [(0, 1)] },
    Wrong("a name twice", "'x' again") { $0.references = [(0, 0), (0, 0)] },
    Wrong("no such form", "form 'zip' is not supported") { $0.form = "zip" },
  ]

  @Test(arguments: wrongs) func whatIsWrongIsNamed(wrong: Wrong) throws {
    var pack = HandmadePack()
    try pack.open()
    wrong.change(&pack)
    let error = #expect(throws: FormatError.self) { try pack.open() }
    if let error { #expect(error.description.contains(wrong.words), "\(error)") }
  }

  /// Streams of Golomb-Rice codes, ternary planes and signs that are cut, too long, or say what cannot be.
  @Test(
    arguments: [
      (4, 40, []), (4, 40, [0]), (4, 40, [33, 0]), (4, 40, [0, 0x80]), (4, 40, [0, 41] + [UInt8](repeating: 0xFF, count: 30)),
      (4, 40, [0, 1, 0, 0]), (4, 40, [0, 1, 0]), (4, 40, [0, 1, 2, 1]), (4, 40, [0, 1, 0, 3]), (4, 40, [0, 1, 0, 1, 0]),
      (4, 40, [0, 1, 0, 0, 0, 0, 0, 0, 0x01]), (4, 40, [1, 1, 0, 2, 1]), (4, 40, [32, 1, 0, 0, 0, 0, 0xFF, 1]),
      (4, 40, [32, 1, 0, 0, 0, 0, 0, 2]), (4, 40, [0] + [UInt8](repeating: 0xFF, count: 12)),
      (3, 40, []), (3, 40, [1, 0, 0, 0]), (3, 40, [1, 0, 0, 0, 0]), (3, 40, [1, 0, 0, 0, 0, 2]), (3, 40, [0, 0, 0, 0, 0, 1]),
      (3, 36, [0, 0, 0, 0, 0xF0]), (5, 40, [0, 0, 0, 0]), (5, 40, [0, 0, 0, 0, 0, 0]), (5, 36, [0, 0, 0, 0, 0xF0]),
    ] as [(UInt8, UInt64, [UInt8])])
  func brokenTernaryStreamsAreErrors(coding: UInt8, count: UInt64, stream: [UInt8]) throws {
    var pack = HandmadePack()
    pack.tensors = [.init(type: 0x1_0001, coding: coding, shape: [count], bytes: stream)]
    #expect(throws: FormatError.self) { try pack.open() }
  }

  /// The smallest streams by hand: they are what docs/pack-format.md says.
  @Test func streamsMeanWhatTheFormatSays() throws {
    var pack = HandmadePack()
    // k = 1; 2 nonzero elements: + behind 3 zeros, - behind 0. Remainders 1, 0; quotients 1, 0: bits 0 1 1.
    pack.tensors = [.init(type: 0x1_0001, coding: 4, scale: 2, shape: [2, 4], bytes: [1, 2, 0b10, 0b01, 0b110])]
    var read = try pack.open()[0]
    #expect(bytes(of: read) == [0b0100_0000, 0b11] && read.scale == 2)
    // The same as planes.
    pack.tensors = [.init(type: 0x1_0001, coding: 3, shape: [2, 4], bytes: [0b11000, 0b10])]
    read = try pack.open()[0]
    #expect(bytes(of: read) == [0b0100_0000, 0b11])
    // + - + - + + + +
    pack.tensors = [.init(type: 0x1_0001, coding: 5, shape: [2, 4], bytes: [0b1010])]
    read = try pack.open()[0]
    #expect(bytes(of: read) == [0b1101_1101, 0b0101_0101])
    // 1.0 and 2.0 as planes of bytes.
    pack.tensors = [.init(coding: 2, shape: [2], bytes: HandmadePack.frame([0, 0, 0, 0, 0x80, 0, 0x3F, 0x40]))]
    read = try pack.open()[0]
    #expect(read.floats() == [1, 2])
  }

  /// Random changes of a pack whose hashes are made right again: a reader succeeds or throws.
  @Test func mutationsBehindRightHashesAreHandled() throws {
    var generator = SeededGenerator(seed: 11)
    var pack = HandmadePack()
    pack.names = ["x", "y"]
    pack.references = [(0, 0), (1, 1)]
    pack.tensors = [
      .init(type: 0x1_0001, coding: 4, shape: [2, 4], bytes: [1, 2, 0b10, 0b01, 0b110]),
      .init(type: 0x1_0001, coding: 3, shape: [2, 4], bytes: [0b11000, 0b10]),
    ]
    let sound = pack.bytes
    var accepted = 0
    for _ in 0..<4000 {
      var bytes = sound
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        bytes[Int.random(in: 128..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      PackHostilityTests.repairHashes(&bytes)
      do throws(FormatError) {
        try HandmadePack.read(bytes)
        accepted += 1
      } catch { #expect(!error.description.isEmpty) }
    }
    // Names, texts, and streams of other elements are as good as the original.
    #expect(accepted > 100 && accepted < 3500)
  }

  /// Makes the hashes right of a pack with one chunk of 64 bytes and an uncompressed index.
  private static func repairHashes(_ bytes: inout [UInt8]) {
    let indexOffset = 192
    // The hash of the chunk stands in the index behind the empty texts, the names and two counts.
    let place = indexOffset + 13 + 3 + 7 * 8 + 8 + 18 + 8 + 4
    bytes.replaceSubrange(place..<place + 32, with: ContentHash(of: Array(bytes[128..<192])).bytes)
    bytes.replaceSubrange(40..<72, with: ContentHash(of: Array(bytes[indexOffset...])).bytes)
    bytes.replaceSubrange(96..<128, with: ContentHash(of: Array(bytes[..<96])).bytes)
  }
}
