// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension PackFile {
  /// Signs the pack at `path` in place, or puts a new signature in the place of the one it has. The content and its hash stay as
  /// they are; every chunk is verified before.
  /// - Parameter output: where to write the signed pack instead.
  @discardableResult
  package static func sign(
    _ path: String, key: PackPrivateKey, output: String? = nil, maximumBytes: Int = PackLimits.standardBytes
  ) throws(FormatError) -> PackSignature {
    let pack = try PackFile(path: path, policy: PackPolicy(maximumBytes: maximumBytes))
    try pack.verify()
    let signature = try PackSignature(pack.contentHash, key: key)
    let content = pack.storage.bytes[..<(pack.storage.bytes.count - (pack.signature == nil ? 0 : PackSignature.byteCount))]
    let file = try AtomicFile(path: output ?? path)
    try file.write(UnsafeRawBufferPointer(rebasing: content))
    let result: Result<Void, FormatError> = signature.bytes.withUnsafeBytes { bytes in
      do throws(FormatError) { return .success(try file.write(bytes)) } catch { return .failure(error) }
    }
    try result.get()
    try file.commit()
    withExtendedLifetime(pack) {}
    return signature
  }
}
