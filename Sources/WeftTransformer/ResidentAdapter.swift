// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftTensors

/// An adapter packed for the kernels. Beside the base, never inside it; nothing of it changes once it is made.
package final class ResidentAdapter: @unchecked Sendable {
  /// B of one projection: y += scale B u[offset ..< offset + rank].
  struct Part {
    var b: MatrixView
    var offset: Int
    var rank: Int
    var scale: Float
    /// Whether this part scales its share of u: false where an earlier part has the same one.
    var ownsInput: Bool
    /// How strongly each expert acts, when the rank is divided among experts.
    var gate: ResidentGate?
  }

  /// The factors of an input group. A part is nil where the adapter has no low rank; `a` is nil when all are.
  struct Group {
    var a: MatrixView?
    var parts: (Part?, Part?, Part?)
    /// What else it does to the maps of the group.
    var operations: UnsafePointer<ResidentOperations>?

    @inline(__always)
    func part(_ index: Int) -> Part? {
      switch index {
      case 0: parts.0
      case 1: parts.1
      default: parts.2
      }
    }
  }

  /// The maps of each input group of the base.
  let sites: [[WeightSite]]
  private let memory: ResidentMemory
  private let groups: UnsafeMutableBufferPointer<Group>
  private let operations: UnsafeMutableBufferPointer<ResidentOperations>
  let norms: ResidentNorms?
  let hidden: ResidentHidden?
  let embedding: [EmbeddingOperation]
  let classifier: ResidentClassifier?
  let prompt: ResidentPrompt?
  let gatedPrompts: ResidentGatedPrompts?
  /// Floats of u that the widest group needs, in whole tiles.
  package let width: Int
  /// Whether it does more to linear maps than low rank.
  let hasOperations: Bool
  /// Whether it changes the input of linear maps: `Transformer.reserve` has to make room for that.
  let changesInput: Bool
  /// Layers of the base.
  var layerCount: Int { (sites.lazy.joined().compactMap(\.layer).max() ?? -1) + 1 }
  /// Whether steps with it need gates that a step of the base alone comes before: see `Transformer.computeGates`.
  package var needsGates: Bool { classifier != nil }
  /// Bytes of everything it holds.
  package var byteCount: Int { memory.byteCount }

  /// Packs a delta set for a base.
  /// - Parameters:
  ///   - groups: its input groups (`ModelWeights.inputGroups`).
  ///   - pool: threads that pack.
  ///   - threads: threads that steps will have; those of `pool` when nil.
  /// Throws, beside for memory, for operators that do not run where they are: experts know only low rank.
  package init(
    _ deltas: DeltaSet, groups sites: [[WeightSite]], pool: ThreadPool, threads: Int? = nil
  ) throws(ResidentError) {
    let memory = ResidentMemory(expectedBytes: ResidentAdapter.packedBytes(deltas))
    var built: [Group] = []
    var extras: [(group: Int, operations: ResidentOperations)] = []
    let scratch = try ResidentAdapter.reserveScratch(deltas, threads: threads ?? pool.threadCount, memory)
    for (index, group) in sites.enumerated() {
      let operators = group.map { deltas.operators[$0] ?? [] }
      built.append(try ResidentAdapter.pack(operators, memory, pool: pool))
      for (site, list) in zip(group, operators) where site.runsOnlyLowRank {
        if let other = list.first(where: { if case .lowRank = $0 { false } else { true } }) {
          throw .unsupportedPlace(site, operator: other.name)
        }
      }
      if let found = try ResidentAdapter.operations(operators, scratch, memory, pool) { extras.append((index, found)) }
    }
    self.sites = sites
    self.memory = memory
    operations = .allocate(capacity: extras.count)
    groups = .allocate(capacity: built.count)
    _ = groups.initialize(from: built)
    for (index, extra) in extras.enumerated() {
      operations.initializeElement(at: index, to: extra.operations)
      groups[extra.group].operations = UnsafePointer(operations.baseAddress! + index)
    }
    width = built.reduce(0) { max($0, $1.a?.paddedRows ?? 0) }
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
    groups.deinitialize()
    groups.deallocate()
    operations.deinitialize()
    operations.deallocate()
  }

  /// One per input group of the base, in order. Valid while this object lives.
  var groupTable: UnsafePointer<Group> { UnsafePointer(groups.baseAddress!) }

  /// What the factors of low rank take when they are packed, at most.
  private static func packedBytes(_ deltas: DeltaSet) -> Int {
    deltas.operators.values.joined().reduce(0) { sum, delta in
      guard case .lowRank(let factors) = delta else { return sum }
      return sum + PackedMatrix.byteCount(of: factors.a) + PackedMatrix.byteCount(of: factors.b)
    }
  }

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

  // MARK: - Low rank

  /// One run of rows of u that a group computes: the A of a low rank, or of gated experts with their gate behind it.
  private struct LowPart {
    let factors: LowRank
    let gated: GatedLowRank?
    var rows: Int { factors.rank + (gated?.gate?.rows ?? 0) }
    var tensors: [Tensor] { [factors.a] + (gated?.gate.map { [$0] } ?? []) }

    func sharesInput(with other: LowPart) -> Bool {
      gated == nil && other.gated == nil && factors.sharesInput(with: other.factors)
    }
  }

  private static func pack(
    _ operators: [[DeltaOperator]], _ memory: ResidentMemory, pool: ThreadPool
  ) throws(ResidentError) -> Group {
    var lows: [LowPart?] = []
    for list in operators { lows.append(try low(list)) }
    // The parts of a fused module share one A and one scale: it is computed once.
    var distinct: [LowPart] = []
    var places: [Int?] = []
    for low in lows {
      guard let low else {
        places.append(nil)
        continue
      }
      let place = distinct.firstIndex { $0.sharesInput(with: low) } ?? distinct.count
      if place == distinct.count { distinct.append(low) }
      places.append(place)
    }
    guard let first = distinct.first else { return Group(a: nil, parts: (nil, nil, nil)) }
    let tensors = distinct.flatMap(\.tensors)
    // One matrix has one dtype: rounding nothing, a mixed group is widened to F32.
    let dtype = tensors.allSatisfy({ $0.dtype == first.factors.a.dtype }) ? first.factors.a.dtype : .f32
    do throws(StorageError) {
      let a = try memory.pack(tensors.count == 1 ? tensors[0] : try stack(tensors, dtype: dtype), pool)
      var parts: [Part?] = []
      for (low, place) in zip(lows, places) {
        guard let low, let place else {
          parts.append(nil)
          continue
        }
        let offset = distinct[..<place].reduce(0) { $0 + $1.rows }
        let isFirst = !parts.contains { $0?.offset == offset }
        let gate = try low.gated.map { gated throws(StorageError) in
          ResidentGate(gated, scales: try memory.keep(gated.scales))
        }
        parts.append(
          Part(
            b: try memory.pack(low.factors.b, pool), offset: offset, rank: low.factors.rank, scale: low.factors.scale,
            ownsInput: isFirst, gate: gate))
      }
      parts += [nil, nil]
      return Group(a: a, parts: (parts[0], parts[1], parts[2]))
    } catch { throw .storage(error) }
  }

  /// What of a map's operators is low rank; several become one of their ranks together.
  private static func low(_ list: [DeltaOperator]) throws(ResidentError) -> LowPart? {
    var plain: [LowRank] = []
    var gated: [GatedLowRank] = []
    for delta in list {
      switch delta {
      case .lowRank(let factors): plain.append(factors)
      case .gated(let experts): gated.append(experts)
      case .structured, .scale, .rotate, .bias, .replace: continue
      }
    }
    guard plain.isEmpty || gated.isEmpty, gated.count <= 1 else { throw .severalGates }
    if let experts = gated.first { return LowPart(factors: experts.factors, gated: experts) }
    guard let first = plain.first else { return nil }
    if plain.count == 1 { return LowPart(factors: first, gated: nil) }
    do { return LowPart(factors: try LowRank(sumOf: plain), gated: nil) } catch { throw .delta(error) }
  }

  /// The rows of several matrices under each other.
  private static func stack(_ tensors: [Tensor], dtype: DType) throws(StorageError) -> Tensor {
    let converted = try tensors.map { tensor throws(StorageError) in try tensor.converted(to: dtype) }
    let storage = try Storage(unwritten: converted.reduce(0) { $0 + $1.byteCount })
    var offset = 0
    for tensor in converted {
      (storage.base + offset).copyMemory(from: tensor.base, byteCount: tensor.byteCount)
      offset += tensor.byteCount
    }
    let rows = converted.reduce(0) { $0 + $1.rows }
    return Tensor(dtype: dtype, shape: [rows, converted[0].columns], storage: storage, offset: 0)!
  }
}

extension DeltaOperator {
  fileprivate var isInputScale: Bool {
    if case .scale(let delta) = self { delta.place == .input } else { false }
  }
}
