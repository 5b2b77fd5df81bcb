# SPDX-License-Identifier: Apache-2.0
"""Families whose delta has a structure other than low rank."""

import peft

from .case import GPT2, LLAMA, family

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SHAPES = ["q_proj", "k_proj", "up_proj", "down_proj"]

loha = family("loha", peft.LoHaConfig, r=2, alpha=3, target_modules=SHAPES)
lokr = family("lokr", peft.LoKrConfig, r=2, alpha=3, target_modules=SHAPES)

CASES = [
    loha(features="r 2, alpha 3", case=dict(noise=0.4)),
    loha("patterns", features="rank_pattern, alpha_pattern", rank_pattern={"k_proj": 3}, alpha_pattern={"down_proj": 7, "k_proj": 1}, case=dict(noise=0.4)),
    lokr(features="w2 of two factors"),
    lokr("full", features="both factors full, as r is large", r=32, alpha=8),
    lokr("both", features="decompose_both", r=1, alpha=2, decompose_both=True),
    lokr("factor", features="decompose_factor 2", decompose_factor=2, target_modules=["k_proj", "down_proj"]),
    lokr("patterns", features="rank_pattern, alpha_pattern", rank_pattern={"k_proj": 1}, alpha_pattern={"down_proj": 7}),
]
