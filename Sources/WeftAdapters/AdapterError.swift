// SPDX-License-Identifier: Apache-2.0

package import WeftDeltas
package import WeftFormats
package import WeftTensors

/// An adapter that cannot be used as it is. `location` is the folder or file; tensors and options are named as in the files.
package enum AdapterError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A name that adapters cannot have (see `Mixture.isName`).
  case invalidName(String)
  case missingFile(location: String, name: String)
  /// A path with nothing that Weft reads as an adapter.
  case noAdapter(location: String, found: String)
  /// A file or folder that can be read and has no family's marks.
  case unknownForm(location: String, expected: [String])
  /// A load option that the adapter's family does not have.
  case uselessOption(location: String, option: String, family: String)
  /// A load option that the files need.
  case missingOption(location: String, option: String, why: String)
  /// The tensors exist only as a pickle file.
  case pickle(location: String, name: String)
  /// A file that is not JSON, not safetensors, or not readable.
  case format(FormatError)
  case storage(StorageError)

  /// A `peft_type` without a row in `AdapterFamily.all`.
  case unsupportedFamily(location: String, expected: [String], found: String)
  /// An option whose value has the wrong form.
  case malformedOption(location: String, option: String, expected: String, found: String)
  /// An option that changes the arithmetic in a way that is not supported. `expected` is what would be.
  case unsupportedOption(location: String, option: String, expected: String, found: String)
  /// An option that Weft does not know, and that is not off: it could change anything.
  case unknownOption(location: String, option: String, found: String)

  case noTensors(location: String)
  /// A name that is none of this family's, or none of this architecture's.
  case unknownTensor(location: String, tensor: String, expected: String)
  /// A tensor that nothing would use, because the config does not target its module.
  case unusedTensor(location: String, tensor: String)
  /// Two names for one tensor of one weight.
  case duplicateTensor(location: String, tensor: String, other: String)
  /// A tensor that the config, or its partner, promises.
  case missingTensor(location: String, tensor: String)
  case wrongShape(location: String, tensor: String, expected: [Int], found: [Int])
  /// The rank of a tensor is not the one that the config gives to its module.
  case wrongRank(location: String, tensor: String, expected: Int, found: Int)
  case wrongType(location: String, tensor: String, expected: String, found: String)
  case nonFinite(location: String, tensor: String, index: Int)
  /// An index that points at nothing.
  case indexOutOfRange(location: String, tensor: String, element: Int, expected: String, found: Int)
  case layerOutOfRange(location: String, tensor: String, layerCount: Int)
  /// A decomposition or product of matrices that LAPACK could not make.
  case linearAlgebra(location: String, LinearAlgebraError)
  /// An adapter that is more than the factors of linear maps, read without a base.
  case beyondFactors(location: String, reason: String)
  /// A family whose change depends on the base's weights, read with a base of which only the shape is known.
  case needsBaseWeights(location: String)
  /// A model that is to be compared with the base and cannot be read.
  case unreadableModel(location: String, reason: String)
  /// A pack that was made for another base.
  case otherBase(location: String, expected: String, found: String)
  /// A model of other sizes than the base.
  case otherModel(location: String, part: String, expected: String, found: String)
  /// A model that is the base itself.
  case noDifference(location: String)
  /// Files from which the trained change cannot be computed. `reason` is a sentence; `remedy` says what the user can do.
  case notReproducible(location: String, reason: String, remedy: String)
  /// Tensors of the right shape that do not make up a delta (element type, scale).
  case delta(location: String, site: WeightSite, DeltaError)
  /// The same of a part that is no linear map: a norm, the embedding.
  case part(location: String, part: String, DeltaError)

  package var description: String {
    switch self {
    case .invalidName(let name):
      "adapter name: expected letters, digits, '.', '_' and '-' (not 'base'), found '\(name)'"
    case .missingFile(let location, let name): "\(location): \(name) is missing"
    case .pickle(let location, let name):
      "\(location): expected safetensors, found only \(name), a pickle file, which can run code when it is read; "
        + "to convert it: python tools/convert_adapter.py \(location) NEW_FOLDER"
    case .noAdapter(let location, let found):
      "\(location): expected an adapter: adapter_config.json with \(AdapterPlace.tensorsNames.joined(separator: ", ")); "
        + "config.json of a model; a .safetensors file; a GGUF file; a pack; found \(found)"
    case .unknownForm(let location, let expected):
      "\(location): expected the marks of a family (\(expected.joined(separator: "; "))), found none of them"
    case .uselessOption(let location, let option, let family):
      "\(location): option \(option) has no meaning for \(family); expected it absent"
    case .missingOption(let location, let option, let why): "\(location): option \(option) is needed: \(why)"
    case .format(let error): error.description
    case .storage(let error): error.description
    case .unsupportedFamily(let location, let expected, let found):
      "\(location): peft_type \(found) is not supported; expected \(expected.joined(separator: ", "))"
    case .malformedOption(let location, let option, let expected, let found):
      "\(location): \(option): expected \(expected), found \(found)"
    case .unsupportedOption(let location, let option, let expected, let found):
      "\(location): \(option) \(found) is not supported; expected \(expected)"
    case .unknownOption(let location, let option, let found):
      "\(location): option \(option) is not known and could change the result; expected it absent or off, found \(found)"
    case .noTensors(let location): "\(location): expected tensors, found none"
    case .unknownTensor(let location, let tensor, let expected):
      "\(location): tensor '\(tensor)' is not known; expected \(expected)"
    case .unusedTensor(let location, let tensor):
      "\(location): tensor '\(tensor)' would have no effect: the config does not target its module"
    case .duplicateTensor(let location, let tensor, let other):
      "\(location): expected one tensor for each factor, found '\(tensor)' and '\(other)'"
    case .missingTensor(let location, let tensor): "\(location): tensor '\(tensor)' is missing"
    case .wrongShape(let location, let tensor, let expected, let found):
      "\(location): tensor '\(tensor)': expected shape \(expected), found \(found)"
    case .wrongRank(let location, let tensor, let expected, let found):
      "\(location): tensor '\(tensor)': expected rank \(expected), as in the config, found \(found)"
    case .wrongType(let location, let tensor, let expected, let found):
      "\(location): tensor '\(tensor)': expected \(expected), found \(found)"
    case .nonFinite(let location, let tensor, let index):
      "\(location): tensor '\(tensor)': expected finite numbers, found infinity or NaN at element \(index)"
    case .indexOutOfRange(let location, let tensor, let element, let expected, let found):
      "\(location): tensor '\(tensor)': expected \(expected) at element \(element), found \(found)"
    case .layerOutOfRange(let location, let tensor, let layerCount):
      "\(location): tensor '\(tensor)': expected one of the \(layerCount) layers of the base"
    case .linearAlgebra(let location, let error): "\(location): \(error)"
    case .beyondFactors(let location, let reason):
      "\(location): expected factors of linear maps, found \(reason) too; with its base (--model) its change can be merged in "
        + "space delta, and `weft compress --method low-rank` makes plain factors of it"
    case .needsBaseWeights(let location):
      "\(location): expected a base with its weights, found only its shape: this adapter changes what the weights are"
    case .unreadableModel(let location, let reason): "\(location): not readable as a model like the base: \(reason)"
    case .otherBase(let location, let expected, let found):
      "\(location): expected a pack for this base, \(expected), found one for \(found)"
    case .otherModel(let location, let part, let expected, let found):
      "\(location): \(part): expected \(expected), as in the base, found \(found)"
    case .noDifference(let location): "\(location): expected a model that differs from the base, found the same weights"
    case .notReproducible(let location, let reason, let remedy): "\(location): \(reason); \(remedy)"
    case .delta(let location, let site, let error): "\(location): \(site): \(error)"
    case .part(let location, let part, let error): "\(location): \(part): \(error)"
    }
  }
}
