#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains one LoRA expert with peft on WORK/train/<name>.jsonl, over the base as it is in base.gguf.

Half of the examples come after one to three turns about something else, as in a chat. Only the answer
counts for the loss. The adapter goes to --out/<name>, in F16."""
import argparse
import itertools
import random
import time
from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared import EOS, keep_heap, paths, prompt_text, read_jsonl
from tasks import earlier_turns

MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def examples_of(name, work, tokenizer, rng):
    """(prompt ids, answer ids) of the task's training items, in random order."""
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False)
    earlier = earlier_turns(work, rng, 1, 3)
    examples = []
    for row in read_jsonl(work / "train" / f"{name}.jsonl"):
        turns = earlier() if rng.random() < 0.5 else []
        examples.append((encode(prompt_text(row["prompt"], turns)), encode(row["answer"] + EOS)))
    rng.shuffle(examples)
    return [e for e in examples if len(e[0]) + len(e[1]) <= 256]


def batches(examples, size, rng):
    """Endless batches of padded ids with the places whose next token is part of an answer. Examples of
    like length go together, among 16 batches at a time."""
    pool = 16 * size
    length = lambda e: len(e[0]) + len(e[1])
    for at in itertools.cycle(range(0, len(examples) - pool + 1, pool)):
        picks = sorted(examples[at:at + pool], key=length)
        for first in rng.sample(range(0, pool, size), 16):
            batch = picks[first:first + size]
            ids = torch.zeros(size, length(batch[-1]), dtype=torch.long)
            answer = torch.zeros_like(ids, dtype=torch.bool)
            for row, (p, a) in enumerate(batch):
                ids[row, :len(p) + len(a)] = torch.tensor(p + a)
                answer[row, len(p) - 1:len(p) + len(a) - 1] = True
            yield ids, answer


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("name", help="task, as in tasks.py")
    parser.add_argument("--out", type=Path, help="folder of the experts (default: experts in the work folder)")
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=3.5, help="CPU minutes")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    out = (args.out or args.work / "experts") / args.name
    keep_heap()
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)

    base = args.work / "hf-q8"
    tokenizer = AutoTokenizer.from_pretrained(base)
    model = AutoModelForCausalLM.from_pretrained(base, attn_implementation="eager")
    model = get_peft_model(model, LoraConfig(
        r=args.rank, lora_alpha=2 * args.rank, target_modules=MODULES, task_type="CAUSAL_LM"))
    model.peft_config["default"].base_model_name_or_path = "weft-demo-base"
    inner = model.base_model.model
    rng = random.Random(args.seed)
    examples = examples_of(args.name, args.work, tokenizer, rng)

    weights = [p for p in model.parameters() if p.requires_grad]
    opt = torch.optim.AdamW(weights, lr=args.lr, weight_decay=0.0, fused=True)
    started, step, tokens, mean = time.process_time(), 0, 0, None
    spent = lambda: (time.process_time() - started) / 60
    for ids, answer in batches(examples, args.batch, rng):
        done = spent() / args.minutes
        if done >= 1:
            break
        opt.param_groups[0]["lr"] = args.lr * min(1.0, (step + 1) / 50) * (1 - done)
        with torch.autocast("cpu", torch.bfloat16):
            hidden = inner.model(ids, use_cache=False).last_hidden_state
            logits = inner.lm_head(hidden[answer])
        loss = cross_entropy(logits.float(), ids.roll(-1, 1)[answer])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        opt.step()
        opt.zero_grad()
        step, tokens = step + 1, tokens + ids.numel()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 50 == 0:
            print(f"{args.name} step {step}  loss {mean:.4f}  {tokens / spent() / 60:.0f} tokens/s  "
                  f"{args.minutes - spent():.1f} CPU minutes left", flush=True)
    model.save_pretrained(out)
    file = out / "adapter_model.safetensors"
    save_file({k: v.half() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    (out / "README.md").unlink(missing_ok=True)
    print(f"{args.name}: {step} steps, {step * args.batch} examples, loss {mean:.4f}")


if __name__ == "__main__":
    main()
