// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

/// Where templates come from: tokenizer_config.json, files of their own, GGUF metadata.
struct TemplateSourceTests {
  private static let model = #"""
    {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}, "decoder": {"type": "Fuse"}}
    """#

  private func tokenizer(_ config: String, _ files: [(String, String)] = []) throws -> Tokenizer {
    let folder = try TemporaryFolder()
    for (name, content) in [("tokenizer.json", Self.model), ("tokenizer_config.json", config)] + files {
      try folder.write(Array(content.utf8), to: name)
    }
    return try Tokenizer(folder: folder.path)
  }

  @Test func oneTemplate() throws {
    let tokenizer = try tokenizer(#"{"chat_template": "x"}"#)
    #expect(tokenizer.chatTemplate == "x" && tokenizer.chatTemplate(withTools: true) == "x")
    #expect(try self.tokenizer("{}").chatTemplate == nil)
  }

  @Test func namedTemplates() throws {
    let list = #"{"chat_template": [{"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]}"#
    let tokenizer = try tokenizer(list)
    #expect(tokenizer.chatTemplate == "d" && tokenizer.chatTemplate(withTools: true) == "t")
    #expect(tokenizer.chatTemplates == ["default": "d", "tool_use": "t"])
  }

  @Test func filesWin() throws {
    let tokenizer = try tokenizer(#"{"chat_template": "x"}"#, [("chat_template.jinja", "{# é #}y\n")])
    #expect(tokenizer.chatTemplate == "{# é #}y\n")
  }

  @Test func wrongTemplates() {
    for config in [#"{"chat_template": [{"name": "default"}]}"#, #"{"chat_template": [1]}"#, #"{"chat_template": 1}"#] {
      #expect(throws: TokenizerError.self) { try tokenizer(config) }
    }
  }

  @Test func metadata() throws {
    var metadata = GGUFCase.ranked
    metadata["tokenizer.chat_template"] = .string("d")
    metadata["tokenizer.chat_template.tool_use"] = .string("t")
    metadata["tokenizer.chat_templates"] = .strings(["tool_use"])
    let tokenizer = try Tokenizer(metadata: metadata, location: "f.gguf")
    #expect(tokenizer.chatTemplate == "d" && tokenizer.chatTemplate(withTools: true) == "t")
    metadata["tokenizer.chat_template"] = .unsigned(1)
    #expect(
      throws: TokenizerError.malformed(location: "f.gguf: tokenizer.chat_template", expected: "a string", found: "1")
    ) { try Tokenizer(metadata: metadata, location: "f.gguf") }
  }
}
