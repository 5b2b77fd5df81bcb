// SPDX-License-Identifier: Apache-2.0

import WeftTensors

/// Tensors by name, the same one of all layers on one line: `blk.*.attn_q.weight  7 x [256, 256]  Q8_0  487 kB`.
struct TensorListing {
  private struct Group {
    let name: String
    let shape: [Int]
    let dtype: DType
    var count = 0
    var bytes = 0
    var elements = 0
  }

  private var groups: [Group] = []

  init(_ tensors: [(name: String, tensor: Tensor)]) {
    var places: [String: Int] = [:]
    for (name, tensor) in tensors {
      let pattern = TensorListing.pattern(of: name)
      let key = "\(pattern) \(tensor.shape) \(tensor.dtype.name)"
      let place = places[key] ?? groups.count
      if place == groups.count {
        places[key] = place
        groups.append(Group(name: pattern, shape: tensor.shape, dtype: tensor.dtype))
      }
      groups[place].count += 1
      groups[place].bytes += tensor.byteCount
      groups[place].elements += tensor.elementCount
    }
  }

  var lines: [String] {
    guard !groups.isEmpty else { return [] }
    let count = groups.reduce(0) { $0 + $1.count }
    let elements = groups.reduce(0) { $0 + $1.elements }
    let bytes = groups.reduce(0) { $0 + $1.bytes }
    let heading =
      "\(Readable.count(count, "tensor")), \(Readable.scaled(elements)) numbers, \(Readable.bytes(bytes)) (\(formats))"
    let rows = groups.map { group in
      (
        group.name, group.count > 1 ? "\(group.count) x" : "", "[\(group.shape.map(String.init).joined(separator: ", "))]",
        group.dtype.name, Readable.bytes(group.bytes)
      )
    }
    let widths = (
      rows.map(\.0.count).max() ?? 0, rows.map(\.1.count).max() ?? 0, rows.map(\.2.count).max() ?? 0,
      rows.map(\.4.count).max() ?? 0
    )
    return [Terminal.styled(heading, .bold)]
      + rows.map { row in
        "  \(Readable.padded(row.0, widths.0))  \(Readable.padded(row.1, widths.1, right: true)) "
          + "\(Readable.padded(row.2, widths.2))  \(Readable.padded(row.3, 4))  \(Readable.padded(row.4, widths.3, right: true))"
      }
  }

  private var formats: String {
    DType.allCases.compactMap { dtype in
      let bytes = groups.filter { $0.dtype == dtype }.reduce(0) { $0 + $1.bytes }
      return bytes > 0 ? "\(dtype.name) \(Readable.bytes(bytes))" : nil
    }.joined(separator: ", ")
  }

  /// The name with a star for every part that is a number.
  static func pattern(of name: String) -> String {
    name.split(separator: ".", omittingEmptySubsequences: false)
      .map { !$0.isEmpty && $0.allSatisfy(\.isNumber) ? "*" : String($0) }.joined(separator: ".")
  }
}
