// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

/// An opened GGUF file: its metadata, and its tensors as views of the mapped bytes.
///
/// | bytes | what |
/// |---|---|
/// | 4 | magic `GGUF` |
/// | 4 | version: 3, or 2, which differs only in that it has no big-endian form |
/// | 8, 8 | number of tensors, number of metadata pairs |
/// | ... | pairs: key, value kind, value (`GGUFValue`) |
/// | ... | tensors: name, number of axes, length of every axis (fastest first), `GGMLType`, offset into the tensor data |
/// | ... | padding to `general.alignment` (32 when absent), then the tensor data |
///
/// Integers are little-endian; a string is a 64-bit length and UTF-8 text, in keys, names, values and arrays alike. Text that
/// is not UTF-8 is refused rather than repaired: repair would make different tokens of a vocabulary equal.
/// Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
package struct GGUFFile: Sendable {
  package let path: String
  package let version: Int
  package let metadata: [String: GGUFValue]
  /// The metadata keys in file order.
  package let metadataOrder: [String]
  /// Shapes are in PyTorch's order ([out, in]): the reverse of the file's.
  package let tensors: [String: Tensor]
  /// The tensor names in file order.
  package let tensorOrder: [String]
  /// Where kind and value of a metadata key lie in the file.
  let metadataRanges: [String: Range<Int>]
  /// The mapped file that all tensors borrow from.
  package let storage: Storage

  /// Maps and reads the file at `path`. Nothing is reserved or believed before it was compared with the size of the file.
  package init(path: String) throws(FormatError) {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw .storage(error) }
    try self.init(storage: storage, path: path)
  }

  /// Reads a file that is mapped or in memory already; `path` names it in errors.
  package init(storage: Storage, path: String) throws(FormatError) {
    var cursor = ByteCursor(storage, path: path)
    version = try GGUFFile.readVersion(&cursor)
    // The smallest tensor entry: empty name, no axes, type, offset. The smallest pair: empty key, kind, one byte.
    let tensorCount = try cursor.count(minimumBytes: 24, "tensors")
    let pairCount = try cursor.count(minimumBytes: 13, "metadata pairs")
    (metadata, metadataOrder, metadataRanges) = try cursor.metadata(count: pairCount)
    let alignment = try GGUFFile.alignment(metadata, path: path)
    (tensors, tensorOrder) = try cursor.tensors(count: tensorCount, alignment: alignment)
    self.path = path
    self.storage = storage
  }

  private static func readVersion(_ cursor: inout ByteCursor) throws(FormatError) -> Int {
    let place = cursor.location
    let magic = try cursor.integer(UInt32.self, "the magic GGUF")
    guard magic == 0x4655_4747 else {
      throw .malformed(location: place, expected: "the magic GGUF", found: "0x" + String(magic.byteSwapped, radix: 16))
    }
    let versionPlace = cursor.location
    let version = try cursor.integer(UInt32.self, "the GGUF version")
    guard version == 2 || version == 3 else {
      let isSwapped = version & 0xFFFF == 0 && version != 0
      throw .unsupported(
        location: versionPlace, expected: "version 2 or 3, little-endian",
        found: isSwapped ? "big-endian GGUF of version \(version.byteSwapped)" : "GGUF version \(version)")
    }
    return Int(version)
  }

  private static func alignment(_ metadata: [String: GGUFValue], path: String) throws(FormatError) -> Int {
    guard let value = metadata["general.alignment"] else { return 32 }
    guard case .unsigned(let alignment) = value, alignment >= 8, alignment <= 1 << 30, alignment.nonzeroBitCount == 1 else {
      throw .malformed(
        location: "\(path): general.alignment", expected: "an unsigned power of two from 8 to 2^30", found: value.summary)
    }
    return Int(alignment)
  }
}
