# SPDX-License-Identifier: Apache-2.0
"""The model of a Hugging Face folder as GGUF, with the metadata and the tensors that llama.cpp reads."""

import math
import re

import gguf
import numpy as np
import torch

# By model_type: general.architecture, and whether llama.cpp rotates neighbours (rows of q and k are then stored in that order).
ARCHITECTURES = {
    "llama": ("llama", True),
    "mistral": ("llama", True),
    "mixtral": ("llama", True),
    "qwen2": ("qwen2", False),
    "qwen2_moe": ("qwen2moe", False),
    "qwen3": ("qwen3", False),
    "qwen3_moe": ("qwen3moe", False),
    "gemma": ("gemma", False),
    "gemma2": ("gemma2", False),
    "gemma3_text": ("gemma3", False),
    "phi3": ("phi3", False),
    "olmo2": ("olmo2", False),
    "granite": ("granite", True),
    "smollm3": ("smollm3", True),
    "gpt2": ("gpt2", False),
    "openelm": ("openelm", False),
}


def interleaved(weight, heads):
    """Rows of q or k from HF's half-split rotary order to the order of neighbours."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def with_stacked_experts(weights):
    """`weights` with the matrices of experts stacked into [experts, out, in] under the name without the number."""
    stacks = {}
    for key, value in weights.items():
        match = re.fullmatch(r"(.*\.)(?:mlp|block_sparse_moe)\.experts\.(\d+)\.(w[123]|\w+_proj)\.weight", key)
        if match:
            # The names under which the gguf package knows the stacks of Mixtral and of Qwen.
            layer = match[1] if match[3].endswith("_proj") else match[1].removeprefix("model.")
            place = "mlp" if match[3].endswith("_proj") else "feed_forward"
            stacks.setdefault(f"{layer}{place}.experts.{match[3]}.weight", {})[int(match[2])] = value
        else:
            stacks[key] = value
    return {
        key: torch.stack([value[i] for i in range(len(value))]) if isinstance(value, dict) else value
        for key, value in stacks.items()
    }


class GGUFFile:
    """Writes one file. `config` is transformers' configuration, `weights` the tensors by their names on disk, F32."""

    def __init__(self, model, config, weights):
        self.model, self.config, self.weights = model, config, weights
        self.name, self.interleaves = ARCHITECTURES[model.kind]
        architecture = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == self.name)
        self.names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
        # What is special in the metadata of an architecture.
        self.add_special = getattr(self, f"add_{model.kind}", lambda: None)

    def write(self, path, storage, overrides=None):
        """Matrices as `storage`; vectors, routers and positions F32. `overrides` replaces metadata."""
        self.writer = gguf.GGUFWriter(path, self.name)
        self.storage = gguf.GGMLQuantizationType[storage]
        self.overrides = overrides or {}
        self.add_metadata()
        for name, value in self.tensors():
            self.add_tensor(name, value)
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()

    def add_tensor(self, name, value):
        value = np.ascontiguousarray(value.squeeze(), dtype=np.float32)
        stays = value.ndim == 1 or "ffn_gate_inp" in name or "position_embd" in name
        kind = gguf.GGMLQuantizationType.F32 if stays else self.storage
        stored = gguf.quantize(value, kind)
        assert np.array_equal(gguf.dequantize(stored, kind), value), f"{name} is rounded"
        self.writer.add_tensor(name, stored, raw_dtype=kind)

    # Metadata

    def add_metadata(self):
        config, writer = self.config, self.writer
        writer.add_type("model")
        writer.add_name(self.model.name)
        writer.add_file_type(gguf.LlamaFileType["ALL_F32" if self.storage.name == "F32" else f"MOSTLY_{self.storage.name}"])
        writer.add_vocab_size(config.vocab_size)
        writer.add_block_count(config.num_hidden_layers)
        if self.model.kind in ("gpt2", "openelm"):
            self.add_special()
        else:
            self.add_common()
            self.add_special()
        writer.add_tokenizer_model("none")
        for key, value in self.overrides.items():
            writer.kv_data[0][key].value = value

    def add_common(self):
        """What the models with the names of Llama's configuration share."""
        config, writer = self.config, self.writer
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        if self.model.config.get("head_dim"):
            writer.add_key_length(config.head_dim)
            writer.add_value_length(config.head_dim)
        # Converters of Gemma 1 and 2 say nothing of rotary positions.
        if self.model.kind not in ("gemma", "gemma2"):
            self.add_rope(config.rope_parameters.get("full_attention", config.rope_parameters))

    def head_dimension(self):
        return getattr(self.config, "head_dim", None) or self.config.hidden_size // self.config.num_attention_heads

    def add_rope(self, rope):
        writer = self.writer
        writer.add_rope_freq_base(rope["rope_theta"])
        writer.add_rope_dimension_count(int(self.head_dimension() * rope.get("partial_rotary_factor", 1)))
        if rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
        if rope["rope_type"] == "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(rope["factor"])
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])
            if "beta_fast" in rope:
                writer.add_rope_scaling_yarn_beta_fast(rope["beta_fast"])
                writer.add_rope_scaling_yarn_beta_slow(rope["beta_slow"])

    def add_mixtral(self):
        self.writer.add_expert_count(self.config.num_local_experts)
        self.writer.add_expert_used_count(self.config.num_experts_per_tok)

    def add_qwen2_moe(self):
        self.add_qwen3_moe()
        self.writer.add_expert_shared_feed_forward_length(self.config.shared_expert_intermediate_size)

    def add_qwen3_moe(self):
        self.writer.add_expert_count(self.config.num_experts)
        self.writer.add_expert_used_count(self.config.num_experts_per_tok)
        self.writer.add_expert_feed_forward_length(self.config.moe_intermediate_size)

    def add_gemma2(self):
        self.writer.add_attn_logit_softcapping(self.config.attn_logit_softcapping)
        self.writer.add_final_logit_softcapping(self.config.final_logit_softcapping)
        self.writer.add_sliding_window(self.config.sliding_window)

    def add_gemma3_text(self):
        self.writer.add_sliding_window(self.config.sliding_window)

    def add_phi3(self):
        config, rope = self.config, self.config.rope_parameters
        original = config.original_max_position_embeddings
        self.writer.add_rope_scaling_orig_ctx_len(original)
        # Zero says that there is none.
        self.writer.add_sliding_window(config.sliding_window or 0)
        if "long_factor" in rope:
            ratio = config.max_position_embeddings / original
            self.writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(ratio) / math.log(original)))

    def add_granite(self):
        self.writer.add_attention_scale(self.config.attention_multiplier)
        self.writer.add_embedding_scale(self.config.embedding_multiplier)
        self.writer.add_residual_scale(self.config.residual_multiplier)
        self.writer.add_logit_scale(self.config.logits_scaling)

    def add_gpt2(self):
        config, writer = self.config, self.writer
        writer.add_context_length(config.n_positions)
        writer.add_embedding_length(config.n_embd)
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        writer.add_head_count(config.n_head)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)

    def add_openelm(self):
        config, writer = self.config, self.writer
        writer.add_context_length(config.max_context_length)
        writer.add_embedding_length(config.model_dim)
        writer.add_feed_forward_length(config.feed_forward_widths())
        writer.add_head_count(config.num_query_heads)
        writer.add_head_count_kv(config.num_kv_heads)
        writer.add_rope_freq_base(config.rope_freq_constant)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_rope_dimension_count(config.head_dim)
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)

    # Tensors

    def tensors(self):
        """(GGUF name, array) of all tensors."""
        rope = getattr(self.config, "rope_parameters", None) or {}
        if rope.get("rope_type") == "llama3":
            yield "rope_freqs.weight", llama3_factors(self.config.rope_parameters, self.head_dimension())
        if rope.get("rope_type") == "longrope":
            yield "rope_factors_long.weight", np.array(rope["long_factor"], dtype=np.float32)
            yield "rope_factors_short.weight", np.array(rope["short_factor"], dtype=np.float32)
        for key, value in with_stacked_experts(self.weights).items():
            if match := re.fullmatch(r"transformer\.layers\.(\d+)\.ffn\.proj_1\.weight", key):
                gate, up = value.chunk(2)
                yield f"blk.{match[1]}.ffn_gate.weight", gate.numpy()
                yield f"blk.{match[1]}.ffn_up.weight", up.numpy()
            else:
                yield self.gguf_name(key), self.converted(key, value.numpy())

    def converted(self, key, value):
        if self.interleaves and (match := re.search(r"\.([qk])_proj\.", key)):
            config = self.config
            value = interleaved(value, config.num_attention_heads if match[1] == "q" else config.num_key_value_heads)
        if self.model.kind.startswith("gemma") and key.endswith("norm.weight"):
            value = value + 1
        if self.model.kind == "gpt2" and re.search(r"\.c_(attn|proj|fc)\.weight", key):
            value = value.T
        return value

    def gguf_name(self, key):
        name = self.names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name, f"no GGUF name for {key}"
        return name


def llama3_factors(rope, dimension):
    """Divisors of the rotary frequencies, [dimension / 2], as llama.cpp's converter stores them for Llama 3.1 scaling."""
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    context = rope["original_max_position_embeddings"]
    factors = []
    for i in range(0, dimension, 2):
        wavelength = 2 * math.pi * rope["rope_theta"] ** (i / dimension)
        if wavelength < context / high:
            factors.append(1.0)
        elif wavelength > context / low:
            factors.append(factor)
        else:
            smooth = (context / wavelength - low) / (high - low)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return np.array(factors, dtype=np.float32)
