// SPDX-License-Identifier: Apache-2.0

extension Jinja.Evaluator {
  mutating func apply(
    sequenceFilter filter: Jinja.Filter, to input: Value, with arguments: CallArguments
  ) throws(TemplateError) -> Value {
    let name = filter.rawValue
    switch filter {
    case .items:
      guard case .dictionary(let dictionary) = input else {
        if input.isUndefined { return try list([]) }
        throw mismatch("a mapping", input)
      }
      return try list(dictionary.entries.map { .tuple(Jinja.List([$0.key, $0.value])) })
    case .dictsort: return try sortedEntries(of: input, arguments)
    case .reverse:
      if case .string(let text) = input { return try string(String(scalars: text.unicodeScalars.reversed())) }
      return try list(try elements(of: input).reversed())
    case .map: return try mapped(try elements(of: input), arguments)
    case .select, .reject, .selectattr, .rejectattr: return try selected(filter, try elements(of: input), arguments)
    default: break
    }
    var elements = try elements(of: input)
    switch filter {
    case .first: return elements.first ?? .undefined(name: "the first element of an empty sequence")
    case .last: return elements.last ?? .undefined(name: "the last element of an empty sequence")
    case .list: return try list(elements)
    case .join:
      let slots = try bind(arguments, "d", "attribute", of: name)
      let separator = try text(of: slots[0] ?? .string(""))
      var out = ""
      for (index, element) in elements.enumerated() {
        let value = try slots[1].map { attribute throws(TemplateError) in try member(attribute, of: element) } ?? element
        if index > 0 { out += separator }
        out += try text(of: value)
        try reserve(bytes: out.utf8.count / 64)
      }
      return try string(out)
    case .sort:
      let slots = try bind(arguments, "reverse", "case_sensitive", "attribute", of: name)
      elements = try sorted(
        elements, by: slots[2], isCaseSensitive: slots[1]?.isTrue ?? false, isReversed: slots[0]?.isTrue ?? false)
      return try list(elements)
    case .unique:
      let slots = try bind(arguments, "case_sensitive", "attribute", of: name)
      var kept: [(key: Value, element: Value)] = []
      for element in elements {
        let key = try sortKey(of: element, attribute: slots[1], isCaseSensitive: slots[0]?.isTrue ?? false)
        try charge(key.size.multipliedSaturating(by: kept.count / 8 + 1))
        if !kept.contains(where: { $0.key.equals(key, dialect: template.dialect) }) { kept.append((key, element)) }
      }
      return try list(kept.map { $0.element })
    case .min, .max:
      let slots = try bind(arguments, "case_sensitive", "attribute", of: name)
      let ordered = try sorted(elements, by: slots[1], isCaseSensitive: slots[0]?.isTrue ?? false, isReversed: filter == .max)
      return ordered.first ?? .undefined(name: "the \(name) of an empty sequence")
    case .sum:
      let slots = try bind(arguments, "attribute", "start", of: name)
      var total = slots[1] ?? .integer(0)
      for element in elements {
        let value = try slots[0].map { attribute throws(TemplateError) in try member(attribute, of: element) } ?? element
        total = try combine(total, .add, value)
      }
      return total
    case .groupby:
      let slots = try bind(arguments, "attribute", "default", "case_sensitive", of: name)
      return try grouped(elements, by: slots[0], fallback: slots[1], isCaseSensitive: slots[2]?.isTrue ?? false)
    case .batch:
      let slots = try bind(arguments, "linecount", "fill_with", of: name)
      return try batches(of: elements, count: try integer(slots[0], "the size of a batch", fallback: 0), fill: slots[1])
    default:
      let slots = try bind(arguments, "slices", "fill_with", of: name)
      return try slices(of: elements, count: try integer(slots[0], "the number of slices", fallback: 0), fill: slots[1])
    }
  }

