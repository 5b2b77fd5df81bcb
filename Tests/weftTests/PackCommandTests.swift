// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing

@Suite("weft pack")
struct PackCommandTests {
  private let folder: TemporaryFolder
  private static let golden = TestPaths.goldens + "/adapters/"
  private static let model = TestPaths.goldens + "/logits/gqa-tied"
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

  init() throws { folder = try TemporaryFolder() }

  @Test func theWholeWay() throws {
    let path = folder.file("library.weft")
    let made = try Weft([
      "pack", "create", Self.golden + "plain", "second=" + Self.golden + "rslora", "--model", Self.model, "--licence", "MIT",
      "--note", "for tests", "--output", path,
    ])
    #expect(made.status == 0 && made.errors.isEmpty && made.output.contains("2 adapters"), "\(made.errors)")
    let listed = try Weft(["pack", "list", path])
    #expect(listed.status == 0 && listed.output.contains("signed by     nobody") && listed.output.contains("licence       MIT"))
    #expect(listed.output.contains("\nplain: ") && listed.output.contains("\nsecond: "))
    #expect(listed.output.contains("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"))
    let inspected = try Weft(["inspect", path])
    #expect(
      inspected.status == 0 && inspected.output.contains("base_model.model.model.layers.*.self_attn.q_proj.lora_A.weight"))
    let checked = try Weft(["adapters", "check", "--model", Self.model, path])
    #expect(checked.status == 66 && checked.errors.contains("a pack of several: plain, second"))
    #expect(try Weft(["adapters", "check", "--model", Self.model, "--member", "second", path]).status == 0)

    let (secret, open) = (
      try folder.write(Self.privateKey.utf8, to: "private.pem"), try folder.write(Self.publicKey.utf8, to: "public.pem")
    )
    #expect(try Weft(["pack", "verify", path, "--key", open]).status == 69)
    let signed = try Weft(["pack", "sign", path, "--key", secret])
    #expect(signed.status == 0 && signed.output.contains("signed by fbe9db95") && !signed.output.contains("MC4C"))
    let verified = try Weft(["pack", "verify", path, "--key", open])
    #expect(verified.status == 0 && verified.output.contains("as asked"), "\(verified.errors)")

    let out = folder.file("out")
    #expect(try Weft(["pack", "extract", path, "--output", out]).output == "\(out)/plain\n\(out)/second\n")
    #expect(
      try readBytes(out + "/plain/adapter_model.safetensors") == readBytes(Self.golden + "plain/adapter_model.safetensors"))
    #expect(try readBytes(out + "/second/adapter_config.json") == readBytes(Self.golden + "rslora/adapter_config.json"))

    let run = ["logits", "--model", Self.model, "--tokens", "1,2,3,4,5", "--adapter"]
    for (name, adapter) in [("a", Self.golden + "plain"), ("b", path)] {
      let options = name == "b" ? ["--require-signed", open] : []
      let result = try Weft(run + ["plain=" + adapter] + options + ["--output", folder.file(name)])
      #expect(result.status == 0, "\(result.errors)")
    }
    #expect(try readBytes(folder.file("a")) == readBytes(folder.file("b")))
    let refused = try Weft(run + ["plain=" + Self.golden + "plain", "--require-signed", open, "--output", folder.file("c")])
    #expect(refused.status == 69 && refused.errors.contains("not trusted"), "\(refused.errors)")
    let large = try Weft(run + ["plain=" + path, "--max-pack", "1K", "--output", folder.file("c")])
    #expect(large.status == 69 && large.errors.contains("a pack of at most 1000 bytes"), "\(large.errors)")
  }

  @Test func whatIsWrongIsSaid() throws {
    let path = folder.file("one.weft")
    #expect(try Weft(["pack", "create", folder.file("absent"), "--output", path]).status == 66)
    let model = try Weft(["pack", "create", Self.model, "--output", path])
    #expect(model.status == 66 && model.errors.contains("a whole model"), "\(model.errors)")
    #expect(try !folder.contents.contains("one.weft"))
    #expect(try Weft(["pack", "create", Self.golden + "plain", "--output", path]).status == 0)
    #expect(try Weft(["pack", "create", path, "--output", path]).status == 64)
    var bytes = try readBytes(path)
    bytes[200] ^= 1
    try folder.write(bytes, to: "broken.weft")
    let broken = try Weft(["pack", "verify", folder.file("broken.weft")])
    #expect(broken.status == 65 && broken.errors.contains("expected SHA-256"))
    bytes[8] = 2
    try folder.write(bytes, to: "newer.weft")
    let newer = try Weft(["pack", "list", folder.file("newer.weft")])
    #expect(newer.status == 69 && newer.errors.contains("a pack of version 2 is not supported"))
    #expect(try Weft(["pack", "list", Self.golden + "plain/adapter_model.safetensors"]).status == 65)
    #expect(try Weft(["pack", "extract", path, "--output", "/proc/none"]).status == 73)
  }
}
