#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make the expected ids and texts under Tests/Goldens/tokenizers with the `tokenizers` package (Hugging Face).

    python tools/make_tokenizer_goldens.py SHARED        SHARED: the folder that holds data/tokenizers

published.json    texts, and what the published tokenizers of the shared data make of them; for the GGUF vocabulary of
                  stories260K, what a tokenizer with the merges that its scores mean makes of them
kinds.json        the pre-tokenizers that GGUF files name, as hashes of the ids over a vocabulary of all pairs of bytes
files.json        folders of older file sets (files/), and what transformers and SentencePiece make of texts with them
components.json   tiny tokenizers, one for each kind of component and option, and what they make of texts. To keep it small,
                  `special` has [] where it is the same as `plain`, and `decoded` has 0 where the text itself comes back

Since version 0.23 `tokenizers` decodes an added token with `normalized` as the normalizer writes it, and then does not know
it as special any more; Weft decodes its content and knows it. Texts with such tokens are not among the expected ones.
Where `tokenizers` turns a run of byte tokens that is not UTF-8 into U+FFFD as a whole, Weft decodes as Python's
errors="replace" does: expected texts of random ids follow the latter (`decode_bytes`).
"""

import argparse
import base64
import collections
import copy
import json
import pathlib
import random
import re
import tempfile
import unicodedata

import gguf
import sentencepiece
import tokenizers
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Tokenizer, models as tokenizer_models, normalizers, pre_tokenizers, trainers

ROOT = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "tokenizers"
PUBLISHED = ["llama2", "phi3-v", "smollm"]

PLAIN = [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", "\n\n\n", "\t\n", " \n \n", "\r\n", "a\r\nb\r\n\r\nc", "\u00a0", "a\u00a0\u00a0b",
    "Hello world", " Hello world", "Hello  world ", "Hello, world!", " this is \U0001f999.cpp", "w048 7tuijk dsdfhu",
    "I'll we've they'd you're it's I'm don't", "I'LL WE'VE THEY'D YOU'RE IT'S", "'s 't 're 've 'm 'll 'd", "o'\u017f x'S",
    "3 33 333 3333 33333 333333 3333333 33333333", "1.5e-3 0x1F 1,234,567.89 \u0663\u0664 \u00b2\u00b3\u00bc \u216b \u2460",
    "\u043d\u0435\u0449\u043e \u043d\u0430 \u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438",
    "\u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796\u17b7\u179f\u17c1\u179f", "\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e",
    "\u751f\u6d3b\u7684\u771f\u8c1b\u662f", "\u3053\u3093\u306b\u3061\u306f\u4e16\u754c", "\ud55c\uad6d\uc5b4 \ubb38\uc7a5",
    "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645", "\u05e9\u05dc\u05d5\u05dd", "C\u1eeda Vi\u1ec7t",
    "e\u0301 \u00e9 \u1e9b\u0323 \ufb01 \u212b \uff21\uff22 \u2126", "\u0301\u0302\u0303", "a\u0301\u0327", "\u0130stanbul I\u0307",
    "\U0001f680 (normal) \U0001f636\u200d\U0001f32b\ufe0f (multiple) \u2705", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\x00", "a\x00b", "1\x002\ufffd3", "\x01\x02\x7f\x80\x9f", "\u200b\u200c\u200d\ufeff", "\u180e a\u180eb",
    "\u2028\u2029\u0085", "\u3000\u3000x", "\u2581", "\u2581This \u2581is \u2581a", "<0x0A>", "<0x41><0xE2>", "\u0120hello \u010a",
    "!!!!!!???...,,,;;;", "''''''```````\"\"\"\"", "------=======", "a-b_c.d/e\\f", "$100 \u20ac5 \u00a37 ^~|`<=>+", "{}[]()<>", "\u00bfQu\u00e9? \u00a1S\u00ed!",
    "def main():\n\tpass\n", "    if x == 1:\n        return y\n", "let a = obj.toString();\ntoString();",
    "https://example.org/a?b=c&d=%20#e", "name@example.org", "#include <stdio.h>\nint main(void) { return 0; }",
    "The quick brown fox jumps over the lazy dog.", "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "abababababababababababababababababab",
    "                                        deep", "a" + "\n" * 17 + "b", "\t" * 9 + "x", "x" + " " * 33 + "y ",
    "We'Ve a'lL \u2019s \u2018t", "CamelCaseWords and snake_case_words and SCREAMING_CASE", "ALL CAPS TEXT", "MiXeD cAsE",
]
SPECIAL = [
    "<s>", "</s>", "<unk>", "<s>Hello</s>", " <s> Hello </s> ", "<s><s>", "a<s>b", "<s", "s>", "<|endoftext|>", "<|end|>", "<|im_start|>",
    "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n", "<|user|>\nHi there<|end|>\n<|assistant|>\n",
    "[INST] Hello [/INST]", "<|user|>  \n  x", "x  <|assistant|>  y", "<|system|>\nBe brief.<|end|>", "<repo_name>a<file_sep>b",
    "</s>  tail", "head </s>\n\ttail", "<|endoftext|><|endoftext|>", "<|END|>", "<\u0301s>", "<|end|", "|end|>",
]


def random_texts(count, seed):
    """Strings of assigned characters that kept their category since Unicode 3.2: every library agrees on those."""
    generator = random.Random(seed)
    old = unicodedata.ucd_3_2_0
    stable = [
        chr(c) for c in range(0x20, 0x30000)
        if unicodedata.category(chr(c)) == old.category(chr(c)) and unicodedata.category(chr(c)) not in ("Cn", "Cs", "Co")
    ]
    groups = collections.defaultdict(list)
    for char in stable:
        groups[unicodedata.category(char)].append(char)
    texts = []
    for index in range(count):
        length = generator.randrange(1, 24)
        if index % 3 == 0:  # anything
            chars = [generator.choice(stable) for _ in range(length)]
        elif index % 3 == 1:  # every category equally often
            chars = [generator.choice(groups[generator.choice(sorted(groups))]) for _ in range(length)]
        else:  # ASCII, white space and contractions
            chars = [generator.choice(["a", "B", "7", " ", "  ", "\n", "\t", "'s", ".", "-", "\u00e9", "the", "\r"]) for _ in range(length)]
        texts.append("".join(chars))
    return texts


def random_ids(count, size, seed):
    generator = random.Random(seed)
    return [[generator.randrange(size) for _ in range(generator.randrange(1, 12))] for _ in range(count)]


def byte_runs(ids_of_bytes, size, count, seed):
    """Ids with many byte tokens: pieces of UTF-8 in all stages of damage."""
    generator = random.Random(seed)
    sample = "a\u00e9\u20ac\U0001f999\u0800\uffff\U00010000\U0010ffff".encode()
    rows = []
    for _ in range(count):
        row = []
        for _ in range(generator.randrange(1, 10)):
            if generator.random() < 0.3:
                row.append(generator.randrange(size))
            else:
                start = generator.randrange(len(sample))
                row += [ids_of_bytes[b] for b in sample[start:start + generator.randrange(1, 6)]]
            if generator.random() < 0.2:
                row.append(ids_of_bytes[generator.randrange(128, 256)])
        rows.append(row)
    return rows


def decode_bytes(tokenizer, ids, skip):
    """Llama's decoder over bytes: pieces with spaces for U+2581, byte tokens as bytes, one leading space less."""
    added = tokenizer.get_added_tokens_decoder()
    data = b""
    for i in ids:
        piece = tokenizer.id_to_token(i)
        if skip and i in added and added[i].special:
            continue
        match = re.fullmatch(r"<0x([0-9A-F]{2})>", piece)
        data += bytes([int(match[1], 16)]) if match else piece.replace("\u2581", " ").encode()
    return data.removeprefix(b" ").decode("utf-8", errors="replace")


