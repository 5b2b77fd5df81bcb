// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftRouting

struct RouterTrainingTests {
  typealias Examples = [(features: [Float], label: Int)]

  /// Two classes that no linear function separates: the exclusive or of two signs, with noise and a feature that never
  /// changes.
  private func exclusiveOr(_ count: Int, seed: UInt64 = 1) -> Examples {
    var generator = SeededGenerator(seed: seed)
    return (0..<count).map { index in
      let left = index % 2, right = index / 2 % 2
      let noise = generator.floats(2, in: -0.3...0.3)
      return ([Float(left) * 20 + noise[0] * 20 - 3, Float(right) + noise[1], 7], left ^ right)
    }
  }

  private func train(
    _ examples: Examples, names: [String] = ["even", "odd"], _ options: RouterTraining.Options = .init(),
    progress: (RouterTraining.Epoch) -> Void = { _ in }
  ) throws(RouterError) -> (router: Router, report: RouterTraining.Report) {
    try RouterTraining.train(
      examples: examples, names: names, featureLayer: 2, base: "tiny", options: options, progress: progress)
  }

  @Test func exclusiveOrIsLearned() throws {
    var options = RouterTraining.Options()
    options.hiddenSize = 16
    options.learningRate = 0.01
    options.epochs = 60
    let (router, report) = try train(exclusiveOr(200), options)
    #expect(report.trainingCount == 160 && report.validationCount == 40)
    #expect(router.confusion(on: exclusiveOr(200, seed: 2)).accuracy == 1)
    #expect(report.confusion.accuracy == report.best.validationAccuracy)
    #expect(router.adapters == ["even", "odd"] && router.featureLayer == 2 && router.base == "tiny")
    #expect(router.hiddenSize == 16 && router.topP == options.topP)
    #expect(router.mixture(features: [-3, 1, 7]).map(\.adapter) == ["odd"])
  }

  @Test func theSameSeedGivesTheSameBytes() throws {
    let folder = try TemporaryFolder()
    var options = RouterTraining.Options()
    options.epochs = 5
    options.seed = 11
    for name in ["first", "second"] { try train(exclusiveOr(60), options).router.write(to: folder.file(name)) }
    options.seed = 12
    try train(exclusiveOr(60), options).router.write(to: folder.file("other"))
    #expect(try readBytes(folder.file("first")) == readBytes(folder.file("second")))
    #expect(try readBytes(folder.file("first")) != readBytes(folder.file("other")))
  }

  @Test func theBestEpochIsKeptAndPatienceEndsTheRest() throws {
    // Labels that the features say nothing about: the validation loss rises as soon as noise is learned by heart.
    var generator = SeededGenerator(seed: 5)
    let examples: Examples = (0..<80).map { (generator.floats(6), $0 % 2) }
    var options = RouterTraining.Options()
    options.learningRate = 0.02
    options.patience = 4
    var seen: [RouterTraining.Epoch] = []
    let (router, report) = try train(examples, options) { seen.append($0) }
    #expect(seen == report.epochs)
    #expect(seen.map(\.number) == Array(1...seen.count))
    #expect(seen.count < options.epochs && seen.count == report.best.number + 4)
    #expect(report.best.validationLoss == seen.map(\.validationLoss).min())
    #expect(report.confusion.accuracy == report.best.validationAccuracy)
    var shorter = options
    shorter.epochs = report.best.number
    #expect(try train(examples, shorter).router == router, "training to the best epoch only gives the same router")
  }

  @Test func everyClassHasItsShareOfTheHeldOutExamples() throws {
    var generator = SeededGenerator(seed: 6)
    let counts = [50, 3, 10, 2]
    let examples: Examples = counts.enumerated().flatMap { label, count in
      (0..<count).map { _ in (generator.floats(3), label) }
    }
    var options = RouterTraining.Options()
    options.epochs = 1
    let (_, report) = try train(examples, names: ["a", "b", "c", "d"], options)
    #expect(report.confusion.counts.map { $0.reduce(0, +) } == [10, 1, 2, 1])
    #expect(report.trainingCount == 51 && report.validationCount == 14)
  }

  @Test func aBatchIsOneStep() throws {
    var options = RouterTraining.Options()
    options.epochs = 1
    options.batch = 32
    let whole = try train(exclusiveOr(40), options)
    options.batch = .max
    let larger = try train(exclusiveOr(40), options)
    options.batch = 4
    let pieces = try train(exclusiveOr(40), options)
    #expect(whole.report.trainingCount == 32)
    #expect(larger.router == whole.router)
    #expect(pieces.report.epochs[0].trainingLoss < whole.report.epochs[0].trainingLoss, "eight steps learn more than one")
  }

  @Test func examplesThatCannotBeLearnedAreRefused() {
    func message(_ examples: Examples, names: [String] = ["a", "b"]) -> String {
      do throws(RouterError) {
        _ = try train(examples, names: names)
        return "no error"
      } catch { return error.description }
    }
    let sound: Examples = [([0], 0), ([1], 0), ([2], 1), ([3], 1)]
    #expect(message(sound) == "no error")
    #expect(message(sound, names: ["a"]).contains("at least 2 adapters to choose from, found 1"))
    #expect(message(sound, names: ["a", "a"]).contains("adapter names, each once, found 'a'"))
    #expect(message(sound, names: ["a", "b", "c"]).contains("'c': expected at least 2 examples: one to learn"))
    #expect(message([]).contains("'a': expected at least 2 examples"))
    #expect(message(Array(sound.dropLast())).contains("'b': expected at least 2 examples: one to learn, one held out, found 1"))
    #expect(message(sound + [([1], 2)]).contains("example 4: expected a label from 0 to 1, found 2"))
    #expect(message(sound + [([1], -1)]).contains("example 4: expected a label from 0 to 1, found -1"))
    #expect(message(sound + [([1, 2], 0)]).contains("example 4: expected 1 features, found 2"))
    #expect(message([([], 0)] + sound).contains("example 0: expected 1 features, found 0"))
    #expect(message(sound + [([.nan], 0)]).contains("example 4: expected finite features, found nan at 0"))
    #expect(message(sound + [([-.infinity], 0)]).contains("found -inf at 0"))
  }

  @Test func optionsOutOfRangeAreRefused() {
    func message(_ change: (inout RouterTraining.Options) -> Void) -> String {
      var options = RouterTraining.Options()
      change(&options)
      do throws(RouterError) {
        _ = try train(exclusiveOr(40), options)
        return "no error"
      } catch { return error.description }
    }
    #expect(message { $0.hiddenSize = 0 }.contains("hidden size: expected 1 to 65536, found 0"))
    #expect(message { $0.hiddenSize = .max }.contains("hidden size: expected 1 to 65536"))
    #expect(message { $0.epochs = 0 }.contains("epochs: expected at least 1, found 0"))
    #expect(message { $0.batch = 0 }.contains("batch: expected at least 1, found 0"))
    #expect(message { $0.learningRate = .nan }.contains("learning rate: expected a number above 0, found nan"))
    #expect(message { $0.weightDecay = -1 }.contains("weight decay: expected 0 or a number above, found -1.0"))
    #expect(message { $0.validationShare = 1 }.contains("validation share: expected a number between 0 and 1, found 1.0"))
    #expect(message { $0.patience = 0 }.contains("patience: expected at least 1, found 0"))
    #expect(message { $0.topP = 0 }.contains("top_p: expected a number above 0 and at most 1, found 0.0"))
    #expect(message { $0.learningRate = 1e30 }.contains("expected a finite loss (a lower learning rate may help)"))
  }
}
