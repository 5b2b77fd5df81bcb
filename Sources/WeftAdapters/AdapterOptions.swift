// SPDX-License-Identifier: Apache-2.0

/// What the user may have to say about an adapter because its files do not.
package struct AdapterOptions: Sendable, Equatable {
  /// The task of an adapter that was trained for several (Poly, multitask prompt tuning).
  package var task: Int?

  package init(task: Int? = nil) { self.task = task }
}
