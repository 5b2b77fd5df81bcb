# SPDX-License-Identifier: Apache-2.0
"""LoRA and control vectors in GGUF."""

import json
import pathlib
import shutil
import tempfile

import gguf
import numpy as np
import peft
import torch
from adapters import bases, case
from architectures import reference
from architectures.gguf_file import interleaved
from safetensors.torch import save_file

from . import exact, llama_cpp_run


def converted(name, base, outtype, features, tokens=None, **options):
    """A LoRA that peft made and llama.cpp's converter wrote; expected is what peft computes."""

    def make(root, temporary):
        source = temporary / name
        arguments = dict(r=2, lora_alpha=3, target_modules=case.LLAMA) | options
        one = case.Case(name, base, peft.LoraConfig, arguments, tokens=tokens)
        (temporary / "bases").symlink_to(root.resolve() / "bases")
        case.make(one, temporary)
        folder = root / name
        llama_cpp_run.convert(root / "bases" / base, source, folder / "adapter.gguf", outtype)
        ids = tokens if tokens is not None else bases.tokens_of(one.seed)
        logits, _, deltas, _ = case.exact_run(one, root / "bases" / base, source, ids)
        about = {"peft": peft.__version__}
        if outtype != "f32":
            # What is stored is rounded: the file says what the factors are.
            weights = weights_of(folder / "adapter.gguf", 3, base)
            logits, error = exact.changed(root, base, ids, lambda model: exact.add(model, weights))
            deltas = {"delta." + key: weights[key + ".weight"] for key in ["model.layers.1.self_attn.k_proj"]}
            about["error"] = f"{error:.1e}"
        # llama.cpp multiplies quantised factors with int8 activations, and leaves invocations to its server.
        if outtype == "f32" and "alora_invocation_tokens" not in options:
            about["llama.cpp"] = check(root, temporary, base, ids, logits, folder / "adapter.gguf")
        return folder, base, ids, {"logits": logits}, {key.removeprefix("delta."): value for key, value in deltas.items()}, about

    return name, features, make


MODULES = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip


def halves(delta, heads):
    """Rows of q or k from the order of neighbours to that of halves: `interleaved` backwards."""
    order = interleaved(np.arange(delta.shape[0])[:, None], heads)[:, 0]
    back = torch.empty_like(delta)
    back[torch.from_numpy(order.copy())] = delta
    return back


def weights_of(path, alpha, base):
    """delta by parameter of the base, from the dequantised factors of a file for a Llama."""
    factors = {t.name: torch.from_numpy(gguf.dequantize(t.data, t.tensor_type).copy()).double() for t in gguf.GGUFReader(path).tensors}
    config, weights = bases.BASES[base].config, {}
    for name, a in factors.items():
        if not name.endswith(".lora_a"):
            continue
        b = factors[name[:-1] + "b"]
        _, layer, module, *_ = name.split(".")
        delta = alpha / b.shape[1] * b @ a
        heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}.get(module)
        weights[f"model.layers.{layer}.{MODULES[module]}.weight"] = halves(delta, heads) if heads else delta
    return weights


def check(root, temporary, base, tokens, expected, path):
    """The error of llama.cpp with the file."""
    model = temporary / f"{base}.gguf"
    if not model.exists():
        llama_cpp_run.write_base(root / "bases" / base, model)
    error = reference.relative_error(llama_cpp_run.logits(model, tokens, lora=path), expected)
    # Its GELU is a table of F16.
    assert error < (1e-3 if base == "gpt2" else 1e-4), f"llama.cpp differs by {error}"
    return f"{error:.1e}"


def random(generator, *shape):
    return 0.2 * torch.randn(shape, generator=generator)


def writer(path, architecture, alpha=None):
    file = gguf.GGUFWriter(path, architecture)
    if alpha is not None:
        file.add_type("adapter")
        file.add_string("adapter.type", "lora")
        file.add_float32("adapter.lora.alpha", alpha)
    return file


