# SPDX-License-Identifier: Apache-2.0
"""The README.md beside the golden adapters."""

import importlib.metadata

from . import bases

TEXT = """# Golden adapters of all families of peft

Made by `python tools/make_adapter_goldens.py` with {versions};
`--check` makes them again and compares.

`bases/` holds the models: 2 layers, hidden size 32, 96 tokens, F32 weights that BF16 holds.

| base | seed | features |
|---|---|---|
{bases}
Every other folder holds an adapter as peft saved it. Its weights are those that peft begins with, moved by normal noise; the
seed is the CRC-32 of the folder's name. `expected.safetensors` has `tokens` [T], `logits` [T, V] of the adapter that was
loaded again onto a fresh base in float32 and run in float64, not merged; `merged` [T, V] where the merged model differs; and
`delta.<module>` [out, in], merged weight - base weight, where peft can merge. Its metadata `weft` is a JSON object: base, peft
version, seed, why peft does not merge, and these errors, each the largest difference over the largest magnitude:

- error: peft in float32 from peft in float64, both loaded from the folder;
- reload: the model that was saved from the one that was loaded (float32);
- change: the base from the adapted model;
- merging: the merged model from the unmerged one (both in float64).

A folder without `expected.safetensors` must be refused. `mixtures.safetensors` has `tokens` and, by mixture text, the logits
of llama with the weighted sum of the deltas of several families, added in float64.

| case | base | features | error | reload | change | merging | bytes |
|---|---|---|---|---|---|---|---|
"""


def table_row(row):
    if row["refused"]:
        return f"| {row['name']} | {row['base']} | {row['features']} | refused: {row['refused']} | | | | {row['bytes']} |\n"
    numbers = [row["error"], row["reload"], row["change"], row.get("merging", "-")]
    return f"| {row['name']} | {row['base']} | {row['features']} | {' | '.join(numbers)} | {row['bytes']} |\n"


def write(root, rows):
    packages = ["torch", "transformers", "peft", "safetensors", "numpy", "scipy", "scikit-learn", "PyWavelets"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    table = "".join(f"| {name} | {base.seed} | {base.features} |\n" for name, base in bases.BASES.items())
    text = TEXT.format(versions=versions, bases=table) + "".join(map(table_row, rows))
    (root / "README.md").write_text(text)
