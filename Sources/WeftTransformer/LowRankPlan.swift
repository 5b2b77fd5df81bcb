// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// What the low ranks of an input group become: matrices of A, one for each type of factor, and B of each map. Made before anything
/// is packed, so that the memory of a whole adapter is one piece of the right size.
struct LowRankPlan {
  /// One run of rows of u: the A of a low rank, or of gated experts with their gate behind it.
  private struct Run {
    let factors: LowRank
    let gated: GatedLowRank?
    /// A, and the gate, as they are packed: ternary codes without their scale, which is `aScale`.
    let tensors: [Tensor]
    let b: Tensor
    let (aScale, bScale): (Float, Float)

    var rows: Int { factors.rank + (gated?.gate?.rows ?? 0) }
    var dtype: DType { tensors[0].dtype }

    init(_ factors: LowRank) throws(StorageError) {
      self.factors = factors
      gated = nil
      tensors = [try Run.packable(factors.a)]
      b = factors.b
      (aScale, bScale) = (factors.a.scale, factors.b.scale)
    }

    /// Scores follow the activations of the experts, so A and the gate are one matrix: in floats, which all experts have.
    init(_ experts: GatedLowRank) throws(StorageError) {
      factors = experts.factors
      gated = experts
      let own = [experts.factors.a] + (experts.gate.map { [$0] } ?? [])
      let isFloat = own.allSatisfy { $0.dtype == own[0].dtype && !$0.dtype.isQuantized }
      tensors = try own.map { tensor throws(StorageError) in isFloat ? tensor : try tensor.converted(to: .f32) }
      b =
        experts.factors.b.scale == 1
        ? experts.factors.b
        : try Tensor(
          experts.factors.valuesOfB(), shape: [experts.factors.outputSize, experts.factors.rank])
      (aScale, bScale) = (1, 1)
    }

    /// Ternary rows that are no whole blocks of activations become F16, which has -1, 0 and 1 too.
    private static func packable(_ a: Tensor) throws(StorageError) -> Tensor {
      guard a.dtype == .ternary else { return a }
      guard let codes = Tensor(dtype: .ternary, shape: a.shape, storage: a.storage, offset: a.offset) else { return a }
      return a.columns % MatrixView.blockColumns == 0 ? codes : try codes.converted(to: .f16)
    }

    func sharesInput(with other: Run) -> Bool {
      gated == nil && other.gated == nil && factors.sharesInput(with: other.factors)
    }
  }

  /// The runs that differ: the parts of a fused module share one A and one scale, which is computed once.
  private var runs: [Run] = []
  /// Which run each map has.
  private var maps: [Int?] = []
  /// The map's own B.
  private var own: [Run?] = []

  /// - Parameter operators: those of each map of the group.
  init(_ operators: [[DeltaOperator]]) throws(ResidentError) {
    for list in operators {
      let run = try LowRankPlan.run(list)
      own.append(run)
      guard let run else {
        maps.append(nil)
        continue
      }
      let place = runs.firstIndex { $0.sharesInput(with: run) } ?? runs.count
      if place == runs.count { runs.append(run) }
      maps.append(place)
    }
  }

  /// What of a map's operators is low rank; several become one of their ranks together.
  private static func run(_ list: [DeltaOperator]) throws(ResidentError) -> Run? {
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
    guard var factors = plain.first ?? gated.first?.factors else { return nil }
    if plain.count > 1 { do { factors = try LowRank(sumOf: plain) } catch { throw .delta(error) } }
    do throws(StorageError) {
      if let experts = gated.first { return try Run(experts) }
      return try Run(factors)
    } catch { throw .storage(error) }
  }

  /// The types of A, in the order of the matrices.
  private var dtypes: [DType] {
    runs.reduce(into: []) { found, run in if !found.contains(run.dtype) { found.append(run.dtype) } }
  }

  /// Bytes that packing several plans takes. Tensors that places share count once.
  static func packedBytes(_ plans: [LowRankPlan]) -> Int {
    var seen: Set<TensorPlace> = []
    var bytes = 0
    func add(_ tensor: Tensor, _ count: Int) {
      if seen.insert(TensorPlace(tensor)).inserted { bytes += (count + 63) / 64 * 64 }
    }
    for plan in plans {
      for dtype in plan.dtypes {
        let tensors = plan.runs.filter { $0.dtype == dtype }.flatMap(\.tensors)
        if tensors.count == 1 {
          add(tensors[0], PackedMatrix.byteCount(of: tensors[0]))
        } else {
          let rows = tensors.reduce(0) { $0 + $1.rows }
          bytes += (PackedMatrix.byteCount(dtype, rows: rows, columns: tensors[0].columns) + 63) / 64 * 64
        }
      }
      for run in plan.own.compactMap({ $0 }) {
        add(
          run.b,
          run.b.dtype.isQuantized
            ? PackedMatrix.narrowByteCount(of: run.b, columns: run.factors.rank) : PackedMatrix.byteCount(of: run.b))
      }
    }
    return bytes
  }

  func pack(_ memory: ResidentMemory, _ pool: ThreadPool) throws(StorageError) -> ResidentAdapter.Group {
    var inputs: [MatrixView?] = []
    /// Of each run, its matrix and where it begins in u.
    var places = [(input: Int, offset: Int)](repeating: (0, 0), count: runs.count)
    var first = 0
    for (input, dtype) in dtypes.enumerated() {
      var tensors: [Tensor] = []
      var offset = first
      for (index, run) in runs.enumerated() where run.dtype == dtype {
        places[index] = (input, offset)
        offset += run.rows
        tensors += run.tensors
      }
      let matrix = try memory.pack(tensors.count == 1 ? tensors[0] : try LowRankPlan.stack(tensors), pool)
      inputs.append(matrix)
      first += matrix.paddedRows
    }
    var parts: [ResidentAdapter.Part?] = []
    var isOwned = [Bool](repeating: false, count: runs.count)
    for (run, map) in zip(own, maps) {
      guard let run, let map else {
        parts.append(nil)
        continue
      }
      let gate = try run.gated.map { gated throws(StorageError) in
        memory.keep(ResidentGate(gated, scales: try memory.keep(gated.scales)))
      }
      let rank = run.factors.rank
      parts.append(
        ResidentAdapter.Part(
          b: run.b.dtype.isQuantized ? try memory.pack(narrow: run.b, columns: rank) : try memory.pack(run.b, pool),
          offset: places[map].offset, rank: rank, input: places[map].input, scale: run.factors.scale, aScale: run.aScale,
          bScale: run.bScale, ownsInput: !isOwned[map], gate: gate))
      isOwned[map] = true
    }
    inputs += [nil, nil, nil]
    parts += [nil, nil, nil]
    return ResidentAdapter.Group(inputs: (inputs[0], inputs[1], inputs[2]), parts: (parts[0], parts[1], parts[2]))
  }

  /// The rows of several matrices of one type under each other.
  private static func stack(_ tensors: [Tensor]) throws(StorageError) -> Tensor {
    let storage = try Storage(unwritten: tensors.reduce(0) { $0 + $1.byteCount })
    var offset = 0
    for tensor in tensors {
      (storage.base + offset).copyMemory(from: tensor.base, byteCount: tensor.byteCount)
      offset += tensor.byteCount
    }
    let shape = [tensors.reduce(0) { $0 + $1.rows }, tensors[0].columns]
    guard let stacked = Tensor(dtype: tensors[0].dtype, shape: shape, storage: storage, offset: 0) else {
      preconditionFailure("rows of one type under each other are a matrix of this type")
    }
    return stacked
  }
}
