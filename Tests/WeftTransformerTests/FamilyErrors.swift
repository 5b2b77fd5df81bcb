// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats

/// The errors of each case that were measured: Tests/Goldens/families-measured.json, case -> comparison -> the largest relative
/// error of all tiers. Bounds are twice as much.
///
/// With WEFT_RECORD set to a path, nothing is compared, and lines `case comparison error` are appended to that file; make
/// the JSON of them with `python tools/adapters/measured.py FILE`.
enum FamilyErrors {
  /// What is compared.
  enum Comparison: String { case unmerged, fused, delta, q8_0, q4_0 }

  private static let measured: [String: [String: Float]] = {
    let file = try? JSON(file: TestPaths.goldens + "/families-measured.json")
    let rows = (file?.members ?? []).map { row in
      (row.key, Dictionary(uniqueKeysWithValues: (row.value.members ?? []).map { ($0.key, Float($0.value.double ?? 0)) }))
    }
    return Dictionary(uniqueKeysWithValues: rows)
  }()
  private static let record = ProcessInfo.processInfo.environment["WEFT_RECORD"]

  static func check(_ name: String, _ comparison: Comparison, _ error: Float, _ comment: String = "") {
    if let record {
      let line = Array("\(name) \(comparison.rawValue) \(error)\n".utf8)
      let file = fopen(record, "a")
      fwrite(line, 1, line.count, file)
      fclose(file)
      return
    }
    let bound = 2 * (measured[name]?[comparison.rawValue] ?? -1)
    #expect(error <= bound, "\(name), \(comparison.rawValue)\(comment)")
  }
}
