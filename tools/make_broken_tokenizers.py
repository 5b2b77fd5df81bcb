# SPDX-License-Identifier: Apache-2.0
"""Make Tests/Goldens/tokenizers/must-fail: folders with one thing wrong, each named for what it is.

    python tools/make_broken_tokenizers.py        needs: nothing but Python

`expected.txt` is the text of the error, with paths from the folder `must-fail`: where, what was expected, what was found.
Where a library's own words would follow, it ends before them. Unless a case says otherwise, its tokenizer.json is `SOUND` with one value changed.
"""
import copy
import json
import pathlib
import shutil

folder = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens" / "tokenizers" / "must-fail"
SOUND = {
    "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None, "decoder": {"type": "Fuse"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": ["a b"]},
}


def write(name, expected, files):
    (folder / name).mkdir(parents=True)
    for file, content in files.items():
        (folder / name / file).write_text((content if isinstance(content, str) else json.dumps(content)) + "\n")
    (folder / name / "expected.txt").write_text(name + expected + "\n")


def change(name, path, value, expected):
    """`path` names a member of SOUND; value `...` removes it."""
    tokenizer = copy.deepcopy(SOUND)
    *parents, key = path.split(".")
    parent = tokenizer
    for step in parents:
        parent = parent[step]
    if value is ...:
        del parent[key]
    else:
        parent[key] = value
    write(name, "/tokenizer.json: " + expected, {"tokenizer.json": json.dumps(tokenizer, indent=1)})


def config(name, members, expected):
    """A sound tokenizer.json beside a wrong tokenizer_config.json."""
    write(name, "/tokenizer_config.json: " + expected, {"tokenizer.json": SOUND, "tokenizer_config.json": members})


def split(pattern, behavior="Isolated"):
    return {"type": "Split", "pattern": pattern, "behavior": behavior, "invert": False}


def added(id, content):
    return {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}


def template(ids, *single):
    return {"type": "TemplateProcessing", "single": single, "pair": [],
            "special_tokens": {"<s>": {"id": "<s>", "ids": ids, "tokens": ["<s>"]}}}


TEXT, BEGIN = {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 0}}

shutil.rmtree(folder, ignore_errors=True)
write("truncated-json", "/tokenizer.json: expected JSON, found invalid text at byte 42 of 43", {"tokenizer.json": '{"model": {"type": "BPE", "vocab": {"a": 0'})
write("not-an-object", "/tokenizer.json: expected an object, found an array", {"tokenizer.json": "[]"})
change("no-model", "model", ..., '"model" is missing')
change("no-vocab", "model.vocab", ..., 'model: "vocab" is missing')
change("no-merges", "model.merges", ..., 'model: "merges" is missing')
change("vocab-is-an-array", "model.vocab", ["a", "b"], "model.vocab: expected an object, found an array")
change("vocab-is-empty", "model.vocab", {}, "model.vocab: expected a vocabulary with pieces, found none")
change("duplicate-id", "model.vocab", {"a": 0, "b": 1, "ab": 1},
       'model.vocab["ab"]: expected an id of its own, found 1, which is "b"')
write("duplicate-piece", '/tokenizer.json: model.vocab: expected every piece once, found "a" as 0 and as 4',
      {"tokenizer.json": json.dumps(SOUND).replace('"b": 1', '"b": 1, "a": 4')})
change("huge-id", "model.vocab", {"a": 0, "b": 1, "ab": 1000000000},
       'model.vocab["ab"]: expected an id from 0 to 65547, found 1000000000')
change("negative-id", "model.vocab", {"a": 0, "b": 1, "ab": -2},
       'model.vocab["ab"]: expected an id from 0 to 65547, found -2')
change("fractional-id", "model.vocab", {"a": 0, "b": 1, "ab": 2.5},
       'model.vocab["ab"]: expected an integer, found 2.5')
change("merge-of-unknown-piece", "model.merges", ["a b", "b c"],
       'model.merges[1]: expected pieces of the vocabulary, found "bc"')
change("merge-into-unknown-piece", "model.merges", ["a b", "b a"],
       'model.merges[1]: expected pieces of the vocabulary, found "ba"')
change("merge-of-three", "model.merges", ["a b b"],
       'model.merges[0]: expected two pieces with a space between them, found "a b b"')
