// SPDX-License-Identifier: Apache-2.0

import Foundation
import WeftAdapters
import WeftEngine
import WeftFormats
import WeftFusion

/// One adapter that is made smaller: its modules, what it is measured with, and the search for what is wanted.
struct CompressionTask {
  let adapter: String
  let name: String
  let modules: [ModuleFactors]
  let options: AdapterFactors.Options
  let questions: [Question]?
  let engine: Engine
  /// Of the adapter as it is.
  let before: Evaluation?
  /// Bytes of its files.
  let storedBytes: Int

  /// A pack to be, with what it was made with and how it does.
  struct Outcome {
    var adapter: CompressedAdapter
    let method: String
    let byteCount: Int
    var after: Evaluation?
  }

  init(
    adapter path: String, name: String, options choices: AdapterLoadOptions, questions: [Question]?, engine: Engine
  ) throws {
    adapter = path
    self.name = name
    self.questions = questions
    self.engine = engine
    let (modules, options) = try engine.compressible(path, options: choices)
    (self.modules, self.options) = (modules, options)
    storedBytes = CompressionTask.byteCount(path)
    guard let questions else {
      before = nil
      return
    }
    Terminal.showProgress("measuring \(path)")
    let exact: [CompressedModule]
    do throws(CompressionError) {
      exact = try modules.map { module throws(CompressionError) in try module.uncompressed() }
    } catch { throw EngineError(error) }
    before = try engine.evaluate(
      CompressedAdapter(name: name, modules: exact, options: options).factors, on: questions)
  }

  // MARK: - One method

  /// Compresses as a plan says; with a wanted size or loss, along the sizes of its method.
  func run(_ plan: CompressionPlan, isAlphaFree: Bool, targetSize: Int?, maximumLoss: Double?) throws -> Outcome {
    guard targetSize != nil || maximumLoss != nil else { return try measured(plan, isAlphaFree) }
    let steps = plan.standard.sizes(ranks: modules.map(\.rank).max() ?? 1)
    guard !steps.isEmpty else {
      throw EngineError(
        .invalidArgument, "--target-size, --max-loss: expected a method with sizes, found \(plan.standard.method.name)")
    }
    var smallest: Outcome?
    var best: Outcome?
    for values in steps {
      var step = plan
      step.standard = .init(plan.standard.method, values)
      if let targetSize {
        let outcome = try packed(try compress(step), step.text)
        smallest = smallest ?? outcome
        guard outcome.byteCount <= targetSize else { break }
        best = outcome
        best = try measured(step, isAlphaFree)
      } else if let maximumLoss, let before {
        let outcome = try measured(step, isAlphaFree)
        smallest = outcome
        if let after = outcome.after, before.accuracy - after.accuracy <= maximumLoss + 1e-9 { return outcome }
      }
    }
    if let best { return best }
    throw refusal(targetSize, maximumLoss, smallest)
  }

  private func refusal(_ targetSize: Int?, _ maximumLoss: Double?, _ found: Outcome?) -> EngineError {
    if let targetSize {
      return EngineError(
        .invalidArgument,
        "--target-size: expected at least \(Readable.bytes(found?.byteCount ?? 0)), the smallest with this method, found "
          + Readable.bytes(targetSize))
    }
    let lost = (before?.accuracy ?? 0) - (found?.after?.accuracy ?? 0)
    return EngineError(
      .invalidArgument,
      "--max-loss: expected a loss that the method can keep, found \(Readable.percent(maximumLoss ?? 0, digits: 1)), with at "
        + "least \(Readable.percent(lost, digits: 1)) at its largest size")
  }

  /// With the factor of the signs that does best on the data, where it is free and there is some.
  private func measured(_ plan: CompressionPlan, _ isAlphaFree: Bool) throws -> Outcome {
    guard let questions, isAlphaFree, plan.standard.method.parameters.contains(where: { $0.name == "alpha" }) else {
      return try measured(try packed(try compress(plan), plan.text))
    }
    var best: (plan: CompressionPlan, adapter: CompressedAdapter, loss: Double)?
    for alpha in ComPEFT.alphas {
      var (trial, values) = (plan, plan.standard.values)
      values["alpha"] = alpha
      trial.standard = .init(plan.standard.method, values)
      let adapter = try compress(trial)
      Terminal.showProgress("alpha \(alpha)")
      let loss = try engine.loss(of: adapter.factors, on: questions)
      if loss < best?.loss ?? .infinity { best = (trial, adapter, loss) }
    }
    guard let best else { return try measured(try packed(try compress(plan), plan.text)) }
    return try measured(try packed(best.adapter, best.plan.text))
  }

  private func compress(_ plan: CompressionPlan) throws -> CompressedAdapter {
    do {
      return CompressedAdapter(name: name, modules: try plan.compress(modules), options: options)
    } catch { throw EngineError(error) }
  }

  // MARK: - Bytes spread over modules

  /// Spreads bytes over the modules, by what their errors cost where there are data.
  func automatic(targetSize: Int?, maximumLoss: Double?) throws -> Outcome {
    do {
      let allocation = try TernaryAllocation(modules) { done, count in
        CompressionTask.showProgress("fitting", done, count)
      }
      var weights = allocation.evenWeights
      if let questions {
        weights = try ModuleSensitivity(
          of: modules, options: options, allocation: allocation, on: questions, engine: engine
        ) { done, count in CompressionTask.showProgress("measuring modules", done, count) }.weights
      }
      if let targetSize { return try measured(try fitting(targetSize, allocation, weights)) }
      return try smallest(maximumLoss ?? 0, allocation, weights)
    } catch let error as CompressionError { throw EngineError(error) }
  }

