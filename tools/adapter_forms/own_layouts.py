# SPDX-License-Identifier: Apache-2.0
"""Methods without a file form of their own, in the layouts of docs/adapter-layouts.md; BitDelta; steering vectors."""

import torch
from adapters import bases
from safetensors.torch import save_file

from . import exact
from .gguf_forms import random

SIZES = {
    "self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "self_attn.v_proj": (16, 32), "self_attn.o_proj": (32, 32),
    "mlp.gate_proj": (64, 32), "mlp.up_proj": (64, 32), "mlp.down_proj": (32, 64),
}  # fmt: skip
K = "model.layers.1.self_attn.k_proj"


def run(root, name, base, tensors, metadata, change, seed, deltas):
    folder, tokens = root / name, bases.tokens_of(seed)
    save_file({key: value.contiguous() for key, value in tensors.items()}, folder / "adapter.safetensors", metadata or None)
    logits, error = exact.changed(root, base, tokens, change)
    return folder, base, tokens, {"logits": logits}, deltas, {"error": f"{error:.1e}"}


def signs_of(mask):
    """BitDelta: bit j of word w is row 32 w + j of the transposed matrix; [out, in]."""
    rows, columns = mask.shape
    bits = (mask.to(torch.int64)[:, None, :] >> torch.arange(32)[None, :, None]) & 1
    return (bits.reshape(rows * 32, columns) * 2 - 1).T.double()


def make_bitdelta(root, temporary):
    """Signs and one coefficient per module; a norm and the head as whole replacements."""
    generator = torch.Generator().manual_seed(101)
    tensors, weights = {}, {}
    for layer in range(2):
        for module, (rows, columns) in SIZES.items():
            path = f"model.layers.{layer}.{module}"
            words = torch.randint(-(2**31), 2**31, (columns // 32, rows), generator=generator, dtype=torch.int64)
            mask, coefficient = words.to(torch.int32), 0.02 + 0.01 * torch.rand((), generator=generator)
            tensors |= {f"{path}.mask": mask, f"{path}.coeff": coefficient}
            weights[path + ".weight"] = coefficient.double() * signs_of(mask)
    values = {"model.norm.weight": 1 + random(generator, 32), "lm_head.weight": random(generator, 96, 32)}

    def change(model):
        exact.add(model, weights)
        exact.put(model, values)

    return run(root, "bitdelta", "llama", tensors | values, None, change, 101, {K: weights[K + ".weight"]})


def make_ssf(root, temporary):
    """y = scale * (W x + b) + shift for linear modules; the same for what norms write."""
    generator = torch.Generator().manual_seed(102)
    tensors = {}
    for layer in range(2):
        for module, (rows, _) in SIZES.items():
            path = f"model.layers.{layer}.{module}"
            tensors |= {f"{path}.ssf_scale": 1 + random(generator, rows), f"{path}.ssf_shift": random(generator, rows)}
        path = f"model.layers.{layer}.input_layernorm"
        tensors[f"{path}.ssf_scale"] = 1 + random(generator, 32)

    def change(model):
        def hook(path):
            def scaled(module, inputs, output):
                scale, shift = tensors[f"{path}.ssf_scale"], tensors.get(f"{path}.ssf_shift")
                output = output * scale.to(output.dtype)
                return output if shift is None else output + shift.to(output.dtype)

            return scaled

        for path in {key.rpartition(".")[0] for key in tensors}:
            model.get_submodule(path).register_forward_hook(hook(path))

    return run(root, "ssf", "llama-bias", tensors, None, change, 102, {})


def make_nola(root, temporary):
    """A and B are weighted sums of random bases, which modules of one kind share."""
    generator = torch.Generator().manual_seed(103)
    tensors, weights = {}, {}
    for module in ["self_attn.k_proj", "mlp.down_proj"]:
        rows, columns = SIZES[module]
        kind = module.split(".")[1]
        a, b = random(generator, 5, 2, columns), random(generator, 4, rows, 2)
        tensors |= {f"nola_basis_A.{kind}": a, f"nola_basis_B.{kind}": b}
        for layer in range(2):
            path = f"model.layers.{layer}.{module}"
            alpha, beta = random(generator, 5), random(generator, 4)
            tensors |= {f"{path}.nola_alpha": alpha, f"{path}.nola_beta": beta}
            sums = [torch.einsum("k,krc->rc", c.double(), basis.double()) for c, basis in [(alpha, a), (beta, b)]]
            weights[path + ".weight"] = 12 * sums[1] @ sums[0]
    change = lambda model: exact.add(model, weights)  # noqa: E731
    return run(root, "nola", "llama", tensors, {"scale": "12"}, change, 103, {K: weights[K + ".weight"]})


def make_mos(root, temporary):
    """Rows of A and columns of B are put together from shards of pools, which modules of one kind share."""
    generator = torch.Generator().manual_seed(104)
    tensors, weights = {}, {}
    for module in ["self_attn.k_proj", "mlp.down_proj"]:
        rows, columns = SIZES[module]
        kind = module.split(".")[1]
        a, b = random(generator, 9, columns // 4), random(generator, 7, rows // 2)
        tensors |= {f"mos_pool_A.{kind}": a, f"mos_pool_B.{kind}": b}
        for layer in range(2):
            path = f"model.layers.{layer}.{module}"
            index_a = torch.randint(0, 9, (3, 4), generator=generator, dtype=torch.int32)
            index_b = torch.randint(0, 7, (3, 2), generator=generator, dtype=torch.int32)
            tensors |= {f"{path}.mos_index_A": index_a, f"{path}.mos_index_B": index_b}
            factors = [pool.double()[index.long()].flatten(1) for pool, index in [(a, index_a), (b, index_b)]]
            weights[path + ".weight"] = 1.5 * factors[1].T @ factors[0]
    change = lambda model: exact.add(model, weights)  # noqa: E731
    return run(root, "mos", "llama", tensors, {"scale": "1.5"}, change, 104, {K: weights[K + ".weight"]})


def make_steering(root, temporary):
    """A vector after every layer."""
    generator = torch.Generator().manual_seed(105)
    tensors = {f"layers.{layer}": random(generator, 32) for layer in range(2)}

    def change(model):
        for layer in range(2):
            vector = tensors[f"layers.{layer}"].to(next(model.parameters()).dtype)
            model.model.layers[layer].register_forward_hook(lambda _, __, output, vector=vector: output + vector)

    return run(root, "steering", "llama", tensors, None, change, 105, {})


CASES = [
    ("bitdelta", "signs, coefficients, replaced norm and head", make_bitdelta),
    ("ssf", "scale and shift of linear modules and of a norm, base with biases", make_ssf),
    ("nola", "shared bases, scale 12", make_nola),
    ("mos", "shared pools, scale 1.5", make_mos),
    ("steering", "a vector after every layer", make_steering),
]
