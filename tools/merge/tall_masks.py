# SPDX-License-Identifier: Apache-2.0
"""TALL masks (peft-reference.md, 2.3): part 0 is the sum, part t what task t is left of it."""
import numpy


def masks(changes, mask_lambda):
    total = sum(changes)
    return [numpy.abs(change) > mask_lambda * numpy.abs(total - change) for change in changes]


def merge(problem, mask_lambda=0.4, part=0):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        total = sum(changes)
        merged.append(total * masks(changes, mask_lambda)[part - 1] if part else total)
    return merged
