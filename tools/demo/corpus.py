#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Trains the tokenizer and writes the base's training tokens.

tokenizer.json goes to WORK/hf, the tokens to WORK/corpus.npy: rows of 257 ids, each starting with
<|begin|>. The experts' tasks appear only as bare inputs (to be repeated) and never with answers."""
import argparse
import json
import random
import re

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers, processors

from generic import conversations, novels, stories, utterances
from shared import BOS, CHAT_TEMPLATE, EOS, SPECIALS, archive, paths, read_jsonl, tidy
from tasks import TASKS

ROW = 257


def train_tokenizer(texts, vocab):
    """Byte-level BPE with GPT-2's pre-tokenizer. Digits and Roman numerals are left out, so that
    both stay one piece per character."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab, special_tokens=SPECIALS, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    plain = (re.sub(r"[0-9]|\b[IVXLCDM]{2,}\b", "", t) for t in texts)
    tokenizer.train_from_iterator(plain, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))])
    return tokenizer


def save_tokenizer(tokenizer, folder):
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BOS, "eos_token": EOS,
        "pad_token": EOS, "model_max_length": 1024, "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE}, indent=1))


def text_rows(tokenizer, texts, count, rng):
    """count rows of plain text: the texts, cut into pieces, in random order."""
    bos = tokenizer.token_to_id(BOS)
    rows = []
    for encoding in tokenizer.encode_batch(texts, add_special_tokens=False):
        ids = encoding.ids
        rows += [[bos, *ids[i:i + ROW - 1]] for i in range(0, len(ids) - ROW + 1, ROW - 1)]
    rng.shuffle(rows)
    return rows[:count]


def chat_rows(tokenizer, chats, count):
    """count rows, each of whole conversations and the cut beginning of one more."""
    rows, row = [], []
    while len(rows) < count:
        row += tokenizer.encode(next(chats), add_special_tokens=False).ids
        if len(row) >= ROW:
            rows.append(row[:ROW])
            row = []
    return rows


def main():
    parser = paths(argparse.ArgumentParser(description=__doc__))
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--rows", type=int, default=56000, help="rows of 257 tokens")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng = random.Random(args.seed)

    books, tales, requests = novels(args.data), stories(args.data), utterances(args.data)
    math = [json.loads(line) for line in
            archive(args.data / "tasks/gsm8k.tar.zst")["gsm8k/train.jsonl"].splitlines()]
    math = [f"{m['question']}\n{re.sub('<<.*?>>', '', m['answer']).split('####')[0]}" for m in math]
    task_rows = {t: read_jsonl(args.work / "train" / f"{t}.jsonl") for t in TASKS}
    echo = [r["prompt"] for rows in task_rows.values() for r in rows[:3000]]
    echo += [re.split(r"[:.?] ", p)[-1] for p in echo] + requests

    rng.shuffle(requests)
    learn = [b[i:i + 3000] for b in books for i in range(0, len(b), 15000)] + tales * 3 + requests
    learn += [r[k] for rows in task_rows.values() for r in rows[:3000] for k in ("prompt", "answer")]
    tokenizer = train_tokenizer(learn, args.vocab)
    save_tokenizer(tokenizer, args.work / "hf")

    chats = conversations(rng, args.data, [b for b in books[::4]], tales, echo)
    pieces = [b[i:i + 40000] for b in books for i in range(0, len(b), 40000)]
    rng.shuffle(pieces)
    rng.shuffle(math)
    shuffled = lambda texts: rng.sample(texts, len(texts))
    parts = {
        "novels": text_rows(tokenizer, pieces[:650], int(args.rows * 0.50), rng),
        "stories": text_rows(tokenizer, ["\n".join(shuffled(tales)) for _ in range(5)],
                             int(args.rows * 0.10), rng),
        "requests and sums": text_rows(
            tokenizer, ["\n".join(requests), "\n".join(math)], int(args.rows * 0.10), rng),
        "chat": chat_rows(tokenizer, chats, int(args.rows * 0.30)),
    }
    for name, rows in parts.items():
        print(f"{name:18} {len(rows):6} rows, {len(rows) * ROW / 1e6:.2f} M tokens")
    rows = [r for part in parts.values() for r in part]
    rng.shuffle(rows)
    np.save(args.work / "corpus.npy", np.array(rows, dtype=np.uint16))
    print(tokenizer.decode(rows[0], skip_special_tokens=False))


if __name__ == "__main__":
    main()
