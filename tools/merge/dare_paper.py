# SPDX-License-Identifier: Apache-2.0
"""DARE of the paper (peft-reference.md, 2.3); torch's random numbers, module by module, task by task."""
import torch


def dropped(change, rate, generator):
    """Without a share of its elements, the others divided by their chance to be left."""
    mask = torch.bernoulli(torch.full(change.shape, rate, dtype=torch.float32), generator=generator).numpy()
    return change * (1 - mask) / (1 - rate)


def merge(problem, drop=0.9, **parameters):
    generator = torch.Generator().manual_seed(problem.seed)
    merged = []
    for module in range(len(problem)):
        changes = [dropped(change, drop, generator) for change in problem.changes(module)]
        merged.append(parameters.get("lambda", 1) * sum(changes))
    return merged
