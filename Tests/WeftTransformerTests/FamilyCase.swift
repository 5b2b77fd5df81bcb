// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftAdapters
import WeftFormats

/// A folder of Tests/Goldens/families: an adapter that peft made, and what peft computes with it
/// (tools/make_adapter_goldens.py).
struct FamilyCase: Sendable, CustomTestStringConvertible {
  let name: String
  /// The name of its base in bases/.
  let base: String
  /// The folder to read.
  private(set) var folder: String
  let options: AdapterOptions
  /// Whether peft has numbers for it; otherwise it must be refused.
  let isReadable: Bool
  /// The layers that the base is opened with; nil for its own.
  let layers: [Int]?
  /// Why peft does not merge it; empty when it does.
  let unmergeable: String

  var testDescription: String { name }
  var basePath: String { FamilyCase.path(base: base) }

  static let root = TestPaths.goldens + "/families"
  static func path(base: String) -> String { root + "/bases/" + base }

  /// Every case, sorted by name.
  static let all: [FamilyCase] = {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    return names.sorted().filter { $0 != "bases" && !$0.contains(".") }.compactMap { try? FamilyCase($0) }
  }()

  private init(_ name: String) throws {
    self.name = name
    let folder = FamilyCase.root + "/" + name
    isReadable = FileManager.default.fileExists(atPath: folder + "/expected.safetensors")
    guard isReadable else {
      let config = try JSON(file: folder + "/adapter_config.json")
      base = (config["base_model_name_or_path"]?.string ?? "").replacing("weft/", with: "")
      (self.folder, options, layers, unmergeable) = (folder, AdapterOptions(), nil, "")
      return
    }
    let about = try JSON(
      parsing: SafetensorsFile(path: folder + "/expected.safetensors").metadata["weft"] ?? "", location: folder)
    base = about["base"]?.string ?? ""
    self.folder = about["adapter"]?.string.map { folder + "/" + $0 } ?? folder
    options = AdapterOptions(task: about["task"]?.int)
    let runs = try? JSON(file: self.folder + "/adapter_config.json")["layer_replication"]?.array
    layers = runs.map { $0.flatMap { run in Array((run.array?[0].int ?? 0)..<(run.array?[1].int ?? 0)) } }
    unmergeable = about["unmergeable"]?.string ?? ""
  }

  /// The same adapter at another place.
  func moved(to path: String) -> FamilyCase {
    var copy = self
    copy.folder = path
    return copy
  }

  /// The tensors of expected.safetensors.
  func golden() throws -> Golden { try Golden("families/\(name)/expected.safetensors") }
}
