// swift-tools-version: 6.2
import PackageDescription

// One line per library module: its name and the modules it may import.
// Bottom-up: an entry names only earlier ones. tools/check_layout.py holds every `import` to this list.
let modules: [(name: String, imports: [String])] = [
  ("WeftTensors", ["CWeftKernels", "CLAPACK"]),
  ("WeftFormats", ["WeftTensors", "CCJSON", "CZstandard", "CCrypto"]),
  ("WeftTokenizers", ["WeftTensors", "WeftFormats", "CPCRE2", "CUTF8Proc"]),
  ("WeftGrammar", ["WeftFormats"]),
  ("WeftDeltas", ["WeftTensors"]),
  ("WeftAdapters", ["WeftTensors", "WeftFormats", "WeftDeltas", "CPCRE2"]),
  ("WeftFusion", ["WeftTensors", "WeftFormats", "WeftDeltas", "WeftAdapters"]),
  ("WeftRouting", ["WeftTensors", "WeftFormats"]),
  ("WeftTransformer", ["WeftTensors", "WeftFormats", "WeftDeltas"]),
  (
    "WeftEngine",
    [
      "WeftTensors", "WeftFormats", "WeftTokenizers", "WeftGrammar", "WeftDeltas", "WeftAdapters", "WeftFusion",
      "WeftRouting", "WeftTransformer",
    ]
  ),
]

let package = Package(
  name: "weft",
  products: [
    .library(name: "Weft", targets: ["WeftEngine"]),
    .executable(name: "weft", targets: ["weft"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
  ],
  targets: [
    .target(name: "CWeftKernels", path: "CSources/Kernels", cSettings: [.enableWarning("all"), .treatAllWarnings(as: .error)]),
    .systemLibrary(name: "CCJSON", path: "CSources/CJSON"),
    .systemLibrary(name: "CCrypto", path: "CSources/Crypto"),
    .systemLibrary(name: "CLAPACK", path: "CSources/LAPACK"),
    .systemLibrary(name: "CPCRE2", path: "CSources/PCRE2"),
    .systemLibrary(name: "CUTF8Proc", path: "CSources/UTF8Proc"),
    .systemLibrary(name: "CZstandard", path: "CSources/Zstandard"),
    .systemLibrary(name: "CEditline", path: "CSources/Editline"),
  ]
    + modules.map { .target(name: $0.name, dependencies: $0.imports.map { .init(stringLiteral: $0) }) }
    + [
      .executableTarget(
        name: "weft",
        dependencies: modules.map { .init(stringLiteral: $0.name) } + [
          "CEditline", .product(name: "ArgumentParser", package: "swift-argument-parser"),
          .product(name: "Yams", package: "Yams"),
        ]),
      .target(name: "TestSupport", dependencies: ["WeftTensors", "WeftFormats", "WeftDeltas"], path: "Tests/TestSupport"),
      .testTarget(name: "weftTests", dependencies: ["weft", "WeftTensors", "WeftFormats", "TestSupport"]),
    ]
    // Adapters are tested on models too, which WeftTransformer itself does not read.
    + modules.map {
      .testTarget(
        name: "\($0.name)Tests",
        dependencies: [.init(stringLiteral: $0.name), "TestSupport"]
          + ($0.imports + ($0.name == "WeftTransformer" ? ["WeftAdapters"] : []))
          .filter { $0.hasPrefix("Weft") }.map { .init(stringLiteral: $0) })
    },
  swiftLanguageModes: [.v6],
  cLanguageStandard: .c11
)

for target in package.targets where target.type == .regular || target.type == .test || target.type == .executable {
  target.swiftSettings = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
  ]
}
