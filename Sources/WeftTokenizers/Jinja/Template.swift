// SPDX-License-Identifier: Apache-2.0

extension Jinja {
  /// A compiled template. Compile once, render for every request.
  package struct Template: Sendable {
    let body: [Statement]
    let location: String
    let dialect: Dialect
    let limits: Limits

    /// Compiles a template; `location` names it in errors.
    /// - Throws: `TemplateError.syntax`, `.unsupported` or `.limit`.
    package init(
      source: String, location: String, dialect: Dialect = .transformers, limits: Limits = Limits()
    ) throws(TemplateError) {
      var lexer = try Lexer(source: source, location: location, limits: limits)
      var parser = Parser(tokens: try lexer.run(), location: location, limits: limits)
      self.body = try parser.run()
      self.location = location
      self.dialect = dialect
      self.limits = limits
    }

    /// Renders the template with these variables.
    ///
    /// `secondsSinceEpoch` is the time that `strftime_now` shows, in the local time zone; nil means now.
    package func render(_ variables: [(String, Value)], secondsSinceEpoch: Int? = nil) throws(TemplateError) -> String {
      var evaluator = Evaluator(template: self, secondsSinceEpoch: secondsSinceEpoch)
      return try evaluator.render(variables)
    }
  }
}
