// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftFormats
internal import WeftTensors

/// A tensor of an adapter's files: in a mapped file, or in a pack, from which it is decoded when it is read.
enum StoredTensor {
  case mapped(Tensor)
  /// The number of a tensor of the pack.
  case packed(PackFile, Int)

  var shape: [Int] {
    switch self {
    case .mapped(let tensor): tensor.shape
    case .packed(let pack, let number): pack.tensors[number].shape
    }
  }

  var dtype: DType {
    switch self {
    case .mapped(let tensor): tensor.dtype
    case .packed(let pack, let number): pack.tensors[number].dtype
    }
  }

  func tensor() throws(AdapterError) -> Tensor {
    switch self {
    case .mapped(let tensor): return tensor
    case .packed(let pack, let number):
      do { return try pack.tensor(number) } catch { throw .format(error) }
    }
  }
}

extension AdapterFolder {
  /// The member that an adapter of this name is: as among PEFT's folders of several.
  static func member(of pack: PackFile, name: String) throws(AdapterError) -> PackMember {
    if let member = pack.member(name) ?? pack.member(Arrow.router) { return member }
    // Experts of a member, which have its name in front of theirs, are no adapters of their own.
    let principals = pack.members.filter { !$0.name.contains("/") }
    if principals.count == 1 { return principals[0] }
    let names = principals.map(\.name)
    throw .noAdapter(
      location: pack.path,
      found: names.isEmpty ? "a pack without members" : "a pack of several: \(names.joined(separator: ", "))")
  }

  /// Refuses a pack that was made for another base.
  func checkBase(_ base: BaseModel) throws(AdapterError) {
    if let expected = base.fingerprint, let found = pack?.provenance.base, found != expected {
      throw .otherBase(location: path, expected: expected, found: found)
    }
  }

  /// The adapters that the configuration refers to, experts of a gate: names, and folders where each may lie.
  func companions() throws(AdapterError) -> [(name: String, folders: [String])] {
    guard case .peft = form else { return [] }
    if config.isOn(Arrow.option) {
      let options = try ArrowOptions(config)
      return (options.experts + options.general).map { ($0, LoRAExpert.folders(of: $0, self)) }
    }
    guard try config.string("peft_type") == XLoRA.peftType else { return [] }
    return try XLoRAOptions(config).experts.map { ($0.name, XLoRA.folders(of: $0.name, path: $0.path, self)) }
  }

  /// Another adapter that this one refers to by name: of the same pack, or the first of these folders that has a configuration.
  /// nil when there is none.
  func companion(_ name: String, folders: [String]) throws(AdapterError) -> AdapterFolder? {
    if let pack {
      guard let member = memberName.flatMap({ pack.member("\($0)/\(name)") }) ?? pack.member(name) else { return nil }
      return try AdapterFolder(pack, member: member, policy: policy)
    }
    guard let folder = folders.first(where: AdapterFolder.hasConfig) else { return nil }
    return try AdapterFolder(path: folder, policy: policy)
  }
}
