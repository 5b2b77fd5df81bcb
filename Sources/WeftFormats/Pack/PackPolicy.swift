// SPDX-License-Identifier: Apache-2.0

/// Which packs are accepted.
package struct PackPolicy: Sendable {
  /// Keys of which one must have signed a pack; nil accepts packs without a signature too.
  package var requiredSigners: [PackPublicKey]?
  /// The most bytes that a pack may have, in its file and as its tensors are decoded.
  package var maximumBytes: Int

  package init(requiredSigners: [PackPublicKey]? = nil, maximumBytes: Int = PackLimits.standardBytes) {
    self.requiredSigners = requiredSigners
    self.maximumBytes = maximumBytes
  }

  /// Refuses a pack that nobody signed, or somebody else.
  func check(_ signature: PackSignature?, path: String) throws(FormatError) {
    guard let requiredSigners else { return }
    let expected = "a pack signed by " + requiredSigners.map { "\($0)" }.joined(separator: " or ")
    guard let signature else { throw .untrusted(location: path, expected: expected, found: "one without a signature") }
    guard requiredSigners.contains(signature.publicKey) else {
      throw .untrusted(location: path, expected: expected, found: "one signed by \(signature.publicKey)")
    }
  }
}
