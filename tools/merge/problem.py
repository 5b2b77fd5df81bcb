# SPDX-License-Identifier: Apache-2.0
"""What the reference scripts of merge methods start from: tasks that change the same modules.

Everything is dense and in float64, as the papers state their methods. A change of low rank is multiplied out; a task that leaves
a module as it is changes it by zeros.
"""
import numpy


class Problem:
    def __init__(self, modules, tasks, weights=None, seed=0):
        """modules: list of (name, shape, layer). tasks: for every task a list with, for every module, an array, a tuple
        (a, b, scale) of factors, or None."""
        self.modules = modules
        self.tasks = tasks
        self.weights = weights or [1.0] * len(tasks)
        self.seed = seed

    def __len__(self):
        return len(self.modules)

    def shape(self, module):
        return self.modules[module][1]

    def changes(self, module):
        """w tau of every task."""
        return [w * self.change(task[module], module) for w, task in zip(self.weights, self.tasks)]

    def change(self, value, module):
        if value is None:
            return numpy.zeros(self.shape(module))
        if isinstance(value, tuple):
            a, b, scale = value
            return scale * (b.astype(numpy.float64) @ a.astype(numpy.float64))
        return value.astype(numpy.float64)

    def factors(self, module):
        """(a, b, w * scale) of the tasks that change the module."""
        found = []
        for w, task in zip(self.weights, self.tasks):
            if task[module] is not None:
                a, b, scale = task[module]
                found.append((a.astype(numpy.float64), b.astype(numpy.float64), w * scale))
        return found

    def flat(self):
        """[task, element]: all modules of every task as one vector."""
        return numpy.stack([numpy.concatenate([c.ravel() for c in column]) for column in zip(*map(self.changes, range(len(self))))])

    def unflat(self, vector):
        """One array for every module of a vector of all."""
        parts, first = [], 0
        for _, shape, _ in self.modules:
            count = int(numpy.prod(shape))
            parts.append(vector[first : first + count].reshape(shape))
            first += count
        return parts


def directions(matrix, smallest=0.0):
    """The singular triples that are not zero: U, values, V^T. Zero is what is up to 1e-6 of the largest, or `smallest`."""
    u, s, vt = numpy.linalg.svd(matrix, full_matrices=False)
    count = int((s > max(1e-6 * s[0], smallest)).sum())
    return u[:, :count], s[:count], vt[:count]


def polar(matrix):
    """The orthonormal factor: U V^T of the directions that are not zero."""
    u, _, vt = directions(matrix)
    return u @ vt
