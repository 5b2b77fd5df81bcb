# SPDX-License-Identifier: Apache-2.0
"""Families whose delta is a product of two narrow matrices, besides LoRA."""

import peft
import torch

from .case import GPT2, LLAMA, family

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
# Of different shapes, as shared matrices are cut to size.
SHAPES = ["q_proj", "k_proj", "up_proj", "down_proj"]

adalora = family("adalora", peft.AdaLoraConfig, init_r=3, target_r=2, lora_alpha=8, total_step=10, target_modules=SHAPES)
vera = family("vera", peft.VeraConfig, r=4, target_modules=SHAPES)
pvera = family("pvera", peft.PveraConfig, r=4, target_modules=SHAPES)


def reduce_ranks(model):
    """As the budget allocation leaves it: some components are switched off, and not saved."""
    generator = torch.Generator().manual_seed(640)
    pattern = {}
    for name, value in sorted(model.base_model.model.named_parameters()):
        if "lora_E" in name:
            kept = torch.rand(len(value), generator=generator) < 0.6
            kept[0] = True
            value.data[~kept] = 0
            pattern[name] = kept.tolist()
    model.peft_config["default"].rank_pattern = pattern


CASES = [
    adalora(features="alpha / init_r"),
    adalora("reduced", features="rank_pattern: factors already reduced, the divisor is not", case=dict(finish=reduce_ranks)),
    adalora("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    vera(features="projections in the file"),
    vera("unsaved", features="save_projection false: from the seed", save_projection=False, projection_prng_key=5),
    vera("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    vera("bias", "llama-bias", "bias=vera_only, unsaved", save_projection=False, bias="vera_only", target_modules=["k_proj"]),
    pvera(features="projections in the file; the mean path"),
    pvera("unsaved", features="save_projection false: from the seed", save_projection=False, projection_prng_key=6),
]
