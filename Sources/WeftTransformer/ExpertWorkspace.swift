// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// The memory of sparse layers. A *slot* is one row at one of its experts; slots are sorted by expert, and within an expert by
/// row, so that the rows of an expert are one product and its segments are those of the batch.
final class ExpertWorkspace {
  private let storage: Storage
  private let numbers: Storage
  private let config: ExpertConfig
  /// Scores of the experts, then that of the shared expert: [rows].
  let scores: Activations
  /// The rows of the slots, input of their experts: [slots][hiddenSize].
  let input: Activations
  /// gate and up of the slots side by side.
  let feedForward: Activations
  /// What the experts answer: [slots][hiddenSize].
  let output: Activations
  /// u of the slots.
  let low: Activations
  /// Expert and weight of every choice: [rows][usedCount], ascending experts in each row.
  let chosen: UnsafeMutablePointer<Int32>
  let weights: UnsafeMutablePointer<Float>
  /// The slot of every choice, and the row of every slot.
  let slots: UnsafeMutablePointer<Int32>
  let rows: UnsafeMutablePointer<Int32>
  /// The first slot of every expert, and after the last the number of slots.
  let firstSlots: UnsafeMutablePointer<Int32>
  /// The segments of every expert, counted from its first slot.
  let layouts: UnsafeMutablePointer<RowLayout>
  private let segments: UnsafeMutablePointer<Segment>
  /// The experts that have slots, and how many there are.
  let active: UnsafeMutablePointer<Int32>
  var activeCount = 0

  /// Bytes in all.
  var byteCount: Int { storage.bytes.count + numbers.bytes.count }

  /// One slot for every choice of every row.
  private static func slotCount(_ experts: ExpertConfig, rows: Int) throws(StorageError) -> Int {
    let (count, overflow) = rows.multipliedReportingOverflow(by: experts.usedCount)
    guard !overflow, count < Int.max / 64 else { throw .outOfMemory(bytes: .max) }
    return count
  }

  /// As `Workspace.shapes`.
  private static func shapes(
    config: ModelConfig, experts: ExpertConfig, rows: Int, slotCount: Int, deltaWidth: Int
  ) -> [Workspace.Shape] {
    let width = experts.intermediateSize
    return [
      (MatrixView.padded(experts.count) + MatrixView.tileRows, 0, rows),
      (config.hiddenSize, config.hiddenSize, slotCount), (MatrixView.padded(width) * 2, width, slotCount),
      (config.hiddenSize, 0, slotCount), (deltaWidth, 0, slotCount),
    ]
  }

  private static func numberBytes(_ experts: ExpertConfig, slotCount: Int) -> Int {
    4 * (slotCount * 4 + experts.count * 2 + 1)
  }

  /// Bytes that a workspace of these sizes takes.
  static func byteCount(
    config: ModelConfig, experts: ExpertConfig, rows: Int, deltaWidth: Int, forms: InputForms
  ) throws(StorageError) -> Int {
    let slotCount = try slotCount(experts, rows: rows)
    return try Workspace.byteCount(
      shapes(config: config, experts: experts, rows: rows, slotCount: slotCount, deltaWidth: deltaWidth), forms)
      + numberBytes(experts, slotCount: slotCount)
  }

  init(config: ModelConfig, experts: ExpertConfig, rows: Int, deltaWidth: Int, forms: InputForms) throws(StorageError) {
    self.config = experts
    let slotCount = try ExpertWorkspace.slotCount(experts, rows: rows)
    let (storage, made) = try Workspace.reserve(
      ExpertWorkspace.shapes(config: config, experts: experts, rows: rows, slotCount: slotCount, deltaWidth: deltaWidth), forms)
    self.storage = storage
    (scores, input, feedForward, output, low) = (made[0], made[1], made[2], made[3], made[4])
    numbers = try Storage(byteCount: ExpertWorkspace.numberBytes(experts, slotCount: slotCount))
    let base = numbers.base.assumingMemoryBound(to: Int32.self)
    chosen = base
    slots = base + slotCount
    self.rows = base + slotCount * 2
    weights = (numbers.base + slotCount * 12).assumingMemoryBound(to: Float.self)
    firstSlots = base + slotCount * 4
    active = firstSlots + experts.count + 1
    segments = .allocate(capacity: slotCount)
    layouts = .allocate(capacity: experts.count)
    for expert in 0..<experts.count { (layouts + expert).initialize(to: RowLayout(segments: segments)) }
  }

  deinit {
    segments.deallocate()
    layouts.deallocate()
  }

  /// Chooses the experts of one row: softmax over all scores, the `usedCount` largest, the first of equals; made to sum to 1
  /// where the model does.
  func choose(row: Int) {
    let scores = scores.row(row)
    let (count, used) = (config.count, config.usedCount)
    let (chosen, weights) = (chosen + row * used, weights + row * used)
    var largest = scores[0]
    for expert in 1..<count { largest = max(largest, scores[expert]) }
    var total: Float = 0
    for expert in 0..<count {
      scores[expert] = exp(scores[expert] - largest)
      total += scores[expert]
    }
    // Insertion into a list of the best so far, best first.
    var kept = 0
    for expert in 0..<count {
      let score = scores[expert]
      guard kept < used || score > weights[used - 1] else { continue }
      var place = kept < used ? kept : used - 1
      while place > 0, score > weights[place - 1] {
        weights[place] = weights[place - 1]
        chosen[place] = chosen[place - 1]
        place -= 1
      }
      weights[place] = score
      chosen[place] = Int32(expert)
      kept = min(kept + 1, used)
    }
    var sum: Float = 0
    for index in 0..<used { sum += weights[index] }
    let divisor = config.normalizesWeights ? sum : total
    for index in 0..<used { weights[index] /= divisor }
    sortByExpert(chosen, weights, used)
  }

  /// Ascending experts: the order in which answers are added, as in transformers.
  private func sortByExpert(_ chosen: UnsafeMutablePointer<Int32>, _ weights: UnsafeMutablePointer<Float>, _ count: Int) {
    for index in 1..<max(count, 1) {
      let (expert, weight) = (chosen[index], weights[index])
      var place = index
      while place > 0, chosen[place - 1] > expert {
        chosen[place] = chosen[place - 1]
        weights[place] = weights[place - 1]
        place -= 1
      }
      chosen[place] = expert
      weights[place] = weight
    }
  }

  /// Gives every choice its slot and every expert its segments. For one thread, after all rows have chosen.
  func assign(_ layout: RowLayout) {
    let used = config.usedCount
    for expert in 0...config.count { firstSlots[expert] = 0 }
    for choice in 0..<layout.rowCount * used { firstSlots[Int(chosen[choice]) + 1] += 1 }
    activeCount = 0
    for expert in 0..<config.count {
      if firstSlots[expert + 1] > 0 {
        active[activeCount] = Int32(expert)
        activeCount += 1
      }
      firstSlots[expert + 1] += firstSlots[expert]
      layouts[expert] = RowLayout(segments: segments + Int(firstSlots[expert]))
    }
    for index in 0..<layout.segmentCount {
      let segment = layout.segments[index]
      for row in segment.firstRow..<segment.firstRow + segment.rowCount {
        for choice in row * used..<(row + 1) * used {
          let expert = Int(chosen[choice])
          let slot = Int(firstSlots[expert]) + layouts[expert].rowCount
          slots[choice] = Int32(slot)
          rows[slot] = Int32(row)
          layouts[expert].addRow(of: segment)
        }
      }
    }
  }
}