def normalized_ids(tokenizer):
    return {i for i, token in tokenizer.get_added_tokens_decoder().items() if token.normalized}


def encode(tokenizer, texts, special):
    """special: special tokens are read in the text and put around it; otherwise they are text."""
    tokenizer.encode_special_tokens = not special
    return [tokenizer.encode(text, add_special_tokens=special).ids for text in texts]


def from_scores(path):
    """SentencePiece's BPE from a GGUF file: every pair of pieces that spells a piece merges, in the order of its score."""
    fields = gguf.GGUFReader(path).fields
    pieces, scores, types = (fields["tokenizer.ggml." + key].contents() for key in ("tokens", "scores", "token_type"))
    vocab = {piece: i for i, piece in enumerate(pieces)}
    merges = [
        (-scores[i], vocab[piece[:cut]], vocab[piece[cut:]])
        for piece, i in vocab.items() if types[i] == 1
        for cut in range(1, len(piece)) if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    return Tokenizer.from_str(json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [token(i, pieces[i], special=True) for i in range(3)],
        "normalizer": sequence("normalizers", {"type": "Prepend", "prepend": MARK},
                               {"type": "Replace", "pattern": {"String": " "}, "content": MARK}),
        "pre_tokenizer": None, "post_processor": template(["<s>"], []),
        "decoder": llama_decoder({"type": "Strip", "content": " ", "start": 1, "stop": 0}),
        "model": {"type": "BPE", "vocab": vocab, "merges": [[pieces[left], pieces[right]] for _, left, right in sorted(merges)],
                  "unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True},
    }))


def published(shared):
    texts = PLAIN + SPECIAL + random_texts(120, 1)
    result = {"texts": texts, "tokenizers": {}}
    chosen = {name: Tokenizer.from_file(str(shared / "data" / "tokenizers" / name / "tokenizer.json")) for name in PUBLISHED}
    chosen["stories260K"] = from_scores(shared / "data" / "models" / "stories260K" / "stories260K-F16.gguf")
    for name, tokenizer in chosen.items():
        size = tokenizer.get_vocab_size()
        plain, special = encode(tokenizer, texts, False), encode(tokenizer, texts, True)
        rows = random_ids(40, size, 2)
        has_bytes = tokenizer.token_to_id("<0x00>") is not None
        if has_bytes:
            rows += byte_runs([tokenizer.token_to_id(f"<0x{b:02X}>") for b in range(256)], size, 40, 3)

        def decode(ids, skip):
            return decode_bytes(tokenizer, ids, skip) if has_bytes else tokenizer.decode(ids, skip_special_tokens=skip)

        odd = normalized_ids(tokenizer)
        for ids in plain + special:  # what is UTF-8 decodes alike in both
            assert odd & set(ids) or decode(ids, True) == tokenizer.decode(ids, skip_special_tokens=True), ids
        result["tokenizers"][name] = {
            "plain": plain, "special": special,
            "decodedPlain": [decode(ids, False) for ids in plain], "decodedSpecial": [decode(ids, True) for ids in special],
            "random": rows, "decodedRandom": [decode(ids, False) for ids in rows],
        }
    return result


