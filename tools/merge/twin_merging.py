# SPDX-License-Identifier: Apache-2.0
"""Twin-Merging (peft-reference.md, 4.5): part 0 is what all tasks share, part t the compressed rest of task t."""
import numpy

from merge.problem import directions


def merge(problem, part=0, exclusive="svd", exclusive_rank=8, exclusive_density=0.2, **parameters):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        change = parameters.get("lambda", 0.3) * sum(changes)
        if part:
            change = changes[part - 1] - change
            if exclusive == "mask":
                order = numpy.argsort(-numpy.abs(change).ravel(), kind="stable")
                mask = numpy.zeros(change.size)
                mask[order[: int(change.size * exclusive_density)]] = 1
                change = change * mask.reshape(change.shape)
            elif change.ndim == 2:
                u, s, vt = directions(change)
                change = u[:, :exclusive_rank] * s[:exclusive_rank] @ vt[:exclusive_rank]
        merged.append(change)
    return merged
