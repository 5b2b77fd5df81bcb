// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Memory that belongs to a resident adapter: numbers, matrices and operators that steps reach through pointers.
final class ResidentMemory {
  private(set) var byteCount = 0
  /// Bytes that packed matrices will take, as far as that is known.
  private let expectedBytes: Int

  init(expectedBytes: Int) { self.expectedBytes = expectedBytes }

  private var storages: [Storage] = []
  /// Where the next matrix is packed, and how much of it is taken.
  private var arena: (storage: Storage, used: Int)?
  /// What is packed, by where it came from. Sources stay alive meanwhile, so that an address means one matrix.
  private var views: [TensorPlace: MatrixView] = [:]
  private var sources: [Storage] = []
  private var operators: [StructuredMatrix] = []
  private var lists: [UnsafeMutableBufferPointer<ResidentOperation>] = []
  private var gates: [UnsafeMutablePointer<ResidentGate>] = []

  deinit {
    for list in lists { list.deallocate() }
    for gate in gates { gate.deallocate() }
  }

  func keep(_ values: [Float]) throws(StorageError) -> UnsafePointer<Float> {
    let storage = try Tensor(values, shape: [values.count]).storage
    storages.append(storage)
    byteCount += storage.bytes.count
    return UnsafePointer(storage.base.assumingMemoryBound(to: Float.self))
  }

  func keep(_ values: [Int32]) throws(StorageError) -> UnsafePointer<Int32> {
    let storage = try Storage(byteCount: max(values.count, 1) * 4)
    values.withUnsafeBytes { if $0.count > 0 { storage.bytes.copyMemory(from: $0) } }
    storages.append(storage)
    byteCount += storage.bytes.count
    return UnsafePointer(storage.base.assumingMemoryBound(to: Int32.self))
  }

  func keep(_ pointers: [UnsafePointer<Float>?]) throws(StorageError) -> UnsafePointer<UnsafePointer<Float>?> {
    let storage = try Storage(byteCount: max(pointers.count, 1) * MemoryLayout<UnsafePointer<Float>?>.stride)
    storages.append(storage)
    byteCount += storage.bytes.count
    let memory = storage.base.bindMemory(to: UnsafePointer<Float>?.self, capacity: pointers.count)
    for (index, pointer) in pointers.enumerated() { (memory + index).initialize(to: pointer) }
    return UnsafePointer(memory)
  }

  /// Memory for `count` floats that steps write.
  func reserve(floats count: Int) throws(StorageError) -> UnsafeMutablePointer<Float> {
    let storage = try Storage(byteCount: max(count, 1) * 4)
    try storage.commit()
    storages.append(storage)
    byteCount += storage.bytes.count
    return storage.base.assumingMemoryBound(to: Float.self)
  }

  /// Packs a matrix; one that was packed before, because several places share it, is packed once.
  func pack(_ tensor: Tensor, _ pool: ThreadPool) throws(StorageError) -> MatrixView {
    try packed(tensor, bytes: PackedMatrix.byteCount(of: tensor)) { PackedMatrix(tensor, in: $0, at: $1, pool: pool) }
  }

  /// Packs the first `columns` columns of a narrow matrix (`MatrixView.isNarrow`), likewise.
  func pack(narrow tensor: Tensor, columns: Int) throws(StorageError) -> MatrixView {
    let bytes = PackedMatrix.narrowByteCount(of: tensor, columns: columns)
    return try packed(tensor, bytes: bytes) { PackedMatrix(narrow: tensor, columns: columns, in: $0, at: $1) }
  }

  private func packed(
    _ tensor: Tensor, bytes: Int, _ pack: (Storage, Int) -> PackedMatrix
  ) throws(StorageError) -> MatrixView {
    let place = TensorPlace(tensor)
    if let view = views[place] { return view }
    let room = (bytes + 63) / 64 * 64
    if arena.map({ $0.used + room > $0.storage.bytes.count }) ?? true {
      // One large piece rather than many small ones: the system gives it in large pages, and only those that are written.
      let storage = try Storage(unwritten: max(room, arena == nil ? expectedBytes : byteCount / 8))
      storages.append(storage)
      arena = (storage, 0)
    }
    guard let (storage, used) = arena else { preconditionFailure("an arena was just made") }
    let matrix = pack(storage, used)
    arena = (storage, used + room)
    sources.append(tensor.storage)
    views[place] = matrix.view
    byteCount += matrix.byteCount
    return matrix.view
  }

  func keep(_ gate: ResidentGate) -> UnsafePointer<ResidentGate> {
    let memory = UnsafeMutablePointer<ResidentGate>.allocate(capacity: 1)
    memory.initialize(to: gate)
    gates.append(memory)
    return UnsafePointer(memory)
  }

  /// Forgets what was packed from where, and lets go of it: for the end of packing.
  func finishPacking() {
    views = [:]
    sources = []
    arena = nil
  }

  func keep(_ matrix: StructuredMatrix) -> Unmanaged<StructuredMatrix> {
    // Parts of a fused module share one.
    if !operators.contains(where: { $0 === matrix }) {
      operators.append(matrix)
      byteCount += matrix.byteCount
    }
    return .passUnretained(matrix)
  }

  func keep(_ list: [ResidentOperation]) -> UnsafeBufferPointer<ResidentOperation> {
    let memory = UnsafeMutableBufferPointer<ResidentOperation>.allocate(capacity: list.count)
    _ = memory.initialize(from: list)
    lists.append(memory)
    return UnsafeBufferPointer(memory)
  }

  /// The operation of an operator; nil for low rank, which runs elsewhere.
  func operation(_ delta: DeltaOperator, _ pool: ThreadPool) throws(StorageError) -> ResidentOperation? {
    switch delta {
    case .lowRank, .gated: return nil
    case .structured(let structured):
      if let matrix = structured.matrix.dense {
        return .dense(try pack(matrix.slice(rows: structured.rows), pool), scale: structured.scale)
      }
      return .structured(keep(structured.matrix), scale: structured.scale, rows: structured.rows)
    case .scale(let scale):
      let (factors, sums) = (try keep(scale.factors), scale.combination == .sum)
      switch scale.place {
      case .input: return .inputScale(factors, sums: sums)
      case .product: return .productScale(factors, sums: sums)
      case .output:
        let shift = try scale.shift.map { values throws(StorageError) in try keep(values) }
        return .outputScale(factors, shift: shift, sums: sums)
      }
    case .rotate(let rotation):
      switch rotation.form {
      case .blocks(let blocks, let order):
        let places = try order.map { values throws(StorageError) in try keep(values) }
        return .blocks(try keep(blocks.floats()), size: blocks.shape[1], order: places)
      case .reflections(let units): return .reflections(try keep(units.floats()), count: units.rows)
      case .planes(let cosines, let sines, let group):
        return .planes(cosines: try keep(cosines), sines: try keep(sines), group: group)
      }
    case .bias(let bias): return .bias(try keep(bias.values), replaces: bias.isReplacement)
    case .replace(let replacement): return .replace(try pack(replacement.weight, pool))
    }
  }
}
