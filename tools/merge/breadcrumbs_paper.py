# SPDX-License-Identifier: Apache-2.0
"""Model Breadcrumbs of the paper (peft-reference.md, 2.3)."""
import numpy


def kept(change, beta, gamma):
    order = numpy.argsort(numpy.abs(change).ravel(), kind="stable")
    mask = numpy.zeros(change.size)
    mask[order[int(beta * change.size) : change.size - int((1 - gamma) * change.size)]] = 1
    return change * mask.reshape(change.shape)


def merge(problem, beta=0.85, gamma=0.993, **parameters):
    return [
        parameters.get("lambda", 1) * sum(kept(change, beta, gamma) for change in problem.changes(module))
        for module in range(len(problem))
    ]
