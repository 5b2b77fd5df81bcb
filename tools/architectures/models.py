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
    vocab_size=48,
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
    # "ignored": the GGUF says that there is a window, and llama.cpp passes over it. Otherwise the reason why there is no GGUF.
    gguf: str = "same"
    # Metadata that differs in the file that llama.cpp is given, where it decides by its context size.
    check: dict = dataclasses.field(default_factory=dict)
    # What llama.cpp is told besides, as it does not read it from the file.
    options: dict = dataclasses.field(default_factory=dict)
    # Drop this prefix from the names of the tensors in model.safetensors.
    drop_prefix: str = ""


def rope(kind="default", theta=10000.0, **values):
    return dict(rope_type=kind, rope_theta=theta, **values)


def small(**values):
    return dict(SMALL, **values)


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
        "attention_bias and mlp_bias, linear rope scaling, untied, head_dim 12 with hidden/heads 8; config.json as published",
        small(head_dim=12, attention_bias=True, mlp_bias=True, rope_parameters=rope("linear", factor=4.0)),
        published=True,
    ),
    Model(
        "llama-yarn",
        "llama",
        103,
        "yarn rope scaling with its own beta_fast and beta_slow, prompt beyond the original context",
        small(
            num_attention_heads=2,
            num_key_value_heads=1,
            rope_parameters=rope(
                "yarn", 20.0, factor=4.0, original_max_position_embeddings=16, beta_fast=1.25, beta_slow=0.4
            ),
            max_position_embeddings=64,
        ),
        options=dict(yarn_beta_fast=1.25, yarn_beta_slow=0.4),
    ),
    Model(
        "mistral-window",
        "mistral",
        111,
        "sliding window 7, shorter than the prompt, in all layers",
        small(sliding_window=7, rope_parameters=rope()),
        gguf="full",
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
        gguf="GGUF cannot say that there is a window (mistral-window has the same)",
    ),
    Model(
        "qwen3-tied",
        "qwen3",
        131,
        "QK-norm, head_dim 12 with hidden/heads 8, tied; config.json as published",
        small(head_dim=12, tie_word_embeddings=True, rope_parameters=rope(theta=1e6)),
        published=True,
    ),
    Model(
        "qwen3-yarn",
        "qwen3",
        132,
        "QK-norm, yarn rope scaling with the prompt beyond the original context, head_dim 16 with one KV head, untied",
        small(
            head_dim=16,
            num_attention_heads=2,
            num_key_value_heads=1,
            rope_parameters=rope("yarn", 50.0, factor=4.0, original_max_position_embeddings=16),
            max_position_embeddings=64,
        ),
    ),
    Model(
        "gemma2-caps",
        "gemma2",
        141,
        "soft-caps that bite (attention 2, logits 3), window 6 in layers 0 and 2 of 3, head_dim 12; config.json as published",
        small(
            head_dim=12,
            num_hidden_layers=3,
            query_pre_attn_scalar=12,
            sliding_window=6,
            attn_logit_softcapping=2.0,
            final_logit_softcapping=3.0,
            rope_parameters=rope(),
            tie_word_embeddings=True,
        ),
        published=True,
    ),
    Model(
        "gemma2-scalar",
        "gemma2",
        142,
        "query_pre_attn_scalar 20 with head_dim 8, one KV head, no final soft-cap",
        small(
            head_dim=8,
            num_key_value_heads=1,
            query_pre_attn_scalar=20,
            sliding_window=9,
            attn_logit_softcapping=4.0,
            final_logit_softcapping=None,
            rope_parameters=rope(),
            tie_word_embeddings=True,
        ),
        gguf="llama.cpp's gemma2 always caps the logits and knows no query_pre_attn_scalar",
    ),
    Model(
        "gemma3-pattern",
        "gemma3_text",
        151,
        "QK-norm, five windowed layers (window 5) to one global of 7, two thetas; config.json as published",
        small(
            hidden_size=20,
            intermediate_size=24,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            num_hidden_layers=7,
            query_pre_attn_scalar=8,
            sliding_window=5,
            rope_parameters=dict(full_attention=rope(theta=1e6), sliding_attention=rope()),
            tie_word_embeddings=True,
        ),
        published=True,
    ),
    Model(
        "gemma3-linear",
        "gemma3_text",
        152,
        "linear rope scaling 8 of the global layers, head_dim 16 with hidden/heads 10, 6 layers",
        small(
            hidden_size=20,
            intermediate_size=24,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            num_hidden_layers=6,
            query_pre_attn_scalar=16,
            sliding_window=7,
            rope_parameters=dict(full_attention=rope("linear", 1e6, factor=8.0), sliding_attention=rope()),
            tie_word_embeddings=True,
        ),
    ),
    Model(
        "gemma3-scalar",
        "gemma3_text",
        153,
        "query_pre_attn_scalar 20 with head_dim 8, sliding_window_pattern 2, local theta 500; config.json as published",
        small(
            hidden_size=20,
            intermediate_size=24,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            num_hidden_layers=3,
            query_pre_attn_scalar=20,
            sliding_window=7,
            layer_types=["sliding_attention", "full_attention", "sliding_attention"],
            rope_parameters=dict(full_attention=rope(theta=1e5), sliding_attention=rope(theta=500.0)),
            tie_word_embeddings=True,
        ),
        published=True,
        gguf="llama.cpp's gemma3 knows no query_pre_attn_scalar",
    ),
    Model(
        "gemma3-nested",
        "gemma3",
        154,
        "as the models of Gemma 3 that also see: text_config, names in `language_model.`, other tensors that text needs not",
        dict(
            text_config=small(
                hidden_size=20,
                intermediate_size=24,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=8,
                query_pre_attn_scalar=8,
                sliding_window=7,
                layer_types=["sliding_attention", "full_attention"],
                rope_parameters=dict(full_attention=rope("linear", 1e6, factor=8.0), sliding_attention=rope()),
                tie_word_embeddings=True,
            ),
            vision_config=dict(
                hidden_size=4,
                intermediate_size=4,
                num_hidden_layers=1,
                num_attention_heads=1,
                image_size=8,
                patch_size=4,
                vision_use_head=False,
            ),
            mm_tokens_per_image=4,
        ),
        published=True,
        gguf="llama.cpp keeps the vision tower in a file of its own; the text is as gemma3-pattern",
    ),
    Model(
        "phi3-window",
        "phi3",
        161,
        "fused qkv_proj and gate_up_proj, sliding window 6, as many KV heads as heads; config.json as published",
        small(num_key_value_heads=4, sliding_window=6, rope_parameters=rope(), eos_token_id=2),
        published=True,
        gguf="ignored",
    ),
    Model(
        "phi3-gqa",
        "phi3",
        162,
        "fused qkv_proj of unequal parts (two KV heads to four), no window",
        small(sliding_window=None, rope_parameters=rope(theta=5000.0)),
    ),
    Model(
        "phi4mini-short",
        "phi3",
        163,
        "partial rotary 0.75, longrope within the original context (64), tied; config.json as published",
        small(
            tie_word_embeddings=True,
            original_max_position_embeddings=64,
            max_position_embeddings=256,
            partial_rotary_factor=0.75,
            rope_parameters=rope(
                "longrope",
                partial_rotary_factor=0.75,
                short_factor=[1.0, 1.25, 1.75],
                long_factor=[1.5, 3.0, 9.0],
                original_max_position_embeddings=64,
            ),
        ),
        published=True,
        # llama.cpp takes the long factors when its context is larger than the original one.
        check={"phi3.rope.scaling.original_context_length": 256},
    ),
    Model(
        "phi4mini-long",
        "phi3",
        164,
        "partial rotary 0.75, longrope with the prompt beyond the original context (16), tied",
        small(
            tie_word_embeddings=True,
            original_max_position_embeddings=16,
            max_position_embeddings=64,
            partial_rotary_factor=0.75,
            rope_parameters=rope(
                "longrope",
                partial_rotary_factor=0.75,
                short_factor=[1.0, 1.25, 1.75],
                long_factor=[1.5, 3.0, 9.0],
                original_max_position_embeddings=16,
            ),
        ),
    ),
    Model(
        "mixtral-top2",
        "mixtral",
        171,
        "2 of 4 experts; names as published (block_sparse_moe.experts.N.w1); config.json as published",
        small(intermediate_size=12, num_local_experts=4, num_experts_per_tok=2, rope_parameters=rope(theta=1e6)),
        published=True,
    ),
    Model(
        "mixtral-window",
        "mixtral",
        172,
        "3 of 5 experts, sliding window 7, tied, head_dim 12",
        small(
            intermediate_size=12,
            head_dim=12,
            num_local_experts=5,
            num_experts_per_tok=3,
            sliding_window=7,
            tie_word_embeddings=True,
            rope_parameters=rope(),
        ),
        gguf="GGUF cannot say that there is a window (mistral-window has the same)",
    ),
    Model(
        "qwen2moe-shared",
        "qwen2_moe",
        181,
        "2 of 4 experts, weights not normalised, shared expert with its gate, q, k, v biases; config.json as published",
        small(
            moe_intermediate_size=12,
            shared_expert_intermediate_size=20,
            num_experts=4,
            num_experts_per_tok=2,
            norm_topk_prob=False,
            rope_parameters=rope(theta=1e6),
        ),
        published=True,
    ),
    Model(
        "qwen2moe-mixed",
        "qwen2_moe",
        182,
        "norm_topk_prob, decoder_sparse_step 2 and mlp_only_layers [3]: of 4 layers only layer 1 has experts (3 of 5)",
        small(
            num_hidden_layers=4,
            moe_intermediate_size=8,
            shared_expert_intermediate_size=12,
            num_experts=5,
            num_experts_per_tok=3,
            norm_topk_prob=True,
            decoder_sparse_step=2,
            mlp_only_layers=[3],
            tie_word_embeddings=True,
            rope_parameters=rope(),
        ),
        gguf="llama.cpp's qwen2moe has experts in all layers and does not normalise their weights",
    ),
    Model(
        "qwen3moe-norm",
        "qwen3_moe",
        191,
        "QK-norm, head_dim 12, 2 of 4 experts with normalised weights; config.json as published",
        small(
            head_dim=12,
            moe_intermediate_size=12,
            num_experts=4,
            num_experts_per_tok=2,
            norm_topk_prob=True,
            rope_parameters=rope(theta=1e6),
        ),
        published=True,
    ),
    Model(
        "qwen3moe-mixed",
        "qwen3_moe",
        192,
        "norm_topk_prob off, mlp_only_layers [0] of 3, 3 of 5 experts, tied",
        small(
            num_hidden_layers=3,
            head_dim=8,
            moe_intermediate_size=8,
            num_experts=5,
            num_experts_per_tok=3,
            norm_topk_prob=False,
            mlp_only_layers=[0],
            tie_word_embeddings=True,
            rope_parameters=rope(),
        ),
        gguf="llama.cpp's qwen3moe has experts in all layers and normalises their weights",
    ),
    Model(
        "olmo2-gqa",
        "olmo2",
        201,
        "norms after attention and feed-forward, QK-norm over the full width, GQA; config.json as published",
        small(rope_parameters=rope(theta=5e5)),
        published=True,
    ),
    Model(
        "olmo2-mha",
        "olmo2",
        202,
        "as olmo2-gqa with as many KV heads as heads, of head_dim 16, three layers",
        small(num_attention_heads=2, num_hidden_layers=3, intermediate_size=20, rope_parameters=rope()),
    ),
    Model(
        "granite-tied",
        "granite",
        211,
        "embedding, attention, residual and logits multipliers, tied; config.json as published",
        small(
            embedding_multiplier=6.0,
            attention_multiplier=0.2,
            residual_multiplier=0.22,
            logits_scaling=4.0,
            tie_word_embeddings=True,
            rope_parameters=rope(),
        ),
        published=True,
    ),
    Model(
        "granite-biases",
        "granite",
        212,
        "other multipliers, attention_bias and mlp_bias, untied",
        small(
            embedding_multiplier=12.0,
            attention_multiplier=0.5,
            residual_multiplier=0.7,
            logits_scaling=0.5,
            attention_bias=True,
            mlp_bias=True,
            rope_parameters=rope(theta=1e6),
        ),
    ),
    Model(
        "smollm3-nope",
        "smollm3",
        221,
        "layer 3 of 4 without rotary positions, tied; config.json as published",
        small(num_hidden_layers=4, intermediate_size=20, tie_word_embeddings=True, rope_parameters=rope(theta=2e6)),
        published=True,
    ),
    Model(
        "smollm3-list",
        "smollm3",
        222,
        "no_rope_layers [0, 1, 0], a window of 6 in the layers without rotary positions, untied",
        small(
            num_hidden_layers=3,
            no_rope_layers=[0, 1, 0],
            use_sliding_window=True,
            sliding_window=6,
            tie_word_embeddings=False,
            rope_parameters=rope(),
        ),
        gguf="llama.cpp's smollm3 leaves out every fourth layer's positions and knows no window",
    ),
    Model(
        "gpt2-tied",
        "gpt2",
        231,
        "LayerNorm, learned positions, gelu_new, Conv1D layout, tied; names as published (no `transformer.`)",
        dict(vocab_size=48, n_positions=48, n_embd=24, n_layer=2, n_head=4, n_inner=None, bos_token_id=1, eos_token_id=2),
        drop_prefix="transformer.",
    ),
    Model(
        "gpt2-inner",
        "gpt2",
        232,
        "n_inner 20, untied, layer_norm_epsilon 1e-3, names as transformers writes them",
        dict(
            vocab_size=48,
            n_positions=48,
            n_embd=32,
            n_layer=2,
            n_head=2,
            n_inner=20,
            layer_norm_epsilon=1e-3,
            tie_word_embeddings=False,
            bos_token_id=1,
            eos_token_id=2,
        ),
    ),
    Model(
        "gemma-mqa",
        "gemma",
        241,
        "head_dim 16 with hidden/heads 8, one KV head, tied; config.json as published (hidden_act gelu, which means tanh)",
        small(head_dim=16, num_key_value_heads=1, tie_word_embeddings=True, rope_parameters=rope()),
        published=True,
    ),
    Model(
        "gemma-mha",
        "gemma",
        242,
        "head_dim 12 with hidden/heads 16, as many KV heads as heads, tied",
        small(
            head_dim=12, num_attention_heads=2, num_key_value_heads=2, tie_word_embeddings=True, rope_parameters=rope()
        ),
    ),
    Model(
        "openelm-widths",
        "openelm",
        251,
        "per-layer heads (2, 4, 6), KV heads (1, 2, 3) and feed-forward widths, fused qkv_proj and proj_1, QK-norm, tied",
        dict(
            num_transformer_layers=3,
            num_query_heads=[2, 4, 6],
            num_kv_heads=[1, 2, 3],
            ffn_multipliers=[0.5, 0.75, 1.0],
            num_gqa_groups=2,
        ),
    ),
    Model(
        "openelm-wide-heads",
        "openelm",
        252,
        "head_dim 12 that does not divide model_dim 32, heads (3, 6), KV heads (3, 2), widths 20 and 36, other theta",
        dict(
            head_dim=12,
            num_query_heads=[3, 6],
            num_kv_heads=[3, 2],
            ffn_multipliers=[0.6, 1.1],
            num_gqa_groups=1,
            rope_freq_constant=500,
        ),
    ),
]
