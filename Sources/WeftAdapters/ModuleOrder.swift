// SPDX-License-Identifier: Apache-2.0

/// The place of a module in a decoder, from its path: the embedding, then layer by layer attention and feed-forward in the order
/// of their parts in transformers, then the rest.
package struct ModuleOrder: Comparable {
  private let path: String
  private let layer: Int
  private let place: Int

  private static let parts = [
    "q_proj", "k_proj", "v_proj", "qkv_proj", "c_attn", "o_proj", "dense", "gate_proj", "up_proj", "gate_up_proj", "c_fc",
    "down_proj", "c_proj",
  ]

  package init(_ path: String) {
    self.path = path
    let names = path.split(separator: ".").map(String.init)
    if let number = names.lazy.compactMap({ Int($0) }).first {
      layer = number
    } else {
      layer = names.last?.contains("head") == true ? Int.max : -1
    }
    place = names.last.flatMap(ModuleOrder.parts.firstIndex) ?? ModuleOrder.parts.count
  }

  package static func < (left: ModuleOrder, right: ModuleOrder) -> Bool {
    (left.layer, left.place, left.path) < (right.layer, right.place, right.path)
  }
}
