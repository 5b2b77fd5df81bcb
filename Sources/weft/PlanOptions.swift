// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftEngine

/// How a model would be loaded, for `weft inspect --plan`: the options of `weft run` that decide about memory.
struct PlanOptions: ParsableArguments {
  @Option(help: "Longest conversation in tokens (default: what the model allows, at most 4096).")
  var context: Int?

  @Option(help: "How keys and values are stored (default: f16).")
  var kvType: EngineOptions.KVType?

  @Option(help: "Sequences that run at the same time (default: 1).")
  var parallel: Int?

  @Option(help: "Threads (default: as many as processors).")
  var threads: Int?

  @Option(
    name: .customLong("adapter"), help: ArgumentHelp("Count this PEFT folder in; repeatable.", valueName: "name=path"))
  var adapters: [AdapterArgument] = []

  @Option(help: ArgumentHelp("Fail when the plan needs more, as loading would.", valueName: "size"))
  var maxMemory: MemorySize?

  /// The first option that was given; nil when none was.
  var given: String? {
    let all: [(String, Bool)] = [
      ("--context", context != nil), ("--kv-type", kvType != nil), ("--parallel", parallel != nil),
      ("--threads", threads != nil), ("--adapter", !adapters.isEmpty), ("--max-memory", maxMemory != nil),
    ]
    return all.first { $0.1 }?.0
  }

  /// What `weft inspect --plan` prints.
  func lines(_ path: String) throws -> [String] {
    let options = EngineOptions(
      threads: threads, contextLength: context, maximumSequences: parallel ?? 1, kvType: kvType ?? .f16,
      maximumMemory: maxMemory?.byteCount)
    let folders = try adapters.map { adapter in
      guard let path = adapter.path else { throw ValidationError("--adapter: expected NAME=PATH, found \(adapter.name)") }
      return (name: adapter.name, path: path)
    }
    let plan = try MemoryPlan(model: path, options: options, adapters: folders)
    try plan.validate()
    let sizes = plan.items.map { Readable.bytes($0.byteCount) }
    let width = plan.items.map(\.name.count).max() ?? 0
    let sizeWidth = sizes.map(\.count).max() ?? 0
    let rows = zip(plan.items, sizes).map { item, size in
      "  " + Readable.padded(item.name, width) + "  " + Readable.padded(size, sizeWidth, right: true) + "  "
        + Terminal.styled(item.detail, .dim)
    }
    return [Terminal.styled("memory of \(path)", .bold)] + rows + [
      "  " + Readable.padded("together", width) + "  "
        + Terminal.styled(Readable.padded(Readable.bytes(plan.byteCount), sizeWidth, right: true), .bold)
    ]
  }
}
