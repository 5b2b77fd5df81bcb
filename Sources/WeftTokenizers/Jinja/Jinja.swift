// SPDX-License-Identifier: Apache-2.0

/// The Jinja of chat templates: source -> `Lexer` -> `Parser` -> tree -> `Evaluator` -> text.
///
/// The language is Jinja 3.1 (https://jinja.palletsprojects.com/en/stable/templates/) as transformers sets it up: sandboxed and
/// immutable, no autoescaping, `trim_blocks`, `lstrip_blocks`, loop controls, `generation` blocks, its own `tojson`.
package enum Jinja {
  /// Whose spelling and equality a template follows where the two reference implementations differ.
  package enum Dialect: Sendable {
    /// transformers (Python): `True`, `None`, `['a']`; `1 == true`; adding a number to a string is an error.
    case transformers
    /// huggingface.js (JavaScript): `true`, `null`, `["a"]`; `1 != true`; `null` is a literal; strings take any right side of `+`.
    case huggingfaceJS
  }

  /// What one compilation and one rendering may use. A template comes with a model file, so it is untrusted.
  package struct Limits: Sendable {
    /// Bytes of the template's source.
    package var sourceBytes = 1 << 20
    /// Levels of the tree and of values; rendering may go three times as deep, through macros. Every level costs stack: the
    /// default fits into 384 KiB in a release build. The deepest of 38 templates of current models needs 28.
    package var depth = 64
    /// Nodes evaluated, plus one for every element of a new list, and for every 32 bytes or 4 elements read.
    package var steps = 5_000_000
    /// Bytes of the rendered text and of any one string on the way: more than a context of a million tokens holds.
    package var outputBytes = 16 << 20

    package init() {}
  }
}
