// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftEngine

@main struct Weft: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "weft",
    abstract: "One base model in memory, any number of small adapters beside it, mixed per request.",
    discussion: """
      Without --model, commands run on the demo model of this repository, with its experts and its router.

        weft chat
        weft run "Write 1994 as a Roman numeral."
        weft run --model model.gguf --adapter chef=adapters/chef:0.7 "A soup?"
        weft inspect Models/demo/base.gguf

      Exit codes: 0 success, 64 wrong arguments, 65 a damaged file, 66 a missing file or name, 69 not supported, \
      71 not enough memory, 73 a file that cannot be written, 75 busy, 130 stopped by Ctrl-C.
      """,
    subcommands: [
      Chat.self, Run.self, Inspect.self, AdaptersCommand.self, Tokenize.self, Logits.self, RouterCommand.self, Evaluate.self,
      Bench.self, CompressCommand.self, PackCommand.self, MergeCommand.self, Fuse.self, StatsCommand.self, Quantize.self,
      Convert.self, PerplexityCommand.self, ImportanceCommand.self,
    ])

  static func main() {
    // A file that grows beyond the user's limit is an error of the write, as a full disk is, and not the end of the process.
    signal(SIGXFSZ, SIG_IGN)
    do {
      var command = try parseAsRoot()
      try command.run()
    } catch let error as EngineError {
      Terminal.report(error: error.message)
      exit(error.exitCode)
    } catch {
      exit(withError: error)
    }
  }

  /// The common end of all commands that fail.
  private static func exit(_ code: Int32) -> Never { exit(withError: ExitCode(code)) }
}

extension EngineError {
  /// The codes of BSD's sysexits.h, which swift-argument-parser uses for wrong arguments too.
  var exitCode: Int32 {
    switch status {
    case .invalidArgument: 64
    case .corruptFile: 65
    case .notFound: 66
    case .unsupported: 69
    case .outOfMemory: 71
    case .cannotWrite: 73
    case .busy: 75
    }
  }
}