  /// The attribute `"a.b.0"` of a value; an integer is an index.
  func path(_ attribute: Value) -> [Value] {
    guard case .string(let text) = attribute else { return [attribute] }
    return text.split(separator: ".", omittingEmptySubsequences: false).map { part in
      Int(part).map { .integer($0) } ?? .string(String(part))
    }
  }

  private mutating func member(_ attribute: Value, of value: Value) throws(TemplateError) -> Value {
    var value = value
    for key in path(attribute) { value = try item(key, of: value) }
    return value
  }

  /// `map(attribute="a", default=...)`, or `map("filter", arguments...)`.
  private mutating func mapped(_ elements: [Value], _ arguments: CallArguments) throws(TemplateError) -> Value {
    var results: [Value] = []
    if arguments.positional.isEmpty {
      let slots = try bind(arguments, "attribute", "default", of: "map")
      guard let attribute = slots[0] else { throw mismatch("the name of a filter or an attribute", .none) }
      for element in elements {
        let value = try member(attribute, of: element)
        results.append(value.isUndefined ? slots[1] ?? value : value)
      }
    } else {
      var rest = arguments
      let filter = try string(rest.positional.removeFirst(), "the name of a filter")
      for element in elements {
        try enter()
        try charge(1)
        results.append(try apply(filter: filter, to: element, with: rest))
        leave()
      }
    }
    return try list(results)
  }

  /// `select("test", ...)`, `selectattr("attribute", "test", ...)` and their opposites; without test, by truth.
  private mutating func selected(
    _ filter: Jinja.Filter, _ elements: [Value], _ arguments: CallArguments
  ) throws(TemplateError) -> Value {
    var rest = arguments
    var attribute: Value?
    if filter == .selectattr || filter == .rejectattr {
      guard !rest.positional.isEmpty else { throw mismatch("the name of an attribute", .none) }
      attribute = rest.positional.removeFirst()
    }
    let test = rest.positional.isEmpty ? nil : try string(rest.positional.removeFirst(), "the name of a test")
    let keeps = filter == .select || filter == .selectattr
    var kept: [Value] = []
    for element in elements {
      try charge(1)
      let value = try attribute.map { attribute throws(TemplateError) in try member(attribute, of: element) } ?? element
      let passes = try test.map { test throws(TemplateError) in try self.passes(test: test, value, with: rest) } ?? value.isTrue
      if passes == keeps { kept.append(element) }
    }
    return try list(kept)
  }

  // MARK: Order

  /// What an element is ordered by: itself or its attributes ("a,b"), in lower case unless case counts.
  private mutating func sortKey(
    of element: Value, attribute: Value?, isCaseSensitive: Bool
  ) throws(TemplateError) -> Value {
    var keys: [Value] = []
    switch attribute {
    case nil, .some(.none): keys = [element]
    case .some(.string(let text)):
      for part in text.split(separator: ",") { keys.append(try member(.string(String(part)), of: element)) }
    case .some(let key): keys = [try member(key, of: element)]
    }
    if !isCaseSensitive {
      keys = keys.map { if case .string(let text) = $0 { .string(text.lowercased()) } else { $0 } }
    }
    return keys.count == 1 ? keys[0] : .list(Jinja.List(keys))
  }

  /// A stable merge sort: the standard sort takes no comparison that throws a typed error.
  private mutating func sorted(
    _ elements: [Value], by attribute: Value?, isCaseSensitive: Bool, isReversed: Bool
  ) throws(TemplateError) -> [Value] {
    var items: [(key: Value, element: Value)] = []
    for element in elements {
      items.append((try sortKey(of: element, attribute: attribute, isCaseSensitive: isCaseSensitive), element))
    }
    var width = 1
    while width < items.count {
      var merged: [(key: Value, element: Value)] = []
      merged.reserveCapacity(items.count)
      try charge(items.count)
      for start in stride(from: 0, to: items.count, by: 2 * width) {
        let middle = min(start + width, items.count)
        let end = min(start + 2 * width, items.count)
        var (left, right) = (start, middle)
        while left < middle, right < end {
          let (first, second) = (items[left].key, items[right].key)
          if try comesBefore(isReversed ? first : second, isReversed ? second : first) {
            merged.append(items[right])
            right += 1
          } else {
            merged.append(items[left])
            left += 1
          }
        }
        merged += items[left..<middle]
        merged += items[right..<end]
      }
      items = merged
      width *= 2
    }
    return items.map { $0.element }
  }

