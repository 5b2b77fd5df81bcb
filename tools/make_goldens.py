#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the tiny models, the adapters and the expected numbers under Tests/Goldens/{logits,adapters}.

    python tools/make_goldens.py            everything
    python tools/make_goldens.py --check    everything into a temporary folder, compared with what is committed

Models are random Llamas (seeds below) written by transformers and by the gguf package with the conventions of llama.cpp's
converter; expected logits are transformers' own, with every float32 step of its source evaluated in float64.
Adapters are made, run and saved by peft. stories260K-* are the shared stories260K (a trained model), quantised and run by
llama.cpp. Needs torch, transformers, peft, safetensors, gguf and llama-cpp-python, and the shared data beside the repository
or where WEFT_SHARED says; the versions used are in the README.md of the two folders.
"""

import argparse
import ctypes
import filecmp
import importlib.metadata
import json
import math
import os
import pathlib
import shutil
import sys
import tempfile

import gguf
import llama_cpp
import numpy as np
import peft
import torch
import transformers
from architectures.gguf_file import llama3_factors
from architectures.reference import float64_source
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

TOKEN_COUNT = 24
ROOT = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens"
FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

# name: seed, LlamaConfig arguments, and how the folder is written. `dtype` is the storage of model.safetensors,
# `gguf` the storage of model.gguf, `old_rope` the config.json layout of models published before transformers 5.
SMALL = dict(
    hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=96
)
# Seed of the tokens for which no activation lies so near a rounding boundary of int8 that f32 could round it the other way.
TOKENS = 810
LEAST_MARGIN = 5e-5
WIDE = dict(SMALL, hidden_size=64, intermediate_size=96, vocab_size=128, tie_word_embeddings=False)
LLAMA3_ROPE = dict(
    rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
)
MODELS = {
    "gqa-tied": dict(seed=1, config=dict(SMALL, num_hidden_layers=3), dtype="F32", gguf="F32"),
    "gqa-tied-f16": dict(seed=1, config=dict(SMALL, num_hidden_layers=3), dtype="F16", gguf="F16"),
    "gqa-tied-bf16": dict(seed=1, config=dict(SMALL, num_hidden_layers=3), dtype="BF16", gguf="BF16"),
    "mha-untied": dict(
        seed=2, config=dict(SMALL, num_key_value_heads=4, tie_word_embeddings=False), dtype="F32", shards="40KB"
    ),
    "biases": dict(seed=3, config=dict(SMALL, attention_bias=True, mlp_bias=True), dtype="F32", gguf="F32"),
    "llama3-rope": dict(
        seed=4, config=dict(SMALL, rope_theta=1000.0, rope_scaling=LLAMA3_ROPE), dtype="F32", gguf="F32", old_rope=True
    ),
    "linear-rope": dict(
        seed=5,
        config=dict(SMALL, rope_theta=10000.0, rope_scaling=dict(rope_type="linear", factor=4.0)),
        dtype="F32",
        gguf="F32",
    ),
    "odd-heads": dict(
        seed=6,
        dtype="F32",
        gguf="F32",
        config=dict(
            hidden_size=40,
            intermediate_size=52,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=1,
            head_dim=12,
            vocab_size=101,
        ),
    ),
    "wide-q8_0": dict(seed=7, config=WIDE, gguf="Q8_0", tokens=TOKENS),
    "wide-q4_0": dict(seed=7, config=WIDE, gguf="Q4_0", tokens=TOKENS),
}
# Folder: storage. The shared stories260K, as llama.cpp quantises it.
STORIES = {"stories260K-q8_0": "Q8_0", "stories260K-q4_0": "Q4_0"}
GREEDY_COUNT = 40

ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# name: seed, base model, LoraConfig arguments, storage, and the modules whose get_delta_weight is kept.
ADAPTERS = {
    "plain": dict(
        seed=11,
        base="gqa-tied",
        config=dict(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]),
        deltas=["0.self_attn.q_proj", "2.self_attn.v_proj"],
    ),
    "all": dict(
        seed=12,
        base="gqa-tied",
        config=dict(r=4, lora_alpha=4, target_modules=ALL),
        deltas=["1.self_attn.k_proj", "1.self_attn.o_proj", "1.mlp.gate_proj", "1.mlp.up_proj", "1.mlp.down_proj"],
    ),
    "rslora": dict(
        seed=13,
        base="gqa-tied",
        config=dict(r=6, lora_alpha=3, use_rslora=True, target_modules=["k_proj", "o_proj", "down_proj"]),
        deltas=["0.self_attn.o_proj"],
    ),
    "patterns": dict(
        seed=14,
        base="gqa-tied",
        deltas=["0.self_attn.q_proj", "1.self_attn.q_proj", "1.mlp.up_proj", "2.mlp.up_proj"],
        config=dict(
            r=4,
            lora_alpha=8,
            target_modules=r".*\.(q_proj|up_proj|down_proj)",
            rank_pattern={"layers.1.self_attn.q_proj": 2, r"layers\.[01]\.mlp\.up_proj": 3, "up_proj": 5},
            alpha_pattern={r"model.layers.\d+.mlp.up_proj": 9, "q_proj": 2},
        ),
    ),
    "layers": dict(
        seed=15,
        base="gqa-tied",
        config=dict(r=3, lora_alpha=6, target_modules=["v_proj", "gate_proj"], layers_to_transform=[0, 2]),
        deltas=["2.mlp.gate_proj"],
    ),
    "f16": dict(
        seed=16,
        base="gqa-tied",
        config=dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]),
        dtype="F16",
        deltas=["0.self_attn.q_proj"],
    ),
    "bf16": dict(
        seed=17,
        base="gqa-tied",
        config=dict(r=4, lora_alpha=8, target_modules=["q_proj", "down_proj"]),
        dtype="BF16",
        deltas=["0.self_attn.q_proj"],
    ),
    "lm-head": dict(
        seed=18,
        base="mha-untied",
        config=dict(r=4, lora_alpha=8, target_modules=["k_proj", "lm_head"]),
        deltas=["1.self_attn.k_proj", "lm_head"],
    ),
    "biases": dict(seed=19, base="biases", config=dict(r=4, lora_alpha=8, target_modules=ALL), deltas=["0.self_attn.q_proj"]),
    "odd-heads": dict(
        seed=20,
        base="odd-heads",
        config=dict(r=5, lora_alpha=7, target_modules=ALL),
        deltas=["1.self_attn.o_proj", "1.mlp.down_proj"],
    ),
    "wide": dict(seed=21, base="wide-q8_0", config=dict(r=8, lora_alpha=16, target_modules=ALL), deltas=["1.mlp.down_proj"]),
}
# Weights per adapter; the expected logits are those of base + sum of weight * get_delta_weight, added in float64.
MIXTURES = [
    {"plain": 1.0, "all": 1.0},
    {"plain": 0.7, "all": 0.3},
    {"rslora": -0.5, "plain": 1.5},
    {"all": 0.25, "layers": 1.0, "patterns": 0.5},
    {"bf16": 0.5, "f16": 0.5},
    {"all": 0.0},
    {"plain": -1.0},
]


# LoraConfig arguments on gqa-tied, for which peft says what it adapts, with which rank and scale.
TARGETS = [
    dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"]),
    dict(r=3, lora_alpha=2.5, target_modules=["self_attn.o_proj", "model.layers.1.mlp.up_proj"], layers_to_transform=[0]),
    dict(r=2, lora_alpha=1, target_modules=r"model\.layers\.(?!1\.)\d+\.mlp\.(?:up|gate)_proj"),
    dict(r=2, lora_alpha=1, target_modules=r".*layers\.[12]\..*(q_proj|down_proj)"),
    dict(r=2, lora_alpha=1, target_modules="all-linear"),
    dict(r=2, lora_alpha=1, target_modules=["k_proj"], layers_to_transform=2),
    dict(r=2, lora_alpha=1, target_modules=["k_proj", "up_proj"], layers_to_transform=[1, 2], layers_pattern="layers"),
    dict(r=2, lora_alpha=1, target_modules=["k_proj"], layers_to_transform=[0, 9], layers_pattern=["h", "lay.*"]),
    dict(
        r=2,
        lora_alpha=1,
        target_modules=["q_proj", "k_proj"],
        exclude_modules=["layers.0.self_attn.q_proj", "1.self_attn.k_proj"],
    ),
    dict(r=2, lora_alpha=1, target_modules=["gate_proj", "up_proj"], exclude_modules=r".*\.2\.mlp\.gate_proj|.*\.0\..*"),
    dict(
        r=4,
        lora_alpha=8,
        target_modules=["q_proj", "k_proj", "v_proj", "up_proj"],
        rank_pattern={"^model.layers.1.self_attn.q_proj": 2, "q_proj|k_proj": 3, "proj": 7, r"layers\.(0|2)\..*": 5},
        alpha_pattern={r"layers\.(0|2)\.self_attn\.[qk]_proj": 1, "mlp.up_proj": 0.75, "attn.v_proj": 9},
    ),
    dict(
        r=4,
        lora_alpha=8,
        target_modules=["o_proj", "down_proj"],
        use_rslora=True,
        rank_pattern={"2.mlp.down_proj": 2},
        alpha_pattern={"down_proj": 3},
    ),
]


def tokens_of(name, vocabulary):
    """Fixed random ids that hold the first and the last one of the vocabulary."""
    generator = torch.Generator().manual_seed(MODELS[name].get("tokens", 1000 + MODELS[name]["seed"]))
    tokens = torch.randint(0, vocabulary, (TOKEN_COUNT,), generator=generator)
    tokens[0], tokens[3], tokens[4] = 1, vocabulary - 1, 0
    return tokens


@torch.no_grad()
def logits_of(model, tokens):
    """[T, V] in float64. `model` must have been made and called within `float64_source`."""
    return model(tokens[None]).logits[0]


@torch.no_grad()
def hidden_of(model, tokens):
    """[T, hidden_size] after the first layer. As `logits_of`."""
    return model(tokens[None], output_hidden_states=True).hidden_states[1][0]


class Int8Activations:
    """Within this block every linear map of the base reads its input in int8 blocks of 32 columns, as quantised kernels do:
    q = round-to-even(x 127 / max|x|) and the scale max|x| / 127, in float32. What an adapter adds reads the input as it is.
    """

    def __init__(self, model):
        self.maps = [
            module for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and "lora_" not in name
        ]
        # The least distance of an x 127 / max|x| from a half.
        self.margin = math.inf

    def __enter__(self):
        self.hooks = [module.register_forward_pre_hook(self.round) for module in self.maps]
        return self

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()

    def round(self, _, inputs):
        blocks = inputs[0].unflatten(-1, (-1, 32))
        exact = blocks * (127 / blocks.abs().amax(-1, keepdim=True))
        self.margin = min(self.margin, (exact - exact.floor() - 0.5).abs().min().item())
        blocks = blocks.to(torch.float32)
        largest = blocks.abs().amax(-1, keepdim=True)
        q = (blocks * (127 / largest)).round()
        return ((q.double() * (largest / 127).double()).flatten(-2),)


def int8_logits_of(model, tokens):
    """As `logits_of`, with the base's activations in int8; and the least distance from a rounding boundary."""
    with Int8Activations(model) as rounding:
        logits = logits_of(model, tokens)
    return logits, rounding.margin