  /// The choice whose pack has at most so many bytes: estimates of modules leave out what the pack has around them.
  private func fitting(_ targetSize: Int, _ allocation: TernaryAllocation, _ weights: [Double]) throws -> Outcome {
    var budget = targetSize
    var found: Outcome?
    for _ in 0..<12 {
      let choice = try allocation.choice(byteCount: max(budget, 1), weights: weights)
      let kept = choice.modules.compactMap { $0 }
      guard !kept.isEmpty else { break }
      let outcome = try packed(
        CompressedAdapter(name: name, modules: kept, options: options), "auto bytes=\(targetSize)")
      if outcome.byteCount <= targetSize {
        if found.map({ $0.byteCount < outcome.byteCount }) ?? true { found = outcome }
        let slack = targetSize - outcome.byteCount
        guard slack > targetSize / 100 else { break }
        budget += slack / 2
      } else {
        if found != nil { break }
        budget -= max(outcome.byteCount - targetSize, targetSize / 200)
      }
      guard budget > 0 else { break }
    }
    guard let found else {
      throw EngineError(
        .invalidArgument, "--target-size: expected room for one module at least, found \(Readable.bytes(targetSize))")
    }
    return found
  }

  /// The smallest of sizes that are a twelfth of a power of two apart whose accuracy is as wanted.
  private func smallest(
    _ maximumLoss: Double, _ allocation: TernaryAllocation, _ weights: [Double]
  ) throws -> Outcome {
    let half = modules.reduce(0) { $0 + 2 * $1.elementCount }
    var best: Outcome?
    var last: Outcome?
    // Accuracy need not fall evenly: from small to large, every size is tried.
    for step in stride(from: 64.0, through: 3, by: -4) {
      let outcome = try measured(try fitting(Int(Double(half) / step), allocation, weights))
      last = outcome
      guard let before, let after = outcome.after else { break }
      Terminal.showProgress(
        "\(Readable.bytes(outcome.byteCount)): \(Readable.percent(after.accuracy, digits: 1)) right")
      if before.accuracy - after.accuracy <= maximumLoss + 1e-9 {
        best = outcome
        break
      }
    }
    if let best { return best }
    throw refusal(nil, maximumLoss, last)
  }

  // MARK: - Files

  private func measured(_ outcome: Outcome) throws -> Outcome {
    guard let questions else { return outcome }
    var outcome = outcome
    outcome.after = try engine.evaluate(outcome.adapter.factors, on: questions)
    return outcome
  }

  /// With the size of its pack, which is written where nobody sees it.
  private func packed(_ adapter: CompressedAdapter, _ method: String) throws -> Outcome {
    let file = FileManager.default.temporaryDirectory.appendingPathComponent("weft-\(UUID().uuidString).weft").path
    defer { try? FileManager.default.removeItem(atPath: file) }
    try write(adapter, method, to: file)
    return Outcome(adapter: adapter, method: method, byteCount: CompressionTask.byteCount(file), after: nil)
  }

  func write(_ outcome: Outcome, to path: String) throws { try write(outcome.adapter, outcome.method, to: path) }

  private func write(_ adapter: CompressedAdapter, _ method: String, to path: String) throws {
    let provenance = PackProvenance(
      base: engine.model.fingerprint, baseName: options.baseModel ?? "",
      sources: [URL(fileURLWithPath: self.adapter).lastPathComponent], method: "compress",
      parameters: [.init("method", method)])
    do { try adapter.write(path: path, provenance: provenance) } catch { throw EngineError(error) }
  }

  /// Of a file, or of all files in a folder.
  private static func byteCount(_ path: String) -> Int {
    func size(_ path: String) -> Int {
      ((try? FileManager.default.attributesOfItem(atPath: path))?[.size] as? Int) ?? 0
    }
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else { return size(path) }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.reduce(0) { $0 + size("\(path)/\($1)") }
  }

  private static func showProgress(_ what: String, _ done: Int, _ count: Int) {
    Terminal.showProgress(
      "\(Readable.padded(Terminal.bar(Double(done) / Double(max(count, 1))), 24)) \(what) \(done) of \(count)")
  }
}

extension CompressionPlan.Choice {
  /// Values from the smallest result to the largest; none where a method has one size.
  func sizes(ranks: Int) -> [CompressionValues] {
    func with(_ pairs: (String, Double)...) -> CompressionValues {
      var values = values
      for (name, value) in pairs { values[name] = value }
      return values
    }
    switch method.name {
    case "ternary": return ComPEFT.densities.map { with(("density", $0)) }
    case "ternary-fit":
      let largest = max(8, (2 * ranks + 3) / 4 * 4)
      return stride(from: 4, through: largest, by: 4).flatMap { rank in
        [1, 0.3].map { with(("rank", Double(rank)), ("price", $0)) }
      }
    case "low-rank", "f16", "bf16", "q8_0", "q4_0": return (1...ranks).map { with(("rank", Double($0))) }
    default: return []
    }
  }
}
