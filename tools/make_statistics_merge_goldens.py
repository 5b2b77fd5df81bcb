#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests/Goldens/merge-statistics: what methods that read statistics of tasks make of a small problem, in float64.

    OMP_NUM_THREADS=1 python tools/make_statistics_merge_goldens.py

Three tasks change four modules by low rank (task 1 leaves module 1 as it is), and once more by dense changes; module 2 is a
vector, of which no statistics are known. The formulas are those of the papers, on dense matrices:
Fisher merging (arXiv 2111.09832), RegMean (arXiv 2212.09849), MaTS (arXiv 2312.04339; conjugate gradients by hand).

`problem.safetensors`: TASK.MODULE.{a,b,scale,delta,gram,gradient_gram,fisher,fisher_a,fisher_b}; `expected.safetensors`:
CASE.MODULE; the cases are the keys of CASES.
"""
import pathlib

import numpy as np
from safetensors.numpy import save_file

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "merge-statistics"
SHAPES = [(8, 6), (5, 7), (9,), (6, 6)]
WEIGHTS = [1.0, 0.5, 2.0]
SCALES = [2.0, 2.0, 0.5]
RANK = 2
TASKS = range(3)
UNREAD = 3  # a column of module 0 that no task ever reads


def inputs():
    random = np.random.default_rng(312)
    tensors = {}
    for task in TASKS:
        for module, shape in enumerate(SHAPES):
            name = f"{task}.{module}."
            if (task, module) == (1, 1):
                continue
            if len(shape) == 1:
                tensors[name + "delta"] = random.standard_normal(shape)
                continue
            out, size = shape
            a, b = random.standard_normal((RANK, size)), random.standard_normal((out, RANK))
            rows, dy = random.standard_normal((20, size)) * random.uniform(0.2, 3, size), random.standard_normal((20, out))
            if module == 0:
                rows[:, UNREAD] = 0
            tensors |= {
                name + "a": a, name + "b": b, name + "scale": np.array([SCALES[task]]), name + "gram": rows.T @ rows / 20,
                name + "gradient_gram": dy.T @ dy / 20, name + "fisher": random.exponential(1e-4, shape),
                name + "fisher_a": random.exponential(1e-4, a.shape), name + "fisher_b": random.exponential(1e-4, b.shape),
            }
    return {key: value.astype(np.float32) for key, value in tensors.items()}


class Statistics:
    def __init__(self, tensors):
        self.tensors = {key: value.astype(np.float64) for key, value in tensors.items()}

    def known(self, module, kind):
        return [task for task in TASKS if f"{task}.{module}.{kind}" in self.tensors]

    def get(self, task, module, kind):
        return self.tensors[f"{task}.{module}.{kind}"]

    def change(self, task, module):
        if f"{task}.{module}.delta" in self.tensors:
            return self.get(task, module, "delta")
        if f"{task}.{module}.a" not in self.tensors:
            return np.zeros(SHAPES[module])
        return self.get(task, module, "scale")[0] * self.get(task, module, "b") @ self.get(task, module, "a")


def mean(s, module):
    return sum(WEIGHTS[t] * s.change(t, module) for t in TASKS) / sum(WEIGHTS)


def norm(s, task, kinds):
    return np.sqrt(sum((value**2).sum() for key, value in s.tensors.items()
                       if key.startswith(f"{task}.") and key.split(".")[-1] in kinds))


def fisher(s, module, floor=1e-6, normalize=False):
    tasks = s.known(module, "fisher")
    if not tasks:
        return mean(s, module)
    weights = {t: WEIGHTS[t] / (norm(s, t, ["fisher"]) if normalize else 1) for t in tasks}
    information = {t: np.maximum(s.get(t, module, "fisher"), floor) for t in tasks}
    return (sum(weights[t] * information[t] * s.change(t, module) for t in tasks)
            / sum(weights[t] * information[t] for t in tasks))


def fisher_factors(s, module, normalize=False):
    tasks = s.known(module, "fisher_a")
    first = s.get(tasks[0], module, "scale")[0]
    weights = {t: WEIGHTS[t] / (norm(s, t, ["fisher_a", "fisher_b"]) if normalize else 1) for t in tasks}
    shares = {t: s.get(t, module, "scale")[0] / first for t in tasks}
    of_a = {t: np.maximum(s.get(t, module, "fisher_a"), 1e-6) for t in tasks}
    of_b = {t: np.maximum(s.get(t, module, "fisher_b") / shares[t]**2, 1e-6) for t in tasks}
    a = sum(weights[t] * of_a[t] * s.get(t, module, "a") for t in tasks) / sum(weights[t] * of_a[t] for t in tasks)
    b = (sum(weights[t] * of_b[t] * shares[t] * s.get(t, module, "b") for t in tasks)
         / sum(weights[t] * of_b[t] for t in tasks))
    return first * b @ a


def regmean(s, module, ratio=0.9, diagonal=False):
    tasks = s.known(module, "gram")
    if not tasks:
        return mean(s, module)
    grams = {}
    for t in tasks:
        gram = s.get(t, module, "gram")
        grams[t] = np.diag(np.diag(gram)) if diagonal else ratio * gram + (1 - ratio) * np.diag(np.diag(gram))
    result = np.zeros(SHAPES[module])
    read = [j for j in range(SHAPES[module][1]) if any(grams[t][j, j] > 0 for t in tasks)]
    right = sum(WEIGHTS[t] * s.change(t, module) @ grams[t] for t in tasks)[:, read]
    left = sum(WEIGHTS[t] * grams[t] for t in tasks)[np.ix_(read, read)]
    result[:, read] = right @ np.linalg.inv(left)
    unread = [j for j in range(SHAPES[module][1]) if j not in read]
    result[:, unread] = mean(s, module)[:, unread]
    return result


def mats(s, module, iterations, start, kfac=False):
    tasks = s.known(module, "gram")
    if not tasks:
        return mean(s, module)

    def operate(task, x):
        right = x @ s.get(task, module, "gram")
        return s.get(task, module, "gradient_gram") @ right if kfac else right

    def total(x):
        return sum(WEIGHTS[t] * operate(t, x) for t in tasks)

    x = start * sum(WEIGHTS[t] * s.change(t, module) for t in TASKS)
    r = sum(WEIGHTS[t] * operate(t, s.change(t, module)) for t in tasks) - total(x)
    d = r.copy()
    for _ in range(iterations):
        alpha = (r * r).sum() / (d * total(d)).sum()
        x = x + alpha * d
        following = r - alpha * total(d)
        d = following + (following * following).sum() / (r * r).sum() * d
        r = following
    return x


CASES = {
    "fisher": fisher,
    "fisher-floor": lambda s, m: fisher(s, m, floor=1e-4),
    "fisher-normalized": lambda s, m: fisher(s, m, normalize=True),
    "fisher_factors": fisher_factors,
    "fisher_factors-normalized": lambda s, m: fisher_factors(s, m, normalize=True),
    "regmean": regmean,
    "regmean-whole": lambda s, m: regmean(s, m, ratio=1.0),
    "regmean-diagonal": lambda s, m: regmean(s, m, diagonal=True),
    "mats": lambda s, m: mats(s, m, 3, 0.3),
    "mats-base": lambda s, m: mats(s, m, 2, 0.0),
    "mats_kfac": lambda s, m: mats(s, m, 4, 0.3, kfac=True),
}


def main():
    tensors = inputs()
    FOLDER.mkdir(exist_ok=True)
    save_file(tensors, FOLDER / "problem.safetensors")
    statistics = Statistics(tensors)
    expected = {}
    for case, method in CASES.items():
        for module, shape in enumerate(SHAPES):
            # Factors are merged where there are some.
            if not (case.startswith("fisher_factors") and len(shape) == 1):
                expected[f"{case}.{module}"] = method(statistics, module).astype(np.float32)
    save_file(expected, FOLDER / "expected.safetensors")


if __name__ == "__main__":
    main()
