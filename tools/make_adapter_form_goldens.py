#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the golden adapters in forms that are not peft's under Tests/Goldens/forms, for the bases of Tests/Goldens/families.

    python tools/make_adapter_form_goldens.py               all cases, and README.md
    python tools/make_adapter_form_goldens.py NAME ...      those cases whose names begin so
    python tools/make_adapter_form_goldens.py --check       all into a temporary folder, compared with what is committed

Needs torch, transformers, peft, safetensors, gguf and llama-cpp-python; WEFT_LLAMA_CPP, the sources of llama.cpp with its
converters (the source package of llama-cpp-python has them); WEFT_PYTHON_MLX, a Python with mlx, mlx-lm and loralib; and
WEFT_PYTHON_ADAPTERS, a Python with the library `adapters` of AdapterHub, which needs transformers 4. Versions are in README.md.
"""

import argparse
import filecmp
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402
from adapter_forms import bottleneck_forms, exact, gguf_forms, mlx_forms, own_layouts, readme, single_files, task_vectors  # noqa: E402

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens"
ROOT = GOLDENS / "forms"
CASES = [
    *gguf_forms.CASES,
    *mlx_forms.CASES,
    *single_files.CASES,
    *own_layouts.CASES,
    *task_vectors.CASES,
    *bottleneck_forms.CASES,
]


def make_all(root, names):
    """All cases whose names begin with one of `names`."""
    if not names:
        shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True, exist_ok=True)
    bases = root / "bases"
    bases.symlink_to(GOLDENS / "families" / "bases")
    rows = []
    try:
        for name, features, make in CASES:
            if names and not name.startswith(tuple(names)):
                continue
            shutil.rmtree(root / name, ignore_errors=True)
            (root / name).mkdir()
            with tempfile.TemporaryDirectory() as temporary:
                folder, base, *rest = make(root, pathlib.Path(temporary))
            about = exact.write(folder, root, base, *rest)
            size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            rows.append({"name": name, "features": features, "bytes": size} | about)
            print(rows[-1], flush=True)
    finally:
        bases.unlink()
    if not names:
        readme.write(root, rows)


def different_files(made):
    """Names of the files that differ from the committed ones."""
    names = {str(file.relative_to(root)) for root in (made, ROOT) for file in root.rglob("*") if file.is_file()}
    pairs = [(name, made / name, ROOT / name) for name in sorted(names)]
    return [name for name, one, other in pairs if not (one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    if not arguments.check:
        make_all(ROOT, arguments.names)
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary) / "forms"
        make_all(root, [])
        different = different_files(root)
        print("\n".join(f"differs: {name}" for name in different) or "all files are identical")
        return bool(different)


if __name__ == "__main__":
    sys.exit(main())
