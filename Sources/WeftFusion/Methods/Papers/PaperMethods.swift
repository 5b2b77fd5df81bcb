// SPDX-License-Identifier: Apache-2.0

extension MergeMethod {
  /// Methods from papers that need no data. A task's weight multiplies its change before anything else; with weights of 1 and the
  /// standard values they are the papers'.
  static let paperMethods: [MergeMethod] = [
    tiesPaper, darePaper, dellaPaper, breadcrumbsPaper, pcb, consensus, tallMasks, emr, variationRatio, layerSwap,
    lego, robustMerge, knots, tsvM, isoC, isoCTS, opcm, twinMerging,
    givenMasks,
  ]
}
