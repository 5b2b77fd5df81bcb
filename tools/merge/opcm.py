# SPDX-License-Identifier: Apache-2.0
"""OPCM (peft-reference.md, 2.3), step by step as the reference has it: the merged model is scaled after every task."""
import numpy

from merge.problem import directions


def project(change, merged, alpha):
    u, s, vt = directions(merged)
    closed = int(numpy.argmax(numpy.cumsum(s) / s.sum() > alpha))
    inside = u.T @ change @ vt.T
    taken = numpy.diag(numpy.diag(inside))
    taken[:closed, :closed] = inside[:closed, :closed]
    return change - u @ taken @ vt


def length(parts):
    return numpy.sqrt(sum((part**2).sum() for part in parts))


def merge(problem, alpha=0.5, merged=1, merged_lambda=0):
    tasks = list(zip(*map(problem.changes, range(len(problem)))))
    scale = merged_lambda or numpy.sqrt(merged)
    total, lengths = list(tasks[0]), [length(tasks[0])] * merged
    if len(tasks) == 1:
        return total
    for task in tasks[1:]:
        lengths.append(length(task))
        total = [
            scale * old + (project(new, old, alpha) if old.ndim == 2 and old.any() else new) for old, new in zip(total, task)
        ]
        scale = length(total) / numpy.mean(lengths)
        total = [part / scale for part in total]
    return total
