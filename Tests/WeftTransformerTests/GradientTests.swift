// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
import WeftTensors
import WeftTransformer

/// The backward pass against torch's autograd in float64, on random tiny models; files made by tools/make_gradient_goldens.py.
///
/// Errors are the largest difference over the largest magnitude of a tensor, the largest of all tensors; measured, and twice that
/// is the bound.
struct GradientTests {
  /// A golden model with the error of its sums of squared gradients.
  struct Model: Sendable {
    let path: String
    let error: Float

    init(_ path: String, _ error: Float) {
      self.path = path
      self.error = error
    }

    var name: String { String(path.split(separator: "/")[1]) }
  }

  static let models = [
    Model("logits/gqa-tied", 2.6e-6), Model("logits/mha-untied", 2.8e-6), Model("logits/biases", 2.5e-6),
    Model("logits/llama3-rope", 2.4e-6), Model("architectures/qwen3-tied", 2.0e-6), Model("architectures/olmo2-gqa", 1.5e-6),
    Model("architectures/phi3-gqa", 7.8e-6), Model("architectures/phi4mini-short", 1.3e-6),
    Model("architectures/gemma-mqa", 2.1e-6),
    Model("architectures/gemma3-scalar", 1.5e-6), Model("architectures/gpt2-tied", 9.0e-7),
    Model("architectures/granite-tied", 5.5e-7), Model("architectures/smollm3-nope", 6.8e-6),
    Model("architectures/mistral-window", 3.9e-6),
  ]

  /// The tokens of a golden model, and the same backwards.
  static func examples(_ path: String) throws -> [[Int32]] {
    let tokens = try Golden(path + "/logits.safetensors").integers("tokens").map(Int32.init)
    return [tokens, tokens.reversed()]
  }

  /// The mean of the squared gradients of every map, and the log-likelihoods.
  static func fisher(_ runner: ModelRunner, _ path: String) throws -> (squares: [WeightSite: [Float]], likelihoods: [Float]) {
    let examples = try examples(path)
    let model = try GradientModel(runner.weights, contextLength: examples[0].count)
    var squares: [WeightSite: [Float]] = [:]
    var likelihoods: [Float] = []
    for tokens in examples {
      let value = try model.backward(tokens, from: tokens.count / 2) { (site, x, dy) throws(LinearAlgebraError) in
        let gradient = try dy.transposedTimes(x)
        let sum = squares[site] ?? gradient.map { _ in 0 }
        squares[site] = zip(sum, gradient).map { $0 + $1 * $1 / 2 }
      }
      likelihoods.append(Float(value))
    }
    return (squares, likelihoods)
  }

  @Test(arguments: models) func gradientsAreThoseOfAutograd(model: Model) throws {
    let runner = try ModelRunner(TestPaths.goldens + "/" + model.path)
    let golden = try Golden("gradients/\(model.name).safetensors")
    let (squares, likelihoods) = try Self.fisher(runner, model.path)
    var largest = relativeError(likelihoods, try golden.floats("log_likelihood"))
    var modules = 0
    for module in runner.weights.shape.modules where module.isPublished && golden.names.contains(module.path + ".rows") {
      modules += 1
      let columns = try golden.floats(module.path + ".columns")
      var (rowSums, columnSums): ([Float], [Float]) = ([], columns.map { _ in 0 })
      for site in module.sites {
        let values = try #require(squares[site])
        for begin in stride(from: 0, to: values.count, by: columns.count) {
          let row = values[begin..<begin + columns.count]
          rowSums.append(row.reduce(0, +))
          columnSums = zip(columnSums, row).map { $0 + $1 }
        }
      }
      largest = max(
        largest, relativeError(rowSums, try golden.floats(module.path + ".rows")), relativeError(columnSums, columns))
    }
    #expect(modules == golden.names.filter { $0.hasSuffix(".rows") }.count)
    #expect(largest <= model.error * 2)
  }

  /// Every element of a layer, not only their sums.
  @Test func everyElement() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let golden = try Golden("gradients/gqa-tied.safetensors")
    let (squares, _) = try Self.fisher(runner, "logits/gqa-tied")
    var largest: Float = 0
    for name in golden.names where name.hasSuffix(".fisher") {
      let module = try #require(runner.weights.shape.module(at: String(name.dropLast(7))))
      largest = max(largest, relativeError(try #require(squares[module.sites[0]]), try golden.floats(name)))
    }
    // Measured: 2.8e-6.
    #expect(largest > 0 && largest <= 5.6e-6)
  }

  /// By the factors of an adapter that acts: dA = s (dy B)^T x, dB = s dy^T (A x).
  @Test func factorsOfAnAdapter() throws {
    let runner = try ModelRunner(ModelRunner.golden("gqa-tied"))
    let golden = try Golden("gradients/gqa-tied+all.safetensors")
    let model = try GradientModel(runner.weights, deltas: runner.adapter("all").deltas, contextLength: 128)
    var squares: [String: [Float]] = [:]
    var likelihoods: [Float] = []
    for tokens in try Self.examples("logits/gqa-tied") {
      likelihoods.append(
        Float(
          try model.backward(tokens, from: tokens.count / 2) { (site, x, dy) throws(LinearAlgebraError) in
            guard let path = runner.weights.shape.path(of: site), let (a, b) = try model.factorGradients(site, x, dy) else {
              return
            }
            for (name, gradient) in [(path + ".lora_A", a), (path + ".lora_B", b)] {
              squares[name] = zip(squares[name] ?? gradient.map { _ in 0 }, gradient).map { $0 + $1 * $1 / 2 }
            }
          }))
    }
    var largest = relativeError(likelihoods, try golden.floats("log_likelihood"))
    #expect(squares.count == golden.names.count - 1)
    for (name, values) in squares { largest = max(largest, relativeError(values, try golden.floats(name))) }
    // Measured: 6.6e-6.
    #expect(largest <= 1.4e-5)
  }

  @Test(arguments: [("gemma2-caps", "soft cap of attention"), ("mixtral-top2", "experts")])
  func refusesWhatItDoesNotCompute(name: String, part: String) throws {
    let runner = try ModelRunner(TestPaths.goldens + "/architectures/" + name)
    #expect { try GradientModel(runner.weights, contextLength: 64) } throws: { "\($0)".contains(part) }
  }
}
