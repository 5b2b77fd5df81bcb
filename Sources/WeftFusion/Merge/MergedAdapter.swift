// SPDX-License-Identifier: Apache-2.0

package import WeftAdapters
package import WeftDeltas
internal import WeftFormats
package import WeftTensors

/// What a merge of adapters came to.
package struct MergedAdapter: Sendable {
  package struct Module: Sendable {
    package let place: MergePlace
    package let part: Part
  }

  package enum Part: Sendable, Equatable {
    case factors(MergeFactors)
    /// IA3's factors.
    case vector([Float])
  }

  /// In the order of the model.
  package let modules: [Module]
  package let options: AdapterFactors.Options
  package let record: MergeRecord
  /// Of modules that were cut to a rank: the share of their squared change that it kept; nil where nothing was cut.
  package let keptShare: Double?

  /// The largest rank; nil for vectors.
  package var rank: Int? {
    modules.compactMap { if case .factors(let factors) = $0.part { factors.rank } else { nil } }.max()
  }

  /// The same as what a model can have active. It must have been merged with the base.
  package func deltas() throws(MergeError) -> DeltaSet {
    var deltas = DeltaSet()
    for module in modules {
      let place = module.place
      do throws(DeltaError) {
        switch (module.part, place.kind) {
        case (.factors(let factors), .embedding):
          let (a, b) = try tensors(factors, place)
          deltas.embedding.append(.lowRank(try LowRank(a: a, b: b, scale: factors.scale)))
        case (.factors(let factors), .positions): deltas.embedding.append(.positions(try matrix(factors, place)))
        case (.factors(let factors), _):
          let (a, b) = try tensors(factors, place)
          for (site, rows) in place.rows {
            let part = place.sites.count == 1 ? b : b.slice(rows: rows)
            deltas.operators[site] = [.lowRank(try LowRank(a: a, b: part, scale: factors.scale))]
          }
        case (.vector(let values), .factors(isOfInput: true)):
          for site in place.sites { deltas.operators[site] = [.scale(try ScaleDelta(.input, values))] }
        case (.vector(let values), _):
          for (site, rows) in place.rows { deltas.operators[site] = [.scale(try ScaleDelta(.output, Array(values[rows])))] }
        }
      } catch { throw .mismatch(location: place.path, expected: "a change that a model can have", found: "\(error)") }
    }
    guard !deltas.isEmpty else {
      throw .mismatch(location: "merge", expected: "a base that tells which weights the modules are", found: "none")
    }
    return deltas
  }

  /// A change of positions, [positions, hidden].
  private func matrix(_ factors: MergeFactors, _ place: MergePlace) throws(DeltaError) -> Tensor {
    do {
      var change = try LinearAlgebra.product(
        factors.a, transposed: true, factors.b, transposed: true, rows: place.shape[1], inner: factors.rank,
        columns: place.shape[0])
      for i in change.indices { change[i] *= factors.scale }
      return try Tensor(change, shape: [place.shape[1], place.shape[0]])
    } catch { throw .malformed(factor: place.path, expected: "a change of positions", found: "\(error)") }
  }

  private func tensors(_ factors: MergeFactors, _ place: MergePlace) throws(DeltaError) -> (a: Tensor, b: Tensor) {
    do {
      return (
        try Tensor(factors.a, shape: [factors.rank, place.shape[1]]),
        try Tensor(factors.b, shape: [place.shape[0], factors.rank])
      )
    } catch {
      throw .malformed(
        factor: place.path, expected: "memory for \(factors.a.count + factors.b.count) numbers", found: "\(error)")
    }
  }
}

extension MergePlace {
  /// Each weight with its rows in the module.
  fileprivate var rows: [(site: WeightSite, rows: Range<Int>)] {
    var first = 0
    return zip(sites, rowCounts).map { site, count in
      defer { first += count }
      return (site, first..<first + count)
    }
  }
}

