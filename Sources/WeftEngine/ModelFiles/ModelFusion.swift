// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors
internal import WeftTransformer

/// A new checkpoint from a base and a mixture of adapters: W + dW in place of W, streamed tensor by tensor.
///
///     let fusion = try ModelFusion(model: "base.gguf", adapters: [("chef", "adapters/chef", .init())], mixture: ["chef"])
///     let tensors = try fusion.write(to: "chef.gguf", form: .gguf, type: .q4_0) { _ in }
///
/// Sums are made from the float weights of the file, in Float64; the formats that are written round once. Into weights that are
/// quantised nothing is fused: the float original has to be named.
package struct ModelFusion {
  /// What is written.
  package enum Form: String, Sendable, CaseIterable {
    /// One GGUF file.
    case gguf
    /// A Hugging Face folder with config.json, safetensors and the tokenizer.
    case folder
  }

  /// An adapter to read.
  package typealias Named = (name: String, path: String, options: AdapterLoadOptions)

  private let fused: FusedCheckpoint
  private let threads: Int
  /// The type that is written when nothing is said: that of the quantised file whose original was named; nil for that of each
  /// tensor.
  private let standardType: QuantizationType?

  /// - Parameters:
  ///   - model: a GGUF file or a Hugging Face folder.
  ///   - master: the float original of `model`, when that is quantised: it is fused, and the result gets the type of `model`.
  ///   - mixture: names of `adapters`, with their weights.
  package init(
    model: String, master: String? = nil, adapters: [Named], mixture: AdapterMixture,
    threads: Int = EngineOptions.processorCount
  ) throws(EngineError) {
    guard (1...1024).contains(threads) else {
      throw EngineError(.invalidArgument, "threads: expected 1 to 1024, found \(threads)")
    }
    self.threads = threads
    let weights = try ModelFusion.weights(master ?? model)
    if let master {
      let own = try ModelFusion.weights(model)
      guard own.fingerprint == weights.fingerprint else {
        throw EngineError(
          .invalidArgument, "\(master): expected the original of \(model), \(own.fingerprint), found \(weights.fingerprint)")
      }
      let type = try ModelSource(path: model).ownType
      standardType = type.dtype.isQuantized ? type : nil
    } else {
      standardType = nil
    }
    let mixture = try mixture.canonical()
    do { try mixture.validate(layerCount: weights.config.layerCount) } catch { throw EngineError(error) }
    guard !mixture.parts.isEmpty else {
      throw EngineError(.invalidArgument, "fuse: expected a mixture of at least one adapter, found the base alone")
    }
    var terms: [(set: DeltaSet, part: Mixture.Part)] = []
    for part in mixture.parts {
      guard let adapter = adapters.first(where: { $0.name == part.adapter }) else {
        let known = adapters.map(\.name).joined(separator: ", ")
        throw EngineError(.notFound, "adapter \(part.adapter): no adapter of this name; given: \(known)")
      }
      do {
        let read = try AdapterReader.read(
          folder: adapter.path, name: adapter.name, base: weights.base, options: adapter.options.options(for: adapter.path))
        terms.append((read.deltas, part))
      } catch let error as AdapterError { throw EngineError(error) } catch let error as EngineError { throw error } catch {
        throw EngineError(.corruptFile, "\(error)")
      }
    }
    do {
      try MixingProfile.validate(mixture, terms.map { MixingProfile($0.set) })
      fused = try FusedCheckpoint(weights, terms, scales: mixture.scales, pool: ThreadPool(threads: threads))
    } catch let error as MixingError { throw EngineError(error) } catch let error as ModelError {
      throw ModelFusion.refusal(error, model: model, master: master)
    } catch {
      throw EngineError(.outOfMemory, "\(error)")
    }
  }

  private static func weights(_ path: String) throws(EngineError) -> CheckpointWeights {
    do {
      return try CheckpointWeights(Checkpoint(path: path))
    } catch let error as FormatError { throw EngineError(error) } catch let error as ModelError {
      throw EngineError(error)
    } catch {
      throw EngineError(.corruptFile, "\(error)")
    }
  }

  /// Why a change vanishes in quantised weights, and what to do.
  private static func refusal(_ error: ModelError, model: String, master: String?) -> EngineError {
    guard case .fuseNeedsFloat(let tensor, let found) = error else { return EngineError(error) }
    return EngineError(
      .unsupported,
      "\(master ?? model): tensor '\(tensor)': expected F32, F16 or BF16, found \(found): steps of quantised weights are larger than "
        + "the changes of most adapters, and the error of the base would be rounded into them a second time; "
        + "name the float original (--master), and the type to write (--type)")
  }

  /// Writes the checkpoint. Files appear when all is complete, and not before; a folder has to be new or empty.
  /// - Parameters:
  ///   - type: nil for what the tensors have; folders have float types only.
  ///   - maximumShardBytes: of a folder's safetensors files.
  ///   - onProgress: gets the share that is done, from 0 to 1.
  /// - Returns: what became of every tensor that changed.
  package func write(
    to path: String, form: Form, type: QuantizationType? = nil, importance: String? = nil,
    maximumShardBytes: Int = 5_000_000_000, onProgress: (Double) -> Void
  ) throws(EngineError) -> [FusedTensor] {
    switch form {
    case .gguf:
      let source = try ModelSource(fused)
      let writer = try ModelWriter(
        source, type: type ?? standardType ?? source.ownType, importance: importance, threads: threads)
      return try writer.write(to: path, onProgress: onProgress)
    case .folder:
      guard let type = type ?? standardType else { return try writeFolder(path, nil, maximumShardBytes, onProgress) }
      guard !type.dtype.isQuantized else {
        throw EngineError(
          .unsupported, "\(path): expected F32, F16 or BF16 in a folder, found \(type.rawValue), which GGUF files have")
      }
      return try writeFolder(path, type.dtype, maximumShardBytes, onProgress)
    }
  }

  private func writeFolder(
    _ path: String, _ dtype: DType?, _ maximumShardBytes: Int, _ onProgress: (Double) -> Void
  ) throws(EngineError) -> [FusedTensor] {
    guard maximumShardBytes > 0 else {
      throw EngineError(.invalidArgument, "\(path): expected shards of at least one byte, found \(maximumShardBytes)")
    }
    return try FolderWriter(fused, dtype: dtype).write(
      to: path, maximumShardBytes: maximumShardBytes,
      encoder: PartEncoder(threads: threads, location: fused.checkpoint.path), onProgress: onProgress)
  }
}
