// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// An adapter as what its file holds: the factors of each module, or a vector for each. What merging and compressing start
/// from, which calculate with A and B themselves; what acts at run time is `Adapter`.
package struct AdapterFactors: Sendable {
  /// A path of the model and what the file has for it.
  package struct Module: Sendable {
    /// In transformers, as in `model.layers.3.self_attn.q_proj`.
    package let path: String
    package let part: Part
    /// Whether the model keeps its weight as [in, out], transposed to B A: an embedding, GPT-2's Conv1D.
    package let isTransposed: Bool

    package init(path: String, part: Part, isTransposed: Bool = false) {
      self.path = path
      self.part = part
      self.isTransposed = isTransposed
    }

    /// The number of the layer it is in: the first part of the path that is a number; nil outside of layers.
    package var layer: Int? { path.split(separator: ".").lazy.compactMap { Int($0) }.first }
  }

  package enum Part: Sendable {
    /// scale * B A with A [rank, in], B [out, rank] of F32, F16 or BF16.
    case linear(a: Tensor, b: Tensor, scale: Float)
    /// The same of an embedding: A [rank, vocabulary], B [hidden, rank].
    case embedding(a: Tensor, b: Tensor, scale: Float)
    /// IA3's factor for each output, [out], or for each input, [in].
    case factors([Float], isOfInput: Bool)
  }

  /// In the order of the model.
  package let modules: [Module]
  /// What the config says about the base (`base_model_name_or_path`), and other options that a file made of this one keeps.
  package let options: Options

  package struct Options: Sendable, Equatable {
    package var baseModel: String?
    package var taskType: String?
    /// `target_modules` where it is a list and nothing else chooses modules.
    package var targets: [String]?
    /// `fan_in_fan_out`
    package var isTransposed = false
    /// Of the base, as a pack states it.
    package var fingerprint: String?

    package init(
      baseModel: String? = nil, taskType: String? = nil, targets: [String]? = nil, isTransposed: Bool = false,
      fingerprint: String? = nil
    ) {
      self.baseModel = baseModel
      self.taskType = taskType
      self.targets = targets
      self.isTransposed = isTransposed
      self.fingerprint = fingerprint
    }
  }

  package init(modules: [Module], options: Options) {
    self.modules = modules
    self.options = options
  }

  /// What reading for factors comes to.
  package enum Reading: Sendable {
    case factors(AdapterFactors)
    /// An adapter that is more than factors, or something else; `reason` is an option or a family, in words.
    case other(reason: String)
  }
}
