// SPDX-License-Identifier: Apache-2.0

/// One message of a conversation.
package struct ChatMessage: Sendable, Equatable {
  /// `system`, `user`, `assistant`, or what else the template knows.
  package var role: String
  package var content: String

  package init(role: String, content: String) {
    self.role = role
    self.content = content
  }
}

/// Turns a conversation into the text that a model was trained on, with the Jinja template that comes with the model.
///
///     let template = try ChatTemplate(source: gguf.metadata["tokenizer.chat_template"], location: "model.gguf: chat template")
///     let prompt = try template.render(messages: [.init(role: "user", content: "Hi")], addGenerationPrompt: true,
///                                      variables: [("bos_token", .string("<s>")), ("eos_token", .string("</s>"))])
package struct ChatTemplate: Sendable {
  private let template: Jinja.Template

  /// Compiles a template; `location` names it in errors.
  /// - Throws: `TemplateError.syntax`, `.unsupported` or `.limit`.
  package init(source: String, location: String) throws(TemplateError) {
    template = try Jinja.Template(source: source, location: location)
  }

  /// The prompt for these messages.
  ///
  /// - Parameters:
  ///   - addGenerationPrompt: whether the prompt ends where the assistant begins to answer.
  ///   - variables: what else the template may ask for: `bos_token`, `eos_token`, `enable_thinking`, ... They win over the rest.
  ///   - tools: JSON schemas of the functions that the model may call; without them the template sees none.
  /// - Throws: `TemplateError.raised` when the template refuses the messages; `.value` or `.limit` when it fails.
  package func render(
    messages: [ChatMessage], addGenerationPrompt: Bool, variables: [(String, Jinja.Value)] = [], tools: Jinja.Value? = nil
  ) throws(TemplateError) -> String {
    let list = messages.map { message in
      Jinja.Value.dictionary(
        Jinja.Dictionary([("role", .string(message.role)), ("content", .string(message.content))]))
    }
    return try template.render(
      [
        ("messages", .list(Jinja.List(list))),
        ("tools", tools ?? .none),
        ("documents", .none),
        ("add_generation_prompt", .bool(addGenerationPrompt)),
      ] + variables)
  }
}
