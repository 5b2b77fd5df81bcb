// SPDX-License-Identifier: Apache-2.0

/// The rules that grammars of JSON documents share.
enum JSONGrammar {
  /// The formats of strings that have a rule of their name.
  static let formats = ["date", "time", "date-time", "uuid"]

  /// Names are words without a number behind a dash, which the compiler's own have. Strings have no surrogates as escapes:
  /// halves of a pair are no text. Dates are those of the calendar, from year 1000 on; times are those of RFC 3339.
  static let rules: [(String, String)] = [
    ("space", #"" "?"#),
    ("gap", #"(" " | "\n" " "{0,16})?"#),
    ("value", #"free-object | free-array | string | number | "true" | "false" | "null""#),
    ("free-object", #""{" (gap member ("," gap member)* gap)? "}""#),
    ("member", #"string ":" space value"#),
    ("free-array", #""[" (gap value ("," gap value)* gap)? "]""#),
    ("string", #""\"" char* "\"""#),
    ("char", #"[^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" unit)"#),
    ("unit", #"[0-9a-cA-CefEF] hex{3} | [dD] [0-7] hex{2}"#),
    ("hex", "[0-9a-fA-F]"),
    ("integer", #""-"? ("0" | [1-9] [0-9]{0,15})"#),
    ("number", #"integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?"#),
    ("date", #"year "-" day | leap-year "-02-29""#),
    ("year", "[1-9] [0-9]{3}"),
    ("leap-year", #"[1-9] [0-9] ("0" [48] | [2468] [048] | [13579] [26]) | ([2468] [048] | [13579] [26]) "00""#),
    (
      "day",
      #"("0" [13578] | "10" | "12") "-" ("0" [1-9] | [12] [0-9] | "3" [01]) "#
        + #"| ("0" [469] | "11") "-" ("0" [1-9] | [12] [0-9] | "30") | "02-" ("0" [1-9] | "1" [0-9] | "2" [0-8])"#
    ),
    ("time", #"hour ":" minute ":" minute ("." [0-9]{1,6})? ("Z" | [-+] hour ":" minute)"#),
    ("hour", #"[01] [0-9] | "2" [0-3]"#),
    ("minute", "[0-5] [0-9]"),
    ("date-time", #"date "T" time"#),
    ("uuid", #"hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12}"#),
  ]
}
