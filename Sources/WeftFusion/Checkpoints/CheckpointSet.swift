// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// Models that have the same tensors, opened side by side.
struct CheckpointSet: Sendable {
  /// A tensor of the result.
  struct Part: Sendable {
    let name: String
    /// Of the result, [rows, columns] or as the file has it.
    let shape: [Int]
    /// Where its rows are in the modules of the problem; empty for what is no weight and is copied.
    var modules: Range<Int>
    /// That of the base or the first model.
    let tensor: Tensor
  }

  /// Whose configuration and other files the result gets.
  let leader: Checkpoint
  /// Tasks in their order.
  private let checkpoints: [Checkpoint]
  /// Whether the result is the base and the merged changes.
  let addsToBase: Bool
  private(set) var parts: [Part]
  private(set) var notes: [String] = []
  /// Rows of the embedding where they are not those of the leader.
  private(set) var vocabularySize: Int?
  private var layerCount = 0

  init(_ models: [CheckpointMerge.Model], base: String?, addsToBase: Bool) throws(MergeError) {
    self.addsToBase = addsToBase
    var opened: [Checkpoint] = []
    for model in models { opened.append(try CheckpointSet.open(model.path)) }
    leader = try base.map { path throws(MergeError) in try CheckpointSet.open(path) } ?? opened[0]
    checkpoints = opened
    parts = []
    let names = leader.tensors.keys.sorted { TensorOrder($0) < TensorOrder($1) }
    for checkpoint in checkpoints { try CheckpointSet.check(checkpoint, leader) }
    for name in names {
      guard let tensor = leader.tensors[name] else { continue }
      layerCount = max(layerCount, (TensorOrder(name).layer ?? -1) + 1)
      let shape = try shape(of: name, tensor)
      parts.append(Part(name: name, shape: shape, modules: 0..<(tensor.dtype.isWeight ? 1 : 0), tensor: tensor))
      guard shape != tensor.shape || !checkpoints.allSatisfy({ $0.tensors[name]?.shape == shape }) else { continue }
      notes.append("\(name): the first \(shape[0]) rows of each model, as they have different vocabularies")
      if TensorOrder(name).isInput, shape != tensor.shape { vocabularySize = shape[0] }
    }
  }

  private static func open(_ path: String) throws(MergeError) -> Checkpoint {
    do { return try Checkpoint(path: path) } catch { throw .format(error) }
  }

  private static func check(_ checkpoint: Checkpoint, _ leader: Checkpoint) throws(MergeError) {
    guard checkpoint.form == leader.form else {
      throw .mismatch(location: checkpoint.path, expected: "a model of the form of \(leader.path)", found: "another form")
    }
    func architecture(_ checkpoint: Checkpoint) -> String {
      checkpoint.config?["model_type"]?.string ?? checkpoint.gguf?.metadata["general.architecture"]?.string ?? "none"
    }
    guard architecture(checkpoint) == architecture(leader) else {
      throw .mismatch(
        location: checkpoint.path, expected: "a model of architecture \(architecture(leader))", found: architecture(checkpoint))
    }
    if let name = checkpoint.tensors.keys.sorted().first(where: { leader.tensors[$0] == nil }) {
      throw .mismatch(location: checkpoint.path, expected: "the tensors of \(leader.path)", found: "'\(name)' besides")
    }
  }

  /// The shape of a merged tensor: the one that all have, or, of an embedding, the rows and columns that all have.
  private func shape(of name: String, _ own: Tensor) throws(MergeError) -> [Int] {
    var shape = own.shape
    for checkpoint in (addsToBase ? [leader] : []) + checkpoints {
      let place = "\(checkpoint.path): tensor '\(name)'"
      guard let tensor = checkpoint.tensors[name] else {
        throw .mismatch(location: place, expected: "a tensor as in \(leader.path)", found: "none")
      }
      for dtype in [tensor.dtype, own.dtype] where dtype.isQuantized {
        throw .mismatch(location: place, expected: "F32, F16 or BF16, as nothing is left of a merge otherwise", found: dtype.name)
      }
      guard tensor.dtype.isWeight == own.dtype.isWeight else {
        throw .mismatch(location: place, expected: own.dtype.name, found: tensor.dtype.name)
      }
      if let index = tensor.firstNonFinite() {
        throw .mismatch(location: place, expected: "finite numbers", found: "NaN or infinity at element \(index)")
      }
      tensor.storage.releasePages()
      guard tensor.shape != own.shape else { continue }
      let isEmbedding = TensorOrder(name).isEmbedding && tensor.shape.count == 2 && own.shape.count == 2
      guard isEmbedding, tensor.columns == own.columns, !addsToBase || tensor.rows >= own.rows else {
        throw .mismatch(
          location: place, expected: isEmbedding && addsToBase ? "at least the rows of the base, \(own.shape)" : "\(own.shape)",
          found: "\(tensor.shape)")
      }
      shape[0] = min(shape[0], tensor.rows)
    }
    return shape
  }

