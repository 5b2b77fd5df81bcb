// SPDX-License-Identifier: Apache-2.0

internal import WeftAdapters
package import WeftFormats
internal import WeftTensors

extension CompressedAdapter {
  /// Writes a pack with this adapter alone.
  package func write(path: String, provenance: PackProvenance) throws(CompressionError) {
    guard !modules.isEmpty else {
      throw .mismatch(location: name, expected: "a change that is left", found: "none")
    }
    do throws(FormatError) {
      let writer = try PackWriter(path: path, provenance: provenance)
      var references: [PackMember.Reference] = []
      for module in modules {
        for (parameter, tensor) in [("lora_A", module.a), ("lora_B", module.b)] {
          references.append(.init("base_model.model.\(module.path).\(parameter).weight", try writer.add(tensor)))
        }
      }
      try writer.addMember(name, config: AdapterFactorsWriter.config(of: factors), tensors: references)
      try writer.finish()
    } catch { throw .format(error) }
  }
}
