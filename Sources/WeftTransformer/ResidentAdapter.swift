// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

/// An adapter packed for the kernels. Beside the base, never inside it; nothing of it changes once it is made.
package final class ResidentAdapter: @unchecked Sendable {
  /// The maps of each input group of the base.
  let sites: [[WeightSite]]
  private let memory: ResidentMemory
  /// Those groups of which there is something, behind one of which there is nothing.
  private let groups: UnsafeMutableBufferPointer<Group>
  private let table: UnsafeMutableBufferPointer<UnsafePointer<Group>>
  private let operations: UnsafeMutableBufferPointer<ResidentOperations>
  let norms: ResidentNorms?
  let hidden: ResidentHidden?
  let embedding: [EmbeddingOperation]
  let classifier: ResidentClassifier?
  let prompt: ResidentPrompt?
  let gatedPrompts: ResidentGatedPrompts?
  /// Floats of u that the widest group needs, in whole tiles.
  package let width: Int
  /// Whether its low rank reads activations in int8 blocks: steps make them for it, whatever the base wants.
  let readsQuantized: Bool
  /// Whether it does more to linear maps than low rank.
  let hasOperations: Bool
  /// Whether it changes the input of linear maps: `Transformer.reserve` has to make room for that.
  let changesInput: Bool
  /// Layers of the base.
  var layerCount: Int { (sites.lazy.joined().compactMap(\.layer).max() ?? -1) + 1 }
  /// Whether steps with it need gates that a step of the base alone comes before: see `Transformer.computeGates`.
  package var needsGates: Bool { classifier != nil }
  /// Bytes of everything it holds.
  package var byteCount: Int {
    memory.byteCount + groups.count * MemoryLayout<Group>.stride + table.count * MemoryLayout<UnsafePointer<Group>>.stride
  }

  /// Packs a delta set for a base.
  /// - Parameters:
  ///   - groups: its input groups (`ModelWeights.inputGroups`).
  ///   - pool: threads that pack.
  ///   - threads: threads that steps will have; those of `pool` when nil.
  /// Throws, beside for memory, for operators that do not run where they are: experts know only low rank.
  package init(
    _ deltas: DeltaSet, groups sites: [[WeightSite]], pool: ThreadPool, threads: Int? = nil
  ) throws(ResidentError) {
    var plans: [LowRankPlan] = []
    for group in sites { plans.append(try LowRankPlan(group.map { deltas.operators[$0] ?? [] })) }
    let memory = ResidentMemory(expectedBytes: LowRankPlan.packedBytes(plans))
    var built = [Group()]
    var places: [Int] = []
    var extras: [(group: Int, operations: ResidentOperations)] = []
    let scratch = try ResidentAdapter.reserveScratch(deltas, threads: threads ?? pool.threadCount, memory)
    for (index, group) in sites.enumerated() {
      let operators = group.map { deltas.operators[$0] ?? [] }
      let low: Group
      do { low = try plans[index].pack(memory, pool) } catch { throw .storage(error) }
      for (site, list) in zip(group, operators) where site.runsOnlyLowRank {
        if let other = list.first(where: { if case .lowRank = $0 { false } else { true } }) {
          throw .unsupportedPlace(site, operator: other.name)
        }
      }
      let found = try ResidentAdapter.operations(operators, scratch, memory, pool)
      places.append(found == nil && low.isEmpty ? 0 : built.count)
      if let found { extras.append((built.count, found)) }
      if places[index] > 0 { built.append(low) }
    }
    self.sites = sites
    self.memory = memory
    operations = .allocate(capacity: extras.count)
    groups = .allocate(capacity: built.count)
    _ = groups.initialize(from: built)
    table = .allocate(capacity: sites.count)
    for (index, place) in places.enumerated() {
      table.initializeElement(at: index, to: UnsafePointer(groups.baseAddress! + place))
    }
    for (index, extra) in extras.enumerated() {
      operations.initializeElement(at: index, to: extra.operations)
      groups[extra.group].operations = UnsafePointer(operations.baseAddress! + index)
    }
    width = built.reduce(0) { max($0, $1.width) }
    readsQuantized = built.contains { $0.readsQuantized }
    hasOperations = !extras.isEmpty
    changesInput = extras.contains {
      $0.operations.changesInput.0 || $0.operations.changesInput.1 || $0.operations.changesInput.2
    }
    hidden =
      deltas.hidden.isEmpty
      ? nil : try ResidentHidden(deltas.hidden, threads: threads ?? pool.threadCount, memory)
    do throws(StorageError) {
      norms = try ResidentNorms(deltas, threads: threads ?? pool.threadCount, memory)
      embedding = try EmbeddingOperation.all(deltas.embedding, memory)
      classifier = try deltas.classifier.map { rule throws(StorageError) in try ResidentClassifier(rule, memory, pool) }
      prompt = try deltas.prompt.map { prompt throws(StorageError) in try ResidentPrompt(prompt, memory) }
      gatedPrompts =
        deltas.gatedPrompts.isEmpty
        ? nil : try ResidentGatedPrompts(deltas.gatedPrompts, threads: threads ?? pool.threadCount, memory)
    } catch { throw .storage(error) }
    memory.finishPacking()
  }

  deinit {
    table.deallocate()
    groups.deallocate()
    operations.deallocate()
  }

  /// One per input group of the base, in order. Valid while this object lives.
  var groupTable: UnsafePointer<UnsafePointer<Group>> { UnsafePointer(table.baseAddress!) }

  /// A vector as long as any that an operation turns, and what structured operators ask for, for every thread.
  private static func reserveScratch(
    _ deltas: DeltaSet, threads: Int, _ memory: ResidentMemory
  ) throws(ResidentError) -> (UnsafeMutablePointer<Float>, stride: Int)? {
    var count = 0
    for delta in deltas.operators.values.joined() {
      switch delta {
      case .lowRank, .gated, .bias: continue
      case .structured(let structured) where structured.matrix.dense != nil:
        count = max(count, Step.maximumRowGrain * MatrixView.padded(structured.rows.count))
      case .structured(let structured): count = max(count, structured.matrix.scratchCount, 1)
      case .scale, .rotate, .replace: count = max(count, delta.size.in ?? 0, delta.size.out ?? 0)
      }
    }
    let hasBias = deltas.operators.values.joined().contains { if case .bias = $0 { true } else { false } }
    guard count > 0 || hasBias else { return nil }
    let stride = MatrixView.padded(max(count, 1))
    do { return (try memory.reserve(floats: stride * threads), stride) } catch { throw .storage(error) }
  }

  private static func operations(
    _ operators: [[DeltaOperator]], _ scratch: (UnsafeMutablePointer<Float>, stride: Int)?, _ memory: ResidentMemory,
    _ pool: ThreadPool
  ) throws(ResidentError) -> ResidentOperations? {
    var parts: [UnsafeBufferPointer<ResidentOperation>] = []
    do throws(StorageError) {
      for list in operators {
        var found: [ResidentOperation] = []
        for delta in list {
          if let operation = try memory.operation(delta, pool) { found.append(operation) }
        }
        parts.append(memory.keep(found))
      }
    } catch { throw .storage(error) }
    guard let scratch, parts.contains(where: { !$0.isEmpty }) else { return nil }
    while parts.count < 3 { parts.append(UnsafeBufferPointer(start: nil, count: 0)) }
    let changes = parts.map { $0.contains(where: \.isOfInput) }
    return ResidentOperations(
      parts: (parts[0], parts[1], parts[2]), changesInput: (changes[0], changes[1], changes[2]),
      changesOutput: parts.contains { $0.contains { !$0.isOfInput } },
      scalesInPlace: operators.count == 1 && operators[0].allSatisfy(\.isInputScale), scratch: scratch.0,
      scratchStride: scratch.stride)
  }
}

extension DeltaOperator {
  fileprivate var isInputScale: Bool {
    if case .scale(let delta) = self { delta.place == .input } else { false }
  }
}
