// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftDeltas

/// An adapter that is to be merged, with its weight.
package struct MergeSource: Sendable {
  package enum Content: Sendable {
    /// As its file has it.
    case factors(AdapterFactors)
    /// As it acts: any family, for methods that work on changes.
    case deltas(DeltaSet)
  }

  package let name: String
  package let weight: Float
  /// Its own values of parameters.
  package let parameters: MergeParameters
  package let content: Content
  /// The base it was trained on, as its config says.
  package let baseModel: String?
  /// For the record of the merge: the folder or file.
  package let path: String?
  /// What its data says, for methods that ask; all sources of a merge have some, or none has.
  package var statistics: MergeStatistics?

  package init(
    name: String, weight: Float, parameters: MergeParameters = MergeParameters(), content: Content, baseModel: String? = nil,
    path: String? = nil
  ) {
    self.name = name
    self.weight = weight
    self.parameters = parameters
    self.content = content
    self.baseModel = baseModel
    self.path = path
  }

  /// An adapter in memory.
  package init(_ adapter: Adapter, weight: Float) {
    self.init(
      name: adapter.name, weight: weight, content: .deltas(adapter.deltas), baseModel: adapter.baseModel,
      path: adapter.provenance.folder)
  }

  /// Reads the adapter at `path`: its factors where it is no more than these, otherwise, given the base, what it does.
  package init(
    reading path: String, name: String, weight: Float, parameters: MergeParameters = MergeParameters(), base: BaseModel? = nil,
    options: AdapterOptions = AdapterOptions()
  ) throws(MergeError) {
    let content: Content
    let baseModel: String?
    do throws(AdapterError) {
      switch try AdapterReader.factors(folder: path, name: name, base: base) {
      case .factors(let factors): (content, baseModel) = (.factors(factors), factors.options.baseModel)
      case .other(let reason):
        guard let base else { throw .beyondFactors(location: path, reason: reason) }
        let adapter = try AdapterReader.read(folder: path, name: name, base: base, options: options)
        (content, baseModel) = (.deltas(adapter.deltas), adapter.baseModel)
      }
    } catch { throw .adapter(error) }
    self.init(
      name: name, weight: weight, parameters: parameters, content: content, baseModel: baseModel, path: path)
  }
}
