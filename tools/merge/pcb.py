# SPDX-License-Identifier: Apache-2.0
"""PCB-Merging (peft-reference.md, 2.3)."""
import numpy


def clamped(values, low, high):
    """Every row moved into the numbers at two of its places."""
    ordered = numpy.sort(values, axis=1)
    return numpy.minimum(numpy.maximum(values, ordered[:, [low]]), ordered[:, [high]])


def normalized(values):
    low, high = values.min(axis=1, keepdims=True), values.max(axis=1, keepdims=True)
    return (values - low) / (high - low)


def merge(problem, ratio=0.1, clip=0.0001, **parameters):
    tau = problem.flat()
    count = tau.shape[1]
    magnitude = clamped(numpy.abs(tau), int(count * clip), int(count * (1 - clip) - 1))
    score = numpy.exp(len(tau) * normalized(magnitude) ** 2) * numpy.tanh(tau * tau.sum(axis=0))
    scale = normalized(clamped(score, int(count * (1 - ratio)), count - 1))
    weight = parameters.get("lambda", 1.2)
    merged = (weight * numpy.sign(tau) * magnitude * scale).sum(axis=0) / numpy.maximum(scale.sum(axis=0), 1e-12)
    return problem.unflat(merged)
