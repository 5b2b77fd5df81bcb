// SPDX-License-Identifier: Apache-2.0

/// Spelling of characters in GBNF.
enum GBNFText {
  /// A text that is read as it is.
  static func literal(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      default: result += scalar.value < 0x20 || scalar.value == 0x7F ? escape(scalar.value) : String(scalar)
      }
    }
    return result + "\""
  }

  /// A character between brackets.
  static func inClass(_ value: UInt32) -> String {
    switch value {
    case 0x5B, 0x5C, 0x5D, 0x5E, 0x2D: "\\" + String(Character(Unicode.Scalar(UInt8(value))))
    case 0x20..<0x7F: String(Character(Unicode.Scalar(UInt8(value))))
    default: escape(value)
    }
  }

  /// A set of characters, which is not empty.
  static func characters(_ set: CharacterSet) -> String {
    let parts = set.ranges.map { range in
      range.count == 1 ? inClass(range.lowerBound) : "\(inClass(range.lowerBound))-\(inClass(range.upperBound))"
    }
    return "[" + parts.joined() + "]"
  }

  private static func escape(_ value: UInt32) -> String {
    let digits = String(value, radix: 16, uppercase: true)
    return "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
  }
}
