// SPDX-License-Identifier: Apache-2.0

internal import WeftDeltas
internal import WeftTensors

/// What an adapter does to one linear map beside low rank, as pointers into its `ResidentAdapter`: trivial to copy.
/// `DeltaOperator` says what each means and in which order they act.
enum ResidentOperation {
  case inputScale(UnsafePointer<Float>, sums: Bool)
  case blocks(UnsafePointer<Float>, size: Int, order: UnsafePointer<Int32>?)
  case reflections(UnsafePointer<Float>, count: Int)
  case replace(MatrixView)
  case productScale(UnsafePointer<Float>, sums: Bool)
  /// A matrix without structure, and its scale.
  case dense(MatrixView, scale: Float)
  case structured(Unmanaged<StructuredMatrix>, scale: Float, rows: Range<Int>)
  case bias(UnsafePointer<Float>, replaces: Bool)
  case outputScale(UnsafePointer<Float>, shift: UnsafePointer<Float>?, sums: Bool)
  case planes(cosines: UnsafePointer<Float>, sines: UnsafePointer<Float>, group: Int)

  var isInputScale: Bool { if case .inputScale = self { true } else { false } }

  var isOfInput: Bool {
    switch self {
    case .inputScale, .blocks, .reflections: true
    case .replace, .productScale, .dense, .structured, .bias, .outputScale, .planes: false
    }
  }
}

/// The operations of one adapter on the maps of an input group.
struct ResidentOperations {
  typealias List = UnsafeBufferPointer<ResidentOperation>
  var parts: (List, List, List)
  /// Whether any of a part changes the input.
  var changesInput: (Bool, Bool, Bool)
  /// Whether any does more than that.
  var changesOutput: Bool
  /// Whether it only scales the input of a group of one part, and the adapter has no low rank there, which would read the input as
  /// it was: then what makes the input scales it where it lies.
  var scalesInPlace: Bool
  /// Memory for vectors, of each thread: `scratchStride` floats apart.
  let scratch: UnsafeMutablePointer<Float>
  let scratchStride: Int

  @inline(__always)
  func part(_ index: Int) -> UnsafeBufferPointer<ResidentOperation> {
    switch index {
    case 0: parts.0
    case 1: parts.1
    default: parts.2
    }
  }

  @inline(__always)
  func changesInput(_ index: Int) -> Bool {
    switch index {
    case 0: changesInput.0
    case 1: changesInput.1
    default: changesInput.2
    }
  }
}
