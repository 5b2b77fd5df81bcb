# SPDX-License-Identifier: Apache-2.0
"""LoRA-LEGO (peft-reference.md, 2.3): k-means over rank units. Random numbers are those of numpy's default_rng(seed)."""
import numpy


def beginnings(units, count, random):
    """k-means++."""
    chosen = [int(random.random() * len(units))]
    while len(chosen) < count:
        distance = numpy.min([((units - units[c]) ** 2).sum(axis=1) for c in chosen], axis=0)
        above = numpy.nonzero(numpy.cumsum(distance) > random.random() * distance.sum())[0]
        rest = [index for index in range(len(units)) if index not in chosen]
        chosen.append(int(above[0]) if len(above) else rest[0])
    return units[chosen]


def cluster(units, count, random):
    means, old = beginnings(units, count, random), None
    for _ in range(101):
        clusters = numpy.argmin([((units - mean) ** 2).sum(axis=1) for mean in means], axis=0)
        if old is not None and (clusters == old).all():
            break
        means = numpy.stack([units[clusters == c].mean(axis=0) if (clusters == c).any() else 0 * units[0] for c in range(count)])
        old = clusters
    return means, old


def merge(problem, rank=0):
    random = numpy.random.default_rng(problem.seed)
    merged = []
    for module in range(len(problem)):
        units, ranks = [], []
        for a, b, scale in problem.factors(module):
            root = numpy.sqrt(abs(scale))
            units.append(numpy.concatenate([root * a, numpy.sign(scale) * root * b.T], axis=1))
            ranks.append(len(a))
        width = problem.shape(module)[1]
        units, count = numpy.concatenate(units), rank or max(ranks)
        means, clusters = cluster(units, count, random)
        for c in range(count):
            if (clusters == c).any():
                means[c] *= numpy.linalg.norm(units[clusters == c], axis=1).mean() / numpy.linalg.norm(means[c])
        merged.append(numpy.sqrt(numpy.mean(ranks) / count) * means[:, width:].T @ means[:, :width])
    return merged
