// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing
import WeftFusion

/// Methods from papers against scripts that state them on dense matrices in f64.
struct PaperMergeGoldenTests {
  /// The largest error of a module relative to its largest element, over all cases of a method: twice what was measured with
  /// OpenBLAS 0.3.26. Changes
  /// are f32 here, and f64 in the scripts.
  private static let bounds: [String: Float] = [
    "breadcrumbs_paper": 2.4e-7, "consensus": 2.2e-7, "dare_paper": 2.5e-7, "della_paper": 2.3e-7, "emr": 1.8e-7,
    "fusechat": 1.9e-7, "given_masks": 1.6e-7, "iso_c": 1.9e-6, "iso_cts": 6e-6, "knots": 8.7e-7, "layer_swap": 2.2e-7,
    "lego": 2e-7, "opcm": 2e-7, "pcb": 1.4e-6, "robust_merge": 4.3e-7, "tall_masks": 2.4e-7, "ties_paper": 2.1e-7,
    "tsv_m": 1.9e-7, "twin_merging": 2.1e-7,
  ]

  @Test(arguments: [false, true]) func methodsGiveWhatTheScriptsGive(isDense: Bool) throws {
    let goldens = try PaperMergeGoldens()
    for one in goldens.cases where !isDense || one.method.space == .delta {
      let merged = try goldens.problem(of: one, isDense: isDense).merged(by: one.method)
      for (module, change) in merged.enumerated() {
        let error = relativeError(change, try goldens.expected(one, module: module))
        #expect(
          error <= Self.bounds[one.method.name] ?? 0,
          "\(one.method.name) on \(one.problem), module \(module), case \(one.name): \(error)")
      }
    }
  }
}
