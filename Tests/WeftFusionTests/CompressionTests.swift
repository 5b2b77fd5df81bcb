// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftFusion
import WeftTensors

/// Tests/Goldens/compress, which tools/compress/make_goldens.py writes.
private struct CompressionGolden {
  let tensors: [String: Tensor]
  let shapes: [(rank: Int, width: Int, out: Int)] = [(8, 12, 20), (8, 16, 12), (8, 20, 8)]

  init() throws { tensors = try SafetensorsFile(path: "\(TestPaths.goldens)/compress/compress.safetensors").tensors }

  func floats(_ name: String) throws -> [Float] { try #require(tensors[name], "\(name)").floats() }

  func bytes(_ name: String) throws -> [UInt8] {
    let tensor = try #require(tensors[name], "\(name)")
    return Array(UnsafeRawBufferPointer(start: tensor.base, count: tensor.byteCount))
  }

  func adapter(_ task: Int) throws -> [ModuleFactors] {
    try shapes.enumerated().map { index, shape in
      ModuleFactors(
        path: "model.layers.\(index).q_proj", a: try floats("task\(task).\(index).a"),
        b: try floats("task\(task).\(index).b"), rank: shape.rank, inputSize: shape.width, outputSize: shape.out)
    }
  }
}

@Suite struct CompressionTests {
  private let golden: CompressionGolden

  init() throws { golden = try CompressionGolden() }

  @Test(arguments: [0.05, 0.2, 0.5, 1.0])
  func comPEFTKeepsWhatTheReferenceKeeps(density: Double) throws {
    let result = ComPEFT.ternary(try golden.adapter(0), density: density)
    let codes = result.modules.flatMap { $0.a.codes + $0.b.codes }.map { UInt8(bitPattern: $0) }
    #expect(codes == (try golden.bytes("ternary.\(density).codes")))
    let deviation = try golden.floats("ternary.\(density).deviation")[0]
    #expect(Float(result.deviation) == deviation)
  }

