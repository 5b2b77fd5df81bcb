// SPDX-License-Identifier: Apache-2.0

import TestSupport
import WeftFormats
import WeftTensors

/// A pack composed byte by byte as docs/pack-format.md says, so that every part can be wrong while all hashes are right.
struct HandmadePack {
  struct Tensor {
    var type: UInt32 = 0
    var coding: UInt8 = 0
    var axes: UInt8?
    var scale: Float = 1
    var shape: [UInt64]
    var storedBytes: UInt64?
    var bytes: [UInt8]
  }

  var version: UInt32 = 1
  var reserved: UInt32 = 0
  var base = ""
  var names = ["x"]
  /// All in one chunk.
  var tensors: [Tensor] = [Tensor(shape: [1], bytes: [0, 0, 128, 63])]
  var form = "folder/adapter_model.safetensors"
  var references: [(name: UInt32, tensor: UInt32)] = [(0, 0)]
  var chunkTensors: UInt32?
  var chunkCount: UInt64?
  var tensorCount: UInt64?
  var padding: UInt8 = 0
  var indexOffset: UInt64?
  var indexStoredBytes: UInt64?
  var indexDecodedBytes: UInt64?
  var indexSuffix: [UInt8] = []
  /// Behind the content.
  var tail: [UInt8] = []

  /// The file.
  var bytes: [UInt8] {
    var chunk = tensors.flatMap(\.bytes)
    chunk += [UInt8](repeating: padding, count: (64 - chunk.count % 64) % 64)
    let index = index(chunk)
    let stored = HandmadePack.frame(index)
    var header: [UInt8] = [0x89, 0x57, 0x45, 0x46, 0x54, 0x0D, 0x0A, 0x1A]
    header += littleEndian(version) + littleEndian(reserved)
    header += littleEndian(indexOffset ?? UInt64(128 + chunk.count))
    header += littleEndian(indexStoredBytes ?? UInt64(stored.count)) + littleEndian(indexDecodedBytes ?? UInt64(index.count))
    header += ContentHash(of: stored).bytes
    header += [UInt8](repeating: 0, count: 96 - header.count)
    return header + ContentHash(of: header).bytes + chunk + stored + tail
  }

  private func index(_ chunk: [UInt8]) -> [UInt8] {
    var bytes = text(base) + text("") + littleEndian(UInt64(0)) + text("") + littleEndian(UInt64(0)) + text("") + text("")
    bytes += littleEndian(UInt64(names.count)) + names.flatMap(text)
    bytes += littleEndian(chunkCount ?? 1) + littleEndian(chunkTensors ?? UInt32(tensors.count)) + ContentHash(of: chunk).bytes
    bytes += littleEndian(tensorCount ?? UInt64(tensors.count))
    for tensor in tensors {
      bytes += littleEndian(tensor.type) + [tensor.coding, tensor.axes ?? UInt8(tensor.shape.count)]
      bytes += littleEndian(tensor.scale.bitPattern) + tensor.shape.flatMap(littleEndian)
      bytes += littleEndian(tensor.storedBytes ?? UInt64(tensor.bytes.count))
    }
    bytes += littleEndian(UInt64(1)) + text("member") + text(form) + text("{}") + littleEndian(UInt64(0))
    bytes += littleEndian(UInt64(references.count)) + references.flatMap { littleEndian($0.name) + littleEndian($0.tensor) }
    return bytes + indexSuffix
  }

  /// A zstd frame of raw blocks (RFC 8878, 3.1): a single segment, 8 bytes of content size, no checksum.
  static func frame(_ content: [UInt8]) -> [UInt8] {
    var frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0b1110_0000] + littleEndian(UInt64(content.count))
    var rest = content[...]
    repeat {
      let block = rest.prefix(1 << 17)
      rest = rest.dropFirst(block.count)
      let header = UInt32(block.count << 3) | (rest.isEmpty ? 1 : 0)
      frame += littleEndian(header).prefix(3) + block
    } while !rest.isEmpty
    return frame
  }

  /// Opens it in memory of its own and reads all tensors.
  @discardableResult
  func open(policy: PackPolicy = PackPolicy()) throws(FormatError) -> [WeftTensors.Tensor] {
    try HandmadePack.read(bytes, policy: policy)
  }

  /// The same of any bytes: everything that a reader gives access to is read.
  @discardableResult
  static func read(_ bytes: [UInt8], policy: PackPolicy = PackPolicy()) throws(FormatError) -> [WeftTensors.Tensor] {
    let storage: Storage
    do { storage = try Storage(byteCount: bytes.count) } catch { throw .storage(error) }
    bytes.withUnsafeBytes { if !$0.isEmpty { storage.bytes.copyMemory(from: $0) } }
    let file = try PackFile(storage: storage, path: "handmade.weft", policy: policy)
    try file.verify()
    var tensors: [WeftTensors.Tensor] = []
    for number in file.tensors.indices { tensors.append(try file.tensor(number)) }
    return tensors
  }

  private func text(_ text: String) -> [UInt8] { littleEndian(UInt64(text.utf8.count)) + Array(text.utf8) }
}

func littleEndian<Value: FixedWidthInteger & BitwiseCopyable>(_ value: Value) -> [UInt8] {
  withUnsafeBytes(of: value.littleEndian, Array.init)
}

/// The bytes of a tensor.
func bytes(of tensor: Tensor) -> [UInt8] {
  withExtendedLifetime(tensor) { Array(UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)) }
}

/// A tensor of these bytes.
func tensor(_ dtype: DType, _ shape: [Int], _ bytes: [UInt8], scale: Float = 1) throws -> Tensor {
  let storage = try Storage(byteCount: bytes.count)
  bytes.withUnsafeBytes { if !$0.isEmpty { storage.bytes.copyMemory(from: $0) } }
  guard let tensor = Tensor(dtype: dtype, shape: shape, storage: storage, offset: 0, scale: scale) else {
    throw FormatError.malformed(
      location: "test", expected: "bytes for \(dtype.name) of shape \(shape)", found: "\(bytes.count)")
  }
  return tensor
}

/// A ternary tensor of these elements.
func ternary(_ elements: [Int], shape: [Int], scale: Float = 0.5) throws -> Tensor {
  var bytes = [UInt8](repeating: 0, count: elements.count / 4)
  for (index, element) in elements.enumerated() { bytes[index / 4] |= UInt8(element & 3) << UInt8(2 * (index % 4)) }
  return try tensor(.ternary, shape, bytes, scale: scale)
}

/// Elements that are not 0 with this probability, independently, with either sign.
func randomTernary(_ count: Int, density: Double, using generator: inout SeededGenerator) -> [Int] {
  (0..<count).map { _ in
    guard Double.random(in: 0..<1, using: &generator) < density else { return 0 }
    return Bool.random(using: &generator) ? 1 : -1
  }
}
