# SPDX-License-Identifier: Apache-2.0
"""Iso-C (peft-reference.md, 2.3)."""
from merge.problem import directions


def merge(problem, over="shape", **parameters):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        if changes[0].ndim == 1:
            change = sum(changes) / len(changes)
        else:
            u, s, vt = directions(sum(changes))
            change = s.sum() / (len(s) if over == "rank" else min(changes[0].shape)) * u @ vt
        merged.append(parameters.get("lambda", 1) * change)
    return merged
