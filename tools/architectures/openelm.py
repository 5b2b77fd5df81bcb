# SPDX-License-Identifier: Apache-2.0
"""OpenELM, which transformers does not hold: its model class is code in Apple's repositories on the hub.

Written anew from the paper (arXiv 2404.14619), Apple's config.json and the names in model.safetensors. In every layer i:
RMS norm; qkv_proj gives num_query_heads[i] queries, then num_kv_heads[i] keys and as many values of head_dim; RMS norms of
each query and key over head_dim; rotary positions in halves; causal attention with scale head_dim^-0.5; out_proj; then RMS
norm and proj_2(silu(gate) * up), where proj_1 gives gate and up, of make_divisible(ffn_multipliers[i] * model_dim) each.
All RMS norms have epsilon 1e-6. Nothing here is pinned to float32.
"""

import torch
import transformers
from torch import nn
from transformers.modeling_outputs import CausalLMOutput


class OpenELMConfig(transformers.PretrainedConfig):
    model_type = "openelm"
    attribute_map = {
        "num_hidden_layers": "num_transformer_layers",
        "hidden_size": "model_dim",
        "max_position_embeddings": "max_context_length",
        "tie_word_embeddings": "share_input_output_layers",
    }

    vocab_size: int = 48
    max_context_length: int = 64
    rope_max_length: int = 128
    rope_freq_constant: int = 10000
    num_transformer_layers: int = 2
    model_dim: int = 32
    head_dim: int = 8
    num_query_heads: list[int] | None = None
    num_kv_heads: list[int] | None = None
    num_gqa_groups: int = 2
    ffn_multipliers: list[float] | None = None
    ffn_dim_divisor: int = 4
    ffn_with_glu: bool = True
    activation_fn_name: str = "swish"
    normalization_layer_name: str = "rms_norm"
    normalize_qk_projections: bool = True
    share_input_output_layers: bool = True

    def feed_forward_widths(self):
        return [make_divisible(multiplier * self.model_dim, self.ffn_dim_divisor) for multiplier in self.ffn_multipliers]


def make_divisible(value, divisor):
    """The multiple of `divisor` nearest to `value`, at least one, and not less than nine tenths of `value`."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


class RMSNorm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)


class Attention(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.heads, self.kv_heads = config.num_query_heads[layer], config.num_kv_heads[layer]
        self.head_dim, self.theta = config.head_dim, config.rope_freq_constant
        self.qkv_proj = nn.Linear(config.model_dim, (self.heads + 2 * self.kv_heads) * self.head_dim, bias=False)
        self.q_norm, self.k_norm = RMSNorm(self.head_dim), RMSNorm(self.head_dim)
        self.out_proj = nn.Linear(self.heads * self.head_dim, config.model_dim, bias=False)

    def rotated(self, x):
        half = self.head_dim // 2
        frequencies = self.theta ** (-torch.arange(half, dtype=x.dtype) / half)
        angles = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * frequencies
        first, second = x[..., :half], x[..., half:]
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    def forward(self, x):
        heads = self.qkv_proj(x).unflatten(-1, (-1, self.head_dim)).transpose(-2, -3)
        q, k, v = heads.split([self.heads, self.kv_heads, self.kv_heads], -3)
        q, k = self.rotated(self.q_norm(q)), self.rotated(self.k_norm(k))
        k, v = (part.repeat_interleave(self.heads // self.kv_heads, -3) for part in (k, v))
        future = torch.ones(x.shape[-2], x.shape[-2], dtype=torch.bool).triu(1)
        scores = (q @ k.transpose(-1, -2) * self.head_dim**-0.5).masked_fill(future, -torch.inf)
        return self.out_proj((scores.softmax(-1) @ v).transpose(-2, -3).flatten(-2))


class FeedForward(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        width = config.feed_forward_widths()[layer]
        self.proj_1 = nn.Linear(config.model_dim, 2 * width, bias=False)
        self.proj_2 = nn.Linear(width, config.model_dim, bias=False)

    def forward(self, x):
        gate, up = self.proj_1(x).chunk(2, -1)
        return self.proj_2(nn.functional.silu(gate) * up)


class Layer(nn.Module):
    def __init__(self, config, layer):
        super().__init__()
        self.attn, self.ffn = Attention(config, layer), FeedForward(config, layer)
        self.attn_norm, self.ffn_norm = RMSNorm(config.model_dim), RMSNorm(config.model_dim)

    def forward(self, x):
        x = x + self.attn(self.attn_norm(x))
        return x + self.ffn(self.ffn_norm(x))


class Transformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.token_embeddings = nn.Embedding(config.vocab_size, config.model_dim)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.num_transformer_layers))
        self.norm = RMSNorm(config.model_dim)


class OpenELMForCausalLM(transformers.PreTrainedModel):
    config_class = OpenELMConfig

    def __init__(self, config):
        super().__init__(config)
        self.transformer = Transformer(config)
        self.post_init()

    def get_input_embeddings(self):
        return self.transformer.token_embeddings

    def get_output_embeddings(self):
        return None

    def prepare_inputs_for_generation(self, input_ids, **_):
        return {"input_ids": input_ids}

    def forward(self, input_ids=None, **_):
        states = [self.transformer.token_embeddings(input_ids)]
        for layer in self.transformer.layers:
            states.append(layer(states[-1]))
        logits = nn.functional.linear(self.transformer.norm(states[-1]), self.transformer.token_embeddings.weight)
        return CausalLMOutput(logits=logits, hidden_states=tuple(states))


transformers.AutoConfig.register("openelm", OpenELMConfig)
transformers.AutoModelForCausalLM.register(OpenELMConfig, OpenELMForCausalLM)
