#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What torch's and numpy's generators give: Tests/Goldens/random/*.safetensors.

    python tools/make_random_goldens.py

Names are `<what>.<seed>.<size>`. Long results are stored by their ends.
"""
import math
import pathlib

import numpy
import torch
from safetensors.torch import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/random"
SEEDS = [0, 777, 2**31, 2**63 - 1, -5]
SIZES = [1, 15, 16, 17, 100, 10007]
# How much of a long result is stored, of its beginning and of its end.
END = 100
torch.set_num_threads(1)


def generator(seed):
    return torch.Generator().manual_seed(seed)


def ends(tensor):
    return tensor if len(tensor) <= 2 * END else torch.cat([tensor[:END], tensor[-END:]])


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


def distributions():
    tensors = {}
    for seed in [0, 777, 2**63 - 1]:
        for size in SIZES:
            key = f"{seed}.{size}"
            for name, dtype in [("f32", torch.float32), ("f16", torch.float16), ("bf16", torch.bfloat16), ("f64", torch.float64)]:
                drawn = torch.empty(size, dtype=dtype).uniform_(-0.37, 1.1, generator=generator(seed))
                # A double goes as its two halves: tests read floats and integers.
                tensors[f"uniform-{name}.{key}"] = ends(drawn.view(torch.int64) if dtype == torch.float64 else drawn.float())
            kaiming = torch.nn.init.kaiming_uniform_(torch.empty(size, 48), a=math.sqrt(5), generator=generator(seed))
            tensors[f"kaiming.{key}"] = ends(kaiming.flatten())
            tensors[f"normal.{key}"] = ends(torch.empty(size).normal_(generator=generator(seed)))
            tensors[f"normal-scaled.{key}"] = ends(
                torch.normal(mean=0.0, std=1 / math.sqrt(3), size=(size,), generator=generator(seed))
            )
            chances = torch.arange(size) % 97 / 96
            tensors[f"bernoulli.{key}"] = ends(torch.bernoulli(chances, generator=generator(seed)).to(torch.uint8))
            # The stream of torch where the processor is not an Intel one: there it is that of MKL.
            scalar = torch.empty(size).bernoulli_(0.3, generator=generator(seed)).to(torch.uint8)
            tensors[f"bernoulli-scalar.{key}"] = ends(scalar)
    # Three calls of one generator: the second number of a pair waits for the next call with fewer than 16 numbers.
    one = generator(11)
    tensors["calls.11.23"] = torch.cat([torch.empty(n).normal_(generator=one) for n in [3, 16, 4]])
    # Bounds that neighbour in the format: half of the numbers would round to the upper one.
    tensors["narrow.3.100"] = torch.empty(100).uniform_(1.0, 1 + 2**-23, generator=generator(3))
    return tensors


def numpy_results():
    tensors = {}

    def store(name, values):
        tensors[name] = ends(torch.from_numpy(numpy.asarray(values).astype(numpy.int64)))

    for seed in [0, 42, 2**32, 2**63 - 1]:
        store(f"words.{seed}.20", numpy.random.default_rng(seed).bit_generator.random_raw(20).view(numpy.int64))
        for last in [1, 6, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**62]:
            store(f"integers.{seed}.{last}", numpy.random.default_rng(seed).integers(0, last, 40, endpoint=True))
        for size in SIZES:
            numbers = numpy.arange(size)
            numpy.random.default_rng(seed).shuffle(numbers)
            store(f"shuffle.{seed}.{size}", numbers)
        for size, picked in [(1, 1), (20, 0), (20, 7), (256, 255), (10000, 300), (10001, 200), (10001, 201), (10001, 10001)]:
            random = numpy.random.default_rng(seed)
            chosen = random.choice(size, size=picked, replace=False)
            # The next word tells whether the stream was left where numpy leaves it.
            store(f"choice-{picked}.{seed}.{size}", numpy.append(chosen, random.integers(0, 999, endpoint=True)))
    return tensors


narrow, wide = permutations()
save_file(narrow, FOLDER / "permutations.safetensors")
save_file(wide, FOLDER / "wide_permutations.safetensors")
save_file(distributions(), FOLDER / "distributions.safetensors")
save_file(numpy_results(), FOLDER / "numpy.safetensors")
