# SPDX-License-Identifier: Apache-2.0
"""CoPA-Merging, RobustMerge (peft-reference.md, 2.3)."""
import numpy


def trimmed(values, share):
    threshold = numpy.sort(numpy.abs(values).ravel())[int(values.size * (1 - share)) - 1]
    return numpy.where(numpy.abs(values) >= threshold, values, 0)


def merge(problem, mask_ratio=0.2, att_ratio=0.2, factor=2.0):
    merged = []
    for module in range(len(problem)):
        a_sum, b_sum, total = 0, 0, 0
        for a, b, scale in problem.factors(module):
            small = trimmed(a, mask_ratio)
            left = numpy.abs(small).sum(axis=1)
            # A row of which nothing is left counts 1.
            weight = numpy.where(left > 0, numpy.abs(a).sum(axis=1) / numpy.where(left > 0, left, 1), 1)
            weight = numpy.maximum(weight, numpy.sort(weight)[int(len(weight) * (1 - att_ratio))])
            a_sum = a_sum + factor * small
            b_sum = b_sum + factor * scale * weight * trimmed(b, mask_ratio)
            total = total + weight
        merged.append(b_sum / total @ a_sum)
    return merged
