// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftGrammar

/// Schemas, and the documents that their grammars allow. `tools/check_grammar.py` validates generated ones.
struct JSONSchemaTests {
  private func accepts(_ schema: String, _ text: String) throws -> Bool {
    let matcher = try GrammarMatcher(try Grammar(jsonSchema: schema))
    guard try matcher.accept(Array(text.utf8)[...]) else { return false }
    return matcher.accepts(matcher.current)
  }

  private static let schemas: [(String, [String], [String])] = [
    (#"{"type": "boolean"}"#, ["true", "false"], ["null", "0", "\"true\""]),
    (#"{"type": ["string", "null"], "maxLength": 2}"#, ["null", "\"\"", "\"é😀\""], ["\"abc\"", "1"]),
    (#"{"type": "string", "minLength": 1, "maxLength": 2}"#, [#""\n""#, #""é\"""#], [#""""#, #""\ud800""#, "\"\n\""]),
    (#"{"type": "string"}"#, [#""""#, #""\u00e9""#, #""/\/""#], [#""\x""#, "\"\u{1}\"", "\"a"]),
    (#"{"type": "integer"}"#, ["0", "-12", "1234567890123456"], ["01", "1.0", "+1", "12345678901234567"]),
    (#"{"type": "number"}"#, ["0", "-1.5", "2e10", "3.25E-7"], [".5", "1.", "1e", "1e100"]),
    (
      #"{"type": "integer", "minimum": -15, "maximum": 120}"#, ["-15", "-9", "0", "99", "100", "120"],
      ["-16", "121", "130", "1000"]
    ),
    (#"{"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 101}"#, ["10", "99", "100"], ["9", "101", "5"]),
    (#"{"type": "integer", "minimum": 2.5}"#, ["3", "12345678"], ["2", "-3"]),
    (#"{"type": "integer", "maximum": -7}"#, ["-7", "-10", "-123456"], ["-6", "0", "7"]),
    (#"{"minimum": 0, "maximum": 1}"#, ["0", "0.25", "1"], ["1.0", "-0.1", "2"]),
    (#"{"type": "number", "exclusiveMinimum": 0, "maximum": 2}"#, ["0.5", "0.001", "2", "1.9"], ["0", "0.0", "2.1"]),
    (#"{"type": "number", "minimum": -2, "exclusiveMaximum": 0}"#, ["-2", "-0.5", "-1.75"], ["0", "-2.5", "0.5", "-0.0"]),
    (#"{"enum": ["a", 1, null, {"x": [1.5]}]}"#, ["\"a\"", "1", "null", "{\"x\": [1.5]}"], ["\"b\"", "2"]),
    (#"{"enum": ["a", 1, 2.5, true], "type": ["integer", "boolean"]}"#, ["1", "true"], ["\"a\"", "2.5"]),
    (#"{"const": "\"\n\\"}"#, [#""\"\n\\""#], ["\"\""]),
    (
      #"{"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 3}"#, ["[null]", "[null,null, null]"],
      ["[]", "[null,null,null,null]", "[1]"]
    ),
    (#"{"type": "array", "items": {"type": "null"}, "maxItems": 0}"#, ["[]"], ["[null]"]),
    (#"{"type": "array", "items": {"type": "null"}, "maxItems": 1}"#, ["[]", "[null]"], ["[null,null]"]),
    (
      #"{"prefixItems": [{"const": 1}, {"const": 2}], "items": {"const": 3}}"#, ["[]", "[1]", "[1,2]", "[1,2,3,3]"],
      ["[2]", "[1,3]"]
    ),
    (#"{"prefixItems": [{"const": 1}, {"const": 2}], "minItems": 2}"#, ["[1,2]"], ["[1]", "[1,2,3]"]),
    (
      #"{"prefixItems": [{"const": 1}], "minItems": 3, "items": {"const": 0}, "maxItems": 4}"#, ["[1,0,0]", "[1,0,0,0]"],
      ["[1,0]", "[1,0,0,0,0]"]
    ),
    (#"{"prefixItems": [{"const": 1}, false, {"const": 2}], "items": true}"#, ["[]", "[1]"], ["[1,2]"]),
    (#"{"items": false}"#, ["[]"], ["[1]"]),
    (
      #"{"properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}, "required": ["b"]}"#,
      [
        "{\"b\": null}", "{\"a\":null,\"b\":null}", "{\"b\":null, \"c\":null}",
        "{\n  \"a\": null,\n  \"b\": null,\n  \"c\": null\n}",
      ],
      ["{}", "{\"a\":null}", "{\"b\":null,\"a\":null}", "{,\"b\":null}", "{\"b\":null,}", "{\"b\":null,\"d\":1}"]
    ),
    (#"{"properties": {"a": {"type": "null"}}}"#, ["{}", "{\"a\":null}"], ["{\"b\":null}", "[]"]),
    (#"{"type": "object"}"#, ["{}", "{\"x\": [1, {\"y\": \"z\"}]}"], ["[]", "{\"x\"}"]),
    (#"{"type": "object", "additionalProperties": {"type": "boolean"}}"#, ["{}", "{\"x\": true,\"y\":false}"], ["{\"x\": 1}"]),
    (
      #"{"properties": {"ab": {"type": "null"}, "a": {"type": "null"}, "é": false}, "additionalProperties": {"type": "boolean"}}"#,
      ["{\"ab\":null,\"a\":null,\"b\":true}", "{\"abc\":true}", "{\"x\":true}", "{\"éa\":true}"],
      ["{\"a\":true}", "{\"ab\":true}", "{\"é\":true}", "{\"\\u0061\":true}", "{\"x\":null}"]
    ),
    (
      #"{"properties": {"a": {}}, "required": ["z"], "additionalProperties": {"const": 1}}"#,
      ["{\"z\": 1}", "{\"a\": {}, \"z\": 1, \"q\": 1}"], ["{}", "{\"z\": 2}"]
    ),
    (#"{"properties": {"a": false, "b": {"const": 1}}}"#, ["{}", "{\"b\": 1}"], ["{\"a\": 1}"]),
    (#"{"anyOf": [{"type": "integer", "minimum": 5, "maximum": 7}, {"type": "null"}, false]}"#, ["6", "null"], ["8", "true"]),
    (
      #"{"type": "object", "properties": {"k": {"const": 0}}, "required": ["k"], "anyOf": [{"properties": {"x": {"const": 1}}, "required": ["x"]}, {"properties": {"y": {"const": 2}}}]}"#,
      ["{\"k\": 0,\"x\": 1}", "{\"k\": 0}", "{\"k\": 0,\"y\": 2}"], ["{\"x\": 1}"]
    ),
    (#"{"oneOf": [{"type": "string", "maxLength": 1}, {"type": "integer"}]}"#, ["\"a\"", "3"], ["\"ab\""]),
    (
      #"{"oneOf": [{"properties": {"t": {"const": "a"}, "v": {"const": 1}}, "required": ["t"]}, {"properties": {"t": {"enum": ["b", "c"]}}, "required": ["t"]}]}"#,
      ["{\"t\": \"a\"}", "{\"t\": \"c\"}", "{\"t\": \"a\",\"v\": 1}"], ["{\"t\": \"b\",\"v\": 1}", "{}"]
    ),
    (
      #"{"oneOf": [{"properties": {"cat": {"const": 1}}, "required": ["cat"]}, {"properties": {"dog": {"const": 1}}, "required": ["dog"]}]}"#,
      ["{\"cat\": 1}", "{\"dog\": 1}"], ["{}", "{\"cat\": 1,\"dog\": 1}"]
    ),
    (#"{"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]}"#, ["3", "5"], ["2", "6"]),
    (#"{"allOf": [{"type": ["integer", "string"]}, {"type": ["number", "null"]}]}"#, ["3"], ["2.5", "null", "\"\""]),
    (
      #"{"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]}, {"properties": {"a": {"minimum": 5, "maximum": 6}, "b": {"const": 0}}, "required": ["b"]}]}"#,
      ["{\"a\": 5,\"b\": 0}"], ["{\"a\": 5}", "{\"a\": 4,\"b\": 0}"]
    ),
    (
      #"{"allOf": [{"properties": {"a": {"const": 1}}, "additionalProperties": false}, {"properties": {"b": {"const": 2}}}]}"#,
      ["{}", "{\"a\": 1}"], ["{\"b\": 2}"]
    ),
    (##"{"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": {"const": 1}}}"##, ["1"], ["2"]),
    (
      ##"{"$ref": "#/definitions/n", "maximum": 4, "definitions": {"n": {"type": "integer", "minimum": 3}}}"##, ["3", "4"],
      ["5", "2"]
    ),
    (
      ##"{"type": "object", "properties": {"v": {"const": 1}, "next": {"$ref": "#"}}, "required": ["v"]}"##,
      ["{\"v\": 1}", "{\"v\": 1,\"next\": {\"v\": 1,\"next\": {\"v\": 1}}}"], ["{\"v\": 1,\"next\": {}}"]
    ),
    (
      ##"{"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}, "maxItems": 2}]}"##,
      ["null", "[null, [[], null]]"], ["[null,null,null]", "1"]
    ),
    ("true", ["{\"a\": [1.5, \"x\", null, true]}", "3"], ["nul"]),
    (#"{"title": "t", "description": "d", "default": 1, "examples": [2], "$schema": "s", "$id": "i"}"#, ["3"], [""]),
    (
      #"{"type": "string", "format": "date"}"#, ["\"2024-02-29\"", "\"1999-12-31\"", "\"2000-02-29\""],
      ["\"2023-02-29\"", "\"1900-02-29\"", "\"2024-04-31\"", "\"2024-13-01\"", "\"2024-00-01\""]
    ),
    (#"{"type": "string", "format": "time"}"#, ["\"23:59:59Z\"", "\"00:00:00.5+05:30\""], ["\"24:00:00Z\"", "\"12:00:00\""]),
    (#"{"format": "date-time"}"#, ["\"2024-02-29T12:00:00Z\""], ["\"2024-02-29 12:00:00Z\""]),
    (
      #"{"type": "string", "format": "uuid"}"#, ["\"123e4567-e89b-12d3-a456-426614174000\""],
      ["\"123e4567e89b12d3a456426614174000\""]
    ),
    (#"{"pattern": "^[A-Z]{2}-\\d+$"}"#, ["\"AB-12\""], ["\"AB-\"", "\"xAB-1\"", "\"AB-1x\""]),
    (#"{"pattern": "b(a|c)?"}"#, ["\"b\"", "\"xbay\"", "\"abc\""], ["\"ac\""]),
    (#"{"pattern": "^a|z$"}"#, ["\"ab\"", "\"yz\""], ["\"ba\"", "\"zy\""]),
    (#"{"pattern": "^[^\\d\"]\\\\\\n.$"}"#, [#""a\\\né""#, #""a\\\n\"""#], [#""1\\\na""#, #""\"\\\na""#]),
    (#"{"pattern": "^(?:\\w\\s?){2,3}?\\u00e9\\x41\\.$"}"#, ["\"a béA.\"", "\"abcéA.\""], ["\"aéA.\"", "\"abéAx\""]),
    (#"{"pattern": "^\\S\\W[\\-\\]a-c]$"}"#, ["\"x b\"", "\"x!]\"", "\"x!-\""], ["\"  a\"", "\"xxa\"", "\"x!d\""]),
    (#"{"pattern": ""}"#, ["\"\"", "\"x\""], ["1"]),
  ]

  @Test(arguments: schemas)
  func documents(schema: String, allowed: [String], refused: [String]) throws {
    for text in allowed { #expect(try accepts(schema, text), "\(schema): \(text)") }
    for text in refused { #expect(try !accepts(schema, text), "\(schema): \(text)") }
  }

  private static let refusedSchemas: [(String, String, String)] = [
    ("{", "", "JSON"),
    ("3", "", "an object, true or false"),
    ("false", "", "some document"),
    (#"{"allOf": [{"type": "string"}, {"type": "integer"}]}"#, "", "some document"),
    (#"{"properties": {"a": {"multipleOf": 2}}}"#, "/properties/a/multipleOf", "'multipleOf'"),
    (#"{"properties": {"a/b~": {"not": {}}}}"#, "/properties/a~1b~0/not", "'not'"),
    (#"{"patternProperties": {}}"#, "/patternProperties", "'patternProperties'"),
    (#"{"minProperties": 1}"#, "/minProperties", "'minProperties'"),
    (#"{"if": {}, "then": {}}"#, "/if", "'if'"),
    (#"{"type": "text"}"#, "/type", "one of the types null, boolean"),
    (#"{"type": ["string", 5]}"#, "/type/1", "one of the types"),
    (#"{"type": "array", "uniqueItems": true}"#, "/uniqueItems", "unique"),
    (#"{"items": [{}]}"#, "/items", "prefixItems"),
    (#"{"type": "string", "format": "email"}"#, "/format", "date, time, date-time, uuid"),
    (#"{"type": "string", "format": "date", "maxLength": 5}"#, "/format", "several"),
    (#"{"minLength": -1}"#, "/minLength", "0 to"),
    (#"{"minLength": 1.5}"#, "/minLength", "integer"),
    (#"{"type": "number", "minimum": 0.5}"#, "/minimum", "nine digits"),
    (#"{"type": "integer", "minimum": 1e300}"#, "/minimum", "2^53"),
    (#"{"enum": []}"#, "/enum", "a list of values"),
    (#"{"enum": ["abc"], "maxLength": 2}"#, "/maxLength", "beside 'enum'"),
    (#"{"const": 1e30}"#, "", "2^53"),
    (#"{"anyOf": {}}"#, "", "a list of schemas"),
    (#"{"oneOf": [{"type": "integer"}, {"type": "number"}]}"#, "/oneOf", "0 and 1"),
    (#"{"oneOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}"#, "/oneOf", "overlap"),
    (#"{"$ref": "other.json"}"#, "/$ref", "this document"),
    (##"{"$ref": "#/$defs/none"}"##, "/$ref", "which is none"),
    (#"{"required": "a"}"#, "/required", "a list of names"),
    (#"{"properties": []}"#, "/properties", "an object of schemas"),
    (##"{"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}"##, "", "can end"),
    (#"{"pattern": "(?=a)"}"#, "/pattern", "(?="),
    (#"{"pattern": "\\bword"}"#, "/pattern", "'\\b'"),
    (#"{"pattern": "(a)\\1"}"#, "/pattern", "'\\1'"),
    (#"{"pattern": "\\p{L}"}"#, "/pattern", "'\\p'"),
    (#"{"pattern": "a^b"}"#, "/pattern", "'^'"),
    (#"{"pattern": "(a$)"}"#, "/pattern", "'$' inside"),
    (#"{"pattern": "*a"}"#, "/pattern", "nothing before"),
    (#"{"pattern": "[a"}"#, "/pattern", "']'"),
    (#"{"pattern": "a", "minLength": 1}"#, "/pattern", "several"),
  ]

  @Test(arguments: refusedSchemas)
  func refusals(schema: String, pointer: String, part: String) {
    let error = #expect(throws: GrammarError.self) { try Grammar(jsonSchema: schema) }
    #expect(error?.description.contains(part) == true, "\(schema): \(error?.description ?? "")")
    if case .schema(let found, _, _) = error { #expect(found == pointer, "\(schema): \(error?.description ?? "")") }
  }

  @Test func deepAndWideSchemasAreRefused() {
    let deep = String(repeating: #"{"items": "#, count: 900) + "true" + String(repeating: "}", count: 900)
    #expect(throws: GrammarError.self) { try Grammar(jsonSchema: deep) }
    let group = #"{"anyOf": [{"minLength": 1}, {"minLength": 2}, {"minLength": 3}, {"minLength": 4}]}"#
    let wide = #"{"allOf": ["# + [String](repeating: group, count: 12).joined(separator: ",") + "]}"
    #expect(throws: GrammarError.self) { try Grammar(jsonSchema: wide) }
  }
}
