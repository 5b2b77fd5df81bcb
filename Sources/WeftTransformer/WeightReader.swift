// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// Takes tensors out of a checkpoint by their role, checks shape, type and values, and at the end that none is left over.
struct WeightReader {
  let checkpoint: Checkpoint
  let architecture: Architecture
  let config: ModelConfig
  /// The size of every linear map.
  let sizes: [WeightSite: BaseShape.Size]
  /// Tensors of parts that Weft does not run.
  let otherPartTensors: Int
  private let names: TensorNames
  private var unused: Set<String>
  private var finite: Set<String> = []
  /// Transposed copies of tensors that are stored as [in, out].
  private var transposed: [String: Tensor] = [:]
  /// What was taken of every tensor.
  private(set) var uses: [String: [TensorUse]] = [:]
  /// False when only sizes are wanted: then values are neither checked, compared nor transposed.
  private let readsValues: Bool

  init(_ checkpoint: Checkpoint, readsValues: Bool = true) throws(ModelError) {
    self.checkpoint = checkpoint
    self.readsValues = readsValues
    let (architecture, fields) = try Architecture.of(checkpoint)
    self.architecture = architecture
    config = try architecture.configure(fields)
    sizes = config.linearSizes
    names = WeightReader.names(checkpoint, architecture)
    unused = Set(checkpoint.tensors.keys)
    // The divisors are in the configuration.
    for name in ["rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"] { unused.remove(name) }
    var others = 0
    for name in checkpoint.tensors.keys {
      if names.buffers.contains(where: { name.hasSuffix($0) }) {
        unused.remove(name)
      } else if names.otherParts.contains(where: { name.hasPrefix($0) }) {
        unused.remove(name)
        others += 1
      }
    }
    otherPartTensors = others
  }

  /// The names of this file, whose root may not be the usual one.
  private static func names(_ checkpoint: Checkpoint, _ architecture: Architecture) -> TensorNames {
    guard checkpoint.form == .huggingFace else { return .gguf }
    var names = architecture.names
    let roots = [names.root] + names.otherRoots
    names.root = roots.first { checkpoint.tensors[$0 + names.embedding + ".weight"] != nil } ?? names.root
    return names
  }

  /// Bytes of the transposed copies.
  private(set) var transposedBytes = 0

  // MARK: - Outside the layers

  mutating func embedding() throws(ModelError) -> ModelWeights.Source {
    try matrix(names.root + names.embedding + ".weight", rows: config.vocabularySize, .embedding)
  }

  /// The learned positions; nil when the model has none.
  mutating func positions() throws(ModelError) -> ModelWeights.Source? {
    guard config.positionRows > 0 else { return nil }
    return try matrix(names.root + names.positionEmbedding + ".weight", rows: config.positionRows, .positions)
  }

  mutating func outputNorm() throws(ModelError) -> NormSource {
    try norm(named: names.root + names.outputNorm, .output, count: config.hiddenSize)
  }

  /// The name of the head's weight, where it has one of its own.
  var headName: String { names.outputHead + ".weight" }

  /// The output head; nil when it is the embedding. A configuration that ties them and a file that has a different head
  /// contradict each other.
  mutating func head(embedding: ModelWeights.Source) throws(ModelError) -> ModelWeights.Source? {
    let name = headName
    guard checkpoint.tensors[name] != nil else {
      if config.tieWordEmbeddings == false { throw .missingTensor(location: checkpoint.path, name: name) }
      return nil
    }
    let head = try matrix(name, rows: config.vocabularySize, .matrix(.outputHead))
    guard config.tieWordEmbeddings == true else { return head }
    guard readsValues else { return nil }
    let (one, other) = (head.tensor, embedding.tensor)
    let same =
      one.dtype == other.dtype
      && UnsafeRawBufferPointer(start: one.base, count: one.byteCount)
        .elementsEqual(UnsafeRawBufferPointer(start: other.base, count: other.byteCount))
    guard same else {
      throw .invalidConfig(
        location: checkpoint.path, field: "tie_word_embeddings", expected: "\(name) equal to the embedding",
        found: "a different matrix")
    }
    return nil
  }

  private mutating func matrix(
    _ name: String, rows: Int, _ part: TensorUse.Part
  ) throws(ModelError) -> ModelWeights.Source {
    let tensor = try weight(name, shape: [rows, config.hiddenSize])
    uses[name, default: []].append(TensorUse(part, first: 0, count: rows))
    return ModelWeights.Source(name: name, tensor: tensor, rowMap: nil)
  }

  // MARK: - Layers

  /// A norm as the file has it, in memory of its own.
  struct NormSource {
    let weight: Storage
    let bias: Storage?
  }

