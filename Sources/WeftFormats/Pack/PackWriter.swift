// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// Writes a pack: tensors first, each as it is given, then the members that name them.
///
/// The file appears at its path when `finish` succeeds, and not before. The same calls give the same bytes (with one version of
/// zstd). Memory: what one tensor takes, and the index.
///
///     let writer = try PackWriter(path: "roman.weft", provenance: PackProvenance(base: fingerprint, sources: ["roman"]))
///     let a = try writer.add(tensorA)
///     let b = try writer.add(tensorB)
///     try writer.addMember("roman", config: configText, tensors: [.init("...lora_A.weight", a), .init("...lora_B.weight", b)])
///     let hash = try writer.finish()
///
/// A tensor that several members name is stored once. So are tensors of the same dtype, shape, scale and bytes, whoever gives them.
package final class PackWriter {
  private let file: AtomicFile
  /// May change until `finish`.
  package var provenance: PackProvenance
  private let storesRaw: Bool
  private var offset = 0
  private var tensors: [Entry] = []
  private var chunks: [(tensors: Int, hash: ContentHash)] = []
  /// The bytes of the chunk that is being filled, and its tensors.
  private var pending: [UInt8] = []
  private var pendingTensors = 0
  private var names: [String: Int] = [:]
  private var nameOrder: [String] = []
  private var members: [[UInt8]] = []
  private var memberNames: Set<String> = []
  private var known: [Identity: Int] = [:]

  /// What makes two tensors the same.
  private struct Identity: Hashable {
    let dtype: DType
    let shape: [Int]
    let scale: UInt32
    let hash: ContentHash
  }

  /// A tensor of the index, and what it takes.
  private struct Entry {
    let record: [UInt8]
    let coding: PackCoding
    let storedBytes: Int
  }

  /// - Parameter storesRaw: whether tensors are stored as they are rather than as small as possible: readers map large ones then.
  package init(path: String, provenance: PackProvenance, storesRaw: Bool = false) throws(FormatError) {
    self.provenance = provenance
    self.storesRaw = storesRaw
    file = try AtomicFile(path: path)
    try write([UInt8](repeating: 0, count: PackHeader.byteCount))
  }

  /// Stores a tensor; the result is its number, for members. Any dtype but block formats without a number in GGUF.
  package func add(_ tensor: Tensor) throws(FormatError) -> Int {
    let bytes = UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount)
    defer { withExtendedLifetime(tensor) {} }
    let identity = Identity(
      dtype: tensor.dtype, shape: tensor.shape, scale: tensor.scale.bitPattern, hash: ContentHash(of: bytes))
    if let number = known[identity] { return number }
    guard let type = PackType.number(of: tensor.dtype), tensor.shape.count <= PackLimits.axes, tensor.scale.isFinite else {
      throw .unsupported(
        location: file.path, expected: "up to \(PackLimits.axes) axes and a finite scale",
        found: "\(tensor.dtype.name) of shape \(tensor.shape), scale \(tensor.scale)")
    }
    if tensor.firstInvalidCode() != nil {
      throw .malformed(location: file.path, expected: "ternary elements 0, 1 or -1", found: "-2")
    }
    let (coding, encoded) = storesRaw ? (.raw, nil) : try PackEncoder.encode(tensor)
    let storedBytes = encoded?.count ?? bytes.count
    if storedBytes >= PackLimits.chunkBytes {
      // Alone in its chunk, and so at a multiple of the alignment.
      try flush()
      try writeChunk(encoded, bytes)
    } else {
      pending.append(contentsOf: encoded ?? Array(bytes))
      pendingTensors += 1
      if pending.count >= PackLimits.chunkBytes { try flush() }
    }
    var record = GGUFField.littleEndian(type) + [coding.rawValue, UInt8(tensor.shape.count)]
    record += GGUFField.littleEndian(tensor.scale.bitPattern)
    for axis in tensor.shape { record += GGUFField.littleEndian(UInt64(axis)) }
    record += GGUFField.littleEndian(UInt64(storedBytes))
    tensors.append(Entry(record: record, coding: coding, storedBytes: storedBytes))
    known[identity] = tensors.count - 1
    return tensors.count - 1
  }

  /// How a tensor is stored, and in how many bytes.
  package func stored(_ number: Int) -> (coding: PackCoding, byteCount: Int) {
    (tensors[number].coding, tensors[number].storedBytes)
  }

  /// Adds an adapter that consists of these tensors, each an index that `add` gave.
  /// - Parameter config: the JSON text of its configuration; empty when its form has none.
  package func addMember(
    _ name: String, form: PackMember.Form = .peft, config: String, metadata: [GGUFWriter.Pair] = [],
    tensors references: [PackMember.Reference]
  ) throws(FormatError) {
    let place = "\(file.path): member '\(name)'"
    guard memberNames.insert(name).inserted else {
      throw .malformed(location: place, expected: "a name of its own", found: "a name that is taken")
    }
    var seen: Set<String> = []
    for reference in references {
      guard seen.insert(reference.name).inserted else {
        throw .malformed(location: place, expected: "every tensor name once", found: "'\(reference.name)' again")
      }
      precondition(tensors.indices.contains(reference.tensor), "the number of a tensor that was added")
      if names.updateValue(names[reference.name] ?? nameOrder.count, forKey: reference.name) == nil {
        nameOrder.append(reference.name)
      }
    }
    var bytes = GGUFField.lengthAndText(name) + GGUFField.lengthAndText(form.text) + GGUFField.lengthAndText(config)
    bytes += GGUFField.littleEndian(UInt64(metadata.count))
    for (key, value) in metadata { bytes += GGUFField.lengthAndText(key) + value.bytes }
    bytes += GGUFField.littleEndian(UInt64(references.count))
    for reference in references {
      bytes += GGUFField.littleEndian(UInt32(names[reference.name] ?? 0)) + GGUFField.littleEndian(UInt32(reference.tensor))
    }
    members.append(bytes)
  }

  /// Completes the file; the result is its content hash.
  /// - Parameter key: signs the content.
  @discardableResult
  package func finish(signedBy key: PackPrivateKey? = nil) throws(FormatError) -> ContentHash {
    try flush()
    let index = index()
    let result: Result<[UInt8], FormatError> = index.withUnsafeBytes { bytes in
      do throws(FormatError) { return .success(try Zstandard.compress(bytes, level: 19)) } catch { return .failure(error) }
    }
    var stored = try result.get()
    stored += PackEncoder.padding(of: stored.count, decoded: index.count)
    let header = PackHeader(indexOffset: offset, indexDecodedBytes: index.count, storedIndex: stored)
    try write(stored)
    if let key { try write(try PackSignature(header.contentHash, key: key).bytes) }
    let headerResult: Result<Void, FormatError> = header.bytes.withUnsafeBytes { bytes in
      do throws(FormatError) { return .success(try file.write(bytes, at: 0)) } catch { return .failure(error) }
    }
    try headerResult.get()
    try file.commit()
    return header.contentHash
  }

  private func index() -> [UInt8] {
    func texts(_ texts: [String]) -> [UInt8] {
      GGUFField.littleEndian(UInt64(texts.count)) + texts.flatMap(GGUFField.lengthAndText)
    }
    var bytes = GGUFField.lengthAndText(provenance.base ?? "") + GGUFField.lengthAndText(provenance.baseName)
    bytes += texts(provenance.sources) + GGUFField.lengthAndText(provenance.method)
    bytes += GGUFField.littleEndian(UInt64(provenance.parameters.count))
    for parameter in provenance.parameters {
      bytes += GGUFField.lengthAndText(parameter.name) + GGUFField.lengthAndText(parameter.value)
    }
    bytes += GGUFField.lengthAndText(provenance.licence) + GGUFField.lengthAndText(provenance.text)
    bytes += texts(nameOrder)
    bytes += GGUFField.littleEndian(UInt64(chunks.count))
    for chunk in chunks { bytes += GGUFField.littleEndian(UInt32(chunk.tensors)) + chunk.hash.bytes }
    bytes += GGUFField.littleEndian(UInt64(tensors.count))
    for tensor in tensors { bytes += tensor.record }
    bytes += GGUFField.littleEndian(UInt64(members.count))
    for member in members { bytes += member }
    return bytes
  }

  /// Writes the tensors that wait as one chunk.
  private func flush() throws(FormatError) {
    guard pendingTensors > 0 else { return }
    pending += [UInt8](repeating: 0, count: PackLimits.aligned(pending.count) - pending.count)
    chunks.append((pendingTensors, ContentHash(of: pending)))
    try write(pending)
    (pending, pendingTensors) = ([], 0)
  }

  /// Writes one tensor as a chunk: its encoded bytes, or those of the tensor.
  private func writeChunk(_ encoded: [UInt8]?, _ raw: UnsafeRawBufferPointer) throws(FormatError) {
    let storedBytes = encoded?.count ?? raw.count
    let padding = [UInt8](repeating: 0, count: PackLimits.aligned(storedBytes) - storedBytes)
    var hasher = ContentHasher()
    if let encoded { encoded.withUnsafeBytes { hasher.update($0) } } else { hasher.update(raw) }
    padding.withUnsafeBytes { hasher.update($0) }
    chunks.append((1, hasher.finish()))
    if let encoded {
      try write(encoded)
    } else {
      try file.write(raw)
      offset += raw.count
    }
    try write(padding)
  }

  private func write(_ bytes: [UInt8]) throws(FormatError) {
    let result: Result<Void, FormatError> = bytes.withUnsafeBytes { buffer in
      do throws(FormatError) { return .success(try file.write(buffer)) } catch { return .failure(error) }
    }
    try result.get()
    offset += bytes.count
  }
}
