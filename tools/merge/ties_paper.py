# SPDX-License-Identifier: Apache-2.0
"""TIES of the paper, over the whole model (peft-reference.md, 2.3)."""
import numpy


def trim(flat, density):
    if density >= 1:
        return flat
    count = flat.shape[1]
    place = max(count - int(count * density), 1)  # kthvalue counts from one
    threshold = numpy.sort(numpy.abs(flat), axis=1)[:, place - 1 : place]
    return numpy.where(numpy.abs(flat) >= threshold, flat, 0)


def combine(flat, density, aggregate="mean"):
    kept = trim(flat, density)
    sign = numpy.sign(kept.sum(axis=0))
    sign[sign == 0] = numpy.sign(sign.sum())
    agreeing = numpy.where(numpy.where(sign > 0, kept > 0, kept < 0), kept, 0)
    if aggregate == "mean":
        return agreeing.sum(axis=0) / numpy.maximum((agreeing != 0).sum(axis=0), 1)
    if aggregate == "sum":
        return agreeing.sum(axis=0)
    return numpy.abs(agreeing).max(axis=0) * numpy.where(sign > 0, 1, -1)


def merge(problem, density=0.2, aggregate="mean", **parameters):
    return problem.unflat(parameters.get("lambda", 1) * combine(problem.flat(), density, aggregate))
