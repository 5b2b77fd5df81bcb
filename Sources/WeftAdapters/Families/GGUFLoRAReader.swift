// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// Reads the factors and norms of a GGUF file for a base; see `GGUFLoRA`.
struct GGUFLoRAReader {
  let names: GGUFNames
  let alpha: Double?
  var builder: DeltaBuilder
  private var modules: [String: [BaseModule]] = [:]
  /// Whether the file's factors are turned round, as far as a shape has told.
  private var isTurned: Bool?

  init(_ names: GGUFNames, _ base: BaseModel, alpha: Double?, _ files: AdapterFolder) {
    self.names = names
    self.alpha = alpha
    builder = DeltaBuilder(base, files)
    for module in names.modules { modules[module.path, default: []].append(module) }
  }

  mutating func read(_ files: inout AdapterFolder) throws(AdapterError) {
    let location = files.tensorsLocation
    var pairs: [(path: String, a: String, b: String)] = []
    for name in files.tensorNames {
      if let path = path(name, ending: ".lora_a") {
        guard files.has(path.tensor + ".lora_b") else {
          throw .missingTensor(location: location, tensor: path.tensor + ".lora_b")
        }
        pairs.append((path.module, name, path.tensor + ".lora_b"))
      } else if let path = path(name, ending: ".lora_b") {
        guard files.has(path.tensor + ".lora_a") else {
          throw .missingTensor(location: location, tensor: path.tensor + ".lora_a")
        }
      } else {
        try readNorm(name, &files)
      }
    }
    for pair in pairs where isTurned == nil {
      guard let module = modules[pair.path]?.first, modules[pair.path]?.count == 1, module.parameter == nil else { continue }
      let size = builder.base.size(of: module)
      guard size.in != size.out else { continue }
      isTurned = files.shape(of: pair.a).last == size.out && files.shape(of: pair.b).first == size.in
    }
    for pair in pairs { try read(pair, &files) }
  }

  /// `blk.0.attn_q` of `blk.0.attn_q.weight.lora_a`. Stacked experts have `.weight` too.
  private func path(_ name: String, ending: String) -> (module: String, tensor: String)? {
    guard name.hasSuffix(".weight" + ending) else { return nil }
    let tensor = String(name.dropLast(ending.count))
    return (String(tensor.dropLast(".weight".count)), tensor)
  }

  private mutating func readNorm(_ name: String, _ files: inout AdapterFolder) throws(AdapterError) {
    let location = files.tensorsLocation
    guard let site = names.norms.first(where: { name == $0.value + ".weight" })?.key,
      let norm = builder.base.shape.norms.first(where: { $0.site == site })
    else {
      throw .unknownTensor(location: location, tensor: name, expected: "<base tensor>.lora_a or .lora_b, or a norm's weight")
    }
    let weight = try files.takeFloats(name, shape: [norm.size])
    do throws(DeltaError) { builder.deltas.norms[site] = try NormReplacement(weight: weight, bias: nil) } catch {
      throw .part(location: location, part: name, error)
    }
  }

  private mutating func read(_ pair: (path: String, a: String, b: String), _ files: inout AdapterFolder) throws(AdapterError) {
    let location = files.tensorsLocation
    let (shapeA, shapeB) = (files.shape(of: pair.a), files.shape(of: pair.b))
    if pair.path == names.embedding {
      let embedding = builder.base.shape.embedding
      let rank = shapeB.last ?? 0
      let a = try factor(pair.a, [embedding.vocabularySize, rank], &files).asFloats(columns: rank)
      let b = try factor(pair.b, [embedding.hiddenSize, rank], &files)
      let (turned, scale) = (try a.transposed(), scale(rank))
      return try builder.addEmbedding { () throws(DeltaError) in .lowRank(try LowRank(a: turned, b: b, scale: scale)) }
    }
    guard let candidates = modules[pair.path] else { throw unknown(pair, location) }
    // Of two modules with one name the rows tell.
    let module =
      candidates.first { module in
        shapeB.dropLast().last == builder.base.size(of: module).out / (module.parameter == nil ? 1 : module.expertCount)
      } ?? candidates[0]
    if module.parameter != nil { return try readExperts(module, pair, &files) }
    let size = builder.base.size(of: module)
    let isTurned = isTurned ?? false
    let rank = isTurned ? shapeA.first ?? 0 : shapeB.last ?? 0
    var a: Tensor
    var b: Tensor
    if isTurned {
      b = try factor(pair.a, [rank, size.out], &files).asFloats(columns: size.out).transposed()
      a = try factor(pair.b, [size.in, rank], &files).asFloats(columns: rank).transposed()
    } else {
      a = try factor(pair.a, [rank, size.in], &files)
      b = try factor(pair.b, [size.out, rank], &files)
    }
    b = try inOrder(b, module)
    try builder.addLowRank(a, b, scale: scale(rank), to: module)
  }

  private mutating func readExperts(
    _ module: BaseModule, _ pair: (path: String, a: String, b: String), _ files: inout AdapterFolder
  ) throws(AdapterError) {
    let (size, count) = (builder.base.size(of: module), module.expertCount)
    let (rows, rank) = (size.out / count, files.shape(of: pair.b).last ?? 0)
    let a = try factor(pair.a, [count, rank, size.in], &files)
    let b = try factor(pair.b, [count, rows, rank], &files)
    let scale = scale(rank)
    try builder.add(to: module) { range throws(DeltaError) in
      let expert = range.lowerBound / rows
      return .lowRank(
        try LowRank(a: a.slice(rows: expert * rank..<(expert + 1) * rank), b: b.slice(rows: range), scale: scale))
    }
  }

  private func scale(_ rank: Int) -> Float { alpha.map { Float($0 / Double(max(rank, 1))) } ?? 1 }

  /// A factor in a type that `LowRank` keeps: others are widened.
  private func factor(_ name: String, _ shape: [Int], _ files: inout AdapterFolder) throws(AdapterError) -> Tensor {
    try files.requireShape(name, shape)
    guard !shape.contains(0) else {
      throw .wrongShape(location: files.tensorsLocation, tensor: name, expected: shape.map { max($0, 1) }, found: shape)
    }
    return try files.takeFactor(name)
  }

  /// Rows of q and k in the order of transformers.
  private func inOrder(_ b: Tensor, _ module: BaseModule) throws(AdapterError) -> Tensor {
    guard names.interleavesHeads, let site = module.sites.first, module.sites.count == 1,
      case .layer(_, let projection) = site, projection == .query || projection == .key
    else { return b }
    return try b.reordered(
      GGUFNames.interleavedRows(headDimension: builder.base.shape.attention.headDimension, rows: b.rows))
  }

  private func unknown(_ pair: (path: String, a: String, b: String), _ location: String) -> AdapterError {
    let parts = pair.path.split(separator: ".")
    if parts.count > 2, parts[0] == "blk", let layer = Int(parts[1]), layer >= builder.base.shape.layerCount,
      modules["blk.0." + parts[2...].joined(separator: ".")] != nil
    {
      return .layerOutOfRange(location: location, tensor: pair.a, layerCount: builder.base.shape.layerCount)
    }
    return .unknownTensor(
      location: location, tensor: pair.a, expected: "a tensor of this base, such as \(names.modules[0].path).weight.lora_a")
  }
}