  var elementCount: Int { parts.reduce(1) { $0 + $1.shape.reduce(1, *) } }

  /// The merge as methods see it.
  /// - Parameter limit: elements of a module at most, where tensors may be taken apart by rows.
  mutating func assign(rowsAtATime limit: Int?) -> [(module: MergeProblem.Module, name: String, rows: Range<Int>?)] {
    var modules: [(module: MergeProblem.Module, name: String, rows: Range<Int>?)] = []
    for index in parts.indices {
      let part = parts[index]
      let first = modules.count
      defer { parts[index].modules = first..<modules.count }
      guard part.tensor.dtype.isWeight else { continue }
      let name = part.name.hasSuffix(".weight") ? String(part.name.dropLast(7)) : part.name
      let layer = TensorOrder(part.name).layer
      // Stacks of matrices are one matrix under the other.
      let shape = part.shape.count > 2 ? [part.shape.dropLast().reduce(1, *), part.shape[part.shape.count - 1]] : part.shape
      guard shape.count == 2 else {
        modules.append((.init(name: name, shape: shape, layer: layer), part.name, nil))
        continue
      }
      let step = limit.map { max(1, $0 / max(shape[1], 1)) } ?? max(shape[0], 1)
      for begin in stride(from: 0, to: shape[0], by: step) {
        let rows = begin..<min(begin + step, shape[0])
        modules.append((.init(name: name, shape: [rows.count, shape[1]], layer: layer), part.name, rows))
      }
    }
    return modules
  }

  /// Values of the tasks, and of the base where there is one.
  func values(of modules: [(module: MergeProblem.Module, name: String, rows: Range<Int>?)]) -> MergeProblem.Values {
    let (checkpoints, leader, addsToBase) = (checkpoints, leader, addsToBase)
    @Sendable func read(_ checkpoint: Checkpoint, _ module: Int) throws(MergeError) -> [Float] {
      let (name, rows) = (modules[module].name, modules[module].rows)
      guard let tensor = checkpoint.tensors[name] else {
        throw .mismatch(location: checkpoint.path, expected: "tensor '\(name)'", found: "none")
      }
      return rows.map { tensor.slice(rows: $0).floats() } ?? tensor.floats()
    }
    return MergeProblem.Values(
      delta: { (task, module) throws(MergeError) in
        var values = try read(checkpoints[task], module)
        guard addsToBase else { return values }
        let base = try read(leader, module)
        for i in values.indices { values[i] -= base[i] }
        return values
      }, base: { module throws(MergeError) in addsToBase ? try read(leader, module) : nil })
  }

  mutating func problem(
    _ models: [CheckpointMerge.Model], parameters: MergeParameters, seed: UInt64, rowsAtATime: Int?
  ) -> MergeProblem {
    let modules = assign(rowsAtATime: rowsAtATime)
    return MergeProblem(
      tasks: models.map { .init(name: $0.name, weight: $0.weight, parameters: $0.parameters) },
      modules: modules.map(\.module), values: values(of: modules), parameters: parameters, seed: seed, layerCount: layerCount)
  }

  /// The files need not all be in memory.
  func releasePages(of part: Part) {
    for checkpoint in [leader] + checkpoints { checkpoint.tensors[part.name]?.storage.releasePages() }
  }
}

/// The order of tensors in a model: the embedding, layer by layer, the rest.
struct TensorOrder: Comparable {
  let name: String
  let layer: Int?

  init(_ name: String) {
    self.name = name
    layer = name.split(separator: ".").lazy.compactMap { Int($0) }.first
  }

  /// Whether it has a row for every token.
  var isEmbedding: Bool { isInput || ["lm_head.weight", "output.weight"].contains { name == $0 } }
  var isInput: Bool { ["embed_tokens.weight", "wte.weight", "token_embd.weight"].contains(where: name.hasSuffix) }

  private var position: (Int, Int, String) { (isInput ? 0 : layer == nil ? 2 : 1, layer ?? 0, name) }

  static func < (left: TensorOrder, right: TensorOrder) -> Bool { left.position < right.position }
  static func == (left: TensorOrder, right: TensorOrder) -> Bool { left.name == right.name }
}
