// SPDX-License-Identifier: Apache-2.0

internal import WeftTransformer

/// Where a sequence stands among published blocks: its first `blockCount` blocks are published, the last one as `parent`.
struct PrefixChain {
  var parent = 0
  var blockCount = 0
}

extension Engine {
  /// Takes published blocks for as much of the prompt as they hold, instead of computing it. The last token of a prompt is always
  /// computed: its logits are wanted.
  func reusePrefix(_ sequence: TokenSequence) {
    guard options.reusesPrefixes, !sequence.isDecoding, var chain = sequence.chain,
      chain.blockCount * BlockManager.blockTokens == sequence.cachedCount
    else { return }
    while sequence.cachedCount + BlockManager.blockTokens < sequence.length {
      let index = chain.blockCount
      guard let block = find(blockAt: index, of: sequence, chain) else { break }
      chain.parent = blocks.share(block)
      if index < sequence.blocks.count {
        blocks.release([sequence.blocks[index]])
        sequence.blocks[index] = block
      } else {
        sequence.blocks.append(block)
      }
      chain.blockCount += 1
      sequence.cachedCount += BlockManager.blockTokens
      sequence.result.reusedTokenCount = max(0, sequence.cachedCount - sequence.prefix.count)
    }
    sequence.chain = chain
  }

  /// Makes the blocks findable that the last step filled.
  func publishPrefix(_ sequence: TokenSequence) {
    guard options.reusesPrefixes, var chain = sequence.chain else { return }
    while (chain.blockCount + 1) * BlockManager.blockTokens <= sequence.cachedCount {
      let index = chain.blockCount
      let identity = sequence.phases.identity(ofBlock: index)
      let serial = sequence.withTokens(ofBlock: index) {
        blocks.publish(sequence.blocks[index], $0, after: chain.parent, identity)
      }
      guard let serial else {
        sequence.chain = nil
        return
      }
      chain.parent = serial
      chain.blockCount += 1
    }
    sequence.chain = chain
  }

  private func find(blockAt index: Int, of sequence: TokenSequence, _ chain: PrefixChain) -> Int32? {
    let identity = sequence.phases.identity(ofBlock: index)
    return sequence.withTokens(ofBlock: index) { blocks.find($0, after: chain.parent, identity) }
  }
}
