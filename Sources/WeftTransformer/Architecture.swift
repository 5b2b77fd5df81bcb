// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

/// A family of decoders: how its configuration is read, and how its tensors are named. What a step computes follows from the
/// `ModelConfig` that comes out; adding an architecture is a file in `Architectures/` and a row in `all`.
package struct Architecture: Sendable {
  /// `model_type` in `config.json`.
  package let modelTypes: [String]
  /// `general.architecture` in GGUF.
  package let ggufNames: [String]
  /// Tensor names in a Hugging Face folder.
  package var names: TensorNames
  /// Whether GGUF interleaves the two halves of every query and key head (llama.cpp's "normal" rotation).
  package var interleavesHeads = false
  /// Fills in a configuration from either form.
  package let configure: @Sendable (ConfigFields) throws(ModelError) -> ModelConfig

  package init(
    modelTypes: [String], ggufNames: [String], names: TensorNames = .llama, interleavesHeads: Bool = false,
    configure: @escaping @Sendable (ConfigFields) throws(ModelError) -> ModelConfig
  ) {
    self.modelTypes = modelTypes
    self.ggufNames = ggufNames
    self.names = names
    self.interleavesHeads = interleavesHeads
    self.configure = configure
  }

  /// Every architecture that Weft runs.
  package static let all = [
    Llama.architecture, Mistral.architecture, Mixtral.architecture, Qwen2.architecture, Qwen2MoE.architecture,
    Qwen3.architecture, Qwen3MoE.architecture, Gemma.architecture, Gemma2.architecture, Gemma3.architecture,
    Phi3.architecture, OLMo2.architecture, Granite.architecture, SmolLM3.architecture, GPT2.architecture,
    OpenELM.architecture,
  ]

  /// The architecture that a checkpoint names, with the look-ups in its configuration.
  package static func of(_ checkpoint: Checkpoint) throws(ModelError) -> (Architecture, ConfigFields) {
    if let file = checkpoint.gguf {
      let name = file.metadata["general.architecture"]?.string
      guard let name, let architecture = all.first(where: { $0.ggufNames.contains(name) }) else {
        throw unknown(file.path, "general.architecture", name, all.flatMap(\.ggufNames))
      }
      return (architecture, ConfigFields(gguf: file, architecture: name))
    }
    guard let json = checkpoint.config else {
      throw .format(.missing(location: checkpoint.path, name: "config.json"))
    }
    let location = checkpoint.path + "/config.json"
    let type = json["model_type"]?.string
    guard let type, let architecture = all.first(where: { $0.modelTypes.contains(type) }) else {
      throw unknown(location, "model_type", type, all.flatMap(\.modelTypes))
    }
    return (architecture, ConfigFields(huggingFace: json, location: location))
  }

  private static func unknown(_ location: String, _ field: String, _ found: String?, _ known: [String]) -> ModelError {
    .unsupported(
      location: location, field: field, expected: "one of " + known.sorted().joined(separator: ", "), found: found ?? "none")
  }
}
