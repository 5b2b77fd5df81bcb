// SPDX-License-Identifier: Apache-2.0

/// Where the content of a pack comes from. All of it is covered by the content hash.
package struct PackProvenance: Sendable, Equatable {
  /// `ModelWeights.fingerprint` of the base (architecture, layers x hidden size, vocabulary, hash of the values of the final norm,
  /// which every form of a model stores unrounded); nil when none is stated. A pack for another base is refused.
  package var base: String?
  /// The name of the base, for people.
  package var baseName: String
  /// Names, without folders, of the files that it was made from.
  package var sources: [String]
  /// What made it: `create`, `ternary`, `ties`.
  package var method: String
  /// Parameters of the method, in order.
  package var parameters: [Parameter]
  /// As SPDX has it, where it does.
  package var licence: String
  /// Free.
  package var text: String

  /// A name and a value.
  package struct Parameter: Sendable, Equatable {
    package let name: String
    package let value: String

    package init(_ name: String, _ value: String) {
      self.name = name
      self.value = value
    }
  }

  package init(
    base: String? = nil, baseName: String = "", sources: [String] = [], method: String = "", parameters: [Parameter] = [],
    licence: String = "", text: String = ""
  ) {
    self.base = base
    self.baseName = baseName
    self.sources = sources
    self.method = method
    self.parameters = parameters
    self.licence = licence
    self.text = text
  }
}
