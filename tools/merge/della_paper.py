# SPDX-License-Identifier: Apache-2.0
"""DELLA of the paper (peft-reference.md, 2.3); torch's random numbers, module by module, task by task."""
import numpy
import torch


def merge(problem, drop=0.9, epsilon=0.1, **parameters):
    generator = torch.Generator().manual_seed(problem.seed)
    merged = []
    for module in range(len(problem)):
        left = []
        for change in problem.changes(module):
            width = change.shape[-1]
            rank = numpy.argsort(numpy.argsort(-numpy.abs(change), axis=-1, kind="stable"), axis=-1)
            rate = drop - epsilon / 2 + epsilon / width * rank
            mask = torch.bernoulli(torch.from_numpy(rate).float(), generator=generator).numpy()
            left.append(change * (1 - mask) / (1 - rate))
        left = numpy.stack(left)
        agreeing = left * left.sum(axis=0) > 0
        mean = (left * agreeing).sum(axis=0) / numpy.maximum(agreeing.sum(axis=0), 1)
        merged.append(parameters.get("lambda", 1) * mean)
    return merged
