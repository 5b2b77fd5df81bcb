# SPDX-License-Identifier: Apache-2.0
"""Families whose delta has a structure other than low rank."""

import peft

from .case import GPT2, LLAMA, family

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
SHAPES = ["q_proj", "k_proj", "up_proj", "down_proj"]

loha = family("loha", peft.LoHaConfig, r=2, alpha=3, target_modules=SHAPES)
lokr = family("lokr", peft.LoKrConfig, r=2, alpha=3, target_modules=SHAPES)
fourierft = family("fourierft", peft.FourierFTConfig, n_frequency=20, scaling=150.0, target_modules=SHAPES)
waveft = family("waveft", peft.WaveFTConfig, n_frequency=20, scaling=4.0, target_modules=SHAPES)
shira = family("shira", peft.ShiraConfig, r=1, random_seed=12, target_modules=SHAPES)
supertuning = family("supertuning", peft.SupertuningConfig, sparsity=0.97, target_modules=SHAPES)
c3a = family("c3a", peft.C3AConfig, block_size=8, target_modules=SHAPES)
miss = family("miss", peft.MissConfig, r=4, target_modules=SHAPES)
hira = family("hira", peft.HiraConfig, r=2, target_modules=SHAPES)
glora = family("glora", peft.GloraConfig, r=2, target_modules=["k_proj", "down_proj"])
peanut = family("peanut", peft.PeanutConfig, r=2, target_modules=SHAPES)
frod = family("frod", peft.FrodConfig, progressbar=False, sparse_rate=0.05, target_modules=["q_proj", "k_proj"])
LOUD = dict(noise=1.0)


def check_unsaved(model):
    """Which of several equal magnitudes are chosen, and in which order, is not determined: there must be none."""
    for name, module in model.named_modules():
        if hasattr(module, "supertuning_values"):
            top = model.peft_config["default"].select_top
            found = module.get_base_layer().weight.abs().flatten().sort(descending=top).values
            count = len(module.supertuning_values["default"])
            assert (found[:count] != found[1 : count + 1]).all(), f"equal magnitudes in {name}"


