// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

/// How much every column of every weight matrix matters: the squares of what it was multiplied by, summed over a text.
///
/// The file is the one that llama.cpp's `llama-imatrix` writes: GGUF with `general.type` = `imatrix`, `imatrix.datasets`,
/// `imatrix.chunk_count` and `imatrix.chunk_size`, and for every matrix NAME the F32 tensors `NAME.in_sum2` [matrices,
/// columns] and `NAME.counts` [matrices, 1]; matrices is 1, or the number of experts. The older binary form is read too:
///
/// | bytes | what |
/// |---|---|
/// | 4 | number of entries |
/// | 4, n | length of the name, name |
/// | 4, 4 | number of chunks, number of values |
/// | 4 each | sums of mean squares over the chunks, f32 |
/// | ... | optionally the number of chunks, and length and name of the text |
package struct ImportanceMatrix: Sendable {
  /// What was collected for one weight tensor.
  package struct Entry: Sendable, Equatable {
    /// [matrices, columns] sums of squares.
    package var sums: [Float]
    /// [matrices] rows that were added up.
    package var counts: [Float]

    package init(sums: [Float], counts: [Float]) {
      self.sums = sums
      self.counts = counts
    }

    package var columns: Int { counts.isEmpty ? 0 : sums.count / counts.count }
  }

  package var entries: [String: Entry]
  /// Names of the texts.
  package var datasets: [String]
  /// Windows of text, and tokens in each.
  package var chunkCount: Int
  package var chunkSize: Int

  package init(entries: [String: Entry], datasets: [String], chunkCount: Int, chunkSize: Int) {
    self.entries = entries
    self.datasets = datasets
    self.chunkCount = chunkCount
    self.chunkSize = chunkSize
  }

  /// Mean squares of the columns of every matrix of a tensor: one list for all, or one for each; nil when the file does not
  /// have the tensor. Matrices that no row reached (experts that were never chosen) get ones. `location` names the file in errors.
  package func means(
    of name: String, columns: Int, matrices: Int, location: String = "importance matrix"
  ) throws(FormatError) -> [[Float]]? {
    guard let entry = entries[name] else { return nil }
    let count = entry.counts.count
    guard entry.columns == columns, entry.sums.count == count * columns, count == 1 || count == matrices else {
      throw .malformed(
        location: "\(location): '\(name)'", expected: "\(columns) columns of \(matrices) matrices, as the model has",
        found: "\(entry.columns) columns of \(count)")
    }
    return (0..<count).map { matrix in
      guard entry.counts[matrix] > 0 else { return [Float](repeating: 1, count: columns) }
      return entry.sums[matrix * columns..<(matrix + 1) * columns].map { $0 / entry.counts[matrix] }
    }
  }
}

extension ImportanceMatrix {
  private static let sumSuffix = ".in_sum2"
  private static let countSuffix = ".counts"

