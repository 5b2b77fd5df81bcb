# SPDX-License-Identifier: Apache-2.0
"""The tiny models that all golden adapters are made for, and how they are read in float32 and in float64."""

import dataclasses
import json

import torch
import transformers
from architectures import reference

LAYERS, HIDDEN, VOCABULARY = 2, 32, 96
LLAMA = dict(
    hidden_size=HIDDEN,
    intermediate_size=64,
    num_hidden_layers=LAYERS,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=VOCABULARY,
    max_position_embeddings=64,
    rms_norm_eps=1e-5,
    tie_word_embeddings=False,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=None,
    rope_parameters=dict(rope_type="default", rope_theta=10000.0),
)


@dataclasses.dataclass
class Base:
    """One folder under bases/. `kind` is transformers' model_type, `config` what its configuration is made of."""

    kind: str
    seed: int
    features: str
    config: dict


BASES = {
    "llama": Base("llama", 601, "untied, grouped queries", LLAMA),
    "llama-tied": Base("llama", 602, "tied embeddings", dict(LLAMA, tie_word_embeddings=True)),
    "llama-bias": Base("llama", 603, "biases on all linear layers", dict(LLAMA, attention_bias=True, mlp_bias=True)),
    "gpt2": Base(
        "gpt2",
        604,
        "Conv1D: weights stored [in, out]; fused c_attn; tied",
        dict(
            n_embd=HIDDEN,
            n_inner=64,
            n_layer=LAYERS,
            n_head=4,
            n_positions=64,
            vocab_size=VOCABULARY,
            bos_token_id=1,
            eos_token_id=2,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
        ),
    ),
    "mixtral": Base(
        "mixtral",
        605,
        "three experts, two of them active",
        dict(LLAMA, num_local_experts=3, num_experts_per_tok=2, sliding_window=None),
    ),
}


def make_base(name, folder):
    """config.json and model.safetensors (F32; BF16 and F16 hold every value) as transformers writes them."""
    base = BASES[name]
    config = transformers.AutoConfig.for_model(base.kind, **base.config)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    reference.random_weights(model, base.seed, 1)
    model.tie_weights()
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1, sort_keys=True) + "\n")


def load_base(folder):
    """The model of a folder in float32. Its name is `weft/<folder's name>`, so that no path of this machine is saved."""
    model = reference.load(folder, torch.float32)
    model.config._name_or_path = model.name_or_path = f"weft/{folder.name}"
    return model


def to_float64(model):
    """Turn a float32 model into float64, with the rotary frequencies that float64 has. Within `float64_source`."""
    model.double()
    for module in model.modules():
        # The classifier of X-LoRA remembers what it was made with.
        if vars(module).get("dtype") == torch.float32:
            module.dtype = torch.float64
        if hasattr(module, "inv_freq"):
            exact = type(module)(module.config)
            assert exact.inv_freq.dtype == torch.float64
            module.inv_freq, module.original_inv_freq = exact.inv_freq, exact.original_inv_freq
    return model


def tokens_of(seed):
    """Ten fixed ids that hold the first and the last one of the vocabulary."""
    return reference.tokens_of(seed, 10, VOCABULARY)
