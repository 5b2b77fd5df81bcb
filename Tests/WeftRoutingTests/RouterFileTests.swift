// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestSupport
import Testing
import WeftFormats
import WeftRouting

struct RouterFileTests {
  private static let folder = TestPaths.goldens + "/routing/must-fail"

  private static let expectations: [(name: String, pieces: [String])] = {
    let members = (try? JSON(file: folder + "/expected.json"))?.members ?? []
    return members.map { ($0.key, ($0.value.array ?? []).compactMap(\.string)) }
  }()

  /// The file was written by the safetensors package (tools/make_router_goldens.py).
  @Test func aForeignFileIsReadInFull() throws {
    let router = try Router(file: TestPaths.goldens + "/routing/router.safetensors")
    let tensors = try Golden("routing/router.safetensors")
    #expect(router.adapters == ["none", "poem", "sum é", "code", "list"])
    #expect(router.featureLayer == 3 && router.topP == 0.8 && router.base == "sha256:0123")
    #expect(router.featureSize == 13 && router.hiddenSize == 10)
    #expect(router.featureMean == (try tensors.floats("feature.mean")))
    #expect(router.featureDeviation == (try tensors.floats("feature.deviation")))
    let order = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]
    #expect(router.network.parameters == (try order.flatMap { try tensors.floats($0) }))
  }

  @Test func whatIsWrittenIsReadBackAndAlwaysTheSame() throws {
    let folder = try TemporaryFolder()
    let router = try Router(file: TestPaths.goldens + "/routing/router.safetensors")
    try router.write(to: folder.file("first"))
    let again = try Router(file: folder.file("first"))
    #expect(again == router)
    try again.write(to: folder.file("second"))
    #expect(try readBytes(folder.file("first")) == readBytes(folder.file("second")))
  }

  @Test func aPathThatCannotBeWrittenIsAnError() throws {
    let router = try Router(file: TestPaths.goldens + "/routing/router.safetensors")
    let error = #expect(throws: RouterError.self) { try router.write(to: "/no/such/folder/router") }
    #expect(error == .file(.cannotWrite(path: "/no/such/folder/router", reason: "No such file or directory")))
  }

  @Test(arguments: RouterFileTests.expectations.map(\.name)) func isRefusedWithItsError(name: String) throws {
    let pieces = try #require(Self.expectations.first { $0.name == name }?.pieces)
    #expect(!pieces.isEmpty)
    let error = #expect(throws: RouterError.self) { try Router(file: Self.folder + "/" + name) }
    let text = error?.description ?? ""
    #expect(text.contains(name))
    for piece in pieces { #expect(text.contains(piece), "\(name): \(text)") }
  }

  @Test func everyBrokenRouterHasAnExpectation() throws {
    let present = Set(try FileManager.default.contentsOfDirectory(atPath: Self.folder)).subtracting(["expected.json"])
    #expect(present == Set(Self.expectations.map(\.name)))
    #expect(present.count > 40)
  }

  /// Whatever a byte of the file is, the reader succeeds or throws, and a router that was read can be used.
  @Test func everyByteMayBeWrong() throws {
    let folder = try TemporaryFolder()
    let bytes = try readBytes(TestPaths.goldens + "/routing/router.safetensors")
    var generator = SeededGenerator(seed: 9)
    var refused = 0
    for position in bytes.indices {
      var changed = bytes
      changed[position] ^= UInt8.random(in: 1...255, using: &generator)
      let path = try folder.write(changed, to: "router")
      do throws(RouterError) {
        let router = try Router(file: path)
        _ = router.mixture(features: Array(repeating: 1, count: router.featureSize))
      } catch {
        #expect(error.description.contains(path))
        refused += 1
      }
    }
    #expect(refused > 500 && refused < bytes.count)
  }
}
