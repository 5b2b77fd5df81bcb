// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// What the index of a pack says; the table is in `PackFile.swift`.
struct PackIndex {
  var provenance = PackProvenance()
  var members: [PackMember] = []
  var tensors: [PackTensor] = []
  var chunks: [PackChunk] = []

  /// Reads and checks the index that a header names. The sizes of all chunks and tensors fit the file, and fill it.
  init(_ header: PackHeader, in storage: Storage, path: String, maximumBytes: Int) throws(FormatError) {
    let stored = UnsafeRawBufferPointer(rebasing: storage.bytes[header.indexOffset..<header.contentEnd])
    let found = ContentHash(of: stored)
    guard found == header.indexHash else {
      throw .malformed(location: "\(path): index", expected: "SHA-256 \(header.indexHash)", found: "\(found)")
    }
    guard header.indexDecodedBytes <= maximumBytes else {
      throw .unsupported(
        location: "\(path): index", expected: "at most \(maximumBytes) bytes decoded", found: "\(header.indexDecodedBytes)")
    }
    let decoded = try Zstandard.decompress(stored, byteCount: header.indexDecodedBytes, location: "\(path): index")
    var cursor = ByteCursor(decoded, path: "\(path): index")
    provenance = try PackIndex.provenance(&cursor)
    let names = try cursor.texts("names of tensors")
    let chunkEntries = try PackIndex.chunks(&cursor)
    try readTensors(&cursor, chunkEntries, header, maximumBytes)
    try readMembers(&cursor, names)
    guard cursor.remaining == 0 else {
      throw .malformed(location: cursor.location, expected: "the end of the index", found: "\(cursor.remaining) more bytes")
    }
  }

  private static func provenance(_ cursor: inout ByteCursor) throws(FormatError) -> PackProvenance {
    let base = try cursor.string("the fingerprint of the base")
    var provenance = PackProvenance(base: base.isEmpty ? nil : base, baseName: try cursor.string("the name of the base"))
    provenance.sources = try cursor.texts("source files")
    provenance.method = try cursor.string("the method")
    for _ in 0..<(try cursor.count(minimumBytes: 16, "parameters")) {
      provenance.parameters.append(
        .init(try cursor.string("the name of a parameter"), try cursor.string("the value of a parameter")))
    }
    provenance.licence = try cursor.string("the licence")
    provenance.text = try cursor.string("the free text")
    return provenance
  }

  private static func chunks(_ cursor: inout ByteCursor) throws(FormatError) -> [(tensors: Int, hash: ContentHash)] {
    let count = try cursor.count(minimumBytes: 4 + ContentHash.byteCount, "chunks")
    var chunks: [(tensors: Int, hash: ContentHash)] = []
    chunks.reserveCapacity(count)
    for _ in 0..<count {
      let tensors = Int(try cursor.integer(UInt32.self, "the tensors of a chunk"))
      chunks.append((tensors, ContentHash(stored: try cursor.bytes(ContentHash.byteCount, "the hash of a chunk"))))
    }
    return chunks
  }

  /// The tensors follow each other in their chunks, the chunks in the file.
  private mutating func readTensors(
    _ cursor: inout ByteCursor, _ entries: [(tensors: Int, hash: ContentHash)], _ header: PackHeader, _ maximumBytes: Int
  ) throws(FormatError) {
    let count = try cursor.count(minimumBytes: 18, "tensors")
    tensors.reserveCapacity(count)
    var (chunkStart, decodedBytes) = (PackHeader.byteCount, 0)
    for (chunk, entry) in entries.enumerated() {
      var end = chunkStart
      for _ in 0..<entry.tensors {
        guard tensors.count < count else {
          throw .malformed(location: cursor.location, expected: "\(count) tensors in all chunks", found: "more")
        }
        let tensor = try PackTensor(&cursor, chunk: chunk, offset: end, end: header.indexOffset, number: tensors.count)
        tensors.append(tensor)
        end += tensor.storedBytes
        // Each is at most `expansion` times a part of the file: the sum of any two fits.
        decodedBytes = decodedBytes.addingReportingOverflow(tensor.byteCount).partialValue
        guard decodedBytes >= 0, decodedBytes <= maximumBytes else {
          throw .unsupported(
            location: cursor.path, expected: "tensors of at most \(maximumBytes) bytes decoded", found: "more")
        }
      }
      chunks.append(PackChunk(offset: chunkStart, storedBytes: end - chunkStart, hash: entry.hash))
      chunkStart = PackLimits.aligned(end)
    }
    guard tensors.count == count else {
      throw .malformed(
        location: cursor.location, expected: "\(tensors.count) tensors, as the chunks say", found: "\(count)")
    }
    guard chunkStart == header.indexOffset else {
      throw .malformed(
        location: cursor.path, expected: "chunks up to byte \(header.indexOffset), where the index is",
        found: "up to \(chunkStart)")
    }
  }

  private mutating func readMembers(_ cursor: inout ByteCursor, _ names: [String]) throws(FormatError) {
    let count = try cursor.count(minimumBytes: 40, "members")
    var seen: Set<String> = []
    members.reserveCapacity(count)
    for _ in 0..<count {
      let name = try cursor.string("the name of a member")
      guard seen.insert(name).inserted else {
        throw .malformed(location: cursor.location, expected: "every name of a member once", found: "'\(name)' again")
      }
      members.append(try PackMember(&cursor, name: name, names: names, tensorCount: tensors.count))
    }
  }
}

