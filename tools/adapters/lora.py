# SPDX-License-Identifier: Apache-2.0
"""LoRA and what its options change."""

import functools
import json
import pathlib
import tempfile

import peft
import torch

from . import bases
from .case import GPT2, LLAMA, family

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]

lora = family("lora", peft.LoraConfig, r=2, lora_alpha=3, target_modules=LLAMA)

EXPERTS = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
DOWN = "model.layers.1.mlp.experts.down_proj"
ROUTER = "model.layers.1.mlp.gate"
INVOCATION = [7, 8]


def tokens_with(positions):
    """Ten ids with the invocation tokens at `positions`, and its first one alone at the end."""
    tokens = torch.randint(20, bases.VOCABULARY, (10,), generator=torch.Generator().manual_seed(620))
    for position in positions:
        tokens[position : position + 2] = torch.tensor(INVOCATION)
    tokens[-1] = INVOCATION[0]
    return tokens


def convert_to_plain(case, base):
    """The model before training is saved, as peft's documentation of the conversion asks for."""
    model = peft.get_peft_model(base, case.config(task_type="CAUSAL_LM", **case.options))
    config = model.peft_config["default"]
    kept, config.init_lora_weights = config.init_lora_weights, True
    model.save_pretrained(case.saving["path_initial_model_for_weight_conversion"])
    config.init_lora_weights = kept
    return model


def converted(name, features, **options):
    folder = tempfile.TemporaryDirectory()
    case = lora(name, features=features, case=dict(saving={"path_initial_model_for_weight_conversion": folder.name}), **options)
    # The folder lives as long as the function that fills it.
    case.adapt = functools.partial(lambda _, base, __: convert_to_plain(case, base), folder)
    return case


def rewrite(folder, **fields):
    """Change the configuration that peft saved."""
    path = pathlib.Path(folder) / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields, indent=1) + "\n")


def unreadable(name, reason, **fields):
    """A folder that says that the base has to be edited in a way that cannot be repeated."""
    case = dict(refused=reason, edit=lambda folder: rewrite(folder, **fields))
    return lora(name, features=f"{fields}", case=case, target_modules=["q_proj"])


