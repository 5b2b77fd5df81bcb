// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftTensors

/// What a method made of one module: factors in the form in which they are stored and stay in memory. Their scale is 1.
package struct CompressedModule: Sendable {
  package let path: String
  /// [rank, in]
  package let a: Tensor
  /// [out, rank]
  package let b: Tensor
  package let isTransposed: Bool

  package init(path: String, a: Tensor, b: Tensor, isTransposed: Bool = false) {
    precondition(a.rows == b.columns)
    self.path = path
    self.a = a
    self.b = b
    self.isTransposed = isTransposed
  }

  package var rank: Int { a.rows }

  /// The change that it stands for.
  package var factors: ModuleFactors {
    ModuleFactors(
      path: path, a: a.floats(), b: b.floats(), rank: a.rows, inputSize: a.columns, outputSize: b.rows,
      isTransposed: isTransposed)
  }
}

/// What an adapter became.
package struct CompressedAdapter: Sendable {
  package let name: String
  /// In the order of the adapter's modules. A module whose change became nothing is not there.
  package let modules: [CompressedModule]
  package let options: AdapterFactors.Options

  package init(name: String, modules: [CompressedModule], options: AdapterFactors.Options) {
    self.name = name
    self.modules = modules
    var options = options
    // The modules that are left may not be all that a short name means.
    options.targets = nil
    self.options = options
  }

  /// As files have it.
  package var factors: AdapterFactors {
    AdapterFactors(
      modules: modules.map {
        AdapterFactors.Module(path: $0.path, part: .linear(a: $0.a, b: $0.b, scale: 1), isTransposed: $0.isTransposed)
      }, options: options)
  }
}

extension ModuleFactors {
  /// The factors as they are, in F32.
  package func uncompressed() throws(CompressionError) -> CompressedModule {
    do throws(StorageError) {
      return CompressedModule(
        path: path, a: try Tensor(a, shape: [rank, inputSize]), b: try Tensor(b, shape: [outputSize, rank]),
        isTransposed: isTransposed)
    } catch { throw .storage(error) }
  }
}
