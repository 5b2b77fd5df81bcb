# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/formats: small files of the foreign writers (gguf, safetensors, huggingface_hub) and what is in them.

    python tools/make_format_goldens.py        needs: torch numpy gguf safetensors huggingface_hub
"""
import importlib.metadata
import json
import pathlib
import shutil

import gguf
import huggingface_hub
import numpy as np
import torch
from safetensors.torch import save_file

goldens = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "formats"
random = np.random.default_rng(7)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


def make_gguf():
    """tiny.gguf: every kind of metadata and every tensor type that Weft reads; tiny.gguf.safetensors: its weights as f32."""
    writer = gguf.GGUFWriter(goldens / "tiny.gguf", "llama")
    writer.add_custom_alignment(64)
    writer.add_uint8("kind.uint8", 200)
    writer.add_int8("kind.int8", -100)
    writer.add_uint16("kind.uint16", 60000)
    writer.add_int16("kind.int16", -30000)
    writer.add_uint32("kind.uint32", 4000000000)
    writer.add_int32("kind.int32", -2000000000)
    writer.add_float32("kind.float32", 0.1)
    writer.add_bool("kind.bool", True)
    writer.add_string("kind.string", "na\u00efve \u2713 \U0001f600")
    writer.add_uint64("kind.uint64", 18446744073709551615)
    writer.add_int64("kind.int64", -9223372036854775808)
    writer.add_float64("kind.float64", 0.1)
    writer.add_array("array.strings", ["", "a", "\u0120the"])
    kinds = gguf.GGUFValueType
    for kind, values in [
        (kinds.UINT8, [0, 255]), (kinds.INT8, [-128, 127]), (kinds.UINT16, [0, 65535]), (kinds.INT16, [-32768, 32767]),
        (kinds.UINT32, [0, 4294967295]), (kinds.INT32, [-7, 7]), (kinds.UINT64, [0, 2**63 - 1]),
        (kinds.INT64, [-2**63, 2**63 - 1]), (kinds.FLOAT32, [0.1, -1e30]), (kinds.FLOAT64, [0.1, -1e30]),
        (kinds.BOOL, [True, False]),
    ]:
        writer.add_key_value(f"array.{kind.name.lower()}", values, kinds.ARRAY, sub_type=kind)

    expected = {}
    matrix = normal(3, 64)
    types = gguf.GGMLQuantizationType
    for kind in [types.F32, types.F16, types.BF16, types.Q8_0, types.Q4_0]:
        packed = matrix if kind == types.F32 else gguf.quants.quantize(matrix, kind)
        writer.add_tensor(f"matrix.{kind.name}", packed, raw_dtype=kind)
        values = gguf.quants.dequantize(packed, kind).astype(np.float32).reshape(3, 64)
        expected[f"matrix.{kind.name}"] = torch.from_numpy(values.copy())
    for name, values in [("vector.F32", normal(5)), ("cube.F32", normal(2, 3, 4))]:
        writer.add_tensor(name, values)
        expected[name] = torch.from_numpy(values)
    writer.add_tensor("integers.I32", np.array([-(2**31), 0, 2**31 - 1], dtype=np.int32))
    writer.add_tensor("integers.I64", np.array([-(2**40), 2**40], dtype=np.int64))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, goldens / "tiny.gguf.safetensors")


def make_safetensors():
    """tiny.safetensors: every element type that Weft reads, a scalar, an empty tensor, metadata and names that need escapes.

    tiny.safetensors.json: the values of its float tensors.
    """
    values = torch.from_numpy(normal(2, 3))
    tensors = {
        "f32": values, "f16": values.to(torch.float16), "bf16": values.to(torch.bfloat16),
        "i32": torch.tensor([-(2**31), 0, 2**31 - 1], dtype=torch.int32), "i64": torch.tensor([[-(2**40)], [2**40]]),
        "u8": torch.tensor([0, 255, 7], dtype=torch.uint8), "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4), 'quote" back\\ tab\t bell\x07 \u00e9\u2713': torch.tensor([1.0]),
    }
    save_file(tensors, goldens / "tiny.safetensors", metadata={"note \u00e9": 'line\nquote" slash/'})
    expected = {name: t.float().flatten().tolist() for name, t in tensors.items() if t.is_floating_point()}
    (goldens / "tiny.safetensors.json").write_text(json.dumps(expected, indent=1) + "\n")


def make_sharded():
    """sharded/: a Hugging Face folder of shards and an index, split by huggingface_hub; sharded.safetensors: all of it."""
    folder = goldens / "sharded"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    tensors = {f"layer.{i}.weight": torch.from_numpy(normal(4, 8)) for i in range(3)}
    huggingface_hub.save_torch_state_dict(tensors, folder, max_shard_size=300)
    (folder / "config.json").write_text('{"model_type": "llama", "hidden_size": 8}\n')
    save_file(tensors, goldens / "sharded.safetensors")


if __name__ == "__main__":
    goldens.mkdir(parents=True, exist_ok=True)
    make_gguf()
    make_safetensors()
    make_sharded()
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in [
        "torch", "numpy", "gguf", "safetensors", "huggingface_hub"]))
