# SPDX-License-Identifier: Apache-2.0
"""Tests/Goldens/formats/importance.safetensors: what the linear layers of the demo model read, by transformers.

    tools/make_importance_goldens.py

`tokens` [2, 64]; for some matrices NAME of GGUF the sums [columns] of the squares of their inputs over both rows, in f64 from a
model in F32; and `log_likelihood`, the sum of the natural-log probabilities of tokens 33 ... 63 of each row.
"""
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parent.parent
MODULES = {
    "attn_q": "self_attn.q_proj", "attn_output": "self_attn.o_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}


def main():
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(
        ROOT / "Models" / "demo", gguf_file="base.gguf", dtype=torch.float32, attn_implementation="eager")
    tokens = torch.from_numpy(np.random.default_rng(3).integers(300, 4000, (2, 64)))
    tokens[:, 0] = 0
    sums = {}
    for layer in (0, 6):
        for name, module in MODULES.items():
            def add(_, inputs, key=f"blk.{layer}.{name}.weight"):
                rows = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
                sums[key] = sums.get(key, 0) + (rows**2).sum(0)
            model.model.layers[layer].get_submodule(module).register_forward_pre_hook(add)
    likelihood = 0
    with torch.no_grad():
        for row in tokens:
            scores = model(row[None]).logits[0].double().log_softmax(-1)
            likelihood += scores[torch.arange(32, 63), row[33:]].sum().item()
    result = {key: value.float().numpy() for key, value in sums.items()}
    result |= {"tokens": tokens.int().numpy(), "log_likelihood": np.array([likelihood], np.float32)}
    save_file(result, ROOT / "Tests" / "Goldens" / "formats" / "importance.safetensors")


if __name__ == "__main__":
    main()
