# SPDX-License-Identifier: Apache-2.0
"""Logits of weighted sums of the deltas of several families, added to the base in float64."""

import torch
from safetensors.torch import save_file

from . import bases, case

BASE = "llama"


def everywhere(weight):
    return lambda layer, module: weight


def in_layer(number, weight):
    return lambda layer, module: weight if layer == number else 0.0


# The text of a mixture as Weft reads it: its parts, each with the weight for a layer and a module.
MIXTURES = {
    "loha:0.6,lokr:-0.3,lora": {"loha": everywhere(0.6), "lokr": everywhere(-0.3), "lora": everywhere(1.0)},
    "c3a:0.75,fourierft:0.5,waveft-db4:-0.25": {
        "c3a": everywhere(0.75),
        "fourierft": everywhere(0.5),
        "waveft-db4": everywhere(-0.25),
    },
    "gralora-hybrid:0.4,miss-mini:0.5,shira:-0.5": {
        "gralora-hybrid": everywhere(0.4),
        "miss-mini": everywhere(0.5),
        "shira": everywhere(-0.5),
    },
    "randlora:0.25,tinylora:1.5,vblora:-0.25,vera:2": {
        "randlora": everywhere(0.25),
        "tinylora": everywhere(1.5),
        "vblora": everywhere(-0.25),
        "vera": everywhere(2.0),
    },
    "deft:0.5,hira:0.5,peanut:-0.25": {"deft": everywhere(0.5), "hira": everywhere(0.5), "peanut": everywhere(-0.25)},
    "lora-kasa:0.25,lora-olora:0.5,lora-pissa:0.5": {
        "lora-kasa": everywhere(0.25),
        "lora-olora": everywhere(0.5),
        "lora-pissa": everywhere(0.5),
    },
    "adalora:0.5,delora:0.5,unilora:-0.5": {
        "adalora": everywhere(0.5),
        "delora": everywhere(0.5),
        "unilora": everywhere(-0.5),
    },
    "loha@0,lora@1": {"loha": in_layer(0, 1.0), "lora": in_layer(1, 1.0)},
    "fourierft:0.5[@1=-0.5],lora:0.75[q_proj=0.25]": {
        "fourierft": lambda layer, module: -0.5 if layer == 1 else 0.5,
        "lora": lambda layer, module: 0.25 if module == "q_proj" else 0.75,
    },
}


def deltas_of(one, root, base):
    """Merged weight - base weight by name, in float64."""
    model = case.to_float64(one, root / "bases" / BASE, root / one.name)
    with case.float64_peft(one.kind):
        merged = dict(model.merge_and_unload().named_parameters())
    return {name: merged[name].detach() - value for name, value in base.items()}


@torch.no_grad()
def make(cases, root):
    """Write mixtures.safetensors."""
    named = {one.name: one for one in cases}
    tokens = bases.tokens_of(651)
    expected = {"tokens": tokens.to(torch.int32)}
    base = {name: value.double() for name, value in bases.load_base(root / "bases" / BASE).named_parameters()}
    deltas = {name: deltas_of(named[name], root, base) for name in {name for parts in MIXTURES.values() for name in parts}}
    for text, parts in MIXTURES.items():
        with case.float64_peft("llama"):
            model = bases.to_float64(bases.load_base(root / "bases" / BASE))
            for name, value in model.named_parameters():
                place = name.split(".")
                for adapter, weight in parts.items():
                    delta = deltas[adapter][name]
                    if delta.any():
                        value += weight(int(place[2]), place[-2]) * delta
            expected[text] = model(tokens[None]).logits[0].to(torch.float32).contiguous()
    save_file(expected, root / "mixtures.safetensors")