  /// Reads either form.
  package init(path: String) throws(FormatError) {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .storage(error) }
    if storage.bytes.starts(with: "GGUF".utf8) {
      try self.init(gguf: try GGUFFile(storage: storage, path: path))
    } else {
      try self.init(binary: ByteCursor(storage, path: path))
    }
    for (name, entry) in entries where !(entry.sums + entry.counts).allSatisfy({ $0.isFinite && $0 >= 0 }) {
      throw .malformed(location: "\(path): '\(name)'", expected: "finite sums of squares", found: "a negative or infinite one")
    }
  }

  private init(gguf file: GGUFFile) throws(FormatError) {
    guard file.metadata["general.type"]?.string == "imatrix" else {
      throw .unsupported(
        location: "\(file.path): general.type", expected: "an importance matrix ('imatrix')",
        found: file.metadata["general.type"]?.summary ?? "a file without it")
    }
    var entries: [String: Entry] = [:]
    for name in file.tensorOrder where name.hasSuffix(ImportanceMatrix.sumSuffix) {
      let weight = String(name.dropLast(ImportanceMatrix.sumSuffix.count))
      guard let counts = file.tensors[weight + ImportanceMatrix.countSuffix] else {
        throw .missing(location: file.path, name: "tensor '\(weight)\(ImportanceMatrix.countSuffix)'")
      }
      guard let sums = file.tensors[name], sums.dtype == .f32, counts.dtype == .f32, counts.elementCount > 0,
        sums.elementCount % counts.elementCount == 0
      else {
        throw .malformed(
          location: "\(file.path): tensor '\(name)'", expected: "F32 sums for each of \(counts.elementCount) F32 counts",
          found: "\(file.tensors[name]?.shape ?? []) sums")
      }
      entries[weight] = Entry(sums: sums.floats(), counts: counts.floats())
    }
    guard !entries.isEmpty else { throw .missing(location: file.path, name: "a tensor NAME\(ImportanceMatrix.sumSuffix)") }
    self.init(
      entries: entries, datasets: file.metadata["imatrix.datasets"]?.strings ?? [],
      chunkCount: file.metadata["imatrix.chunk_count"]?.int ?? 0, chunkSize: file.metadata["imatrix.chunk_size"]?.int ?? 0)
  }

  private init(binary: ByteCursor) throws(FormatError) {
    var cursor = binary
    func count(_ name: String, each bytes: Int) throws(FormatError) -> Int {
      let place = cursor.location
      let value = try cursor.integer(Int32.self, "the number of \(name)")
      guard value >= 0, Int(value) <= cursor.remaining / bytes else {
        throw .malformed(
          location: place, expected: "GGUF, or a number of \(name) that fit into \(cursor.remaining) bytes", found: "\(value)")
      }
      return Int(value)
    }
    func text(_ name: String) throws(FormatError) -> String {
      var bytes: [UInt8] = []
      for _ in 0..<(try count("bytes of \(name)", each: 1)) { bytes.append(try cursor.integer(UInt8.self, name)) }
      guard let text = String(validating: bytes, as: UTF8.self) else {
        throw .malformed(location: cursor.location, expected: "\(name) in UTF-8", found: "other bytes")
      }
      return text
    }
    var entries: [String: Entry] = [:]
    for _ in 0..<(try count("entries", each: 12)) {
      let name = try text("the name of an entry")
      let chunks = max(1, try cursor.integer(Int32.self, "the number of chunks of '\(name)'"))
      var sums: [Float] = []
      for _ in 0..<(try count("values of '\(name)'", each: 4)) {
        sums.append(Float(bitPattern: try cursor.integer(UInt32.self, "a value of '\(name)'")))
      }
      entries[name] = Entry(sums: sums, counts: [Float(chunks)])
    }
    var chunkCount = 0
    var datasets: [String] = []
    if cursor.remaining >= 8 {
      chunkCount = Int(max(0, try cursor.integer(Int32.self, "the number of chunks")))
      datasets = [try text("the name of the text")]
    }
    self.init(entries: entries, datasets: datasets, chunkCount: chunkCount, chunkSize: 0)
  }

  /// Writes the GGUF form, entries by name. The same matrix gives the same bytes.
  package func write(to path: String) throws(FormatError) {
    let ordered = entries.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    let writer = try GGUFWriter(
      path: path,
      metadata: [
        ("general.type", .string("imatrix")), ("imatrix.datasets", .strings(datasets)),
        ("imatrix.chunk_count", .uint32(UInt32(clamping: chunkCount))),
        ("imatrix.chunk_size", .uint32(UInt32(clamping: chunkSize))),
      ],
      tensors: ordered.flatMap { name, entry in
        [
          (name + ImportanceMatrix.sumSuffix, DType.f32, [entry.counts.count, entry.columns]),
          (name + ImportanceMatrix.countSuffix, DType.f32, [entry.counts.count, 1]),
        ]
      })
    for (_, entry) in ordered {
      try writer.append(entry.sums)
      try writer.append(entry.counts)
    }
    try writer.finish()
  }
}
