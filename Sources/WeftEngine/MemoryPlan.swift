// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors
internal import WeftTransformer

/// What opening a model takes in memory, item by item, known before it is taken.
///
///     let plan = try MemoryPlan(model: "base.gguf", options: EngineOptions(contextLength: 8192))
///     for item in plan.items { print(item.name, item.byteCount) }
///
/// An engine takes all of it when it is opened and nothing worth mentioning later, so `byteCount` is what the process has in
/// memory from then on: its own pages, and those of mapped files that it reads (which the system may take back and read again).
/// Engine and plan get their sizes from the same functions.
public struct MemoryPlan: Sendable {
  /// A part of the memory.
  public struct Item: Sendable, Hashable {
    /// What it is for, as in `weights Q8_0`.
    public let name: String
    /// Where the size comes from, for people.
    public let detail: String
    /// Bytes.
    public let byteCount: Int
  }

  /// The parts, the program first.
  public private(set) var items: [Item]
  /// Bytes of all items.
  public var byteCount: Int { items.reduce(0) { $0 + $1.byteCount } }
  private let sizes: EngineSizes
  private let options: EngineOptions
  /// Bytes of a block of the KV cache in q8_0: the way out when memory is short.
  private let smallestBlockBytes: Int

  /// What the process has in memory now; nil where the system does not say.
  public static var residentBytes: Int? { ProcessMemory.residentBytes }

