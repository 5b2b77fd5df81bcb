# SPDX-License-Identifier: Apache-2.0
"""Layer swapping (peft-reference.md, 2.3): `ranges` has (first, last, outside) of every task."""
import numpy


def merge(problem, ranges):
    merged = []
    for module, (_, shape, layer) in enumerate(problem.modules):
        given = [
            change
            for change, (first, last, outside) in zip(problem.changes(module), ranges)
            if layer is None or (first <= layer <= last) != bool(outside)
        ]
        merged.append(sum(given) / len(given) if given else numpy.zeros(shape))
    return merged
