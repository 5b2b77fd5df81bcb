# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/quantized: random blocks of every quantised GGUF type that Weft reads, and what the gguf package makes of them.

    python tools/make_quant_goldens.py        needs: numpy gguf safetensors

blocks.gguf holds a tensor [ROWS, 256] of every type, blocks.gguf.safetensors its values as F32. All bits of a block are random;
its 16-bit floats are redrawn until they are finite, and among the first ones are the largest, negative, subnormal and zero.
"""
import importlib.metadata
import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

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
    print(*(f"{package} {importlib.metadata.version(package)}" for package in ("gguf", "numpy", "safetensors")))


if __name__ == "__main__":
    main()
