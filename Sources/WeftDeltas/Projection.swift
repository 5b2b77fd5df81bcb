// SPDX-License-Identifier: Apache-2.0

/// The linear maps of one decoder layer, in the order in which a step uses them.
package enum Projection: Int, Hashable, Sendable, CaseIterable {
  case query, key, value, output, gate, up, down

  /// The name in transformers' modules and PEFT's files.
  package var name: String {
    switch self {
    case .query: "q_proj"
    case .key: "k_proj"
    case .value: "v_proj"
    case .output: "o_proj"
    case .gate: "gate_proj"
    case .up: "up_proj"
    case .down: "down_proj"
    }
  }
}
