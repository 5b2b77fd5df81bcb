// SPDX-License-Identifier: Apache-2.0

internal import Glibc
internal import WeftTensors

/// What this machine does in a second, as far as adapters ask: measured once for an engine, when it plans for the first time, in
/// some 50 milliseconds. Everything else that a plan says is counted from bytes and operations.
struct MachineRates {
  /// Bytes of packed factors in a product with one row, all threads: what a step reads of an adapter for one token.
  let bytesPerSecond: Double
  /// Multiply-adds of factors with many rows, all threads.
  let productsPerSecond: Double
  /// Multiply-adds of fusing, in Float64, all threads.
  let fusedProductsPerSecond: Double
  /// Numbers that are rounded and packed, all threads.
  let packedPerSecond: Double
  // What the probes do not show: factors are short, cold and scattered, and what is prepared is read from a file and written into
  // memory that is new. Measured with `weft bench --planner` on Llamas of 135M (F16) and 0.5B (Q4_0), one and two threads, AVX-512,
  // against the probes: with these constants 21 of 32 estimates of a token are within a third, and of 80 choices 72 are the best one
  // and none is more than 8 % over it.

  /// How much longer a byte of factors takes in a step than in a long stream.
  static let scatter = 1.2
  /// Passes of packing that joining takes for a number: unpacking, scaling, packing.
  static let joiningPasses = 80.0
  /// Passes of packing that fusing takes for a weight, beside its products: reading, widening, rounding, packing, and all of it again
  /// to restore the base.
  static let fusingPasses = 27.0
  /// How much longer a product of fusing takes than in the caches.
  static let fusingShare = 1.1
  /// Seconds that one product takes beside its arithmetic: finding its place, and the tail of its tiles.
  static let secondsPerProduct = 0.45e-6

  /// Larger than the caches of a core, so that a pass reads memory as a step does after it has read the base.
  private static let streamedColumns = 8192
  private static let streamedRows = 1024
  private static let residentSize = 512
  private static let rows = 64

  init(kernels: Kernels, pool: ThreadPool) throws(StorageError) {
    let (rows, columns, size) = (MachineRates.rows, MachineRates.streamedColumns, MachineRates.residentSize)
    let wide = try Tensor.zeros(rows: MachineRates.streamedRows, columns: columns)
    let streamed = try PackedMatrix(wide, pool: pool)
    let resident = try PackedMatrix(Tensor.zeros(rows: size, columns: size), pool: pool)
    let input = try Storage(byteCount: max(columns, rows * size) * 4)
    let output = try Storage(byteCount: max(MachineRates.streamedRows, rows * size) * 4)
    func multiply(_ matrix: MatrixView, rows: Int) {
      let (x, y) = (UnsafeRawPointer(input.base), output.base.assumingMemoryBound(to: Float.self))
      pool.run { worker in
        worker.slices(matrix.tileCount, grain: 4) { tiles in
          kernels.multiply(
            y, yStride: matrix.paddedRows, matrix, x, xStride: matrix.columns * 4, tiles: tiles, rows: rows, accumulate: false)
        }
      }
    }
    let streamSeconds = MachineRates.best { multiply(streamed.view, rows: 1) }
    bytesPerSecond = Double(streamed.byteCount) / streamSeconds
    let productSeconds = MachineRates.best { multiply(resident.view, rows: rows) }
    productsPerSecond = Double(rows * size * size) / productSeconds
    let packSeconds = MachineRates.best { streamed.repack(wide, pool: pool) }
    packedPerSecond = Double(wide.elementCount) / packSeconds
    fusedProductsPerSecond = Double(size * size * 8) / MachineRates.best { MachineRates.fuse(size: size, rank: 8, pool: pool) }
  }

  /// The shortest of three runs, after one that is not counted.
  private static func best(_ body: () -> Void) -> Double {
    body()
    return (0..<3).map { _ in
      let begin = ContinuousClock.now
      body()
      let (seconds, attoseconds) = begin.duration(to: .now).components
      return max(Double(seconds) + Double(attoseconds) * 1e-18, 1e-9)
    }.min() ?? 1
  }

  /// The inner loop of fusing.
  private static func fuse(size: Int, rank: Int, pool: ThreadPool) {
    let a = [Float](repeating: 0.5, count: rank * size)
    pool.run { worker in
      withUnsafeTemporaryAllocation(of: Double.self, capacity: size) { sum in
        for i in 0..<size { sum[i] = 0 }
        worker.slices(size, grain: 8) { rows in
          a.withUnsafeBufferPointer { a in
            for row in rows {
              for r in 0..<rank {
                let factor = Double(row + r)
                for i in 0..<size { sum[i] += factor * Double(a[r * size + i]) }
              }
            }
          }
        }
      }
    }
  }
}

extension Tensor {
  fileprivate static func zeros(rows: Int, columns: Int) throws(StorageError) -> Tensor {
    let storage = try Storage(byteCount: rows * columns * 2)
    return Tensor(dtype: .f16, shape: [rows, columns], storage: storage, offset: 0)!
  }
}
