# SPDX-License-Identifier: Apache-2.0
"""llama.cpp: its converter of LoRA, and its logits with an adapter or a control vector."""

import ctypes
import os
import pathlib
import subprocess
import sys
import types

import llama_cpp
import numpy as np
import torch
from adapters import bases
from architectures.gguf_file import GGUFFile
from safetensors.torch import load_file

# The sources of llama.cpp with convert_lora_to_gguf.py; those in the source package of llama-cpp-python were used.
SOURCES = "WEFT_LLAMA_CPP"


def convert(base, adapter, path, outtype):
    script = pathlib.Path(os.environ[SOURCES]) / "convert_lora_to_gguf.py"
    arguments = ["--base", str(base), "--outtype", outtype, "--outfile", str(path), str(adapter)]
    subprocess.run([sys.executable, str(script), *arguments], check=True, capture_output=True)


def write_base(folder, path):
    """The base as GGUF, which llama.cpp reads."""
    row = bases.BASES[folder.name]
    weights = load_file(folder / "model.safetensors")
    model = types.SimpleNamespace(kind=row.kind, name=folder.name, config=row.config)
    GGUFFile(model, bases.load_base(folder).config, weights).write(path, "F32")


def logits(base, tokens, lora=None, directions=None, first=0, last=0):
    """[T, V]. `directions` [layers - 1, hidden] begins with that of layer 1."""
    f32 = llama_cpp.GGML_TYPE_F32
    model = llama_cpp.Llama(
        str(base), n_ctx=64, n_threads=1, n_threads_batch=1, type_k=f32, type_v=f32, verbose=False, logits_all=True
    )
    context = model._ctx.ctx
    if lora:
        adapter = llama_cpp.llama_adapter_lora_init(model._model.model, str(lora).encode())
        assert adapter, f"llama.cpp does not read {lora}"
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
        assert llama_cpp.llama_set_adapters_lora(context, pointers, 1, (ctypes.c_float * 1)(1.0)) == 0
    if directions is not None:
        data = np.ascontiguousarray(directions, dtype=np.float32)
        pointer = data.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        assert llama_cpp.llama_set_adapter_cvec(context, pointer, data.size, data.shape[1], first, last) == 0
    model.eval(tokens.tolist())
    return torch.from_numpy(model.scores[: len(tokens)].copy())
