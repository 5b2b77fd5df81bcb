// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// The files of one adapter, whatever their form: a configuration, where there is one, and named tensors.
///
/// It counts which tensors a resolver took: one that nobody took is an error of the adapter.
struct AdapterFolder {
  /// What the path is. A member of a pack has the form that its own files had.
  enum Form {
    /// A folder in PEFT's layout.
    case peft
    /// A folder of another library with a configuration; named after its file of tensors.
    case folder(String)
    /// One safetensors file.
    case safetensors
    /// One GGUF file with this metadata.
    case gguf([String: GGUFValue])
    /// The folder of a whole model.
    case model
  }

  /// The folder or file that was found: that of the call, or a folder in it.
  let path: String
  let form: Form
  /// Without options where the form has no configuration.
  let config: AdapterConfig
  /// The file of the tensors, for errors.
  let tensorsLocation: String
  /// The metadata of a safetensors file.
  let metadata: [String: String]
  /// The configuration as it is; nil where the form has none.
  let configuration: JSON?
  /// The pack that this is a member of; nil for files of their own.
  let pack: PackFile?
  /// Its name there.
  let memberName: String?
  let policy: PackPolicy
  /// What members of packs have in common; nil where nobody shares.
  var shared: SharedTensors?
  private let tensors: [String: StoredTensor]
  /// The file of the tensors in memory, once one was taken.
  private var wholeCopy: Storage?
  private var untaken: Set<String>
  /// Names that a family knows how to read, whether or not it took them.
  private var recognized: Set<String> = []

  /// Opens what `path` holds.
  /// - Parameters:
  ///   - name: the folder in it that PEFT made when the adapter had a name, or the member of a pack.
  ///   - policy: which packs are accepted; one that asks for signatures accepts nothing else.
  init(path: String, name: String = "default", policy: PackPolicy = PackPolicy()) throws(AdapterError) {
    let place = try AdapterPlace(path, name: name)
    if place.kind == .pack {
      let pack: PackFile
      do { pack = try policy.open(place.path) } catch { throw .format(error) }
      self = try AdapterFolder(pack, member: try AdapterFolder.member(of: pack, name: name), policy: policy)
      return
    }
    do { try policy.checkUnpacked(path: place.path) } catch { throw .format(error) }
    self.path = place.path
    self.policy = policy
    (pack, memberName) = (nil, nil)
    (configuration, config) =
      try place.hasConfig
      ? AdapterConfig.read(file: "\(place.path)/\(AdapterPlace.configName)") : (nil, AdapterConfig(none: path))
    let mapped: [String: Tensor]
    do throws(FormatError) {
      switch place.kind {
      case .model, .pack:
        (form, mapped, metadata) = (.model, [:], [:])
        tensorsLocation = place.path
      case .gguf:
        let file = try GGUFFile(path: place.path)
        (form, mapped, metadata) = (.gguf(file.metadata), file.tensors, [:])
        tensorsLocation = place.path
      case .safetensors, .folder:
        var location = place.path
        if case .folder(let name) = place.kind {
          form = name == AdapterPlace.peftName ? .peft : .folder(name)
          location += "/" + name
        } else {
          form = .safetensors
        }
        let file = try SafetensorsFile(path: location)
        (mapped, metadata) = (file.tensors, file.metadata)
        tensorsLocation = location
      }
    } catch { throw .format(error) }
    tensors = mapped.mapValues { .mapped($0) }
    untaken = Set(tensors.keys)
    try requireTensors()
  }

  /// A member of an opened pack.
  init(_ pack: PackFile, member: PackMember, policy: PackPolicy) throws(AdapterError) {
    path = pack.path
    self.policy = policy
    self.pack = pack
    memberName = member.name
    tensorsLocation = "\(pack.path): \(member.name)"
    switch member.form {
    case .folder(AdapterPlace.peftName): form = .peft
    case .folder(let name): form = .folder(name)
    case .safetensors: form = .safetensors
    case .gguf: form = .gguf(member.values)
    }
    metadata = member.form == .gguf ? [:] : member.values.compactMapValues(\.string)
    let place = "\(tensorsLocation): \(AdapterPlace.configName)"
    (configuration, config) =
      try member.config.isEmpty
      ? (nil, AdapterConfig(none: place)) : AdapterConfig.read(text: member.config, location: place)
    tensors = Dictionary(
      member.tensors.map { ($0.name, StoredTensor.packed(pack, $0.tensor)) }, uniquingKeysWith: { first, _ in first })
    untaken = Set(tensors.keys)
    try requireTensors()
  }

