#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the tiny models of all architectures and their expected numbers under Tests/Goldens/architectures.

    python tools/make_architecture_goldens.py               all models, and README.md
    python tools/make_architecture_goldens.py NAME ...      those whose names begin so
    python tools/make_architecture_goldens.py --check       all into a temporary folder, compared with what is committed

Models are random (tools/architectures/models.py), written by transformers' save_pretrained and by the gguf package with the
conventions of llama.cpp's converter. Expected logits are transformers' own, read from that folder, with every float32 step of
its source evaluated in float64. Every GGUF file is run by llama.cpp (matrices in F32) and compared.
"""

import argparse
import filecmp
import importlib.metadata
import json
import pathlib
import shutil
import sys
import tempfile

import torch
import transformers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "architectures"))
import adapters  # noqa: E402
import openelm  # noqa: E402, F401 (registers itself with transformers)
import reference  # noqa: E402
from gguf_file import GGUFFile  # noqa: E402
from llama_check import llama_cpp_logits, with_table_gelu  # noqa: E402
from models import MODELS, TOKEN_COUNT  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "architectures"
# Of llama.cpp's logits, whose arithmetic is float32; and where GELU is a table of F16, of which it may take the next entry.
LLAMA_CPP_BOUND = 1e-5
TABLE_BOUND = 5e-4


def write_folder(model, folder):
    """config.json and model.safetensors, BF16, as transformers writes them."""
    config = transformers.AutoConfig.for_model(model.kind, **model.config)
    made = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    reference.random_weights(made, model.seed, 0 if model.kind.startswith("gemma") else 1)
    made.tie_weights()
    made.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    if model.drop_prefix:
        path = folder / "model.safetensors"
        weights = {key.removeprefix(model.drop_prefix): value for key, value in load_file(path).items()}
        save_file(weights, path, {"format": "pt"})
    fields = json.loads((folder / "config.json").read_text())
    if model.published:
        fields = published(fields)
    (folder / "config.json").write_text(json.dumps(fields, indent=1, sort_keys=True) + "\n")


def published(fields):
    """config.json as it was written before transformers 5."""
    fields["torch_dtype"] = fields.pop("dtype", None)
    if "text_config" in fields:
        fields["text_config"] = published(fields["text_config"])
        return fields
    kinds = fields.pop("layer_types", None)
    rope = fields.pop("rope_parameters")
    if fields["model_type"] == "gemma3_text":
        fields["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
        fields["sliding_window_pattern"] = kinds.index("full_attention") + 1
        rope = rope["full_attention"]
    fields["rope_theta"] = rope.pop("rope_theta")
    fields["rope_scaling"] = rope if rope["rope_type"] != "default" else None
    # Gemma 3 was never published with the old spelling, and transformers 5 would pass it over there.
    if rope["rope_type"] == "linear" and fields["model_type"] != "gemma3_text":
        rope["type"] = rope.pop("rope_type")
    if fields["model_type"] == "phi3":
        rope.pop("original_max_position_embeddings", None)
        fields["partial_rotary_factor"] = rope.pop("partial_rotary_factor")
        rope["type"] = rope.pop("rope_type")
    if fields["model_type"] == "qwen3_moe":
        fields["num_experts"] = fields.pop("num_local_experts")
    if fields["model_type"] == "gemma":
        fields["hidden_act"] = "gelu"
    if fields["model_type"] == "gemma2":
        fields["hidden_act"] = fields["hidden_activation"]
    if fields["model_type"] == "smollm3":
        fields.pop("no_rope_layers")
    if fields["model_type"] in ("gemma", "gemma2", "gemma3_text"):
        fields.pop("tie_word_embeddings")
    return fields


def save_expected(path, tensors):
    """Floats rounded once, to F32; integers as I64."""
    rounded = {key: (value if value.dtype == torch.int64 else value.float()).contiguous() for key, value in tensors.items()}
    save_file(rounded, path)


def without_window(folder, temporary):
    """A copy of a folder whose configuration has no sliding window."""
    shutil.copytree(folder, temporary)
    fields = json.loads((temporary / "config.json").read_text())
    fields.update(sliding_window=None, use_sliding_window=False)
    fields.pop("layer_types", None)
    (temporary / "config.json").write_text(json.dumps(fields))
    return temporary


def make_model(model, root):
    """One folder; returns its row of the README."""
    folder = root / model.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_folder(model, folder)
    config = transformers.AutoConfig.from_pretrained(folder)
    tokens = reference.tokens_of(model.seed, TOKEN_COUNT, config.get_text_config().vocab_size)
    expected, error = reference.expectation(folder, model.kind, tokens)
    row = {"name": model.name, "features": model.features, "f32": error, "llama": None}
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        logits = expected["logits"]
        if model.gguf in ("full", "ignored"):
            full, _ = reference.expectation(without_window(folder, temporary / "full"), model.kind, tokens)
            logits = expected["logits_full"] = full["logits"]
            assert reference.relative_error(logits, expected["logits"]) > 0.1
        if model.gguf in ("same", "full", "ignored"):
            weights = {key: value.float() for key, value in load_file(folder / "model.safetensors").items()}
            file = GGUFFile(model, config, weights)
            file.write(folder / "model.gguf", "F16")
            file.write(temporary / "check.gguf", "F32", model.check)
            found = llama_cpp_logits(temporary / "check.gguf", tokens, **model.options)
            row["llama"] = reference.relative_error(found, logits)
            if same := with_table_gelu(reference.load(folder, torch.float32)):
                row["table"] = reference.relative_error(found, reference.logits_of(same, tokens))
            assert row.get("table", 0) < TABLE_BOUND and ("table" in row or row["llama"] < LLAMA_CPP_BOUND), row
        else:
            row["no_gguf"] = model.gguf
    save_expected(folder / "logits.safetensors", expected)
    row["bytes"] = sum(file.stat().st_size for file in folder.iterdir())
    print({key: value for key, value in row.items() if key != "features"}, f"least margin {expected['margins'].min():.3f}")
    return row


def make_adapters(chosen, root, temporary):
    """All adapters of the chosen models; returns the rows of the README."""
    kinds = {model.name: model.kind for model in chosen}
    rows = []
    for adapter in [*adapters.ADAPTERS, adapters.UNFUSED, *adapters.PER_EXPERT]:
        if adapter.base not in kinds:
            continue
        base, folder = root / adapter.base, root / adapter.base / adapter.folder
        known = load_file(base / "logits.safetensors")
        if adapter is adapters.UNFUSED:
            adapters.make_unfused(adapter, base, folder, known["tokens"], temporary)
        elif adapter in adapters.PER_EXPERT:
            adapters.make_per_expert(adapter, kinds[adapter.base], base, folder, known["tokens"], temporary)
        else:
            adapters.make_adapter(adapter, kinds[adapter.base], base, folder, known["tokens"])
        change = reference.relative_error(load_file(folder / "expected.safetensors")["logits"], known["logits"])
        assert change > 0.3, "the adapter does too little"
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{adapter.base}/{adapter.folder}: change {change:.2f}, {size} bytes")
        cells = [f"{adapter.base}/{adapter.folder}", adapter.seed, adapter.rank, adapter.features, f"{change:.2f}", size]
        rows.append(f"| {' | '.join(map(str, cells))} |\n")
    return rows


README = """# Golden models of all architectures

