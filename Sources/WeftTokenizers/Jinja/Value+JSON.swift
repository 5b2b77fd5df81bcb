// SPDX-License-Identifier: Apache-2.0

package import WeftFormats

extension Jinja.Value {
  /// A JSON document as a template value; objects keep the order of their members.
  ///
  /// - Throws: `TemplateError.limit` for more than 100 levels or an object of more than 4096 members.
  package init(_ json: JSON, location: String) throws(TemplateError) {
    try self.init(json, location: location, level: 0)
  }

  private init(_ json: JSON, location: String, level: Int) throws(TemplateError) {
    guard level <= 100 else { throw .limit(location: location, expected: "at most 100 levels of JSON") }
    if let text = json.string {
      self = .string(text)
    } else if let flag = json.bool {
      self = .bool(flag)
    } else if let integer = json.int {
      self = .integer(integer)
    } else if let number = json.double {
      self = .float(number)
    } else if let array = json.array {
      var elements: [Jinja.Value] = []
      for element in array { elements.append(try Jinja.Value(element, location: location, level: level + 1)) }
      self = .list(Jinja.List(elements))
    } else if let members = json.members {
      // Look-ups walk the entries, and building a mapping looks up every key.
      guard members.count <= 4096 else { throw .limit(location: location, expected: "objects of at most 4096 members") }
      var dictionary = Jinja.Dictionary()
      for (key, value) in members {
        dictionary[.string(key)] = try Jinja.Value(value, location: location, level: level + 1)
      }
      self = .dictionary(dictionary)
    } else {
      self = .none
    }
  }
}
