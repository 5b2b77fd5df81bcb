# SPDX-License-Identifier: Apache-2.0
"""Families that scale, rotate or replace what the base has."""

import peft
import torch
from peft.tuners.boft import layer as boft_layer

from .case import GPT2, LLAMA, family

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]

ia3 = family("ia3", peft.IA3Config, target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"])
oft = family("oft", peft.OFTConfig, oft_block_size=8, target_modules=["q_proj", "k_proj", "down_proj"])
boft = family("boft", peft.BOFTConfig, boft_block_size=4, target_modules=["q_proj", "k_proj", "down_proj"])
hra = family("hra", peft.HRAConfig, r=4, target_modules=LLAMA)
road = family("road", peft.RoadConfig, group_size=8, target_modules=LLAMA)
norms = family("ln-tuning", peft.LNTuningConfig)


class BlocksOnDiagonal:
    """What peft's CUDA extension computes: the blocks [N, D, b, b] of every level on a diagonal, [N, D b, D b]."""

    @staticmethod
    def forward(blocks):
        return [torch.stack([torch.block_diag(*level) for level in blocks])]


def with_levels(make):
    """Without the extension peft has a butterfly of one level, whatever its configuration says."""

    def run(base, folder):
        boft_layer._FBD_CUDA = BlocksOnDiagonal
        return make(base, folder)

    return run


def butterfly(levels, **options):
    config = dict(boft_block_size=4, boft_n_butterfly_factor=levels, target_modules=["q_proj", "k_proj", "down_proj"])
    make = with_levels(lambda base, folder: peft.get_peft_model(base, peft.BOFTConfig(task_type="CAUSAL_LM", **config)))
    return boft(
        f"butterfly-{levels}",
        features=f"{levels} levels of a butterfly",
        case=dict(adapt=make, load=with_levels(peft.PeftModel.from_pretrained)),
        **config,
    )


beft = family("beft", peft.tuners.BeftConfig)
tokens = family("trainable-tokens", peft.TrainableTokensConfig, token_indices=[95, 0, 17])

CASES = [
    ia3(features="k, v scaled at the output, down at the input"),
    ia3(
        "all",
        "llama-bias",
        "all modules: output scales reach the bias",
        target_modules=LLAMA,
        feedforward_modules=["o_proj", "down_proj"],
    ),
    ia3("gpt2", "gpt2", "Conv1D", target_modules=GPT2, feedforward_modules=["c_proj"], fan_in_fan_out=True),
    ia3("none", "llama-bias", "no feedforward modules", target_modules=["k_proj", "up_proj"], feedforward_modules=[]),
    ia3(
        "modules-to-save",
        features="modules_to_save",
        target_modules=["k_proj"],
        feedforward_modules=[],
        modules_to_save=["lm_head", "model.norm"],
    ),
    oft(features="Cayley-Neumann, 5 terms"),
    *[oft(f"neumann-{n}", features=f"Cayley-Neumann, {n} terms", num_cayley_neumann_terms=n) for n in (1, 2, 3, 4, 6)],
    oft("exact", features="Cayley by solving", use_cayley_neumann=False),
    oft("coft", features="constrained: some blocks are shortened", coft=True, eps=3.0),
    oft("coft-exact", features="constrained, Cayley by solving", coft=True, eps=3.0, use_cayley_neumann=False),
    oft("shared", features="one block for all", block_share=True),
    oft("blocks", features="r in place of the block size", r=4, oft_block_size=0),
    oft("bias", "llama-bias", "beside biases"),
    oft(
        "embedding",
        features="embed_tokens",
        target_modules=["embed_tokens"],
        case=dict(deltas=["model.embed_tokens"], saving=dict(save_embedding_layers=False)),
    ),
    boft(features="block size 4"),
    boft("blocks", "llama-bias", "2 blocks, beside biases", boft_block_size=0, boft_block_num=4),
    butterfly(2),
    butterfly(3),
    hra(features="products of reflections"),
    hra("gs", features="apply_GS: orthonormal columns", apply_GS=True),
    hra("bias", "llama-bias", "beside biases; bias=hra_only", target_modules=["k_proj", "down_proj"], bias="hra_only"),
    hra("odd", features="r 3", r=3, target_modules=ATTENTION),
    road(features="road_1"),
    road("2", features="road_2", variant="road_2"),
    road("4", features="road_4", variant="road_4"),
    road("bias", "llama-bias", "road_1 acts on the biased output", target_modules=["k_proj", "down_proj"]),
    norms(features="RMSNorm", target_modules=["input_layernorm", "post_attention_layernorm", "norm"]),
    norms("gpt2", "gpt2", "LayerNorm with bias", target_modules=["ln_1", "ln_2", "ln_f"]),
    beft("", "llama-bias", "added to the base's bias", target_modules=LLAMA),
    beft("none", features="the base has no bias", target_modules=["k_proj", "v_proj"]),
    tokens(features="replaced rows of embed_tokens", target_modules=["embed_tokens"]),
    tokens("head", features="replaced rows of embed_tokens and lm_head", target_modules=["embed_tokens", "lm_head"]),
    tokens("tied", "llama-tied", "tied: rows of the head as well"),
    tokens("gpt2", "gpt2", "wte, tied", target_modules=["wte"]),
]
