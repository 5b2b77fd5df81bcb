// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
internal import WeftDeltas
package import WeftFormats
package import WeftFusion
package import WeftGrammar
package import WeftRouting
internal import WeftTensors
package import WeftTokenizers
internal import WeftTransformer

/// What went wrong: what the caller can do about it, and a sentence with place, expectation and finding.
public struct EngineError: Error, Equatable, Sendable, CustomStringConvertible {
  /// What the caller can do. Exit codes, HTTP statuses and the C ABI follow from it.
  public enum Status: Int, Sendable, CaseIterable {
    /// A parameter is wrong: change it.
    case invalidArgument
    /// A file, an adapter or a sequence of that name does not exist.
    case notFound
    /// The file is fine, but Weft does not compute this.
    case unsupported
    /// The file is damaged or contradicts itself.
    case corruptFile
    /// Memory could not be had, or a reserved size is too small.
    case outOfMemory
    /// A file could not be written.
    case cannotWrite
    /// Not in this state: try again when running sequences have ended.
    case busy
  }

  /// What the caller can do about it.
  public let status: Status
  /// Place, what was expected, what was found.
  public let message: String

  /// An error of this status with this message.
  public init(_ status: Status, _ message: String) {
    self.status = status
    self.message = message
  }

  /// The message.
  public var description: String { message }
}

extension EngineError {
  // Some are open to the package: the command line reads files of its own, and its exit codes come from here.
  init(_ error: StorageError) {
    switch error {
    case .cannotOpen: self.init(.notFound, error.description)
    case .outOfMemory: self.init(.outOfMemory, error.description)
    }
  }

  init(_ error: ResidentError) {
    switch error {
    case .storage(let error): self.init(error)
    case .delta, .unsupportedPlace, .severalGates: self.init(.unsupported, error.description)
    }
  }

  package init(_ error: FormatError) {
    switch error {
    case .storage(let error): self.init(error)
    case .cannotWrite: self.init(.cannotWrite, error.description)
    case .malformed: self.init(.corruptFile, error.description)
    case .missing: self.init(.notFound, error.description)
    case .unsupported, .untrusted: self.init(.unsupported, error.description)
    }
  }

  init(_ error: ModelError) {
    switch error {
    case .format(let error): self.init(error)
    case .storage(let error): self.init(error)
    case .unsupported, .fuseNeedsFloat, .notFusable, .delta: self.init(.unsupported, error.description)
    case .invalidConfig, .missingTensor, .unusedTensor, .shapeMismatch, .notFinite:
      self.init(.corruptFile, error.description)
    }
  }

  package init(_ error: TokenizerError) {
    switch error {
    case .format(let error): self.init(error)
    case .malformed: self.init(.corruptFile, error.description)
    case .missing: self.init(.notFound, error.description)
    case .unsupported: self.init(.unsupported, error.description)
    }
  }

  package init(_ error: GrammarError) {
    switch error {
    case .json(let error): self.init(.invalidArgument, error.description)
    case .malformed, .schema: self.init(.invalidArgument, error.description)
    case .limit: self.init(.unsupported, error.description)
    }
  }

  init(_ error: TemplateError) { self.init(.invalidArgument, error.description) }
  package init(_ error: AdapterError) {
    switch error {
    case .format(let error): self.init(error)
    case .storage(let error): self.init(error)
    case .missingFile, .noAdapter: self.init(.notFound, error.description)
    case .invalidName, .uselessOption, .missingOption: self.init(.invalidArgument, error.description)
    case .otherBase, .pickle, .unsupportedFamily, .unknownForm, .unsupportedOption, .unknownOption, .notReproducible,
      .needsBaseWeights:
      self.init(.unsupported, error.description)
    default: self.init(.corruptFile, error.description)
    }
  }

  package init(_ error: MergeError) {
    switch error {
    case .adapter(let error): self.init(error)
    case .format(let error): self.init(error)
    case .storage(let error): self.init(error)
    case .linearAlgebra, .notMixable: self.init(.unsupported, error.description)
    case .mismatch: self.init(.invalidArgument, error.description)
    case .interrupted: self.init(.cannotWrite, error.description)
    }
  }

  package init(_ error: RouterError) {
    switch error {
    case .file(let error): self.init(error)
    case .unusable: self.init(.invalidArgument, error.description)
    }
  }

  init(_ error: MixingError) { self.init(.invalidArgument, "mixture: \(error)") }
  init(_ error: MixtureError) { self.init(.invalidArgument, error.description) }
  init(_ error: KernelError) { self.init(.invalidArgument, error.description) }
}
