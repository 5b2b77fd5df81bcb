// SPDX-License-Identifier: Apache-2.0

internal import WeftFormats

/// The options of an `adapter_config.json`. A null is the same as an absent option.
struct AdapterConfig {
  /// The path of the file, for errors.
  let location: String
  private let options: [(key: String, value: JSON)]

  /// Reads a file: the whole of it, and its options.
  static func read(file path: String) throws(AdapterError) -> (json: JSON?, config: AdapterConfig) {
    let json: JSON
    do throws(FormatError) { json = try JSON(file: path) } catch { throw .format(error) }
    return (json, try AdapterConfig(json, location: path))
  }

  /// The same of the text of a file; `location` names it in errors.
  static func read(text: String, location: String) throws(AdapterError) -> (json: JSON?, config: AdapterConfig) {
    let json: JSON
    do throws(FormatError) { json = try JSON(parsing: text, location: location) } catch { throw .format(error) }
    return (json, try AdapterConfig(json, location: location))
  }

  private init(_ json: JSON, location: String) throws(AdapterError) {
    self.location = location
    options = try AdapterConfig.uniqueMembers(json, of: "the config", location: location)
  }

  /// No options, for a form without configuration.
  init(none path: String) {
    location = path
    options = []
  }

  /// The options in an option's value, which must be an object; nil when the option is absent.
  func nested(_ option: String) throws(AdapterError) -> AdapterConfig? {
    guard let value = self[option] else { return nil }
    return AdapterConfig(
      location: "\(location): \(option)",
      options: try AdapterConfig.uniqueMembers(value, of: option, location: location))
  }

  private init(location: String, options: [(key: String, value: JSON)]) {
    self.location = location
    self.options = options
  }

  /// What an option means to a family.
  enum Rule {
    /// The family reads it.
    case read
    /// It has no effect on inference, whatever its value.
    case inert
    /// It changes the arithmetic, and only its off value is supported.
    case off
  }

  /// Options that every PEFT config may have.
  static let commonRules: [String: Rule] = [
    "peft_type": .read, "base_model_name_or_path": .read, "peft_version": .read, "auto_mapping": .inert, "revision": .inert,
    "task_type": .inert, "inference_mode": .inert,
  ]

  /// Options of PEFT configs that choose modules; `TargetModules` reads them.
  static let targetRules: [String: Rule] = [
    "target_modules": .read, "exclude_modules": .read, "layers_to_transform": .read, "layers_pattern": .read,
  ]

  /// Refuses options that are not supported, and options that are neither known nor off.
  func check(_ rules: [String: Rule]) throws(AdapterError) {
    for (option, value) in options where !AdapterConfig.isOff(value) {
      switch rules[option] {
      case .read, .inert: continue
      case .off:
        throw .unsupportedOption(location: location, option: option, expected: "it absent or off", found: value.kind)
      case nil: throw .unknownOption(location: location, option: option, found: value.kind)
      }
    }
  }

  /// The value of an option, or nil when it is absent or null.
  subscript(option: String) -> JSON? {
    guard let value = options.first(where: { $0.key == option })?.value, !value.isNull else { return nil }
    return value
  }

  /// Whether an option is there and is neither null, false nor empty.
  func isOn(_ option: String) -> Bool { self[option].map { !AdapterConfig.isOff($0) } ?? false }

  func string(_ option: String) throws(AdapterError) -> String? {
    guard let value = self[option] else { return nil }
    guard let string = value.string else { throw malformed(option, expected: "text", found: value) }
    return string
  }

  /// False when the option is absent.
  func bool(_ option: String) throws(AdapterError) -> Bool {
    guard let value = self[option] else { return false }
    guard let bool = value.bool else { throw malformed(option, expected: "true or false", found: value) }
    return bool
  }

  /// One text, or an array of texts; nil when the option is absent.
  func strings(_ option: String) throws(AdapterError) -> [String]? {
    guard let value = self[option] else { return nil }
    if let string = value.string { return [string] }
    return try elements(value, of: option, expected: "text or an array of texts") { $0.string }
  }

  /// One integer, or an array of integers; nil when the option is absent.
  func integers(_ option: String) throws(AdapterError) -> [Int]? {
    guard let value = self[option] else { return nil }
    if let integer = value.int { return [integer] }
    return try elements(value, of: option, expected: "an integer or an array of integers") { $0.int }
  }

  /// The members of an object in file order; empty when the option is absent.
  func members(_ option: String) throws(AdapterError) -> [(key: String, value: JSON)] {
    guard let value = self[option] else { return [] }
    return try AdapterConfig.uniqueMembers(value, of: option, location: location)
  }

  func malformed(_ option: String, expected: String, found: JSON?) -> AdapterError {
    .malformedOption(location: location, option: option, expected: expected, found: found?.kind ?? "nothing")
  }

  private func elements<Element>(
    _ value: JSON, of option: String, expected: String, _ read: (JSON) -> Element?
  ) throws(AdapterError) -> [Element] {
    guard let array = value.array else { throw malformed(option, expected: expected, found: value) }
    var elements: [Element] = []
    for item in array {
      guard let element = read(item) else { throw malformed(option, expected: expected, found: item) }
      elements.append(element)
    }
    return elements
  }

  private static func uniqueMembers(
    _ value: JSON, of option: String, location: String
  ) throws(AdapterError) -> [(key: String, value: JSON)] {
    guard let members = value.members else {
      throw .malformedOption(location: location, option: option, expected: "an object", found: value.kind)
    }
    var seen: Set<String> = []
    for member in members where !seen.insert(member.key).inserted {
      throw .malformedOption(location: location, option: option, expected: "every key once", found: "'\(member.key)' again")
    }
    return members
  }

  /// Null, false, or empty.
  private static func isOff(_ value: JSON) -> Bool {
    value.isNull || value.bool == false || value.string?.isEmpty == true || value.array?.isEmpty == true
      || value.members?.isEmpty == true
  }
}