Made by `python tools/make_architecture_goldens.py` with
{versions}.

A folder holds one random model: `config.json` and `model.safetensors` (BF16) as transformers writes them, and most also
`model.gguf` with the same weights (matrices F16, the rest F32). `logits.safetensors`: `tokens` [T], `logits` [T, V], `hidden`
[T, hidden_size] (the residual stream after the first layer), `argmax` [T], and the eight ids `greedy` that follow with the
`margins` by which each was chosen, each from a whole new pass. All is computed by transformers in float64 from the stored
weights (OpenELM: by tools/architectures/openelm.py) and rounded to F32. `logits_full`: the same without the sliding window.

Errors are the largest difference over the largest magnitude. f32: transformers in float32. llama.cpp: from the GGUF with all
matrices in F32; in brackets against transformers whose GELU is, as ggml's, a table of F16. "full": the GGUF does not tell of
the window and llama.cpp has `logits_full`. "window passed over": the GGUF tells of it, and llama.cpp computes `logits_full`
all the same. "told": the GGUF tells of it too, but llama.cpp reads it from no file of this architecture.

| folder | seed | features | f32 | llama.cpp | bytes |
|---|---|---|---|---|---|
"""
ADAPTERS = """
Adapters (LoRA, alpha = 3 x rank, BF16) on all linear layers but the head, saved by peft, with `expected.safetensors`: `tokens`
[T] and `logits` [T, V] of the adapted model in float64. Change: the largest difference from the base's logits over their
largest magnitude. `adapter-per-expert` is named as peft saved adapters before transformers 5; its logits are those of the
stored weights + scale B A.

| folder | seed | rank | adapts | change | bytes |
|---|---|---|---|---|---|
"""


def readme_row(model, row):
    llama = f"no GGUF: {row['no_gguf']}" if "no_gguf" in row else f"{row['llama']:.1e}"
    llama += f" ({row['table']:.1e})" if "table" in row else ""
    llama += f", told {', '.join(model.options)}" if model.options else ""
    llama += {"full": ", full", "ignored": ", window passed over"}.get(model.gguf, "")
    return f"| {model.name} | {model.seed} | {model.features} | {row['f32']:.1e} | {llama} | {row['bytes']} |\n"


def write_readme(root, rows, adapter_rows):
    packages = ["torch", "transformers", "peft", "safetensors", "gguf", "numpy", "llama_cpp_python"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    (root / "README.md").write_text(README.format(versions=versions) + "".join(rows) + ADAPTERS + "".join(adapter_rows))


def different_files(made):
    """Names of the files that differ from the committed ones."""
    names = {str(file.relative_to(root)) for root in (made, ROOT) for file in root.rglob("*") if file.is_file()}
    return sorted(
        name
        for name in names
        if not ((made / name).exists() and (ROOT / name).exists() and filecmp.cmp(made / name, ROOT / name, shallow=False))
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    chosen = [model for model in MODELS if not arguments.names or model.name.startswith(tuple(arguments.names))]
    with tempfile.TemporaryDirectory() as temporary:
        temporary = pathlib.Path(temporary)
        root = temporary / "made" if arguments.check else ROOT
        rows = [readme_row(model, make_model(model, root)) for model in chosen]
        adapter_rows = make_adapters(chosen, root, temporary)
        if len(chosen) == len(MODELS):
            write_readme(root, rows, adapter_rows)
        if arguments.check:
            different = different_files(root)
            print("\n".join(f"differs: {name}" for name in different) or "all files are identical")
            return bool(different)
    return 0


if __name__ == "__main__":
    sys.exit(main())
