# SPDX-License-Identifier: Apache-2.0
"""FuseChat's weights by variation ratio, matrix by matrix (https://arxiv.org/abs/2402.16107)."""
import numpy


def merge(problem, **parameters):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        squares = numpy.array([numpy.mean(change**2) for change in changes])
        weights = parameters.get("lambda", 1) * squares / squares.sum()
        merged.append(sum(weight * change for weight, change in zip(weights, changes)))
    return merged
