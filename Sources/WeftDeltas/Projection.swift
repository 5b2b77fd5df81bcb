// SPDX-License-Identifier: Apache-2.0

/// The linear maps of one decoder layer, in the order in which a step uses them.
///
/// A model that stores several of them as one matrix (`qkv_proj`) still has them one by one: `BaseModule` says which.
package enum Projection: Int, Hashable, Sendable, CaseIterable {
  case query, key, value, output
  /// Gated feed-forward: down(act(gate x) * up x). Without a gate: down(act(up x)). Also the maps of one expert.
  case gate, up, down
  /// Scores of the experts of a mixture-of-experts layer.
  case router
  /// The score of the shared expert, one row.
  case sharedExpertGate
  /// The feed-forward of the shared expert, which every token uses.
  case sharedGate, sharedUp, sharedDown

  /// The name in messages, after transformers' modules.
  package var name: String {
    switch self {
    case .query: "q_proj"
    case .key: "k_proj"
    case .value: "v_proj"
    case .output: "o_proj"
    case .gate: "gate_proj"
    case .up: "up_proj"
    case .down: "down_proj"
    case .router: "router"
    case .sharedExpertGate: "shared_expert_gate"
    case .sharedGate: "shared_expert.gate_proj"
    case .sharedUp: "shared_expert.up_proj"
    case .sharedDown: "shared_expert.down_proj"
    }
  }
}
