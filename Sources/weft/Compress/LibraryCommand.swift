// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Foundation
import WeftAdapters
import WeftDeltas
import WeftEngine
import WeftFormats
import WeftFusion

/// The methods that make several adapters one pack over what they have in common.
enum LibraryMethod: String, CaseIterable {
  case sharedBasis = "shared-basis"
  case mask

  var text: String {
    switch self {
    case .sharedBasis: "a library over common bases of each module, with a small core for each adapter (--rank)"
    case .mask: "a library under one shared change, with bit masks for each adapter (--lambda)"
    }
  }
}

/// `weft compress --method shared-basis NAME=PATH NAME=PATH ...`
struct LibraryCompression {
  let method: LibraryMethod
  let rank: Int?
  let lambda: Double?
  let json: Bool

  func run(_ arguments: [String], engine: Engine, output: String) throws {
    var sources: [AdapterLibrary.Source] = []
    var options = AdapterFactors.Options()
    var halfBytes = 0
    for argument in arguments {
      guard let parsed = AdapterArgument(argument: argument) else {
        throw ValidationError("expected NAME=PATH, found '\(argument)'")
      }
      let path = parsed.path ?? parsed.name
      let name = parsed.path == nil ? CompressCommand.name(of: path) : parsed.name
      guard Mixture.isName(name) else {
        throw EngineError(.invalidArgument, "adapter name: expected letters, digits, '-', '_' and '.', found '\(name)'")
      }
      Terminal.showProgress("reading \(path)")
      let found = try engine.compressible(path)
      options = found.options
      halfBytes += found.modules.reduce(0) { $0 + 2 * $1.elementCount }
      sources.append(.init(name: name, modules: found.modules))
    }
    Terminal.showProgress("\(method.rawValue) of \(sources.count) adapters")
    let library: AdapterLibrary
    let parameter: PackProvenance.Parameter
    do throws(CompressionError) {
      switch method {
      case .sharedBasis:
        let rank = rank ?? 16
        library = try AdapterLibrary(sharing: sources, basisRank: rank)
        parameter = .init("rank", "\(rank)")
      case .mask:
        let lambda = lambda ?? 0.4
        library = try AdapterLibrary(masking: sources, lambda: Float(lambda))
        parameter = .init("lambda", "\(lambda)")
      }
      try library.write(
        path: output, options: options,
        provenance: PackProvenance(
          base: engine.model.fingerprint, baseName: options.baseModel ?? "", sources: library.names, method: method.rawValue,
          parameters: [parameter]))
    } catch { throw EngineError(error) }
    Terminal.showProgress("")
    let bytes = ((try? FileManager.default.attributesOfItem(atPath: output))?[.size] as? Int) ?? 0
    print(library, bytes, halfBytes, output)
  }

  private func print(_ library: AdapterLibrary, _ bytes: Int, _ halfBytes: Int, _ output: String) {
    let errors = library.errors.map { $0.energy > 0 ? ($0.squaredError / $0.energy).squareRoot() : 0 }
    if json {
      let members = zip(library.names, errors).map { "\(JSON.text($0)):\($1)" }.joined(separator: ",")
      Swift.print(
        "{\"output\":\(JSON.text(output)),\"method\":\"\(method.rawValue)\",\"half_bytes\":\(halfBytes),\"pack_bytes\":\(bytes),"
          + "\"relative_errors\":{\(members)}}")
      return
    }
    Swift.print("\(output): \(method.rawValue), \(Readable.count(library.names.count, "adapter"))")
    Swift.print(
      "  \(Readable.bytes(halfBytes)) in F16 → \(Readable.bytes(bytes)), "
        + "\(Readable.decimal(Double(halfBytes) / Double(max(bytes, 1)), digits: 1)) times smaller")
    let width = library.names.map(\.count).max() ?? 0
    for (name, error) in zip(library.names, errors) {
      Swift.print("  \(Readable.padded(name, width))  relative error \(Readable.percent(error, digits: 1))")
    }
  }
}
