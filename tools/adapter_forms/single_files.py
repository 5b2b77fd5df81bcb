# SPDX-License-Identifier: Apache-2.0
"""LoRA in one safetensors file without a configuration: loralib, kohya's names, old names of peft."""

import json
import os
import pathlib
import subprocess

import torch
from adapters import bases
from architectures import reference
from safetensors.torch import load_file, save_file

from . import exact
from .gguf_forms import random

SCRIPT = pathlib.Path(__file__).parent / "foreign" / "loralib_adapter.py"
SIZES = {"self_attn.q_proj": (32, 32), "self_attn.k_proj": (16, 32), "mlp.down_proj": (32, 64)}


def run(root, name, base, tensors, weights, tokens, options, delta):
    folder = root / name
    if tensors:
        save_file(tensors, folder / "adapter.safetensors")
    logits, error = exact.changed(root, base, tokens, lambda model: exact.add(model, weights))
    about = {"error": f"{error:.1e}", "options": options}
    return folder, base, tokens, {"logits": logits}, {delta: weights[delta + ".weight"]}, about


def make_loralib(root, temporary):
    """loralib makes, saves (lora_state_dict) and runs it; alpha is in no file."""
    name, base = "single-loralib", "llama"
    tokens = bases.tokens_of(91)
    options = {"base": str((root / "bases" / base).resolve()), "tokens": tokens.tolist(), "path": str(root / name / "adapter.safetensors")}
    result = subprocess.run([os.environ["WEFT_PYTHON_MLX"], str(SCRIPT), json.dumps(options)], check=True, stdout=subprocess.PIPE)
    found = torch.tensor(json.loads(result.stdout))
    stored, weights = load_file(root / name / "adapter.safetensors"), {}
    for key, a in stored.items():
        if key.endswith(".lora_A"):
            delta = 1.5 * stored[key[:-1] + "B"].double() @ a.double()
            weights[key.removesuffix(".lora_A") + ".weight"] = delta.T if "embed" in key else delta
    parts = run(root, name, base, None, weights, tokens, {"alpha": 3}, "model.layers.1.self_attn.k_proj")
    parts[-1]["loralib"] = f"{reference.relative_error(found, parts[3]['logits']):.1e}"
    return parts


def make_kohya(root, temporary):
    """alpha is a tensor of every module."""
    generator = torch.Generator().manual_seed(92)
    tensors, weights = {}, {}
    for layer in range(2):
        for index, (module, (rows, columns)) in enumerate(SIZES.items()):
            path, rank, alpha = f"model.layers.{layer}.{module}", 1 + index, 2.0 + layer
            down, up = random(generator, rank, columns), random(generator, rows, rank)
            tensors |= {f"{path}.lora_down.weight": down, f"{path}.lora_up.weight": up, f"{path}.alpha": torch.tensor(alpha)}
            weights[path + ".weight"] = alpha / rank * up.double() @ down.double()
    return run(root, "single-kohya", "llama", tensors, weights, bases.tokens_of(92), {}, "model.layers.1.self_attn.k_proj")


def make_old(root, temporary):
    """peft's tensors without their configuration, with the adapter's name in the middle."""
    generator = torch.Generator().manual_seed(93)
    tensors, weights = {}, {}
    for module, (rows, columns) in SIZES.items():
        path = f"model.layers.0.{module}"
        a, b = random(generator, 2, columns), random(generator, rows, 2)
        tensors |= {f"{path}.lora_A.default.weight": a, f"base_model.model.{path}.lora_B.default.weight": b}
        weights[path + ".weight"] = 2 * b.double() @ a.double()
    return run(root, "single-old", "llama-bias", tensors, weights, bases.tokens_of(93), {"alpha": 4}, "model.layers.0.self_attn.k_proj")


CASES = [
    ("single-loralib", "lora_A and lora_B, also of the embedding; alpha 3 as an option", make_loralib),
    ("single-kohya", "lora_down, lora_up and alpha", make_kohya),
    ("single-old", "peft's older names; alpha 4 as an option", make_old),
]
