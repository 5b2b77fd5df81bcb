// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine
import WeftFormats

/// `weft pack sign`: vouches for a pack.
struct PackSign: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sign", abstract: "Sign a pack with an Ed25519 key; its content and content hash stay as they are.",
    discussion: """
      The key is a PEM file without a password, as openssl writes it. Every byte is verified before. A signature that is there is \
      replaced.

        openssl genpkey -algorithm ed25519 -out private.pem
        openssl pkey -in private.pem -pubout -out public.pem
        weft pack sign library.weft --key private.pem
      """)

  @Argument(help: ArgumentHelp("A pack.", valueName: "pack"))
  var path: String

  @Option(help: ArgumentHelp("Your private key (PEM).", valueName: "private.pem"))
  var key: String

  @Option(help: ArgumentHelp("Write the signed pack here (default: in place of the pack).", valueName: "file"))
  var output: String?

  func run() throws {
    try PackCommand.translating {
      let signature = try PackFile.sign(path, key: try PackPrivateKey(pem: key), output: output)
      print("\(output ?? path): signed by \(signature.publicKey)")
    }
  }
}

/// `weft pack verify`: whether a pack is whole, and who vouches for it.
struct PackVerify: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Check every byte of a pack, and that the holder of a key signed it.",
    discussion: """
      Without --key only damage is looked for. Exit codes: 0 when everything is right, 65 for a damaged pack, 69 for one that \
      nobody signed, or somebody else.

        weft pack verify library.weft --key public.pem
      """)

  @Argument(help: ArgumentHelp("A pack.", valueName: "pack"))
  var path: String

  @Option(help: ArgumentHelp("The signer's public key (PEM); repeatable, one of them is enough.", valueName: "public.pem"))
  var key: [String] = []

  func run() throws {
    try PackCommand.translating {
      let keys = try key.map { try PackPublicKey(pem: $0) }
      let pack = try PackFile(path: path, policy: PackPolicy(requiredSigners: keys.isEmpty ? nil : keys))
      try pack.verify()
      for number in pack.tensors.indices { _ = try pack.tensor(number) }
      print("\(path): whole, content hash \(pack.contentHash)")
      switch (pack.signature, keys.isEmpty) {
      case (let signature?, true): print("signed by \(signature.publicKey): give --key to say whether you trust it")
      case (let signature?, false): print("signed by \(signature.publicKey), as asked")
      case (nil, _): print("not signed")
      }
    }
  }
}
