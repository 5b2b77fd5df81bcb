// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftAdapters
internal import WeftFormats
package import WeftDeltas
package import WeftTensors

/// What a merge by a method with several results came to: the adapter that all tasks share, and one for each task.
package struct MergedLibrary: Sendable {
  /// `shared`, then the tasks by their names.
  package let members: [(name: String, adapter: MergedAdapter)]
  private let record: MergeRecord

  /// The name of what the tasks share.
  package static let sharedName = "shared"

  /// Makes all results of a method that has several. The changes are read anew for each.
  /// - Parameter progress: told how many modules of how many are done, of all results together; false stops the merge.
  package init(
    _ merge: AdapterMerge, _ sources: [MergeSource], base: BaseModel? = nil,
    progress: (_ done: Int, _ count: Int) -> Bool = { _, _ in true }
  ) throws(MergeError) {
    guard merge.method.hasParts else {
      throw .mismatch(location: "method \(merge.method.name)", expected: "a method with several results", found: "one result")
    }
    if let source = sources.first(where: { $0.name == MergedLibrary.sharedName }) {
      throw .mismatch(location: "tasks", expected: "no task named as what they share", found: "'\(source.name)'")
    }
    var members: [(name: String, adapter: MergedAdapter)] = []
    for (part, name) in ([MergedLibrary.sharedName] + sources.map(\.name)).enumerated() {
      var own = merge
      own.parameters.add(MergeParameter.part.name, .init([Float(part)]))
      let adapter = try own(sources, base: base) { done, count in
        progress(part * count + done, (sources.count + 1) * count)
      }
      members.append((name, adapter))
    }
    self.members = members
    record = MergeRecord(merge, sources)
  }

  /// Writes a pack with all members, with the record of the merge.
  package func write(pack path: String, dtype: DType = .f32) throws(MergeError) {
    try MergedAdapter.write(members, pack: path, dtype: dtype, record: record)
  }

  /// Writes a folder with a PEFT folder for each member, which appears complete or not at all.
  package func write(folder path: String, dtype: DType = .f32) throws(MergeError) {
    let temporary: String
    do { temporary = try AdapterFactorsWriter.temporaryFolder(beside: path) } catch { throw .format(error) }
    do throws(MergeError) {
      for (name, adapter) in members { try adapter.write(folder: "\(temporary)/\(name)", dtype: dtype) }
      guard rename(temporary, AdapterFactorsWriter.target(path)) == 0 else {
        throw .format(.cannotWrite(path: path, reason: String(cString: strerror(errno))))
      }
    } catch {
      for (name, _) in members { AdapterFactorsWriter.remove(folder: "\(temporary)/\(name)") }
      rmdir(temporary)
      throw error
    }
  }
}
