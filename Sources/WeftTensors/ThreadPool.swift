// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels

/// Worker threads for one parallel region at a time: a thin view of `pool.h`, which has the rules.
package final class ThreadPool: @unchecked Sendable {
  private let handle: OpaquePointer
  private var body: ((Worker) -> Void)?
  /// Threads in a region, the caller included.
  package let threadCount: Int

  /// Starts `threads - 1` workers.
  package init(threads: Int) throws(StorageError) {
    guard threads >= 1, threads <= 1024, let handle = weft_pool_create(Int32(threads)) else {
      throw .outOfMemory(bytes: 0)
    }
    self.handle = handle
    threadCount = threads
  }

  deinit { weft_pool_destroy(handle) }

  /// Runs `body` on every thread and returns when all have finished. Not reentrant; one caller at a time.
  package func run(_ body: @escaping (Worker) -> Void) {
    self.body = body
    weft_pool_run(
      handle,
      { argument, index in
        guard let argument else { return }
        let pool = Unmanaged<ThreadPool>.fromOpaque(argument).takeUnretainedValue()
        pool.body?(Worker(index: Int(index), threadCount: pool.threadCount, handle: pool.handle))
      }, Unmanaged.passUnretained(self).toOpaque())
    self.body = nil
  }
}

/// One thread inside a parallel region.
package struct Worker {
  /// 0 ..< threadCount; 0 is the caller.
  package let index: Int
  package let threadCount: Int
  fileprivate let handle: OpaquePointer

  /// Claims pieces of 0 ..< count, at most `grain` long, until none is left: first of this thread's share, which lies together,
  /// then of the others'. A phase has one call of `slices`, with the same count on all threads, and ends with `barrier`.
  @inline(__always)
  package func slices(_ count: Int, grain: Int, _ body: (Range<Int>) -> Void) {
    while true {
      var end = 0
      let begin = weft_pool_claim(handle, Int32(index), count, grain, &end)
      guard begin < count else { return }
      body(begin..<end)
    }
  }

  /// Claims the pieces of the prelude of a phase, whose results its slices read behind `awaitPrelude`, until none is left. Comes
  /// before `slices`, with the same count on all threads.
  @inline(__always)
  package func prelude(_ count: Int, _ body: (Int) -> Void) {
    guard count > 0 else { return }
    while true {
      let piece = weft_pool_prelude_claim(handle, count)
      guard piece < count else { return }
      body(piece)
      weft_pool_prelude_done(handle)
    }
  }

  /// Waits until all `count` pieces of the prelude are done: other threads may still be at theirs.
  @inline(__always)
  package func awaitPrelude(_ count: Int) { weft_pool_prelude_wait(handle, count) }

  /// Waits for all threads; the next phase begins. Waiting, it asks for memory that this thread will read next.
  @inline(__always)
  package func barrier(ahead: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)) {
    weft_pool_barrier(handle, ahead.baseAddress, ahead.count)
  }
}
