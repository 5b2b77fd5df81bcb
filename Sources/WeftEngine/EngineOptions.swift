// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats
internal import WeftTensors

/// What an engine reserves when it is opened.
public struct EngineOptions: Sendable {
  /// How keys and values are stored.
  public enum KVType: String, Sendable, CaseIterable {
    case f16, f32
    /// int8 with an f16 scale for every 32 dimensions of a token: a little more than half of `f16`.
    case q8_0

    var dtype: KVDType {
      switch self {
      case .f16: .f16
      case .f32: .f32
      case .q8_0: .q8_0
      }
    }
  }

  /// The layers of the file that the model runs, in order, counted from 0; a layer may come several times and shares its weights
  /// then (PEFT's `layer_replication`). nil for all of them once.
  public var layers: [Int]?
  /// Threads of a step, the caller's included. Default: the processors that this process may use.
  public var threads: Int
  /// The longest sequence, prompt and answer together, in tokens; not more than the model was made for. Default: that, at
  /// most 4096.
  public var contextLength: Int?
  /// Sequences that may run at the same time; more wait.
  public var maximumSequences: Int
  /// Rows of a step: a longer prompt is prefilled in several steps.
  public var maximumStepRows: Int
  /// Rows of a step that get logits when the logits of many positions are wanted.
  public var maximumLogitRows: Int
  /// How keys and values are stored.
  public var kvType: KVType
  /// Bytes that the process may have in memory, `MemoryPlan.byteCount`; what needs more is refused before it is loaded. nil for
  /// what the system has.
  public var maximumMemory: Int?
  /// What happens to conversations that no longer fit.
  public var contextPolicy: ContextPolicy
  /// The ranks of all adapters of a mixture together, where they read the same activations (q, k and v of one adapter of
  /// rank 16 are 48).
  public var maximumActiveRank: Int

  /// Bytes that adapters may take together, packed and as they are stored; the least recently used ones go when a new one needs
  /// their memory, unless they are pinned or in use. nil for as many as there is memory for.
  public var adapterBudget: Int?
  /// Files with the Ed25519 public keys (PEM) of those who may sign adapters: only packs that one of them signed are loaded then.
  /// nil to load any adapter.
  public var requiredSigners: [String]?
  /// The most bytes that a pack may have, as it is stored and as it is decoded.
  public var maximumPackSize: Int
  /// Whether a prompt that begins like an earlier sequence, under the same adapters, takes over its keys and values. Answers are
  /// the same bit for bit.
  public var reusesPrefixes: Bool
  /// Whether products with bf16 weights read F32 activations. Else these are rounded to bf16, as is usual for such models, and twice
  /// as fast where the processor multiplies bf16. Adapters' factors read F32 either way.
  public var f32Activations: Bool

  /// A value with these properties.
  public init(
    threads: Int? = nil, contextLength: Int? = nil, maximumSequences: Int = 8, maximumStepRows: Int = 512,
    maximumLogitRows: Int = 8, kvType: KVType = .f16, maximumActiveRank: Int = 1024, maximumMemory: Int? = nil,
    contextPolicy: ContextPolicy = .stop, adapterBudget: Int? = nil, reusesPrefixes: Bool = true,
    layers: [Int]? = nil, requiredSigners: [String]? = nil, maximumPackSize: Int = 1 << 36, f32Activations: Bool = false
  ) {
    self.requiredSigners = requiredSigners
    self.maximumPackSize = maximumPackSize
    self.layers = layers
    self.threads = threads ?? EngineOptions.processorCount
    self.contextLength = contextLength
    self.maximumSequences = maximumSequences
    self.maximumStepRows = maximumStepRows
    self.maximumLogitRows = maximumLogitRows
    self.kvType = kvType
    self.maximumActiveRank = maximumActiveRank
    self.maximumMemory = maximumMemory
    self.contextPolicy = contextPolicy
    self.adapterBudget = adapterBudget
    self.reusesPrefixes = reusesPrefixes
    self.f32Activations = f32Activations
  }

  /// Processors that this process may use.
  public static var processorCount: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }

  /// Reads the keys.
  func packPolicy() throws(EngineError) -> PackPolicy {
    var policy = PackPolicy(maximumBytes: maximumPackSize)
    policy.opened = OpenedPack()
    guard let requiredSigners else { return policy }
    var keys: [PackPublicKey] = []
    for path in requiredSigners {
      do { keys.append(try PackPublicKey(pem: path)) } catch { throw EngineError(error) }
    }
    policy.requiredSigners = keys
    return policy
  }

  func validated() throws(EngineError) -> EngineOptions {
    let sizes = [
      ("threads", threads, 1...1024), ("context length", contextLength ?? 1, 1...(1 << 26)),
      ("maximum sequences", maximumSequences, 1...65536), ("maximum step rows", maximumStepRows, 1...65536),
      ("maximum logit rows", maximumLogitRows, 1...65536),
      ("maximum active rank", maximumActiveRank, 16...(1 << 20)), ("maximum memory", maximumMemory ?? 1, 1...Int.max),
      ("adapter budget", adapterBudget ?? 0, 0...Int.max), ("maximum pack size", maximumPackSize, 1...Int.max),
    ]
    for (name, value, range) in sizes where !range.contains(value) {
      throw EngineError(.invalidArgument, "\(name): expected \(range.lowerBound) to \(range.upperBound), found \(value)")
    }
    guard maximumStepRows >= maximumSequences else {
      throw EngineError(
        .invalidArgument,
        "maximum step rows: expected at least one for each of \(maximumSequences) sequences, found \(maximumStepRows)")
    }
    return self
  }
}