  private func requireTensors() throws(AdapterError) {
    if case .model = form { return }
    // PEFT saves no tensor of a small X-LoRA: its resolver says why.
    if case .peft = form, config["peft_type"]?.string == XLoRA.peftType { return }
    guard !tensors.isEmpty else { throw .noTensors(location: tensorsLocation) }
  }

  /// All names, sorted.
  var tensorNames: [String] { tensors.keys.sorted() }

  /// All tensors, sorted by name.
  func allTensors() throws(AdapterError) -> [(name: String, tensor: Tensor)] {
    var all: [(name: String, tensor: Tensor)] = []
    for (name, stored) in tensors.sorted(by: { $0.key < $1.key }) { all.append((name, try stored.tensor())) }
    return all
  }

  /// The metadata of a GGUF file; empty for other forms.
  var ggufMetadata: [String: GGUFValue] { if case .gguf(let metadata) = form { metadata } else { [:] } }

  /// Marks a name as one that the family knows: left over, it is unused rather than unknown.
  mutating func recognize(_ name: String) { recognized.insert(name) }

  /// Marks a tensor as dealt with that has no effect on inference.
  mutating func discard(_ name: String) { untaken.remove(name) }

  /// Marks all tensors as dealt with: another reader looked at each.
  mutating func discardAll() { untaken = [] }

  /// Refuses tensors that nobody took.
  func requireAllTaken(family: String) throws(AdapterError) {
    guard let name = untaken.min(by: { (recognized.contains($0) ? 1 : 0, $0) < (recognized.contains($1) ? 1 : 0, $1) }) else {
      return
    }
    if recognized.contains(name) { throw .unusedTensor(location: tensorsLocation, tensor: name) }
    throw .unknownTensor(location: tensorsLocation, tensor: name, expected: "tensors of \(family) for modules of this base")
  }

  /// The shape of a tensor that is one of `tensorNames`; nothing is read or reserved.
  func shape(of name: String) -> [Int] { tensors[name]?.shape ?? [] }

  /// The type of a tensor; nil when there is none of this name.
  func dtype(of name: String) -> DType? { tensors[name]?.dtype }

  /// The names that no family has recognized, sorted.
  var unrecognizedNames: [String] { tensors.keys.filter { !recognized.contains($0) }.sorted() }

  /// The number that a tensor has in the pack; nil for files of their own.
  func packNumber(of name: String) -> Int? {
    if case .packed(_, let number) = tensors[name] { number } else { nil }
  }

  /// Whether there is a tensor of this name.
  func has(_ name: String) -> Bool { tensors[name] != nil }

  /// Copies a tensor that is one of `tensorNames` into memory of its own and checks that its numbers are finite.
  mutating func take(_ name: String) throws(AdapterError) -> Tensor {
    guard let stored = tensors[name] else { throw .missingTensor(location: tensorsLocation, tensor: name) }
    let copy = try copy(of: stored)
    if let index = copy.firstNonFinite() { throw .nonFinite(location: tensorsLocation, tensor: name, index: index) }
    untaken.remove(name)
    return copy
  }

  /// A tensor of a safetensors file is part of one copy of the whole file, made with the first: adapters are used whole. What lies
  /// unaligned there, and tensors of GGUF, are copied one by one.
  private mutating func copy(of stored: StoredTensor) throws(AdapterError) -> Tensor {
    let mapped = try stored.tensor()
    // What was decoded is in memory of its own already.
    if let pack, mapped.storage !== pack.storage { return mapped }
    do throws(StorageError) {
      var (storage, offset) = (mapped.storage, mapped.offset)
      let isGGUF = if case .gguf = form { true } else { false }
      if isGGUF || pack != nil || offset % 8 != 0 {
        storage = try Storage(copying: UnsafeRawBufferPointer(start: mapped.base, count: mapped.byteCount))
        offset = 0
      } else if let wholeCopy {
        storage = wholeCopy
      } else {
        storage = try Storage(copying: UnsafeRawBufferPointer(mapped.storage.bytes))
        wholeCopy = storage
      }
      guard let copy = Tensor(dtype: mapped.dtype, shape: mapped.shape, storage: storage, offset: offset, scale: mapped.scale)
      else {
        preconditionFailure("a copy has the size of its original")
      }
      return copy
    } catch { throw .storage(error) }
  }

  /// Whether a folder holds the configuration of an adapter.
  static func hasConfig(_ folder: String) -> Bool { AdapterPlace.exists("\(folder)/\(AdapterPlace.configName)") }
}
