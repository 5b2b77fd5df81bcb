// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTensors
import WeftTransformer

/// A copy of a golden Hugging Face model for a test to change, write and open.
struct EditedModel {
  var tensors: [String: Tensor]
  /// The text of config.json.
  var config: String

  init(_ name: String = "gqa-tied") throws {
    let folder = ModelRunner.golden(name)
    tensors = try Checkpoint(path: folder).tensors
    config = String(decoding: try readBytes(folder + "/config.json"), as: UTF8.self)
  }

  /// Replaces a piece of config.json that must be there.
  mutating func replace(_ old: String, _ new: String) {
    #expect(config.contains(old))
    config = config.replacing(old, with: new)
  }

  /// Writes the folder.
  func write() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try folder.write(config.utf8, to: "config.json")
    try SafetensorsWriter.write(tensors, to: folder.file("model.safetensors"))
    return folder
  }

  /// The error of opening it, with FOLDER for its path; nil when it opens.
  func error() throws -> String? {
    let folder = try write()
    return try EditedModel.error(folder.path)?.replacing(folder.path, with: "FOLDER")
  }

  /// The error of opening a model; nil when it opens.
  static func error(_ path: String) throws -> String? {
    do throws(ModelError) {
      let checkpoint: Checkpoint
      do throws(FormatError) { checkpoint = try Checkpoint(path: path) } catch { throw .format(error) }
      let pool: ThreadPool
      do throws(StorageError) { pool = try ThreadPool(threads: 1) } catch { throw .storage(error) }
      _ = try ModelWeights(checkpoint, pool: pool)
      return nil
    } catch { return error.description }
  }
}

/// A copy of a golden GGUF file for a test to overwrite bytes of.
struct EditedGGUF {
  var bytes: [UInt8]
  private let path: String

  init(_ name: String) throws {
    path = ModelRunner.golden(name + "/model.gguf")
    bytes = try readBytes(path)
  }

  /// Overwrites what follows a metadata key: four bytes of kind, then the value.
  mutating func overwrite(key: String, at offset: Int = 4, with new: [UInt8]) throws {
    let pattern = withUnsafeBytes(of: UInt64(key.utf8.count).littleEndian, Array.init) + Array(key.utf8)
    let place = try #require(bytes.firstIndex(of: pattern))
    bytes.replaceSubrange(place + pattern.count + offset..<place + pattern.count + offset + new.count, with: new)
  }

  /// Overwrites an integer value of 32 bits.
  mutating func overwrite(key: String, integer: UInt32) throws {
    try overwrite(key: key, with: withUnsafeBytes(of: integer.littleEndian, Array.init))
  }

  /// Overwrites the text of a string value with one of the same length.
  mutating func overwrite(key: String, text: String) throws { try overwrite(key: key, at: 12, with: Array(text.utf8)) }

  /// Overwrites bytes of a tensor.
  mutating func overwrite(tensor name: String, at offset: Int, with new: [UInt8]) throws {
    let tensor = try #require(try GGUFFile(path: path).tensors[name])
    #expect(offset + new.count <= tensor.byteCount)
    bytes.replaceSubrange(tensor.offset + offset..<tensor.offset + offset + new.count, with: new)
  }

  /// The error of opening it, with FILE for its path; nil when it opens.
  func error() throws -> String? {
    let folder = try TemporaryFolder()
    let path = try folder.write(bytes, to: "model.gguf")
    return try EditedModel.error(path)?.replacing(path, with: "FILE")
  }
}

extension [UInt8] {
  /// Where the first occurrence of `pattern` begins.
  fileprivate func firstIndex(of pattern: [UInt8]) -> Int? {
    indices.first { self[$0] == pattern[0] && self[$0...].starts(with: pattern) }
  }
}
