// SPDX-License-Identifier: Apache-2.0

import WeftFormats
import WeftTensors

/// A pack in words.
struct PackDescription {
  private let pack: PackFile
  /// How many members name each tensor.
  private let uses: [Int]

  init(_ pack: PackFile) {
    self.pack = pack
    var uses = [Int](repeating: 0, count: pack.tensors.count)
    for member in pack.members {
      for number in Set(member.tensors.map(\.tensor)) { uses[number] += 1 }
    }
    self.uses = uses
  }

  var facts: [(name: String, value: String)] {
    let provenance = pack.provenance
    let stored = pack.tensors.reduce(0) { $0 + $1.storedBytes }
    var facts = [
      ("size", "\(Readable.bytes(pack.storage.bytes.count)), \(Readable.bytes(stored)) of them tensors"),
      ("content hash", "\(pack.contentHash)"),
      ("signed by", pack.signature.map { "\($0.publicKey)" } ?? "nobody"),
      ("base", provenance.base ?? "not stated"),
    ]
    if !provenance.baseName.isEmpty { facts.append(("base name", provenance.baseName)) }
    if !provenance.sources.isEmpty { facts.append(("sources", provenance.sources.joined(separator: ", "))) }
    let parameters = provenance.parameters.map { "\($0.name)=\($0.value)" }
    facts.append(("method", ([provenance.method] + parameters).joined(separator: " ")))
    if !provenance.licence.isEmpty { facts.append(("licence", provenance.licence)) }
    if !provenance.text.isEmpty { facts.append(("note", provenance.text)) }
    return facts
  }

  var factLines: [String] {
    let width = (facts.map(\.name.count).max() ?? 0) + 2
    return facts.map { "  " + Readable.padded($0.name, width) + $0.value }
  }

  /// Members with their tensors, the same one of all layers on one line if `grouped`.
  func lines(grouped: Bool) -> [String] {
    pack.members.flatMap { member in
      let rows = grouped ? groups(member) : member.tensors.map { Row($0.name, pack.tensors[$0.tensor], uses[$0.tensor]) }
      let total = rows.reduce(into: Row(total: member.name)) { $0.add($1) }
      let texts = rows.map(\.columns)
      let widths = (0..<5).map { column in texts.map { $0[column].count }.max() ?? 0 }
      return [
        Terminal.styled(
          "\(member.name): \(Readable.count(member.tensors.count, "tensor")), \(Readable.scaled(total.elements)) numbers, "
            + "\(Readable.bytes(total.stored)), \(total.ratioText)", .bold)
      ]
        + texts.map { columns in
          "  "
            + zip(columns, widths).enumerated().map { index, column in
              Readable.padded(column.0, column.1, right: index == 1 || index == 4)
            }.joined(separator: "  ") + "  " + columns[5]
        }
    }
  }

  private func groups(_ member: PackMember) -> [Row] {
    var rows: [Row] = []
    var places: [String: Int] = [:]
    for reference in member.tensors {
      let row = Row(TensorListing.pattern(of: reference.name), pack.tensors[reference.tensor], uses[reference.tensor])
      if let place = places[row.key] {
        rows[place].add(row)
      } else {
        places[row.key] = rows.count
        rows.append(row)
      }
    }
    return rows.sorted { ($0.name, $1.count) < ($1.name, $0.count) }
  }

  /// One tensor, or several of a kind.
  private struct Row {
    let name: String
    let kind: [String]
    let isShared: Bool
    var count = 1
    var elements = 0
    var stored = 0
    /// What the numbers would take as F16; integers, as they are.
    private var plain = 0

    init(_ name: String, _ tensor: PackTensor, _ uses: Int) {
      self.name = name
      kind = ["[\(tensor.shape.map(String.init).joined(separator: ", "))]", "\(tensor.dtype.name), \(tensor.coding.name)"]
      isShared = uses > 1
      elements = tensor.elementCount
      stored = tensor.storedBytes
      plain = tensor.dtype.isWeight ? 2 * elements : tensor.byteCount
    }

    init(total name: String) {
      (self.name, kind, isShared, count) = (name, [], false, 0)
    }

    var key: String { "\(name) \(kind) \(isShared)" }

    mutating func add(_ row: Row) {
      count += row.count
      elements += row.elements
      stored += row.stored
      plain += row.plain
    }

    var ratioText: String { "\(Readable.decimal(Double(plain) / Double(max(stored, 1)), digits: 1)) x" }

    var columns: [String] {
      [name, count > 1 ? "\(count) x" : ""] + kind + [Readable.bytes(stored), ratioText + (isShared ? ", shared" : "")]
    }
  }
}
