// SPDX-License-Identifier: Apache-2.0

internal import CCrypto
internal import WeftTensors

/// An Ed25519 public key.
package struct PackPublicKey: Sendable, Hashable, CustomStringConvertible {
  /// 32 bytes (RFC 8032).
  package let bytes: [UInt8]

  init(bytes: [UInt8]) { self.bytes = bytes }

  /// Reads a PEM file as `openssl pkey -pubout` writes it.
  package init(pem path: String) throws(FormatError) {
    let file = try KeyFile(path)
    guard let key = PEM_read_bio_PUBKEY(file.reader, nil, refusePassword, nil) else {
      throw .malformed(location: path, expected: "a public key in PEM", found: "something else")
    }
    defer { EVP_PKEY_free(key) }
    bytes = try publicBytes(key, path: path)
  }

  /// 64 hexadecimal digits.
  package var description: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }

  /// Whether `signature` is one of `message` by the holder of this key.
  func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
    guard let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, bytes.count) else { return false }
    defer { EVP_PKEY_free(key) }
    guard let context = EVP_MD_CTX_new() else { return false }
    defer { EVP_MD_CTX_free(context) }
    return EVP_DigestVerifyInit(context, nil, nil, nil, key) == 1
      && EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }
}

/// An Ed25519 private key. Nothing of it is ever part of a message.
package final class PackPrivateKey {
  private let key: OpaquePointer
  private let path: String

  /// Reads a PEM file as `openssl genpkey -algorithm ed25519` writes it, without a password.
  package init(pem path: String) throws(FormatError) {
    let file = try KeyFile(path)
    guard let key = PEM_read_bio_PrivateKey(file.reader, nil, refusePassword, nil) else {
      throw .malformed(location: path, expected: "a private key in PEM without a password", found: "something else")
    }
    self.key = key
    self.path = path
    guard EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 else { throw otherAlgorithm(path) }
  }

  deinit { EVP_PKEY_free(key) }

  /// The key by which others verify.
  package func publicKey() throws(FormatError) -> PackPublicKey { PackPublicKey(bytes: try publicBytes(key, path: path)) }

  /// 64 bytes.
  package func sign(_ message: [UInt8]) throws(FormatError) -> [UInt8] {
    var signature = [UInt8](repeating: 0, count: 64)
    var length = signature.count
    guard let context = EVP_MD_CTX_new() else { throw .storage(.outOfMemory(bytes: signature.count)) }
    defer { EVP_MD_CTX_free(context) }
    guard EVP_DigestSignInit(context, nil, nil, nil, key) == 1,
      EVP_DigestSign(context, &signature, &length, message, message.count) == 1, length == signature.count
    else { throw .unsupported(location: path, expected: "a key that can sign", found: "one with which libcrypto cannot") }
    return signature
  }
}

/// A small file in memory, as libcrypto reads it; the memory is wiped afterwards.
private final class KeyFile {
  let reader: OpaquePointer
  private let storage: Storage

  init(_ path: String) throws(FormatError) {
    do throws(StorageError) {
      let mapped = try Storage(mapping: path)
      guard mapped.bytes.count <= 65536 else { throw .cannotOpen(path: path, reason: "too large for a key") }
      storage = try Storage(copying: UnsafeRawBufferPointer(mapped.bytes))
    } catch { throw .storage(error) }
    guard let reader = BIO_new_mem_buf(storage.base, Int32(storage.bytes.count)) else {
      throw .storage(.outOfMemory(bytes: storage.bytes.count))
    }
    self.reader = reader
  }

  deinit {
    BIO_free(reader)
    OPENSSL_cleanse(storage.base, storage.bytes.count)
  }
}

/// libcrypto would ask on the terminal for the password of an encrypted key.
private func refusePassword(
  _: UnsafeMutablePointer<CChar>?, _: Int32, _: Int32, _: UnsafeMutableRawPointer?
) -> Int32 { -1 }

private func otherAlgorithm(_ path: String) -> FormatError {
  .unsupported(location: path, expected: "an Ed25519 key", found: "a key of another algorithm")
}

private func publicBytes(_ key: OpaquePointer, path: String) throws(FormatError) -> [UInt8] {
  guard EVP_PKEY_get_id(key) == EVP_PKEY_ED25519 else { throw otherAlgorithm(path) }
  var bytes = [UInt8](repeating: 0, count: 32)
  var length = bytes.count
  guard EVP_PKEY_get_raw_public_key(key, &bytes, &length) == 1, length == bytes.count else { throw otherAlgorithm(path) }
  return bytes
}
