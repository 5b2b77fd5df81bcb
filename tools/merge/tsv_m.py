# SPDX-License-Identifier: Apache-2.0
"""TSV-M (peft-reference.md, 2.3)."""
import numpy

from merge.problem import directions, polar


def merge(problem, **parameters):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        if changes[0].ndim == 1:
            change = sum(changes) / len(changes)
        else:
            count = min(changes[0].shape) // len(changes)
            parts = [directions(change) for change in changes if change.any()]
            u = numpy.concatenate([u[:, :count] for u, _, _ in parts], axis=1)
            s = numpy.concatenate([s[:count] for _, s, _ in parts])
            vt = numpy.concatenate([vt[:count] for _, _, vt in parts])
            change = polar(u) @ numpy.diag(s) @ polar(vt)
        merged.append(parameters.get("lambda", 1) * change)
    return merged