def close(file):
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def make_types(root, temporary):
    """Factors in the types of ggml; alpha 0, for which llama.cpp takes a scale of 1."""
    folder, base = root / "gguf-lora-types", "llama"
    generator = torch.Generator().manual_seed(71)
    file = writer(folder / "adapter.gguf", "llama", 0)
    kinds = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "BF16", "F16"]
    sizes = {"attn_q": (32, 32), "attn_k": (16, 32), "attn_v": (16, 32), "attn_output": (32, 32), "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64)}  # fmt: skip
    for (module, (rows, columns)), kind in zip(sizes.items(), kinds):
        kind = gguf.GGMLQuantizationType[kind]
        name = f"blk.1.{module}.weight"
        file.add_tensor(name + ".lora_a", gguf.quantize(random(generator, 2, columns).numpy(), kind), raw_dtype=kind)
        file.add_tensor(name + ".lora_b", random(generator, rows, 2).numpy())
    close(file)
    tokens = bases.tokens_of(71)
    weights = weights_of(folder / "adapter.gguf", 2, base)
    logits, error = exact.changed(root, base, tokens, lambda model: exact.add(model, weights))
    deltas = {"model.layers.1.self_attn.k_proj": weights["model.layers.1.self_attn.k_proj.weight"]}
    return folder, base, tokens, {"logits": logits}, deltas, {"error": f"{error:.1e}"}


def make_experts(root, temporary):
    """Experts that were modules of their own when they were adapted: the converter stacks them."""
    folder, base, name = root / "gguf-lora-experts", "mixtral", "gguf-lora-experts"
    width = bases.BASES[base].config["intermediate_size"]
    generator = torch.Generator().manual_seed(72)
    tensors, weights = {}, {}
    for layer in range(2):
        fused = [torch.zeros(3, 2 * width, 32, dtype=torch.float64), torch.zeros(3, 32, width, dtype=torch.float64)]
        for expert in range(3):
            for part, (rows, columns) in {"w1": (width, 32), "w2": (32, width), "w3": (width, 32)}.items():
                a, b = random(generator, 2, columns), random(generator, rows, 2)
                path = f"base_model.model.model.layers.{layer}.block_sparse_moe.experts.{expert}.{part}"
                tensors |= {f"{path}.lora_A.weight": a, f"{path}.lora_B.weight": b}
                delta = 2 * b.double() @ a.double()
                if part == "w2":
                    fused[1][expert] = delta
                else:
                    fused[0][expert, (part == "w3") * width :][:width] = delta
        path = f"model.layers.{layer}.mlp.experts."
        weights |= {path + "gate_up_proj": fused[0], path + "down_proj": fused[1]}
        a, b = random(generator, 2, 32), random(generator, 3, 2)
        path = f"base_model.model.model.layers.{layer}.block_sparse_moe.gate"
        tensors |= {f"{path}.lora_A.weight": a, f"{path}.lora_B.weight": b}
        weights[f"model.layers.{layer}.mlp.gate.weight"] = 2 * b.double() @ a.double()
    source = temporary / name
    source.mkdir()
    save_file(tensors, source / "adapter_model.safetensors")
    fields = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["w1", "w2", "w3", "gate"]}
    (source / "adapter_config.json").write_text(json.dumps(fields))
    llama_cpp_run.convert(root / "bases" / base, source, folder / "adapter.gguf", "f32")
    tokens = bases.tokens_of(72)
    logits, error = exact.changed(root, base, tokens, lambda model: exact.add(model, weights))
    about = {"error": f"{error:.1e}", "llama.cpp": check(root, temporary, base, tokens, logits, folder / "adapter.gguf")}
    return folder, base, tokens, {"logits": logits}, {"model.layers.1.mlp.gate": weights["model.layers.1.mlp.gate.weight"]}, about