CASES = [
    lora(features="r 2, alpha 3"),
    lora("rslora", features="alpha / sqrt r", r=3, use_rslora=True, target_modules=ATTENTION),
    lora("gpt2", "gpt2", "fan_in_fan_out", target_modules=GPT2, fan_in_fan_out=True),
    lora("f16", features="stored F16", case=dict(storage="F16")),
    lora("bf16", features="stored BF16", case=dict(storage="BF16")),
    lora(
        "patterns",
        features="rank_pattern, alpha_pattern; the first match in the file counts, where peft has sorted the keys",
        rank_pattern={"1.self_attn.q_proj": 3, "q_proj": 1, "up_proj": 4},
        alpha_pattern={"v_proj": 5, r"layers\.1\..*": 2, "up_proj": 7},
    ),
    lora("layers", features="layers_to_transform", layers_to_transform=[1], layers_pattern="layers"),
    lora("bias", "llama-bias", "lora_B.bias, base with biases", lora_bias=True),
    lora("bias-none", features="lora_B.bias where the base has none", lora_bias=True, target_modules=ATTENTION),
    lora("bias-all", "llama-bias", "bias=all", bias="all", target_modules=["q_proj", "down_proj"]),
    lora("bias-only", "llama-bias", "bias=lora_only", bias="lora_only", target_modules=["q_proj", "down_proj"]),
    lora("bias-gpt2", "gpt2", "bias=all, with LayerNorm's", bias="all", target_modules=["c_attn"], fan_in_fan_out=True),
    lora("dora", features="use_dora", use_dora=True),
    lora("dora-bias", "llama-bias", "use_dora beside biases", use_dora=True, target_modules=["k_proj", "down_proj"]),
    lora("dora-gpt2", "gpt2", "use_dora, Conv1D", use_dora=True, target_modules=GPT2, fan_in_fan_out=True),
    lora(
        "dora-patterns",
        features="use_dora, rslora, patterns",
        use_dora=True,
        use_rslora=True,
        rank_pattern={"k_proj": 3},
        alpha_pattern={"up_proj": 7},
    ),
    lora(
        "dora-embedding",
        features="use_dora on embed_tokens and lm_head",
        use_dora=True,
        target_modules=["embed_tokens", "lm_head", "q_proj"],
        case=dict(deltas=["model.embed_tokens", "lm_head"], saving=dict(save_embedding_layers=False)),
    ),
    lora("gaussian", features="init gaussian", init_lora_weights="gaussian", target_modules=ATTENTION),
    lora("orthogonal", features="init orthogonal", init_lora_weights="orthogonal", target_modules=ATTENTION),
    lora(
        "eva",
        features="init eva: only patterns differ",
        init_lora_weights="eva",
        rank_pattern={"model.layers.0.self_attn.k_proj": 3, "model.layers.1.self_attn.k_proj": 1},
        alpha_pattern={"model.layers.0.self_attn.k_proj": 4.5, "model.layers.1.self_attn.k_proj": 1.5},
        target_modules=ATTENTION,
    ),
    lora("mica", features="init mica", init_lora_weights="mica", target_modules=ATTENTION),
    lora("pissa", features="init pissa: the base loses its first components", init_lora_weights="pissa"),
    lora("pissa-gpt2", "gpt2", "init pissa", init_lora_weights="pissa", target_modules=GPT2, fan_in_fan_out=True),
    lora("olora", features="init olora: the base loses its first QR components", init_lora_weights="olora"),
    converted("pissa-converted", "init pissa, converted to plain LoRA", init_lora_weights="pissa", target_modules=ATTENTION),
    converted(
        "pissa-rslora-converted",
        "init pissa, rslora, converted: alpha is not doubled but times sqrt 2",
        init_lora_weights="pissa",
        use_rslora=True,
        target_modules=ATTENTION,
    ),
    lora("kasa", features="kasa_config: the base loses its last components", kasa_config=peft.KasaConfig()),
    lora("kasa-bias", "llama-bias", "kasa_config beside biases", kasa_config=peft.KasaConfig(), target_modules=["k_proj"]),
    lora(
        "alora",
        features="invocation tokens twice: from the last on",
        alora_invocation_tokens=INVOCATION,
        case=dict(tokens=tokens_with([2, 5])),
    ),
    lora(
        "alora-absent",
        features="no invocation tokens in the text: the base",
        alora_invocation_tokens=INVOCATION,
        target_modules=["q_proj"],
        case=dict(tokens=tokens_with([])),
    ),
    lora(
        "modules-to-save",
        features="modules_to_save: lm_head, embed_tokens, norms, a linear layer",
        target_modules=["q_proj", "k_proj"],
        modules_to_save=["lm_head", "embed_tokens", "input_layernorm", "model.norm", "1.mlp.gate_proj"],
        case=dict(saving=dict(save_embedding_layers=False)),
    ),
    lora(
        "modules-to-save-bias",
        "llama-bias",
        "modules_to_save: linear layers with biases",
        target_modules=["k_proj"],
        modules_to_save=["0.mlp.down_proj", "1.self_attn.v_proj"],
    ),
    lora("tokens", features="trainable_token_indices", trainable_token_indices=[95, 0, 17], target_modules=["k_proj"]),
    lora(
        "tokens-tied",
        "llama-tied",
        "trainable_token_indices: the head as well",
        trainable_token_indices=[95, 0, 17],
        target_modules=["k_proj"],
    ),
    lora(
        "tokens-modules",
        features="trainable_token_indices by module",
        trainable_token_indices={"embed_tokens": [95, 0, 17], "lm_head": [3, 95]},
        target_modules=["k_proj"],
    ),
    lora(
        "experts",
        "mixtral",
        "target_parameters: both of the experts",
        target_modules=["k_proj"],
        target_parameters=EXPERTS,
        case=dict(deltas=[DOWN]),
    ),
    lora(
        "experts-one",
        "mixtral",
        "target_parameters: one",
        target_modules=[],
        target_parameters=EXPERTS[1:],
        case=dict(deltas=[]),
    ),
    lora(
        "experts-router",
        "mixtral",
        "target_parameters: the router",
        target_modules=["q_proj"],
        target_parameters=["mlp.gate.weight"],
        case=dict(deltas=[ROUTER]),
    ),
    lora(
        "replication",
        features="layer_replication",
        layer_replication=[[0, 2], [1, 2]],
        target_modules=ATTENTION,
        case=dict(unmergeable="the copies of a layer share the weights into which peft would merge"),
    ),
    lora(
        "embeddings",
        features="embed_tokens and lm_head",
        target_modules=["embed_tokens", "lm_head", "q_proj"],
        case=dict(deltas=["model.embed_tokens", "lm_head"], saving=dict(save_embedding_layers=False)),
    ),
    lora(
        "embeddings-gpt2",
        "gpt2",
        "wte and wpe; the head stays as it was",
        target_modules=["wte", "wpe"],
        case=dict(deltas=["transformer.wpe"], saving=dict(save_embedding_layers=False)),
    ),
    lora(
        "embeddings-saved",
        features="embed_tokens and lm_head, with the base's own (save_embedding_layers)",
        target_modules=["embed_tokens", "lm_head"],
        case=dict(deltas=["lm_head"], finish=lambda model: move_embeddings(model)),
    ),
    lora(
        "embeddings-tied",
        "llama-tied",
        "embed_tokens with ensure_weight_tying: the head as well",
        target_modules=["embed_tokens", "k_proj"],
        ensure_weight_tying=True,
        case=dict(saving=dict(save_embedding_layers=False)),
    ),
    lora(
        "embeddings-untied",
        "llama-tied",
        "embed_tokens of a tied base: the head stays as it was",
        target_modules=["embed_tokens", "k_proj"],
        case=dict(saving=dict(save_embedding_layers=False)),
    ),
    lora(
        "modules-to-save-tied",
        "llama-tied",
        "modules_to_save with ensure_weight_tying: the head as well",
        target_modules=["k_proj"],
        modules_to_save=["embed_tokens"],
        ensure_weight_tying=True,
        case=dict(saving=dict(save_embedding_layers=False)),
    ),
    lora(
        "bdlora",
        features="use_bdlora: block-diagonal A or B",
        r=4,
        use_bdlora=peft.tuners.lora.config.BdLoraConfig(
            target_modules_bd_a=["o_proj", "down_proj"],
            target_modules_bd_b=["q_proj", "k_proj", "up_proj"],
            nblocks=2,
            match_strict=False,
        ),
    ),
    lora(
        "qalora",
        features="use_qalora: plain LoRA on a float base",
        use_qalora=True,
        qalora_group_size=8,
        target_modules=ATTENTION,
    ),
    lora(
        "velora",
        features="velora_config",
        velora_config=peft.tuners.lora.config.VeloraConfig(num_groups=4),
        target_modules=ATTENTION,
    ),
    lora(
        "monteclora",
        features="monteclora_config",
        monteclora_config=peft.tuners.lora.config.MontecloraConfig(num_samples=2),
        target_modules=["k_proj", "o_proj"],
    ),
    unreadable("pissa-niter", "a randomised SVD, which peft itself does not repeat", init_lora_weights="pissa_niter_4"),
    unreadable("corda", "needs its calibration data", init_lora_weights="corda"),
    unreadable("lora-ga", "peft loads it onto the unedited base", init_lora_weights="lora_ga"),
    unreadable(
        "loftq", "needs the same 4-bit quantiser", init_lora_weights="loftq", loftq_config={"loftq_bits": 4, "loftq_iter": 1}
    ),
]


def move_embeddings(model):
    """As if training had changed the matrices that are stored beside the adapter."""
    generator = torch.Generator().manual_seed(621)
    for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
        weight = layer.base_layer.weight
        weight.data += 0.1 * torch.randn(weight.shape, generator=generator)
