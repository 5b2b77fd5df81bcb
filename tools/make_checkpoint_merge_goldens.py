#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes Tests/Goldens/checkpoint-merge: what mergekit makes of small models, to compare `CheckpointMerge` with.

    python tools/make_checkpoint_merge_goldens.py [--check]

writes base, a, b and c (Llamas of two layers, b in two shards, c in bfloat16 with a larger vocabulary) and, for every recipe,
`expected.safetensors` with a few tensors of mergekit's result. --check makes all of it again and compares it with what is there.
mergekit 0.1.4, transformers and torch from PyPI; seeds are fixed. mergekit's own random stream is that of torch, task by task, in
the order in which it visits tensors, which is not ours: methods that draw are merged with densities of 1.
"""
import argparse
import json
import pathlib
import shutil
import tempfile

import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "Tests" / "Goldens" / "checkpoint-merge"
CONFIG = dict(
    architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=16, intermediate_size=32, num_attention_heads=2,
    num_key_value_heads=1, num_hidden_layers=3, head_dim=8, vocab_size=40, max_position_embeddings=64, rms_norm_eps=1e-5,
    hidden_act="silu", tie_word_embeddings=False, torch_dtype="float32", bos_token_id=1, eos_token_id=2, rope_theta=10000.0)
KEPT = [
    "model.embed_tokens.weight", "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight",
    "model.layers.2.self_attn.v_proj.weight", "model.layers.2.post_attention_layernorm.weight", "model.norm.weight",
    "lm_head.weight",
]
A, B, BASE = {"model": "a"}, {"model": "b"}, "base"


def weighted(*pairs, **more):
    return [{"model": name, "parameters": dict(weight=weight, **more)} for name, weight in pairs]


RECIPES = {
    "linear": dict(merge_method="linear", models=weighted(("a", 0.7), ("b", 0.4))),
    "linear-vocabulary": dict(merge_method="linear", models=weighted(("a", 0.7), ("c", 0.4))),
    "linear-bf16": dict(merge_method="linear", models=weighted(("a", 0.7), ("b", 0.4)), out_dtype="bfloat16"),
    "task_arithmetic": dict(merge_method="task_arithmetic", models=weighted(("a", 0.7), ("b", -0.4)), parameters={"lambda": 1.5}),
    "task_arithmetic-vocabulary": dict(merge_method="task_arithmetic", models=weighted(("a", 0.7), ("c", 0.4))),
    "ties": dict(merge_method="ties", models=weighted(("a", 0.7, ), ("b", 0.4), density=0.3)),
    "ties-gradient": dict(
        merge_method="ties",
        models=[
            {"model": "a", "parameters": {"weight": [0, 0.5, 1], "density": [{"filter": "mlp", "value": 0.5}, {"value": 1}]}},
            {"model": "b", "parameters": {"weight": 0.5, "density": 0.6}},
        ]),
    "dare_linear": dict(merge_method="dare_linear", models=weighted(("a", 0.7), ("b", 0.4), density=1.0)),
    "dare_ties": dict(merge_method="dare_ties", models=weighted(("a", 0.7), ("b", 0.4), density=1.0)),
    "della_linear": dict(merge_method="della_linear", models=weighted(("a", 0.7), ("b", 0.4), density=1.0)),
    "breadcrumbs": dict(merge_method="breadcrumbs", models=weighted(("a", 0.7), ("b", 0.4), density=0.5, gamma=0.1)),
    "breadcrumbs_ties": dict(merge_method="breadcrumbs_ties", models=weighted(("a", 0.7), ("b", 0.4), density=0.5, gamma=0.1)),
    "slerp": dict(
        merge_method="slerp", models=[B, A], base_model="a", parameters={"t": [{"filter": "self_attn", "value": [0, 0.5, 1]}, {"value": 0.3}]}),
    "nuslerp": dict(merge_method="nuslerp", models=weighted(("a", 0.7), ("b", 0.4)), base_model=None),
    "nuslerp-base": dict(merge_method="nuslerp", models=weighted(("a", 0.7), ("b", 0.4)), parameters={"nuslerp_flatten": False}),
    "multislerp": dict(merge_method="multislerp", models=weighted(("a", 0.7), ("b", 0.4)), base_model=None),
    "karcher": dict(merge_method="karcher", models=[A, B], base_model=None),
    "model_stock": dict(merge_method="model_stock", models=[A, B]),
    "sce": dict(merge_method="sce", models=[A, B], parameters={"select_topk": 0.5}),
    "arcee_fusion": dict(merge_method="arcee_fusion", models=[A]),
}


def shapes(vocabulary):
    h, kv, f = 16, 8, 32
    yield "model.embed_tokens.weight", [vocabulary, h]
    for layer in range(CONFIG["num_hidden_layers"]):
        p = f"model.layers.{layer}."
        for name, shape in [("input_layernorm", [h]), ("post_attention_layernorm", [h]), ("self_attn.q_proj", [h, h]),
                            ("self_attn.k_proj", [kv, h]), ("self_attn.v_proj", [kv, h]), ("self_attn.o_proj", [h, h]),
                            ("mlp.gate_proj", [f, h]), ("mlp.up_proj", [f, h]), ("mlp.down_proj", [h, f])]:
            yield p + name + ".weight", shape
    yield "model.norm.weight", [h]
    yield "lm_head.weight", [vocabulary, h]


def write_models(folder):
    random = torch.Generator().manual_seed(5)
    base = {}
    for name, shape in shapes(40):
        scale = 1 if len(shape) == 1 else shape[-1] ** -0.5
        base[name] = torch.randn(shape, generator=random) * scale
    for model in ["base", "a", "b", "c"]:
        tensors = {n: t.clone() if model == "base" else t + 0.05 * torch.randn(t.shape, generator=random) for n, t in base.items()}
        config = dict(CONFIG)
        if model == "c":
            for name, shape in shapes(44):
                if shape[0] == 44:
                    tensors[name] = torch.cat([tensors[name], torch.randn([4, 16], generator=random)])
            tensors = {n: t.bfloat16() for n, t in tensors.items()}
            config.update(vocab_size=44, torch_dtype="bfloat16")
        path = folder / model
        path.mkdir(parents=True)
        tensors = {n: t.contiguous() for n, t in sorted(tensors.items())}
        if model == "b":
            names = list(tensors)
            shards = {"model-00001-of-00002.safetensors": names[:9], "model-00002-of-00002.safetensors": names[9:]}
            for file, part in shards.items():
                save_file({n: tensors[n] for n in part}, path / file, metadata={"format": "pt"})
            index = {"metadata": {"total_size": 0}, "weight_map": {n: f for f, part in shards.items() for n in part}}
            (path / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")
        else:
            save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
        (path / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        if model == "base":
            (path / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}\n')


def recipe_of(name):
    recipe = {"dtype": "float32", "base_model": BASE} | RECIPES[name]
    if recipe["merge_method"] in ("linear",) or recipe["base_model"] is None:
        del recipe["base_model"]
    return recipe


def placed(value, folder):
    """Names of models as paths."""
    if isinstance(value, dict):
        return {k: str(folder / v) if k in ("model", "base_model") else placed(v, folder) for k, v in value.items()}
    return [placed(v, folder) for v in value] if isinstance(value, list) else value


def merge(recipe, out):
    """What mergekit-yaml does."""
    import mergekit.architecture.base as architecture
    from mergekit.config import MergeConfiguration
    from mergekit.merge import MergeOptions, run_merge

    # mergekit 0.1.4 leaves names of these classes open that newer versions of pydantic want to know.
    for value in list(vars(architecture).values()):
        if isinstance(value, type) and hasattr(value, "model_rebuild") and value.__module__ == architecture.__name__:
            value.model_rebuild(_types_namespace={**vars(architecture), "torch": torch}, force=True)
    run_merge(MergeConfiguration.model_validate(recipe), str(out), options=MergeOptions(copy_tokenizer=False, quiet=True))


def make(folder):
    write_models(folder)
    for name in RECIPES:
        with tempfile.TemporaryDirectory() as temporary:
            recipe = recipe_of(name)
            out = pathlib.Path(temporary) / "out"
            merge(placed(recipe, folder), out)
            tensors = {}
            for file in sorted(out.glob("*.safetensors")):
                tensors |= load_file(file)
            expected = {n: tensors[n].contiguous() for n in KEPT}
            save_file(expected, folder / f"{name}.safetensors", metadata={"recipe": json.dumps(recipe, sort_keys=True)})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.check:
        shutil.rmtree(GOLDENS, ignore_errors=True)
        make(GOLDENS)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary) / "goldens"
        make(folder)
        for name in RECIPES:
            old, new = load_file(GOLDENS / f"{name}.safetensors"), load_file(folder / f"{name}.safetensors")
            for tensor in old:
                torch.testing.assert_close(new[tensor], old[tensor], rtol=1e-6, atol=1e-7, msg=f"{name}: {tensor}")
    print(f"{len(RECIPES)} recipes: equal")


if __name__ == "__main__":
    main()
