// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors

/// Keys and signature are openssl's:
///
///     openssl genpkey -algorithm ed25519 -out private.pem; openssl pkey -in private.pem -pubout -out public.pem
///     openssl pkeyutl -verify -pubin -inkey public.pem -rawin -in hash -sigfile signature
struct PackSignatureTests {
  static let privateKey = """
    -----BEGIN PRIVATE KEY-----
    MC4CAQAwBQYDK2VwBCIEIKFeMHpwf7SqOGe1kpK7PnhTZdjUjnOif2vZg3n9drQj
    -----END PRIVATE KEY-----

    """
  static let publicKey = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEA++nblQCOCHTXFGfTGTahZOx2163zq4dfW9c+vTMiPBo=
    -----END PUBLIC KEY-----

    """
  private static let otherPublicKey = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEADgUzmp1MB/nTG59jUn94T5LGh0p2MooVbqg8lfgnRgU=
    -----END PUBLIC KEY-----

    """
  /// `openssl genpkey -algorithm ed25519 -aes256 -pass pass:secret`
  private static let encryptedKey = """
    -----BEGIN ENCRYPTED PRIVATE KEY-----
    MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjlSte54fjImgICCAAw
    DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEP1Px6PKbXPUhS3vfYsIc2MEQP57
    JqseCjUcocMUM/nGyp/aF4R0JCX+i1Fxf6GU6Jnrhg9jHRYaQHSi2fj4KbIAOsnp
    PYr/fc5+6stXMFdO9tU=
    -----END ENCRYPTED PRIVATE KEY-----

    """
  /// `openssl genpkey -algorithm x25519`: a key that cannot sign.
  private static let otherAlgorithm = """
    -----BEGIN PRIVATE KEY-----
    MC4CAQAwBQYDK2VuBCIEIFgFIa/7Khh4ETS2SHgz6J1nnU69gEN3GkSN9+7Wf4Zi
    -----END PRIVATE KEY-----

    """

  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func file(_ text: String, _ name: String) throws -> String { try folder.write(Array(text.utf8), to: name) }

  @Test func keysAreThoseOfOpenssl() throws {
    let secret = try PackPrivateKey(pem: file(PackSignatureTests.privateKey, "private.pem"))
    let open = try PackPublicKey(pem: file(PackSignatureTests.publicKey, "public.pem"))
    #expect(try secret.publicKey() == open)
    #expect(open.description == "fbe9db95008e0874d71467d31936a164ec76d7adf3ab875f5bd73ebd33223c1a")
    // openssl pkeyutl -sign -inkey private.pem -rawin -in (32 zeros)
    #expect(
      try hexadecimal(secret.sign([UInt8](repeating: 0, count: 32)))
        == "2b50a4801e8ef7a02642171d8d3f76cbb46a855a8ddd58716d8fd4f794a6afd6"
        + "2ad5f95313ff1be96ee7a40643f187499e9719d74929b4ee2513f434cb210104")
  }

  @Test func signingKeepsTheContentHash() throws {
    let key = try PackPrivateKey(pem: file(PackSignatureTests.privateKey, "private.pem"))
    let unsigned = HandmadePack()
    let content = unsigned.bytes
    let path = try folder.write(content, to: "signed.weft")
    let hash = try PackFile(path: path).contentHash
    try PackFile.sign(path, key: key)
    let signed = try PackFile(path: path)
    #expect(signed.contentHash == hash)
    #expect(try signed.signature?.publicKey == key.publicKey())
    #expect(try Array(readBytes(path)[..<content.count]) == content && readBytes(path).count == content.count + 112)
    // Signing again replaces the signature.
    try PackFile.sign(path, key: key)
    #expect(try readBytes(path).count == content.count + 112)
  }

  @Test func onlyTrustedKeysAreAccepted() throws {
    let key = try PackPrivateKey(pem: file(PackSignatureTests.privateKey, "private.pem"))
    let trusted = try PackPublicKey(pem: file(PackSignatureTests.publicKey, "public.pem"))
    let other = try PackPublicKey(pem: file(PackSignatureTests.otherPublicKey, "other.pem"))
    let path = try folder.write(HandmadePack().bytes, to: "pack.weft")
    let policy = PackPolicy(requiredSigners: [trusted])
    var error = #expect(throws: FormatError.self) { try PackFile(path: path, policy: policy) }
    #expect(error?.description == "\(path): not trusted: expected a pack signed by \(trusted), found one without a signature")
    try PackFile.sign(path, key: key)
    _ = try PackFile(path: path, policy: policy)
    _ = try PackFile(path: path, policy: PackPolicy(requiredSigners: [other, trusted]))
    error = #expect(throws: FormatError.self) { try PackFile(path: path, policy: PackPolicy(requiredSigners: [other])) }
    #expect(error?.description.contains("found one signed by \(trusted)") == true)
    #expect(throws: FormatError.self) { try PackFile(path: path, policy: PackPolicy(requiredSigners: [])) }
  }

  /// A signature of another pack, and algorithms that Weft does not know.
  @Test func signaturesOfOtherContentAreRefused() throws {
    let key = try PackPrivateKey(pem: file(PackSignatureTests.privateKey, "private.pem"))
    var other = HandmadePack()
    other.base = "another"
    let path = try folder.write(other.bytes, to: "other.weft")
    try PackFile.sign(path, key: key)
    let signature = Array(try readBytes(path).suffix(112))
    var pack = HandmadePack()
    pack.tail = signature
    let error = #expect(throws: FormatError.self) { try pack.open() }
    guard case .untrusted = error else {
      Issue.record("expected an untrusted pack, found \(String(describing: error))")
      return
    }
    other.tail = signature
    try other.open()
    for byte in [8, 12] {
      other.tail = signature
      other.tail[byte] = 2
      #expect(throws: FormatError.self) { try other.open() }
    }
  }

  @Test func keysThatAreNoneAreNamedAndNeverShown() throws {
    let encrypted = try file(PackSignatureTests.encryptedKey, "encrypted.pem")
    var error = #expect(throws: FormatError.self) { _ = try PackPrivateKey(pem: encrypted) }
    #expect(error?.description == "\(encrypted): expected a private key in PEM without a password, found something else")
    error = #expect(throws: FormatError.self) { _ = try PackPrivateKey(pem: file(PackSignatureTests.publicKey, "public.pem")) }
    #expect(error?.description.contains("MCow") == false)
    error = #expect(throws: FormatError.self) { _ = try PackPublicKey(pem: file(PackSignatureTests.privateKey, "private.pem")) }
    #expect(error?.description.contains("MC4C") == false)
    error = #expect(throws: FormatError.self) { _ = try PackPrivateKey(pem: file(PackSignatureTests.otherAlgorithm, "x.pem")) }
    #expect(error?.description.contains("expected an Ed25519 key") == true)
    error = #expect(throws: FormatError.self) { _ = try PackPrivateKey(pem: folder.file("absent.pem")) }
    #expect(error?.description.contains("cannot open") == true)
  }

  private func hexadecimal(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}
