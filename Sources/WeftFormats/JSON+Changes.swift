// SPDX-License-Identifier: Apache-2.0

package import WeftTensors

extension JSON {
  /// An object as JSON, one member in a line, with other values of some members, which are JSON already; those that it does not
  /// have come last.
  package func text(changing changes: [(key: String, text: String)]) -> String {
    let members = (members ?? []).map { member in
      (member.key, changes.first { $0.key == member.key }?.text ?? member.value.text)
    }
    let added = changes.filter { change in !members.contains { $0.0 == change.key } }
    let lines = (members + added.map { ($0.key, $0.text) }).map { "  \(JSON.text($0.0)): \($0.1)" }
    return "{\n" + lines.joined(separator: ",\n") + "\n}\n"
  }

  /// What a config.json says about weights of this float format, under the name that this one has for it.
  package func dtypeMember(_ dtype: DType) -> (key: String, text: String) {
    let name =
      switch dtype {
      case .f16: "float16"
      case .bf16: "bfloat16"
      default: "float32"
      }
    return (self["dtype"] == nil ? "torch_dtype" : "dtype", JSON.text(name))
  }
}
