// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// What an adapter does to one linear map beside low rank, as pointers into its `ResidentAdapter`: trivial to copy.
/// `DeltaOperator` says what each means and in which order they act.
enum ResidentOperation {
  case inputScale(UnsafePointer<Float>, sums: Bool)
  case blocks(UnsafePointer<Float>, size: Int, order: UnsafePointer<Int32>?)
  case reflections(UnsafePointer<Float>, count: Int)
  case replace(MatrixView)
  case productScale(UnsafePointer<Float>, sums: Bool)
  /// A matrix without structure, and its scale.
  case dense(MatrixView, scale: Float)
  case structured(Unmanaged<StructuredMatrix>, scale: Float, rows: Range<Int>)
  case bias(UnsafePointer<Float>, replaces: Bool)
  case outputScale(UnsafePointer<Float>, shift: UnsafePointer<Float>?, sums: Bool)
  case planes(cosines: UnsafePointer<Float>, sines: UnsafePointer<Float>, group: Int)

  var isInputScale: Bool { if case .inputScale = self { true } else { false } }

  var isOfInput: Bool {
    switch self {
    case .inputScale, .blocks, .reflections: true
    case .replace, .productScale, .dense, .structured, .bias, .outputScale, .planes: false
    }
  }
}

/// The operations of one adapter on the maps of an input group.
struct ResidentOperations {
  typealias List = UnsafeBufferPointer<ResidentOperation>
  var parts: (List, List, List)
  /// Whether any of a part changes the input.
  var changesInput: (Bool, Bool, Bool)
  /// Whether any does more than that.
  var changesOutput: Bool
  /// Whether it only scales the input of a group of one part, and the adapter has no low rank there, which would read the input as
  /// it was: then what makes the input scales it where it lies.
  var scalesInPlace: Bool
  /// Memory for vectors, of each thread: `scratchStride` floats apart.
  let scratch: UnsafeMutablePointer<Float>
  let scratchStride: Int

  @inline(__always)
  func part(_ index: Int) -> UnsafeBufferPointer<ResidentOperation> {
    switch index {
    case 0: parts.0
    case 1: parts.1
    default: parts.2
    }
  }

  @inline(__always)
  func changesInput(_ index: Int) -> Bool {
    switch index {
    case 0: changesInput.0
    case 1: changesInput.1
    default: changesInput.2
    }
  }
}

/// Memory that belongs to a resident adapter: numbers, matrices and operators that steps reach through pointers.
final class ResidentMemory {
  private(set) var byteCount = 0
  /// Bytes that packed matrices will take, as far as that is known.
  private let expectedBytes: Int

  init(expectedBytes: Int) { self.expectedBytes = expectedBytes }

  private var storages: [Storage] = []
  private var matrices: [PackedMatrix] = []
  /// Where the next matrix is packed, and how much of it is taken.
  private var arena: (storage: Storage, used: Int)?
  /// What is packed, by where it came from. Sources stay alive meanwhile, so that an address means one matrix.
  private var views: [TensorPlace: MatrixView] = [:]
  private var sources: [Storage] = []
  private var operators: [StructuredMatrix] = []
  private var lists: [UnsafeMutableBufferPointer<ResidentOperation>] = []

  deinit { for list in lists { list.deallocate() } }

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
    let place = TensorPlace(tensor)
    if let view = views[place] { return view }
    let bytes = (PackedMatrix.byteCount(of: tensor) + 63) / 64 * 64
    if arena.map({ $0.used + bytes > $0.storage.bytes.count }) ?? true {
      // One large piece rather than many small ones: the system gives it in large pages, and only those that are written.
      let size = max(bytes, arena == nil ? expectedBytes : byteCount / 8)
      arena = (try Storage(unwritten: size), 0)
    }
    guard let (storage, used) = arena else { preconditionFailure("an arena was just made") }
    let matrix = PackedMatrix(tensor, in: storage, at: used, pool: pool)
    arena = (storage, used + bytes)
    matrices.append(matrix)
    sources.append(tensor.storage)
    views[place] = matrix.view
    byteCount += matrix.byteCount
    return matrix.view
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
