// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// An opened pack (`.weft`): adapters, alone or as a library over shared tensors, compressed and hashed.
///
/// All integers are little-endian; a text is its length (u64) and UTF-8.
///
/// | offset | size | meaning |
/// |---|---|---|
/// | 0 | 8 | magic: 89 57 45 46 54 0D 0A 1A |
/// | 8 | 4 | version: 1 |
/// | 12 | 4 | 0 |
/// | 16 | 8 | offset of the index, a multiple of 64 |
/// | 24 | 8 | bytes of the index as stored |
/// | 32 | 8 | bytes of the index decoded |
/// | 40 | 32 | SHA-256 of the index as stored |
/// | 72 | 24 | 0 |
/// | 96 | 32 | **content hash**: SHA-256 of bytes 0 to 95 |
/// | 128 | | chunks, each from a multiple of 64 on, with zeros to the next multiple of 64 behind it |
/// | index offset | as stored | index: one zstd frame with checksum |
/// | end of the index | 0 or 112 | signature: `WEFTSIGN`, algorithm (u32, 1 = Ed25519), 0 (u32), public key (32), signature of the content hash (64) |
///
/// The decoded index, without holes:
///
/// | part | meaning |
/// |---|---|
/// | text | fingerprint of the base; empty when none is stated |
/// | text | name of the base, for people |
/// | u64 n, n texts | names of the source files |
/// | text | method |
/// | u64 n, n (text, text) | parameters of the method |
/// | text, text | licence; free text |
/// | u64 n, n texts | names of tensors, each once |
/// | u64 n, n (u32, 32 bytes) | chunks: how many tensors follow each other in it; SHA-256 of its bytes with the zeros behind them |
/// | u64 n, n tensors | dtype (u32), coding (u8), axes (u8), scale (f32), axes (u64 each), bytes as stored (u64), in the order of their bytes |
/// | u64 n, n members | name, form, configuration (texts); u64 m, m metadata pairs as in GGUF; u64 k, k (name number, tensor number) (u32 each) |
///
/// The content hash covers the header, which covers the index, which covers every chunk: one number stands for all. Offsets of
/// chunks and tensors are sums of sizes, so they cannot overlap or leave holes. What is verified when: opening checks header, index,
/// signature and the sizes of everything; reading a tensor checks the hash of its chunk, the first time. So flipping any byte is
/// found, and opening costs the same whatever the chunks hold. `docs/pack-format.md` has the codings and an example.
package final class PackFile: Sendable {
  package let path: String
  /// SHA-256 over all of the content; what a signature signs.
  package let contentHash: ContentHash
  package let provenance: PackProvenance
  /// In the order of the file.
  package let members: [PackMember]
  /// What is stored, in the order of the file: members name tensors by their numbers here.
  package let tensors: [PackTensor]
  /// Verified against the content hash and its own public key; whether that key is trusted is the caller's question.
  package let signature: PackSignature?
  /// The mapped file.
  package let storage: Storage
  private let chunks: [PackChunk]
  private let verified: VerifiedChunks

  /// Maps and checks the file at `path`, but for its chunks, which are checked when a tensor of theirs is read.
  package convenience init(path: String, policy: PackPolicy = PackPolicy()) throws(FormatError) {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .storage(error) }
    try self.init(storage: storage, path: path, policy: policy)
  }

  /// Checks a pack that is mapped or in memory already; `path` names it in errors.
  package init(storage: Storage, path: String, policy: PackPolicy = PackPolicy()) throws(FormatError) {
    guard storage.bytes.count <= policy.maximumBytes else {
      throw .unsupported(
        location: path, expected: "a pack of at most \(policy.maximumBytes) bytes", found: "one of \(storage.bytes.count) bytes"
      )
    }
    let header = try PackHeader(storage, path: path)
    self.path = path
    self.storage = storage
    contentHash = header.contentHash
    signature = try PackSignature(of: header, in: storage, path: path)
    try policy.check(signature, path: path)
    let index = try PackIndex(header, in: storage, path: path, maximumBytes: policy.maximumBytes)
    provenance = index.provenance
    members = index.members
    tensors = index.tensors
    chunks = index.chunks
    verified = VerifiedChunks(count: index.chunks.count)
  }

  /// Whether a file begins as packs do.
  package static func isPack(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: PackHeader.magic) }

  /// The member of this name; nil when there is none.
  package func member(_ name: String) -> PackMember? { members.first { $0.name == name } }

  /// Reads one tensor: a view of the mapped file when it is stored raw and aligned, otherwise memory of its own.
  /// - Parameter number: an index of `tensors`.
  package func tensor(_ number: Int) throws(FormatError) -> Tensor {
    let entry = tensors[number]
    try verify(chunk: entry.chunk)
    return try PackDecoder(entry: entry, storage: storage, location: "\(path): tensor \(number)").tensor()
  }

  /// Checks every chunk against the content hash. Nothing is decoded.
  package func verify() throws(FormatError) {
    for chunk in chunks.indices { try verify(chunk: chunk) }
  }

  private func verify(chunk number: Int) throws(FormatError) {
    guard !verified.contains(number) else { return }
    let chunk = chunks[number]
    let found = ContentHash(of: UnsafeRawBufferPointer(rebasing: storage.bytes[chunk.offset..<chunk.paddedEnd]))
    guard found == chunk.hash else {
      throw .malformed(
        location: "\(path): bytes \(chunk.offset) to \(chunk.paddedEnd)", expected: "SHA-256 \(chunk.hash)", found: "\(found)")
    }
    for offset in chunk.offset + chunk.storedBytes..<chunk.paddedEnd where storage.bytes[offset] != 0 {
      throw .malformed(
        location: "\(path): byte \(offset)", expected: "0 behind a chunk", found: "\(storage.bytes[offset])")
    }
    verified.insert(number)
  }
}
