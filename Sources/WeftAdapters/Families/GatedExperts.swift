// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// The low-rank factors of all experts of one module, laid side by side.
struct GatedExperts {
  /// A of all experts under each other [experts * rank, in]
  private let a: Tensor
  /// B beside each other [out, experts * rank]
  private let b: Tensor
  private let scales: [Float]

  /// - Parameters:
  ///   - experts: those that an expert lacks are zero; smaller ranks are filled with zeros.
  ///   - size: of the module.
  init(_ experts: [LoRA.Factors?], _ size: BaseShape.Size) throws(AdapterError) {
    let rank = experts.compactMap { $0?.a.rows }.max() ?? 0
    let width = experts.count * rank
    var a = [Float](repeating: 0, count: width * size.in)
    var b = [Float](repeating: 0, count: size.out * width)
    for (index, expert) in experts.enumerated() {
      guard let expert else { continue }
      let own = expert.a.rows
      a.replaceSubrange(index * rank * size.in..<(index * rank + own) * size.in, with: expert.a.floats())
      let values = expert.b.floats()
      for row in 0..<size.out {
        let start = row * width + index * rank
        b.replaceSubrange(start..<start + own, with: values[row * own..<(row + 1) * own])
      }
    }
    self.a = try makeTensor(a, [width, size.in])
    self.b = try makeTensor(b, [size.out, width])
    scales = experts.map { $0?.scale ?? 0 }
  }

  /// Adds them to a module.
  ///
  /// - Parameter gate: G [experts, in]; nil for external gates.
  func add(
    gate: Tensor?, rule: GatedLowRank.Rule, to module: BaseModule, of builder: inout DeltaBuilder
  ) throws(AdapterError) {
    try builder.add(to: module) { rows throws(DeltaError) in
      let factors = try LowRank(a: a, b: module.sites.count == 1 ? b : b.slice(rows: rows), scale: 1)
      return .gated(try GatedLowRank(factors: factors, scales: scales, gate: gate, rule: rule))
    }
  }
}
