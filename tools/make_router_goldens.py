# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/routing: a router written by the safetensors package, what torch computes with it, and broken routers.

    python tools/make_router_goldens.py        needs: torch numpy safetensors
"""
import importlib.metadata
import json
import pathlib
import shutil

import torch
from safetensors.torch import save_file

goldens = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "routing"
FEATURES, HIDDEN, CLASSES, EXAMPLES = 13, 10, 5, 7
METADATA = {"format": "weft-router", "version": "1", "adapters": '["none","poem","sum \\u00e9","code","list"]', "layer": "3",
            "top_p": "0.8", "base": "sha256:0123"}


def make_router():
    """router.safetensors, and in expected.safetensors: probabilities, mean loss and its gradient for some examples."""
    torch.manual_seed(3)
    tensors = {
        "feature.mean": torch.randn(FEATURES), "feature.deviation": torch.rand(FEATURES) + 0.5,
        "hidden.weight": torch.randn(HIDDEN, FEATURES) * 0.5, "hidden.bias": torch.randn(HIDDEN) * 0.2,
        "output.weight": torch.randn(CLASSES, HIDDEN) * 0.7, "output.bias": torch.randn(CLASSES) * 0.2,
    }
    save_file(tensors, goldens / "router.safetensors", metadata=METADATA)
    features = torch.randn(EXAMPLES, FEATURES) * 2
    labels = torch.randint(0, CLASSES, (EXAMPLES,))
    order = ["hidden.weight", "hidden.bias", "output.weight", "output.bias"]
    parts = [tensors[name].double().requires_grad_() for name in order]
    standardised = (features.double() - tensors["feature.mean"]) / tensors["feature.deviation"]
    logits = torch.relu(standardised @ parts[0].T + parts[1]) @ parts[2].T + parts[3]
    losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none")
    gradient = torch.cat([part.flatten() for part in torch.autograd.grad(losses.sum(), parts)])
    save_file({"features": features, "labels": labels, "probabilities": logits.softmax(-1).float(),
               "losses": losses.float(), "gradient": gradient.float()}, goldens / "expected.safetensors")
    return tensors


def make_adam():
    """adam.safetensors: parameters after each of five steps of torch's AdamW; the first half decays, the second does not."""
    torch.manual_seed(4)
    start, gradients = torch.randn(12), torch.randn(5, 12)
    halves = [start[:6].clone().requires_grad_(), start[6:].clone().requires_grad_()]
    adam = torch.optim.AdamW([{"params": [halves[0]], "weight_decay": 0.1}, {"params": [halves[1]], "weight_decay": 0}], lr=0.02)
    steps = []
    for gradient in gradients:
        halves[0].grad, halves[1].grad = gradient[:6].clone(), gradient[6:].clone()
        adam.step()
        steps.append(torch.cat([half.detach().clone() for half in halves]))
    save_file({"start": start, "gradients": gradients, "steps": torch.stack(steps)}, goldens / "adam.safetensors")


