// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport

/// The program that was built with these tests, run as a user would run it, without a terminal.
struct Weft {
  let status: Int32
  let output: String
  let errors: String

  /// - Parameter fileBlocks: the size that the system allows for files, in blocks of 512 bytes; nil: any.
  init(_ arguments: [String], input: String = "", fileBlocks: Int? = nil) throws {
    let process = Process()
    let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
      .appendingPathComponent("weft")
    if let fileBlocks {
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", "ulimit -f \(fileBlocks); exec \"$0\" \"$@\"", program.path] + arguments
    } else {
      process.executableURL = program
      process.arguments = arguments
    }
    let (inputPipe, outputPipe, errorPipe) = (Pipe(), Pipe(), Pipe())
    process.standardInput = inputPipe
    process.standardOutput = outputPipe
    process.standardError = errorPipe
    try process.run()
    try inputPipe.fileHandleForWriting.write(contentsOf: Data(input.utf8))
    try inputPipe.fileHandleForWriting.close()
    output = String(decoding: outputPipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    errors = String(decoding: errorPipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    status = process.terminationStatus
  }

  /// A real model of 260K parameters, without chat template.
  static var stories: String { TestPaths.sharedData("models/stories260K/stories260K-f32.gguf") }
}