  /// The plan of an engine with these options and adapters (name and PEFT folder each). Reads the tokenizer and the adapters;
  /// of the model only what describes it.
  public init(
    model path: String, options: EngineOptions = EngineOptions(), adapters: [(name: String, path: String)] = []
  ) throws(EngineError) {
    let options = try options.validated()
    let program = ProgramMemory()
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw EngineError(error) }
    let text = try TextParts(checkpoint)
    let weights: WeightSizes
    do { weights = try WeightSizes(checkpoint, layers: options.layers) } catch { throw EngineError(error) }
    try self.init(
      program: program.byteCount(besides: checkpoint), weights: weights, sizes: EngineSizes(options, weights),
      textBytes: text.byteCount,
      options: options)
    guard !adapters.isEmpty else { return }
    // Some adapters depend on the base's weights.
    let base: BaseModel
    do { base = try ModelWeights.base(of: checkpoint, layers: options.layers) } catch { throw EngineError(error) }
    var needs = AdapterNeeds()
    for (name, path) in adapters {
      do {
        let adapter = try AdapterReader.read(folder: path, name: name, base: base)
        let resident = try ResidentAdapter(adapter.deltas, groups: weights.inputGroups, pool: try ThreadPool(threads: 1))
        if adapter.provenance.isPack { addPacks() }
        add(adapter: name, byteCount: adapter.deltas.withoutLowRank.byteCount + resident.byteCount)
        needs = needs.union(AdapterNeeds(resident))
      } catch let error as AdapterError { throw EngineError(error) } catch let error as ResidentError {
        throw EngineError(error)
      } catch {
        throw EngineError(.outOfMemory, "\(error)")
      }
    }
    do {
      add(
        adapterWorkspace: try needs.byteCount(
          config: weights.config, rows: sizes.rows, roundsActivations: sizes.roundsActivations))
    } catch {
      throw EngineError(error)
    }
  }

  /// - Parameters:
  ///   - program: what the process has in memory besides.
  ///   - textBytes: heap of tokenizer and chat template.
  init(program: Int?, weights: WeightSizes, sizes: EngineSizes, textBytes: Int, options: EngineOptions) throws(EngineError) {
    self.sizes = sizes
    self.options = options
    smallestBlockBytes = KVCache.blockBytes(config: weights.config, dtype: .q8_0)
    items = []
    func add(_ name: String, _ detail: String, _ bytes: Int) {
      if bytes > 0 { items.append(Item(name: name, detail: detail, byteCount: bytes)) }
    }
    add("program", "code, libraries and what they hold, as measured", program ?? 0)
    for (dtype, part) in weights.packed.sorted(by: { $0.value.byteCount > $1.value.byteCount }) {
      add("weights \(dtype.name)", "\(part.count) matri\(part.count == 1 ? "x" : "ces"), packed", part.byteCount)
    }
    add("weights transposed", "copies of matrices that the file has the other way round", weights.transposedBytes)
    add("norms and biases", "in F32", weights.vectorBytes)
    add("embedding", "read from the mapped file", weights.mappedBytes)
    let sequences = options.maximumSequences
    add(
      "KV cache \(options.kvType.rawValue)",
      "\(sizes.contextLength) tokens\(sequences == 1 ? "" : " x \(sequences) sequences"), \(Engine.routingWindow) for a router",
      Storage.residentBytes(sizes.kvBytes))
    add("workspace", "\(sizes.rows) rows a step, \(sizes.logitRows) with logits", Storage.residentBytes(sizes.workspaceBytes))
    add("tokenizer", "with chat template, as measured", textBytes)
    let vocabulary = weights.config.vocabularySize
    add(
      "sampler", "\(vocabulary) candidates",
      Sampler.byteCount(vocabularySize: vocabulary, maximumHistory: sizes.contextLength))
  }

  /// A plan with one more adapter; one of the same name is replaced.
  mutating func add(adapter name: String, byteCount: Int) {
    let item = Item(name: "adapter \(name)", detail: MemoryPlan.adapterDetail, byteCount: byteCount)
    items.removeAll { $0.name == item.name }
    items.append(item)
  }

  /// A plan with this memory that steps need for adapters.
  mutating func add(adapterWorkspace byteCount: Int) {
    let name = "workspace of adapters"
    items.removeAll { $0.name == name }
    if byteCount > 0 { items.append(Item(name: name, detail: "\(sizes.rows) rows a step", byteCount: byteCount)) }
  }

  /// What reading the first pack takes for good: libcrypto and zstd with what they hold. Measured: 3.05 MB with OpenSSL 3.0.19 on
  /// x86-64, the same for one pack and for ten.
  private static let packBytes = 3_050_000

  /// A plan for a program that has read packs.
  mutating func addPacks() {
    let item = Item(name: "packs", detail: "libcrypto and zstd, once", byteCount: MemoryPlan.packBytes)
    if !items.contains(item) { items.append(item) }
  }

  /// A plan with adapters, of which it has none so far.
  mutating func append(adapters: [(name: String, byteCount: Int)]) {
    items += adapters.map { Item(name: "adapter \($0.name)", detail: MemoryPlan.adapterDetail, byteCount: $0.byteCount) }
  }

  /// A plan without an adapter.
  mutating func remove(adapter name: String) { items.removeAll { $0.name == "adapter \(name)" } }

  // MARK: - Refusal

  private static let adapterDetail = "packed, with what of it is stored beside that"

  /// Whether this many bytes would not be refused.
  func allows(_ bytes: Int) -> Bool {
    (options.maximumMemory.map { bytes <= $0 } ?? true) && (ProcessMemory.limitBytes.map { bytes <= $0 } ?? true)
  }

  /// Refuses a plan that is larger than the options allow, or than the system has, with an error that says what would fit.
  public func validate() throws(EngineError) {
    if let maximum = options.maximumMemory, byteCount > maximum { throw refusal(maximum, "as the options say") }
    if let limit = ProcessMemory.limitBytes, byteCount > limit { throw refusal(limit, "as this process can have here") }
  }

  func refusal(_ maximum: Int, _ reason: String) -> EngineError {
    let largest = items.sorted { $0.byteCount > $1.byteCount }.prefix(4)
      .map { "\($0.name) \(MemoryPlan.text($0.byteCount))" }.joined(separator: ", ")
    return EngineError(
      .outOfMemory,
      "memory: expected at most \(MemoryPlan.text(maximum)), \(reason), found a plan of \(MemoryPlan.text(byteCount)) "
        + "(\(largest)); \(advice(maximum))")
  }

  /// What would fit into `maximum`: fewer tokens, smaller ones, fewer sequences; or what has to change instead.
  private func advice(_ maximum: Int) -> String {
    let others = byteCount - Storage.residentBytes(sizes.kvBytes)
    let room = maximum - others - ProcessMemory.pageBytes
    func context(_ blockBytes: Int) -> Int {
      let blocks = (room / blockBytes - sizes.routingBlocks) / options.maximumSequences
      return min(blocks * BlockManager.blockTokens, sizes.contextLength)
    }
    var ways: [String] = []
    if room > 0 {
      if options.maximumSequences > 1 {
        let count = (room / sizes.kvBlockBytes - sizes.routingBlocks) / sizes.sequenceBlocks
        if count >= 1 { ways.append("\(count) sequence\(count == 1 ? "" : "s") of \(sizes.contextLength) tokens") }
      }
      let (same, smallest) = (context(sizes.kvBlockBytes), context(smallestBlockBytes))
      if same >= BlockManager.blockTokens { ways.append("a context of \(same) tokens") }
      if options.kvType != .q8_0, smallest >= BlockManager.blockTokens, smallest > same {
        ways.append("a context of \(smallest) tokens with keys and values in q8_0")
      }
    }
    if !ways.isEmpty { return "what would fit: " + ways.joined(separator: ", or ") }
    return "without any context it is \(MemoryPlan.text(others)): fewer rows a step, "
      + "or a file with fewer bits for each weight, would help"
  }

  /// `8.4 MB`
  static func text(_ bytes: Int) -> String {
    var (value, unit) = (Double(bytes), 0)
    while value >= 999.5, unit < 4 {
      value /= 1000
      unit += 1
    }
    let digits = unit == 0 || value >= 99.95 ? 0.0 : 1.0
    let tenths = Int((value * (digits == 0 ? 1 : 10)).rounded())
    return (digits == 0 ? "\(tenths)" : "\(tenths / 10).\(tenths % 10)") + " " + ["B", "kB", "MB", "GB", "TB"][unit]
  }
}
