// SPDX-License-Identifier: Apache-2.0

package import WeftFormats
internal import WeftTransformer

extension Engine {
  /// What every linear map reads while the model reads a text, squared and added up by columns, in the windows of `perplexity`. With
  /// it, `weft quantize` knows which columns matter.
  /// - Parameters:
  ///   - dataset: names the text in the file.
  ///   - onWindow: gets the windows that are done, and how many there are.
  package func importanceMatrix(
    of text: String, dataset: String, window: Int = 512, maximumWindows: Int? = nil, onWindow: (Int, Int) -> Void
  ) throws(EngineError) -> ImportanceMatrix {
    guard window >= 4, window <= contextLength else {
      throw EngineError(.invalidArgument, "window: expected 4 to \(contextLength) tokens, as the context is, found \(window)")
    }
    return try importanceMatrix(
      of: try windows(of: text, length: window, limit: maximumWindows), dataset: dataset, onWindow: onWindow)
  }

  /// The same for windows of token ids, all of one length.
  package func importanceMatrix(
    of windows: [[Int32]], dataset: String, onWindow: (Int, Int) -> Void = { _, _ in }
  ) throws(EngineError) -> ImportanceMatrix {
    let recorder = InputRecorder()
    transformer.recorder = recorder
    defer { transformer.recorder = nil }
    for (index, tokens) in windows.enumerated() {
      try logits(of: tokens, from: tokens.count) { _, _ in }
      onWindow(index + 1, windows.count)
    }
    return ImportanceMatrix(
      recorder, config: weights.config, dataset: dataset, chunkCount: windows.count, chunkSize: windows.first?.count ?? 0)
  }
}