extension PackTensor {
  /// - Parameters:
  ///   - offset: where the bytes of the tensor before it end.
  ///   - end: where the chunks end.
  fileprivate init(_ cursor: inout ByteCursor, chunk: Int, offset: Int, end: Int, number: Int) throws(FormatError) {
    let place = "\(cursor.path): tensor \(number)"
    let type = try cursor.integer(UInt32.self, "the type of a tensor")
    guard let dtype = PackType.dtype(of: type) else {
      throw .unsupported(location: place, expected: "a type that Weft reads", found: "type \(type)")
    }
    let code = try cursor.integer(UInt8.self, "the coding of a tensor")
    guard let coding = PackCoding(rawValue: code), !coding.isTernary || dtype == .ternary else {
      throw .malformed(location: place, expected: "a coding for \(dtype.name)", found: "coding \(code)")
    }
    let axes = Int(try cursor.integer(UInt8.self, "the number of axes"))
    guard axes <= PackLimits.axes else {
      throw .malformed(location: place, expected: "at most \(PackLimits.axes) axes", found: "\(axes)")
    }
    let scale = Float(bitPattern: try cursor.integer(UInt32.self, "the scale of a tensor"))
    guard scale.isFinite, dtype == .ternary || scale == 1 else {
      throw .malformed(
        location: place, expected: dtype == .ternary ? "a finite scale" : "scale 1 for \(dtype.name)", found: "\(scale)")
    }
    var shape: [Int] = []
    for _ in 0..<axes {
      let axis = try cursor.integer(UInt64.self, "an axis of a tensor")
      guard let axis = Int(exactly: axis) else {
        throw .malformed(location: place, expected: "axes below 2^63", found: "\(axis)")
      }
      shape.append(axis)
    }
    guard let elements = Tensor.elementCount(of: shape), let bytes = dtype.byteCount(elements: elements),
      (shape.last ?? 1) % dtype.blockElements == 0
    else {
      throw .malformed(
        location: place, expected: "rows of whole blocks of \(dtype.name), fewer than 2^63 bytes", found: "shape \(shape)")
    }
    let stored = try cursor.integer(UInt64.self, "the bytes of a tensor")
    guard let stored = Int(exactly: stored), stored <= end - offset else {
      throw .malformed(
        location: place, expected: "at most the \(max(0, end - offset)) bytes in front of the index", found: "\(stored)")
    }
    guard coding != .raw || stored == bytes, bytes <= PackCoding.mostBytes(decodedFrom: stored) else {
      throw .malformed(
        location: place,
        expected: coding == .raw
          ? "\(bytes) bytes for \(dtype.name) of shape \(shape)"
          : "at least \(bytes / PackLimits.expansion) bytes for \(bytes)",
        found: "\(stored)")
    }
    self.init(
      dtype: dtype, shape: shape, scale: scale, coding: coding, storedBytes: stored, byteCount: bytes, chunk: chunk,
      offset: offset)
  }
}

extension PackCoding {
  /// The most bytes that so many stored ones may stand for.
  static func mostBytes(decodedFrom stored: Int) -> Int {
    let (product, overflow) = stored.multipliedReportingOverflow(by: PackLimits.expansion)
    return overflow ? Int.max : product
  }
}

extension PackMember {
  fileprivate init(_ cursor: inout ByteCursor, name: String, names: [String], tensorCount: Int) throws(FormatError) {
    let place = "\(cursor.path): member '\(name)'"
    let text = try cursor.string("the form of member '\(name)'")
    guard let form = PackMember.Form(text) else {
      throw .unsupported(location: place, expected: "form folder/..., safetensors or gguf", found: "form '\(text)'")
    }
    self.name = name
    self.form = form
    config = try cursor.string("the configuration of member '\(name)'")
    let found = try cursor.metadata(count: try cursor.count(minimumBytes: 13, "metadata pairs"))
    values = found.values
    metadata = found.order.compactMap { key in
      found.ranges[key].map { (key, GGUFField(copying: Array(cursor.storage.bytes[$0]))) }
    }
    let count = try cursor.count(minimumBytes: 8, "tensors of member '\(name)'")
    var references: [Reference] = []
    var seen: Set<Int> = []
    references.reserveCapacity(count)
    for _ in 0..<count {
      let number = Int(try cursor.integer(UInt32.self, "the name of a tensor"))
      let tensor = Int(try cursor.integer(UInt32.self, "the number of a tensor"))
      guard number < names.count, tensor < tensorCount else {
        throw .malformed(
          location: place, expected: "one of \(names.count) names and of \(tensorCount) tensors", found: "\(number), \(tensor)")
      }
      guard seen.insert(number).inserted else {
        throw .malformed(location: place, expected: "every tensor name once", found: "'\(names[number])' again")
      }
      references.append(Reference(names[number], tensor))
    }
    tensors = references
  }
}

extension ByteCursor {
  /// A count and that many texts.
  fileprivate mutating func texts(_ name: String) throws(FormatError) -> [String] {
    let count = try count(minimumBytes: 8, name)
    var texts: [String] = []
    texts.reserveCapacity(count)
    for _ in 0..<count { texts.append(try string("one of the \(name)")) }
    return texts
  }
}