change("merge-pair-of-one", "model.merges", [["a"]], "model.merges[0]: expected two pieces, found an array")
change("merges-are-text", "model.merges", "a b", 'model.merges: expected an array, found "a b"')
change("unknown-model", "model.type", "Markov", 'model.type: "Markov" is not supported; expected one of BPE, Unigram, WordPiece, WordLevel')
change("dropout", "model.dropout", 0.1, "model.dropout: 0.1 is not supported; expected no dropout")
change("word-suffix-is-number", "model.end_of_word_suffix", 3, "model.end_of_word_suffix: expected a string, found 3")
change("unigram-score-is-text", "model", {"type": "Unigram", "vocab": [["a", 0], ["b", "c"]]},
       "model.vocab[1]: expected a piece and its score, found an array")
change("unigram-unknown-id", "model", {"type": "Unigram", "vocab": [["a", 0]], "unk_id": 1}, "model.unk_id: expected an id below 1, found 1")
change("wordpiece-without-unknown", "model", {"type": "WordPiece", "vocab": {"a": 0}, "continuing_subword_prefix": "##"},
       'model: "unk_token" is missing')
change("map-is-not-base64", "normalizer", {"type": "Precompiled", "precompiled_charsmap": "a!"},
       'normalizer.precompiled_charsmap: expected base64, found "a!"')
change("map-is-cut", "normalizer", {"type": "Precompiled", "precompiled_charsmap": "AAAAAA=="},
       "normalizer.precompiled_charsmap: expected a character map whose trie is smaller than its 4 bytes, found 0")
change("length-is-zero", "pre_tokenizer", {"type": "FixedLength", "length": 0}, "pre_tokenizer.length: expected a length from 1, found 0")
change("delimiter-is-long", "pre_tokenizer", {"type": "CharDelimiterSplit", "delimiter": "ab"},
       'pre_tokenizer.delimiter: expected one character, found "ab"')
change("unknown-token-is-no-piece", "model.unk_token", "<unk>",
       'model.unk_token: expected a piece of the vocabulary, found "<unk>"')
change("unknown-normalizer", "normalizer", {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Klingon"}]},
       'normalizer.normalizers[1].type: "Klingon" is not supported; expected one of Sequence, Prepend, Replace, NFC, NFD, NFKC, NFKD, Lowercase, Strip, BertNormalizer, StripAccents, Nmt, Precompiled, ByteLevel')
change("unknown-pre-tokenizer", "pre_tokenizer", {"type": "Klingon"},
       'pre_tokenizer.type: "Klingon" is not supported; expected one of Sequence, ByteLevel, Split, Digits, Punctuation, Whitespace, WhitespaceSplit, Metaspace, BertPreTokenizer, CharDelimiterSplit, FixedLength, UnicodeScripts')
change("unknown-behavior", "pre_tokenizer", split({"String": "a"}, "Isolate"),
       'pre_tokenizer.behavior: expected one of Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous, found "Isolate"')
change("unknown-post-processor", "post_processor", {"type": "Klingon"},
       'post_processor.type: "Klingon" is not supported; expected one of Sequence, ByteLevel, TemplateProcessing, BertProcessing, RobertaProcessing')
change("bert-id-out-of-range", "post_processor", {"type": "BertProcessing", "sep": ["a", 0], "cls": ["a", 9]},
       "post_processor.cls[1]: expected an id below 4, found 9")
change("unknown-decoder", "decoder", {"type": "Sequence", "decoders": [{"type": "Klingon"}]},
       'decoder.decoders[0].type: "Klingon" is not supported; expected one of Sequence, ByteLevel, Replace, ByteFallback, Fuse, Strip, Metaspace, WordPiece, BPEDecoder, CTC')
change("decoder-after-fuse", "decoder", {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "Replace", "pattern": {"String": "a"}, "content": "b"}]},
       'decoder.decoders[1]: "Replace" is not supported; expected one "Strip" behind the component that joins the tokens')
change("strip-count", "decoder", {"type": "Strip", "content": " ", "start": -1, "stop": 0},
       "decoder.start: expected a count from 0 to 65535, found -1")
change("component-without-type", "pre_tokenizer", {"pattern": {"String": "a"}}, 'pre_tokenizer: "type" is missing')
change("invalid-regex", "pre_tokenizer", split({"Regex": "(a|b"}),
       'pre_tokenizer.pattern.Regex: expected a regular expression, found "(a|b"')
change("regex-class-without-end", "pre_tokenizer", split({"Regex": "[a-"}),
       'pre_tokenizer.pattern.Regex: expected a regular expression, found "[a-" (a class without its end)')