def train(words, first, merge_count):
    """Byte-pair encoding over whole lines, so that merges cross every border that a pre-tokenizer could draw."""
    words = [list(word) for word in words]
    vocab = list(first) + sorted({symbol for word in words for symbol in word} - set(first))
    merges = []
    for _ in range(merge_count):
        pairs = collections.Counter(pair for word in words for pair in zip(word, word[1:]))
        count, left, right = min((-count, *pair) for pair, count in pairs.items())
        if -count < 2:
            break
        merges.append([left, right])
        if left + right not in vocab:
            vocab.append(left + right)
        for word in words:
            index = 0
            while index + 1 < len(word):
                if word[index] == left and word[index + 1] == right:
                    word[index:index + 2] = [left + right]
                index += 1
    return {"type": "BPE", "vocab": {piece: i for i, piece in enumerate(vocab)}, "merges": merges}


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    alphabet, extra = {}, 0
    for byte in range(256):
        alphabet[byte] = chr(byte) if byte in printable else chr(256 + extra)
        extra += byte not in printable
    return alphabet


# What a character sequence is written as: one becomes one, two become two, one becomes two, a space, nothing, and clusters.
RULES = ("41\t61\n42 43\t78 79\nC4\t61 65\nFB01\t66 69\n3000\t20\n9\t20\nD A\t20\n41 301\tC1\n65 301\tE9\n200B\t\n1F1E9\t44\n"
         "61 62 61\t7A\n")


