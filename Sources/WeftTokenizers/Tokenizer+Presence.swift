// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Tokenizer {
  /// Whether a folder of transformers has the files of a tokenizer at all: a model may come without one.
  package static func isPresent(in folder: String) -> Bool {
    let names = ["tokenizer.json", "vocab.json", "encoder.json", "tokenizer.model", "spiece.model", "vocab.txt"]
    return names.contains { access("\(folder)/\($0)", F_OK) == 0 }
  }
}
