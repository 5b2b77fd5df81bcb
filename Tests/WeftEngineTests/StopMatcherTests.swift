// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftEngine

struct StopMatcherTests {
  /// Feeds pieces and returns everything shown, and whether it stopped.
  private func run(_ stops: [String], _ pieces: [String]) -> (shown: String, stopped: Bool) {
    var matcher = StopMatcher(stops)
    var shown = ""
    for piece in pieces {
      let (text, stopped) = matcher.append(piece)
      shown += text
      if stopped { return (shown, true) }
    }
    return (shown + matcher.finish(), false)
  }

  @Test(arguments: [["a STOP b"], ["a S", "TOP b"], ["a ", "S", "T", "O", "P", " b"]])
  func findsAStopStringHoweverItIsCut(_ pieces: [String]) {
    let (shown, stopped) = run(["STOP"], pieces)
    #expect(shown == "a " && stopped)
  }

  @Test func givesBackWhatOnlyLookedLikeAStop() {
    let (shown, stopped) = run(["STOP"], ["an S", "TO", "NE and ST"])
    #expect(shown == "an STONE and ST" && !stopped)
  }

  @Test func theEarliestOfSeveralWins() {
    #expect(run(["###", "\n\n"], ["x\n", "\n###"]).shown == "x")
    #expect(run(["bc", "abcd"], ["ab", "cd"]).shown == "")
  }

  @Test func emptyStringsNeverStop() {
    #expect(run(["", "é"], ["caf", "é!"]).shown == "caf")
    #expect(run([""], ["text"]) == ("text", false))
  }
}