def character_map():
    """The map that SentencePiece compiles from RULES."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.tsv").write_text(RULES)
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(PLAIN[60:70]), model_prefix=str(folder / "m"), vocab_size=100, hard_vocab_limit=False,
            normalization_rule_tsv=str(folder / "rules.tsv"), minloglevel=2)
        model = sentencepiece_model_pb2.ModelProto()
        model.ParseFromString((folder / "m.model").read_bytes())
    return base64.b64encode(model.normalizer_spec.precompiled_charsmap).decode()


def trained():
    """One model of every other kind, trained by `tokenizers` on a few lines; no two trainings are alike, so that those of the
    committed file are kept."""
    names = ["unigram", "wordpiece", "wordlevel", "suffixed", "affixed"]
    if (ROOT / "components.json").exists():
        committed = json.loads((ROOT / "components.json").read_text())["models"]
        if set(names) <= set(committed):
            return {name: committed[name] for name in names}
    lines = [text for text in PLAIN if len(text) > 20 and text.isascii()] * 2 + ["\u00e9t\u00e9 na\u00efve caf\u00e9"] * 3
    kinds = {
        "unigram": (tokenizer_models.Unigram(), trainers.UnigramTrainer(
            vocab_size=160, special_tokens=["<unk>", "<s>", "</s>"], unk_token="<unk>", show_progress=False), pre_tokenizers.Metaspace()),
        "wordpiece": (tokenizer_models.WordPiece(unk_token="[UNK]"), trainers.WordPieceTrainer(
            vocab_size=200, special_tokens=["[UNK]", "[CLS]", "[SEP]"], show_progress=False), pre_tokenizers.BertPreTokenizer()),
        "wordlevel": (tokenizer_models.WordLevel(unk_token="<unk>"), trainers.WordLevelTrainer(
            vocab_size=80, special_tokens=["<unk>"], show_progress=False), pre_tokenizers.Whitespace()),
        "suffixed": (tokenizer_models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"), trainers.BpeTrainer(
            vocab_size=220, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False), pre_tokenizers.WhitespaceSplit()),
        "affixed": (
            tokenizer_models.BPE(unk_token="<unk>", continuing_subword_prefix="##", end_of_word_suffix="</w>"),
            trainers.BpeTrainer(vocab_size=240, special_tokens=["<unk>"], continuing_subword_prefix="##", end_of_word_suffix="</w>",
                                show_progress=False), pre_tokenizers.WhitespaceSplit()),
    }
    result = {}
    for name, (model, trainer, pre_tokenizer) in kinds.items():
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizer
        tokenizer.train_from_iterator(lines, trainer)
        result[name] = json.loads(tokenizer.to_str())["model"]
    return result


def models():
    lines = [text for text in PLAIN if "\x00" not in text and len(text) > 3] * 2
    alphabet = byte_alphabet()
    as_bytes = ["".join(alphabet[b] for b in line.encode()) for line in lines]
    marked = ["\u2581" + line.replace(" ", "\u2581") for line in lines if line.isascii()] + lines
    spelled = train(marked, ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)], 260)
    ascii_only = train([line for line in lines if line.isascii()], ["<unk>"], 120)
    return {
        "bytes": train(as_bytes, [alphabet[b] for b in range(256)], 260),
        "spelled": spelled | {"unk_token": "<unk>", "byte_fallback": True, "fuse_unk": True},
        "ascii": ascii_only | {"unk_token": "<unk>"},
    } | trained()


GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
O200K = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
         r"\s*[\r\n]+|\s+(?!\S)|\s+")
MARK = "\u2581"


def level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True} | options


def split(pattern, behavior, invert=False):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": invert}


def metaspace(**options):
    return {"type": "Metaspace", "replacement": MARK, "prepend_scheme": "always", "split": True} | options


def sequence(member, *parts):
    return {"type": "Sequence", member: list(parts)}


def llama_decoder(*more):
    return sequence("decoders", {"type": "Replace", "pattern": {"String": MARK}, "content": " "}, {"type": "ByteFallback"},
                    {"type": "Fuse"}, *more)


def token(id, content, **options):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": False} | options


def template(before, after):
    def piece(name):
        return {"SpecialToken": {"id": name, "type_id": 0}}
    single = [piece(n) for n in before] + [{"Sequence": {"id": "A", "type_id": 0}}] + [piece(n) for n in after]
    ids = {"<s>": 1, "</s>": 2}
    return {"type": "TemplateProcessing", "single": single, "pair": single + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {n: {"id": n, "ids": [ids[n]], "tokens": [n]} for n in before + after}}


def cases():
    """name, model, components; what is absent is null."""
    special = [token(0, "<unk>", special=True), token(1, "<s>", special=True), token(2, "</s>", special=True)]
    prepend = {"type": "Prepend", "prepend": MARK}
    spaces = {"type": "Replace", "pattern": {"String": " "}, "content": MARK}
    rows = []

    def add(name, model, flags=None, **parts):
        rows.append({"name": name, "model": model, "flags": flags or {}, "parts": parts})

    for form in ("NFC", "NFD", "NFKC", "NFKD", "Lowercase"):
        add(f"normalizer {form}", "spelled", normalizer={"type": form}, decoder=llama_decoder())
    for left in (True, False):
        add(f"normalizer Strip left {left}", "spelled", decoder=llama_decoder(),
            normalizer={"type": "Strip", "strip_left": left, "strip_right": not left})
    add("normalizer Prepend", "spelled", normalizer=prepend, decoder=llama_decoder())
    add("normalizer Replace with Regex", "spelled", decoder=llama_decoder(),
        normalizer={"type": "Replace", "pattern": {"Regex": r"\s{2,}|[aeiou](?=\w)"}, "content": "$0"})
    add("normalizer Sequence", "spelled", decoder=llama_decoder({"type": "Strip", "content": " ", "start": 1, "stop": 0}),
        normalizer=sequence("normalizers", {"type": "NFC"}, {"type": "Lowercase"}, prepend, spaces))

    for prefix in (True, False):
        for regex in (True, False):
            add(f"ByteLevel prefix {prefix} regex {regex}", "bytes", decoder=level(),
                pre_tokenizer=level(add_prefix_space=prefix, use_regex=regex))
    for behavior in ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        add(f"Split {behavior}", "spelled", pre_tokenizer=split({"Regex": r"[\s,.;!?]"}, behavior), decoder=llama_decoder())
        add(f"Split {behavior} inverted", "spelled", pre_tokenizer=split({"Regex": r"\w+"}, behavior, True), decoder=llama_decoder())
        add(f"Punctuation {behavior}", "spelled", pre_tokenizer={"type": "Punctuation", "behavior": behavior}, decoder=llama_decoder())
    add("Split by String", "spelled", pre_tokenizer=split({"String": "a."}, "Isolated"), decoder=llama_decoder())
    add("Split at empty matches", "spelled", pre_tokenizer=split({"Regex": r"x*"}, "Isolated"), decoder=llama_decoder())
    add("Split with anchors", "spelled", pre_tokenizer=split({"Regex": r"^.|\s+$|\bt"}, "Isolated"), decoder=llama_decoder())
    add("Split with shorthands", "spelled", pre_tokenizer=split({"Regex": r"\h+|[\w!]\d|[\s\S]\D{2}"}, "Isolated"), decoder=llama_decoder())
    for name, pattern in {
        "intersection": r"[\p{L}&&[^aeiou]]+", "negated intersection": r"[^\p{L}&&[^aeiou]]", "nested": r"[ab[x-z]0-9[^\p{L}\p{N}]]+",
        "two intersections": r"[\w&&\p{L}&&[^\p{Latin}]]", "repeated interval": r"(?:ab|\p{N}){1,2}+", "script": r"\p{Han}+|\p{^Greek}",
    }.items():
        add(f"Split by {name}", "spelled", pre_tokenizer=split({"Regex": pattern}, "Isolated"), decoder=llama_decoder())
    for individual in (True, False):
        add(f"Digits individual {individual}", "spelled", decoder=llama_decoder(),
            pre_tokenizer={"type": "Digits", "individual_digits": individual})
    add("Whitespace", "spelled", pre_tokenizer={"type": "Whitespace"}, decoder=llama_decoder())
    add("WhitespaceSplit", "spelled", pre_tokenizer={"type": "WhitespaceSplit"}, decoder=llama_decoder())
    for scheme in ("always", "first", "never"):
        for splits in (True, False):
            parts = metaspace(prepend_scheme=scheme, split=splits)
            add(f"Metaspace {scheme} split {splits}", "spelled", pre_tokenizer=parts, decoder=parts, added_tokens=special)
    for name, pattern in (("GPT-2", GPT2), ("Llama 3", LLAMA3), ("o200k", O200K)):
        add(f"words of {name}", "bytes", decoder=level(),
            pre_tokenizer=sequence("pretokenizers", split({"Regex": pattern}, "Isolated"), level(use_regex=False)))
    add("words of Falcon", "bytes", decoder=level(), pre_tokenizer=sequence(
        "pretokenizers", {"type": "Punctuation", "behavior": "Contiguous"}, level(), {"type": "Digits", "individual_digits": False},
        split({"Regex": "[0-9][0-9][0-9]"}, "Isolated")))

    add("ignore_merges", "bytes", {"ignore_merges": True}, decoder=level(), pre_tokenizer=level())
    for fuse in (True, False):
        add(f"unknown characters, fuse {fuse}", "ascii", {"fuse_unk": fuse}, pre_tokenizer={"type": "WhitespaceSplit"})
    add("no unknown token", "ascii", {"unk_token": None})

    for before, after in ((["<s>"], []), (["<s>"], ["</s>"]), ([], ["</s>"])):
        add(f"template {before} {after}", "spelled", post_processor=template(before, after), added_tokens=special,
            decoder=llama_decoder())
    add("template in a Sequence", "spelled", added_tokens=special, decoder=llama_decoder(),
        post_processor=sequence("processors", level(), template(["<s>"], ["</s>"])))

    add("Strip at both ends of the text", "spelled", decoder=llama_decoder({"type": "Strip", "content": " ", "start": 2, "stop": 2}))
    add("Strip of every token", "spelled", decoder=sequence("decoders", {"type": "Strip", "content": "e", "start": 1, "stop": 0}, {"type": "Fuse"}))

    def bert(clean, ideographs, accents, lower):
        return {"type": "BertNormalizer", "clean_text": clean, "handle_chinese_chars": ideographs, "strip_accents": accents, "lowercase": lower}

    for chosen in ((True, True, None, True), (True, False, False, False), (False, True, True, False), (False, False, None, False)):
        add(f"normalizer Bert {chosen}", "spelled", normalizer=bert(*chosen), decoder=llama_decoder())
    add("normalizer StripAccents", "spelled", normalizer=sequence("normalizers", {"type": "NFD"}, {"type": "StripAccents"}), decoder=llama_decoder())
    add("normalizer Nmt", "spelled", normalizer={"type": "Nmt"}, decoder=llama_decoder())
    add("normalizer ByteLevel", "bytes", normalizer={"type": "ByteLevel"}, decoder=level())
    add("normalizer Precompiled", "spelled", normalizer={"type": "Precompiled", "precompiled_charsmap": character_map()}, decoder=llama_decoder())
    add("BertPreTokenizer", "spelled", pre_tokenizer={"type": "BertPreTokenizer"}, decoder=llama_decoder())
    add("CharDelimiterSplit", "spelled", pre_tokenizer={"type": "CharDelimiterSplit", "delimiter": "e"}, decoder=llama_decoder())
    add("FixedLength", "spelled", pre_tokenizer={"type": "FixedLength", "length": 3}, decoder=llama_decoder())
    add("UnicodeScripts", "spelled", pre_tokenizer={"type": "UnicodeScripts"}, decoder=llama_decoder())
    for kind in ("BertProcessing", "RobertaProcessing"):
        more = {"trim_offsets": True, "add_prefix_space": False} if kind == "RobertaProcessing" else {}
        add(kind, "spelled", added_tokens=special, decoder=llama_decoder(), post_processor={"type": kind, "cls": ["<s>", 1], "sep": ["</s>", 2]} | more)
    add("decoder Replace with Regex", "spelled", decoder=sequence(
        "decoders", {"type": "Replace", "pattern": {"Regex": "[aeiou]+"}, "content": "_"}, {"type": "ByteFallback"}, {"type": "Fuse"}))
    for clean in (True, False):
        add(f"decoder CTC {clean}", "ascii", {"fuse_unk": True}, decoder={
            "type": "CTC", "pad_token": "t", "word_delimiter_token": "o", "cleanup": clean})
        add(f"WordPiece {clean}", "wordpiece", {"max_input_chars_per_word": 10} if clean else {}, normalizer=bert(True, True, None, clean),
            pre_tokenizer={"type": "BertPreTokenizer"}, decoder={"type": "WordPiece", "prefix": "##", "cleanup": clean},
            added_tokens=[token(i, name, special=True) for i, name in enumerate(["[UNK]", "[CLS]", "[SEP]"])],
            post_processor={"type": "BertProcessing", "cls": ["[CLS]", 1], "sep": ["[SEP]", 2]})
    unigram_special = [token(i, name, special=True) for i, name in enumerate(["<unk>", "<s>", "</s>"])]
    add("Unigram", "unigram", pre_tokenizer=metaspace(), decoder=metaspace(), added_tokens=unigram_special, post_processor=template(["<s>"], ["</s>"]))
    add("Unigram over whole lines", "unigram", normalizer={"type": "Replace", "pattern": {"String": " "}, "content": MARK}, decoder=metaspace())
    add("WordLevel", "wordlevel", pre_tokenizer={"type": "Whitespace"})
    add("WordLevel without unknown", "wordlevel", {"vocab": {"The": 0, "quick": 1, "fox": 2, "<unk>": 3}}, pre_tokenizer={"type": "Whitespace"})
    add("end_of_word_suffix", "suffixed", pre_tokenizer={"type": "WhitespaceSplit"}, decoder={"type": "BPEDecoder", "suffix": "</w>"})
    add("continuing_subword_prefix and end_of_word_suffix", "affixed", {"fuse_unk": True}, pre_tokenizer={"type": "WhitespaceSplit"},
        decoder=sequence("decoders", {"type": "Replace", "pattern": {"String": "##"}, "content": ""}, {"type": "BPEDecoder", "suffix": "</w>"}))

    flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
    for mask in range(2 ** len(flags)):
        options = {flag: bool(mask >> bit & 1) for bit, flag in enumerate(flags)}
        chosen = "+".join(flag for flag in flags if options[flag]) or "none"
        add(f"added tokens: {chosen}", "spelled", normalizer=sequence("normalizers", {"type": "Lowercase"}, prepend, spaces),
            added_tokens=special + [token(10_000, "The", **options), token(10_001, "brown fox", **options)], decoder=llama_decoder())
    return rows


MAPPED = ["BCB \u00c4b\u3000\u3000A\u0301e\u0301", "ababa\u200babab", "A\r\nB\tC", "don't do not , we 've !"]
ADDED_TEXTS = ["The", "the", " The ", "The The", "TheThe", "aThe", "The_", "The\u00a0 brown  fox", "brown fox", "brown foxes", "xbrown fox y",
               "The quick The  \n brown fox\tThe", "THE BROWN FOX", "\u00e9The\u0301", "The\u200dThe.", "(The)"]


def components():
    base = models()
    texts = PLAIN[0:32:3] + PLAIN[32:50] + PLAIN[50:76:3] + SPECIAL[:8] + random_texts(18, 7) + ADDED_TEXTS + MAPPED
    texts = sorted(set(texts), key=texts.index)
    result = {"texts": texts, "models": base, "cases": []}
    for case in cases():
        model = copy.deepcopy(base[case["model"]]) | case["flags"]
        parts = dict(normalizer=None, pre_tokenizer=None, post_processor=None, decoder=None, added_tokens=[]) | case["parts"]
        size = len(model["vocab"])
        for entry in parts["added_tokens"]:
            if entry["id"] >= 10_000:  # numbered behind the model's own
                entry["id"] += size - 10_000
        is_added = case["name"].startswith("added")
        tokenizer = Tokenizer.from_str(json.dumps({"version": "1.0", "truncation": None, "padding": None, **parts, "model": model}))
        about_added = ADDED_TEXTS + SPECIAL[:8]
        chosen = [i for i, text in enumerate(texts) if (text in about_added) == is_added or text in SPECIAL[:4]]
        if case["name"] == "UnicodeScripts":  # its table in `tokenizers` is of 2016
            chosen = [i for i in chosen if not set(texts[i]) & set("\U0001f999\ufffd")]
        mine = [texts[i] for i in chosen]
        plain, special = encode(tokenizer, mine, False), encode(tokenizer, mine, True)
        odd = normalized_ids(tokenizer)
        # `Strip` at the end of a text that is shorter than what it may take panics in `tokenizers`.
        shortest = 3 if "both ends" in case["name"] else 0
        decoded = [
            None if odd & set(ids) or len(text.strip()) < shortest else tokenizer.decode(ids, skip_special_tokens=True)
            for ids, text in zip(special, mine)
        ]
        row = {"name": case["name"], "model": case["model"], "flags": case["flags"], "parts": parts, "texts": chosen,
               "plain": plain, "special": [[] if a == b else a for a, b in zip(special, plain)],
               "decoded": [0 if a == b else a for a, b in zip(decoded, mine)]}
        result["cases"].append(row)
    return result


# The expressions of the kinds that GGUF files name, as the makers' tokenizer.json have them: what Sources/.../WordPatterns.swift has
# to do. Where llama.cpp runs a variant of an expression, it quotes the makers'.
SPACE_TAIL = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
CLITICS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
UP, LOW, MARKED = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]", r"[^\r\n\p{L}\p{N}]?"
TEKKEN = rf"{MARKED}{UP}*{LOW}+|{MARKED}{UP}+{LOW}*|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + SPACE_TAIL
GPT4O = rf"{MARKED}{UP}*{LOW}+{CLITICS}?|{MARKED}{UP}+{LOW}*{CLITICS}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + SPACE_TAIL
HAN_UP, HAN_LOW = UP[:-1] + r"&&[^\p{Han}]]", LOW[:-1] + r"&&[^\p{Han}]]"
KIMI = (rf"[\p{{Han}}]+|{MARKED}{HAN_UP}*{HAN_LOW}+{CLITICS}?|{MARKED}{HAN_UP}+{HAN_LOW}*{CLITICS}?|\p{{N}}{{1,3}}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACE_TAIL)
SYMBOLS = r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+"""
KANA = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
IDEOGRAPHS = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+".replace("\ud7ff", "\\x{d7ff}")
PUNCTUATION = r"\s?[!-/:-~" + "\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002" + "]+"
BLOOM = r" ?[^(\s|.,!?" + "\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c" + ")]+"
KINDS = {
    "gpt-2": [GPT2], "smollm": [r"\p{N}", GPT2], "llama-bpe": [LLAMA3], "qwen2": [QWEN2],
    "jais-2": [LLAMA3[:-len(r"\s+(?!\S)|\s+")] + "".join(rf"\s{{{n}}}(?!\S)|" for n in (512, 256, 128, 64, 32, 16, 8, 4)) + r"\s{1,2}(?!\S)|\s{1}"],
    "qwen35": [CLITICS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*" + SPACE_TAIL],
    "ufakzeka": [QWEN2.removeprefix(CLITICS + "|")], "laguna": [r"[^\n]+|[\n]+", QWEN2],
    "minicpm5": [r"\p{N}{1,3}", LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}+")],
    "seed-coder": [CLITICS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+" + SPACE_TAIL],
    "bailingmoe": [r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+"],
    "exaone-moe": [CLITICS + r"|[^\r\n\p{L}\p{N}]?(?:\p{L}\p{M}*(?: \p{L}\p{M}*)*)+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+"],
    "falcon": [r"[\p{P}$+<=>^~|`]+", GPT2, "[0-9][0-9][0-9]"],
    "default": [r"[\p{P}$+<=>^~|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"],
    "deepseek-llm": [r"[\r\n]", None, PUNCTUATION, r"\s+$", IDEOGRAPHS, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", IDEOGRAPHS, r"\p{N}"],
    "deepseek-v3": [r"\p{N}{1,3}", KANA, SYMBOLS + r"[\r\n]*" + SPACE_TAIL],
    "spark2_5": [r"\p{N}{1,3}", KANA, SYMBOLS + r"|[\r\n]|\s+(?!\S)|\s+", r"\p{N}"],
    "afmoe": [r"\p{N}{1,3}(?=(?:\p{N}{3})*(?!\p{N}))", None, SYMBOLS + r"[\r\n]*" + SPACE_TAIL],
    "youtu": [None, GPT4O.replace(r"\p{N}{1,3}", r"\p{N}")],
    "tekken": [TEKKEN], "gpt-4o": [GPT4O], "tiny_aya": [r"\d{1,3}(?=(?:\d{3})*\b)", GPT4O], "kimi-k2": [KIMI],
    "superbpe": [r"\p{N}+", r"(?=(\d{3})+(?!\d))"], "bloom": [BLOOM], "viking": [BLOOM, r"\p{N}"],
    "chameleon": ["<sentinel:[0-9]+>", "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z", r"([\t\n]|    |  )", r"\p{N}", r"[\p{P}!-/:-@\[-`{-~]", GPT2],
}
KINDS["deepseek-llm"][1] = (  # letters with case, as Unicode was then
    r"\s?[A-Za-z" + "\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377"
    "\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5"
    "\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d"
    "\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc"
    "\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    "\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a"
    "\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943]+")
KINDS["afmoe"][1] = (
    "[\u4e00-\u9fff\u3400-\u4dbf\uf900-\ufaff\u3040-\u309f\u30a0-\u30ff\uff65-\uff9f\u2f00-\u2fdf\u0e40-\u0e7f\u0e80-\u0eff\u1780-\u17ff"
    "\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\uac00-\ud7af\u1100-\u11ff]+")
KINDS["youtu"][0] = (
    "[\uac00-\ud7a3\u3131-\u318e]+|[\uff01\u2026\u201c\u201d\u2018\u2019\u2014\uff1a\uff1b\uff0c\u3001-\u303f\ufe30-\ufe4f]+|[\u3105-\u312f]+"
    "|[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+")


def pair_vocabulary():
    """All bytes, and all pairs of bytes as merges in a fixed mixed order: nearly every cut of a text shows in its ids."""
    alphabet = [byte_alphabet()[b] for b in range(256)]
    pairs = [(alphabet[r * 40503 % 65536 >> 8], alphabet[r * 40503 % 65536 & 255]) for r in range(65536)]
    return alphabet + [left + right for left, right in pairs], pairs


def fnv1a(ids):
    digest = 0xCBF29CE484222325
    for byte in " ".join(map(str, ids)).encode():
        digest = (digest ^ byte) * 0x100000001B3 % 2**64
    return f"{digest >> 32:08x}"  # enough to tell, and half as long


def kinds():
    """What every kind makes of texts over the vocabulary of pairs, by `tokenizers`; and how often llama.cpp agrees."""
    pieces, pairs = pair_vocabulary()
    model = tokenizer_models.BPE({piece: i for i, piece in enumerate(pieces)}, pairs)
    texts = [text for text in PLAIN if text] + random_texts(90, 11) + [
        "1234567 12345678 123456789 \u0661\u0662\u0663\u0664", "HTTPServer aBC XMLHttp's \u00c9cole\u00c9COLE \u01c5\u01c6 \u02b0\u02b1A",
        "\u4e2d\u6587abc\u4e2d \u65e5\u672c\u8a9e\u3067\u3059A \u3105\u3106 \u1780\u0e41\u0ec0", "(a.b)c/d//\r\ne '\u017f 'LL don'T", "<sentinel:12>IMGIMGABZ", "x \u00b5\u2126\u212a y"]
    rows = {}
    for name, patterns in KINDS.items():
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(tokenizers.Regex(p), "isolated") for p in patterns] + [pre_tokenizers.ByteLevel(False, use_regex=False)])
        rows[name] = [tokenizer.encode(text).ids for text in texts]
    compare_with_llama_cpp(pieces, pairs, texts, rows)
    return {"texts": texts, "kinds": {name: [fnv1a(ids) for ids in ids_of_texts] for name, ids_of_texts in rows.items()}}


def compare_with_llama_cpp(pieces, pairs, texts, rows):
    """Prints for every kind how many texts llama.cpp cuts in the same way, where it is installed."""
    try:
        import llama_cpp
    except ImportError:
        return
    for name, expected in rows.items():
        with tempfile.TemporaryDirectory() as folder:
            path = f"{folder}/vocab.gguf"
            writer = gguf.GGUFWriter(path, "llama")
            for add, value in ((writer.add_context_length, 8), (writer.add_embedding_length, 8), (writer.add_block_count, 1),
                               (writer.add_feed_forward_length, 8), (writer.add_head_count, 1), (writer.add_layer_norm_rms_eps, 1e-5)):
                add(value)
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre(name)
            writer.add_token_list(pieces)
            writer.add_token_types([1] * len(pieces))
            writer.add_token_merges([" ".join(pair) for pair in pairs])
            writer.add_add_bos_token(False)
            writer.write_header_to_file()
            writer.write_kv_data_to_file()
            writer.close()
            try:
                model = llama_cpp.Llama(path, vocab_only=True, verbose=False)
            except ValueError:
                print(f"{name}: llama.cpp {llama_cpp.__version__} does not know it")
                continue
            found = [model.tokenize(text.encode(), add_bos=False, special=False) for text in texts]
        different = [text for text, a, b in zip(texts, found, expected) if a != b]
        print(f"{name}: llama.cpp {llama_cpp.__version__} agrees on {len(texts) - len(different)} of {len(texts)} texts", ascii(different[:3]))


def file_sets():
    """Folders without tokenizer.json under Tests/Goldens/tokenizers/files, and what their makers' own programs do with them:
    transformers for its classes, SentencePiece for its models."""
    from transformers import AutoTokenizer
    home = ROOT / "files"
    texts = [text for text in PLAIN if "\x00" not in text] + random_texts(60, 13) + MAPPED + SPECIAL[:8] + ["[CLS] a [SEP]", "<sep>a<sep> b", "  two  spaces  "]
    base = models()
    byte_vocab = dict(base["bytes"]["vocab"]) | {"<|endoftext|>": len(base["bytes"]["vocab"])}
    merges = "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in base["bytes"]["merges"])
    gpt2 = {"tokenizer_class": "GPT2Tokenizer"}
    qwen = {"tokenizer_class": "Qwen2TokenizerFast", "eos_token": "<|im_end|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"], "added_tokens_decoder": {
        str(len(byte_vocab) + i): {"content": name, "lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
        for i, name in enumerate(["<|im_start|>", "<|im_end|>"])}}
    pieces = sorted(base["wordpiece"]["vocab"], key=base["wordpiece"]["vocab"].get)
    folders = {
        "gpt2": {"vocab.json": json.dumps(byte_vocab), "merges.txt": merges, "tokenizer_config.json": json.dumps(gpt2)},
        "gpt2-original": {"encoder.json": json.dumps(byte_vocab), "vocab.bpe": merges, "config.json": json.dumps({"model_type": "gpt2"})},
        "qwen2": {"vocab.json": json.dumps(byte_vocab), "merges.txt": merges, "tokenizer_config.json": json.dumps(qwen)},
        "bert": {"vocab.txt": "\n".join(pieces + ["[PAD]", "[MASK]"]) + "\n", "tokenizer_config.json": json.dumps({"tokenizer_class": "BertTokenizer"})},
        "bert-cased": {"vocab.txt": "\n".join(pieces + ["[PAD]", "[MASK]"]) + "\n", "tokenizer_config.json": json.dumps(
            {"tokenizer_class": "BertTokenizer", "do_lower_case": False, "tokenize_chinese_chars": False})},
        "sentencepiece-unigram": {"tokenizer_config.json": json.dumps({"tokenizer_class": "T5Tokenizer"})},
        "sentencepiece-bpe": {"tokenizer_config.json": json.dumps({"tokenizer_class": "LlamaTokenizer"})},
    }
    trainings = {
        "sentencepiece-unigram": dict(model_type="unigram", vocab_size=180, user_defined_symbols=["<sep>"]),
        "sentencepiece-bpe": dict(model_type="bpe", vocab_size=450, byte_fallback=True, normalization_rule_name="identity", remove_extra_whitespaces=False),
    }
    result = {"texts": texts, "folders": {}}
    for name, files in folders.items():
        folder = home / name
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in files.items():
            (folder / file).write_text(content)
        if name in trainings:
            if not (folder / "tokenizer.model").exists():  # no two trainings are alike
                rules = folder / "rules.tsv"
                rules.write_text(RULES)
                more = {"normalization_rule_tsv": str(rules)} if "unigram" in name else {}
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter([line for line in PLAIN if len(line) > 20 and line.isascii()] * 3), model_prefix=str(folder / "tokenizer"),
                    hard_vocab_limit=False, minloglevel=2, **trainings[name], **more)
                rules.unlink()
                (folder / "tokenizer.vocab").unlink()
            model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
            ids = [model.encode(text, add_bos="bpe" in name, add_eos="unigram" in name) for text in texts]
        elif name == "gpt2-original":
            ids = result["folders"]["gpt2"]
        else:
            tokenizer = AutoTokenizer.from_pretrained(folder)
            ids = [tokenizer(text)["input_ids"] for text in texts]
        result["folders"][name] = ids
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared", type=pathlib.Path)
    arguments = parser.parse_args()
    ROOT.mkdir(parents=True, exist_ok=True)
    for name, content in (("published", published(arguments.shared)), ("components", components()), ("kinds", kinds()), ("files", file_sets())):
        content = {"madeBy": f"tools/make_tokenizer_goldens.py with tokenizers {tokenizers.__version__}"} | content
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":"))
        (ROOT / f"{name}.json").write_text(text + "\n")
        print(f"{name}.json: {len(text)} bytes")


if __name__ == "__main__":
    main()
