# SPDX-License-Identifier: Apache-2.0
"""Tests/Goldens/formats/quantization.json: the formats that llama.cpp gives to the tensors of some models, type by type.

    tools/make_quantization_goldens.py

The models are zeros of the right names and shapes. In the result, `types` has for every type (with `+imatrix` behind it where
there was one) the tensors by format, without those that got the type's own.
"""
import ctypes
import json
import tempfile
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from compare_perplexity import FILE_TYPES

OWN = {"Q4_K_M": "Q4_K", "Q4_K_S": "Q4_K", "Q5_K_M": "Q5_K", "Q5_K_S": "Q5_K"}


def tensors(kind, layers, hidden, width, heads, groups, experts=0, head=True):
    yield "token_embd.weight", [64, hidden]
    if kind == "gpt2":
        yield "position_embd.weight", [32, hidden]
    yield "output_norm.weight", [hidden]
    if head:
        yield "output.weight", [64, hidden]
    for layer in range(layers):
        def name(part):
            return f"blk.{layer}.{part}.weight"
        keys = hidden // heads * groups
        yield name("attn_norm"), [hidden]
        yield name("ffn_norm"), [hidden]
        if kind in ("gpt2", "phi3"):
            yield name("attn_qkv"), [hidden + 2 * keys, hidden]
        else:
            yield name("attn_q"), [hidden, hidden]
            yield name("attn_k"), [keys, hidden]
            yield name("attn_v"), [keys, hidden]
        yield name("attn_output"), [hidden, hidden]
        if experts:
            yield name("ffn_gate_inp"), [experts, hidden]
            for part in ("gate", "up"):
                yield name(f"ffn_{part}_exps"), [experts, width, hidden]
            yield name("ffn_down_exps"), [experts, hidden, width]
        else:
            if kind == "llama":
                yield name("ffn_gate"), [width, hidden]
            yield name("ffn_up"), [width * (2 if kind == "phi3" else 1), hidden]
            yield name("ffn_down"), [hidden, width]


# kind, layers, hidden size, feed-forward width, heads, key-value heads
MODELS = {
    "llama-grouped": dict(kind="llama", layers=17, hidden=256, width=256, heads=8, groups=2),
    "llama-tied": dict(kind="llama", layers=8, hidden=256, width=512, heads=4, groups=4, head=False),
    "mixtral": dict(kind="llama", layers=9, hidden=256, width=256, heads=8, groups=2, experts=8),
    "four-experts": dict(kind="llama", layers=8, hidden=256, width=256, heads=4, groups=4, experts=4),
    "phi3": dict(kind="phi3", layers=8, hidden=256, width=256, heads=4, groups=4),
    "gpt2-96": dict(kind="gpt2", layers=8, hidden=96, width=384, heads=4, groups=4),
    "llama-48": dict(kind="llama", layers=4, hidden=48, width=80, heads=4, groups=4),
}


def write(path, model):
    kind = model["kind"]
    writer = gguf.GGUFWriter(path, kind)
    writer.add_context_length(32)
    writer.add_embedding_length(model["hidden"])
    writer.add_block_count(model["layers"])
    writer.add_feed_forward_length(model["width"])
    writer.add_head_count(model["heads"])
    writer.add_head_count_kv(model["groups"])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_layer_norm_eps(1e-5)
    writer.add_rope_scaling_orig_ctx_len(32)
    writer.add_sliding_window(0)
    writer.add_vocab_size(64)
    if model.get("experts"):
        writer.add_expert_count(model["experts"])
        writer.add_expert_used_count(2)
    writer.add_tokenizer_model("none")
    for name, shape in tensors(**model):
        writer.add_tensor(name, np.zeros(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def quantized(source, kind, importance):
    target = source + ".quantized"
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype, parameters.nthread = FILE_TYPES[kind], 1
    if importance:
        entry = type(parameters.imatrix)._type_
        columns = (ctypes.c_float * 4096)(*[1.0] * 4096)
        entries = (entry * 2)()
        # An entry of a matrix that no model has: only that there is a matrix counts here.
        entries[0].name, entries[0].data, entries[0].size = b"none", columns, 4096
        parameters.imatrix = entries
    assert llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)) == 0
    reader = gguf.GGUFReader(target)
    formats = {}
    for tensor in reader.tensors:
        if tensor.tensor_type.name != OWN.get(kind, kind):
            formats.setdefault(tensor.tensor_type.name, []).append(str(tensor.name))
    return {key: sorted(value) for key, value in sorted(formats.items())}


def main():
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, model in MODELS.items():
            path = f"{folder}/{name}.gguf"
            write(path, model)
            types = {kind: quantized(path, kind, False) for kind in FILE_TYPES}
            if name == "llama-grouped":
                types |= {f"{kind}+imatrix": quantized(path, kind, True) for kind in ("Q4_0", "Q5_0", "IQ4_NL", "Q4_K_S")}
            result[name] = {
                "model": model, "tensors": [[tensor, shape] for tensor, shape in tensors(**model)], "types": types,
            }
    path = Path(__file__).parent.parent / "Tests" / "Goldens" / "formats" / "quantization.json"
    path.write_text(json.dumps(result, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
