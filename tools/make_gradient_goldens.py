#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Tests/Goldens/gradients: squared gradients of log p(answer | prompt) and Gram matrices, by torch's autograd in float64.

    OMP_NUM_THREADS=1 python tools/make_gradient_goldens.py

Models are those of Tests/Goldens/{logits,architectures}. The examples are the `tokens` of their logits.safetensors, and the same
backwards; the answer begins in the middle. NAME.safetensors: `log_likelihood` [2], and for every linear module PATH (weights as
[out, in]) the mean over the examples of the squared gradient, added up: PATH.rows [out], PATH.columns [in].
gqa-tied also has PATH.fisher [out, in] and PATH.gram [in, in] (X^T X / n over all tokens of both examples) of layer 1;
gqa-tied+all is the model with the LoRA adapter of Tests/Goldens/adapters/all: PATH.lora_A [rank, in], PATH.lora_B [out, rank].
"""
import pathlib
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from architectures.reference import float64_source

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens"
MODELS = [
    "logits/gqa-tied", "logits/mha-untied", "logits/biases", "logits/llama3-rope",
    "architectures/qwen3-tied", "architectures/olmo2-gqa", "architectures/phi3-gqa", "architectures/phi4mini-short",
    "architectures/gemma-mqa", "architectures/gemma3-scalar", "architectures/gpt2-tied", "architectures/granite-tied",
    "architectures/smollm3-nope", "architectures/mistral-window",
]


def examples(folder):
    tokens = load_file(GOLDENS / folder / "logits.safetensors")["tokens"].long()
    return [tokens, tokens.flip(0)]


def likelihood(model, tokens):
    """log p of the second half, given what is before each token."""
    first = len(tokens) // 2
    scores = model(tokens[None]).logits[0].log_softmax(-1)
    return scores[torch.arange(first - 1, len(tokens) - 1), tokens[first:]].sum()


def squares(model, folder, parameters):
    """Means over the examples of the squared gradients, and the log-likelihoods."""
    result, likelihoods = {name: 0 for name, _ in parameters}, []
    for tokens in examples(folder):
        value = likelihood(model, tokens)
        gradients = torch.autograd.grad(value, [parameter for _, parameter in parameters])
        likelihoods.append(value.item())
        for (name, _), gradient in zip(parameters, gradients):
            result[name] = result[name] + gradient**2 / 2
    return result, torch.tensor(likelihoods)


def linear_modules(model):
    tied = model.get_input_embeddings().weight
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, Conv1D)) and module.weight is not tied:
            yield name, module


def grams(model, folder):
    sums, count = {}, 0
    hooks = []
    for name, module in linear_modules(model):
        def add(_, inputs, name=name):
            rows = inputs[0].reshape(-1, inputs[0].shape[-1])
            sums[name] = sums.get(name, 0) + rows.T @ rows
        hooks.append(module.register_forward_pre_hook(add))
    with torch.no_grad():
        for tokens in examples(folder):
            model(tokens[None])
            count += len(tokens)
    for hook in hooks:
        hook.remove()
    return {name: value / count for name, value in sums.items()}


def main():
    torch.set_num_threads(1)
    (GOLDENS / "gradients").mkdir(exist_ok=True)
    for folder in MODELS:
        model = AutoModelForCausalLM.from_pretrained(GOLDENS / folder, dtype=torch.float64, attn_implementation="eager").eval()
        with float64_source(model.config.model_type):
            modules = dict(linear_modules(model))
            fisher, likelihoods = squares(model, folder, [(name, module.weight) for name, module in modules.items()])
            result = {"log_likelihood": likelihoods}
            for name, value in fisher.items():
                value = value.T if isinstance(modules[name], Conv1D) else value
                result |= {f"{name}.rows": value.sum(1), f"{name}.columns": value.sum(0)}
                if folder.endswith("gqa-tied") and ".1." in name:
                    result[f"{name}.fisher"] = value
            if folder.endswith("gqa-tied"):
                result |= {f"{name}.gram": value for name, value in grams(model, folder).items() if ".1." in name}
                write(folder, result)
                adapted = PeftModel.from_pretrained(model, GOLDENS / "adapters" / "all", is_trainable=True).double().eval()
                parameters = [(name.removeprefix("base_model.model.").replace(".default.weight", ""), value)
                              for name, value in adapted.named_parameters() if "lora_" in name]
                fisher, likelihoods = squares(adapted, folder, parameters)
                write(folder + "+all", fisher | {"log_likelihood": likelihoods})
            else:
                write(folder, result)


def write(folder, tensors):
    path = GOLDENS / "gradients" / (folder.split("/")[1] + ".safetensors")
    save_file({name: value.detach().to(torch.float32).contiguous() for name, value in tensors.items()}, path)
    print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
