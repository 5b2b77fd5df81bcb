// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats

/// Reads adapters of any supported family.
package enum AdapterReader {
  /// Reads the files at `folder` as an adapter called `name` for this base: a folder of PEFT (or the folder in it that has the
  /// adapter's name), of mlx-lm, of the library `adapters`, or of a whole model; a safetensors file; a GGUF file; a pack (or the
  /// member of it that has the adapter's name).
  ///
  /// Everything is checked: each option of the config is honoured, has no effect on inference, or is refused by name; each
  /// tensor is used, has the shape that config and base ask for, and is finite.
  /// - Parameter shared: what the members of packs that were read before have in common with this one.
  package static func read(
    folder: String, name: String, base: BaseModel, options: AdapterOptions = AdapterOptions(),
    policy: PackPolicy = PackPolicy(), shared: SharedTensors? = nil
  ) throws(AdapterError) -> Adapter {
    guard Mixture.isName(name) else { throw .invalidName(name) }
    var files = try AdapterFolder(path: folder, name: name, policy: policy)
    files.shared = shared
    try files.checkBase(base)
    let family = try family(of: files)
    if let option = options.given.first(where: { !family.options.contains($0) }) {
      throw .uselessOption(location: files.path, option: option.rawValue, family: family.name)
    }
    let deltas = try family.resolve(&files, base, options)
    try files.requireAllTaken(family: family.name)
    guard !deltas.isEmpty else { throw .noTensors(location: files.tensorsLocation) }
    return Adapter(
      name: name, deltas: deltas, baseModel: try files.config.string("base_model_name_or_path"), family: family.name,
      provenance: .init(folder: folder, peftVersion: try files.config.string("peft_version"), isPack: files.pack != nil))
  }

  static func family(of files: AdapterFolder) throws(AdapterError) -> AdapterFamily {
    guard case .peft = files.form else {
      guard let family = AdapterFamily.all.first(where: { $0.mark.matches(files) }) else {
        throw .unknownForm(location: files.path, expected: AdapterFamily.all.filter { $0.peftType == nil }.map(\.mark.text))
      }
      return family
    }
    let config = files.config
    guard let type = try config.string("peft_type") else {
      throw config.malformed("peft_type", expected: "the type of the adapter", found: nil)
    }
    for family in AdapterFamily.all {
      if case .peftOption(type, let option) = family.mark, config.isOn(option) { return family }
    }
    guard let family = AdapterFamily.all.first(where: { $0.peftType == type }) else {
      throw .unsupportedFamily(location: config.location, expected: AdapterFamily.all.compactMap(\.peftType), found: type)
    }
    return family
  }
}
