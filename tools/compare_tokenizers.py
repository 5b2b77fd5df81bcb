#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random Unicode strings through `weft tokenize` and the `tokenizers` package: every available tokenizer, the same ids.

    python tools/compare_tokenizers.py SHARED WEFT [--count 20000] [--seed 1] [--only NAME ...]
    python tools/compare_tokenizers.py SHARED WEFT --every-character
    python tools/compare_tokenizers.py SHARED --store

SHARED is the folder that holds data/tokenizers, WEFT the program (build it with -c release). --every-character puts every code
point between letters, digits and spaces instead. --store writes Tests/Goldens/tokenizers/random.json: 500 strings and a hash
of each tokenizer's ids for them, which the test suite compares with. GGUF vocabularies are rebuilt for `tokenizers`: from their
merges and the makers' expressions, or from their scores.

Characters are those assigned in Unicode 14, which PCRE2 10.42 and Python 3.11 know; `tokenizers` and utf8proc know later ones.
"""

import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import gguf
from make_tokenizer_goldens import GPT2, LLAMA3, QWEN2, ROOT, fnv1a, from_scores
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

STORED = 500


def strings(count, seed):
    """Strings of eight kinds of characters, from any assigned one to what pre-tokenizers look at."""
    generator = random.Random(seed)
    assigned = [chr(c) for c in range(1, 0x110000) if unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")]
    groups = {}
    for character in assigned:
        groups.setdefault(unicodedata.category(character), []).append(character)
    categories = sorted(groups)
    marks = ["'s", "'t", "'re", "'VE", "'m", "'LL", "'d", "\u2019s", "'\u017f", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\u2028", ".", "...", "\u2581"]
    words = "the quick Brown FOX jumps over 1 12 123 1234 12345 caf\u00e9 na\u00efve stra\u00dfe \u041f\u0440\u0438\u0432\u0435\u0442 \u4f60\u597d \u3053\u3093 \ud55c\uad6d".split()
    specials = ["<s>", "</s>", "<|end|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>", "<0x41>", "<|user|>", "<|", "|>"]
    result = []
    while len(result) < count:
        length = generator.randrange(1, 30)
        kind = len(result) % 8
        if kind == 0:
            parts = generator.choices(assigned, k=length)
        elif kind == 1:
            parts = [generator.choice(groups[generator.choice(categories)]) for _ in range(length)]
        elif kind == 2:
            start = generator.randrange(len(assigned))  # one script, more or less
            parts = [assigned[(start + generator.randrange(200)) % len(assigned)] for _ in range(length)]
        elif kind == 3:
            parts = [chr(generator.randrange(1, 128)) for _ in range(length)]
        elif kind == 4:
            parts = generator.choices(marks + words, k=length)
        elif kind == 5:
            parts = [generator.choice(words) + generator.choice([" ", " ", "", ", "]) for _ in range(length)]
        elif kind == 6:
            parts = generator.choices(specials + marks + words, k=length)
        else:
            letters = [generator.choice(assigned[:3000]) for _ in range(3)]
            parts = generator.choices(letters + groups["Mn"][:40] + [" "], k=length)
        result.append("".join(parts))
    return result


def every_character():
    for code in range(1, 0x110000):
        character = chr(code)
        if unicodedata.category(character) not in ("Cn", "Cs", "Co"):
            yield f"a{character}b 1{character}2 {character} {character}.{character}\n{character}"


def byte_level(vocab, merges, patterns, special=(), normalizer=None, ignore_merges=False):
    tokenizer = Tokenizer(models.BPE(vocab, merges, ignore_merges=ignore_merges))
    if normalizer:
        tokenizer.normalizer = normalizer
    cuts = [pre_tokenizers.Split(Regex(pattern), "isolated") for pattern in patterns]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(cuts + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    return tokenizer


def from_files(vocab, merges, *others, **more):
    lines = [line for line in merges.read_text().splitlines() if line and not line.startswith("#version")]
    return byte_level(json.loads(vocab.read_text()), [tuple(line.split(" ")) for line in lines], *others, **more)


def from_gguf(path, patterns):
    fields = gguf.GGUFReader(path).fields
    pieces, merges, types = (fields["tokenizer.ggml." + key].contents() for key in ("tokens", "merges", "token_type"))
    special = [piece for piece, kind in zip(pieces, types) if kind in (3, 4)]
    return byte_level({piece: i for i, piece in enumerate(pieces)}, [tuple(merge.split(" ")) for merge in merges], patterns, special)


def available(shared, folder):
    """Name, the reference, and what Weft opens: a file, or a folder that is written here."""
    data = shared / "data" / "tokenizers"
    for name in ("llama2", "phi3-v", "smollm"):
        yield name, Tokenizer.from_file(str(data / name / "tokenizer.json")), data / name
    made = {
        "qwen2": from_files(data / "qwen2/vocab.json", data / "qwen2/merges.txt", [QWEN2], ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
                            normalizers.NFC()),
        "gpt2": from_files(data / "gpt2/gpt2_vocab.json", data / "gpt2/gpt2_merges.txt", [GPT2], ["<|endoftext|>"]),
        "llama3": from_files(data / "llama3.2/encoder.json", data / "llama3.2/vocab.bpe", [LLAMA3], ["<|begin_of_text|>", "<|end_of_text|>"],
                             ignore_merges=True),
    }
    for name, tokenizer in made.items():
        (folder / name).mkdir()
        tokenizer.save(str(folder / name / "tokenizer.json"))
        yield name, tokenizer, folder / name
    yield "qwen2, vocab.json and merges.txt", made["qwen2"], data / "qwen2"
    vocabularies = data / "ggml-vocab"
    for name, patterns in {"gpt-2": [GPT2], "starcoder": [r"\p{N}", GPT2], "falcon": [r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"]}.items():
        path = vocabularies / f"ggml-vocab-{name}.gguf"
        yield f"{name}.gguf", from_gguf(path, patterns), path
    for path in (vocabularies / "ggml-vocab-llama-spm.gguf", shared / "data/models/stories260K/stories260K-F16.gguf"):
        yield path.name, from_scores(path), path


def encode(tokenizer, texts):
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def weft(program, model, texts):
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    done = subprocess.run([program, "tokenize", "--model", model, "--lines", "--no-special"], input=lines, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{model}: {done.stderr}")
    return [list(map(int, line.split())) for line in done.stdout.split("\n")[:len(texts)]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=pathlib.Path)
    parser.add_argument("weft", type=pathlib.Path, nargs="?")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--every-character", action="store_true")
    parser.add_argument("--store", action="store_true")
    options = parser.parse_args()
    texts = list(every_character()) if options.every_character else strings(STORED if options.store else options.count, options.seed)
    stored, failed = {}, False
    with tempfile.TemporaryDirectory() as folder:
        for name, reference, model in available(options.shared, pathlib.Path(folder)):
            if options.only and name not in options.only:
                continue
            expected = encode(reference, texts)
            if options.store:
                stored[name] = [fnv1a(ids) for ids in expected]
                continue
            different = [(text, a, b) for text, a, b in zip(texts, weft(options.weft, model, texts), expected) if a != b]
            print(f"{name}: {len(texts) - len(different)} of {len(texts)} the same", flush=True)
            for text, found, ids in different[:3]:
                print(f"  {ascii(text)}\n    weft       {found}\n    tokenizers {ids}")
            failed = failed or bool(different)
    if options.store:
        content = {"madeBy": "tools/compare_tokenizers.py --store", "texts": texts, "tokenizers": stored}
        (ROOT / "random.json").write_text(json.dumps(content, ensure_ascii=True, separators=(",", ":")) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
