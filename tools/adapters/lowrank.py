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
vblora = family("vblora", peft.VBLoRAConfig, r=2, num_vectors=6, vector_length=8, topk=2, target_modules=SHAPES)
randlora = family(
    "randlora",
    peft.RandLoraConfig,
    r=6,
    randlora_alpha=12,
    save_projection=False,
    projection_prng_key=7,
    target_modules=SHAPES,
)
gralora = family("gralora", peft.GraloraConfig, r=4, alpha=8, gralora_k=2, target_modules=SHAPES)
delora = family("delora", peft.DeloraConfig, r=2, delora_lambda=3, target_modules=SHAPES)
tinylora = family("tinylora", peft.TinyLoraConfig, r=2, u=3, target_modules=SHAPES)
unilora = family("unilora", peft.UniLoraConfig, r=2, theta_d_length=24, proj_seed=11, target_modules=SHAPES)
osf = family("osf", peft.OSFConfig, effective_rank=28, target_modules=["q_proj", "up_proj"])
deft = family("deft", peft.DeftConfig, r=2, target_modules=SHAPES)
psoft = family("psoft", peft.PsoftConfig, r=4, psoft_alpha=4, target_modules=SHAPES)
adamss = family("adamss", peft.AdamssConfig, r=6, num_subspaces=3, subspace_rank=1, target_modules=["q_proj"])


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
    vblora(features="all logits, top 2", case=dict(noise=0.4)),
    vblora(
        "top",
        features="save_only_topk_weights: indices and all weights but the last",
        save_only_topk_weights=True,
        topk=3,
        case=dict(noise=0.4),
    ),
    vblora("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True, case=dict(noise=0.4)),
    randlora(features="bases from the seed"),
    randlora(
        "saved",
        features="bases in the file, once per layer as well",
        r=8,
        save_projection=True,
        target_modules=["k_proj"],
        layers_to_transform=[1],
    ),
    randlora("sparse", features="sparse bases from the seed", sparse=True),
    randlora("very-sparse", features="very sparse bases from the seed", very_sparse=True),
    randlora("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    gralora(features="k 2"),
    gralora("k4", features="k 4", gralora_k=4, target_modules=LLAMA),
    gralora("hybrid", features="hybrid_r: plain LoRA besides", hybrid_r=2),
    gralora("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    delora(features="lambda and the norms of the base in the file"),
    delora(
        "patterns",
        "llama-bias",
        "rank_pattern, lambda_pattern; bias=delora_only",
        rank_pattern={"k_proj": 3},
        lambda_pattern={"up_proj": 5},
        bias="delora_only",
    ),
    tinylora(features="one vector per module"),
    tinylora("tied", features="weight_tying 1: one vector for all", weight_tying=1.0),
    tinylora("half-tied", features="weight_tying 0.6: groups", weight_tying=0.6),
    tinylora("unsaved", features="save_projection false: P from the seed", save_projection=False, projection_seed=9),
    tinylora("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    tinylora(
        "embedding",
        features="embed_tokens",
        target_modules=["embed_tokens", "k_proj"],
        case=dict(saving=dict(save_embedding_layers=False)),
    ),
    unilora(features="indices from the seed", case=dict(noise=2.0)),
    unilora("saved", features="indices and scales in the file", save_indices=True, case=dict(noise=2.0)),
    unilora("gpt2", "gpt2", "Conv1D", target_modules=["c_attn", "c_fc"], fan_in_fan_out=True, case=dict(noise=2.0)),
    osf(features="effective_rank 28: the last 4 components replaced"),
    osf("pattern", features="rank_pattern", rank_pattern={"q_proj": 30, "k_proj": 14}, target_modules=["q_proj", "k_proj"]),
    deft(features="relu"),
    deft("qr", features="qr", decomposition_method="qr"),
    deft("para", features="para: no residual", para=True),
    deft("alpha", features="relu, alpha / r", alpha=6, target_modules=["k_proj", "down_proj"]),
    deft("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    psoft(
        features="needs the signs of torch's SVD",
        case=dict(refused="depends on the signs of the SVD that peft takes of the base"),
    ),
    adamss(features="needs k-means of scikit-learn", case=dict(refused="the rows of each subspace are not in the file")),
]
