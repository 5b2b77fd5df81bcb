# SPDX-License-Identifier: Apache-2.0
"""Whole fine-tuned models as the difference from their base: all of it, its largest entries, or its first singular triples."""

import types

import torch
from adapters import bases
from architectures.gguf_file import GGUFFile
from safetensors.torch import load_file

from . import exact


def sparse(delta, share):
    """The `share` of entries with the largest magnitudes, at least one."""
    count = max(1, int(share * delta.numel()))
    order = delta.abs().flatten().argsort(descending=True, stable=True)
    kept = torch.zeros(delta.numel(), dtype=delta.dtype)
    kept[order[:count]] = delta.flatten()[order[:count]]
    return kept.view_as(delta)


def truncated(delta, rank):
    u, s, v = torch.linalg.svd(delta, full_matrices=False)
    return u[..., :rank] * s[..., None, :rank] @ v[..., :rank, :]


def parts_of(model, name):
    """Rows of a stored matrix that are matrices of their own."""
    if "c_attn.weight" in name:
        return 3
    return 2 if "gate_up_proj" in name else 1


def reduced(model, name, delta, reduce):
    """Linear modules only, part by part; experts one by one; the rest whole."""
    if not name.endswith((".weight", "_up_proj", "down_proj")) or delta.dim() < 2 or "embed" in name or "wte" in name or "wpe" in name:
        return delta
    turned = name.endswith(".weight") and exact.is_conv1d(model.get_submodule(name.rsplit(".", 1)[0]))
    matrix = delta.T if turned else delta
    parts = matrix.chunk(parts_of(model, name), dim=-2)
    if matrix.dim() == 3:
        parts = [torch.stack([reduce(expert) for expert in part]) for part in parts]
    else:
        parts = [reduce(part) for part in parts]
    result = torch.cat(parts, dim=-2)
    return result.T if turned else result


def case(name, base, features, form, delta):
    def make(root, temporary):
        folder, seed = root / name, 110 + len(name)
        generator = torch.Generator().manual_seed(seed)
        model = bases.load_base(root / "bases" / base)
        before = {key: value.data.clone() for key, value in model.named_parameters()}
        for _, value in sorted(model.named_parameters()):
            moved = value.data + 0.05 * torch.randn(value.shape, generator=generator)
            value.data = moved.bfloat16().float()
        deltas = {key: value.data.double() - before[key].double() for key, value in model.named_parameters()}
        target = temporary / "task" if form == "gguf" else folder
        saved = model.bfloat16()
        saved.config._name_or_path = ""
        saved.save_pretrained(target)
        (target / "generation_config.json").unlink(missing_ok=True)
        if form == "gguf":
            # The base's row is found by the folder's name.
            renamed = temporary / base
            target.rename(renamed)
            write_bf16(renamed, folder / "model.gguf")
        tokens, logits, about = bases.tokens_of(seed), {}, {}
        ways = {"logits": lambda d: d, "logits.sparse 0.2": lambda d: sparse(d, 0.2), "logits.rank 4": lambda d: truncated(d, 4)}
        for key, reduce in ways.items():
            change = {p: reduced(model, p, d, reduce) for p, d in deltas.items()}

            def apply(target, change=change):
                for parameter, value in change.items():
                    target.get_parameter(parameter).data += value.to(next(target.parameters()).dtype)

            logits[key], error = exact.changed(root, base, tokens, apply)
            about["error"] = f"{error:.1e}"
        shown = deltas[delta + ".weight"]
        turned = exact.is_conv1d(model.get_submodule(delta))
        return folder, base, tokens, logits, {delta: shown.T if turned else shown}, about

    return name, features, make


def write_bf16(folder, path):
    row = bases.BASES[folder.name]
    weights = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
    model = types.SimpleNamespace(kind=row.kind, name="task", config=row.config)
    GGUFFile(model, bases.load_base(folder).config, weights).write(path, "BF16")


CASES = [
    case("task-folder", "llama-bias", "a folder: biases, norms, embedding, head", "folder", "model.layers.1.self_attn.k_proj"),
    case("task-gguf", "llama", "GGUF", "gguf", "model.layers.1.self_attn.k_proj"),
    case("task-gpt2", "gpt2", "a folder: Conv1D, fused c_attn, LayerNorm, tied", "folder", "transformer.h.1.mlp.c_fc"),
    case("task-experts", "mixtral", "a folder: experts and router", "folder", "model.layers.1.self_attn.k_proj"),
]
