# SPDX-License-Identifier: Apache-2.0
"""Families that add virtual tokens, keys and values, or prompts inside attention; and those that need another model."""

import peft
import torch

from . import bases
from .case import family

N = dict(num_virtual_tokens=5)
HIDDEN = bases.HIDDEN

prompt = family("prompt-tuning", peft.PromptTuningConfig, **N)
p_tuning = family("p-tuning", peft.PromptEncoderConfig, encoder_hidden_size=8, **N)
multitask = family("multitask-prompt-tuning", peft.MultitaskPromptTuningConfig, num_tasks=3, num_ranks=2, **N)
prefix = family("prefix-tuning", peft.PrefixTuningConfig, **N)
cpt = family(
    "cpt", peft.CPTConfig, cpt_token_ids=[4, 9, 30, 9, 77], cpt_mask=[1] * 5, cpt_tokens_type_mask=[1, 2, 2, 3, 4], **N
)
cartridge = family("cartridge", peft.CartridgeConfig, num_frozen_tokens=2, **N)
adaption = family("adaption-prompt", peft.AdaptionPromptConfig, adapter_len=4, adapter_layers=2)
shadow = family(
    "shadow", peft.ShadowConfig, r=2, shadow_hidden_size=8, shadow_intermediate_size=4, shadow_num_attention_heads=2
)


def task(number):
    return dict(inputs=dict(task_ids=torch.tensor([number])))


CASES = [
    prompt(features="5 virtual tokens"),
    prompt("gpt2", "gpt2", "learned positions begin after the virtual tokens"),
    prompt("modules-to-save", features="modules_to_save: lm_head", modules_to_save=["lm_head"]),
    p_tuning(features="MLP, folded on saving"),
    p_tuning("lstm", features="LSTM, folded on saving", encoder_reparameterization_type="LSTM"),
    multitask(features="task 0 of 3", case=task(0)),
    multitask("task-2", features="task 2 of 3", case=task(2)),
    prefix(features="keys and values of 5 positions, without rotary embedding"),
    prefix("projection", features="prefix_projection, folded on saving", prefix_projection=True, encoder_hidden_size=8),
    prefix("gpt2", "gpt2", "keys and values of 5 positions"),
    cpt(features="token ids and their deltas"),
    cartridge(features="2 of 5 tokens frozen"),
    adaption(features="both layers"),
    adaption("last", "llama-bias", "the last layer; peft adds the bias of o_proj once more", adapter_layers=1),
    adaption("gpt2", "gpt2", "what is added does not pass c_proj"),
    shadow(features="a network of its own beside the base", case=dict(refused="a side network is not an adapter of the base")),
]
