# SPDX-License-Identifier: Apache-2.0
"""The README.md beside the golden adapters in other forms."""

import importlib.metadata
import os
import subprocess

TEXT = """# Golden adapters in forms that are not peft's

Made by `python tools/make_adapter_form_goldens.py` with {versions};
`--check` makes them again and compares. The bases are those of `../families/bases`.

`expected.safetensors` has `tokens` [T], `logits` [T, V] of the changed base, computed by transformers in float64, and
`delta.<module>` [out, in]; `logits.<option>` where a load option changes them. Its metadata `weft` is a JSON object: the base;
error, the same computation in float32 from that in float64; change, the base from the changed base; and the errors of foreign
runtimes with the same files: llama.cpp, MLX, loralib, the library `adapters`. Errors are the largest difference over the
largest magnitude.

| case | base | features | error | change | foreign runtime | bytes |
|---|---|---|---|---|---|---|
"""
RUNTIMES = ["llama.cpp", "peft", "mlx-lm", "loralib", "adapters"]


def versions_of(python, packages):
    program = "import importlib.metadata as m; print(', '.join(f'{{p}} {{m.version(p)}}' for p in {!r}))".format(packages)
    return subprocess.run([python, "-c", program], check=True, capture_output=True, text=True).stdout.strip()


def write(root, rows):
    packages = ["torch", "transformers", "peft", "safetensors", "numpy", "gguf", "llama_cpp_python"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    versions += ", " + versions_of(os.environ["WEFT_PYTHON_MLX"], ["mlx", "mlx-lm", "loralib"])
    versions += ", " + versions_of(os.environ["WEFT_PYTHON_ADAPTERS"], ["adapters", "transformers"])
    lines = []
    for row in rows:
        foreign = ", ".join(f"{name} {row[name]}" for name in RUNTIMES if name in row)
        cells = [row["name"], row["base"], row["features"], row.get("error", "-"), row["change"], foreign, str(row["bytes"])]
        lines.append(f"| {' | '.join(cells)} |\n")
    (root / "README.md").write_text(TEXT.format(versions=versions) + "".join(lines))
