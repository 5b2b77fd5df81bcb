#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the base model on WORK/corpus.npy; the result goes to WORK/hf.

The learning rate follows the share of --minutes spent, counted in this process's CPU time (so a
pause does no harm), down to zero. A checkpoint is written every --save steps; start again to resume."""
import argparse
import time

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from shared import keep_heap, paths


def build(seed):
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=4096, hidden_size=256, intermediate_size=1024, num_hidden_layers=7,
        num_attention_heads=4, num_key_value_heads=4, head_dim=64, tie_word_embeddings=True,
        max_position_embeddings=1024, rms_norm_eps=1e-5, bos_token_id=0, eos_token_id=1,
        pad_token_id=1, rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        attn_implementation="eager"))


def optimizers(model):
    """Muon for the layers' matrices, AdamW for the embedding and the norms."""
    inner = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    rest = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed" in n]
    return [torch.optim.Muon(inner, lr=5e-3, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=3e-3, betas=(0.9, 0.95), weight_decay=0.0, fused=True)]


def loss_of(model, rows):
    with torch.autocast("cpu", torch.bfloat16):
        hidden = model.model(rows[:, :-1], use_cache=False).last_hidden_state
        logits = model.lm_head(hidden)
    return cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten())


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--minutes", type=float, default=31, help="CPU minutes of the whole training")
    parser.add_argument("--batch", type=int, default=16, help="rows of 256 tokens per step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save", type=int, default=250, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    keep_heap()
    torch.set_num_threads(args.threads)

    corpus = np.load(args.work / "corpus.npy")
    test = torch.from_numpy(corpus[-64:].astype(np.int64))
    corpus = corpus[:-64]
    model = build(args.seed)
    opts = optimizers(model)
    peaks = [o.param_groups[0]["lr"] for o in opts]
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters")
    saved = args.work / "base.pt"
    step, before = 0, 0.0
    if saved.exists():
        state = torch.load(saved)
        model.load_state_dict(state["model"])
        for opt, s in zip(opts, state["opts"]):
            opt.load_state_dict(s)
        step, before = state["step"], state["seconds"]

    def spent():
        return before + time.process_time()

    def save():
        torch.save({"model": model.state_dict(), "opts": [o.state_dict() for o in opts],
                    "step": step, "seconds": spent()}, saved)
        model.save_pretrained(args.work / "hf")

    mean, first = None, step
    while (done := spent() / (60 * args.minutes)) < 1:
        rate = min(1.0, (step + 1) / 100) * (1 - done)
        for opt, peak in zip(opts, peaks):
            opt.param_groups[0]["lr"] = peak * rate
        at = step * args.batch % (len(corpus) - args.batch)
        loss = loss_of(model, torch.from_numpy(corpus[at:at + args.batch].astype(np.int64)))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt in opts:
            opt.step()
            opt.zero_grad()
        step += 1
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        if step % 20 == 0:
            speed = (step - first) * args.batch * 256 / (spent() - before)
            print(f"step {step}  loss {mean:.3f}  {speed:.0f} tokens/s  {100 * done:.1f} %  "
                  f"{args.minutes * (1 - done):.1f} CPU minutes left", flush=True)
        if step % args.save == 0:
            save()
    save()
    with torch.no_grad():
        print(f"{step} steps, {step * args.batch * 256 / 1e6:.2f} M tokens, "
              f"held-out loss {loss_of(model, test).item():.3f}")


if __name__ == "__main__":
    main()
