# SPDX-License-Identifier: Apache-2.0
"""Consensus Merging over TALL masks (peft-reference.md, 2.3)."""
from merge.tall_masks import masks


def merge(problem, active=2, mask_lambda=0.4, **parameters):
    merged = []
    for module in range(len(problem)):
        changes = problem.changes(module)
        agreed = sum(mask.astype(int) for mask in masks(changes, mask_lambda)) >= active
        merged.append(parameters.get("lambda", 1) * agreed * sum(changes))
    return merged
