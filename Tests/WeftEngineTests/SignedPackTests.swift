// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftEngine
import WeftFormats

/// Which packs an engine accepts.
struct SignedPackTests {
  /// `openssl genpkey -algorithm ed25519`, and `openssl pkey -pubout` of it.
  private static let privateKey = """
    -----BEGIN PRIVATE KEY-----
    MC4CAQAwBQYDK2VwBCIEIKFeMHpwf7SqOGe1kpK7PnhTZdjUjnOif2vZg3n9drQj
    -----END PRIVATE KEY-----

    """
  private static let publicKey = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEA++nblQCOCHTXFGfTGTahZOx2163zq4dfW9c+vTMiPBo=
    -----END PUBLIC KEY-----

    """
  private static let otherKey = """
    -----BEGIN PUBLIC KEY-----
    MCowBQYDK2VwAyEADgUzmp1MB/nTG59jUn94T5LGh0p2MooVbqg8lfgnRgU=
    -----END PUBLIC KEY-----

    """
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func engine(signers: [String]? = nil, maximumPackSize: Int = 1 << 36) throws(EngineError) -> Engine {
    try Engine(
      model: GenerationTests.model,
      options: EngineOptions(
        threads: 1, contextLength: 64, maximumSequences: 2, maximumStepRows: 64, kvType: .f32, requiredSigners: signers,
        maximumPackSize: maximumPackSize))
  }

  private func pack(_ name: String, signed: Bool, base: String? = nil) throws -> String {
    let key = try signed ? PackPrivateKey(pem: folder.write(Self.privateKey.utf8, to: "private.pem")) : nil
    let writer = try PackWriter(path: folder.file(name), provenance: PackProvenance(base: base))
    var packing = AdapterPacking(writer)
    try packing.add(GenerationTests.adapter("plain"))
    try packing.add(GenerationTests.adapter("all"))
    try writer.finish(signedBy: key)
    return folder.file(name)
  }

  private func error(_ body: () throws(EngineError) -> Void) -> EngineError? {
    do throws(EngineError) {
      try body()
      return nil
    } catch { return error }
  }

  @Test func answersAreThoseOfTheFolders() throws {
    let engine = try engine()
    let library = try pack("library.weft", signed: false, base: engine.model.fingerprint)
    let fingerprint = try ModelSummary.fingerprint(of: GenerationTests.model)
    #expect(fingerprint == engine.model.fingerprint)
    var answers: [[Int32]] = []
    for (name, path) in [
      ("plain", GenerationTests.adapter("plain")), ("plain", library), ("all", GenerationTests.adapter("all")),
      ("all", library),
    ] {
      try engine.loadAdapter(name, from: path)
      let request = GenerationRequest(
        .tokens(GenerationTests.prompt), activation: .mixture([.init(name)]), sampling: .greedy, maximumTokens: 12,
        ignoresEndTokens: true)
      answers.append(try engine.generate(request).tokens)
    }
    #expect(answers[0] == answers[1] && answers[2] == answers[3] && answers[0] != answers[2])
    let missing = error { () throws(EngineError) in try engine.loadAdapter("other", from: library) }
    #expect(missing?.status == .notFound && missing?.message.contains("a pack of several: plain, all") == true)
  }

  @Test func onlySignedPacksAreLoadedWhenAsked() throws {
    let (trusted, other) = (
      try folder.write(Self.publicKey.utf8, to: "public.pem"), try folder.write(Self.otherKey.utf8, to: "other.pem")
    )
    let (signed, unsigned) = (try pack("signed.weft", signed: true), try pack("unsigned.weft", signed: false))
    let engine = try engine(signers: [trusted])
    try engine.loadAdapter("plain", from: signed)
    var refusal = error { () throws(EngineError) in try engine.loadAdapter("all", from: unsigned) }
    #expect(refusal?.status == .unsupported && refusal?.message.hasSuffix("found one without a signature") == true)
    refusal = error { () throws(EngineError) in try engine.loadAdapter("all", from: GenerationTests.adapter("all")) }
    #expect(refusal?.status == .unsupported && refusal?.message.hasSuffix("found an adapter that is no pack") == true)
    #expect(engine.adapters.map(\.name) == ["plain"])
    refusal = error { () throws(EngineError) in
      let strict = try self.engine(signers: [other])
      try strict.loadAdapter("plain", from: signed)
    }
    #expect(refusal?.message.contains("found one signed by fbe9db95") == true)
    // A key that cannot be read is an error of opening, not a policy without keys.
    refusal = error { () throws(EngineError) in _ = try self.engine(signers: [folder.file("absent.pem")]) }
    #expect(refusal?.status == .notFound)
  }

  @Test func packsForOtherBasesAndTooLargeOnesAreRefused() throws {
    let path = try pack("other.weft", signed: false, base: "llama-2x32-12-1f")
    let engine = try engine()
    var refusal = error { () throws(EngineError) in try engine.loadAdapter("plain", from: path) }
    #expect(refusal?.status == .unsupported)
    #expect(
      refusal?.message == "\(path): expected a pack for this base, \(engine.model.fingerprint), found one for llama-2x32-12-1f")
    let bytes = try readBytes(path).count
    refusal = error { () throws(EngineError) in
      let small = try self.engine(maximumPackSize: bytes - 1)
      try small.loadAdapter("plain", from: path)
    }
    #expect(refusal?.status == .unsupported && refusal?.message.contains("a pack of at most \(bytes - 1) bytes") == true)
  }
}
