// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftTensors

struct StorageTests {
  @Test func ownedMemoryIsZeroedAndAligned() throws {
    for count in [1, 63, 64, 4097, 5 << 20] {
      let storage = try Storage(byteCount: count)
      #expect(storage.bytes.count == count)
      #expect(Int(bitPattern: storage.base) % 64 == 0)
      #expect(storage.bytes.allSatisfy { $0 == 0 })
      storage.bytes[count - 1] = 7
      storage.releasePages()
      #expect(storage.bytes[count - 1] == 7)
    }
    #expect(try Storage(byteCount: 0).bytes.isEmpty)
  }

  @Test func memoryThatCannotBeHad() {
    for bytes in [-1, Int.min, Int.max, Int.max / 2] {
      #expect(throws: StorageError.outOfMemory(bytes: bytes)) { try Storage(byteCount: bytes) }
    }
    #expect(StorageError.outOfMemory(bytes: 12).description == "cannot reserve 12 bytes of memory")
  }

  @Test func aFileIsItsBytes() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write([1, 2, 3, 250], to: "four")
    let storage = try Storage(mapping: path)
    withExtendedLifetime(storage) {
      #expect(Array(storage.bytes) == [1, 2, 3, 250])
      storage.releasePages()
      #expect(Array(storage.bytes) == [1, 2, 3, 250])
    }
  }

  @Test func filesThatCannotBeMapped() throws {
    let folder = try TemporaryFolder()
    let absent = folder.file("absent")
    let empty = try folder.write([], to: "empty")
    let cases = [
      (absent, "No such file or directory"), (folder.path, "not a regular file"), (empty, "the file is empty"),
      ("/dev/null", "not a regular file"),
    ]
    for (path, reason) in cases {
      let error = StorageError.cannotOpen(path: path, reason: reason)
      #expect(throws: error) { try Storage(mapping: path) }
      #expect(error.description == "cannot open \(path): \(reason)")
    }
  }
}
