// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTransformer

extension ModelSummary {
  /// Names the base in a GGUF file or Hugging Face folder, which is not opened for running: its architecture, sizes, and a hash of the
  /// values of its final norm. It is `fingerprint` of the same model with its own layers.
  public static func fingerprint(of path: String) throws(EngineError) -> String {
    let checkpoint: Checkpoint
    do { checkpoint = try Checkpoint(path: path) } catch { throw EngineError(error) }
    do { return try ModelWeights.base(of: checkpoint).fingerprint ?? "" } catch { throw EngineError(error) }
  }
}
