# SPDX-License-Identifier: Apache-2.0
"""What llama.cpp computes from a GGUF file."""

import llama_cpp
import torch
import transformers


def llama_cpp_logits(path, tokens, context=256, **options):
    """[T, V]: F32 keys and values, no flash attention, one thread, one batch. `options` are those of llama_cpp.Llama."""
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
        **options,
        logits_all=True,
        verbose=False,
    )
    model.eval(tokens.tolist())
    logits = torch.tensor(model.scores[: len(tokens)])
    model.close()
    return logits


class TableGELU(torch.nn.Module):
    """The tanh approximation of GELU as ggml's CPU code looks it up: arguments and values in F16, between -10 and 10."""

    def forward(self, x):
        found = torch.nn.functional.gelu(x.half().float(), approximate="tanh").half().float()
        return torch.where(x <= -10, 0, torch.where(x >= 10, x, found))


def with_table_gelu(model):
    """Replaces the GELUs of a float32 model; None where it has none."""
    kinds = (transformers.activations.NewGELUActivation, transformers.activations.GELUTanh)
    places = [(module, key) for module in model.modules() for key, child in module.named_children() if isinstance(child, kinds)]
    for module, key in places:
        setattr(module, key, TableGELU())
    return model if places else None
