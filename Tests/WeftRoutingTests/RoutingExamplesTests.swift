// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftRouting

struct RoutingExamplesTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func message(_ text: String) throws -> String {
    let path = try folder.write(Array(text.utf8), to: "examples.jsonl")
    do throws(RouterError) {
      _ = try RoutingExamples.read(path)
      return "no error"
    } catch { return error.description }
  }

  @Test func linesAreRead() throws {
    let text = """
      {"prompt": "Rhyme with tree.", "adapter": "poem"}
      {"adapter": "code", "prompt": "Print\\n\\"x\\"", "id": 7}

      {"prompt": "Hi é", "adapter": "none"}\r
      {"prompt": "Sort this", "adapter": "code"}
      """
    for ending in ["", "\n", "\n\n"] {
      let path = try folder.write(Array((text + ending).utf8), to: "examples.jsonl")
      let read = try RoutingExamples.read(path)
      #expect(read.examples.map(\.prompt) == ["Rhyme with tree.", "Print\n\"x\"", "Hi é", "Sort this"])
      #expect(read.examples.map(\.adapter) == ["poem", "code", "none", "code"])
      #expect(read.names == ["code", "none", "poem"])
    }
  }

  @Test func errorsNameTheLine() throws {
    let sound = "{\"prompt\": \"a\", \"adapter\": \"b\"}\n"
    #expect(try message(sound) == "no error")
    #expect(try message(sound + "{\"prompt\": \"a\"").contains("examples.jsonl: line 2: expected JSON"))
    #expect(try message(sound + "\n[1]").contains("line 3: expected an object, found an array"))
    #expect(try message(sound + "{\"prompt\": \"a\"}").contains("line 2: 'adapter' is missing"))
    #expect(try message(sound + "{\"adapter\": \"a\"}").contains("line 2: 'prompt' is missing"))
    #expect(
      try message("{\"prompt\": 3, \"adapter\": \"a\"}").contains(
        "line 1: prompt: expected a string that is not empty, found 3"))
    #expect(
      try message("{\"prompt\": \"a\", \"adapter\": \"\"}").contains("line 1: adapter: expected a string that is not empty"))
    #expect(try message(sound + sound.dropLast() + sound).contains("line 2: expected one JSON value"))
    #expect(try message("\n \n").contains("expected at least one example, found none"))
    #expect(try message("").contains("the file is empty"))
    let absent = #expect(throws: RouterError.self) { try RoutingExamples.read("/no/such/file") }
    #expect(absent?.description == "cannot open /no/such/file: No such file or directory")
  }
}
