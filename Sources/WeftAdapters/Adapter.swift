// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas

/// A small trained change of a base model, under the name by which requests ask for it.
package struct Adapter: Sendable {
  package let name: String
  /// What it changes. The tensors are copies in memory: the files may change or vanish after reading.
  package let deltas: DeltaSet
  /// The base it was trained on, as its config says (`base_model_name_or_path`); a name or a path, for people to read.
  package let baseModel: String?
  /// The name of its row in `AdapterFamily.all`.
  package let family: String
  package let provenance: Provenance

  /// Where an adapter came from.
  package struct Provenance: Hashable, Sendable {
    package let folder: String
    /// The version of peft that wrote it, when the config tells.
    package let peftVersion: String?
    /// Whether it was read from a pack.
    package let isPack: Bool

    package init(folder: String, peftVersion: String?, isPack: Bool = false) {
      self.folder = folder
      self.peftVersion = peftVersion
      self.isPack = isPack
    }
  }

  package init(name: String, deltas: DeltaSet, baseModel: String?, family: String, provenance: Provenance) {
    self.name = name
    self.deltas = deltas
    self.baseModel = baseModel
    self.family = family
    self.provenance = provenance
  }

  /// The same with other deltas.
  package func with(_ deltas: DeltaSet) -> Adapter {
    Adapter(name: name, deltas: deltas, baseModel: baseModel, family: family, provenance: provenance)
  }

  /// Bytes of its tensors in memory.
  package var byteCount: Int { deltas.byteCount }
}