def make_must_fail(tensors):
    """must-fail/: the router with one fault each; expected.json: pieces of the error's text."""
    folder = goldens / "must-fail"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    expected = {}

    def fail(name, changes, metadata, *pieces):
        changed = {key: value.contiguous() for key, value in (tensors | changes).items() if value is not None}
        text = {key: value for key, value in (METADATA | metadata).items() if value is not None}
        save_file(changed, folder / f"{name}.safetensors", metadata=text)
        expected[f"{name}.safetensors"] = list(pieces)

    def spoiled(name, value):
        changed = tensors[name].clone()
        changed.view(-1)[3] = value
        return {name: changed}

    for key in METADATA:
        fail(f"no-{key.replace('_', '-')}", {}, {key: None}, key)
    fail("format-other", {}, {"format": "pt"}, "format: expected weft-router, found 'pt'")
    fail("version-2", {}, {"version": "2"}, "version: expected 1, found '2'")
    fail("metadata-unknown", {}, {"top_k": "2"}, "expected no other metadata, found 'top_k'")
    fail("adapters-not-json", {}, {"adapters": "poem,code"}, "adapters: expected JSON")
    fail("adapters-object", {}, {"adapters": '{"a": 1}'}, "adapters: expected an array of names, found an object")
    fail("adapters-number", {}, {"adapters": '["a", 1, "b", "c", "d"]'}, "expected an array of names, found 1 in it")
    fail("adapters-one", {}, {"adapters": '["a"]'}, "at least 2 adapters to choose from, found 1")
    fail("adapters-twice", {}, {"adapters": '["a", "b", "c", "d", "a"]'}, "adapter names, each once, found 'a'")
    fail("adapters-empty-name", {}, {"adapters": '["a", "b", "c", "d", ""]'}, "adapter names, each once, found ''")
    fail("adapters-fewer-than-outputs", {}, {"adapters": '["a", "b", "c"]'}, "tensor 'output.weight'",
         "expected F32 of shape [3, 10]", "found F32 of shape [5, 10]")
    for value in ["-1", "1.5", "", "three", "99999999999999999999"]:
        fail(f"layer-{value or 'empty'}", {}, {"layer": value}, "layer: expected a whole number from 0", f"found '{value}'")
    for value in ["0", "1.01", "nan", "-0.5", "inf", "most"]:
        fail(f"top-p-{value}", {}, {"top_p": value}, "top_p: expected a number above 0 and at most 1", f"found '{value}'")
    for name in tensors:
        fail(f"no-{name.replace('.', '-')}", {name: None}, {}, f"tensor '{name}' is missing")
    fail("tensor-unknown", {"hidden2.weight": torch.zeros(1)}, {}, "expected no other tensor, found 'hidden2.weight'")
    fail("hidden-transposed", {"hidden.weight": tensors["hidden.weight"].T}, {}, "tensor 'hidden.weight'",
         "expected F32 of shape [10, 13]", "found F32 of shape [13, 10]")
    fail("hidden-f16", {"hidden.weight": tensors["hidden.weight"].half()}, {}, "tensor 'hidden.weight'", "found F16")
    fail("mean-short", {"feature.mean": torch.zeros(12)}, {}, "tensor 'feature.deviation'", "expected F32 of shape [12]")
    fail("mean-matrix", {"feature.mean": torch.zeros(1, 13)}, {}, "a vector that is not empty, found shape [1, 13]")
    fail("mean-empty", {"feature.mean": torch.zeros(0)}, {}, "a vector that is not empty, found shape [0]")
    fail("bias-empty", {"hidden.bias": torch.zeros(0)}, {}, "tensor 'hidden.bias'", "a vector that is not empty")
    fail("output-bias-long", {"output.bias": torch.zeros(6)}, {}, "tensor 'output.bias'", "expected F32 of shape [5]")
    fail("weight-nan", spoiled("hidden.weight", float("nan")), {}, "tensor 'hidden.weight'", "infinity or NaN at 3")
    fail("bias-infinite", spoiled("output.bias", float("-inf")), {}, "tensor 'output.bias'", "infinity or NaN at 3")
    fail("mean-nan", spoiled("feature.mean", float("nan")), {}, "tensor 'feature.mean'", "infinity or NaN at 3")
    fail("deviation-zero", spoiled("feature.deviation", 0.0), {}, "tensor 'feature.deviation'", "positive numbers, found 0.0 at 3")
    fail("deviation-negative", spoiled("feature.deviation", -1.0), {}, "tensor 'feature.deviation'", "found -1.0 at 3")
    sound = (goldens / "router.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(sound[:-4])
    expected["cut.safetensors"] = ["inside the"]
    (folder / "expected.json").write_text(json.dumps(expected, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    goldens.mkdir(parents=True, exist_ok=True)
    make_must_fail(make_router())
    make_adam()
    for path in goldens.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in ["torch", "safetensors"]))
