# SPDX-License-Identifier: Apache-2.0
"""The table of tiny models: their seeds, configurations and what each is there for."""

import dataclasses

TOKEN_COUNT = 24

SMALL = dict(
    hidden_size=32,
    intermediate_size=28,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=64,
    max_position_embeddings=128,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
)


@dataclasses.dataclass
class Model:
    """One folder. `kind` is transformers' model_type, `config` what its configuration is made of."""

    name: str
    kind: str
    seed: int
    features: str
    config: dict
    # config.json as on the hub before transformers 5, where it differs.
    published: bool = False
    # "same": the GGUF has these logits. "full": the GGUF cannot say that there is a window; it has the logits without one.
    # Otherwise the reason why there is no GGUF.
    gguf: str = "same"
    # Metadata that differs in the file that llama.cpp is given, where it decides by its context size.
    check: dict = dataclasses.field(default_factory=dict)
    # Drop this prefix from the names of the tensors in model.safetensors.
    drop_prefix: str = ""


def rope(kind="default", theta=10000.0, **values):
    return dict(rope_type=kind, rope_theta=theta, **values)


def small(**values):
    return dict(SMALL, **values)


WINDOW_LOST = "full"

MODELS = [
    Model(
        "llama-llama3",
        "llama",
        101,
        "llama3 rope scaling, tied, GQA; config.json as published",
        small(
            tie_word_embeddings=True,
            rope_parameters=rope(
                "llama3",
                1000.0,
                factor=8.0,
                low_freq_factor=1.0,
                high_freq_factor=4.0,
                original_max_position_embeddings=64,
            ),
        ),
        published=True,
    ),
    Model(
        "llama-biases",
        "llama",
        102,
        "attention_bias and mlp_bias, linear rope scaling, untied, head_dim 12 with hidden/heads 8",
        small(head_dim=12, attention_bias=True, mlp_bias=True, rope_parameters=rope("linear", factor=4.0)),
    ),
    Model(
        "llama-yarn",
        "llama",
        103,
        "yarn rope scaling, prompt beyond the original context",
        small(
            num_attention_heads=2,
            num_key_value_heads=1,
            rope_parameters=rope("yarn", factor=4.0, original_max_position_embeddings=16),
            max_position_embeddings=64,
        ),
    ),
    Model(
        "mistral-window",
        "mistral",
        111,
        "sliding window 7, shorter than the prompt, in all layers",
        small(sliding_window=7, rope_parameters=rope()),
        gguf=WINDOW_LOST,
        published=True,
    ),
    Model(
        "mistral-nemo",
        "mistral",
        112,
        "no window (null), head_dim 12 with hidden/heads 8",
        small(sliding_window=None, head_dim=12, rope_parameters=rope(theta=1e6)),
    ),
    Model(
        "qwen2-tied",
        "qwen2",
        121,
        "q, k, v biases, tied; config.json as published",
        small(tie_word_embeddings=True, rope_parameters=rope(theta=1e6)),
        published=True,
    ),
    Model(
        "qwen2-window",
        "qwen2",
        122,
        "use_sliding_window, window 6 from layer max_window_layers = 1 on, of 3 layers; untied",
        small(
            num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1, rope_parameters=rope()
        ),
        gguf=WINDOW_LOST,
    ),
]
