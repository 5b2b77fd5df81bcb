// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftTokenizers

@Suite("Chat templates")
struct ChatTemplateTests {
  /// Real templates with the prompts that huggingface.js expects. The last one is a case of a template formatter: the template and
  /// its formatted text, which have to render the same.
  @Test(.needsSharedData) func chatCases() throws {
    let cases = try #require(try TemplateJSON.load(TestPaths.sharedData("templates/chat_cases.json")).array)
    #expect(cases.count == 36)
    for chat in cases {
      let name = chat["name"]?.string ?? ""
      let template = try Jinja.Template(
        source: try #require(chat["chat_template"]?.string), location: name, dialect: .huggingfaceJS)
      let target = try #require(chat["target"]?.string)
      guard let data = chat["data"] else {
        let formatted = try Jinja.Template(source: target, location: name, dialect: .huggingfaceJS)
        let messages = try JSON(
          parsing: """
            {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]},
             {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]}], "add_generation_prompt": true}
            """, location: name)
        let variables = try TemplateJSON.variables(messages)
        let output = try template.render(variables)
        #expect(output.contains("What is it?"))
        #expect(output == (try formatted.render(variables)))
        continue
      }
      let output = Result { try template.render(try TemplateJSON.variables(data)) }
      #expect((try? output.get()) == target, "\(name): \(output)")
    }
  }

  /// The templates of current models over 24 conversations, against jinja2 under transformers.
  ///
  /// Where Python fails because it has a generator, Weft has a list, and renders: one template, nine conversations.
  @Test(.needsSharedData) func modelTemplates() throws {
    let golden = try TemplateJSON.load(TestPaths.goldens + "/templates/templates.json")
    let renderings = try #require(golden["renderings"]?.array)
    #expect(renderings.count == 38 * 24)
    var templates: [String: Jinja.Template] = [:]
    var generators = 0
    for rendering in renderings {
      let name = try #require(rendering["template"]?.string)
      let conversation = try #require(rendering["case"]?.string)
      if templates[name] == nil {
        let path = TestPaths.sharedData("templates/jinja/\(name)")
        templates[name] = try Jinja.Template(source: try String(contentsOfFile: path, encoding: .utf8), location: name)
      }
      let template = try #require(templates[name])
      let variables = try TemplateJSON.variables(golden["variables"]?[conversation])
      let hitsGenerator = rendering["fails"]?.string?.contains("generator") ?? false
      generators += hitsGenerator ? 1 : 0
      do throws(TemplateError) {
        let output = try template.render(variables, secondsSinceEpoch: golden["secondsSinceEpoch"]?.int)
        #expect(
          hitsGenerator
            || (output.utf8.count == rendering["bytes"]?.int && TemplateJSON.hash(output) == rendering["fnv1a"]?.string),
          "\(name), \(conversation): \(rendering["refuses"]?.string ?? rendering["fails"]?.string ?? "") \(output)")
      } catch {
        #expect(rendering["bytes"] == nil, "\(name), \(conversation): \(error)")
        if let message = rendering["refuses"]?.string, case .raised(_, let found) = error {
          #expect(found == message)
        } else {
          #expect(rendering["refuses"] == nil, "\(name), \(conversation): \(error)")
        }
      }
    }
    #expect(generators == 9)
  }
}
