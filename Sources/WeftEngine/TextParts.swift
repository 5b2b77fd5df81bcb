// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors
internal import WeftTokenizers

/// What an engine needs for text: nothing of it is there when a file has no vocabulary.
struct TextParts {
  let tokenizer: Tokenizer?
  let template: ChatTemplate?
  /// Bytes of the heap that they take: measured, as they are many small pieces.
  let byteCount: Int

  init(_ checkpoint: Checkpoint) throws(EngineError) {
    let before = ProcessMemory.heapBytes
    (tokenizer, template) = try TextParts.open(checkpoint)
    byteCount = max(0, ProcessMemory.heapBytes - before)
  }

  private static func open(_ checkpoint: Checkpoint) throws(EngineError) -> (Tokenizer?, ChatTemplate?) {
    let tokenizer: Tokenizer?
    if let gguf = checkpoint.gguf {
      // What llama.cpp, and gguf's writers, put into files without one.
      let kind = gguf.metadata["tokenizer.ggml.model"]?.string ?? "none"
      let isAbsent = kind == "none" || kind == "no_vocab"
      do { tokenizer = isAbsent ? nil : try Tokenizer(metadata: gguf.metadata, location: checkpoint.path) } catch {
        throw EngineError(error)
      }
    } else {
      tokenizer = try TextParts.tokenizer(folder: checkpoint.path)
    }
    guard let source = tokenizer?.chatTemplate else { return (tokenizer, nil) }
    do { return (tokenizer, try ChatTemplate(source: source, location: "\(checkpoint.path): chat template")) } catch {
      throw EngineError(error)
    }
  }

  /// The tokenizer of a Hugging Face folder; nil when the folder has no file of one.
  static func tokenizer(folder: String) throws(EngineError) -> Tokenizer? {
    guard Tokenizer.isPresent(in: folder) else { return nil }
    do { return try Tokenizer(folder: folder) } catch { throw EngineError(error) }
  }
}
