// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// By what the files of a family are known: a row of the registry has one.
package enum AdapterMark: Sendable, Equatable {
  /// `peft_type` in the `adapter_config.json` beside `adapter_model.safetensors`.
  case peftType(String)
  /// The same, with an option on that makes it another family.
  case peftOption(type: String, option: String)
  /// `adapter_config.json` beside a file of tensors of this name.
  case folder(tensors: String)
  /// A GGUF file with this value in its metadata.
  case metadata(key: String, value: String)
  /// One safetensors file in which a name ends in one of these.
  case tensors(endings: [String])
  /// One safetensors file in which all names are `layers.` and a number.
  case layerVectors
  /// A model of its own: `config.json` with safetensors, or GGUF.
  case model

  /// For listings: `adapter_config.json with peft_type LORA`.
  package var text: String {
    switch self {
    case .peftType(let type): "adapter_config.json with peft_type \(type), adapter_model.safetensors"
    case .peftOption(let type, let option):
      "adapter_config.json with peft_type \(type) and \(option), adapter_model.safetensors"
    case .folder(let tensors): "adapter_config.json, \(tensors)"
    case .metadata(let key, let value): "GGUF with \(key) = \(value)"
    case .tensors(let endings): "a safetensors file with " + endings.map { "*\($0)" }.joined(separator: " or ")
    case .layerVectors: "a safetensors file with layers.0, layers.1 ..."
    case .model: "config.json with model.safetensors, or a GGUF model"
    }
  }

  /// Whether files have it. Of several rows that say so, the first is meant.
  func matches(_ files: AdapterFolder) -> Bool {
    switch (self, files.form) {
    case (.folder(let tensors), .folder(let found)): tensors == found
    case (.metadata(let key, let value), .gguf(let metadata)): metadata[key]?.string == value
    case (.tensors(let endings), .safetensors):
      files.tensorNames.contains { name in endings.contains { name.hasSuffix($0) } }
    case (.layerVectors, .safetensors): files.tensorNames.allSatisfy { AdapterMark.layer($0) != nil }
    case (.model, .model): true
    case (.model, .gguf(let metadata)): metadata["general.type"]?.string ?? "model" == "model"
    default: false
    }
  }

  /// The layer that `layers.3` names; nil for anything else.
  static func layer(_ name: String, prefix: String = "layers.") -> Int? {
    guard name.hasPrefix(prefix) else { return nil }
    let digits = name.dropFirst(prefix.count)
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (48...57).contains($0) }), digits == "0" || digits.first != "0" else {
      return nil
    }
    return Int(digits) ?? Int.max
  }
}
