// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats

/// LoRA in GGUF, as llama.cpp reads it (docs/adapter-layouts.md): y = W x + alpha / rank * B (A x).
///
/// | key or tensor | what |
/// |---|---|
/// | `general.type` `adapter`, `adapter.type` `lora` | |
/// | `adapter.lora.alpha` | F32; 0, or none: the scale is 1 |
/// | `adapter.alora.invocation_tokens` | token ids (aLoRA) |
/// | `<base tensor>.lora_a`, `.lora_b` | [rank, in], [out, rank] in any type; of stacked experts one matrix for each |
/// | `token_embd.weight.lora_a`, `.lora_b` | [vocabulary, rank], [hidden, rank] |
/// | `<norm>.weight` | takes the place of the norm's (converted from mergekit's extraction; llama.cpp leaves it out) |
///
/// Rows of B at q and k are in the order of the base's GGUF, where heads may be interleaved. The converter of llama.cpp turns
/// GPT-2's factors round (A [rank, out], B [in, rank]); they are told by their shapes.
enum GGUFLoRA {
  static func resolve(
    _ files: inout AdapterFolder, _ base: BaseModel, _ options: AdapterOptions
  ) throws(AdapterError) -> DeltaSet {
    guard let names = base.shape.gguf else { throw .needsBaseWeights(location: files.path) }
    var reader = GGUFLoRAReader(names, base, alpha: try alpha(files), files)
    try reader.read(&files)
    var deltas = reader.builder.deltas
    deltas.invocation = try invocation(files)
    return deltas
  }

  /// nil for a scale of 1.
  private static func alpha(_ files: AdapterFolder) throws(AdapterError) -> Double? {
    let metadata = files.ggufMetadata
    if let type = metadata["general.type"], type.string != "adapter" {
      throw .malformedOption(location: files.path, option: "general.type", expected: "\"adapter\"", found: type.summary)
    }
    guard let value = metadata["adapter.lora.alpha"] else { return nil }
    guard let alpha = value.double, alpha.isFinite else {
      throw .malformedOption(location: files.path, option: "adapter.lora.alpha", expected: "a number", found: value.summary)
    }
    return alpha == 0 ? nil : alpha
  }

  private static func invocation(_ files: AdapterFolder) throws(AdapterError) -> [Int32]? {
    let key = "adapter.alora.invocation_tokens"
    guard let value = files.ggufMetadata[key] else { return nil }
    guard let tokens = value.integers, !tokens.isEmpty, tokens.allSatisfy({ $0 >= 0 && $0 <= Int64(Int32.max) }) else {
      throw .malformedOption(location: files.path, option: key, expected: "token ids", found: value.summary)
    }
    return tokens.map { Int32($0) }
  }
}
