// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats
internal import WeftTensors

/// A prompt with the answer that is expected.
public struct Question: Sendable, Hashable {
  /// What is asked: a message of the user where the model has a chat template, text to continue otherwise.
  public var prompt: String
  /// What should be answered. Blanks around it do not count.
  public var answer: String

  /// A value with these properties.
  public init(prompt: String, answer: String) {
    self.prompt = prompt
    self.answer = answer
  }

  /// Reads JSON lines `{"prompt": "...", "answer": "..."}`. Other members and empty lines are ignored.
  /// - Parameter requiresAnswers: false for lines that may have none, which is the empty answer then.
  public static func read(_ path: String, requiresAnswers: Bool = true) throws(EngineError) -> [Question] {
    try lines(path) { (json, location) throws(EngineError) in
      let prompt = try text("prompt", json, location)
      guard requiresAnswers || json["answer"] != nil else { return Question(prompt: prompt, answer: "") }
      return Question(prompt: prompt, answer: try text("answer", json, location))
    }
  }

  /// Whether an answer is the one expected.
  func isAnswered(by text: String) -> Bool { Question.trimmed(text) == Question.trimmed(answer) }

  private static func trimmed(_ text: String) -> Substring {
    guard let first = text.firstIndex(where: { !$0.isWhitespace }), let last = text.lastIndex(where: { !$0.isWhitespace })
    else { return "" }
    return text[first...last]
  }

  private static func lines<Line>(
    _ path: String, _ line: (JSON, String) throws(EngineError) -> Line
  ) throws(EngineError) -> [Line] {
    let storage: Storage
    do { storage = try Storage(mapping: path) } catch { throw EngineError(error) }
    defer { withExtendedLifetime(storage) {} }
    var result: [Line] = []
    let texts = storage.bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    for (index, text) in texts.enumerated() where text.contains(where: { !" \r\t".utf8.contains($0) }) {
      let location = "\(path): line \(index + 1)"
      let json: JSON
      do { json = try JSON(parsing: UnsafeRawBufferPointer(rebasing: text), location: location) } catch {
        throw EngineError(error)
      }
      result.append(try line(json, location))
    }
    guard !result.isEmpty else { throw EngineError(.corruptFile, "\(path): expected at least one question, found none") }
    return result
  }

  private static func text(_ key: String, _ json: JSON, _ location: String) throws(EngineError) -> String {
    guard json.isObject, let value = json[key] else {
      throw EngineError(
        .corruptFile, "\(location): expected an object with '\(key)', found \(json.isObject ? "none" : json.kind)")
    }
    guard let text = value.string else {
      throw EngineError(.corruptFile, "\(location): \(key): expected a string, found \(value.kind)")
    }
    return text
  }
}
