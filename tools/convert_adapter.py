#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turn an adapter's pickle files into safetensors, which Weft reads: a pickle can run code when it is read.

    python tools/convert_adapter.py FOLDER NEW_FOLDER      every .bin, .pt, .pth and .ckpt; other files are copied
    python tools/convert_adapter.py FILE NEW_FOLDER        one such file

Pickles are read with weights_only=True, which makes tensors and plain containers and nothing else. adapter_model.bin becomes
adapter_model.safetensors (PEFT), pytorch_adapter.bin becomes adapter.safetensors (AdapterHub), others keep their names. Tensors
keep names, values and types; where a file has one dictionary of tensors in another, the names are joined with a dot, and the
usual wrappers `state_dict` and `model` are dropped. Needs torch and safetensors.
"""

import argparse
import pathlib
import pickle
import shutil
import sys

import torch
from safetensors.torch import save_file

ENDINGS = {".bin", ".pt", ".pth", ".ckpt"}
NAMES = {"pytorch_adapter": "adapter"}
WRAPPERS = {"state_dict", "model"}


def tensors_of(value, prefix=""):
    """All tensors of nested dictionaries by name, each in memory of its own."""
    found = {}
    for key, part in value.items():
        name = f"{prefix}{key}"
        if isinstance(part, torch.Tensor):
            found[name] = part.detach().clone().contiguous()
        elif isinstance(part, dict):
            found |= tensors_of(part, "" if not prefix and key in WRAPPERS else f"{name}.")
    return found


def convert(path, folder):
    """Write one file's tensors; its new path."""
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise SystemExit(f"{path}: expected tensors only, found what would run code: {error}".split("\n")[0]) from error
    tensors = tensors_of(value) if isinstance(value, dict) else {}
    if not tensors:
        raise SystemExit(f"{path}: expected a dictionary of tensors, found {type(value).__name__} without any")
    target = folder / f"{NAMES.get(path.stem, path.stem)}.safetensors"
    save_file(tensors, target, {"format": "pt"})
    print(f"{path.name} -> {target} ({len(tensors)} tensors)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("new_folder", type=pathlib.Path)
    arguments = parser.parse_args()
    files = sorted(arguments.source.iterdir()) if arguments.source.is_dir() else [arguments.source]
    pickles = [file for file in files if file.suffix in ENDINGS]
    if not pickles:
        raise SystemExit(f"{arguments.source}: expected a .bin, .pt, .pth or .ckpt file, found none")
    if arguments.new_folder.exists():
        raise SystemExit(f"{arguments.new_folder}: expected a folder that does not exist yet")
    arguments.new_folder.mkdir(parents=True)
    for file in files:
        if file in pickles:
            convert(file, arguments.new_folder)
        elif file.is_file():
            shutil.copyfile(file, arguments.new_folder / file.name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
