// SPDX-License-Identifier: Apache-2.0

/// Which packs are accepted.
package struct PackPolicy: Sendable {
  /// Keys of which one must have signed a pack; nil accepts packs without a signature too.
  package var requiredSigners: [PackPublicKey]?
  /// The most bytes that a pack may have, in its file and as its tensors are decoded.
  package var maximumBytes: Int
  /// Keeps the pack open that was opened last, for those who read several members; nil opens one each time.
  package var opened: OpenedPack?

  package init(requiredSigners: [PackPublicKey]? = nil, maximumBytes: Int = PackLimits.standardBytes) {
    self.requiredSigners = requiredSigners
    self.maximumBytes = maximumBytes
  }

  /// Opens the pack at `path`.
  package func open(_ path: String) throws(FormatError) -> PackFile {
    if let opened { return try opened.pack(at: path, policy: self) }
    return try PackFile(path: path, policy: self)
  }

  /// Refuses an adapter that is no pack where packs have to be signed: nobody can vouch for it.
  package func checkUnpacked(path: String) throws(FormatError) {
    if let requiredSigners { throw refusal(requiredSigners, path: path, found: "an adapter that is no pack") }
  }

  /// Refuses a pack that nobody signed, or somebody else.
  func check(_ signature: PackSignature?, path: String) throws(FormatError) {
    guard let requiredSigners else { return }
    guard let signature else { throw refusal(requiredSigners, path: path, found: "one without a signature") }
    guard requiredSigners.contains(signature.publicKey) else {
      throw refusal(requiredSigners, path: path, found: "one signed by \(signature.publicKey)")
    }
  }

  private func refusal(_ signers: [PackPublicKey], path: String, found: String) -> FormatError {
    .untrusted(
      location: path, expected: "a pack signed by " + signers.map { "\($0)" }.joined(separator: " or "), found: found)
  }
}