  /// A norm of a layer, over `count` numbers.
  mutating func norm(_ layer: Int, _ role: NormRole, count: Int) throws(ModelError) -> NormSource {
    guard let name = names.norms[role] else { preconditionFailure("the architecture has no name for \(role)") }
    // A norm over heads stands before the rotation: its weights follow the order of the head's rows.
    let heads = role == .query || role == .key ? rowMap(heads: count / config.headDimension) : nil
    return try norm(named: names.layer(layer, name), .layer(layer, role), count: count, rowMap: heads)
  }

  private mutating func norm(
    named name: String, _ site: NormSite, count: Int, rowMap: [Int32]? = nil
  ) throws(ModelError) -> NormSource {
    let offset = checkpoint.form == .gguf ? 0 : config.normOffset
    let weight = try vector(name + ".weight", count: count, offset: offset, rowMap: rowMap)
    uses[name + ".weight", default: []].append(
      TensorUse(.normWeight(site), first: 0, count: count, rowMap: rowMap, offset: offset))
    guard config.norm == .layer else { return NormSource(weight: weight, bias: nil) }
    let bias = try vector(name + ".bias", count: count)
    uses[name + ".bias", default: []].append(TensorUse(.normBias(site), first: 0, count: count))
    return NormSource(weight: weight, bias: bias)
  }

  /// The weight of a linear map.
  mutating func linear(_ site: WeightSite) throws(ModelError) -> ModelWeights.Source {
    guard let size = sizes[site] else { preconditionFailure("\(site) is no site of this model") }
    let place = try place(of: site)
    var tensor: Tensor
    let isTransposed = place.linear.isTransposed && checkpoint.form == .huggingFace
    if isTransposed {
      tensor = try transposedWeight(place.tensorName, rows: place.rowCount, columns: size.in)
    } else if place.linear.experts == .stacked {
      guard let experts = config.experts else { preconditionFailure("\(site) without experts") }
      tensor = try weight(place.tensorName, shape: [experts.count, place.rowCount, size.in])
    } else if place.rowCount == 1, let row = checkpoint.tensors[place.tensorName], row.shape == [size.in] {
      // One row may be stored as a vector (the score of a shared expert in GGUF).
      tensor = try weight(place.tensorName, shape: [size.in]).slice(rows: 0..<1)
    } else {
      tensor = try weight(place.tensorName, shape: [place.rowCount, size.in])
    }
    uses[place.tensorName, default: []].append(
      TensorUse(.matrix(site), first: place.row, count: size.out, rowMap: rowMap(site), isTransposed: isTransposed))
    let isWhole = place.row == 0 && size.out == tensor.rows
    if !isWhole { tensor = tensor.slice(rows: place.row..<place.row + size.out) }
    return ModelWeights.Source(name: place.tensorName, tensor: tensor, rowMap: rowMap(site))
  }

  /// The bias of a linear map; nil when the configuration says that there is none, or leaves it to the file and there is none.
  mutating func bias(_ site: WeightSite) throws(ModelError) -> Storage? {
    guard case .layer(_, let projection) = site, let size = sizes[site] else { return nil }
    let place = try place(of: site)
    let name = place.linear.name
    let text = names.layer(site.layer ?? 0, name) + ".bias"
    guard config.biases?.contains(projection) ?? (checkpoint.tensors[text] != nil) else { return nil }
    let range = place.row..<place.row + size.out
    uses[text, default: []].append(TensorUse(.bias(site), first: place.row, count: size.out, rowMap: rowMap(site)))
    return try vector(text, count: place.rowCount, range: range, rowMap: rowMap(site))
  }

  /// Where the rows of a site begin in which tensor.
  private struct Place {
    let linear: LinearName
    let tensorName: String
    /// The first row, over all experts of a stacked tensor.
    let row: Int
    /// Rows of the tensor, or of one expert in it.
    let rowCount: Int
  }

  private func place(of site: WeightSite) throws(ModelError) -> Place {
    var missing: String?
    for linear in names.linears {
      guard let place = place(of: site, in: linear) else { continue }
      missing = missing ?? place.tensorName
      guard let tensor = checkpoint.tensors[place.tensorName] else { continue }
      // Phi-3's GGUF has gate and up under the name of up: the number of rows tells.
      if checkpoint.form == .gguf, linear.experts == .none, tensor.shape.count == 2, tensor.rows != place.rowCount,
        names.linears.contains(where: { $0.name == linear.name && $0 != linear })
      {
        continue
      }
      return place
    }
    throw .missingTensor(location: checkpoint.path, name: missing ?? "\(site)")
  }

