// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Who vouches for a pack: an Ed25519 signature (RFC 8032) of the 32 bytes of its content hash.
///
/// It stands behind the content and is no part of it: signing changes no hash.
package struct PackSignature: Sendable, Equatable {
  /// The signer's key, which the pack carries: it says who signed, not that the signer is trusted.
  package let publicKey: PackPublicKey
  let signature: [UInt8]

  private static let magic = Array("WEFTSIGN".utf8)
  private static let ed25519: UInt32 = 1
  static let byteCount = 112

  /// Signs a content hash.
  package init(_ hash: ContentHash, key: PackPrivateKey) throws(FormatError) {
    publicKey = try key.publicKey()
    signature = try key.sign(hash.bytes)
  }

  /// The bytes that stand behind the content.
  package var bytes: [UInt8] {
    PackSignature.magic + GGUFField.littleEndian(PackSignature.ed25519) + GGUFField.littleEndian(UInt32(0)) + publicKey.bytes
      + signature
  }

  /// Reads what stands behind the content: nothing (nil), or a signature, which has to be one of the content hash.
  init?(of header: PackHeader, in storage: Storage, path: String) throws(FormatError) {
    let rest = UnsafeRawBufferPointer(rebasing: storage.bytes[header.contentEnd...])
    if rest.isEmpty { return nil }
    let place = "\(path): byte \(header.contentEnd)"
    guard rest.count == PackSignature.byteCount, rest.starts(with: PackSignature.magic) else {
      throw .malformed(
        location: place, expected: "the end of the file, or a signature of \(PackSignature.byteCount) bytes",
        found: "\(rest.count) other bytes")
    }
    let algorithm = UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 8, as: UInt32.self))
    guard algorithm == PackSignature.ed25519 else {
      throw .unsupported(location: place, expected: "signature algorithm 1 (Ed25519)", found: "algorithm \(algorithm)")
    }
    let reserved = UInt32(littleEndian: rest.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
    guard reserved == 0 else {
      throw .malformed(location: place, expected: "0, as it is reserved", found: "\(reserved)")
    }
    publicKey = PackPublicKey(bytes: Array(rest[16..<48]))
    signature = Array(rest[48..<112])
    guard publicKey.verifies(signature, of: header.contentHash.bytes) else {
      throw .untrusted(
        location: path, expected: "a signature of content hash \(header.contentHash) by key \(publicKey)",
        found: "one that does not verify")
    }
  }
}
