// SPDX-License-Identifier: Apache-2.0

/// One adapter of a pack: what its own files would hold, by the names that they have there.
package struct PackMember: Sendable {
  /// What the files of the adapter were, or would be: families are known by it.
  package enum Form: Sendable, Equatable {
    /// A configuration beside a file of tensors of this name.
    case folder(tensors: String)
    /// One safetensors file.
    case safetensors
    /// One GGUF file.
    case gguf

    /// PEFT's layout.
    package static let peft = Form.folder(tensors: "adapter_model.safetensors")

    /// As in the index.
    var text: String {
      switch self {
      case .folder(let tensors): "folder/\(tensors)"
      case .safetensors: "safetensors"
      case .gguf: "gguf"
      }
    }

    init?(_ text: String) {
      switch text {
      case "safetensors": self = .safetensors
      case "gguf": self = .gguf
      default:
        guard text.hasPrefix("folder/") else { return nil }
        self = .folder(tensors: String(text.dropFirst("folder/".count)))
      }
    }
  }

  /// A name that the member gives a tensor of the pack. Several members may name the same tensor: it is shared.
  package struct Reference: Sendable {
    package let name: String
    /// An index of `PackFile.tensors`.
    package let tensor: Int

    package init(_ name: String, _ tensor: Int) {
      self.name = name
      self.tensor = tensor
    }
  }

  package let name: String
  package let form: Form
  /// The JSON text of its configuration (`adapter_config.json`); empty when the form has none.
  package let config: String
  /// Metadata of the file of tensors, in order: of safetensors texts, of GGUF any.
  package let metadata: [GGUFWriter.Pair]
  /// The same by key.
  package let values: [String: GGUFValue]
  package let tensors: [Reference]
}
