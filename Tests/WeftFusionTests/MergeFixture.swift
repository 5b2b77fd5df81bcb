// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftFormats
import WeftFusion
import WeftTensors

/// A case of Tests/Goldens/merge.
struct MergeCase: CustomTestStringConvertible {
  let name: String
  let sources: [(adapter: String, weight: Float)]
  let method: String
  let space: MergeSpace
  let parameters: MergeParameters
  let rank: Int?
  let seed: UInt64

  var testDescription: String { name }

  static func all(_ file: String) throws -> [MergeCase] {
    let json = try JSON(file: "\(TestPaths.goldens)/merge/\(file)")
    return (json.array ?? []).map { row in
      MergeCase(
        name: row["name"]?.string ?? "",
        sources: (row["sources"]?.array ?? []).map { ($0.array?[0].string ?? "", Float($0.array?[1].double ?? 0)) },
        method: row["method"]?.string ?? "", space: MergeSpace(rawValue: row["space"]?.string ?? "") ?? .delta,
        parameters: MergeParameters(
          Dictionary(uniqueKeysWithValues: (row["parameters"]?.members ?? []).map { ($0.key, Float($0.value.double ?? 0)) })),
        rank: row["rank"]?.int, seed: UInt64(row["seed"]?.int ?? 0))
    }
  }

  /// Two sources of the same adapter get names of their own.
  func read() throws -> [MergeSource] {
    try sources.enumerated().map { index, source in
      try MergeSource(
        reading: MergeCase.folder(source.adapter), name: "\(source.adapter)\(index)", weight: source.weight)
    }
  }

  func merge() throws -> AdapterMerge {
    AdapterMerge(method: try .named(method, space: space), parameters: parameters, rank: rank, seed: seed)
  }

  static func folder(_ adapter: String) -> String { "\(TestPaths.goldens)/merge/adapters/\(adapter)" }
}

/// scale * B A, sums in Float64.
func product(_ factors: MergeFactors, _ shape: [Int]) -> [Float] {
  var result: [Float] = []
  for o in 0..<shape[0] {
    for i in 0..<shape[1] {
      var sum = 0.0
      for r in 0..<factors.rank { sum += Double(factors.b[o * factors.rank + r]) * Double(factors.a[r * shape[1] + i]) }
      result.append(Float(sum * Double(factors.scale)))
    }
  }
  return result
}

/// The largest difference over the largest expected magnitude.
func relativeError(_ found: [Float], _ expected: [Float]) -> Float {
  guard found.count == expected.count else { return .infinity }
  let size = expected.map(\.magnitude).max() ?? 0
  let difference = zip(found, expected).map { ($0 - $1).magnitude }.max() ?? 0
  return difference == 0 ? 0 : difference / size
}
