// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftAdapters
import WeftDeltas
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

extension BaseModel {
  /// The shape of the model that the adapters of Tests/Goldens/merge were made for.
  static let tiny = BaseModel(
    shape: .llama(
      layerCount: 2, hiddenSize: 16, queryWidth: 16, keyValueWidth: 8, intermediateSize: 24, vocabularySize: 32,
      headDimension: 4))
}

/// A merge of golden adapters, with their weights.
func merged(
  _ method: String, space: MergeSpace? = nil, _ adapters: [(String, Float)], parameters: [String: Float] = [:],
  rank: Int? = nil, base: BaseModel? = nil
) throws -> MergedAdapter {
  let merge = AdapterMerge(
    method: try .named(method, space: space), parameters: MergeParameters(parameters), rank: rank, seed: 3)
  let sources = try adapters.map {
    try MergeSource(reading: MergeCase.folder($0.0), name: $0.0, weight: $0.1, base: base)
  }
  return try merge(sources, base: base)
}