  /// Keys are lists in Python, so equal ones need no order of their own: two nones sort, a none and a number do not.
  private mutating func comesBefore(_ left: Value, _ right: Value) throws(TemplateError) -> Bool {
    try charge(min(left.size, right.size))
    return left.equals(right, dialect: .transformers) ? false : try precedes(left, right)
  }

  private mutating func sortedEntries(of input: Value, _ arguments: CallArguments) throws(TemplateError) -> Value {
    guard case .dictionary(let dictionary) = input else { throw mismatch("a mapping", input) }
    let slots = try bind(arguments, "case_sensitive", "by", "reverse", of: "dictsort")
    let part: Int
    switch try optionalString(slots[1], "the part to sort by") ?? "key" {
    case "key": part = 0
    case "value": part = 1
    case let other: throw mismatch("'key' or 'value' to sort by", .string(other))
    }
    let pairs: [Value] = dictionary.entries.map { .tuple(Jinja.List([$0.key, $0.value])) }
    return try list(
      try sorted(
        pairs, by: .integer(part), isCaseSensitive: slots[0]?.isTrue ?? false, isReversed: slots[2]?.isTrue ?? false))
  }

  private mutating func grouped(
    _ elements: [Value], by attribute: Value?, fallback: Value?, isCaseSensitive: Bool
  ) throws(TemplateError) -> Value {
    guard let attribute else { throw mismatch("an attribute to group by", .none) }
    var groups: [(key: Value, shown: Value, elements: [Value])] = []
    for element in try sorted(elements, by: attribute, isCaseSensitive: isCaseSensitive, isReversed: false) {
      var shown = try member(attribute, of: element)
      if shown.isUndefined, let fallback { shown = fallback }
      let key = try sortKey(of: element, attribute: attribute, isCaseSensitive: isCaseSensitive)
      if let last = groups.last, last.key.equals(key, dialect: template.dialect) {
        groups[groups.count - 1].elements.append(element)
      } else {
        groups.append((key, shown, [element]))
      }
    }
    var results: [Value] = []
    for group in groups {
      results.append(try check(.tuple(Jinja.List([group.shown, try list(group.elements)]))))
    }
    return try list(results)
  }

  // MARK: Pieces

  private mutating func batches(of elements: [Value], count: Int, fill: Value?) throws(TemplateError) -> Value {
    guard count > 0, count <= 100_000 else { throw mismatch("a batch of 1 to 100000 elements", .integer(count)) }
    var batches: [Value] = []
    for start in stride(from: 0, to: elements.count, by: count) {
      var batch = Array(elements[start..<min(start + count, elements.count)])
      if let fill, fill.number != nil || fill.isTrue { batch += Array(repeating: fill, count: count - batch.count) }
      batches.append(try list(batch))
    }
    return try list(batches)
  }

  private mutating func slices(of elements: [Value], count: Int, fill: Value?) throws(TemplateError) -> Value {
    guard count > 0, count <= 100_000 else { throw mismatch("1 to 100000 slices", .integer(count)) }
    let (each, longer) = elements.count.quotientAndRemainder(dividingBy: count)
    var start = 0
    var slices: [Value] = []
    for index in 0..<count {
      let end = start + each + (index < longer ? 1 : 0)
      var slice = Array(elements[start..<end])
      if let fill, index >= longer, longer > 0 { slice.append(fill) }
      slices.append(try list(slice))
      start = end
    }
    return try list(slices)
  }
}
