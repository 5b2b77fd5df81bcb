// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import WeftTensors

/// A float type of safetensors on the command line.
enum PlainType: String, ExpressibleByArgument, CaseIterable {
  case f32, f16, bf16

  var dtype: DType {
    switch self {
    case .f32: .f32
    case .f16: .f16
    case .bf16: .bf16
    }
  }
}
