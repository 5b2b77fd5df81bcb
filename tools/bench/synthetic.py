#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes synthetic models and adapters of real shapes for benchmarks: random weights, no tokenizer.

    python tools/bench/synthetic.py --output bench-out --shapes 1b --formats q4_k_m,q6_k

makes SHAPE-FORMAT.gguf for the shapes and formats that are named, and SHAPE-adapter-N (PEFT folders: rank 16, F16, all seven projections)
with the same factors as SHAPE-adapter-N.gguf for llama.cpp. Files that exist are kept, with the context length of new ones.
"""
import argparse
import json
import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

SHAPES = {
    # SmolLM2-135M
    "135m": dict(hidden=576, layers=30, heads=9, kv_heads=3, ffn=1536, vocab=49152),
    # A Llama of the size of Qwen2.5-0.5B
    "0.5b": dict(hidden=896, layers=24, heads=14, kv_heads=2, ffn=4864, vocab=151936),
    # Llama 3.2 1B: all rows are whole blocks of 256
    "1b": dict(hidden=2048, layers=16, heads=32, kv_heads=8, ffn=8192, vocab=128256),
}
TYPES = gguf.GGMLQuantizationType
# The type of most matrices. In q4_k_m and q5_k_m, the embedding and half of the value and down projections are Q6_K.
FORMATS = {
    "f16": TYPES.F16, "bf16": TYPES.BF16, "q8_0": TYPES.Q8_0, "q4_0": TYPES.Q4_0, "q4_k_m": TYPES.Q4_K, "q5_k_m": TYPES.Q5_K, "q6_k": TYPES.Q6_K,
    "iq4_xs": TYPES.IQ4_XS,
}
DEFAULT_SHAPES, DEFAULT_FORMATS = ["135m", "0.5b"], ["f16", "bf16", "q8_0", "q4_0", "q4_k_m", "q6_k"]
# What llama.cpp takes where rows are not whole blocks of 256.
FALLBACKS = {TYPES.Q4_K: TYPES.Q5_0, TYPES.Q5_K: TYPES.Q5_1, TYPES.Q6_K: TYPES.Q8_0, TYPES.IQ4_XS: TYPES.IQ4_NL}
# Bytes of the 16-bit floats in a block of the types that are made of random blocks, and the deviation of its weights when they are 1.
BLOCK_FLOATS = {
    TYPES.Q4_K: ([0, 2], 280), TYPES.Q5_K: ([0, 2], 560), TYPES.Q6_K: ([208], 1370), TYPES.IQ4_XS: ([0], 1290),
    TYPES.Q5_0: ([0], 9.2), TYPES.Q5_1: ([0, 2], 9.2), TYPES.IQ4_NL: ([0], 70),
}
RANK, ADAPTERS = 16, 8
# The longest context that is measured fits.
CONTEXT_LENGTH = 32768
MODULES = {  # GGUF name, PEFT path
    "q": ("attn_q", "self_attn.q_proj"), "k": ("attn_k", "self_attn.k_proj"), "v": ("attn_v", "self_attn.v_proj"),
    "o": ("attn_output", "self_attn.o_proj"), "gate": ("ffn_gate", "mlp.gate_proj"), "up": ("ffn_up", "mlp.up_proj"),
    "down": ("ffn_down", "mlp.down_proj"),
}


def module_shapes(s):
    """[out, in] of every projection."""
    h, kv = s["hidden"], s["hidden"] // s["heads"] * s["kv_heads"]
    return {"q": (h, h), "k": (kv, h), "v": (kv, h), "o": (h, h), "gate": (s["ffn"], h), "up": (s["ffn"], h), "down": (h, s["ffn"])}


def matrix_type(kind, layers, layer, key, columns):
    """The type of one matrix; `layer` is None for the embedding."""
    chosen = FORMATS[kind]
    if kind.endswith("_k_m"):
        more = layer is None or layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2
        if more and key in ("embedding", "v", "down"):
            chosen = TYPES.Q6_K
    return FALLBACKS[chosen] if chosen in FALLBACKS and columns % 256 else chosen


def random_matrix(rows, columns, kind, random):
    """A matrix of random weights of deviation columns^-1/2 in the bytes of the type: quantised, or random blocks."""
    if kind not in BLOCK_FLOATS:
        values = random.standard_normal((rows, columns), dtype=np.float32) * np.float32(columns**-0.5)
        return gguf.quantize(values, kind)
    offsets, deviation = BLOCK_FLOATS[kind]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = random.integers(0, 256, (rows * columns // elements, size), dtype=np.uint8)
    scale = columns**-0.5 / deviation
    for offset, factor in zip(offsets, [1, 7.5 if kind == TYPES.Q4_K else 15.5]):  # minimums that move the mean to 0
        value = -scale * factor if kind == TYPES.Q5_1 and offset else scale * factor
        blocks[:, offset:offset + 2] = np.array([value], np.float16).view(np.uint8)
    return blocks.reshape(rows, -1)


def write_model(path, s, kind):
    writer = gguf.GGUFWriter(str(path) + ".tmp", "llama")
    writer.add_name(path.stem)
    writer.add_context_length(CONTEXT_LENGTH)
    writer.add_embedding_length(s["hidden"])
    writer.add_block_count(s["layers"])
    writer.add_feed_forward_length(s["ffn"])
    writer.add_head_count(s["heads"])
    writer.add_head_count_kv(s["kv_heads"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100000.0)
    writer.add_rope_dimension_count(s["hidden"] // s["heads"])
    writer.add_vocab_size(s["vocab"])
    writer.add_tokenizer_model("no_vocab")
    random = np.random.default_rng(1)

    def add(name, rows, columns, layer, key):
        """One random matrix, made in slices to keep memory small."""
        chosen = matrix_type(kind, s["layers"], layer, key, columns)
        parts = [random_matrix(min(4096, rows - begin), columns, chosen, random) for begin in range(0, rows, 4096)]
        writer.add_tensor(name, np.concatenate(parts), raw_dtype=chosen)

    add("token_embd.weight", s["vocab"], s["hidden"], None, "embedding")
    writer.add_tensor("output_norm.weight", np.ones(s["hidden"], np.float32))
    for layer in range(s["layers"]):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(s["hidden"], np.float32))
        for key, (out, columns) in module_shapes(s).items():
            add(f"blk.{layer}.{MODULES[key][0]}.weight", out, columns, layer, key)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    pathlib.Path(str(path) + ".tmp").rename(path)


def lengthen_context(path):
    """Gives an older file the context length of newer ones."""
    reader = gguf.GGUFReader(path, "r+")
    field = reader.get_field("llama.context_length")
    if field.contents() != CONTEXT_LENGTH:
        field.parts[field.data[0]][0] = CONTEXT_LENGTH
        reader.data.flush()


def write_adapter(folder, s, seed):
    random = np.random.default_rng(seed)
    tensors = {}
    writer = gguf.GGUFWriter(str(folder) + ".gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * RANK)
    for layer in range(s["layers"]):
        for key, (out, columns) in module_shapes(s).items():
            a = (random.standard_normal((RANK, columns), dtype=np.float32) * 0.02).astype(np.float16)
            b = (random.standard_normal((out, RANK), dtype=np.float32) * 0.02).astype(np.float16)
            name = f"base_model.model.model.layers.{layer}.{MODULES[key][1]}"
            tensors[name + ".lora_A.weight"], tensors[name + ".lora_B.weight"] = a, b
            writer.add_tensor(f"blk.{layer}.{MODULES[key][0]}.weight.lora_a", a)
            writer.add_tensor(f"blk.{layer}.{MODULES[key][0]}.weight.lora_b", b)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = dict(
        peft_type="LORA", task_type="CAUSAL_LM", r=RANK, lora_alpha=2 * RANK, bias="none", inference_mode=True,
        target_modules=[path.split(".")[1] for _, path in MODULES.values()], base_model_name_or_path=None)
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("bench-out"))
    listed = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--shapes", type=listed, default=DEFAULT_SHAPES)
    parser.add_argument("--formats", type=listed, default=DEFAULT_FORMATS)
    arguments = parser.parse_args()
    arguments.output.mkdir(exist_ok=True)
    for shape in arguments.shapes:
        sizes = SHAPES[shape]
        for kind in arguments.formats:
            path = arguments.output / f"{shape}-{kind}.gguf"
            if path.exists():
                lengthen_context(path)
            else:
                print(f"writing {path}", flush=True)
                write_model(path, sizes, kind)
        for number in range(ADAPTERS):
            folder = arguments.output / f"{shape}-adapter-{number}"
            if not folder.exists():
                print(f"writing {folder}", flush=True)
                write_adapter(folder, sizes, 100 + number)


if __name__ == "__main__":
    main()
