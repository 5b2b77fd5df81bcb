// SPDX-License-Identifier: Apache-2.0

import CEditline
import Foundation

/// Lines from the keyboard, edited and remembered by libedit; plain lines where standard input is no terminal.
final class LineEditor {
  enum Line {
    case text(String)
    /// Ctrl-C: what was typed is gone.
    case interrupted
    /// Ctrl-D, or the end of the file.
    case end
  }

  private let isInteractive = Terminal.Stream.input.isTerminal && Terminal.Stream.output.isTerminal
  private let historyPath: String?

  /// The history of earlier runs comes from `$XDG_STATE_HOME/weft/history` (`~/.local/state` when unset).
  init() {
    guard isInteractive else {
      historyPath = nil
      return
    }
    // Without a UTF-8 locale, libedit takes every byte of a character for a character.
    setlocale(LC_CTYPE, "")
    if String(cString: nl_langinfo(Int32(CODESET))) != "UTF-8" { setlocale(LC_CTYPE, "C.UTF-8") }
    using_history()
    stifle_history(1000)
    historyPath = LineEditor.historyFile()
    if let historyPath { read_history(historyPath) }
  }

  /// The next line, without its newline. Waits until there is one.
  func read(prompt: String) -> Line {
    guard isInteractive else {
      // A signal may have ended the wait.
      guard let line = readLine() else { return Interrupt.take() ? .interrupted : .end }
      return .text(line)
    }
    _ = Interrupt.take()
    guard let line = readline(prompt) else {
      let wasInterrupted = Interrupt.take()
      Terminal.write("\n")
      return wasInterrupted ? .interrupted : .end
    }
    defer { free(line) }
    return .text(String(cString: line))
  }

  /// Puts a line where the arrow keys find it, in this run and the next ones.
  func remember(_ line: String) {
    guard isInteractive, !line.isEmpty else { return }
    add_history(line)
    if let historyPath { write_history(historyPath) }
  }

  /// The file, in a folder that only this user can read; nil when the folder cannot be made.
  private static func historyFile() -> String? {
    let environment = ProcessInfo.processInfo.environment
    let state = environment["XDG_STATE_HOME"].flatMap { $0.hasPrefix("/") ? $0 : nil }
    guard let folder = (state ?? environment["HOME"].map { $0 + "/.local/state" }).map({ $0 + "/weft" }) else { return nil }
    do {
      try FileManager.default.createDirectory(
        atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch { return nil }
    return folder + "/history"
  }
}
