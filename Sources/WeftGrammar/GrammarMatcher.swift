// SPDX-License-Identifier: Apache-2.0

/// Follows a text under a grammar, byte by byte. Its memory is reserved once.
///
/// A configuration is an instruction that reads a byte, and a stack of the places at which the calling rules go on. All
/// configurations that a text can be in are one state; states, and what bytes lead to, are made when they are first met and
/// found again afterwards. Equal stacks are one stack, and a call at the end of a rule needs none, so states of lists and
/// strings repeat. When the memory is half full, everything but the current state is forgotten before the next token.
package final class GrammarMatcher {
  /// What a step of the text can take at most; a grammar that needs more is refused where that shows.
  enum Limits {
    static let states = 4096
    static let configurations = 1 << 16
    static let frames = 1 << 16
    /// Instructions that a text can be at, before one byte.
    static let visited = 1 << 13
    /// Instructions followed for one token.
    static let steps = 1 << 24
  }

  /// The place in a text; valid until the next `accept` or `collect`.
  package typealias State = Int32

  /// The place behind what was accepted.
  package private(set) var current: State = 0

  private struct Configuration: Equatable {
    var instruction: Int32
    /// A frame, or -1 for none: in the root rule.
    var stack: Int32
    var hash: Int { hashed(instruction, stack) }
  }

  private struct StateEntry {
    var begin: Int32
    var count: Int32
    var accepts: Bool
    var hash: Int
  }

  private struct Frame {
    var next: Int32
    var parent: Int32
  }

  private struct Visit {
    var stamp: Int
    var configuration: Configuration
  }

  private let grammar: Grammar
  /// The grammar's classes of bytes, and their number: read for every byte of every token.
  private let byteClasses = UnsafeMutablePointer<UInt8>.allocate(capacity: 256)
  private let classCount: Int
  private let frames = UnsafeMutablePointer<Frame>.allocate(capacity: Limits.frames)
  private var frameCount = 0
  private let frameTable: OpenTable
  private let configurations = UnsafeMutablePointer<Configuration>.allocate(capacity: Limits.configurations)
  private var configurationCount = 0
  private let states = UnsafeMutablePointer<StateEntry>.allocate(capacity: Limits.states)
  private var stateCount = 0
  private let stateTable: OpenTable
  private let transitions: UnsafeMutablePointer<State>
  private let work = UnsafeMutablePointer<Configuration>.allocate(capacity: Limits.visited)
  private var workCount = 0
  private let visits = UnsafeMutablePointer<Visit>.allocate(capacity: 2 * Limits.visited)
  private var visitCount = 0
  private var stamp = 0
  private var stepCount = 0

  private static let dead: State = -1
  private static let unknown: State = -2

  /// At the beginning of a text.
  package init(_ grammar: Grammar) throws(GrammarError) {
    self.grammar = grammar
    classCount = grammar.classCount
    for byte in 0..<256 { byteClasses[byte] = grammar.byteClasses[byte] }
    frameTable = OpenTable(capacity: Limits.frames)
    stateTable = OpenTable(capacity: Limits.states)
    transitions = .allocate(capacity: max(Limits.states * grammar.classCount, Limits.frames))
    visits.initialize(
      repeating: Visit(stamp: 0, configuration: Configuration(instruction: 0, stack: -1)), count: 2 * Limits.visited)
    beginClosure()
    try visit(Configuration(instruction: grammar.starts[grammar.root], stack: -1))
    current = try closure()
  }

  deinit {
    byteClasses.deallocate()
    frames.deallocate()
    configurations.deallocate()
    states.deallocate()
    transitions.deallocate()
    work.deallocate()
    visits.deallocate()
  }

  /// Whether the text may end here.
  package func accepts(_ state: State) -> Bool { states[Int(state)].accepts }

  /// Whether no byte can follow.
  package func isAtEnd(_ state: State) -> Bool { states[Int(state)].count == 0 }

  /// The state behind a byte; nil when the grammar does not allow it here.
  package func next(_ state: State, _ byte: UInt8) throws(GrammarError) -> State? {
    let slot = Int(state) * classCount + Int(byteClasses[Int(byte)])
    var next = transitions[slot]
    if next == GrammarMatcher.unknown {
      next = try follow(state, byte)
      transitions[slot] = next
    }
    return next == GrammarMatcher.dead ? nil : next
  }

  /// Whether these bytes may follow.
  package func permits(_ bytes: ArraySlice<UInt8>) throws(GrammarError) -> Bool { try state(behind: bytes) != nil }

  /// Goes on behind these bytes. False, and nothing changed, when the grammar does not allow them here.
  package func accept(_ bytes: ArraySlice<UInt8>) throws(GrammarError) -> Bool {
    guard let state = try state(behind: bytes) else { return false }
    current = state
    collect()
    return true
  }

  private func state(behind bytes: ArraySlice<UInt8>) throws(GrammarError) -> State? {
    var state = current
    for byte in bytes {
      guard let next = try next(state, byte) else { return nil }
      state = next
    }
    return state
  }

  // MARK: - Making states

  private func follow(_ state: State, _ byte: UInt8) throws(GrammarError) -> State {
    let entry = states[Int(state)]
    beginClosure()
    for index in Int(entry.begin)..<Int(entry.begin + entry.count) {
      let configuration = configurations[index]
      let instruction = grammar.instructions[Int(configuration.instruction)]
      if instruction.low <= byte && byte <= instruction.high {
        try visit(Configuration(instruction: instruction.next, stack: configuration.stack))
      }
    }
    return workCount == 0 ? GrammarMatcher.dead : try closure()
  }

  private func beginClosure() {
    stamp += 1
    visitCount = 0
    workCount = 0
  }

  /// Puts a configuration on the list of work, unless it was there already.
  private func visit(_ configuration: Configuration) throws(GrammarError) {
    stepCount += 1
    guard stepCount <= Limits.steps else {
      throw limit("at most \(Limits.steps) steps for one token", "more: it is too ambiguous")
    }
    let mask = 2 * Limits.visited - 1
    var slot = configuration.hash & mask
    while visits[slot].stamp == stamp {
      if visits[slot].configuration == configuration { return }
      slot = (slot + 1) & mask
    }
    guard visitCount < Limits.visited else {
      throw limit("at most \(Limits.visited) ways to read the text so far", "more: it is too ambiguous")
    }
    visitCount += 1
    visits[slot] = Visit(stamp: stamp, configuration: configuration)
    work[workCount] = configuration
    workCount += 1
  }

  /// Follows everything that reads no byte from the list of work, and finds the state of what it leads to.
  private func closure() throws(GrammarError) -> State {
    let begin = configurationCount
    var accepts = false
    var hash = 0
    while workCount > 0 {
      workCount -= 1
      let configuration = work[workCount]
      let instruction = grammar.instructions[Int(configuration.instruction)]
      switch instruction.kind {
      case .byte:
        guard configurationCount < Limits.configurations else { throw limit("memory for its states", "too many of them") }
        configurations[configurationCount] = configuration
        configurationCount += 1
        // Equal sets of configurations come in different orders, but have one hash.
        hash &+= configuration.hash
      case .split:
        try visit(Configuration(instruction: instruction.other, stack: configuration.stack))
        try visit(Configuration(instruction: instruction.next, stack: configuration.stack))
      case .call:
        let stack =
          instruction.next == Grammar.end ? configuration.stack : try frame(instruction.next, configuration.stack)
        try visit(Configuration(instruction: grammar.starts[Int(instruction.other)], stack: stack))
      case .end where configuration.stack < 0: accepts = true
      case .end:
        let frame = frames[Int(configuration.stack)]
        try visit(Configuration(instruction: frame.next, stack: frame.parent))
      }
    }
    return try intern(begin, accepts, hash)
  }

  /// The state of the last configurations, which are forgotten again when it is known.
  private func intern(_ begin: Int, _ accepts: Bool, _ hash: Int) throws(GrammarError) -> State {
    let count = configurationCount - begin
    let key = accepts ? ~hash : hash
    if let found = stateTable.find(key, where: { isState($0, begin, count, accepts, key) }) {
      configurationCount = begin
      return found
    }
    guard stateCount < Limits.states else { throw limit("at most \(Limits.states) states for one token", "more") }
    let state = Int32(stateCount)
    states[stateCount] = StateEntry(begin: Int32(begin), count: Int32(count), accepts: accepts, hash: key)
    (transitions + stateCount * classCount).update(repeating: GrammarMatcher.unknown, count: classCount)
    stateCount += 1
    stateTable.insert(key, state)
    return state
  }

  private func isState(_ state: State, _ begin: Int, _ count: Int, _ accepts: Bool, _ hash: Int) -> Bool {
    let entry = states[Int(state)]
    guard entry.hash == hash, Int(entry.count) == count, entry.accepts == accepts else { return false }
    return (0..<count).allSatisfy { configurations[Int(entry.begin) + $0] == configurations[begin + $0] }
  }

  private func frame(_ next: Int32, _ parent: Int32) throws(GrammarError) -> Int32 {
    let hash = hashed(next, parent)
    if let found = frameTable.find(hash, where: { frames[Int($0)].next == next && frames[Int($0)].parent == parent }) {
      return found
    }
    guard frameCount < Limits.frames else { throw limit("at most \(Limits.frames) rules inside each other", "more") }
    frames[frameCount] = Frame(next: next, parent: parent)
    frameTable.insert(hash, Int32(frameCount))
    frameCount += 1
    return Int32(frameCount - 1)
  }

  private func limit(_ expected: String, _ found: String) -> GrammarError { .limit(expected: expected, found: found) }

  // MARK: - Forgetting

  /// Begins the work of a new token. Forgets all states but the current one when the memory is half full.
  private func collect() {
    stepCount = 0
    guard
      stateCount > Limits.states / 2 || configurationCount > Limits.configurations / 2 || frameCount > Limits.frames / 2
    else { return }
    let entry = states[Int(current)]
    for index in 0..<Int(entry.count) { configurations[index] = configurations[Int(entry.begin) + index] }
    configurationCount = Int(entry.count)
    keepFrames(ofFirst: configurationCount)
    var hash = 0
    for index in 0..<configurationCount { hash &+= configurations[index].hash }
    let key = entry.accepts ? ~hash : hash
    stateTable.removeAll()
    states[0] = StateEntry(begin: 0, count: entry.count, accepts: entry.accepts, hash: key)
    transitions.update(repeating: GrammarMatcher.unknown, count: classCount)
    stateCount = 1
    stateTable.insert(key, 0)
    current = 0
  }

  /// Keeps the frames that the first configurations can return to. A frame lies behind its parent, so one pass over them in
  /// order finds each parent's new place before it is asked for.
  private func keepFrames(ofFirst count: Int) {
    // -1: not needed, -2: needed. The memory of transitions is free now.
    let places = transitions
    let unneeded: Int32 = -1
    places.update(repeating: unneeded, count: frameCount)
    for index in 0..<count {
      var frame = configurations[index].stack
      while frame >= 0, places[Int(frame)] == unneeded {
        places[Int(frame)] = -2
        frame = frames[Int(frame)].parent
      }
    }
    frameTable.removeAll()
    var kept = 0
    for index in 0..<frameCount where places[index] != unneeded {
      var frame = frames[index]
      if frame.parent >= 0 { frame.parent = places[Int(frame.parent)] }
      frames[kept] = frame
      frameTable.insert(hashed(frame.next, frame.parent), Int32(kept))
      places[index] = Int32(kept)
      kept += 1
    }
    frameCount = kept
    for index in 0..<count where configurations[index].stack >= 0 {
      configurations[index].stack = places[Int(configurations[index].stack)]
    }
  }
}

/// A well-mixed hash of two numbers.
private func hashed(_ one: Int32, _ other: Int32) -> Int {
  var word = UInt64(UInt32(bitPattern: one)) << 32 | UInt64(UInt32(bitPattern: other))
  word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
  word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
  return Int(truncatingIfNeeded: word ^ (word >> 31))
}
