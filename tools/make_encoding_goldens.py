# SPDX-License-Identifier: Apache-2.0
"""Tests/Goldens/formats/encoding.safetensors: rows of weights, importances of their columns, and how far ggml's encoders miss them.

    tools/make_encoding_goldens.py

ggml is the one inside llama-cpp-python. `rows` [16, 512] are Gaussian, heavy-tailed, shifted and rows with outliers; `importance`
[512]. `error.NAME` = [sum (x - y)^2, sum w (x - y)^2] of all rows, the first without importance, the second with it.
"""
import ctypes
from pathlib import Path

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import save_file

FORMATS = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL"]
FLOATS = ctypes.POINTER(ctypes.c_float)


def encoder():
    library = ctypes.CDLL(str(Path(llama_cpp.__file__).parent / "lib" / "libggml-base.so"))
    quantize = library.ggml_quantize_chunk
    quantize.restype = ctypes.c_size_t
    quantize.argtypes = [
        ctypes.c_int, FLOATS, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, FLOATS,
    ]
    return quantize


def decoded(quantize, name, rows, importance):
    kind = gguf.GGMLQuantizationType[name]
    elements, size = gguf.GGML_QUANT_SIZES[kind]
    data = np.zeros((rows.shape[0], rows.shape[1] // elements * size), np.uint8)
    weights = None if importance is None else importance.ctypes.data_as(FLOATS)
    quantize(kind.value, rows.ctypes.data_as(FLOATS), data.ctypes.data, 0, *rows.shape, weights)
    return gguf.dequantize(data, kind)


def main():
    random = np.random.default_rng(7)
    rows = np.concatenate([
        random.standard_normal((6, 512)) * 0.02,
        random.standard_t(4, (6, 512)) * 0.02,
        random.standard_normal((2, 512)) * 0.02 + 0.05,
        random.standard_normal((2, 512)) * 0.02 * np.where(random.random((2, 512)) < 0.01, 12, 1),
    ]).astype(np.float32)
    importance = np.exp(random.standard_normal(512)).astype(np.float32)
    tensors = {"rows": rows, "importance": importance}
    quantize = encoder()
    for name in FORMATS:
        plain = (rows - decoded(quantize, name, rows, None)).astype(np.float64) ** 2
        weighted = (rows - decoded(quantize, name, rows, importance)).astype(np.float64) ** 2 * importance
        tensors[f"error.{name}"] = np.array([plain.sum(), weighted.sum()], np.float32)
    save_file(tensors, Path(__file__).parent.parent / "Tests" / "Goldens" / "formats" / "encoding.safetensors")


if __name__ == "__main__":
    main()
