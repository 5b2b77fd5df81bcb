// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Bytes on the command line: `800M`, `4G`, `1.5GB` in powers of 1000; `4Gi`, `512MiB` in powers of 1024.
struct MemorySize: ExpressibleByArgument {
  let byteCount: Int

  /// The largest safetensors file where no other size is given: what transformers 4 takes then.
  static let shard = MemorySize(byteCount: 5_000_000_000)

  private init(byteCount: Int) { self.byteCount = byteCount }

  init?(argument: String) {
    var text = argument.uppercased()
    if text.hasSuffix("B") { text.removeLast() }
    let isBinary = text.hasSuffix("I")
    if isBinary { text.removeLast() }
    var factor = 1.0
    if let unit = text.last, let power = ["K", "M", "G", "T"].firstIndex(of: String(unit)) {
      text.removeLast()
      for _ in 0...power { factor *= isBinary ? 1024 : 1000 }
    } else if isBinary {
      return nil
    }
    guard let value = Double(text), value > 0, value * factor >= 1, value * factor < 0x1p62 else { return nil }
    byteCount = Int(value * factor)
  }
}
