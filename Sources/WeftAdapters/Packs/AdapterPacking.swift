// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
package import WeftFormats
internal import WeftTensors

/// Puts adapters into a pack as they are: configuration, metadata and every tensor, whatever their form or family.
///
///     let writer = try PackWriter(path: "library.weft", provenance: PackProvenance(base: fingerprint, method: "create"))
///     var packing = AdapterPacking(writer)
///     try packing.add("experts/roman")
///     try packing.add("experts/clock", name: "time")
///     try writer.finish()
package struct AdapterPacking {
  private let writer: PackWriter
  /// What was added: names, and bytes of the tensors in their own files.
  package private(set) var members: [(name: String, byteCount: Int)] = []

  package init(_ writer: PackWriter) { self.writer = writer }

  /// Adds the adapter at `path`: a folder (with the experts that its configuration may refer to), a folder of several, a
  /// safetensors or GGUF file, or all members of a pack. What is no adapter of a known family is refused.
  /// - Parameter name: of the member; nil for that of the folder or file. Not for several.
  package mutating func add(_ path: String, name: String? = nil) throws(AdapterError) {
    switch try AdapterPlace.content(of: path) {
    case .several(let folders):
      if let name { throw .noAdapter(location: path, found: "several adapters for one name, '\(name)'") }
      for folder in folders {
        try add(try AdapterPlace("\(path)/\(folder)", name: folder), name: folder, beside: Set(folders))
        writer.provenance.sources.append(folder)
      }
    case .one(let place):
      if place.kind == .pack { return try addMembers(of: path, name: name) }
      try add(place, name: name ?? AdapterPacking.standardName(path))
      writer.provenance.sources.append(AdapterPacking.lastName(path))
    }
  }

  /// - Parameters:
  ///   - parent: the member whose expert this is.
  ///   - siblings: adapters that become members too.
  private mutating func add(
    _ place: AdapterPlace, name: String, parent: String? = nil, beside siblings: Set<String> = []
  ) throws(AdapterError) {
    guard Mixture.isName(name), name != ".", name != ".." else { throw .invalidName(name) }
    let files = try AdapterFolder(path: place.path)
    guard try AdapterReader.family(of: files).mark != .model else {
      throw .noAdapter(location: place.path, found: "a whole model")
    }
    let form: PackMember.Form
    var metadata: [GGUFWriter.Pair] = files.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }
    switch files.form {
    case .peft: form = .peft
    case .folder(let tensors): form = .folder(tensors: tensors)
    case .safetensors: form = .safetensors
    case .gguf:
      form = .gguf
      do {
        let file = try GGUFFile(path: place.path)
        metadata = file.metadataOrder.compactMap { key in file.field(key).map { (key, $0) } }
      } catch { throw .format(error) }
    case .model: preconditionFailure("models were refused above")
    }
    let config = place.hasConfig ? try AdapterPacking.text("\(place.path)/\(AdapterPlace.configName)") : ""
    if writer.provenance.baseName.isEmpty, let base = try files.config.string("base_model_name_or_path") {
      // A path of somebody's machine says nothing to others.
      writer.provenance.baseName = AdapterPacking.lastName(base, keeping: base.hasPrefix("/") ? 1 : 2)
    }
    let fullName = parent.map { "\($0)/\(name)" } ?? name
    let tensors = try files.allTensors()
    do throws(FormatError) {
      var references: [PackMember.Reference] = []
      for (name, tensor) in tensors { references.append(.init(name, try writer.add(tensor))) }
      try writer.addMember(fullName, form: form, config: config, metadata: metadata, tensors: references)
    } catch { throw .format(error) }
    members.append((fullName, tensors.reduce(0) { $0 + $1.tensor.byteCount }))
    guard parent == nil else { return }
    for (companion, folders) in try files.companions() where !siblings.contains(companion) {
      guard let folder = folders.first(where: AdapterFolder.hasConfig) else {
        throw .missingFile(location: place.path, name: "the folder '\(companion)' of an expert")
      }
      try add(try AdapterPlace(folder, name: companion), name: companion, parent: name)
    }
  }

  private mutating func addMembers(of path: String, name: String?) throws(AdapterError) {
    do throws(FormatError) {
      let pack = try PackFile(path: path)
      let own = writer.provenance
      guard own.base == nil || pack.provenance.base == nil || own.base == pack.provenance.base else {
        throw .unsupported(
          location: path, expected: "a pack for base \(own.base ?? "")", found: "one for \(pack.provenance.base ?? "")")
      }
      let principals = pack.members.filter { !$0.name.contains("/") }
      guard name == nil || principals.count == 1 else {
        throw .unsupported(
          location: path, expected: "a pack with one member for one name", found: "\(principals.count) members")
      }
      for member in pack.members {
        var (references, bytes) = ([PackMember.Reference](), 0)
        for reference in member.tensors {
          let tensor = try pack.tensor(reference.tensor)
          references.append(.init(reference.name, try writer.add(tensor)))
          bytes += tensor.byteCount
        }
        let parts = member.name.split(separator: "/", maxSplits: 1)
        let fullName = name.map { parts.count > 1 ? "\($0)/\(parts[1])" : $0 } ?? member.name
        try writer.addMember(
          fullName, form: member.form, config: member.config, metadata: member.metadata, tensors: references)
        members.append((fullName, bytes))
      }
      writer.provenance.base = own.base ?? pack.provenance.base
      if own.baseName.isEmpty { writer.provenance.baseName = pack.provenance.baseName }
      writer.provenance.sources += pack.provenance.sources
      if pack.provenance.method != "create" {
        let parameters = pack.provenance.parameters.map { "\($0.name)=\($0.value)" }
        writer.provenance.parameters.append(
          .init(name ?? AdapterPacking.standardName(path), ([pack.provenance.method] + parameters).joined(separator: " ")))
      }
    } catch { throw .format(error) }
  }

  private static func text(_ path: String) throws(AdapterError) -> String {
    do throws(StorageError) {
      let storage = try Storage(mapping: path)
      defer { withExtendedLifetime(storage) {} }
      return String(decoding: storage.bytes, as: UTF8.self)
    } catch { throw .storage(error) }
  }

  /// The last parts of a path.
  private static func lastName(_ path: String, keeping count: Int = 1) -> String {
    path.split(separator: "/").suffix(count).joined(separator: "/")
  }

  /// The name of a folder, or of a file without its ending.
  private static func standardName(_ path: String) -> String {
    let name = lastName(path)
    for ending in [".safetensors", ".gguf", ".weft"] where name.hasSuffix(ending) { return String(name.dropLast(ending.count)) }
    return name
  }
}
