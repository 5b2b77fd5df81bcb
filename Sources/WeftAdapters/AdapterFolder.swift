// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftFormats
internal import WeftTensors

/// The files of one adapter in PEFT's layout: `adapter_config.json` and `adapter_model.safetensors`.
///
/// It counts which tensors a resolver took: one that nobody took is an error of the adapter.
struct AdapterFolder {
  let path: String
  let config: AdapterConfig
  private let tensors: [String: Tensor]
  private var untaken: Set<String>
  /// Names that a family knows how to read, whether or not it took them.
  private var recognized: Set<String> = []

  private static let configName = "adapter_config.json"
  private static let tensorsName = "adapter_model.safetensors"

  init(path: String) throws(AdapterError) {
    self.path = path
    guard AdapterFolder.exists("\(path)/\(AdapterFolder.configName)") else {
      throw .missingFile(location: path, name: AdapterFolder.configName)
    }
    config = try AdapterConfig(file: "\(path)/\(AdapterFolder.configName)")
    guard AdapterFolder.exists("\(path)/\(AdapterFolder.tensorsName)") else {
      for pickle in ["adapter_model.bin", "adapter_model.pt"] where AdapterFolder.exists("\(path)/\(pickle)") {
        throw .pickle(location: path, name: pickle)
      }
      throw .missingFile(location: path, name: AdapterFolder.tensorsName)
    }
    do throws(FormatError) {
      tensors = try SafetensorsFile(path: "\(path)/\(AdapterFolder.tensorsName)").tensors
    } catch { throw .format(error) }
    guard !tensors.isEmpty else { throw .noTensors(location: "\(path)/\(AdapterFolder.tensorsName)") }
    untaken = Set(tensors.keys)
  }

  /// The file of the tensors, for errors.
  var tensorsLocation: String { "\(path)/\(AdapterFolder.tensorsName)" }
  /// All names, sorted.
  var tensorNames: [String] { tensors.keys.sorted() }
  /// Whether the file has a tensor of this name.
  func has(_ name: String) -> Bool { tensors[name] != nil }

  /// Marks a name as one that the family knows: left over, it is unused rather than unknown.
  mutating func recognize(_ name: String) { recognized.insert(name) }

  /// Marks a tensor as dealt with that has no effect on inference.
  mutating func discard(_ name: String) { untaken.remove(name) }

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

  /// Copies a tensor that is one of `tensorNames` into memory of its own and checks that its numbers are finite.
  mutating func take(_ name: String) throws(AdapterError) -> Tensor {
    guard let mapped = tensors[name] else { throw .missingTensor(location: tensorsLocation, tensor: name) }
    let storage: Storage
    do throws(StorageError) { storage = try Storage(byteCount: mapped.byteCount) } catch { throw .storage(error) }
    storage.bytes.copyMemory(from: UnsafeRawBufferPointer(start: mapped.base, count: mapped.byteCount))
    guard let copy = Tensor(dtype: mapped.dtype, shape: mapped.shape, storage: storage, offset: 0) else {
      preconditionFailure("a copy has the size of its original")
    }
    if let index = copy.firstNonFinite() { throw .nonFinite(location: tensorsLocation, tensor: name, index: index) }
    untaken.remove(name)
    return copy
  }

  private static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
}
