// SPDX-License-Identifier: Apache-2.0

import Foundation
import Synchronization

/// Ctrl-C as a question that the program asks between two steps, instead of an end in the middle of one.
enum Interrupt {
  private static let pressed = Atomic<Bool>(false)

  /// From now on Ctrl-C sets a mark. A read that waits for the keyboard ends, so that a line editor notices too.
  static func catchSignal() {
    // The handler may only touch what is initialised already.
    pressed.store(false, ordering: .relaxed)
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { _ in Interrupt.pressed.store(true, ordering: .relaxed) }
    sigaction(SIGINT, &action, nil)
  }

  /// Whether Ctrl-C was pressed since the last call.
  static func take() -> Bool { pressed.exchange(false, ordering: .relaxed) }
}
