// SPDX-License-Identifier: Apache-2.0

/// A merge as a file says it, in the words of mergekit's recipes.
package struct MergeRecipe: Sendable, Equatable {
  /// Something to be merged: a folder or file with an adapter, or a model.
  package struct Model: Sendable, Equatable {
    package let path: String
    package let parameters: MergeParameters

    package init(path: String, parameters: MergeParameters) {
      self.path = path
      self.parameters = parameters
    }
  }

  package let method: String
  package let models: [Model]
  package let base: String?
  package let parameters: MergeParameters
  /// `float32`, `float16` or `bfloat16`.
  package let dtype: String?
  package let outputDType: String?
  /// The layers that are merged, where the recipe has one slice; nil for all.
  package let layers: Range<Int>?
  /// `base`, `union` or the path of a model.
  package let tokenizer: String?

  package init(
    method: String, models: [Model], base: String?, parameters: MergeParameters, dtype: String? = nil,
    outputDType: String? = nil, layers: Range<Int>? = nil, tokenizer: String? = nil
  ) {
    self.method = method
    self.models = models
    self.base = base
    self.parameters = parameters
    self.dtype = dtype
    self.outputDType = outputDType
    self.layers = layers
    self.tokenizer = tokenizer
  }
}
