#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What methods from papers merge small problems into: Tests/Goldens/merge-papers.

    OMP_NUM_THREADS=1 python tools/make_paper_merge_goldens.py          writes the files
    OMP_NUM_THREADS=1 python tools/make_paper_merge_goldens.py --check  compares them with what would be written

`problems.safetensors` has the tasks (`<problem>.<task>.<module>.a|b|scale|delta`), `expected.safetensors` the dense results
(`<case>.<module>`), `masks.<problem>.safetensors` given masks, `cases.json` modules, tasks and parameters. The methods are those of
tools/merge, in float64.
"""
import importlib
import json
import pathlib
import sys

import numpy
from safetensors.numpy import load_file, save_file

from merge.problem import Problem

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/merge-papers"


def low_rank(random, modules, rank, scale, left_out=()):
    task = []
    for index, (_, (outputs, inputs), _) in enumerate(modules):
        a = random.standard_normal((rank, inputs)).astype(numpy.float32)
        b = random.standard_normal((outputs, rank)).astype(numpy.float32)
        task.append(None if index in left_out else (a, b, scale))
    return task


def dense(random, modules, left_out=()):
    return [
        None if index in left_out else random.standard_normal(shape).astype(numpy.float32)
        for index, (_, shape, _) in enumerate(modules)
    ]


def problems():
    random = numpy.random.default_rng(20261121)
    maps = [
        ("model.layers.0.self_attn.q_proj", (16, 12), 0),
        ("model.layers.1.mlp.up_proj", (20, 12), 1),
        ("model.layers.2.mlp.down_proj", (12, 14), 2),
    ]
    yield "adapters2", maps, [low_rank(random, maps, 3, 2.0), low_rank(random, maps, 3, 2.0)], [1.0, 1.0]
    # Ranks whose sum is above a side of the matrix: no use is made of the factors.
    tasks = [low_rank(random, maps, 4, 0.5), low_rank(random, maps, 4, 0.5, left_out=[1]), low_rank(random, maps, 4, 1.5)]
    yield "adapters3", maps, tasks, [1.0, 0.5, -1.0]
    tasks = [low_rank(random, maps, 1, 0.5), low_rank(random, maps, 3, 0.25), low_rank(random, maps, 2, 1.0, left_out=[0])]
    yield "ranks3", maps, tasks, [1.0, 1.0, 1.0]
    tensors = [
        ("model.embed_tokens", (11, 8), None),
        ("model.layers.0.self_attn.v_proj", (9, 9), 0),
        ("model.layers.1.mlp.gate_proj", (7, 10), 1),
        ("model.layers.1.input_layernorm", (13,), 1),
    ]
    yield "models2", tensors, [dense(random, tensors), dense(random, tensors)], [1.0, 1.0]
    yield "models3", tensors, [dense(random, tensors, left_out=[3]), dense(random, tensors), dense(random, tensors)], [1.0, 2.0, 0.5]


ALL = ["adapters2", "adapters3", "ranks3", "models2", "models3"]
LOW = ["adapters2", "adapters3", "ranks3"]
# method, problems, parameters
CASES = [
    ("ties_paper", ALL, {}),
    ("ties_paper", ["adapters3", "models3"], {"density": 0.5, "aggregate": "sum", "lambda": 0.7}),
    ("ties_paper", ["models2"], {"density": 1, "aggregate": "max"}),
    ("dare_paper", ["adapters2", "models3"], {"drop": 0.6}),
    ("della_paper", ["ranks3", "models2", "models3"], {"drop": 0.4, "epsilon": 0.3, "lambda": 1.1}),
    ("breadcrumbs_paper", ["adapters2", "models3"], {"beta": 0.4, "gamma": 0.95, "lambda": 0.3}),
    ("breadcrumbs_paper", ["models2"], {}),
    ("pcb", ALL, {}),
    ("pcb", ["adapters3"], {"ratio": 0.05, "clip": 0.01, "lambda": 1}),
    ("consensus", ["adapters2", "models3"], {}),
    ("consensus", ["adapters3"], {"active": 1, "mask_lambda": 0.6, "lambda": 0.5}),
    ("tall_masks", ["models2"], {}),
    ("tall_masks", ["adapters3"], {"part": 2, "mask_lambda": 0.2}),
    ("emr", ["adapters2", "models3"], {}),
    ("emr", ["adapters3", "models3"], {"part": 3}),
    ("fusechat", ["adapters3", "models3"], {}),
    ("layer_swap", ["adapters2", "models2"], {"ranges": [[1, 1, 1], [1, 2, 0]]}),
    ("lego", LOW, {}),
    ("lego", LOW, {"rank": 4}),
    ("robust_merge", ["adapters2", "adapters3"], {}),
    ("robust_merge", ["adapters3"], {"mask_ratio": 0.6, "att_ratio": 0.5, "factor": 1}),
    ("knots", ALL, {}),
    ("knots", ["adapters2", "models3"], {"inside": "sum", "lambda": 0.4}),
    ("knots", ["ranks3"], {"inside": "dare", "drop": 0.5}),
    ("knots", ["ranks3", "models2"], {"inside": "dare_ties", "drop": 0.3, "density": 0.5}),
    ("tsv_m", ALL, {}),
    ("iso_c", ALL, {}),
    ("iso_c", ["adapters2", "models3"], {"over": "rank", "lambda": 1.3}),
    ("iso_cts", ALL, {}),
    ("iso_cts", LOW, {"over": "rank", "common": 0.5}),
    ("opcm", ALL, {}),
    ("opcm", ["ranks3", "models3"], {"alpha": 0.2, "merged": 2, "merged_lambda": 1.7}),
    ("opcm", ["adapters2"], {"merged": 4}),
    ("twin_merging", ["adapters2", "models3"], {}),
    ("twin_merging", ["adapters2", "ranks3", "models3"], {"part": 2, "exclusive_rank": 3}),
    ("twin_merging", ["models2"], {"part": 1, "exclusive": "mask"}),
    ("given_masks", ["adapters2", "models2"], {}),
]


def given_masks(problem):
    """Weights of elements, columns, rows, and one number."""
    random = numpy.random.default_rng(5)
    masks = []
    for task in range(len(problem.tasks)):
        own = []
        for module in range(len(problem)):
            shape = problem.shape(module)
            kinds = [shape, (shape[-1],), (shape[0], 1) if len(shape) == 2 else shape, (1,), None]
            kind = kinds[(2 * task + module) % 5]
            own.append(None if kind is None else random.uniform(0, 1.5, kind).astype(numpy.float32))
        masks.append(own)
    return masks


def make():
    inputs, expected, masks, document = {}, {}, {}, {"problems": {}, "cases": []}
    built = {}
    for name, modules, tasks, weights in problems():
        built[name] = Problem(modules, tasks, weights, seed=7)
        document["problems"][name] = {
            "modules": [{"name": n, "shape": list(shape), "layer": layer} for n, shape, layer in modules],
            "weights": weights,
        }
        for t, task in enumerate(tasks):
            for m, value in enumerate(task):
                if isinstance(value, tuple):
                    a, b, scale = value
                    inputs[f"{name}.{t}.{m}.a"], inputs[f"{name}.{t}.{m}.b"] = a, b
                    inputs[f"{name}.{t}.{m}.scale"] = numpy.array([scale], numpy.float32)
                elif value is not None:
                    inputs[f"{name}.{t}.{m}.delta"] = value
    for method, names, parameters in CASES:
        for name in names:
            given = dict(parameters)
            if method == "given_masks":
                given["masks"] = given_masks(built[name])
                for t, own in enumerate(given["masks"]):
                    for (module, _, _), mask in zip(built[name].modules, own):
                        if mask is not None:
                            masks.setdefault(f"masks.{name}", {})[f"task{t}.{module}"] = mask
            merged = importlib.import_module(f"merge.{method}").merge(built[name], **given)
            case = f"{len(document['cases'])}"
            document["cases"].append({"method": method, "problem": name, "parameters": parameters, "seed": 7})
            for m, change in enumerate(merged):
                assert change.shape == tuple(built[name].shape(m)), (method, name, m, change.shape)
                assert numpy.isfinite(change).all(), (method, name, m)
                expected[f"{case}.{m}"] = change.astype(numpy.float32)
    return {"problems": inputs, "expected": expected, **masks}, document


tensors, document = make()
text = json.dumps(document, indent=1) + "\n"
if "--check" in sys.argv:
    assert (FOLDER / "cases.json").read_text() == text, "cases.json differs"
    for name, wanted in tensors.items():
        stored = load_file(FOLDER / f"{name}.safetensors")
        assert stored.keys() == wanted.keys(), f"{name}.safetensors: other tensors"
        for key, value in wanted.items():
            assert numpy.allclose(stored[key], value, rtol=1e-5, atol=1e-6), f"{name}.safetensors: {key} differs"
    print("all as stored")
else:
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "cases.json").write_text(text)
    for name, value in tensors.items():
        save_file({key: numpy.ascontiguousarray(array) for key, array in value.items()}, FOLDER / f"{name}.safetensors")
        (FOLDER / f"{name}.safetensors").chmod(0o644)