GPT2_SIZES = {"attn_qkv": (96, 32), "attn_output": (32, 32), "ffn_up": (64, 32), "ffn_down": (32, 64)}
GPT2_MODULES = {"attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}


def make_gpt2(root, temporary):
    """A fused module, and a base that transformers stores turned round."""
    folder, base = root / "gguf-lora-gpt2", "gpt2"
    generator = torch.Generator().manual_seed(73)
    file, weights = writer(folder / "adapter.gguf", "gpt2", 3), {}
    for layer in range(2):
        for module, (rows, columns) in GPT2_SIZES.items():
            a, b = random(generator, 2, columns), random(generator, rows, 2)
            file.add_tensor(f"blk.{layer}.{module}.weight.lora_a", a.numpy())
            file.add_tensor(f"blk.{layer}.{module}.weight.lora_b", b.numpy())
            weights[f"transformer.h.{layer}.{GPT2_MODULES[module]}.weight"] = 1.5 * b.double() @ a.double()
    close(file)
    tokens = bases.tokens_of(73)
    logits, error = exact.changed(root, base, tokens, lambda model: exact.add(model, weights))
    about = {"error": f"{error:.1e}", "llama.cpp": check(root, temporary, base, tokens, logits, folder / "adapter.gguf")}
    deltas = {"transformer.h.1.mlp.c_fc": weights["transformer.h.1.mlp.c_fc.weight"]}
    return folder, base, tokens, {"logits": logits}, deltas, about


def make_norms(root, temporary):
    """Whole norms beside the factors, as mergekit's extraction leaves them: replacements, which llama.cpp leaves out."""
    folder, base, name = root / "gguf-lora-norms", "llama", "gguf-lora-norms"
    generator = torch.Generator().manual_seed(74)
    a, b = random(generator, 2, 32), random(generator, 16, 2)
    norm, last = 1 + random(generator, 32), 1 + random(generator, 32)
    prefix, module = "base_model.model.", "model.layers.0.self_attn.v_proj"
    source = temporary / name
    source.mkdir()
    tensors = {f"{prefix}{module}.lora_A.weight": a, f"{prefix}{module}.lora_B.weight": b}
    values = {"model.layers.1.post_attention_layernorm.weight": norm, "model.norm.weight": last}
    save_file(tensors | {prefix + key: value for key, value in values.items()}, source / "adapter_model.safetensors")
    (source / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 2}))
    llama_cpp_run.convert(root / "bases" / base, source, folder / "adapter.gguf", "f32")
    weights = {module + ".weight": b.double() @ a.double()}

    def change(model):
        exact.add(model, weights)
        exact.put(model, values)

    tokens = bases.tokens_of(74)
    logits, error = exact.changed(root, base, tokens, change)
    return folder, base, tokens, {"logits": logits}, {module: weights[module + ".weight"]}, {"error": f"{error:.1e}"}


def make_control(root, temporary):
    """A direction after layer 1, at strength 1 and -0.5: control vectors have none for layer 0."""
    folder, base = root / "gguf-control", "llama"
    direction = random(torch.Generator().manual_seed(75), 1, 32)
    file = writer(folder / "adapter.gguf", "controlvector")
    file.add_string("controlvector.model_hint", "llama")
    file.add_uint32("controlvector.layer_count", 1)
    file.add_tensor("direction.1", direction[0].numpy())
    close(file)
    tokens = bases.tokens_of(75)
    logits, about = {}, {}
    for key, strength in {"logits": 1.0, "logits.strength -0.5": -0.5}.items():

        def change(model):
            vector = (strength * direction[0].double()).to(next(model.parameters()).dtype)
            model.model.layers[1].register_forward_hook(lambda _, __, output: output + vector)

        logits[key], error = exact.changed(root, base, tokens, change)
        about["error"] = f"{error:.1e}"
        model = temporary / f"{base}.gguf"
        if not model.exists():
            llama_cpp_run.write_base(root / "bases" / base, model)
        found = llama_cpp_run.logits(model, tokens, directions=strength * direction, first=1, last=2)
        error = reference.relative_error(found, logits[key])
        assert error < 1e-4, error
        about["llama.cpp"] = f"{error:.1e}"
    return folder, base, tokens, logits, {}, about


INVOCATION = [7, 11]
INVOKED = torch.tensor([1, 20, 7, 11, 33, 7, 11, 40, 41, 42])
CASES = [
    converted("gguf-lora", "llama", "f32", "llama.cpp's converter, F32"),
    converted("gguf-lora-q8_0", "llama", "q8_0", "llama.cpp's converter: A as Q8_0, B as F16", target_modules=["q_proj", "k_proj", "down_proj"]),
    converted("gguf-lora-embedding", "llama", "f32", "token_embd and output", target_modules=["embed_tokens", "lm_head", "o_proj"]),
    converted("gguf-lora-alora", "llama", "f32", "adapter.alora.invocation_tokens", tokens=INVOKED, target_modules=["q_proj", "v_proj"], alora_invocation_tokens=INVOCATION),
    ("gguf-lora-types", "A in seven types; alpha 0", make_types),
    ("gguf-lora-experts", "llama.cpp's converter: stacked experts", make_experts),
    ("gguf-lora-gpt2", "fused c_attn", make_gpt2),
    ("gguf-lora-norms", "llama.cpp's converter: norms beside the factors", make_norms),
    ("gguf-control", "direction.1; strength as an option", make_control),
]  # fmt: skip
