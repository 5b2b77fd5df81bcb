# SPDX-License-Identifier: Apache-2.0
"""What a tiny base computes with a change, in float64: by changed weights, or by changed hidden states."""

import contextlib
import json

import torch
from adapters import bases
from architectures import reference
from safetensors.torch import save_file


def module_of(model, path):
    return model.get_submodule(path)


def is_conv1d(module):
    return type(module).__name__ == "Conv1D"


@contextlib.contextmanager
def float64_base(root, base):
    """The base in float64, for use within the block."""
    model = bases.load_base(root / "bases" / base)
    with reference.float64_source(bases.BASES[base].kind):
        yield bases.to_float64(model).eval()


@torch.no_grad()
def add(model, deltas):
    """Add to weights: by parameter name, in the orientation [.., out, in] of a linear module."""
    for name, delta in deltas.items():
        parameter = model.get_parameter(name)
        turned = name.endswith(".weight") and is_conv1d(model.get_submodule(name.rsplit(".", 1)[0]))
        parameter.data += (delta.T if turned else delta).to(parameter.dtype)


@torch.no_grad()
def put(model, values):
    for name, value in values.items():
        parameter = model.get_parameter(name)
        assert parameter.shape == value.shape, name
        parameter.data = value.to(parameter.dtype)


@torch.no_grad()
def logits_of(model, tokens):
    return model(tokens[None], use_cache=False).logits[0]


def changed(root, base, tokens, change):
    """Logits in float64, and the error of the same in float32, after `change(model)`."""
    with float64_base(root, base) as model:
        change(model)
        with reference.NoFloat32():
            exact = logits_of(model, tokens)
    model = bases.load_base(root / "bases" / base)
    change(model)
    return exact, reference.relative_error(logits_of(model, tokens), exact)


def write(folder, root, base, tokens, logits, deltas=None, about=None):
    """expected.safetensors, as beside peft's adapters: the metadata `weft` holds base, errors, and what the case is made of."""
    plain = logits_of(bases.load_base(root / "bases" / base), tokens)
    name, first = next(iter(logits.items()))
    fields = {"base": base} | (about or {}) | {"change": f"{reference.relative_error(plain, first):.1e}"}
    tensors = dict(logits) | {f"delta.{key}": value for key, value in (deltas or {}).items()}
    rounded = {key: value.to(torch.float32).contiguous() for key, value in tensors.items()}
    save_file({"tokens": tokens.to(torch.int32), **rounded}, folder / "expected.safetensors", {"weft": json.dumps(fields)})
    return fields
