# SPDX-License-Identifier: Apache-2.0
"""The model of a Hugging Face folder as GGUF, with the metadata and the tensors that llama.cpp reads."""

import json
import math
import re

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

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


class GGUFFile:
    """Writes one file. `config` is transformers' configuration, `weights` the tensors by their names on disk, F32."""

    def __init__(self, model, config, weights):
        self.model, self.config, self.weights = model, config, weights
        self.name, self.interleaves = ARCHITECTURES[model.kind]
        architecture = next(key for key, value in gguf.MODEL_ARCH_NAMES.items() if value == self.name)
        self.names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)

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
        self.writer.add_tensor(name, gguf.quantize(value, kind), raw_dtype=kind)

    # Metadata

    def add_metadata(self):
        config, writer = self.config, self.writer
        writer.add_type("model")
        writer.add_name(self.model.name)
        writer.add_file_type(gguf.LlamaFileType["ALL_F32" if self.storage.name == "F32" else f"MOSTLY_{self.storage.name}"])
        writer.add_vocab_size(config.vocab_size)
        writer.add_block_count(config.num_hidden_layers)
        writer.add_context_length(config.max_position_embeddings)
        writer.add_embedding_length(config.hidden_size)
        writer.add_feed_forward_length(config.intermediate_size)
        writer.add_head_count(config.num_attention_heads)
        writer.add_head_count_kv(config.num_key_value_heads)
        writer.add_layer_norm_rms_eps(config.rms_norm_eps)
        self.add_head_dimension()
        self.add_rope(config.rope_parameters)
        writer.add_tokenizer_model("none")
        for key, value in self.overrides.items():
            writer.kv_data[0][key].value = value

    def head_dimension(self):
        return getattr(self.config, "head_dim", None) or self.config.hidden_size // self.config.num_attention_heads

    def add_head_dimension(self):
        dimension = self.head_dimension()
        self.writer.add_rope_dimension_count(dimension)
        if "head_dim" in self.model.config:
            self.writer.add_key_length(dimension)
            self.writer.add_value_length(dimension)

    def add_rope(self, rope):
        writer = self.writer
        writer.add_rope_freq_base(rope["rope_theta"])
        if rope["rope_type"] == "linear":
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(rope["factor"])
        if rope["rope_type"] == "yarn":
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(rope["factor"])
            writer.add_rope_scaling_orig_ctx_len(rope["original_max_position_embeddings"])

    # Tensors

    def tensors(self):
        """(GGUF name, array) of all tensors."""
        if self.config.rope_parameters["rope_type"] == "llama3":
            yield "rope_freqs.weight", self.llama3_factors()
        for key, value in self.weights.items():
            yield from self.converted(key, value.numpy())

    def converted(self, key, value):
        if self.interleaves and (match := re.search(r"\.([qk])_proj\.", key)):
            config = self.config
            value = interleaved(value, config.num_attention_heads if match[1] == "q" else config.num_key_value_heads)
        yield self.gguf_name(key), value

    def gguf_name(self, key):
        name = self.names.get_name(key, try_suffixes=(".weight", ".bias"))
        assert name, f"no GGUF name for {key}"
        return name

    def llama3_factors(self):
        """Divisors of the rotary frequencies, [head dimension / 2], as llama.cpp's converter stores them."""
        rope, dimension = self.config.rope_parameters, self.head_dimension()
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
