# SPDX-License-Identifier: Apache-2.0
"""KnOTS (peft-reference.md, 2.3)."""
import numpy
import torch

from merge.dare_paper import dropped
from merge.problem import directions
from merge.ties_paper import combine


def merge(problem, inside="ties", density=0.3, drop=0.9, **parameters):
    generator = torch.Generator().manual_seed(problem.seed)
    bases, aligned = [], []
    for module in range(len(problem)):
        changes = problem.changes(module)
        if changes[0].ndim == 1:
            bases.append(None)
            own = changes
        else:
            u, _, _ = directions(numpy.concatenate(changes, axis=1), smallest=1e-5)
            bases.append(u)
            # diag(s) V_t^T, as U is orthonormal
            own = [u.T @ change for change in changes]
        aligned.append([dropped(part, drop, generator) for part in own] if "dare" in inside else own)
    flat = numpy.stack([numpy.concatenate([module[task].ravel() for module in aligned]) for task in range(len(problem.tasks))])
    together = combine(flat, density) if "ties" in inside else flat.sum(axis=0)
    merged, first = [], 0
    for u, own in zip(bases, aligned):
        part = together[first : first + own[0].size].reshape(own[0].shape)
        first += own[0].size
        merged.append(parameters.get("lambda", 1) * (part if u is None else u @ part))
    return merged
