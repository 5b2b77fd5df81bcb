#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What torch's and numpy's generators give: Tests/Goldens/random/*.safetensors.

    python tools/make_random_goldens.py

Names are `<what>.<seed>.<size>`, in the order in which one generator drew them where a name ends in `.1`, `.2`.
"""
import pathlib

import numpy
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/random"
SEEDS = [0, 777, 2**31, 2**63 - 1, -5]
torch.set_num_threads(1)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def permutations():
    tensors = {}
    for seed in SEEDS:
        for size in [1, 2, 15, 100]:
            tensors[f"randperm.{seed}.{size}"] = torch.randperm(size, generator=generator(seed))
    for seed, size in [(777, 10007), (42, 1000000)]:
        tensors[f"randperm.{seed}.{size}"] = torch.randperm(size, generator=generator(seed))[:500].clone()
    # From 2^32 / 20 on, torch permutes in another way.
    wide = {}
    for size in [214748363, 214748364]:
        wide[f"randperm.777.{size}"] = torch.randperm(size, generator=generator(777), dtype=torch.int32)[:100].long()
    return tensors, wide


narrow, wide = permutations()
save_file(narrow, FOLDER / "permutations.safetensors")
save_file(wide, FOLDER / "wide_permutations.safetensors")
