# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/quantized: random blocks of every quantised GGUF type that Weft reads, and what the gguf package makes of them.

    python tools/make_quant_goldens.py        needs: torch transformers numpy gguf safetensors, and what make_goldens.py imports

blocks.gguf holds a tensor [ROWS, 256] of every type, blocks.gguf.safetensors its values as F32. All bits of a block are random;
its 16-bit floats are redrawn until they are finite, and among the first ones are the largest, negative, subnormal and zero.

mixed.gguf is a random Llama of three layers in which every matrix has another type, and every type occurs; mixed.safetensors has
`tokens` [T], the `logits` [T, V] of transformers in float64 for the dequantised weights, and `logits_int8`, the same with the
input of every linear map rounded to int8 blocks of 32, as make_goldens.py does it.
"""
import importlib.metadata
import pathlib

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file
from transformers import LlamaConfig, LlamaForCausalLM

import make_goldens as llama

goldens = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "quantized"
ROWS = 6
# Where the 16-bit floats of a block are; MXFP4 has one byte of exponent instead.
FLOATS = {
    "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
    "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [],
}
EDGES = [0x7BFF, 0xFBFF, 0x0001, 0x83FF, 0x8000]  # +-65504, the least and the most negative subnormal, -0
EXPONENTS = [0, 1, 2, 252, 127]


def random_blocks(name, count, random):
    """uint8 [count, block bytes]"""
    _, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[name]]
    blocks = random.integers(0, 256, (count, size), dtype=np.uint8)
    for offset in FLOATS[name]:
        halves = random.integers(0, 2**16, count, dtype=np.uint16)
        while not np.isfinite(halves.view(np.float16)).all():
            bad = ~np.isfinite(halves.view(np.float16))
            halves[bad] = random.integers(0, 2**16, bad.sum(), dtype=np.uint16)
        halves[:len(EDGES)] = np.roll(EDGES, offset // 2)[:count]
        blocks[:, offset:offset + 2] = halves.view(np.uint8).reshape(count, 2)
    if name == "MXFP4":
        blocks[:, 0] = random.integers(0, 253, count)
        blocks[:len(EXPONENTS), 0] = EXPONENTS[:count]
    return blocks


CONFIG = dict(
    hidden_size=256, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, num_key_value_heads=1, head_dim=32,
    vocab_size=96, tie_word_embeddings=False, max_position_embeddings=128, rms_norm_eps=1e-5)
# By layer: query, key, value, output, gate, up, down. Rows of output and down are shorter than 256.
LAYERS = [
    ["Q4_K", "Q2_K", "Q6_K", "Q4_1", "Q5_K", "IQ4_XS", "Q5_0"],
    ["TQ1_0", "Q3_K", "TQ2_0", "MXFP4", "Q4_K", "Q6_K", "IQ4_NL"],
    ["Q8_0", "Q5_K", "IQ4_XS", "Q4_0", "Q3_K", "Q2_K", "Q5_1"],
]
PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj", "mlp.up_proj",
               "mlp.down_proj"]
TYPES = {"model.embed_tokens": "Q3_K", "lm_head": "Q6_K"} | {
    f"model.layers.{layer}.{module}": kind
    for layer, kinds in enumerate(LAYERS) for module, kind in zip(PROJECTIONS, kinds)}
TOKEN_COUNT = 8


def scaled_blocks(name, rows, columns, deviation, random):
    """Random blocks of weights of about this deviation, uint8 [rows, bytes], and the weights, float32 [rows, columns]."""
    kind = gguf.GGMLQuantizationType[name]
    elements, _ = gguf.GGML_QUANT_SIZES[kind]
    blocks = random_blocks(name, rows * columns // elements, random)
    if name == "MXFP4":
        blocks[:, 0] = random.integers(120, 123, len(blocks))
    factor = 1.0
    for _ in range(2):  # the first time to learn the deviation
        for offset, ratio in zip(FLOATS[name], [1, 3]):
            noise = (np.random.default_rng(offset).standard_normal(len(blocks)) * factor * ratio).astype(np.float16)
            blocks[:, offset:offset + 2] = noise.view(np.uint8).reshape(-1, 2)
        weights = gguf.quants.dequantize(blocks.reshape(rows, -1), kind).astype(np.float32)
        factor *= deviation / weights.std()
    return blocks.reshape(rows, -1), weights


def make_model(random):
    config = LlamaConfig(bos_token_id=1, eos_token_id=2, pad_token_id=None, **CONFIG)
    config._attn_implementation = "eager"
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in LlamaForCausalLM(config).state_dict().items()}
    writer = gguf.GGUFWriter(goldens / "mixed.gguf", "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_vocab_size(config.vocab_size)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_tokenizer_model("none")
    weights = {}
    for key, shape in shapes.items():
        module = key.removesuffix(".weight")
        if module not in TYPES:
            weights[key] = (1 + 0.2 * random.standard_normal(shape)).astype(np.float32)
            writer.add_tensor(llama.gguf_name(key), weights[key])
            continue
        blocks, values = scaled_blocks(TYPES[module], *shape, 4 * shape[1] ** -0.5 / 3, random)
        writer.add_tensor(llama.gguf_name(key), blocks, raw_dtype=gguf.GGMLQuantizationType[TYPES[module]])
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(module.split(".")[-1])
        # GGUF has the rows of q and k interleaved: 2 i + p is transformers' p d/2 + i.
        weights[key] = values.reshape(heads, -1, 2, shape[1]).swapaxes(1, 2).reshape(shape) if heads else values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()

    with llama.float64_source("llama"):
        model = LlamaForCausalLM(config).double().eval()
        model.load_state_dict({key: torch.from_numpy(value.copy()).double() for key, value in weights.items()})
        for seed in range(1000):  # until no activation lies so near a rounding boundary that f32 could take the other side
            tokens = torch.randint(0, config.vocab_size, (TOKEN_COUNT,), generator=torch.Generator().manual_seed(seed))
            int8, margin = llama.int8_logits_of(model, tokens)
            if margin > llama.LEAST_MARGIN:
                break
        logits = llama.logits_of(model, tokens)
    print(f"mixed: seed {seed}, margin {margin:.1e}, logits deviate by {logits.std():.2f}")
    save_file({"tokens": tokens.numpy(), "logits": logits.float().numpy(), "logits_int8": int8.float().numpy()},
              goldens / "mixed.safetensors")


def main():
    goldens.mkdir(exist_ok=True)
    random = np.random.default_rng(11)
    writer = gguf.GGUFWriter(goldens / "blocks.gguf", "llama")
    expected = {}
    for name in FLOATS:
        kind = gguf.GGMLQuantizationType[name]
        elements, _ = gguf.GGML_QUANT_SIZES[kind]
        blocks = random_blocks(name, ROWS * 256 // elements, random).reshape(ROWS, -1)
        writer.add_tensor(name, blocks, raw_dtype=kind)
        expected[name] = gguf.quants.dequantize(blocks, kind).astype(np.float32)
        assert np.isfinite(expected[name]).all()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, goldens / "blocks.gguf.safetensors")
    make_model(random)
    print(*(f"{package} {importlib.metadata.version(package)}" for package in ("gguf", "numpy", "safetensors")))


if __name__ == "__main__":
    main()