change("regex-posix-bracket", "pre_tokenizer", split({"Regex": r"[[:alpha:]]"}),
       'pre_tokenizer.pattern.Regex: a POSIX bracket in a class in "[[:alpha:]]" is not supported; expected an expression without it')
change("regex-deep-classes", "pre_tokenizer", split({"Regex": "[" * 5000 + "a" + "]" * 5000}),
       'pre_tokenizer.pattern.Regex: a class nested this deep in "[[[')
change("regex-unknown-property", "normalizer", {"type": "Replace", "pattern": {"Regex": r"\p{Klingon}"}, "content": ""},
       r'normalizer.pattern.Regex: expected a regular expression, found "\p{Klingon}"')
change("metaspace-replacement", "pre_tokenizer", {"type": "Metaspace", "replacement": "__"},
       'pre_tokenizer.replacement: expected one character, found "__"')
change("added-token-takes-an-id", "added_tokens", [added(1, "<s>")],
       'added_tokens[0]: expected an id of its own for "<s>", found 1, which is "b"')
change("added-token-without-content", "added_tokens", [{"id": 1}], 'added_tokens[0]: "content" is missing')
change("added-token-huge-id", "added_tokens", [added(2147483647, "<x>")],
       "added_tokens[0]: expected an id below 65556, found 2147483647")
change("added-tokens-with-one-id", "added_tokens", [added(7, "<x>"), added(7, "<y>")],
       'added_tokens[1]: expected an id of its own for "<y>", found 7, which is "<x>"')
change("template-id-out-of-range", "post_processor", template([4], BEGIN, TEXT),
       "post_processor.special_tokens.<s>.ids[0]: expected an id below 4, found 4")
change("template-without-text", "post_processor", template([3], BEGIN),
       'post_processor.single: expected a template with the text "A", found an array')
change("template-unknown-token", "post_processor", template([3], {"SpecialToken": {"id": "<t>", "type_id": 0}}, TEXT),
       'post_processor.special_tokens: "<t>" is missing')
config("config-unknown-begin-token", {"bos_token": "<begin>"}, 'bos_token: expected a token of the vocabulary, found "<begin>"')
config("config-adds-no-token", {"add_eos_token": True}, '"eos_token" is missing')
config("config-flag-is-text", {"add_bos_token": "yes"}, 'add_bos_token: expected true or false, found "yes"')
config("config-template-is-number", {"chat_template": 3}, "chat_template: expected a string, found 3")
CLASSES = "GPT2Tokenizer, CodeGenTokenizer, Qwen2Tokenizer, RobertaTokenizer, LlamaTokenizer, CodeLlamaTokenizer, GemmaTokenizer, T5Tokenizer, BertTokenizer"
LLAMA = {"tokenizer_class": "LlamaTokenizer"}
write("only-vocab-and-merges",
      f': tokenizer.json, or "tokenizer_class" in tokenizer_config.json (one of {CLASSES}), which says how text is cut, is missing',
      {"vocab.json": {"a": 0}, "merges.txt": "#version: 0.2"})
write("legacy-unknown-class",
      f"/tokenizer_config.json: tokenizer_class: a folder without tokenizer.json, of KlingonTokenizer is not supported; expected tokenizer.json, or one of {CLASSES}",
      {"tokenizer_config.json": {"tokenizer_class": "KlingonTokenizer"}})
write("legacy-without-files", ": tokenizer.json or tokenizer.model or spiece.model is missing", {"tokenizer_config.json": LLAMA})
write("sentencepiece-is-text", "/tokenizer.model: byte 1: expected wire type 0, 1, 2 or 5, found 6",
      {"tokenizer.model": "not a model", "tokenizer_config.json": LLAMA})
write("sentencepiece-is-cut", "/tokenizer.model: byte 2: expected at most 1 bytes, found a field of 9",
      {"tokenizer.model": "\n\t", "tokenizer_config.json": LLAMA})
write("legacy-merge-of-unknown-piece", '/merges.txt[0]: expected pieces of the vocabulary, found "ac"',
      {"vocab.json": {"a": 0}, "merges.txt": "#version: 0.2\na c", "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}})
write("nothing",
      f': tokenizer.json, or "tokenizer_class" in tokenizer_config.json (one of {CLASSES}), which says how text is cut, is missing', {})
print(f"{len(list(folder.iterdir()))} broken tokenizers")