CASES = [
    loha(features="r 2, alpha 3", case=dict(noise=0.4)),
    loha(
        "patterns",
        features="rank_pattern, alpha_pattern",
        rank_pattern={"k_proj": 3},
        alpha_pattern={"down_proj": 7, "k_proj": 1},
        case=dict(noise=0.4),
    ),
    lokr(features="w2 of two factors"),
    lokr("full", features="both factors full, as r is large", r=32, alpha=8),
    lokr("both", features="decompose_both", r=1, alpha=2, decompose_both=True),
    lokr("factor", features="decompose_factor 2", decompose_factor=2, target_modules=["k_proj", "down_proj"]),
    lokr("patterns", features="rank_pattern, alpha_pattern", rank_pattern={"k_proj": 1}, alpha_pattern={"down_proj": 7}),
    fourierft(features="positions from the seed"),
    fourierft(
        "pattern",
        features="n_frequency_pattern, another seed",
        n_frequency_pattern={"k_proj": 33, "layers.1.mlp.down_proj": 7},
        random_loc_seed=5,
    ),
    fourierft("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True),
    waveft(features="db1, positions from the seed"),
    *[waveft(wavelet, features=f"{wavelet}: padding", wavelet_family=wavelet) for wavelet in ("db4", "sym3", "coif1")],
    waveft("sparse", features="use_idwt false", use_idwt=False),
    waveft(
        "proportional",
        features="proportional_parameters, n_frequency_pattern",
        proportional_parameters=True,
        n_frequency_pattern={"k_proj": 9},
    ),
    waveft(
        "pattern",
        features="n_frequency_pattern",
        n_frequency_pattern={"k_proj": 9, "layers.0.mlp.up_proj": 31},
        random_loc_seed=6,
    ),
    waveft("gpt2", "gpt2", "Conv1D, db2", wavelet_family="db2", target_modules=GPT2, fan_in_fan_out=True),
    shira(features="indices in the file", case=LOUD),
    supertuning(features="indices in the file", case=LOUD),
    supertuning(
        "unsaved",
        features="indices are those of the largest weights",
        sparsity=0.985,
        target_modules=["k_proj"],
        save_precomputed_indices=False,
        case=LOUD | dict(finish=check_unsaved),
    ),
    supertuning(
        "bottom-unsaved",
        "llama-tied",
        "indices are those of the smallest weights",
        sparsity=0.985,
        select_top=False,
        target_modules=["q_proj"],
        save_precomputed_indices=False,
        case=LOUD | dict(finish=check_unsaved),
    ),
    supertuning("bottom", features="select_top false", select_top=False, case=LOUD),
    supertuning("lora", features="with a low-rank part", r=2, lora_alpha=3, case=LOUD),
    c3a(features="block size 8", case=dict(noise=3.0)),
    c3a(
        "pattern",
        features="block_size_pattern",
        block_size_pattern={"k_proj": 16, "layers.1.mlp.up_proj": 4},
        case=dict(noise=3.0),
    ),
    c3a("bias", "llama-bias", "bias=c3a_only", bias="c3a_only", target_modules=["k_proj"], case=dict(noise=0.5)),
    miss(features="r 4"),
    miss("odd", features="r 5, which does not divide the input", r=5, target_modules=["k_proj", "down_proj"]),
    miss("bat", features="init_weights bat: depends on the base", init_weights="bat"),
    miss("mini", features="init_weights mini: tiled along the output", init_weights="mini", mini_r=8),
    miss("bias", "llama-bias", "bias=miss_only", bias="miss_only", target_modules=["k_proj"]),
    hira(features="multiplies the base", case=dict(noise=0.4)),
    hira("pattern", "llama-bias", "rank_pattern, beside biases", rank_pattern={"k_proj": 3}, case=dict(noise=0.4)),
    hira("gpt2", "gpt2", "Conv1D", target_modules=GPT2, fan_in_fan_out=True, case=dict(noise=0.4)),
    hira(
        "embedding",
        features="embed_tokens",
        target_modules=["embed_tokens", "k_proj"],
        case=dict(noise=0.4, saving=dict(save_embedding_layers=False)),
    ),
    glora(features="A, B, C lora, D, E constant: C, D, E without effect, as there is no bias"),
    glora("bias", "llama-bias", "A, B, C lora, D, E constant"),
    glora("vector", "llama-bias", "A, B, C vector, D, E vector", config_A_B="vector", config_C="vector", config_D_E="vector"),
    glora(
        "constant",
        "llama-bias",
        "A, B constant, C none, D, E vector",
        config_A_B="constant",
        config_C="none",
        config_D_E="vector",
    ),
    glora(
        "none",
        "llama-bias",
        "A, B none, C vector, D, E none",
        config_A_B="none",
        config_C="vector",
        config_D_E="none",
        target_modules=["k_proj"],
    ),
    peanut(features="depth 0, relu", case=dict(noise=0.4)),
    peanut("deep", features="depth 2: encoders and decoders with residuals", depth=2, scaling=2.0, case=dict(noise=0.6)),
    *[
        peanut(
            name,
            features=f"{name}, depth {depth}",
            act_fn=name,
            depth=depth,
            target_modules=["k_proj", "down_proj"],
            case=dict(noise=0.4),
        )
        for name, depth in (("gelu", 0), ("silu", 2), ("tanh", 0), ("gelu_new", 2), ("sigmoid", 0))
    ],
    frod(features="V and indices in the file"),
    frod(
        "wide",
        "llama-bias",
        "V of fewer rows than columns; beside biases",
        target_modules=["k_proj", "o_proj"],
        layers_to_transform=[1],
    ),
    frod(
        "unsaved",
        features="V not in the file",
        save_projection=False,
        case=dict(refused="the shared matrices are not in the file"),
    ),
]
