// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import WeftTensors

/// Regions, phases and slices. A slice is counted without atomics: if two threads got the same one, counts would be wrong.
struct ThreadPoolTests {
  /// How often each slice of the present phase was run, written by whoever runs it.
  final class Tally: @unchecked Sendable {
    let counts: UnsafeMutablePointer<Int32>
    let capacity: Int
    /// Phases after which a slice had not run exactly once.
    var faults = 0

    init(capacity: Int) {
      self.capacity = capacity
      counts = .allocate(capacity: capacity)
      counts.initialize(repeating: 0, count: capacity)
    }
    deinit { counts.deallocate() }

    /// Called by one thread between two barriers.
    func check(_ count: Int) {
      for index in 0..<capacity {
        if counts[index] != (index < count ? 1 : 0) { faults += 1 }
        counts[index] = 0
      }
    }
  }

  @Test(arguments: 1...4) func everySliceOfManyPhasesRunsOnce(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    #expect(pool.threadCount == threads)
    let tally = Tally(capacity: 100)
    for region in 0..<20 {
      pool.run { worker in
        for phase in 0..<25 {
          let count = (region * 7 + phase * 13) % 101
          worker.slices(count, grain: phase % 5 + 1) { range in
            for index in range { tally.counts[index] += 1 }
          }
          worker.barrier()
          if worker.index == 0 { tally.check(count) }
          worker.barrier()
        }
      }
    }
    #expect(tally.faults == 0)
  }

  /// Slices are `grain` long, but the last one of each thread's share.
  @Test(arguments: 1...4) func slicesHaveTheirLength(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    let tally = Tally(capacity: 50)
    pool.run { worker in
      worker.slices(50, grain: 8) { range in
        let ends = (1...threads).map { (50 * $0 + threads - 1) / threads }
        if range.count == 8 || (range.count < 8 && ends.contains(range.upperBound)) {
          for index in range { tally.counts[index] += 1 }
        }
      }
    }
    tally.check(50)
    #expect(tally.faults == 0)
  }

  @Test(arguments: 1...4) func everyWorkerEntersEveryRegionOnce(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    let tally = Tally(capacity: threads)
    for _ in 0..<200 {
      pool.run { worker in
        if worker.threadCount == threads { tally.counts[worker.index] += 1 }
      }
      tally.check(threads)
    }
    #expect(tally.faults == 0)
  }

  /// Waiting threads spin for microseconds, then sleep: after a pause, regions and barriers have to wake them.
  @Test(arguments: 1...4) func worksAfterSleep(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    let tally = Tally(capacity: 64)
    for _ in 0..<10 {
      usleep(3000)
      pool.run { worker in
        // One thread is late at the first barrier, so that the others sleep there too.
        if worker.index == threads - 1 { usleep(2000) }
        worker.barrier()
        worker.slices(64, grain: 1) { tally.counts[$0.lowerBound] += 1 }
        worker.barrier()
        if worker.index == 0 { tally.check(64) }
      }
    }
    #expect(tally.faults == 0)
  }

  /// Every piece of a prelude runs once and before any slice that waited for it, whoever ran it and however late.
  @Test(arguments: 1...4) func slicesWaitForThePrelude(threads: Int) throws {
    let pool = try ThreadPool(threads: threads)
    let (pieces, slices) = (Tally(capacity: 7), Tally(capacity: 100))
    for region in 0..<20 {
      pool.run { worker in
        for phase in 0..<25 {
          let count = (region + phase * 3) % 8
          worker.prelude(count) { piece in
            if phase == 3 && piece == 0 { usleep(200) }
            pieces.counts[piece] += 1
          }
          worker.slices(100, grain: 9) { range in
            worker.awaitPrelude(count)
            let isDone = (0..<7).allSatisfy { pieces.counts[$0] == ($0 < count ? 1 : 0) }
            for index in range where isDone { slices.counts[index] += 1 }
          }
          worker.barrier()
          if worker.index == 0 {
            pieces.check(count)
            slices.check(100)
          }
          worker.barrier()
        }
      }
    }
    #expect(pieces.faults == 0 && slices.faults == 0)
  }

  @Test func poolsComeAndGo() throws {
    for round in 0..<40 {
      let pool = try ThreadPool(threads: round % 4 + 1)
      guard round % 3 > 0 else { continue }
      let tally = Tally(capacity: 9)
      pool.run { worker in worker.slices(9, grain: 2) { for index in $0 { tally.counts[index] += 1 } } }
      tally.check(9)
      #expect(tally.faults == 0)
    }
  }

  @Test(arguments: [0, -1, 1025, Int.max, Int.min]) func impossibleCounts(threads: Int) {
    #expect(throws: StorageError.outOfMemory(bytes: 0)) { try ThreadPool(threads: threads) }
  }
}
