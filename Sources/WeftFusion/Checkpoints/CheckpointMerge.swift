// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
package import WeftTensors

/// A merge of whole models of one architecture into one, by any method that works on changes, as mergekit makes them.
///
///     let merge = CheckpointMerge(method: try .named("ties", space: .delta), parameters: MergeParameters(["density": 0.5]))
///     try merge([.init(name: "a", path: "models/a", weight: 0.5), ...], base: "models/base", to: "merged") { _ in true }
///
/// Tensors are read from the mapped files and written one by one, or some rows at a time where a method looks at single elements:
/// memory does not grow with the model. Arithmetic is F32, whatever the files hold.
package struct CheckpointMerge: Sendable {
  /// A Hugging Face folder or a GGUF file, with its part in the merge.
  package struct Model: Sendable {
    package let name: String
    package let path: String
    package let weight: Float
    /// Its own values of parameters.
    package let parameters: MergeParameters

    package init(name: String, path: String, weight: Float = 1, parameters: MergeParameters = MergeParameters()) {
      self.name = name
      self.path = path
      self.weight = weight
      self.parameters = parameters
    }
  }

  package var method: MergeMethod
  package var parameters: MergeParameters
  package var seed: UInt64
  /// F32, F16 or BF16 of all weights; nil for those of the base.
  package var dtype: DType?
  /// Of safetensors files.
  package var maximumShardBytes = ModelFolderWriter.standardShardBytes

  package init(
    method: MergeMethod, parameters: MergeParameters = MergeParameters(), seed: UInt64 = 0, dtype: DType? = nil
  ) {
    self.method = method
    self.parameters = parameters
    self.seed = seed
    self.dtype = dtype
  }

  /// Methods that mergekit defines on whole weights and on changes alike.
  private static let freeOfBase: Set<String> = ["nuslerp", "multislerp"]

  /// Merges and writes.
  ///
  /// Where a base is given, changes of it are merged and added to it, unless the method is defined on whole weights; then the
  /// base is no more than the first of the models, if it is among them. Configuration, tokenizer and other files are those of the
  /// base, or of the first model.
  /// - Parameters:
  ///   - output: a new or empty folder, or a GGUF file where the models are GGUF files.
  ///   - progress: told the share that is done; false stops the merge.
  /// - Returns: what the user should know about the result, in sentences.
  @discardableResult
  package func callAsFunction(
    _ models: [Model], base: String? = nil, to output: String, progress: (Double) -> Bool = { _ in true }
  ) throws(MergeError) -> [String] {
    let models = ordered(models, base: base)
    guard method.space == .delta else {
      throw .mismatch(
        location: "method \(method.name)", expected: "space delta, which whole models have", found: method.space.rawValue)
    }
    guard method.isOfWholeWeights || base != nil || CheckpointMerge.freeOfBase.contains(method.name) else {
      throw .mismatch(
        location: "method \(method.name)", expected: "a base, whose changes the models are (base_model)", found: "none")
    }
    if let dtype, ![.f32, .f16, .bf16].contains(dtype) {
      throw .mismatch(location: output, expected: "F32, F16 or BF16", found: dtype.name)
    }
    guard !models.isEmpty else { throw .mismatch(location: "models", expected: "at least one", found: "none") }
    var set = try CheckpointSet(models, base: base, addsToBase: base != nil && !method.isOfWholeWeights)
    let problem = set.problem(models, parameters: parameters, seed: seed, rowsAtATime: rowsAtATime(models))
    try method.check(problem)
    let sink = try CheckpointSink(set, dtype: dtype, to: output, maximumShardBytes: maximumShardBytes)
    var (next, done) = (0, 0)
    let total = set.elementCount
    // What is no weight is written where its turn comes.
    func writeOthers(before module: Int) throws(MergeError) {
      while next < set.parts.count, set.parts[next].modules.lowerBound <= module, set.parts[next].modules.isEmpty {
        try sink.append(set.parts[next].tensor)
        next += 1
      }
    }
    try method.run(problem) { (module, change) throws(MergeError) in
      try writeOthers(before: module)
      guard progress(Double(done) / Double(total)) else { throw .interrupted }
      let part = set.parts[next]
      guard part.modules.contains(module), case .dense(var values) = change, values.count == problem.modules[module].elementCount
      else {
        throw .mismatch(
          location: part.name, expected: "\(problem.modules[module].shape) from method \(method.name)", found: "something else")
      }
      if set.addsToBase, let base = try problem.values.base(module) {
        for i in values.indices { values[i] += base[i] }
      }
      try sink.append(values, of: part)
      done += values.count
      set.releasePages(of: part)
      if module + 1 == part.modules.upperBound { next += 1 }
    }
    try writeOthers(before: problem.modules.count)
    guard next == set.parts.count else {
      throw .mismatch(location: output, expected: "\(set.parts.count) tensors from method \(method.name)", found: "\(next)")
    }
    try sink.finish(set)
    _ = progress(1)
    return set.notes
  }

  /// The base first where a method is defined on whole weights and it is one of them (slerp's t counts from it); else it is no
  /// model of its own.
  private func ordered(_ models: [Model], base: String?) -> [Model] {
    guard let base else { return models }
    let (bases, others) = (models.filter { $0.path == base }, models.filter { $0.path != base })
    guard method.isOfWholeWeights else { return others }
    guard method.name == "slerp" else { return models }
    return (bases.isEmpty ? [Model(name: "base", path: base)] : bases) + others
  }

  /// Elements of a module at most; nil where a method has to see whole tensors.
  private func rowsAtATime(_ models: [Model]) -> Int? {
    func isOne(_ name: String, _ parameters: MergeParameters) -> Bool {
      parameters.entries[name]?.allSatisfy { $0.numbers.allSatisfy { $0 == 1 } } ?? true
    }
    let sparsifying: Set = [
      "ties", "dare_linear", "dare_ties", "della", "della_linear", "breadcrumbs", "breadcrumbs_ties",
    ]
    let isDense = isOne("density", parameters) && models.allSatisfy { isOne("density", $0.parameters) }
    let looksAtElements = ["linear", "task_arithmetic", "nearswap"].contains(method.name)
    return looksAtElements || (sparsifying.contains(method.name) && isDense) ? 1 << 24 : nil
  }
}
