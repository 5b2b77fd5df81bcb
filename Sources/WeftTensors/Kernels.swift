// SPDX-License-Identifier: Apache-2.0

internal import CWeftKernels
internal import Glibc

/// An instruction-set tier of the kernels.
package enum ISA: Int32, CaseIterable, Sendable {
  case scalar = 0
  case avx2 = 1
  case avx512 = 2
  case neon = 3
  case neonI8MM = 4

  /// The name as `WEFT_ISA` spells it.
  package var name: String {
    switch self {
    case .scalar: "scalar"
    case .avx2: "avx2"
    case .avx512: "avx512"
    case .neon: "neon"
    case .neonI8MM: "neon_i8mm"
    }
  }

  /// Whether this machine and its operating system can run the tier.
  package var isAvailable: Bool { weft_isa_available(rawValue) != 0 }
}

/// The kernel table of one tier, chosen once when an engine is opened.
///
/// The methods restate the C contract of `kernels.h`; shapes are the caller's responsibility.
package struct Kernels: @unchecked Sendable {
  /// The tier that was chosen.
  package let isa: ISA
  let table: weft_kernels

  /// The table of one tier. The tier must be available.
  package init(isa: ISA) {
    precondition(isa.isAvailable)
    self.isa = isa
    table = weft_kernels_for(isa.rawValue)
  }

  /// The best tier of this machine, or the one that the environment variable `WEFT_ISA` names.
  package static func best() throws(KernelError) -> Kernels {
    let available = ISA.allCases.filter(\.isAvailable)
    guard let forced = getenv("WEFT_ISA").map({ String(cString: $0) }), !forced.isEmpty else {
      return Kernels(isa: available[available.count - 1])
    }
    guard let isa = available.first(where: { $0.name == forced }) else {
      throw .unavailable(found: forced, expected: available.map(\.name))
    }
    return Kernels(isa: isa)
  }

  /// y (+)= W x for `rows` rows of activations and the output rows of `tiles`. See `weft_matmul`.
  /// - Parameter xStride: bytes between rows of `x`, which have the form of `matrix.inputForm`.
  @inline(__always)
  package func multiply(
    _ y: UnsafeMutablePointer<Float>, yStride: Int, _ matrix: MatrixView, _ x: UnsafeRawPointer, xStride: Int,
    tiles: Range<Int>, rows: Int, accumulate: Bool
  ) {
    let kernel =
      switch matrix.dtype {
      case .f16: table.matmul_f16!
      case .bf16: matrix.roundsInput ? table.matmul_bf16_dot! : table.matmul_bf16!
      case .q8_0: table.matmul_q8_0!
      case .q4_0: table.matmul_q4_0!
      case .q4_1: table.matmul_q4_1!
      case .q5_0: table.matmul_q5_0!
      case .q5_1: table.matmul_q5_1!
      case .q2_k: table.matmul_q2_k!
      case .q3_k: table.matmul_q3_k!
      case .q4_k: table.matmul_q4_k!
      case .q5_k: table.matmul_q5_k!
      case .q6_k: table.matmul_q6_k!
      case .iq4_nl: table.matmul_iq4_nl!
      case .iq4_xs: table.matmul_iq4_xs!
      case .tq1_0, .tq2_0: table.matmul_tq2_0!
      case .mxfp4: table.matmul_mxfp4!
      case .ternary: table.matmul_ternary!
      case .f32, .i32, .i64, .u8, .i16: table.matmul_f32!  // integers are never packed
      }
    kernel(
      y, yStride, matrix.base, x, xStride, matrix.columns, tiles.lowerBound, tiles.upperBound, rows, accumulate ? 1 : 0)
  }

  /// u = A x for `rows` rows of activations and all output rows of A: the first half of a low rank. An A of blocks multiplies as
  /// weights do.
  /// - Parameters:
  ///   - uStride: floats between rows of `u`.
  ///   - xStride: bytes between rows of `x`, which are f32, or quantised when `matrix` wants it.
  @inline(__always)
  package func shrink(
    _ u: UnsafeMutablePointer<Float>, uStride: Int, _ matrix: MatrixView, _ x: UnsafeRawPointer, xStride: Int, rows: Int
  ) {
    guard !matrix.dtype.isQuantized else {
      return multiply(
        u, yStride: uStride, matrix, x, xStride: xStride, tiles: 0..<matrix.tileCount, rows: rows, accumulate: false)
    }
    let kernel =
      switch matrix.dtype {
      case .f16: table.shrink_f16!
      case .bf16: table.shrink_bf16!
      default: table.shrink_f32!
      }
    kernel(u, uStride, matrix.base, x, xStride, matrix.columns, matrix.tileCount, rows)
  }

  /// y += B u for `rows` rows of u, f32, and the output rows of `tiles`: the other half. B is narrow, or of floats.
  /// - Parameter uStride: floats between rows of `u`.
  @inline(__always)
  package func expand(
    _ y: UnsafeMutablePointer<Float>, yStride: Int, _ matrix: MatrixView, _ u: UnsafePointer<Float>, uStride: Int,
    tiles: Range<Int>, rows: Int
  ) {
    let kernel =
      switch matrix.dtype {
      case .f32: table.expand_f32!
      case .f16: table.expand_f16!
      case .bf16: table.expand_bf16!
      case .q8_0: table.expand_q8_0!
      case .q4_0: table.expand_q4_0!
      default: table.expand_ternary!
      }
    kernel(
      y, yStride, matrix.base, u, uStride, matrix.columns, matrix.tileCount, tiles.lowerBound, tiles.upperBound, rows)
  }

  /// Quantises columns [begin, end) of a row of floats into `row`, which has `MatrixView.rowBytes(.blocks)` and is aligned to 4.
  /// Both are multiples of `MatrixView.blockColumns`.
  @inline(__always)
  package func quantize(_ row: UnsafeMutableRawPointer, _ x: UnsafePointer<Float>, begin: Int, end: Int) {
    table.quantize_q8(row.assumingMemoryBound(to: weft_block_q8.self), x, begin, end)
  }

  /// Rounds columns [begin, end) of a row of floats into `row`, which has `MatrixView.rowBytes(.rounded)` and is aligned to 4.
  @inline(__always)
  package func round(_ row: UnsafeMutableRawPointer, _ x: UnsafePointer<Float>, begin: Int, end: Int) {
    table.round_bf16(row.assumingMemoryBound(to: UInt16.self), x, begin, end)
  }

  /// y = w x / rms(x).
  @inline(__always)
  package func rmsNorm(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, count: Int, epsilon: Float
  ) {
    table.rms_norm(y, x, weight, count, epsilon)
  }

  /// y = w (x - mean) / deviation + b; `bias` may be nil.
  @inline(__always)
  package func layerNorm(
    _ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, weight: UnsafePointer<Float>, bias: UnsafePointer<Float>?,
    count: Int, epsilon: Float
  ) {
    table.layer_norm(y, x, weight, bias, count, epsilon)
  }

  /// Rotates the first `rotated` numbers of `heads` heads in place; `cosSin` holds half cosines, then half sines.
  @inline(__always)
  package func rope(
    _ x: UnsafeMutablePointer<Float>, cosSin: UnsafePointer<Float>, heads: Int, headDimension: Int, rotated: Int
  ) {
    table.rope(x, cosSin, heads, headDimension, rotated)
  }

  /// gate = silu(gate) up.
  @inline(__always)
  package func swiglu(_ gate: UnsafeMutablePointer<Float>, up: UnsafePointer<Float>, count: Int) {
    table.swiglu(gate, gate, up, count)
  }

  /// gate = gelu(gate) up, in the tanh approximation.
  @inline(__always)
  package func geglu(_ gate: UnsafeMutablePointer<Float>, up: UnsafePointer<Float>, count: Int) {
    table.geglu(gate, gate, up, count)
  }

  /// x = gelu(x), in the tanh approximation.
  @inline(__always)
  package func gelu(_ x: UnsafeMutablePointer<Float>, count: Int) { table.gelu(x, x, count) }

  /// y = cap tanh(y / cap).
  @inline(__always)
  package func softcap(_ y: UnsafeMutablePointer<Float>, cap: Float, count: Int) { table.softcap(y, cap, count) }

  /// y += x.
  @inline(__always)
  package func add(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) { table.add(y, x, count) }

  /// y *= s.
  @inline(__always)
  package func scale(_ y: UnsafeMutablePointer<Float>, by s: Float, count: Int) { table.scale(y, s, count) }

  /// The index of the first of the largest of `count` values, at least one; what is not a number is smaller than all others.
  @inline(__always)
  package func argmax(_ x: UnsafePointer<Float>, count: Int) -> Int { table.argmax(x, count) }

  /// The largest of every `maximaBlock` values, the last ones of fewer; -infinity where none is a number.
  @inline(__always)
  package func blockMaxima(_ y: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, count: Int) {
    table.block_maxima(y, x, count)
  }

  /// Values of which `blockMaxima` finds the largest.
  package static let maximaBlock = Int(WEFT_MAXIMA_BLOCK)
}

/// No kernel table could be chosen.
package enum KernelError: Error, Equatable, Sendable, CustomStringConvertible {
  case unavailable(found: String, expected: [String])

  package var description: String {
    switch self {
    case .unavailable(let found, let expected):
      "WEFT_ISA: expected one of \(expected.joined(separator: ", ")) on this machine, found \"\(found)\""
    }
  }
}
