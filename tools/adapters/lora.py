# SPDX-License-Identifier: Apache-2.0
"""LoRA and what its options change."""

import peft

from .case import GPT2, LLAMA, Case

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]


def lora(name, base="llama", features="", case=None, **options):
    arguments = dict(r=2, lora_alpha=3, target_modules=LLAMA) | options
    return Case(f"lora-{name}" if name else "lora", base, peft.LoraConfig, arguments, features, **(case or {}))


CASES = [
    lora("", features="r 2, alpha 3"),
    lora("rslora", features="alpha / sqrt r", r=3, use_rslora=True, target_modules=ATTENTION),
    lora("gpt2", "gpt2", "fan_in_fan_out", target_modules=GPT2, fan_in_fan_out=True),
    lora("f16", features="stored F16", case=dict(storage="F16")),
    lora("bf16", features="stored BF16", case=dict(storage="BF16")),
    lora("patterns", features="rank_pattern, alpha_pattern; the first match counts", rank_pattern={"1.self_attn.q_proj": 3, "q_proj": 1, "up_proj": 4}, alpha_pattern={"v_proj": 5, r"layers\.1\..*": 2, "up_proj": 7}),
    lora("lora-bias", "llama-bias", "lora_B.bias, base with biases", lora_bias=True),
    lora("lora-bias-none", features="lora_B.bias where the base has none: not merged", lora_bias=True, target_modules=ATTENTION),
    lora("bias-all", "llama-bias", "bias=all", bias="all", target_modules=["q_proj", "down_proj"]),
    lora("bias-only", "llama-bias", "bias=lora_only", bias="lora_only", target_modules=["q_proj", "down_proj"]),
    lora("bias-gpt2", "gpt2", "bias=all, with the biases of LayerNorm", bias="all", target_modules=["c_attn"], fan_in_fan_out=True),
    lora("dora", features="use_dora", use_dora=True),
    lora("dora-bias", "llama-bias", "use_dora beside biases", use_dora=True, target_modules=["k_proj", "down_proj"]),
    lora("dora-gpt2", "gpt2", "use_dora, Conv1D", use_dora=True, target_modules=GPT2, fan_in_fan_out=True),
    lora("dora-patterns", features="use_dora, rslora, patterns", use_dora=True, use_rslora=True, rank_pattern={"k_proj": 3}, alpha_pattern={"up_proj": 7}),
]
