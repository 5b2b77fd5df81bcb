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
  /// Tells apart architectures that GGUF gives the same name.
  package let claims: @Sendable (ConfigFields) -> Bool
  /// Fills in a configuration from either form.
  package let configure: @Sendable (ConfigFields) throws(ModelError) -> ModelConfig

  package init(
    modelTypes: [String], ggufNames: [String], names: TensorNames = .llama, interleavesHeads: Bool = false,
    claims: @escaping @Sendable (ConfigFields) -> Bool = { _ in true },
    configure: @escaping @Sendable (ConfigFields) throws(ModelError) -> ModelConfig
  ) {
    self.modelTypes = modelTypes
    self.ggufNames = ggufNames
    self.names = names
    self.interleavesHeads = interleavesHeads
    self.claims = claims
    self.configure = configure
  }

  /// Every architecture that Weft runs.
  package static let all = [
    Mixtral.architecture, Llama.architecture, Mistral.architecture, Qwen2.architecture, Qwen2MoE.architecture,
    Qwen3.architecture, Qwen3MoE.architecture, Gemma.architecture, Gemma2.architecture, Gemma3.architecture,
    Phi3.architecture, OLMo2.architecture, Granite.architecture, SmolLM3.architecture, GPT2.architecture,
    OpenELM.architecture,
  ]

  /// The architecture that a checkpoint names, with the look-ups in its configuration.
  package static func of(_ checkpoint: Checkpoint) throws(ModelError) -> (Architecture, ConfigFields) {
    if let file = checkpoint.gguf {
      let name = file.metadata["general.architecture"]?.string
      let fields = ConfigFields(gguf: file, architecture: name ?? "")
      guard let name, let architecture = all.first(where: { $0.ggufNames.contains(name) && $0.claims(fields) }) else {
        throw unknown(file.path, "general.architecture", name, all.flatMap(\.ggufNames))
      }
      return (architecture, fields)
    }
    guard let json = checkpoint.config else {
      throw .format(.missing(location: checkpoint.path, name: "config.json"))
    }
    let location = checkpoint.path + "/config.json"
    let type = json["model_type"]?.string
    guard let type, let architecture = all.first(where: { $0.modelTypes.contains(type) }) else {
      throw unknown(location, "model_type", type, all.flatMap(\.modelTypes))
    }
    guard let text = json["text_config"] else { return (architecture, ConfigFields(huggingFace: json, location: location)) }
    // A model of several kinds of input: the part that reads text.
    return (architecture, ConfigFields(huggingFace: text, within: json, location: location + ": text_config"))
  }

  private static func unknown(_ location: String, _ field: String, _ found: String?, _ known: [String]) -> ModelError {
    .unsupported(
      location: location, field: field, expected: "one of " + Set(known).sorted().joined(separator: ", "),
      found: found ?? "none")
  }
}
