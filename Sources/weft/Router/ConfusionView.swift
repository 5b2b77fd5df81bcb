// SPDX-License-Identifier: Apache-2.0

import WeftEngine

/// The confusion table of a router: a row per right answer, a column per choice.
enum ConfusionView {
  static func show(_ confusion: RouterConfusion) {
    let names = confusion.names
    let nameWidth = (names.map(\.count) + ["right".count]).max() ?? 0
    let cells = confusion.counts.flatMap { $0 }.map { "\($0)".count }
    let width = max(3, (cells.max() ?? 0) + 1)
    let heading = names.map { Readable.padded(String($0.prefix(width - 1)), width, right: true) }.joined()
    print(Terminal.styled(Readable.padded("", nameWidth) + heading + "  right", .dim))
    for (index, name) in names.enumerated() {
      let row = confusion.counts[index]
      let total = row.reduce(0, +)
      let numbers = row.enumerated().map { column, count in
        let text = Readable.padded(count == 0 ? "·" : "\(count)", width, right: true)
        return column == index || count == 0 ? text : Terminal.styled(text, .red)
      }
      let share = total == 0 ? "-" : Readable.percent(Double(row[index]) / Double(total))
      print(Readable.padded(name, nameWidth) + numbers.joined() + "  " + Readable.padded(share, 5, right: true))
    }
  }
}
