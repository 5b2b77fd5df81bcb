# SPDX-License-Identifier: Apache-2.0
"""Adapters of mlx-lm, which makes, saves and runs them; the formula again, here, in float64."""

import json
import os
import pathlib
import subprocess

import torch
from adapters import bases
from architectures import reference
from safetensors.torch import load_file

from . import exact

SCRIPT = pathlib.Path(__file__).parent / "foreign" / "mlx_adapter.py"


def parameter_of(model, module):
    """The parameter of transformers, and which rows of it, that mlx-lm calls `module`."""
    if ".switch_mlp." not in module:
        return f"{module.replace('.block_sparse_moe.', '.mlp.')}.weight", slice(None)
    path, part = module.split(".block_sparse_moe.switch_mlp.")
    if part == "down_proj":
        return f"{path}.mlp.experts.down_proj", slice(None)
    rows = model.get_parameter(f"{path}.mlp.experts.gate_up_proj").shape[1] // 2
    return f"{path}.mlp.experts.gate_up_proj", slice(0, rows) if part == "gate_proj" else slice(rows, None)


@torch.no_grad()
def apply(model, tensors, scale):
    modules = {}
    for name, value in tensors.items():
        path, _, parameter = name.rpartition(".")
        modules.setdefault(path, {})[parameter] = value
    changed = {}
    for path, values in modules.items():
        name, rows = parameter_of(model, path)
        weight = model.get_parameter(name)
        before = weight.data.clone()
        if "weight" in values:
            weight.data = values["weight"].to(weight.dtype)
        else:
            part = weight.data[..., rows, :]
            a, b = values["lora_a"].to(part.dtype), values["lora_b"].to(part.dtype)
            if part.dim() == 3:
                part += scale * b @ a
            elif "embed" in path:
                part += scale * a @ b
            else:
                part += scale * (a @ b).T
            if "m" in values:
                part *= (values["m"].to(part.dtype) / part.norm(dim=1))[:, None]
        changed[path] = weight.data - before
    return changed


def case(name, base, features, kind="lora", layers=2, keys=None, parameters=None, delta=None):
    def make(root, temporary):
        folder, seed = root / name, 80 + len(name)
        tokens = bases.tokens_of(seed)
        options = {"type": kind, "num_layers": layers, "seed": seed, "tokens": tokens.tolist(), "parameters": None}
        if kind != "full":
            options["parameters"] = {"rank": 2, "dropout": 0.0, "scale": 1.5} | ({"keys": keys} if keys else {})
        result = subprocess.run(
            [os.environ["WEFT_PYTHON_MLX"], str(SCRIPT), str((root / "bases" / base).resolve()), json.dumps(options), str(folder)],
            check=True,
            stdout=subprocess.PIPE,
        )
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1) + "\n")
        tensors = load_file(folder / "adapters.safetensors")
        deltas = {}

        def change(model):
            found = apply(model, tensors, 1.5)
            if next(model.parameters()).dtype == torch.float64 and delta:
                deltas[delta] = found[delta]

        logits, error = exact.changed(root, base, tokens, change)
        mlx = reference.relative_error(torch.tensor(json.loads(result.stdout)), logits)
        assert mlx < 1e-4, mlx
        return folder, base, tokens, {"logits": logits}, deltas, {"error": f"{error:.1e}", "mlx-lm": f"{mlx:.1e}"}

    return name, features, make


K, Q = "model.layers.1.self_attn.k_proj", "model.layers.1.self_attn.q_proj"
CASES = [
    case("mlx-lora", "llama", "the last layer only, all linear modules", layers=1, delta=K),
    case("mlx-keys", "llama-bias", "keys, base with biases", keys=["self_attn.q_proj", "mlp.down_proj"], delta=Q),
    case("mlx-dora", "llama", "dora: m", kind="dora", keys=["self_attn.k_proj", "self_attn.o_proj", "mlp.up_proj"], delta=K),
    case("mlx-dora-bias", "llama-bias", "dora beside biases", kind="dora", keys=["self_attn.k_proj", "mlp.down_proj"], delta=K),
    case("mlx-embedding", "llama", "keys of the embedding and the head", keys=["model.embed_tokens", "lm_head"]),
    case("mlx-experts", "mixtral", "stacked experts and their router", keys=["block_sparse_moe.gate", "block_sparse_moe.switch_mlp.gate_proj", "block_sparse_moe.switch_mlp.down_proj", "block_sparse_moe.switch_mlp.up_proj"]),
    case("mlx-full", "llama", "full: all tensors of the last layer", kind="full", layers=1, delta=K),
]  # fmt: skip
