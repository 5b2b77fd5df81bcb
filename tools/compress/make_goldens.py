#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Goldens of compression, written from the papers' formulas with torch and numpy: Tests/Goldens/compress.

ComPEFT (arXiv 2311.13171): all factors as one vector, its unbiased deviation, the threshold at its (d - int(d k))-th
smallest magnitude. Truncation: numpy's singular values of the dense product. TALL masks (arXiv 2405.07813): the sum of the
tasks, and where a task is larger than lambda times the rest. Shared bases (arXiv 2407.00066): orthonormal U, V with the
least sum of |B_i A_i - U C_i V'|^2, by alternating eigenvectors of the dense products.

make_goldens.py [--check]: with --check, nothing is written, and the files must be what would be."""
import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

GOLDENS = Path(__file__).resolve().parents[2] / "Tests" / "Goldens" / "compress" / "compress.safetensors"
MODULES = [(8, 12, 20), (8, 16, 12), (8, 20, 8)]  # rank, in, out
DENSITIES = [0.05, 0.2, 0.5, 1.0]


def adapter(rng, shared=None):
    """Factors whose directions have falling weights, as trained ones have; near `shared` where it is given."""
    factors = []
    for index, (rank, width, out) in enumerate(MODULES):
        weights = 0.6 ** np.arange(rank)
        a = rng.standard_normal((rank, width)) * weights[:, None]
        b = rng.standard_normal((out, rank)) * 0.5
        if shared is not None:
            a, b = 0.3 * a + shared[index][0], 0.3 * b + shared[index][1]
        factors.append((a.astype(np.float32), b.astype(np.float32)))
    return factors


def compeft(factors, density):
    """The signs that are kept, and the deviation."""
    vector = torch.cat([torch.from_numpy(m).flatten() for pair in factors for m in pair])
    deviation = vector.double().std(unbiased=True).item()
    d = vector.numel()
    kept = int(d * density)
    magnitudes = vector.abs()
    if density < 1:
        threshold = torch.kthvalue(magnitudes, d - kept).values
        mask = magnitudes >= threshold
    else:
        mask = torch.ones_like(magnitudes, dtype=torch.bool)
    return (torch.sign(vector) * mask).to(torch.int8).numpy(), deviation


def shared_basis(tasks, rank, rounds=60):
    """U, V and cores of one module, from its dense changes."""
    deltas = [b.astype(np.float64) @ a.astype(np.float64) for a, b in tasks]
    v = np.linalg.svd(np.concatenate(deltas, 0), full_matrices=False)[2][:rank].T
    for _ in range(rounds):
        u = np.linalg.svd(np.concatenate([d @ v for d in deltas], 1), full_matrices=False)[0][:, :rank]
        v = np.linalg.svd(np.concatenate([d.T @ u for d in deltas], 1), full_matrices=False)[0][:, :rank]
    cores = [u.T @ d @ v for d in deltas]
    error = sum(np.sum((d - u @ c @ v.T) ** 2) for d, c in zip(deltas, cores))
    return error / sum(np.sum(d**2) for d in deltas)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(5)
    shared = adapter(rng)
    tasks = [adapter(rng, shared) for _ in range(3)]
    out = {}
    for t, factors in enumerate(tasks):
        for m, (a, b) in enumerate(factors):
            out[f"task{t}.{m}.a"], out[f"task{t}.{m}.b"] = a, b
    for density in DENSITIES:
        codes, deviation = compeft(tasks[0], density)
        out[f"ternary.{density}.codes"] = codes.view(np.uint8)
        out[f"ternary.{density}.deviation"] = np.array([deviation], np.float32)
    for m, (a, b) in enumerate(tasks[0]):
        values = np.linalg.svd(b.astype(np.float64) @ a.astype(np.float64), compute_uv=False)[: MODULES[m][0]]
        out[f"values.{m}"] = values.astype(np.float32)
        share = np.cumsum(values**2) / np.sum(values**2)
        ranks = [int(np.searchsorted(share, s - 1e-12)) + 1 for s in (0.5, 0.9, 0.99)]
        out[f"ranks.{m}"] = np.array(ranks, np.float32)
    for which, index in (("a", 0), ("b", 1)):
        for m in range(len(MODULES)):
            parts = [task[m][index] for task in tasks]
            total = parts[0] + parts[1] + parts[2]
            for t, part in enumerate(parts):
                mask = np.abs(part) > np.float32(0.4) * np.abs(total - part)
                out[f"mask{t}.{m}.{which}"] = mask.astype(np.uint8)
    out["basis.errors"] = np.array(
        [shared_basis([task[m] for task in tasks], 4) for m in range(len(MODULES))], np.float32)
    if args.check:
        found = load_file(GOLDENS)
        wrong = [k for k in out if k not in found or not np.array_equal(found[k], out[k])]
        sys.exit(f"differ: {wrong}" if wrong or len(found) != len(out) else 0)
    GOLDENS.parent.mkdir(parents=True, exist_ok=True)
    save_file(out, GOLDENS)


if __name__ == "__main__":
    main()
