// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTensors

@Suite("weft merge")
struct MergeCommandTests {
  private let folder: TemporaryFolder
  private static let adapters = TestPaths.goldens + "/merge/adapters"

  init() throws { folder = try TemporaryFolder() }

  private func recipe(_ text: String) throws -> String {
    try folder.write(text.replacing("ADAPTERS", with: Self.adapters).utf8, to: "recipe.yaml")
  }

  private func tensors(_ name: String) throws -> [String: [Float]] {
    try SafetensorsFile(path: folder.file("\(name)/adapter_model.safetensors")).tensors.mapValues { referenceFloats($0) }
  }

  @Test func argumentsAndRecipeSayTheSame() throws {
    let byHand = try Weft([
      "merge", "--method", "ties", "--space", "delta", "--density", "0.5", "--set", "b:density=0.25", "--set", "lambda=0.9",
      "--set", "normalize=false", "a=\(Self.adapters)/a:0.7", "b=\(Self.adapters)/b:-0.4", "--output", folder.file("hand"),
    ])
    #expect(byHand.status == 0 && byHand.errors.isEmpty, "\(byHand.errors)")
    #expect(byHand.output.contains("a, b by ties in space delta, 7 modules, rank 4"), "\(byHand.output)")
    let path = try recipe(
      """
      merge_method: ties
      models:
        - model: ADAPTERS/a
          parameters: {weight: 0.7}
        - model: ADAPTERS/b
          parameters:
            weight: [-0.4, -0.4]
            density:
              - filter: q_proj
                value: 0.25
              - value: 0.25
      parameters:
        density: 0.5
        lambda: 0.9
        normalize: false
        int8_mask: true
      """)
    let byRecipe = try Weft(["merge", path, "--output", folder.file("recipe")])
    #expect(byRecipe.status == 0 && byRecipe.errors.isEmpty, "\(byRecipe.errors)")
    #expect(try tensors("hand") == tensors("recipe"))
  }

  @Test func oneSliceAndItsGradientAreRead() throws {
    let path = try recipe(
      """
      slices:
        - sources:
            - model: ADAPTERS/a
              layer_range: [0, 2]
            - model: ADAPTERS/b
              layer_range: [0, 3]
      merge_method: slerp
      parameters: {t: 0.5}
      """)
    let other = try Weft(["merge", path, "--output", folder.file("x")])
    #expect(other.status == 69 && other.errors.contains("line 5: expected the same layer_range"), "\(other.errors)")
    let gradient = try recipe(
      """
      models: [{model: ADAPTERS/a}, {model: ADAPTERS/a}]
      merge_method: slerp
      parameters:
        t: [0, 1]
      dtype: float16
      """)
    let made = try Weft(["merge", gradient, "--output", folder.file("x")])
    #expect(made.status == 0, "\(made.errors)")
    #expect(
      try SafetensorsFile(path: folder.file("x/adapter_model.safetensors")).tensors.values.allSatisfy { $0.dtype == .f16 })
  }

  @Test(arguments: [
    (text: "merge_method: ties\nmodels: []\n", errors: ["line 2", "models: expected a list, found an empty one"]),
    (text: "merge_method: magic\n", errors: ["merge_method: expected linear", "found 'magic'"]),
    (text: "merge_method: ties\nmodel: x\n", errors: ["line 2", "expected keys of a recipe", "found 'model'"]),
    (
      text: "merge_method: ties\nmodels:\n  - model: ADAPTERS/a\n    parameters: {density: much}\n",
      errors: ["line 4", "density: expected a number, found 'much'"]
    ),
    (
      text: "merge_method: ties\nmodels:\n  - model: ADAPTERS/a\n    parameters:\n      gamma: 1\n",
      errors: ["line 5", "found 'gamma'"]
    ),
    (text: "merge_method: [\n", errors: ["expected YAML"]),
    (text: "merge_method: ties\nmerge_method: linear\n", errors: ["expected YAML"]),
    (text: "- a\n", errors: ["expected keys and values"]),
    (text: "merge_method: ties\nmodels: [{model: ADAPTERS/a}]\ndtype: int3\n", errors: ["line 3", "dtype", "'int3'"]),
  ])
  func brokenRecipesAreRefusedWithTheirPlace(_ broken: (text: String, errors: [String])) throws {
    let result = try Weft(["merge", try recipe(broken.text), "--output", folder.file("x")])
    #expect(result.status == 64 || result.status == 69)
    for part in broken.errors { #expect(result.errors.contains(part), "\(result.errors)") }
    #expect(try folder.contents == ["recipe.yaml"])
  }

  @Test func theRegistryIsListed() throws {
    let text = try Weft(["merge", "methods"])
    #expect(text.status == 0 && text.output.contains("magnitude_prune_svd  delta"), "\(text.output)")
    let json = try JSON(parsing: try Weft(["merge", "methods", "--json"]).output, location: "methods")
    let rows = try #require(json.array)
    let names = rows.map { "\($0["name"]?.string ?? "") \($0["space"]?.string ?? "")" }
    #expect(Set(names).count == names.count)
    #expect(rows.allSatisfy { $0["source"]?.string?.hasPrefix("https://") == true })
  }

  @Test func argumentsAreChecked() throws {
    let output = ["--output", folder.file("x")]
    let masks = Self.adapters + "/a/adapter_model.safetensors"
    let a = "a=\(Self.adapters)/a"
    for (arguments, error) in [
      ([a], "--method: expected the name of a method"),
      (["--method", "cat", Self.adapters + "/a"], "expected NAME=PATH[:WEIGHT] or one recipe .yaml"),
      (["--method", "cat", "base=\(Self.adapters)/a"], "adapter name"),
      (["--method", "ties", a, "b=\(Self.adapters)/b", "--set", "c:density=0.5"], "expected one of a, b, found 'c'"),
      (["--method", "ties", a, "b=\(Self.adapters)/b", "--set", "density=much"], "--set density: expected more than 0"),
      (["--method", "cat", a, "--rank", "0"], "rank: expected at least 1, found 0"),
      (["--method", "cat", "a=\(Self.adapters)/none"], "found nothing at this path"),
      (["--method", "cat", a, "--masks", masks], "method cat: expected no masks, which it does not read"),
    ] {
      let result = try Weft(["merge"] + arguments + output)
      #expect(result.status == 64 || result.status == 66, "\(result.errors)")
      #expect(result.errors.contains(error), "\(result.errors)")
    }
    #expect(try folder.contents.isEmpty)
  }
}
