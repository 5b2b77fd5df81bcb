// SPDX-License-Identifier: Apache-2.0

internal import Glibc

extension Sampler {
  /// Changes logits by what the options say about single tokens and about recent ones.
  func penalize(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32], _ options: SamplingOptions, _ breakers: SequenceBreakers
  ) {
    for (id, bias) in options.logitBias where Int(id) < vocabularySize { logits[Int(id)] += bias }
    if options.repetitionPenalty != 1 || options.frequencyPenalty != 0 || options.presencePenalty != 0 {
      penalizeRecent(logits, history.suffix(options.repetitionWindow), options)
    }
    if let dry = options.dry, dry.multiplier > 0 { penalizeRepetitions(logits, history, dry, breakers) }
  }

  /// `logit / penalty` (or `* penalty` where it is not positive) `- count * frequency - presence`, once for each recent token.
  private func penalizeRecent(
    _ logits: UnsafeMutableBufferPointer<Float>, _ recent: ArraySlice<Int32>, _ options: SamplingOptions
  ) {
    for id in recent { counts[Int(id)] += 1 }
    for id in recent where counts[Int(id)] > 0 {
      var logit = logits[Int(id)]
      logit = logit > 0 ? logit / options.repetitionPenalty : logit * options.repetitionPenalty
      logits[Int(id)] = logit - Float(counts[Int(id)]) * options.frequencyPenalty - options.presencePenalty
      counts[Int(id)] = 0
    }
  }

  /// DRY. For every earlier place of the text: how many tokens before it are also the last tokens of the text? That many would
  /// be repeated by the token at this place.
  private func penalizeRepetitions(
    _ logits: UnsafeMutableBufferPointer<Float>, _ history: [Int32], _ dry: DRYOptions, _ breakers: SequenceBreakers
  ) {
    let count = min(history.count, maximumHistory, dry.window ?? .max)
    guard count > dry.allowedLength else { return }
    func reversed(_ place: Int) -> Int32 { history[history.count - 1 - place] }
    let limit = breakers.distance(count: count, reversed: reversed) ?? count
    guard limit >= dry.allowedLength else { return }
    measureRepetitions(count, reversed)
    for place in 1..<count {
      let length = min(Int32(limit), lengths[place])
      let next = Int(reversed(place - 1))
      if length >= Int32(dry.allowedLength) { counts[next] = max(counts[next], length) }
    }
    for place in 0..<count - 1 {
      let next = Int(reversed(place))
      guard counts[next] > 0 else { continue }
      let penalty = dry.multiplier * pow(dry.base, Float(Int(counts[next]) - dry.allowedLength))
      logits[next] -= min(penalty, .greatestFiniteMagnitude)
      counts[next] = 0
    }
  }

  /// Into `lengths[i]`: how many tokens from place i of the reversed text on are the same as from its beginning on, by the Z
  /// algorithm (Gusfield 1997, section 1.4), in linear time.
  private func measureRepetitions(_ count: Int, _ reversed: (Int) -> Int32) {
    var (begin, end) = (0, 0)
    lengths[0] = Int32(count)
    for place in 1..<count {
      var length = place < end ? min(end - place, Int(lengths[place - begin])) : 0
      while place + length < count && reversed(length) == reversed(place + length) { length += 1 }
      lengths[place] = Int32(length)
      if place + length > end { (begin, end) = (place, place + length) }
    }
  }
}
