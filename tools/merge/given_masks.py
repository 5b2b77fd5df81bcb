# SPDX-License-Identifier: Apache-2.0
"""Given weights of elements or of columns (SOMF's masks, DAM's columns): the sum of all changes, each weighted by its own."""


def merge(problem, masks):
    """masks: for every task and module an array that broadcasts to the module's shape, or None for ones."""
    return [
        sum(change if own[module] is None else own[module] * change for change, own in zip(problem.changes(module), masks))
        for module in range(len(problem))
    ]
