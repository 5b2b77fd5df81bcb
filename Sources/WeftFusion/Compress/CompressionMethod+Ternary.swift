// SPDX-License-Identifier: Apache-2.0

internal import WeftTensors

extension CompressionMethod {
  static let density = CompressionParameter("density", standard: 0.2, range: 1e-4...1, text: "share of elements that are kept")

  /// Signs and one number.
  static let ternaryMethods: [CompressionMethod] = [
    CompressionMethod(
      "ternary", text: "the signs of the largest elements of the whole adapter, times alpha sigma",
      source: "https://arxiv.org/abs/2311.13171",
      parameters: [
        density,
        CompressionParameter(
          "alpha", standard: nil, range: 1e-3...1000,
          text: "the signs' factor beside sigma (default: the one whose change is nearest to the adapter's)"),
      ], run: ternary),
    CompressionMethod(
      "ternary-fit", text: "ternary factors fitted to the change of each module, with a scale for each",
      source: "https://doi.org/10.1145/291080.291113",
      parameters: [
        CompressionParameter("rank", standard: 8, range: 4...1024, isWhole: true, text: "a multiple of 4"),
        CompressionParameter(
          "price", standard: 0.3, range: 0...100, text: "of an element that is not 0: more is smaller and less exact"),
      ], run: ternaryFit),
    CompressionMethod(
      "signs", text: "a sign for every element of the factors, and their mean magnitude in each factor",
      source: "https://arxiv.org/abs/2402.10193", run: signs),
  ]

  private static func ternary(
    _ modules: [ModuleFactors], _ values: CompressionValues
  ) throws(CompressionError) -> [CompressedModule] {
    let result = ComPEFT.ternary(modules, density: values["density"] ?? 1)
    let alpha = values["alpha"] ?? nearestAlpha(modules, result)
    let step = Float(alpha * result.deviation)
    return try zip(modules, result.modules).map { module, codes throws(CompressionError) in
      try module.compressed(codes.a, codes.b, scaleA: step, scaleB: step * module.scale)
    }
  }

  /// The alpha whose change is nearest: alpha^2 is the sum of the products of both changes over the square of the ternary one.
  private static func nearestAlpha(_ modules: [ModuleFactors], _ result: ComPEFT.Result) -> Double {
    var (mixed, own) = (0.0, 0.0)
    for (module, codes) in zip(modules, result.modules) {
      let ternary = module.with(
        a: codes.a.codes.map { Float($0) }, b: codes.b.codes.map { Float($0) * module.scale }, rank: module.rank)
      mixed += ModuleFactors.product(module, ternary)
      own += ternary.energy
    }
    guard own > 0, mixed > 0, result.deviation > 0 else { return 1 }
    return (mixed / own).squareRoot() / result.deviation
  }

  private static func ternaryFit(
    _ modules: [ModuleFactors], _ values: CompressionValues
  ) throws(CompressionError) -> [CompressedModule] {
    let rank = Int(values["rank"] ?? 8)
    guard rank % 4 == 0 else {
      throw .mismatch(location: "method ternary-fit: rank", expected: "a multiple of 4", found: "\(rank)")
    }
    return try modules.map { module throws(CompressionError) in
      // What is ternary already is its own best fit.
      if let a = TernaryMatrix.exactly(module.a, rows: module.rank, columns: module.inputSize),
        let b = TernaryMatrix.exactly(module.b, rows: module.outputSize, columns: module.rank)
      {
        return try module.compressed(a.matrix, b.matrix, scaleA: a.scale, scaleB: b.scale)
      }
      let fit = try TernaryFit(module, rank: rank, price: values["price"] ?? 0)
      return try module.compressed(fit)
    }
  }

  private static func signs(
    _ modules: [ModuleFactors], _ values: CompressionValues
  ) throws(CompressionError) -> [CompressedModule] {
    try modules.map { module throws(CompressionError) in
      func plane(_ values: [Float], rows: Int, columns: Int) -> (TernaryMatrix, Float) {
        let mean = values.reduce(0.0) { $0 + Double($1.magnitude) } / Double(values.count)
        return (TernaryMatrix(rows: rows, columns: columns, codes: values.map { $0 < 0 ? -1 : 1 }), Float(mean))
      }
      let (a, scaleA) = plane(module.a, rows: module.rank, columns: module.inputSize)
      let (b, scaleB) = plane(module.b, rows: module.outputSize, columns: module.rank)
      return try module.compressed(a, b, scaleA: scaleA, scaleB: scaleB)
    }
  }
}

extension ModuleFactors {
  /// A fit as a module. Its number is in B.
  package func compressed(_ fit: TernaryFit) throws(CompressionError) -> CompressedModule {
    try compressed(fit.a, fit.b, scaleA: 1, scaleB: Float(fit.unbiasedScale))
  }
}
