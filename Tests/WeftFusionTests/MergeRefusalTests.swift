// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftFormats
import WeftFusion
import WeftTensors

/// What cannot be merged is refused with place, expectation and finding.
struct MergeRefusalTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func expect(_ parts: [String], _ body: () throws -> Void) {
    #expect {
      try body()
    } throws: { error in
      parts.allSatisfy("\(error)".contains)
    }
  }

  @Test(arguments: [Float(0), -0.5, 1.5]) func densitiesLieBetweenNothingAndAll(_ density: Float) {
    expect(["density", "more than 0, at most 1", "\(density)"]) {
      _ = try merged("ties", [("a", 1), ("b", 1)], parameters: ["density": density])
    }
  }

  @Test func someWeightIsNotZero() {
    expect(["weights: expected one other than 0, found only 0"]) { _ = try merged("cat", [("a", 0), ("b", 0)]) }
    expect(["a: expected a finite weight"]) { _ = try merged("cat", [("a", .infinity), ("b", 1)]) }
  }

  @Test func namesAreUnique() {
    expect(["a name of its own for each, found 'a' twice"]) { _ = try merged("cat", [("a", 1), ("a", 1)]) }
  }

  @Test func unknownMethodsSpacesAndParametersAreNamed() {
    expect(["method: expected linear, ties", "found 'magic'"]) { _ = try merged("magic", [("a", 1)]) }
    expect(["method cat: expected space concat, found delta"]) { _ = try merged("cat", space: .delta, [("a", 1)]) }
    expect(["method ties: expected parameters density, majority_sign_method, found 'gamma'"]) {
      _ = try merged("ties", [("a", 1), ("b", 1)], parameters: ["gamma": 0.1])
    }
    expect(["svd_clamp", "signs of singular vectors"]) {
      _ = try merged("svd", [("a", 1), ("b", 1)], parameters: ["svd_clamp": 0.9])
    }
    expect(["method slerp: expected parameter t", "found none"]) { _ = try merged("slerp", [("a", 1), ("b", 1)]) }
    expect(["majority_sign_method: expected total or frequency, found 0.5"]) {
      _ = try merged("ties", [("a", 1), ("b", 1)], parameters: ["majority_sign_method": 0.5])
    }
  }

  @Test func methodsKnowHowManyTheyTake() {
    expect(["method slerp: expected exactly 2 to merge, found 3"]) {
      _ = try merged("slerp", [("a", 1), ("b", 1), ("c", 1)], parameters: ["t": 0.5])
    }
    expect(["method ties: expected at least 2 to merge, found 1"]) { _ = try merged("ties", [("a", 1)]) }
  }

  @Test func factorsOfDifferentRanksDoNotAddUp() {
    expect(["equal ranks (4, as a has), or a method of space delta, found 3 in d"]) {
      _ = try merged("linear", [("a", 1), ("d", 1)])
    }
  }

  @Test func theBasesWeightsAreNeededWhereTheyAreRead() {
    expect(["arcee_fusion: expected the base's weights, found no base"]) { _ = try merged("arcee_fusion", [("a", 1)]) }
  }

  @Test func densityAndEpsilonFitTogether() {
    expect(["epsilon", "density - epsilon above 0", "density 0.1"]) {
      _ = try merged("della", [("a", 1), ("b", 1)], parameters: ["density": 0.1])
    }
  }

  @Test func adaptersAreOfOneBase() throws {
    try copy("b", to: "other") { $0.replacing("\"tiny\"", with: "\"models/Large\"") }
    let sources = [
      try MergeSource(reading: MergeCase.folder("a"), name: "a", weight: 1),
      try MergeSource(reading: folder.file("other"), name: "other", weight: 1),
    ]
    expect(["other: expected the base of a, tiny, found models/Large"]) { _ = try AdapterMerge(method: .named("cat"))(sources) }
  }

  @Test func shapesAreEqual() throws {
    // A down_proj of another width.
    try copy("b", to: "wide") {
      $0
    } tensors: { name, values in
      name.contains("down_proj.lora_A") ? (values + values, [4, 48]) : nil
    }
    let sources = [
      try MergeSource(reading: MergeCase.folder("a"), name: "a", weight: 1),
      try MergeSource(reading: folder.file("wide"), name: "wide", weight: 1),
    ]
    expect(["wide, model.layers.0.mlp.down_proj: expected a linear map [16, 24], as a has, found a linear map [16, 48]"]) {
      _ = try AdapterMerge(method: .named("cat"))(sources)
    }
  }

  @Test func familiesThatDoNotMixAreNamed() throws {
    expect(["i: cannot be merged", "linear in space factors alone"]) {
      _ = try merged("ties", [("i", 1), ("j", 1)], parameters: ["density": 0.5])
    }
    try copy("b", to: "dora") { $0.replacing("\"use_dora\": false", with: "\"use_dora\": true") }
    expect(["use_dora", "--model", "weft compress --method low-rank"]) {
      _ = try MergeSource(reading: folder.file("dora"), name: "dora", weight: 1)
    }
    expect(["expected a linear map", "found 8 factors of outputs"]) {
      _ = try merged("linear", [("a", 1), ("i", 1)])
    }
  }

  /// A golden adapter with changes.
  private func copy(
    _ name: String, to target: String, config: (String) -> String,
    tensors change: (String, [Float]) -> ([Float], [Int])? = { _, _ in nil }
  ) throws {
    let text = String(decoding: try readBytes(MergeCase.folder(name) + "/adapter_config.json"), as: UTF8.self)
    try folder.write(config(text).utf8, to: "\(target)/adapter_config.json")
    let file = try SafetensorsFile(path: MergeCase.folder(name) + "/adapter_model.safetensors")
    var tensors = file.tensors
    for (name, tensor) in file.tensors {
      guard let (values, shape) = change(name, tensor.floats()) else { continue }
      tensors[name] = try Tensor(values, shape: shape)
    }
    try SafetensorsWriter.write(tensors, to: folder.file("\(target)/adapter_model.safetensors"))
  }
}
