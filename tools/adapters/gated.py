# SPDX-License-Identifier: Apache-2.0
"""Families that mix low-rank experts by a gate."""

import json

import peft
import torch
from peft.tuners.lora.arrow import create_arrow_model
from peft.tuners.lora.config import ArrowConfig
from safetensors.torch import load_file, save_file

from . import bases, case
from .case import Case, family

TARGETS = ["q_proj", "k_proj", "down_proj"]

lily = family("lily", peft.LilyConfig, r=2, num_B=3, target_modules=TARGETS)
poly = family("poly", peft.PolyConfig, r=2, n_tasks=3, n_skills=2, target_modules=TARGETS)


def make_experts(base_name, folder, names):
    """Plain LoRA adapters in `folder`, each below its name, with different alphas."""
    for index, name in enumerate(names):
        expert = case.family("expert", peft.LoraConfig)(name, base_name, r=2, lora_alpha=2 + index, target_modules=TARGETS)
        model = expert.adapted(bases.load_base(folder.parent / "bases" / base_name))
        case.add_noise(model, expert)
        model.save_pretrained(folder / name)
        case.tidy(folder / name, expert)


def arrow(name, features, general=(), **options):
    """A folder as peft saves several adapters: arrow_router and its experts beside it."""
    tasks = [f"task_{index}" for index in range(3)]

    def load(base, folder):
        config = ArrowConfig(**options)
        paths = [[str(folder / expert) for expert in names] for names in (tasks, general)]
        model = create_arrow_model(base, paths[0], config, paths[1])
        # Its factors are not used.
        for key, value in model.named_parameters():
            if "arrow_router" in key:
                value.data += 0.2
        return model

    def adapt(base):
        raise NotImplementedError

    return Case(f"lora-arrow{name}", "llama", peft.LoraConfig, {}, features, adapt=adapt, load=load)


CASES = [
    lily(features="a router mixes 3 shared B by the mean over all tokens"),
    lily("stride", features="stride_A 2: two layers share A; scaling", stride_A=2, scaling=1.5),
    *[poly(f"task-{task}" if task else "", features=f"task {task} of 3", case=dict(inputs=dict(task_ids=torch.tensor([task])))) for task in (0, 2)],
    poly("splits", features="n_splits 2, task 1 of 3", n_splits=2, case=dict(inputs=dict(task_ids=torch.tensor([1])))),
]
