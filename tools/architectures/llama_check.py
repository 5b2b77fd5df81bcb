# SPDX-License-Identifier: Apache-2.0
"""What llama.cpp computes from a GGUF file."""

import llama_cpp
import torch


def llama_cpp_logits(path, tokens, context=256):
    """[T, V]: F32 keys and values, no flash attention, one thread, the whole prompt in one batch."""
    f32 = llama_cpp.GGML_TYPE_F32
    model = llama_cpp.Llama(
        str(path),
        n_ctx=context,
        n_batch=context,
        n_ubatch=context,
        n_threads=1,
        n_threads_batch=1,
        type_k=f32,
        type_v=f32,
        flash_attn=False,
        logits_all=True,
        verbose=False,
    )
    model.eval(tokens.tolist())
    logits = torch.tensor(model.scores[: len(tokens)])
    model.close()
    return logits