/// Where a merged adapter comes from: kept in its file.
package struct MergeRecord: Sendable, Equatable {
  package let method: String
  package let space: String
  /// `density=0.5 lambda=1`
  package let parameters: String
  package let seed: UInt64
  /// `name=file:weight`, with its own parameters behind.
  package let sources: [String]

  init(_ merge: AdapterMerge, _ sources: [MergeSource]) {
    method = merge.method.name
    space = merge.method.space.rawValue
    parameters = merge.parameters.text
    seed = merge.seed
    self.sources = sources.map { source in
      let own = source.parameters.text
      // A path of somebody's machine says nothing to others.
      let file = source.path?.split(separator: "/").last.map(String.init) ?? "memory"
      return "\(source.name)=\(file):\(source.weight)" + (own.isEmpty ? "" : " (\(own))")
    }
  }
}

extension MergeParameters {
  /// Every value, as `density=0.5`; of gradients `0,1`, of filtered values `mlp:0.5`.
  package var text: String {
    names.flatMap { name in
      (entries[name] ?? []).map { entry in
        "\(name)=" + (entry.filter.map { "\($0):" } ?? "") + entry.numbers.map { "\($0)" }.joined(separator: ",")
      }
    }.joined(separator: " ")
  }
}

extension MergedAdapter {
  /// The same as what files hold.
  package func factors() throws(MergeError) -> AdapterFactors {
    var files: [AdapterFactors.Module] = []
    for module in modules {
      let place = module.place
      guard place.isNamed else {
        throw .notMixable(task: place.path, reason: "PEFT's files have no name for it")
      }
      let part: AdapterFactors.Part
      do throws(DeltaError) {
        switch (module.part, place.kind) {
        case (.vector(let values), let kind): part = .factors(values, isOfInput: kind == .factors(isOfInput: true))
        case (.factors(let factors), .embedding), (.factors(let factors), .positions):
          let (a, b) = try tensors(factors, place)
          part = .embedding(a: a, b: b, scale: factors.scale)
        case (.factors(let factors), _):
          let (a, b) = try tensors(factors, place)
          part = .linear(a: a, b: b, scale: factors.scale)
        }
      } catch { throw .mismatch(location: place.path, expected: "factors", found: "\(error)") }
      files.append(.init(path: place.path, part: part, isTransposed: place.isTransposed))
    }
    return AdapterFactors(modules: files, options: options)
  }

  /// Writes a folder of PEFT that appears complete or not at all, with the record of the merge.
  /// - Parameter dtype: F32, F16 or BF16.
  package func write(folder path: String, dtype: DType = .f32) throws(MergeError) {
    let factors = try factors()
    do { try AdapterFactorsWriter.write(factors, folder: path, dtype: dtype, metadata: record.metadata) } catch {
      throw .format(error)
    }
  }
}

extension MergedAdapter {
  /// Writes a pack of this one adapter, with the record of the merge.
  package func write(pack path: String, name: String, dtype: DType = .f32) throws(MergeError) {
    try MergedAdapter.write([(name, self)], pack: path, dtype: dtype, record: record)
  }

  /// Writes a pack with several members.
  static func write(
    _ members: [(name: String, adapter: MergedAdapter)], pack path: String, dtype: DType, record: MergeRecord
  ) throws(MergeError) {
    var files: [(name: String, factors: AdapterFactors)] = []
    for (name, adapter) in members { files.append((name, try adapter.factors())) }
    do throws(FormatError) {
      let writer = try PackWriter(
        path: path,
        provenance: PackProvenance(
          baseName: members.first?.adapter.options.baseModel ?? "", sources: record.sources, method: record.method,
          parameters: [.init("space", record.space), .init("parameters", record.parameters), .init("seed", "\(record.seed)")]))
      for (name, factors) in files {
        var references: [PackMember.Reference] = []
        let tensors = try AdapterFactorsWriter.tensors(of: factors, dtype: dtype, location: path)
        for (name, tensor) in tensors.sorted(by: { $0.key < $1.key }) { references.append(.init(name, try writer.add(tensor))) }
        try writer.addMember(name, config: AdapterFactorsWriter.config(of: factors), tensors: references)
      }
      try writer.finish()
    } catch { throw .format(error) }
  }
}

extension MergeRecord {
  /// For files: `weft.merge.*`.
  package var metadata: [String: String] {
    [
      "weft.merge.method": method, "weft.merge.space": space, "weft.merge.parameters": parameters,
      "weft.merge.seed": "\(seed)", "weft.merge.sources": sources.joined(separator: "\n"),
    ]
  }
}
