#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains a small copy of an expert whose LoRA factors have only the values -s, 0 and s.

It starts from the expert cut to --rank by its singular values, turned so that the ranks weigh alike. Every
step runs with the ternary factors (s times the sign of the DENSITY largest elements of each tensor); their
gradient goes straight through to floats behind them, and to s. The density falls from 1 to --density
in the first third. Only training items are used, --held-out of them for validation alone (the expert it
starts from may have seen those). The adapter goes to --out/<name>, in F16, which holds the values exactly."""
import argparse
import math
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize
from transformers import AutoModelForCausalLM, AutoTokenizer

from evaluate import score
from shared import EOS, keep_heap, paths, prompt_text
from tasks import TASKS, earlier_turns, rows, split
from train_expert import MODULES, batches


class Ternary(torch.nn.Module):
    """A tensor as s * (-1, 0 or 1), with s = exp(gain) * the mean size of the elements that are kept."""
    density = 1.0

    def __init__(self):
        super().__init__()
        self.gain = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        size = x.detach().abs()
        kept = size >= size.flatten().kthvalue(1 + int((1 - self.density) * (x.numel() - 1))).values
        code = x.detach().sign() * kept
        scale = (size[kept].mean() * self.gain.exp()).half().float()
        return code * scale + (x - x.detach())


def evenly(a, b, rank):
    """Factors of the best approximation of b @ a of the rank, in a basis in which all ranks weigh alike, and
    with one mean square for the elements of both."""
    (qb, rb), (qa, ra) = torch.linalg.qr(b), torch.linalg.qr(a.T)
    u, s, v = torch.linalg.svd(rb @ ra.T)
    turn = torch.ones(1, 1)
    while len(turn) < rank:
        turn = torch.kron(turn, torch.tensor([[1.0, 1.0], [1.0, -1.0]]) / math.sqrt(2))
    a = turn @ (s[:rank].sqrt()[:, None] * v[:rank]) @ qa.T
    b = qb @ u[:, :rank] * s[:rank].sqrt() @ turn.T
    even = (b.square().mean() / a.square().mean()).pow(0.25)
    return a * even, b / even


def items_of(name, args, tokenizer, rng):
    """(training examples as ids, validation rows); the two share no content."""
    items, _ = split(name, args.data, 250, 1)
    train, held_out = items[:-args.held_out], items[-args.held_out:]
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
    earlier = earlier_turns(args.work, rng, 1, 2)
    examples = []
    for row in rows(TASKS[name][1], train, 12000, rng):
        turns = earlier() if rng.random() < args.chat else []
        examples.append((encode(prompt_text(row["prompt"], turns)), encode(row["answer"] + EOS)))
    rng.shuffle(examples)
    return [e for e in examples if len(e[0]) + len(e[1]) <= 256], rows(
        TASKS[name][1], held_out, args.held_out, rng)


def save(model, out):
    """Writes the ternary factors as a PEFT adapter; returns the size in bytes that their entropy
    and a scale for each tensor make."""
    for module in model.modules():
        if parametrize.is_parametrized(module, "weight"):
            parametrize.remove_parametrizations(module, "weight")
    model.save_pretrained(out)
    (out / "README.md").unlink(missing_ok=True)
    file = out / "adapter_model.safetensors"
    bits, tensors = 0.0, {k: v.half() for k, v in load_file(file).items()}
    for key, t in tensors.items():
        assert len(t.abs().unique()) <= 2, key
        share = torch.stack([(t.sign() == c).float().mean() for c in (-1, 0, 1)])
        bits += 32 - t.numel() * (share * share.clamp(min=1e-9).log2()).sum().item()
    save_file(tensors, file, metadata={"format": "pt"})
    return bits / 8


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--expert", required=True, help="task, as in tasks.py")
    parser.add_argument("--experts", type=Path, help="folder of the experts (default: experts in the work folder)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the ternary experts")
    parser.add_argument("--rank", type=int, default=4, help="4 or 8")
    parser.add_argument("--density", type=float, default=0.5, help="share of elements that are not 0")
    parser.add_argument("--minutes", type=float, default=2, help="CPU minutes")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--chat", type=float, default=0.25, help="share of examples after other turns")
    parser.add_argument("--held-out", type=int, default=100, help="training items kept for validation")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    keep_heap()
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)

    base, name = args.work / "hf-q8", args.expert
    tokenizer = AutoTokenizer.from_pretrained(base, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    model = get_peft_model(model, LoraConfig(
        r=args.rank, lora_alpha=2 * args.rank, target_modules=MODULES, task_type="CAUSAL_LM"))
    model.peft_config["default"].base_model_name_or_path = "weft-demo-base"
    expert = load_file((args.experts or args.work / "experts") / name / "adapter_model.safetensors")
    for path, module in model.named_modules():
        if hasattr(module, "lora_A"):
            a, b = (expert[f"{path}.lora_{f}.weight"].float() for f in "AB")
            pair = module.lora_A["default"], module.lora_B["default"]
            for linear, start in zip(pair, evenly(a, b, args.rank)):
                linear.weight.data = start.contiguous()
                parametrize.register_parametrization(linear, "weight", Ternary(), unsafe=True)
    rng = random.Random(args.seed)
    examples, held_out = items_of(name, args, tokenizer, rng)
    inner = model.base_model.model
    named = [(k, p) for k, p in model.named_parameters() if p.requires_grad or k.endswith(".gain")]
    opt = torch.optim.AdamW([
        {"params": [p for k, p in named if not k.endswith(".gain")], "times": 1.0},
        {"params": [p for k, p in named if k.endswith(".gain")], "times": 2.0}],
        lr=args.lr, weight_decay=0.0)
    started, step, mean = time.process_time(), 0, None
    spent = lambda: (time.process_time() - started) / 60
    for ids, answer in batches(examples, args.batch, rng):
        done = spent() / args.minutes
        if done >= 1:
            break
        Ternary.density = max(args.density, 1 - 3 * done * (1 - args.density))
        for group in opt.param_groups:
            group["lr"] = group["times"] * args.lr * min(1.0, (step + 1) / 20) * (1 - done)
        with torch.autocast("cpu", torch.bfloat16), parametrize.cached():
            hidden = inner.model(ids, use_cache=False).last_hidden_state
            logits = inner.lm_head(hidden[answer])
        loss = cross_entropy(logits.float(), ids.roll(-1, 1)[answer])
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for _, p in named], 1.0)
        opt.step()
        opt.zero_grad()
        step += 1
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 25 == 0 or step == 1:
            print(f"{name} step {step}  loss {mean:.4f}  density {Ternary.density:.2f}  "
                  f"{args.minutes - spent():.1f} CPU minutes left", flush=True)
    Ternary.density = args.density
    size = save(model, args.out / name)
    right = score(model.eval(), tokenizer, held_out, 64, 3)
    print(f"{name}: rank {args.rank}, density {args.density}, {step} steps, loss {mean:.4f}, about "
          f"{size / 1000:.1f} kB, {right:.1f} % of {len(held_out)} validation items")


if __name__ == "__main__":
    main()
