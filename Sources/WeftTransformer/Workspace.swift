// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Rows of activations: as floats, and as int8 blocks where a quantised matrix reads them.
struct Activations {
  let floats: UnsafeMutablePointer<Float>
  /// Floats between rows.
  let stride: Int
  let quantized: UnsafeMutableRawPointer
  /// Bytes between quantised rows.
  let quantizedStride: Int
  /// Columns in use.
  let columns: Int

  @inline(__always)
  func row(_ index: Int) -> UnsafeMutablePointer<Float> { floats + index * stride }

  /// The same memory from a row on: its row 0 is this one's row `first`.
  @inline(__always)
  func from(row first: Int) -> Activations {
    Activations(
      floats: row(first), stride: stride, quantized: quantized + first * quantizedStride, quantizedStride: quantizedStride,
      columns: columns)
  }

  /// The same rows with fewer columns in use: the quantised form of a row depends on how many there are.
  @inline(__always)
  func narrowed(to columns: Int) -> Activations {
    Activations(
      floats: floats, stride: stride, quantized: quantized, quantizedStride: quantizedStride, columns: columns)
  }

  /// Quantises columns [begin, end) of a row.
  @inline(__always)
  func quantize(row index: Int, begin: Int, end: Int, _ kernels: Kernels) {
    kernels.quantize(quantized + index * quantizedStride, row(index), begin: begin, end: end)
  }

  /// Copies a row, both forms, from other activations of the same width.
  @inline(__always)
  func copy(row index: Int, from other: Activations, row source: Int) {
    row(index).update(from: other.row(source), count: stride)
    (quantized + index * quantizedStride).copyMemory(
      from: other.quantized + source * other.quantizedStride, byteCount: quantizedStride)
  }
}

/// All memory that a step writes, reserved once. Row i of everything belongs to row i of the batch.
final class Workspace {
  private let storage: Storage
  /// The residual stream: [rows][hiddenSize].
  let hidden: Activations
  /// The normalised residual stream, input of attention and feed-forward.
  let normed: Activations
  /// q, k, v side by side, each padded to whole tiles.
  let attentionIn: Activations
  /// The heads' outputs, input of the output projection.
  let attentionOut: Activations
  /// gate and up side by side; gate becomes the input of down.
  let feedForward: Activations
  /// What the output and the down projection add to the residual stream.
  let projected: Activations
  /// u: low-rank activations of the active adapters.
  let low: Activations
  /// Cosines and sines of each row's position, of every rotary table.
  let rotary: Activations
  /// Logits: [logit rows][vocabularySize padded to tiles].
  let logits: Activations
  /// What sparse layers need; nil when there are none.
  let experts: ExpertWorkspace?
  /// The inputs of up to three maps after adapters changed them, and gates of each row; nil until an adapter needs them.
  private(set) var changedInputs: ChangedInputs?
  private(set) var gates: Activations?
  private(set) var adapterNeeds = AdapterNeeds()
  private var adapterStorage: Storage?

  /// Bytes in all.
  var byteCount: Int { storage.bytes.count + (experts?.byteCount ?? 0) + (adapterStorage?.bytes.count ?? 0) }
  /// Bytes that adapters asked for.
  var adapterByteCount: Int { adapterStorage.map { Storage.residentBytes($0.bytes.count) } ?? 0 }

  /// The widths of `Activations`, in the order of the properties: floats in a row, columns of the quantised form (0: there is
  /// none), rows.
  private static func shapes(config: ModelConfig, rows: Int, logitRows: Int, deltaWidth: Int) -> [Shape] {
    let attention = MatrixView.padded(config.queryWidth) + 2 * MatrixView.padded(config.keyValueWidth)
    let width = config.intermediateSize
    let rotary = config.rotaries.reduce(0) { $0 + $1.dimension }
    return [
      (config.hiddenSize, 0, rows), (config.hiddenSize, config.hiddenSize, rows), (attention, 0, rows),
      (config.queryWidth, config.queryWidth, rows), (MatrixView.padded(width) * 2, width, rows),
      (config.hiddenSize, 0, rows), (deltaWidth, 0, rows), (rotary, 0, rows), (config.vocabularySize, 0, logitRows),
    ]
  }

