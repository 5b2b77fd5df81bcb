#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes WORK/hf as a Q8_0 GGUF file in llama.cpp's conventions, and the same weights back as floats
to WORK/hf-q8, over which the experts are trained."""
import argparse
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
from safetensors.numpy import load_file, save_file

from shared import MODELS, SPECIALS, paths

Q8 = gguf.GGMLQuantizationType.Q8_0
NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    plain = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"}
    if name in plain:
        return plain[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"


def interleave(weight, heads):
    """Q and K rows from rotate-half order to the pairwise order of llama.cpp's rope."""
    rows, columns = weight.shape
    return (weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2)
            .reshape(rows, columns))


def add_metadata(writer, config):
    writer.add_name("Weft demo")
    writer.add_description("A small Llama trained from scratch for Weft's demo")
    writer.add_license("apache-2.0")
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])


def add_tokenizer(writer, folder, config):
    model = json.loads((folder / "tokenizer.json").read_text())["model"]
    template = json.loads((folder / "tokenizer_config.json").read_text())["chat_template"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    types = gguf.TokenType
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([types.CONTROL if t in SPECIALS else types.NORMAL for t in tokens])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in model["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(True)
    writer.add_chat_template(template)


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--out", type=Path, default=MODELS / "base.gguf")
    args = parser.parse_args()
    source, back = args.work / "hf", args.work / "hf-q8"
    config = json.loads((source / "config.json").read_text())
    args.out.parent.mkdir(parents=True, exist_ok=True)
    back.mkdir(exist_ok=True)
    writer = gguf.GGUFWriter(args.out, "llama")
    add_metadata(writer, config)
    add_tokenizer(writer, source, config)
    floats = {}
    for name, weight in load_file(source / "model.safetensors").items():
        if name == "lm_head.weight":
            continue
        weight, floats[name] = weight.astype(np.float32), weight
        if weight.ndim == 1:
            writer.add_tensor(gguf_name(name), weight)
            continue
        floats[name] = gguf.dequantize(gguf.quantize(weight, Q8), Q8)
        if "q_proj" in name or "k_proj" in name:
            weight = interleave(weight, config["num_attention_heads"])
        writer.add_tensor(gguf_name(name), gguf.quantize(weight, Q8), raw_dtype=Q8)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(floats, back / "model.safetensors", metadata={"format": "pt"})
    for file in source.glob("*.json"):
        shutil.copy(file, back)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