  private func place(of site: WeightSite, in linear: LinearName) -> Place? {
    let (layer, projection, expert): (Int, Projection, Int?) =
      switch site {
      case .layer(let layer, let projection): (layer, projection, nil)
      case .expert(let layer, let expert, let projection): (layer, projection, expert)
      case .outputHead: preconditionFailure("the head is no part of a layer")
      }
    guard (linear.experts == .none) == (expert == nil), let index = linear.projections.firstIndex(of: projection) else {
      return nil
    }
    let rows = linear.projections.map { part in
      sizes[expert.map { .expert(layer, $0, part) } ?? .layer(layer, part)]?.out ?? 0
    }
    let rowCount = rows.reduce(0, +)
    var (name, row) = (linear.name, rows[..<index].reduce(0, +))
    switch linear.experts {
    case .none: name += ".weight"
    case .each: name = name.replacing("*", with: "\(expert ?? 0)") + ".weight"
    case .stacked: row += (expert ?? 0) * rowCount
    }
    return Place(linear: linear, tensorName: names.layer(layer, name), row: row, rowCount: rowCount)
  }

  // MARK: - Tensors

  /// Refuses tensors that nobody took.
  func finish() throws(ModelError) {
    if let name = unused.min() {
      throw .unusedTensor(location: checkpoint.path, name: name, architecture: config.architecture)
    }
  }

  private mutating func weight(_ name: String, shape: [Int]) throws(ModelError) -> Tensor {
    let tensor = try take(name, shape: shape)
    guard tensor.dtype.isWeight else {
      throw .unsupported(location: checkpoint.path, field: name, expected: "a weight type", found: tensor.dtype.name)
    }
    return tensor
  }

  private mutating func transposedWeight(_ name: String, rows: Int, columns: Int) throws(ModelError) -> Tensor {
    if let tensor = transposed[name] { return tensor }
    let stored = try weight(name, shape: [columns, rows])
    let dtype = stored.dtype.isQuantized ? DType.f32 : stored.dtype
    transposedBytes += (dtype.byteCount(elements: rows * columns)).map(Storage.residentBytes) ?? 0
    guard readsValues else {
      let turned =
        Tensor(dtype: stored.dtype, shape: [rows, columns], storage: stored.storage, offset: stored.offset) ?? stored
      transposed[name] = turned
      return turned
    }
    let values = stored.floats()
    var turned = [Float](repeating: 0, count: values.count)
    for column in 0..<columns { for row in 0..<rows { turned[row * columns + column] = values[column * rows + row] } }
    do {
      let tensor = try Tensor(rounding: turned, shape: [rows, columns], to: dtype)
      transposed[name] = tensor
      return tensor
    } catch { throw .storage(error) }
  }

  /// A vector of f32 values in memory of its own: some of its numbers, plus an offset, in another order.
  private mutating func vector(
    _ name: String, count: Int, range: Range<Int>? = nil, offset: Float = 0, rowMap: [Int32]? = nil
  ) throws(ModelError) -> Storage {
    let tensor = try take(name, shape: [count])
    guard tensor.dtype.isWeight, !tensor.dtype.isQuantized else {
      throw .unsupported(location: checkpoint.path, field: name, expected: "F32, F16 or BF16", found: tensor.dtype.name)
    }
    var values = tensor.floats()
    if let range { values = Array(values[range]) }
    if offset != 0 { values = values.map { $0 + offset } }
    if let rowMap { values = rowMap.map { values[Int($0)] } }
    do { return try Tensor(values, shape: [values.count]).storage } catch { throw .storage(error) }
  }

  private mutating func take(_ name: String, shape: [Int]) throws(ModelError) -> Tensor {
    guard let tensor = checkpoint.tensors[name] else { throw .missingTensor(location: checkpoint.path, name: name) }
    guard tensor.shape == shape else {
      throw .shapeMismatch(location: checkpoint.path, tensor: name, expected: shape, found: tensor.shape)
    }
    unused.remove(name)
    guard readsValues, finite.insert(name).inserted else { return tensor }
    if let index = tensor.firstNonFinite() { throw .notFinite(location: checkpoint.path, tensor: name, index: index) }
    // The whole file passes by here: it need not all be in memory at once.
    tensor.storage.releasePages()
    return tensor
  }

  private func rowMap(_ site: WeightSite) -> [Int32]? {
    guard case .layer(let layer, let projection) = site else { return nil }
    return switch projection {
    case .query: rowMap(heads: config.layers[layer].headCount)
    case .key: rowMap(heads: config.layers[layer].keyValueHeadCount)
    default: nil
    }
  }

  /// transformers' row r of a head comes from GGUF's row 2 i + p, where r = p d/2 + i, in architectures that interleave.
  private func rowMap(heads: Int) -> [Int32]? {
    guard checkpoint.form == .gguf, architecture.interleavesHeads else { return nil }
    let (d, half) = (config.headDimension, config.headDimension / 2)
    return (0..<heads * d).map { row in
      let (head, r) = (row / d, row % d)
      return Int32(head * d + 2 * (r % half) + r / half)
    }
  }
}
