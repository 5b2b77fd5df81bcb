// SPDX-License-Identifier: Apache-2.0

internal import Glibc
package import Testing

/// Where tests find their files. Nothing here depends on the working folder.
package enum TestPaths {
  /// The root of the package, from the place of this source file.
  package static let package = parent(parent(parent(#filePath)))
  /// The repository's golden files.
  package static let goldens = package + "/Tests/Goldens"
  /// The public data that is not committed: `WEFT_SHARED`, or `../shared` beside the package. nil when it is not there.
  package static let shared: String? = {
    let folder = getenv("WEFT_SHARED").map { String(cString: $0) } ?? sharedBesidePackage()
    return folder.flatMap { access($0 + "/data", F_OK) == 0 ? $0 : nil }
  }()

  /// A file of the shared data, named from its `data` folder. Only for tests that have the trait `.needsSharedData`.
  package static func sharedData(_ name: String) -> String { (shared ?? "/absent") + "/data/" + name }

  /// Work trees lie one folder deeper than the main checkout, so both `../shared` and `../../shared` are looked at.
  private static func sharedBesidePackage() -> String? {
    [parent(package) + "/shared", parent(parent(package)) + "/shared"].first { access($0 + "/data", F_OK) == 0 }
  }

  private static func parent(_ path: String) -> String {
    path.lastIndex(of: "/").map { String(path[..<$0]) } ?? path
  }
}

extension Trait where Self == ConditionTrait {
  /// Skips the test, with a message, where the shared data is absent.
  package static var needsSharedData: Self {
    .enabled(if: TestPaths.shared != nil, "the shared data is absent: set WEFT_SHARED or put it beside the package")
  }
}
