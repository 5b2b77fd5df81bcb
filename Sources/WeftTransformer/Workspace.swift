// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// Forms of a row of activations beside the floats, which are always there.
struct InputForms: OptionSet {
  let rawValue: UInt8
  /// Blocks of int8.
  static let blocks = InputForms(rawValue: 1)
  /// In bf16.
  static let rounded = InputForms(rawValue: 2)

  init(rawValue: UInt8) { self.rawValue = rawValue }

  /// Those that steps may need: factors of adapters may read blocks.
  /// - Parameter roundsActivations: whether products with bf16 weights read bf16.
  init(roundsActivations: Bool) { self = roundsActivations ? [.blocks, .rounded] : .blocks }

  init(_ form: InputForm?) {
    switch form {
    case .blocks: self = .blocks
    case .rounded: self = .rounded
    case .floats, nil: self = []
    }
  }
}

/// Rows of activations: as floats, and in the forms in which matrices read them.
struct Activations {
  let floats: UnsafeMutablePointer<Float>
  /// Floats between rows.
  let stride: Int
  let quantized: UnsafeMutableRawPointer
  /// Bytes between quantised rows.
  let quantizedStride: Int
  let rounded: UnsafeMutableRawPointer
  /// Bytes between rounded rows.
  let roundedStride: Int

  @inline(__always)
  func row(_ index: Int) -> UnsafeMutablePointer<Float> { floats + index * stride }

  /// What a product reads, and the bytes between its rows.
  @inline(__always)
  func input(_ form: InputForm) -> (rows: UnsafeRawPointer, stride: Int) {
    switch form {
    case .floats: (UnsafeRawPointer(floats), stride * 4)
    case .blocks: (UnsafeRawPointer(quantized), quantizedStride)
    case .rounded: (UnsafeRawPointer(rounded), roundedStride)
    }
  }

  /// The same memory from a row on: its row 0 is this one's row `first`.
  @inline(__always)
  func from(row first: Int) -> Activations {
    Activations(
      floats: row(first), stride: stride, quantized: quantized + first * quantizedStride, quantizedStride: quantizedStride,
      rounded: rounded + first * roundedStride, roundedStride: roundedStride)
  }

  /// Writes other forms of columns [begin, end) of a row; those of blocks are multiples of 32.
  @inline(__always)
  func write(_ forms: InputForms, row index: Int, begin: Int, end: Int, _ kernels: Kernels) {
    if forms.contains(.blocks) { kernels.quantize(quantized + index * quantizedStride, row(index), begin: begin, end: end) }
    if forms.contains(.rounded) { kernels.round(rounded + index * roundedStride, row(index), begin: begin, end: end) }
  }

  /// Copies a row, all forms, from other activations of the same width.
  @inline(__always)
  func copy(row index: Int, from other: Activations, row source: Int) {
    row(index).update(from: other.row(source), count: stride)
    (quantized + index * quantizedStride).copyMemory(
      from: other.quantized + source * other.quantizedStride, byteCount: quantizedStride)
    (rounded + index * roundedStride).copyMemory(from: other.rounded + source * other.roundedStride, byteCount: roundedStride)
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

  /// The forms that its inputs can have.
  private let forms: InputForms

  /// Bytes in all.
  var byteCount: Int { storage.bytes.count + (experts?.byteCount ?? 0) + (adapterStorage?.bytes.count ?? 0) }
  /// Bytes that adapters asked for.
  var adapterByteCount: Int { adapterStorage.map { Storage.residentBytes($0.bytes.count) } ?? 0 }

  /// The widths of `Activations`, in the order of the properties: floats in a row, columns in other forms (0: there are none),
  /// rows.
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
    config: ModelConfig, rows: Int, logitRows: Int, deltaWidth: Int, forms: InputForms
  ) throws(StorageError) -> Int {
    let shapes = shapes(config: config, rows: rows, logitRows: logitRows, deltaWidth: deltaWidth)
    let experts = try config.experts.map { experts throws(StorageError) in
      try ExpertWorkspace.byteCount(config: config, experts: experts, rows: rows, deltaWidth: deltaWidth, forms: forms)
    }
    let (bytes, overflow) = try byteCount(shapes, forms).addingReportingOverflow(experts ?? 0)
    guard !overflow else { throw .outOfMemory(bytes: .max) }
    return bytes
  }

