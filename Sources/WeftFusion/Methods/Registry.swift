// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Every method. A name and a space say which is meant; a name alone means the first row that has it.
  ///
  /// peft and mergekit have methods of the same names (`linear`, `ties`, `dare_linear`, `dare_ties`) that are not the same:
  /// peft's work on the factors, mergekit's on the changes themselves (space `delta`). peft's come first, as adapters are
  /// what is merged most; a recipe, which is mergekit's, means those of space `delta`.
  package static let all: [MergeMethod] = peftMethods + mergekitMethods + paperMethods + statisticsMethods

  /// The method of this name, in this space where one is said.
  /// - Parameter preferred: the space to look in first when none is said.
  package static func named(
    _ name: String, space: MergeSpace? = nil, preferring preferred: MergeSpace? = nil
  ) throws(MergeError) -> MergeMethod {
    let rows = all.filter { $0.name == name }
    guard !rows.isEmpty else {
      var names: [String] = []
      for row in all where !names.contains(row.name) { names.append(row.name) }
      throw .mismatch(location: "method", expected: names.joined(separator: ", "), found: "'\(name)'")
    }
    guard let space else { return rows.first { $0.space == preferred } ?? rows[0] }
    guard let row = rows.first(where: { $0.space == space }) else {
      throw .mismatch(
        location: "method \(name)", expected: "space \(rows.map(\.space.rawValue).joined(separator: " or "))",
        found: space.rawValue)
    }
    return row
  }
}
