#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the golden adapters of every family of peft under Tests/Goldens/families.

    python tools/make_adapter_goldens.py               the bases, all cases, and README.md
    python tools/make_adapter_goldens.py NAME ...      those cases whose names begin so (the bases must be there)
    python tools/make_adapter_goldens.py --check       all into a temporary folder, compared with what is committed

Each case is an adapter that peft made on a tiny random model, moved away from its initial values by noise, saved, loaded onto
a fresh base and run. Needs torch, transformers, peft, safetensors, PyWavelets and scikit-learn; versions are in README.md.
"""

import argparse
import filecmp
import os
import pathlib
import shutil
import sys
import tempfile
import time
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import torch  # noqa: E402
import transformers  # noqa: E402
from adapters import bases, case, gated, lora, lowrank, mixtures, multiplicative, prompts, readme, structured  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "families"
CASES = [*lora.CASES, *lowrank.CASES, *structured.CASES, *multiplicative.CASES, *gated.CASES, *prompts.CASES]


def make_all(root, names):
    """All cases whose names begin with one of `names`."""
    if not names:
        shutil.rmtree(root, ignore_errors=True)
        for name in bases.BASES:
            bases.make_base(name, root / "bases" / name)
    rows = []
    for one in CASES:
        if names and not one.name.startswith(tuple(names)):
            continue
        shutil.rmtree(root / one.name, ignore_errors=True)
        begin = time.monotonic()
        row = case.make(one, root)
        rows.append(row)
        print({key: value for key, value in row.items() if key != "features"}, f"{time.monotonic() - begin:.1f} s", flush=True)
    if not names:
        mixtures.make(CASES, root)
        readme.write(root, rows)


def different_files(made):
    """Names of the files that differ from the committed ones."""
    names = {str(file.relative_to(root)) for root in (made, ROOT) for file in root.rglob("*") if file.is_file()}
    pairs = [(name, made / name, ROOT / name) for name in sorted(names)]
    return [
        name for name, one, other in pairs if not (one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False))
    ]


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
        root = pathlib.Path(temporary) / "families"
        make_all(root, [])
        different = different_files(root)
        print("\n".join(f"differs: {name}" for name in different) or "all files are identical")
        return bool(different)


if __name__ == "__main__":
    sys.exit(main())