  /// Bytes that a workspace of these sizes takes.
  static func byteCount(
    config: ModelConfig, rows: Int, logitRows: Int, deltaWidth: Int
  ) throws(StorageError) -> Int {
    let shapes = shapes(config: config, rows: rows, logitRows: logitRows, deltaWidth: deltaWidth)
    let experts = try config.experts.map { experts throws(StorageError) in
      try ExpertWorkspace.byteCount(config: config, experts: experts, rows: rows, deltaWidth: deltaWidth)
    }
    let (bytes, overflow) = try byteCount(shapes).addingReportingOverflow(experts ?? 0)
    guard !overflow else { throw .outOfMemory(bytes: .max) }
    return bytes
  }

  init(config: ModelConfig, rows: Int, logitRows: Int, deltaWidth: Int) throws(StorageError) {
    let (storage, made) = try Workspace.reserve(
      Workspace.shapes(config: config, rows: rows, logitRows: logitRows, deltaWidth: deltaWidth))
    self.storage = storage
    (hidden, normed, attentionIn, attentionOut) = (made[0], made[1], made[2], made[3])
    (feedForward, projected, low, self.rotary, logits) = (made[4], made[5], made[6], made[7], made[8])
    experts = try config.experts.map { experts throws(StorageError) in
      try ExpertWorkspace(config: config, experts: experts, rows: rows, deltaWidth: deltaWidth)
    }
  }

  /// Makes room for what adapters need beyond what is there. Not during a step.
  func reserve(_ needs: AdapterNeeds, config: ModelConfig, rows: Int) throws(StorageError) {
    let all = adapterNeeds.union(needs)
    guard all != adapterNeeds, let made = try all.reserve(config: config, rows: rows) else { return }
    (adapterStorage, changedInputs, gates) = (made.storage, made.changedInputs, made.gates)
    adapterNeeds = all
  }

  typealias Shape = (width: Int, quantized: Int, rows: Int)
  private typealias Place = (floats: Int, stride: Int, quantized: Int, quantizedStride: Int, columns: Int)

  /// Where rows of several widths lie in one piece of memory, and how long that is.
  private static func layout(_ shapes: [Shape]) throws(StorageError) -> (places: [Place], byteCount: Int) {
    var offset = 0
    var places: [Place] = []
    for (width, quantizedColumns, rows) in shapes {
      let stride = MatrixView.padded(max(width, 1))
      let quantizedStride = MatrixView.quantizedRowBytes(columns: quantizedColumns)
      let (bytes, overflow) = rows.multipliedReportingOverflow(by: stride * 4 + quantizedStride)
      guard !overflow, offset < Int.max - bytes - 63 else { throw .outOfMemory(bytes: .max) }
      places.append((offset, stride, offset + rows * stride * 4, quantizedStride, quantizedColumns))
      offset += (bytes + 63) / 64 * 64
    }
    return (places, offset)
  }

  /// Bytes of rows of several widths.
  static func byteCount(_ shapes: [Shape]) throws(StorageError) -> Int { try layout(shapes).byteCount }

  /// Rows of several widths in one piece of memory.
  static func reserve(_ shapes: [Shape]) throws(StorageError) -> (Storage, [Activations]) {
    let (places, byteCount) = try layout(shapes)
    let storage = try Storage(byteCount: byteCount)
    try storage.commit()
    return (
      storage,
      places.map { place in
        Activations(
          floats: (storage.base + place.floats).assumingMemoryBound(to: Float.self), stride: place.stride,
          quantized: storage.base + place.quantized, quantizedStride: place.quantizedStride, columns: place.columns)
      }
    )
  }
}
