// SPDX-License-Identifier: Apache-2.0

internal import CCrypto

/// A SHA-256 (FIPS 180-4), computed by libcrypto.
package struct ContentHash: Sendable, Hashable, CustomStringConvertible {
  /// 32 bytes.
  package let bytes: [UInt8]

  package static let byteCount = 32

  /// The hash of these bytes.
  package init(of data: UnsafeRawBufferPointer) {
    bytes = [UInt8](unsafeUninitializedCapacity: ContentHash.byteCount) { target, count in
      var length: UInt32 = 0
      let isDone = EVP_Digest(data.baseAddress, data.count, target.baseAddress, &length, EVP_sha256(), nil)
      precondition(isDone == 1 && length == UInt32(ContentHash.byteCount), "libcrypto has SHA-256")
      count = ContentHash.byteCount
    }
  }

  /// The hash of these bytes.
  package init(of data: [UInt8]) { self = data.withUnsafeBytes { ContentHash(of: $0) } }

  /// A hash that a file holds: exactly 32 bytes.
  init(stored: UnsafeRawBufferPointer) {
    precondition(stored.count == ContentHash.byteCount)
    bytes = Array(stored)
  }

  /// 64 hexadecimal digits.
  package var description: String { bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() }
}

/// Hashes bytes that come in pieces.
struct ContentHasher: ~Copyable {
  private let context: OpaquePointer

  init() {
    guard let context = EVP_MD_CTX_new(), EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
      preconditionFailure("libcrypto has SHA-256")
    }
    self.context = context
  }

  deinit { EVP_MD_CTX_free(context) }

  mutating func update(_ bytes: UnsafeRawBufferPointer) { EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) }

  mutating func finish() -> ContentHash {
    var digest = [UInt8](repeating: 0, count: ContentHash.byteCount)
    EVP_DigestFinal_ex(context, &digest, nil)
    return digest.withUnsafeBytes { ContentHash(stored: $0) }
  }
}
