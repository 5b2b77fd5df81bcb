# SPDX-License-Identifier: Apache-2.0
"""EMR-Merging (peft-reference.md, 2.3): part 0 is the unified change, part t that of task t."""
import numpy


def merge(problem, part=0):
    tau = problem.flat()
    sign = numpy.where(tau.mean(axis=0) > 0, 1, -1)
    unified = sign * numpy.where(tau * sign > 0, numpy.abs(tau), 0).max(axis=0)
    if not part:
        return problem.unflat(unified)
    own = tau[part - 1]
    masked = (own * sign > 0) * unified
    return problem.unflat(numpy.abs(own).mean() / numpy.abs(masked).mean() * masked)
