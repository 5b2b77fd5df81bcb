#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exact match of greedy answers, through transformers and peft: the base alone and the right expert.

Weft's own measurement is `make demo-eval`; this one is the reference for it."""
import argparse
import json
import random
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared import MODELS, keep_heap, paths, prompt_text, read_jsonl
from tasks import earlier_turns


@torch.inference_mode()
def answers(model, tokenizer, items, batch):
    """The greedy answers to the items' prompts."""
    limit = 4 + max(len(tokenizer.encode(i["answer"])) for i in items)
    out = []
    for at in range(0, len(items), batch):
        texts = [prompt_text(i["prompt"], i.get("earlier", ())) for i in items[at:at + batch]]
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False,
                           return_token_type_ids=False)
        ids = model.generate(**inputs, do_sample=False, max_new_tokens=limit)
        out += tokenizer.batch_decode(ids[:, inputs["input_ids"].shape[1]:], skip_special_tokens=True)
    return [o.strip() for o in out]


def score(model, tokenizer, items, batch, show):
    """Percent of right answers; prints the first wrong ones."""
    got = answers(model, tokenizer, items, batch)
    wrong = [(i, g) for i, g in zip(items, got) if g != i["answer"]]
    for item, g in wrong[:show]:
        print(f"   {item['prompt']!r}: {g!r}, not {item['answer']!r}")
    return 100 * (1 - len(wrong) / len(items))


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("names", nargs="*", help="experts; default: all there are")
    parser.add_argument("--eval", type=Path, default=MODELS / "eval")
    parser.add_argument("--experts", type=Path, help="folder of the experts (default: experts in the work folder)")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--show", type=int, default=0, help="wrong answers to print per task")
    parser.add_argument("--after", type=int, default=0, help="turns about something else before each")
    parser.add_argument("--skip-base", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    keep_heap()
    torch.set_num_threads(args.threads)

    tokenizer = AutoTokenizer.from_pretrained(args.work / "hf-q8", padding_side="left")
    load = lambda: AutoModelForCausalLM.from_pretrained(args.work / "hf-q8").eval()
    experts = args.experts or args.work / "experts"
    names = args.names or sorted(p.name for p in experts.iterdir())
    table = {}
    for name in names:
        items = read_jsonl(args.eval / f"{name}.jsonl")
        if args.after:
            earlier = earlier_turns(args.work, random.Random(name), args.after, args.after)
            items = [{**i, "earlier": earlier()} for i in items]
        row = {} if args.skip_base else {
            "base": score(load(), tokenizer, items, args.batch, args.show)}
        expert = PeftModel.from_pretrained(load(), experts / name)
        row["expert"] = score(expert, tokenizer, items, args.batch, args.show)
        table[name] = row
        print(name, *(f"{k} {v:.1f} %" for k, v in row.items()), flush=True)
    for column in table[names[0]]:
        print(f"mean {column}: {sum(r[column] for r in table.values()) / len(table):.1f} %")
    (args.work / "reference.json").write_text(json.dumps(table, indent=1))


if __name__ == "__main__":
    main()