  @Test func ternaryIsAlphaSigmaTimesTheSigns() throws {
    let modules = try golden.adapter(0)
    let compressed = try CompressionMethod.named("ternary").compress(
      modules, CompressionValues(["density": 0.2, "alpha": 3]))
    let step = 3 * (try golden.floats("ternary.0.2.deviation")[0])
    var codes = try golden.bytes("ternary.0.2.codes").map { Float(Int8(bitPattern: $0)) }
    for module in compressed {
      for values in [module.a.floats(), module.b.floats()] {
        for (value, code) in zip(values, codes) { #expect(value == code * step) }
        codes.removeFirst(values.count)
      }
    }
    #expect(codes.isEmpty)
  }

  @Test func singularValuesAndRanksAreThoseOfTheMatrix() throws {
    for (index, module) in try golden.adapter(0).enumerated() {
      let truncation = try Truncation(module)
      // Measured: 0, with numpy's values rounded to f32; kernels of OpenBLAS for other processors may round the last bit otherwise.
      let expected = try golden.floats("values.\(index)")
      for (value, other) in zip(truncation.values, expected) { #expect(abs(Float(value) - other) <= 1.2e-7 * expected[0]) }
      #expect([0.5, 0.9, 0.99].map { Float(truncation.rank(energy: $0)) } == (try golden.floats("ranks.\(index)")))
    }
  }

  @Test func truncationErrsByTheValuesThatItLeavesOut() throws {
    for module in try golden.adapter(0) {
      let truncation = try Truncation(module)
      for rank in 1...8 {
        let left = truncation.values.dropFirst(rank).reduce(0) { $0 + $1 * $1 }
        let error = module.squaredDistance(to: truncation.factors(rank: rank))
        // Measured: 1.7e-15 of the change, in doubles; what OpenBLAS leaves depends on the processor.
        #expect(abs(error - left) <= 1e-13 * module.energy, "rank \(rank)")
      }
    }
  }

  @Test func fitsGetBetterWithRankAndSmallerWithPrice() throws {
    for module in try golden.adapter(0) {
      var last = Double.infinity
      for rank in [4, 8, 12, 16] {
        let fit = try TernaryFit(module, rank: rank, price: 0)
        #expect(fit.squaredError < last)
        last = fit.squaredError
        let stored = try module.compressed(fit)
        #expect(stored.a.dtype == .ternary && stored.b.dtype == .ternary && stored.rank % 4 == 0)
      }
      let counts = try [0, 0.5, 2].map { price in
        let fit = try TernaryFit(module, rank: 8, price: price)
        return fit.a.nonzeroCount + fit.b.nonzeroCount
      }
      #expect(counts[0] > counts[1] && counts[1] > counts[2])
    }
  }

  @Test func fitSaysItsError() throws {
    let module = try golden.adapter(1)[0]
    let fit = try TernaryFit(module, rank: 8, price: 0.3)
    let own = ModuleFactors(
      path: "", a: fit.a.codes.map { Float($0) }, b: fit.b.codes.map { Float(Double($0) * fit.scale) }, rank: fit.a.rows,
      inputSize: module.inputSize, outputSize: module.outputSize)
    // Measured: 7.6e-16 of the change, in doubles.
    #expect(abs(module.squaredDistance(to: own) - fit.squaredError) <= 1e-13 * fit.energy)
    // Along the change, all of it is there.
    let unbiased = fit.unbiasedScale / fit.scale * ModuleFactors.product(module, own)
    // Measured: 8e-10: the number of the fit was rounded to f32.
    #expect(abs(unbiased - fit.energy) <= 1.6e-9 * fit.energy)
  }

  @Test func aFitIsBetterThanTheSignsOfTheFactors() throws {
    let modules = try golden.adapter(0)
    let fit = try CompressionMethod.named("ternary-fit").compress(modules, CompressionValues(["price": 0]))
    let raw = try CompressionMethod.named("ternary").compress(modules, CompressionValues(["density": 0.5]))
    #expect(CompressionReport(modules, fit).relativeError < CompressionReport(modules, raw).relativeError)
  }

  @Test func whatIsTernaryStaysAsItIs() throws {
    let own = try CompressionMethod.named("ternary-fit").compress(try golden.adapter(0))
    let again = try CompressionMethod.named("ternary-fit").compress(own.map(\.factors), CompressionValues(["price": 2]))
    #expect(again.map(\.factors) == own.map(\.factors))
  }

  @Test(arguments: ["f16", "bf16", "q8_0", "q4_0", "signs", "low-rank", "ternary", "ternary-fit"])
  func everyMethodWorksAlone(name: String) throws {
    let modules = try golden.adapter(2)
    let compressed = try CompressionMethod.named(name).compress(modules)
    #expect(compressed.map(\.path) == modules.map(\.path))
    let error = CompressionReport(modules, compressed).relativeError
    // Measured: f16 2.8e-4, bf16 2.49e-3 (a q format has no whole blocks here, and is F16), low-rank 0.18, ternary-fit 0.31,
    // ternary 0.71, signs 0.88.
    let bounds: [String: Double] = [
      "f16": 5.6e-4, "bf16": 5e-3, "q8_0": 5.6e-4, "q4_0": 5.6e-4, "low-rank": 0.36, "ternary-fit": 0.62,
    ]
    #expect(error < bounds[name] ?? 1)
  }

  @Test func moreBytesAreSpentWhereErrorsCostMore() throws {
    let modules = try golden.adapter(0)
    let allocation = try TernaryAllocation(modules)
    var weights = allocation.evenWeights
    let budget = 150
    let even = try allocation.choice(byteCount: budget, weights: weights)
    weights[1] *= 1000
    let favoured = try allocation.choice(byteCount: budget, weights: weights)
    #expect(favoured.squaredErrors[1] < even.squaredErrors[1])
    let larger = try allocation.choice(byteCount: 2 * budget, weights: weights)
    #expect(larger.squaredErrors.reduce(0, +) < favoured.squaredErrors.reduce(0, +))
  }

  @Test func modulesHaveTheMethodOfThePatternThatMatches() throws {
    let modules = try golden.adapter(0)
    let plan = CompressionPlan(
      .init(try .named("f16")), exceptions: [("layers.1.*", .init(try .named("signs")))])
    #expect(try plan.compress(modules).map(\.a.dtype) == [.f16, .ternary, .f16])
    let unused = CompressionPlan(.init(try .named("f16")), exceptions: [("k_proj", .init(try .named("signs")))])
    #expect(throws: CompressionError.self) { try unused.compress(modules) }
  }

  @Test(arguments: [
    ("model.layers.1.self_attn.q_proj", "q_proj", true), ("model.layers.1.self_attn.q_proj", "proj", false),
    ("model.layers.11.mlp.up_proj", "layers.1.*", false), ("model.layers.1.mlp.up_proj", "layers.1.*", true),
    ("model.layers.1.mlp.up_proj", "*", true), ("model.layers.1.mlp.up_proj", "m*p.up*", true),
    ("model.layers.1.mlp.up_proj", "mlp", false),
  ])
  func patternsMatchBehindADot(path: String, pattern: String, expected: Bool) {
    #expect(CompressionPlan.matches(path, pattern) == expected)
  }

  @Test func wrongValuesAreRefused() throws {
    let modules = try golden.adapter(0)
    for (method, values) in [
      ("ternary", ["density": 0]), ("ternary", ["density": 1.5]), ("ternary", ["rank": 4]), ("ternary-fit", ["rank": 6]),
      ("low-rank", ["rank": 0.5]), ("f16", ["density": 0.5]),
    ] {
      #expect(throws: CompressionError.self, "\(method) \(values)") {
        try CompressionMethod.named(method).compress(modules, CompressionValues(values))
      }
    }
    #expect(throws: CompressionError.self) { try CompressionMethod.named("zip") }
    var broken = modules
    broken[1].a[3] = .nan
    #expect(throws: CompressionError.self) { try CompressionMethod.named("ternary").compress(broken) }
  }

  // MARK: - Libraries

  @Test func sharedBasesErrAsLittleAsTheReference() throws {
    let tasks = try (0..<3).map { try golden.adapter($0) }
    for (index, expected) in try golden.floats("basis.errors").enumerated() {
      let basis = try SharedBasis(tasks.map { $0[index] }, rank: 4)
      // Measured: 2.3e-9.
      #expect(abs(basis.squaredError - Double(expected)) <= 4.7e-9)
    }
  }

  @Test func aBasisOfFullRankIsExact() throws {
    // Two of rank 4 have eight directions.
    let changes = try (0..<2).map { try Truncation(try golden.adapter($0)[0]).factors(rank: 4) }
    let basis = try SharedBasis(changes, rank: 8)
    // Measured: 2.2e-16, in doubles.
    #expect(basis.squaredError < 1e-13)
    for (change, core) in zip(changes, basis.cores) {
      let r = basis.rank
      var b = [Float](repeating: 0, count: 20 * r)
      for o in 0..<20 { for s in 0..<r { for q in 0..<r { b[o * r + s] += basis.u[o * r + q] * core[q * r + s] } } }
      let back = ModuleFactors(path: "", a: basis.v, b: b, rank: r, inputSize: 12, outputSize: 20)
      // Measured: 6.7e-15 of the squared change: cores are in f32.
      #expect(change.squaredDistance(to: back) < 1e-13 * change.energy)
    }
  }

  @Test func masksAreThoseOfTheReference() throws {
    let tasks = try (0..<3).map { try golden.adapter($0) }
    for index in golden.shapes.indices {
      let masks = try TaskMasks(tasks.map { $0[index] }, lambda: 0.4)
      for (task, mask) in masks.tasks.enumerated() {
        #expect(mask.a.map { $0 ? 1 : 0 } == (try golden.bytes("mask\(task).\(index).a")))
        #expect(mask.b.map { $0 ? 1 : 0 } == (try golden.bytes("mask\(task).\(index).b")))
      }
    }
  }
}
