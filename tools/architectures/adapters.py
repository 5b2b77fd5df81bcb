# SPDX-License-Identifier: Apache-2.0
"""LoRA adapters on the models of the table, made, saved and run by peft."""

import dataclasses
import json
import re

import peft
import reference
import torch
from safetensors.torch import load_file, save_file

# The parameters that peft adapts besides linear layers where transformers 5 has fused the experts.
FUSED_EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj", "mlp.gate.weight"]


@dataclasses.dataclass
class Adapter:
    """A folder below that of `base`."""

    base: str
    seed: int
    features: str
    folder: str = "adapter"
    rank: int = 4
    parameters: list = dataclasses.field(default_factory=list)


# On which models; each adapts all linear layers but the head.
ADAPTERS = [
    Adapter("llama-biases", 301, "q, k, v, o, gate, up, down"),
    Adapter("mistral-nemo", 302, "as llama-biases"),
    Adapter("qwen2-tied", 303, "as llama-biases"),
    Adapter("qwen3-tied", 304, "as llama-biases"),
    Adapter("gemma2-caps", 305, "as llama-biases"),
    Adapter("gemma3-scalar", 306, "as llama-biases"),
    Adapter("phi3-gqa", 307, "fused: qkv_proj, gate_up_proj; o_proj, down_proj"),
    Adapter("phi4mini-long", 308, "as phi3-gqa"),
    Adapter("mixtral-top2", 309, "q, k, v, o; fused experts and router, as peft resolves all-linear", rank=2),
    Adapter(
        "qwen2moe-mixed",
        310,
        "q, k, v, o; fused experts and router as target_parameters; the shared expert, its gate, and plain layers",
        rank=2,
        parameters=FUSED_EXPERTS,
    ),
    Adapter("qwen3moe-norm", 311, "as mixtral-top2", rank=2),
    Adapter("olmo2-gqa", 312, "as llama-biases"),
    Adapter("granite-tied", 313, "as llama-biases"),
    Adapter("smollm3-nope", 314, "as llama-biases", rank=2),
    Adapter(
        "gpt2-tied", 315, "c_attn (fused), c_proj, c_fc with fan_in_fan_out; names with `transformer.`, which the base lacks"
    ),
    Adapter("gemma-mqa", 316, "as llama-biases"),
    Adapter("openelm-widths", 317, "fused: qkv_proj, proj_1; out_proj, proj_2"),
]
# Adapters for what is stored otherwise than the adapter was trained on.
UNFUSED = Adapter(
    "phi3-gqa", 318, "q, k, v, o, gate, up, down, trained on a Llama with the same weights, not fused", folder="adapter-unfused"
)
PER_EXPERT = [
    Adapter("mixtral-top2", 319, "q, k, v, o, gate, and w1, w2, w3 of each expert", folder="adapter-per-expert", rank=2),
    Adapter(
        "qwen2moe-shared",
        320,
        "q, k, v, o, gate, gate_proj, up_proj, down_proj of each expert and of the shared one, shared_expert_gate",
        folder="adapter-per-expert",
        rank=2,
    ),
]


def random_factors(shapes, seed):
    """Values that BF16 holds exactly, deviation 0.2, by name."""
    generator = torch.Generator().manual_seed(seed)
    return {key: (0.2 * torch.randn(shapes[key], generator=generator)).bfloat16() for key in sorted(shapes)}


def save_expected(folder, tokens, logits):
    save_file({"tokens": tokens, "logits": logits.to(torch.float32).contiguous()}, folder / "expected.safetensors")


def sort_sets(path):
    """peft writes sets in an order that changes from run to run; nothing else of its file is touched."""
    fields = json.loads(path.read_text())
    for key in ("target_modules", "target_parameters"):
        if isinstance(fields.get(key), list):
            fields[key].sort()
    path.write_text(json.dumps(fields, indent=1) + "\n")


