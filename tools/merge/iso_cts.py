# SPDX-License-Identifier: Apache-2.0
"""Iso-CTS (peft-reference.md, 2.3)."""
import numpy

from merge.problem import directions, polar


def merge(problem, over="shape", common=0.8, **parameters):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        if changes[0].ndim == 1:
            merged.append(parameters.get("lambda", 1) * sum(changes) / len(changes))
            continue
        u, s, vt = directions(sum(changes))
        count = len(s) if over == "rank" else min(changes[0].shape)
        own = round((count - int(common * count)) / len(changes))
        shared = count - len(changes) * own
        u, s, vt = u[:, :shared], s[:shared], vt[:shared]
        parts = []
        for change in changes:
            left = change - u @ (u.T @ change)
            if numpy.abs(left).max() > 1e-9 * numpy.abs(change).max():
                parts.append(tuple(part[..., :own] if i == 0 else part[:own] for i, part in enumerate(directions(left))))
        parts.append((u, s, vt))
        u = numpy.concatenate([part[0] for part in parts], axis=1)
        s = numpy.concatenate([part[1] for part in parts])
        vt = numpy.concatenate([part[2] for part in parts])
        mean = s.sum() / (len(s) if over == "rank" else count)
        merged.append(parameters.get("lambda", 1) * mean * polar(u) @ polar(vt))
    return merged
