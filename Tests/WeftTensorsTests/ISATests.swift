// SPDX-License-Identifier: Apache-2.0

import Glibc
import Testing
import WeftTensors

/// The choice of the tier. `WEFT_ISA` belongs to the whole process, so each case runs in a process of its own.
struct ISATests {
  @Test func scalarIsEverywhereAndTiersAreOrdered() {
    #expect(ISA.scalar.isAvailable)
    #expect(!ISA.avx512.isAvailable || ISA.avx2.isAvailable)
    #expect(ISA.allCases.map(\.name) == ["scalar", "avx2", "avx512", "neon", "neon_i8mm"])
    for isa in availableTiers { #expect(Kernels(isa: isa).isa == isa) }
  }

  @Test func withoutTheVariableTheBestTierIsTaken() async {
    await #expect(processExitsWith: .success) {
      unsetenv("WEFT_ISA")
      let isa = try Kernels.best().isa
      #expect(isa == availableTiers.last)
      setenv("WEFT_ISA", "", 1)
      let again = try Kernels.best().isa
      #expect(again == isa)
    }
  }

  @Test func theVariableNamesTheTier() async {
    await #expect(processExitsWith: .success) {
      for isa in availableTiers {
        setenv("WEFT_ISA", isa.name, 1)
        let found = try Kernels.best().isa
        #expect(found == isa)
      }
    }
  }

  @Test func otherNamesAreRefused() async {
    await #expect(processExitsWith: .success) {
      let names = availableTiers.map(\.name)
      for name in ["AVX2", "avx", "neon", " scalar", "0"] {
        setenv("WEFT_ISA", name, 1)
        let error = #expect(throws: KernelError.self) { try Kernels.best() }
        #expect(error == .unavailable(found: name, expected: names))
        #expect(
          error?.description
            == "WEFT_ISA: expected one of \(names.joined(separator: ", ")) on this machine, found \"\(name)\"")
      }
    }
  }
}