def make_adapter(adapter, kind, base, folder, tokens):
    """Adapt the model in `base`, and write its logits in float64."""
    with reference.float64_source(kind):
        config = peft.LoraConfig(
            task_type="CAUSAL_LM",
            r=adapter.rank,
            lora_alpha=3 * adapter.rank,
            target_modules="all-linear",
            target_parameters=adapter.parameters or None,
        )
        model = peft.get_peft_model(reference.load(base, torch.float64), config)
        config.base_model_name_or_path = f"weft/{base.name}"
        adapted = {key: value for key, value in model.named_parameters() if "lora_" in key}
        factors = random_factors({key: value.shape for key, value in adapted.items()}, adapter.seed)
        for key, value in adapted.items():
            value.data = factors[key]
        model.save_pretrained(folder, save_embedding_layers=False)
        (folder / "README.md").unlink()
        sort_sets(folder / "adapter_config.json")
        for value in adapted.values():
            value.data = value.data.double()
        with reference.NoFloat32():
            logits = reference.logits_of(model.eval(), tokens)
    save_expected(folder, tokens, logits)


def make_unfused(adapter, base, folder, tokens, temporary):
    """As `make_adapter` for a fused model, through a Llama with the same weights."""
    fields = json.loads((base / "config.json").read_text())
    heads, kv_heads, hidden = (fields[key] for key in ("num_attention_heads", "num_key_value_heads", "hidden_size"))
    rope = {key: fields["rope_parameters"][key] for key in ("rope_type", "rope_theta")}
    fields.update(model_type="llama", architectures=["LlamaForCausalLM"], rope_parameters=rope)
    weights, parts = load_file(base / "model.safetensors"), {}
    for key, value in weights.items():
        if ".qkv_proj." in key:
            rows = [hidden // heads * count for count in (heads, kv_heads, kv_heads)]
            parts.update({key.replace("qkv_", f"{name}_"): part.clone() for name, part in zip("qkv", value.split(rows))})
        elif ".gate_up_proj." in key:
            names = [key.replace("gate_up_", "gate_"), key.replace("gate_up_", "up_")]
            parts.update({name: part.clone() for name, part in zip(names, value.chunk(2))})
        else:
            parts[key] = value
    twin = temporary / f"{base.name}-unfused"
    twin.mkdir()
    (twin / "config.json").write_text(json.dumps(fields))
    save_file(parts, twin / "model.safetensors", {"format": "pt"})
    expected, _ = reference.expectation(twin, "llama", tokens)
    assert torch.equal(expected["logits"].float(), load_file(base / "logits.safetensors")["logits"])
    make_adapter(adapter, "llama", twin, folder, tokens)


def make_per_expert(adapter, kind, base, folder, tokens, temporary):
    """An adapter as peft saved it before transformers 5, whose experts were linear layers each. The logits are those of the
    stored weights + scale B A, added in float64."""
    weights = {key: value.double() for key, value in load_file(base / "model.safetensors").items()}
    modules = [key for key in weights if value_is_linear(key)]
    shapes = {}
    for key in modules:
        outputs, inputs = weights[key].shape
        module = "base_model.model." + key.removesuffix(".weight")
        shapes[f"{module}.lora_A.weight"] = (adapter.rank, inputs)
        shapes[f"{module}.lora_B.weight"] = (outputs, adapter.rank)
    factors = random_factors(shapes, adapter.seed)
    folder.mkdir()
    save_file(factors, folder / "adapter_model.safetensors", {"format": "pt"})
    peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.rank,
        lora_alpha=3 * adapter.rank,
        target_modules=sorted({key.split(".")[-2] for key in modules}),
        base_model_name_or_path=f"weft/{base.name}",
        inference_mode=True,
    ).save_pretrained(folder)
    sort_sets(folder / "adapter_config.json")
    for key in modules:
        module = "base_model.model." + key.removesuffix(".weight")
        a, b = (factors[f"{module}.lora_{name}.weight"].double() for name in "AB")
        weights[key] = weights[key] + 3 * b @ a
    merged = temporary / f"{base.name}-merged"
    merged.mkdir()
    (merged / "config.json").write_text((base / "config.json").read_text())
    save_file(weights, merged / "model.safetensors", {"format": "pt"})
    expected, _ = reference.expectation(merged, kind, tokens)
    save_expected(folder, tokens, expected["logits"])
    if kind == "mixtral":
        with reference.float64_source(kind):
            model = peft.PeftModel.from_pretrained(reference.load(base, torch.float64), folder).double().eval()
            assert reference.relative_error(reference.logits_of(model, tokens), expected["logits"]) < 1e-12


def value_is_linear(key):
    return re.search(r"(_proj|\.gate|\.w[123]|_gate)\.weight$", key)
