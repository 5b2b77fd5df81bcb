# SPDX-License-Identifier: Apache-2.0
"""Run by WEFT_PYTHON_MLX: loralib adapts a Llama, saves what it calls its state, and runs it.

    loralib_adapter.py OPTIONS     a JSON object: base, tokens, path
"""

import json
import sys

import loralib
import torch
import transformers
from safetensors.torch import save_file


@torch.no_grad()
def main():
    options = json.loads(sys.argv[1])
    model = transformers.AutoModelForCausalLM.from_pretrained(options["base"], dtype=torch.float32, attn_implementation="eager")
    generator = torch.Generator().manual_seed(91)
    replaced = [(path, module) for path, module in model.named_modules() if path.endswith(("k_proj", "up_proj", "embed_tokens"))]
    for path, module in replaced:
        if isinstance(module, torch.nn.Linear):
            layer = loralib.Linear(module.in_features, module.out_features, r=2, lora_alpha=3, bias=False, merge_weights=False)
        else:
            layer = loralib.Embedding(module.num_embeddings, module.embedding_dim, r=2, lora_alpha=3, merge_weights=False)
        layer.weight.data = module.weight.data
        for factor in (layer.lora_A, layer.lora_B):
            factor.data = 0.2 * torch.randn(factor.shape, generator=generator)
        model.set_submodule(path, layer)
    model.eval()
    save_file({key: value.contiguous() for key, value in loralib.lora_state_dict(model).items()}, options["path"])
    print(json.dumps(model(torch.tensor([options["tokens"]])).logits[0].tolist()))


main()