  /// - Parameter forms: in which inputs can be read.
  init(config: ModelConfig, rows: Int, logitRows: Int, deltaWidth: Int, forms: InputForms) throws(StorageError) {
    let (storage, made) = try Workspace.reserve(
      Workspace.shapes(config: config, rows: rows, logitRows: logitRows, deltaWidth: deltaWidth), forms)
    self.storage = storage
    self.forms = forms
    (hidden, normed, attentionIn, attentionOut) = (made[0], made[1], made[2], made[3])
    (feedForward, projected, low, self.rotary, logits) = (made[4], made[5], made[6], made[7], made[8])
    experts = try config.experts.map { experts throws(StorageError) in
      try ExpertWorkspace(config: config, experts: experts, rows: rows, deltaWidth: deltaWidth, forms: forms)
    }
  }

  /// Makes room for what adapters need beyond what is there. Not during a step.
  func reserve(_ needs: AdapterNeeds, config: ModelConfig, rows: Int) throws(StorageError) {
    let all = adapterNeeds.union(needs)
    guard all != adapterNeeds, let made = try all.reserve(config: config, rows: rows, forms: forms) else { return }
    (adapterStorage, changedInputs, gates) = (made.storage, made.changedInputs, made.gates)
    adapterNeeds = all
  }

  typealias Shape = (width: Int, columns: Int, rows: Int)

  /// Where rows lie in one piece of memory: all of one form, then all of the next.
  private struct Place {
    let (floats, stride): (Int, Int)
    let (quantized, quantizedStride): (Int, Int)
    let (rounded, roundedStride): (Int, Int)

    func activations(at base: UnsafeMutableRawPointer) -> Activations {
      Activations(
        floats: (base + floats).assumingMemoryBound(to: Float.self), stride: stride, quantized: base + quantized,
        quantizedStride: quantizedStride, rounded: base + rounded, roundedStride: roundedStride)
    }
  }

  /// Where rows of several widths lie in one piece of memory, and how long that is.
  private static func layout(_ shapes: [Shape], _ forms: InputForms) throws(StorageError) -> (places: [Place], byteCount: Int) {
    var offset = 0
    var places: [Place] = []
    for (width, columns, rows) in shapes {
      let stride = MatrixView.padded(max(width, 1))
      let quantizedStride = MatrixView.rowBytes(.blocks, columns: columns)
      let roundedStride = forms.contains(.rounded) ? MatrixView.rowBytes(.rounded, columns: columns) : 0
      let (bytes, overflow) = rows.multipliedReportingOverflow(by: stride * 4 + quantizedStride + roundedStride)
      guard !overflow, offset < Int.max - bytes - 63 else { throw .outOfMemory(bytes: .max) }
      let quantized = offset + rows * stride * 4
      places.append(
        Place(
          floats: offset, stride: stride, quantized: quantized, quantizedStride: quantizedStride,
          rounded: quantized + rows * quantizedStride, roundedStride: roundedStride))
      offset += (bytes + 63) / 64 * 64
    }
    return (places, offset)
  }

  /// Bytes of rows of several widths.
  static func byteCount(_ shapes: [Shape], _ forms: InputForms) throws(StorageError) -> Int {
    try layout(shapes, forms).byteCount
  }

  /// Rows of several widths in one piece of memory.
  static func reserve(_ shapes: [Shape], _ forms: InputForms) throws(StorageError) -> (Storage, [Activations]) {
    let (places, byteCount) = try layout(shapes, forms)
    let storage = try Storage(byteCount: byteCount)
    try storage.commit()
    return (storage, places.map { $0.activations(at: storage.base) })
  }
}
