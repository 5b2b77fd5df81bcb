# SPDX-License-Identifier: Apache-2.0
"""Families that mix low-rank experts by a gate."""

import json

import peft
import torch
from peft.tuners.lora.arrow import create_arrow_model
from peft.tuners.lora.config import ArrowConfig
from safetensors.torch import save_file

from . import bases, case
from .case import family

TARGETS = ["q_proj", "k_proj", "down_proj"]

lily = family("lily", peft.LilyConfig, r=2, num_B=3, target_modules=TARGETS)
poly = family("poly", peft.PolyConfig, r=2, n_tasks=3, n_skills=2, target_modules=TARGETS)


def make_experts(folder, names):
    """Plain LoRA adapters below `folder`, each in a folder of its name, with different alphas."""
    for index, name in enumerate(names):
        expert = case.family(folder.name, peft.LoraConfig)(name, r=2, lora_alpha=2 + index, target_modules=TARGETS)
        model = expert.adapted(bases.load_base(folder.parent / "bases" / expert.base), folder)
        case.add_noise(model, expert)
        model.save_pretrained(folder / name)


def arrow(name="", features="", general=0, **options):
    """A folder as peft saves several adapters: arrow_router, and its experts beside it. The router's own factors are unused."""
    tasks = [f"task_{index}" for index in range(3)]
    knowledge = [f"gks_{index}" for index in range(general)]

    def load(base, folder):
        paths = [[str(folder / expert) for expert in names] for names in (tasks, knowledge)]
        return create_arrow_model(base, paths[0], ArrowConfig(use_gks=general > 0, **options), paths[1])

    def adapt(base, folder):
        make_experts(folder, tasks + knowledge)
        return load(base, folder)

    def prepared(base, folder):
        model = load(base, folder).eval()
        # The first pass computes the prototypes, whose beginning is random in float32.
        model(torch.tensor([[1]]))
        return model

    case = dict(adapt=adapt, load=prepared, adapter="arrow_router")
    return family("lora-arrow", peft.LoraConfig)(name, features=features, case=case)


def xlora(name="", features="", experts=2, refused="", **options):
    """The classifier, and its experts below. peft 0.21.2 drops the classifier's tensors whose names hold those of the experts
    ("0", "1"), so they are written here as it would name them."""
    names = [str(index) for index in range(experts)]
    options = dict(hidden_size=bases.HIDDEN, xlora_size=6, **options)

    def without_cache(base):
        base.config.use_cache = False
        return base

    def adapt(base, folder):
        make_experts(folder, names)
        paths = {key: str(folder / key) for key in names}
        model = peft.get_peft_model(without_cache(base), peft.XLoraConfig(task_type="CAUSAL_LM", adapters=paths, **options))
        made.classifier = model.base_model.internal_xlora_classifier
        return model

    def load(base, folder):
        config = peft.PeftConfig.from_pretrained(folder)
        config.adapters = {key: str(folder / key) for key in names}
        return peft.PeftModel.from_pretrained(without_cache(base), folder, config=config)

    def edit(folder):
        path = folder / "adapter_config.json"
        fields = json.loads(path.read_text())
        path.write_text(json.dumps(fields | {"adapters": {key: key for key in names}}, indent=1) + "\n")
        tensors = {f"base_model.internal_xlora_classifier.{key}": value for key, value in made.classifier.state_dict().items()}
        save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})

    # Otherwise it saves the whole model over each expert.
    saving = dict(selected_adapters=["default"])
    case = dict(adapt=adapt, load=load, edit=edit, saving=saving, refused=refused)
    case["unmergeable"] = "the weights of the experts depend on the text"
    made = family("xlora", peft.XLoraConfig)(name, features=features, case=case)
    return made


CASES = [
    lily(features="a router mixes 3 shared B by the mean over all tokens"),
    lily("stride", features="stride_A 2: two layers share A; scaling", stride_A=2, scaling=1.5),
    *[
        poly(
            f"task-{task}" if task else "", features=f"task {task} of 3", case=dict(inputs=dict(task_ids=torch.tensor([task])))
        )
        for task in (0, 2)
    ],
    poly("splits", features="n_splits 2, task 1 of 3", n_splits=2, case=dict(inputs=dict(task_ids=torch.tensor([1])))),
    arrow(features="top 2 of 3 experts, by prototypes that begin at the seed", top_k=2, rng_seed=13),
    arrow("temperature", features="all of 3 experts, temperature 0.5", top_k=3, router_temperature=0.5, rng_seed=14),
    arrow("general", features="GenKnowSub: the mean of 2 general adapters is subtracted", general=2, top_k=2, rng_seed=15),
    xlora(features="depth 1"),
    xlora("deep", features="depth 3 with dropout between, layerwise", xlora_depth=3, layerwise_scalings=True),
    xlora(
        "top",
        features="top 2 of 3, softmax again, temperature 0.7, weight 1.5",
        experts=3,
        top_k_lora=2,
        enable_softmax_topk=True,
        softmax_temperature=0.7,
        global_scaling_weight=1.5,
        layerwise_scalings=True,
        xlora_depth=2,
        xlora_dropout_p=0.0,
    ),
    xlora("linear", features="no softmax", enable_softmax=False),
    xlora(
        "pass-value",
        features="scaling_pass_value 0.3",
        refused="the first pass has the experts in it",
        scaling_pass_value=0.3,
    ),
]
