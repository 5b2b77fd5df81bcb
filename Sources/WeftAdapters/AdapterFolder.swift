// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// The files of one adapter, whatever their form: a configuration, where there is one, and named tensors.
///
/// It counts which tensors a resolver took: one that nobody took is an error of the adapter.
struct AdapterFolder {
  /// What the path is.
  enum Form {
    /// A folder in PEFT's layout.
    case peft
    /// A folder of another library with a configuration; named after its file of tensors.
    case folder(String)
    /// One safetensors file.
    case safetensors
    /// One GGUF file.
    case gguf(GGUFFile)
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
  private let tensors: [String: Tensor]
  /// The file of the tensors in memory, once one was taken.
  private var wholeCopy: Storage?
  private var untaken: Set<String>
  /// Names that a family knows how to read, whether or not it took them.
  private var recognized: Set<String> = []

  /// Opens what `path` holds.
  /// - Parameter name: the folder in it that PEFT made when the adapter had a name.
  init(path: String, name: String = "default") throws(AdapterError) {
    let place = try AdapterPlace(path, name: name)
    self.path = place.path
    config = try place.hasConfig ? AdapterConfig(file: "\(place.path)/\(AdapterPlace.configName)") : AdapterConfig(none: path)
    do throws(FormatError) {
      switch place.kind {
      case .model:
        (form, tensors, metadata) = (.model, [:], [:])
        tensorsLocation = place.path
      case .gguf:
        let file = try GGUFFile(path: place.path)
        (form, tensors, metadata) = (.gguf(file), file.tensors, [:])
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
        (tensors, metadata) = (file.tensors, file.metadata)
        tensorsLocation = location
      }
    } catch { throw .format(error) }
    untaken = Set(tensors.keys)
    if case .model = form { return }
    // PEFT saves no tensor of a small X-LoRA: its resolver says why.
    if case .peft = form, config["peft_type"]?.string == XLoRA.peftType { return }
    guard !tensors.isEmpty else { throw .noTensors(location: tensorsLocation) }
  }

  /// All names, sorted.
  var tensorNames: [String] { tensors.keys.sorted() }

  /// All tensors, sorted by name.
  var allTensors: [(name: String, tensor: Tensor)] { tensors.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } }

  /// The metadata of a GGUF file; empty for other forms.
  var ggufMetadata: [String: GGUFValue] { if case .gguf(let file) = form { file.metadata } else { [:] } }

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

  /// Whether there is a tensor of this name.
  /// The names that no family has recognized, sorted.
  var unrecognizedNames: [String] { tensors.keys.filter { !recognized.contains($0) }.sorted() }

  func has(_ name: String) -> Bool { tensors[name] != nil }

  /// Copies a tensor that is one of `tensorNames` into memory of its own and checks that its numbers are finite.
  mutating func take(_ name: String) throws(AdapterError) -> Tensor {
    guard let mapped = tensors[name] else { throw .missingTensor(location: tensorsLocation, tensor: name) }
    let copy = try copy(of: mapped)
    if let index = copy.firstNonFinite() { throw .nonFinite(location: tensorsLocation, tensor: name, index: index) }
    untaken.remove(name)
    return copy
  }

  /// A tensor of a safetensors file is part of one copy of the whole file, made with the first: adapters are used whole. What lies
  /// unaligned there, and tensors of GGUF, are copied one by one.
  private mutating func copy(of mapped: Tensor) throws(AdapterError) -> Tensor {
    do throws(StorageError) {
      var (storage, offset) = (mapped.storage, mapped.offset)
      let isGGUF = if case .gguf = form { true } else { false }
      if isGGUF || offset % 8 != 0 {
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
