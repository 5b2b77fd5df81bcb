// SPDX-License-Identifier: Apache-2.0

import Testing
import WeftFusion

struct MergeRegistryTests {
  @Test func everyRowIsFoundByNameAndSpace() throws {
    var seen: Set<String> = []
    for method in MergeMethod.all {
      #expect(seen.insert("\(method.name) \(method.space)").inserted, "\(method.name) stands twice in space \(method.space)")
      #expect(try MergeMethod.named(method.name, space: method.space).source == method.source)
    }
    for name in Set(MergeMethod.all.map(\.name)) {
      #expect(try MergeMethod.named(name).space == MergeMethod.all.first { $0.name == name }?.space)
    }
  }

  @Test(arguments: MergeMethod.all.map { "\($0.name) \($0.space.rawValue)" }) func rowsSayWhatTheyTake(_ key: String) throws {
    let parts = key.split(separator: " ").map(String.init)
    let method = try MergeMethod.named(parts[0], space: MergeSpace(rawValue: parts[1]))
    #expect(method.source.hasPrefix("https://"))
    #expect(Set(method.parameters.map(\.name)).count == method.parameters.count)
    for parameter in method.parameters {
      #expect(parameter.name != MergeParameter.weightName && !parameter.text.isEmpty)
      if let standard = parameter.standard { #expect(parameter.allows(standard), "\(parameter.name)") }
    }
  }

  @Test func peftComesFirstAndRecipesMeanMergekit() throws {
    for name in ["linear", "ties", "dare_linear", "dare_ties"] {
      #expect(try MergeMethod.named(name).space == .factors)
      #expect(try MergeMethod.named(name, preferring: .delta).space == .delta)
    }
    #expect(try MergeMethod.named("cat", preferring: .delta).space == .concat)
  }
}
