# SPDX-License-Identifier: Apache-2.0
"""Random models and what transformers computes from them, in float64 and in float32."""

import contextlib
import importlib

import torch
import transformers
from torch.utils._python_dispatch import TorchDispatchMode

GREEDY_COUNT = 8


class Float64Torch:
    """torch, except that `float` and `float32` mean float64: for the modules that pin float32 in their source."""

    float = float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


class NoFloat32(TorchDispatchMode):
    """Within this mode no operator may return float32."""

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        for value in result if isinstance(result, (tuple, list)) else [result]:
            assert not isinstance(value, torch.Tensor) or value.dtype != torch.float32, f"{function} returned float32"
        return result


@contextlib.contextmanager
def float64_source(model_type):
    """Within this block what transformers' source of `model_type` does in float32 is done in float64."""
    # OpenELM's source is our own and pins nothing.
    name = model_type.removesuffix("_text")
    sources = [f"transformers.models.{name}.modeling_{name}"] if name != "openelm" else []
    modules = [importlib.import_module(source) for source in [*sources, "transformers.modeling_rope_utils"]]
    to_float = torch.Tensor.float
    for module in modules:
        module.torch = Float64Torch()
    torch.Tensor.float = torch.Tensor.double
    try:
        yield
    finally:
        torch.Tensor.float = to_float
        for module in modules:
            module.torch = torch


def tokens_of(seed, count, vocabulary):
    """Fixed random ids that hold the first and the last one of the vocabulary."""
    generator = torch.Generator().manual_seed(1000 + seed)
    tokens = torch.randint(0, vocabulary, (count,), generator=generator)
    tokens[0], tokens[3], tokens[4] = 1, vocabulary - 1, 0
    return tokens


def random_weights(model, seed, norm_center):
    """Fill `model` with values that BF16 and F16 hold: normal, deviation 0.25; norms around `norm_center`, deviation 0.2."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in sorted(model.named_parameters()):
        noise = torch.randn(value.shape, generator=generator)
        is_norm = "norm" in name or ".ln_" in name
        random = norm_center + 0.2 * noise if is_norm and name.endswith("weight") else 0.25 * noise
        value.data = random.bfloat16().half().to(value.dtype)


def load(folder, dtype):
    """The model of a folder, as transformers reads it. For float64 within `float64_source`."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager", experts_implementation="eager"
    )
    for name, value in model.named_parameters():
        assert value.dtype == dtype, name
    return model.eval()


@torch.no_grad()
def logits_of(model, tokens):
    """[T, V]."""
    return model(tokens[None], use_cache=False).logits[0]


@torch.no_grad()
def hidden_of(model, tokens):
    """[T, hidden_size] after the first layer."""
    return model(tokens[None], use_cache=False, output_hidden_states=True).hidden_states[1][0]


def greedy_of(model, tokens):
    """GREEDY_COUNT ids that follow `tokens`, each from a whole new pass, and the margins by which they were chosen."""
    ids, margins = [], []
    for _ in range(GREEDY_COUNT):
        best = logits_of(model, torch.cat([tokens, torch.tensor(ids, dtype=torch.int64)]))[-1].topk(2)
        ids.append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
    return torch.tensor(ids), torch.tensor(margins, dtype=torch.float64)


def relative_error(found, expected):
    """The largest difference over the largest magnitude."""
    return ((found.double() - expected.double()).abs().max() / expected.double().abs().max()).item()


def expectation(folder, model_type, tokens):
    """What the model of `folder` computes in float64, and the error of the same in float32."""
    with float64_source(model_type):
        model = load(folder, torch.float64)
        with NoFloat32():
            logits = logits_of(model, tokens)
            greedy, margins = greedy_of(model, tokens)
            expected = {
                "tokens": tokens,
                "logits": logits,
                "argmax": logits.argmax(-1),
                "hidden": hidden_of(model, tokens),
                "greedy": greedy,
                "margins": margins,
            }
    return expected, relative_error(logits_of(load(folder, torch.float32), tokens), logits)