def config_of(name):
    arguments = dict(dict(tie_word_embeddings=True, max_position_embeddings=128, rms_norm_eps=1e-5), **MODELS[name]["config"])
    config = LlamaConfig(bos_token_id=1, eos_token_id=2, pad_token_id=None, **arguments)
    config._attn_implementation = "eager"
    return config


def weights_of(name):
    """Random float32 weights under the names of the HF checkpoint: normal, deviation 0.25; norms around 1, deviation 0.2."""
    generator = torch.Generator().manual_seed(MODELS[name]["seed"])
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in LlamaForCausalLM(config_of(name)).state_dict().items()}
    weights = {}
    for key, shape in shapes.items():
        if key == "lm_head.weight" and config_of(name).tie_word_embeddings:
            continue
        noise = torch.randn(shape, generator=generator)
        weights[key] = 1 + 0.2 * noise if "norm" in key else 0.25 * noise
    return weights


def model_of(name, weights):
    """A float64 model that holds exactly `weights`. Within `float64_source`."""
    model = LlamaForCausalLM(config_of(name)).double().eval()
    missing, unexpected = model.load_state_dict({key: value.double() for key, value in weights.items()}, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    model.tie_weights()
    rotary = LlamaForCausalLM(config_of(name)).model.rotary_emb
    assert rotary.inv_freq.dtype == torch.float64
    return model


def write_folder(name, weights, folder):
    """config.json and model.safetensors (or shards and an index) as transformers writes them."""
    row = MODELS[name]
    dtype = FLOATS[row["dtype"]]
    config = config_of(name)
    model = LlamaForCausalLM(config).to(dtype)
    model.load_state_dict({key: value.to(dtype) for key, value in weights.items()}, strict=False)
    model.tie_weights()
    model.save_pretrained(folder, max_shard_size=row.get("shards", "1GB"))
    (folder / "generation_config.json").unlink()
    path = folder / "config.json"
    fields = json.loads(path.read_text())
    if row.get("old_rope"):
        scaling = fields.pop("rope_parameters")
        fields["rope_theta"] = scaling.pop("rope_theta")
        fields["rope_scaling"] = scaling
        fields["torch_dtype"] = fields.pop("dtype")
        path.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n")


def interleaved(weight, heads):
    """Rows of q or k from HF's half-split rotary order to the interleaved order of GGUF's llama architecture."""
    rows = weight.shape[0]
    return weight.reshape(heads, 2, rows // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


def gguf_name(key):
    """The tensor name of llama.cpp for a name of the HF checkpoint."""
    top = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
    block = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    module, parameter = key.rsplit(".", 1)
    if module in top:
        return f"{top[module]}.{parameter}"
    layer, rest = module.removeprefix("model.layers.").split(".", 1)
    return f"blk.{layer}.{block[rest]}.{parameter}"


def write_gguf(name, weights, path):
    """model.gguf by the gguf package, and the weights that a reader gets back from it (dequantised), by HF name."""
    config, storage = config_of(name), MODELS[name]["gguf"]
    quantization = gguf.GGMLQuantizationType[storage]
    file_type = gguf.LlamaFileType["ALL_F32" if storage == "F32" else f"MOSTLY_{storage}"]
    rope = config.rope_parameters
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("model")
    writer.add_name(name)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    if "head_dim" in MODELS[name]["config"]:
        writer.add_key_length(config.head_dim)
        writer.add_value_length(config.head_dim)
    writer.add_file_type(file_type)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)
    if rope["rope_type"] == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(rope["factor"])
    writer.add_tokenizer_model("none")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", llama3_factors(config.rope_parameters, config.head_dim))
    stored = {}
    for key, value in weights.items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(key.split(".")[-2])
        array = value.numpy()
        kind = quantization if array.ndim > 1 else gguf.GGMLQuantizationType.F32
        stored[key] = torch.from_numpy(gguf.dequantize(gguf.quantize(array, kind), kind).reshape(array.shape).copy())
        array = interleaved(array, heads) if heads else array
        writer.add_tensor(gguf_name(key), gguf.quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return stored


def save_expected(path, tensors):
    """Logits and deltas rounded once, to F32; tokens as I64."""
    rounded = {key: (value if value.dtype == torch.int64 else value.float()).contiguous() for key, value in tensors.items()}
    save_file(rounded, path)


def stored_weights(name, weights, folder):
    """Write a model in its formats and return the weights that a reader finds in them (the formats of one folder agree)."""
    row, stored = MODELS[name], None
    if "dtype" in row:
        weights = {key: value.to(FLOATS[row["dtype"]]).float() for key, value in weights.items()}
        write_folder(name, weights, folder)
        stored = {}
        for file in sorted(folder.glob("*.safetensors")):
            stored.update({key: value.float() for key, value in load_file(file).items()})
    if "gguf" in row:
        read = write_gguf(name, weights, folder / "model.gguf")
        assert stored is None or all(torch.equal(stored[key], read[key]) for key in stored), name
        stored = read
    assert stored.keys() == weights.keys()
    return stored


class RoundedActivations:
    """Within this block every linear map reads its input rounded to bf16, to nearest even, as kernels for bf16 weights do."""

    def __init__(self, model):
        self.maps = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]

    def __enter__(self):
        self.hooks = [
            module.register_forward_pre_hook(lambda _, inputs: (inputs[0].float().bfloat16().double(),)) for module in self.maps
        ]

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()


def is_quantized(name):
    return MODELS[name].get("gguf") in ("Q8_0", "Q4_0")


def checked_int8_logits(model, tokens):
    logits, margin = int8_logits_of(model, tokens)
    assert margin > LEAST_MARGIN, f"an activation lies {margin} from a rounding boundary: choose other TOKENS"
    return logits


def make_models(root):
    """Every row of MODELS; returns the stored weights by model name."""
    weights = {}
    for name in MODELS:
        folder = root / "logits" / name
        folder.mkdir(parents=True)
        weights[name] = stored_weights(name, weights_of(name), folder)
        with float64_source("llama"):
            tokens = tokens_of(name, config_of(name).vocab_size)
            model = model_of(name, weights[name])
            logits = logits_of(model, tokens)
            expected = {"tokens": tokens, "logits": logits, "hidden": hidden_of(model, tokens)}
            if is_quantized(name):
                expected["logits_int8"] = checked_int8_logits(model, tokens)
            if MODELS[name].get("dtype") == "BF16":
                with RoundedActivations(model):
                    expected |= {"logits_bf16": logits_of(model, tokens), "hidden_bf16": hidden_of(model, tokens)}
        save_expected(folder / "logits.safetensors", expected)
        print(f"{name}: logits deviate by {logits.std():.2f}, argmax {logits.argmax(-1)[-6:].tolist()}")
    return weights


def module_path(delta):
    return delta if delta == "lm_head" else f"model.layers.{delta}"


def make_adapter(name, weights, folder):
    """One row of ADAPTERS: its folder, its logits, and all its deltas (float64) by module path."""
    row = ADAPTERS[name]
    base = row["base"]
    generator = torch.Generator().manual_seed(row["seed"])
    with float64_source("llama"):
        config = peft.LoraConfig(task_type="CAUSAL_LM", **row["config"])
        model = peft.get_peft_model(model_of(base, weights[base]), config)
        config.base_model_name_or_path = f"weft/{base}"
        storage = FLOATS[row.get("dtype", "F32")]
        adapted = {key: value for key, value in model.named_parameters() if "lora_" in key}
        for value in adapted.values():
            value.data = (0.2 * torch.randn(value.shape, generator=generator)).to(storage)
        # "auto" would copy the base's lm_head into the file, which real adapters of lm_head have; here it is a separate test.
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()
        sort_target_modules(folder / "adapter_config.json")
        for value in adapted.values():
            value.data = value.data.double()
        tokens = tokens_of(base, config_of(base).vocab_size)
        logits = logits_of(model, tokens)
        deltas = {
            key.removeprefix("base_model.model."): module.get_delta_weight("default").detach()
            for key, module in model.named_modules()
            if hasattr(module, "get_delta_weight")
        }
        expected = {f"delta.{module_path(delta)}": deltas[module_path(delta)] for delta in row["deltas"]}
        if is_quantized(base):
            expected["logits_int8"] = checked_int8_logits(model, tokens)
            other = peft.get_peft_model(model_of("wide-q4_0", weights["wide-q4_0"]), config)
            factors = {key: value.data for key, value in adapted.items()}
            assert not other.load_state_dict(factors, strict=False).unexpected_keys
            expected["logits_int8_q4_0"] = checked_int8_logits(other, tokens)
    save_expected(folder / "expected.safetensors", {"tokens": tokens, "logits": logits, **expected})
    assert all(value.dtype == torch.float64 for value in [logits, *deltas.values()])
    return logits, deltas


def make_targets(path, weights):
    """For each of TARGETS the config as saved, and module path -> [rank, scale] of what peft adapted."""
    cases = []
    for arguments in TARGETS:
        config = peft.LoraConfig(task_type="CAUSAL_LM", **arguments)
        with float64_source("llama"):
            model = peft.get_peft_model(model_of("gqa-tied", weights["gqa-tied"]), config)
        modules = {
            key.removeprefix("base_model.model."): [module.r["default"], module.scaling["default"]]
            for key, module in model.named_modules()
            if hasattr(module, "get_delta_weight")
        }
        target = config.target_modules
        stored = dict(arguments, peft_type="LORA", target_modules=target if isinstance(target, str) else sorted(target))
        # Each value as its own JSON text: the order of pattern keys matters, and a reader may lose it.
        cases.append({"config": {option: json.dumps(value) for option, value in stored.items()}, "modules": modules})
    path.write_text("[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n")


def sort_target_modules(path):
    """peft writes this set in an order that changes from run to run; nothing else of its file is touched."""
    fields = json.loads(path.read_text())
    if isinstance(fields["target_modules"], list):
        fields["target_modules"].sort()
    path.write_text(json.dumps(fields, indent=2) + "\n")


def mixture_text(mixture):
    """The canonical text of a mixture: by adapter name, `name:weight`."""
    return ",".join(f"{name}:{weight:g}" for name, weight in sorted(mixture.items()))


def make_adapters(root, weights):
    deltas = {}
    for name in ADAPTERS:
        folder = root / "adapters" / name
        folder.mkdir(parents=True)
        logits, deltas[name] = make_adapter(name, weights, folder)
        base = load_file(root / "logits" / ADAPTERS[name]["base"] / "logits.safetensors")["logits"]
        print(f"{name}: {len(deltas[name])} modules, logits differ from the base's by up to {(logits - base).abs().max():.2f}")
        alone = mixture_logits({name: 1.0}, weights, deltas)[1]
        assert (alone - logits).abs().max() < 1e-11, "peft's forward and its delta disagree"
    tokens, expected = None, {}
    for mixture in MIXTURES:
        tokens, expected[mixture_text(mixture)] = mixture_logits(mixture, weights, deltas)
    save_expected(root / "adapters" / "mixtures.safetensors", {"tokens": tokens, **expected})
    make_targets(root / "adapters" / "targets.json", weights)


def mixture_logits(mixture, weights, deltas):
    """(tokens, logits) of base + sum of weight * delta, all in float64."""
    (base,) = {ADAPTERS[name]["base"] for name in mixture}
    mixed = {key: value.double() for key, value in weights[base].items()}
    for name, weight in mixture.items():
        for module, delta in deltas[name].items():
            mixed[f"{module}.weight"] = mixed[f"{module}.weight"] + weight * delta
    with float64_source("llama"):
        tokens = tokens_of(base, config_of(base).vocab_size)
        return tokens, logits_of(model_of(base, mixed), tokens)


def shared_model():
    """The shared stories260K in F32."""
    places = [os.environ.get("WEFT_SHARED"), ROOT.parents[2] / "shared", ROOT.parents[3] / "shared"]
    for place in filter(None, places):
        path = pathlib.Path(place) / "data" / "models" / "stories260K" / "stories260K-f32.gguf"
        if path.exists():
            return path
    sys.exit("stories260K-f32.gguf is absent: set WEFT_SHARED or put the shared data beside the repository")


def write_tied(source, path):
    """A copy of a GGUF file without `output.weight`, which in this model is `token_embd.weight` again."""
    reader = gguf.GGUFReader(source)
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    assert np.array_equal(tensors.pop("output.weight"), tensors["token_embd.weight"])
    writer = gguf.GGUFWriter(path, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            element = field.types[1] if len(field.types) > 1 else None
            writer.add_key_value(field.name, field.contents(), field.types[0], element)
    for name, data in tensors.items():
        writer.add_tensor(name, data)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama_cpp_greedy(path):
    """What llama.cpp continues with after the first token: ids, the margin by which each was chosen, and the last logits."""
    f32 = llama_cpp.GGML_TYPE_F32
    model = llama_cpp.Llama(str(path), n_ctx=128, n_threads=1, n_threads_batch=1, type_k=f32, type_v=f32, verbose=False)
    tokens, margins = [1], []
    for position in range(GREEDY_COUNT):
        model.eval(tokens[position:])
        logits = torch.tensor(model._ctx.get_logits_ith(-1)[: model.n_vocab()])
        best = logits.topk(2)
        tokens.append(best.indices[0].item())
        margins.append((best.values[0] - best.values[1]).item())
    return {"tokens": torch.tensor(tokens), "margins": torch.tensor(margins), "logits": logits}


def make_stories(root):
    """Every row of STORIES: model.gguf, and llama.safetensors with what llama.cpp computes from it."""
    with tempfile.TemporaryDirectory() as temporary:
        tied = pathlib.Path(temporary) / "tied.gguf"
        write_tied(shared_model(), tied)
        for name, storage in STORIES.items():
            folder = root / "logits" / name
            folder.mkdir(parents=True)
            options = llama_cpp.llama_model_quantize_default_params()
            options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{storage}")
            options.nthread, options.pure = 1, True
            path = folder / "model.gguf"
            assert llama_cpp.llama_model_quantize(str(tied).encode(), str(path).encode(), ctypes.byref(options)) == 0
            expected = llama_cpp_greedy(path)
            save_expected(folder / "llama.safetensors", expected)
            print(f"{name}: least margin {expected['margins'].min():.3f}, ids {expected['tokens'].tolist()}")


README = """# {title}

Made by `python tools/make_goldens.py` with {versions}; `--check` makes them again and compares.

{text}

"""
MODELS_TEXT = """A folder holds one random Llama as a Hugging Face folder and/or `model.gguf` (all formats in a folder hold
the same weights), and `logits.safetensors`: `tokens` [T], `logits` [T, V] and `hidden` [T, hidden_size] (the residual stream
after the first layer), computed by transformers in float64 from the stored (dequantised) weights and rounded to F32.
`logits_int8` is the same with the input of every linear map rounded to int8 blocks of 32, as kernels for quantised weights do;
`logits_bf16` and `hidden_bf16` with that input rounded to bf16, as kernels for bf16 weights do.

stories260K-* are the shared stories260K without its second copy of the embedding, quantised by llama.cpp (F16 where rows are no
multiple of 32), and `llama.safetensors`: greedy `tokens` [41] from the first, by which `margins` [40] llama.cpp chose
them, and its `logits` [V] before the last."""
ADAPTERS_TEXT = """A folder holds an adapter saved by peft and `expected.safetensors`: `tokens` [T], `logits` [T, V] of the
adapted base, and `delta.<module>` [out, in] from peft's get_delta_weight, all computed in float64 and rounded to F32;
on a quantised base also `logits_int8`, for which the base's maps, but not the adapter's, read int8 blocks, and
`logits_int8_q4_0`, the same on wide-q4_0.
`mixtures.safetensors` holds logits by mixture text: weighted deltas added to the base in float64. `targets.json` lists
configs with the modules of gqa-tied that peft adapts for them, each with its rank and scale."""


def make_readmes(root):
    """What is in the two folders, with versions and sizes."""
    packages = ["torch", "transformers", "peft", "safetensors", "gguf", "numpy", "llama_cpp_python"]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    lines = ["| folder | formats | bytes |", "|---|---|---|"]
    for name, row in MODELS.items():
        formats = [f"safetensors {row['dtype']}" + (", sharded" if "shards" in row else "")] if "dtype" in row else []
        formats += [f"GGUF {row['gguf']}"] if "gguf" in row else []
        lines.append(f"| {name} | {' and '.join(formats)} | {folder_size(root / 'logits' / name)} |")
    for name, storage in STORIES.items():
        lines.append(f"| {name} | GGUF {storage} | {folder_size(root / 'logits' / name)} |")
    head = README.format(title="Golden models", versions=versions, text=MODELS_TEXT)
    (root / "logits" / "README.md").write_text(head + "\n".join(lines) + "\n")

    lines = ["| adapter | base (in ../logits) | storage | bytes |", "|---|---|---|---|"]
    for name, row in ADAPTERS.items():
        lines.append(f"| {name} | {row['base']} | {row.get('dtype', 'F32')} | {folder_size(root / 'adapters' / name)} |")
    size = (root / "adapters" / "mixtures.safetensors").stat().st_size
    lines.append(f"| mixtures.safetensors | gqa-tied | {len(MIXTURES)} mixtures | {size} |")
    head = README.format(title="Golden adapters", versions=versions, text=ADAPTERS_TEXT)
    (root / "adapters" / "README.md").write_text(head + "\n".join(lines) + "\n")


def folder_size(folder):
    return sum(file.stat().st_size for file in folder.iterdir())


def files_under(root):
    return {
        str(file.relative_to(root)) for part in ["logits", "adapters"] for file in (root / part).rglob("*") if file.is_file()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of replacing them")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as temporary:
        made = pathlib.Path(temporary)
        make_adapters(made, make_models(made))
        make_stories(made)
        make_readmes(made)
        if arguments.check:
            names = files_under(made) | files_under(ROOT)
            different = sorted(
                name
                for name in names
                if not (
                    (made / name).exists() and (ROOT / name).exists() and filecmp.cmp(made / name, ROOT / name, shallow=False)
                )
            )
            print("\n".join(f"differs: {name}" for name in different) or "all files are identical")
            return bool(different)
        for part in ["logits", "adapters"]:
            shutil.rmtree(ROOT / part, ignore_errors=True)
            shutil.copytree(made / part, ROOT / part)
    return 0


if __name__ == "__main__":
    sys.exit(main())
