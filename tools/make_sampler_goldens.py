#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Distributions that other programs leave after their sampling filters: Tests/Goldens/sampling/*.json.

    python tools/make_sampler_goldens.py ../shared/data/models/stories260K/stories260K-f32.gguf Models/demo/base.gguf

Needs torch, transformers, llama-cpp-python. The models lend their vocabularies, for the sequence breakers of DRY and for grammars.

transformers.json   one filter each, by transformers' logits processors
llama.json          single filters and whole chains in llama.cpp's default order, by llama.cpp's samplers
dry.json            what DRY and the penalties take from logits that are all zero
mirostat.json       runs of Mirostat 2: what may be drawn at each step, and what llama.cpp drew
grammars.json       which tokens llama.cpp's grammar sampler permits behind beginnings of texts
"""
import ctypes
import itertools
import json
import math
import pathlib
import random
import sys

import llama_cpp
import torch
import transformers
from transformers.generation import logits_process

FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/sampling"
SIZE = 48
torch.set_num_threads(1)


def rounded(value):
    return float(f"{value:.8g}")


def write(name, cases, source):
    lines = ",\n".join(json.dumps(case) for case in cases)
    (FOLDER / name).write_text(f'{{"source": "{source}", "cases": [\n{lines}\n]}}\n')


def make_logits(seed, spread):
    generator = random.Random(seed)
    return [rounded(generator.gauss(0, spread)) for _ in range(SIZE)]


def make_history(seed, count):
    generator = random.Random(seed)
    return [generator.randrange(SIZE // 3) for _ in range(count)]


def distribution(pairs):
    best = max(logit for _, logit in pairs)
    weights = {token: math.exp(logit - best) for token, logit in pairs}
    total = sum(weights.values())
    return {str(token): rounded(weight / total) for token, weight in sorted(weights.items())}


# MARK: transformers

def transformers_cases():
    rows = [
        ({"temperature": 0.7}, lambda: logits_process.TemperatureLogitsWarper(0.7)),
        ({"temperature": 1.6}, lambda: logits_process.TemperatureLogitsWarper(1.6)),
        ({"topK": 1}, lambda: logits_process.TopKLogitsWarper(1)),
        ({"topK": 7}, lambda: logits_process.TopKLogitsWarper(7)),
        ({"topP": 0.3}, lambda: logits_process.TopPLogitsWarper(0.3)),
        ({"topP": 0.92}, lambda: logits_process.TopPLogitsWarper(0.92)),
        ({"minP": 0.05}, lambda: logits_process.MinPLogitsWarper(0.05)),
        ({"minP": 0.4}, lambda: logits_process.MinPLogitsWarper(0.4)),
        ({"typicalP": 0.2}, lambda: logits_process.TypicalLogitsWarper(0.2)),
        ({"typicalP": 0.9}, lambda: logits_process.TypicalLogitsWarper(0.9)),
        ({"repetitionPenalty": 1.3}, lambda: logits_process.RepetitionPenaltyLogitsProcessor(1.3)),
        ({"repetitionPenalty": 0.8}, lambda: logits_process.RepetitionPenaltyLogitsProcessor(0.8)),
    ]
    for seed in range(3):
        logits, history = make_logits(seed, 1 + seed), make_history(seed, 12)
        for options, processor in rows:
            scores = processor()(torch.tensor([history]), torch.tensor([logits]))[0].tolist()
            yield {"options": options, "logits": logits, "history": history,
                   "kept": distribution([(i, s) for i, s in enumerate(scores) if s > -math.inf])}


# MARK: llama.cpp

class Chain:
    """Samplers of llama.cpp that see one list of candidates after another."""

    def __init__(self, samplers):
        self.samplers = samplers

    def accept(self, tokens):
        for token in tokens:
            for sampler in self.samplers:
                llama_cpp.llama_sampler_accept(sampler, token)

    def apply(self, logits):
        """(token, logit, probability) of what is left, and which one was selected, if any."""
        data = (llama_cpp.llama_token_data * len(logits))(*[(i, x, 0) for i, x in enumerate(logits)])
        array = llama_cpp.llama_token_data_array(data=data, size=len(logits), selected=-1, sorted=False)
        for sampler in self.samplers:
            llama_cpp.llama_sampler_apply(sampler, ctypes.byref(array))
        left = [(array.data[i].id, array.data[i].logit, array.data[i].p) for i in range(array.size)]
        return left, left[array.selected][0] if array.selected >= 0 else None


def make_chain(vocab, options):
    c = llama_cpp
    samplers = []
    if "logitBias" in options:
        pairs = [(int(k), v) for k, v in options["logitBias"].items()]
        samplers.append(c.llama_sampler_init_logit_bias(SIZE, len(pairs), (c.llama_logit_bias * len(pairs))(*pairs)))
    if {"repetitionPenalty", "frequencyPenalty", "presencePenalty"} & set(options):
        samplers.append(c.llama_sampler_init_penalties(
            llama_cpp.llama_vocab_n_tokens(vocab), options.get("repetitionWindow", 64), options.get("repetitionPenalty", 1.0),
            options.get("frequencyPenalty", 0.0), options.get("presencePenalty", 0.0)))
    if "dry" in options:
        dry = options["dry"]
        breakers = [text.encode() for text in dry["sequenceBreakers"]]
        samplers.append(c.llama_sampler_init_dry(
            vocab, dry["multiplier"], dry["base"], dry["allowedLength"], dry.get("window", 4096),
            (ctypes.c_char_p * len(breakers))(*breakers), len(breakers)))
    if "topK" in options:
        samplers.append(c.llama_sampler_init_top_k(options["topK"]))
    if "typicalP" in options:
        samplers.append(c.llama_sampler_init_typical(options["typicalP"], 1))
    if "topP" in options:
        samplers.append(c.llama_sampler_init_top_p(options["topP"], 1))
    if "minP" in options:
        samplers.append(c.llama_sampler_init_min_p(options["minP"], 1))
    if "xtc" in options:
        samplers.append(c.llama_sampler_init_xtc(1.0, options["xtc"], 1, 7))
    if "temperature" in options:
        samplers.append(c.llama_sampler_init_temp(options["temperature"]))
    return Chain(samplers)


def llama_cases(vocab):
    rows = [
        {"logitBias": {"3": 2.5, "11": -4.0, "20": -1e30}},
        {"repetitionPenalty": 1.4}, {"frequencyPenalty": 0.6}, {"presencePenalty": 1.1},
        {"repetitionPenalty": 1.2, "frequencyPenalty": -0.3, "presencePenalty": 0.5, "repetitionWindow": 5},
        {"topK": 5}, {"typicalP": 0.3}, {"typicalP": 0.95}, {"topP": 0.6}, {"minP": 0.2},
        {"xtc": 0.05}, {"xtc": 0.1}, {"xtc": 0.2}, {"xtc": 0.4}, {"temperature": 0.3},
        {"topK": 20, "typicalP": 0.8, "topP": 0.9, "minP": 0.1, "temperature": 1.5},
        {"typicalP": 0.7, "topP": 0.5, "temperature": 0.5},
        {"topP": 0.9, "minP": 0.05, "xtc": 0.1, "temperature": 0.8},
        {"logitBias": {"5": 3.0}, "repetitionPenalty": 1.1, "presencePenalty": 0.4, "topK": 12, "topP": 0.95, "minP": 0.02,
         "xtc": 0.07, "temperature": 1.2},
    ]
    for seed in range(10, 14):
        logits, history = make_logits(seed, 0.8 + (seed - 10) * 0.8), make_history(seed, 30)
        for options in rows:
            chain = make_chain(vocab, options)
            chain.accept(history)
            left, _ = chain.apply(logits)
            yield {"options": options, "logits": logits, "history": history,
                   "kept": distribution([(token, logit) for token, logit, _ in left])}


def tokenize(vocab, text):
    buffer = (llama_cpp.llama_token * 512)()
    return list(buffer[:llama_cpp.llama_tokenize(vocab, text.encode(), len(text.encode()), buffer, 512, False, False)])


def dry_cases(vocabularies, texts):
    """Texts with repetitions, tokenized by llama.cpp, under breakers that are parts of tokens, tokens and several tokens."""
    rows = [
        {"dry": {"multiplier": 0.8, "base": 1.75, "allowedLength": 2, "sequenceBreakers": ["\n", ":", "\"", "*"]}},
        {"dry": {"multiplier": 1.5, "base": 1.1, "allowedLength": 1, "sequenceBreakers": []}},
        {"dry": {"multiplier": 0.5, "base": 2.0, "allowedLength": 3, "sequenceBreakers": ["and", "."]}},
        {"dry": {"multiplier": 2.0, "base": 1.3, "allowedLength": 2, "sequenceBreakers": ["big dog", "d b a", "he sa"]}},
        {"dry": {"multiplier": 1.0, "base": 1.2, "allowedLength": 2, "window": 20, "sequenceBreakers": [","]}},
        {"repetitionPenalty": 1.0, "frequencyPenalty": 0.25, "presencePenalty": 0.75, "repetitionWindow": 40},
    ]
    for (name, vocab), text, options in itertools.product(vocabularies.items(), texts, rows):
        history = tokenize(vocab, text)
        chain = make_chain(vocab, options)
        chain.accept(history)
        left, _ = chain.apply([0.0] * llama_cpp.llama_vocab_n_tokens(vocab))
        yield {"vocabulary": name, "options": options, "history": history,
               "changes": {str(token): rounded(logit) for token, logit, _ in sorted(left) if logit != 0}}


def mirostat_cases():
    for seed, (target, rate, temperature) in enumerate([(5.0, 0.1, 1.0), (2.0, 0.3, 1.0), (3.0, 0.5, 1.7), (0.5, 1.0, 0.8)]):
        chain = Chain([llama_cpp.llama_sampler_init_temp(temperature), llama_cpp.llama_sampler_init_mirostat_v2(seed, target, rate)])
        steps = []
        for step in range(8):
            logits = make_logits(1000 * seed + step, 1.5)
            left, selected = chain.apply(logits)
            steps.append({"logits": logits, "selected": selected,
                          "kept": distribution([(token, logit) for token, logit, _ in left])})
        yield {"options": {"mirostat": {"targetSurprise": target, "learningRate": rate}, "temperature": temperature},
               "steps": steps}


def grammar_cases(vocabularies):
    """Which tokens may follow. llama.cpp keeps logits of tokens that its grammar permits, and sets others to -infinity."""
    grammars = {
        "arithmetic": ('root ::= sum\nsum ::= product (" "? [-+] " "? product)*\n'
                       'product ::= value ("*" value)*\nvalue ::= [0-9]{1,3} | "(" sum ")"\n',
                       ["", "1", "12", "123", "(1", "(1+2)", "(1 + ", "1 "]),
        "words": ('root ::= ("Once upon" | "One day") [^0-9\\x00-\\x1F]{0,12} "."\n', ["", "O", "On", "Once", "One day", "One day the"]),
        "accents": ('root ::= [à-ÿ]+ | "–" [\\u2014-\\U0001F600]* "x"\n', ["", "é", "–", "–😀"]),
        "json": ('root ::= object\nvalue ::= object | array | string | number | "true" | "null"\n'
                 'object ::= "{" (string ":" " "? value ("," " "? string ":" " "? value)*)? "}"\n'
                 'array ::= "[" (value ("," " "? value)*)? "]"\n'
                 'string ::= "\\"" ([^"\\\\\\x00-\\x1F] | "\\\\" (["\\\\bfnrt/] | "u" [0-9a-fA-F]{4}))* "\\""\n'
                 'number ::= "-"? ("0" | [1-9] [0-9]*) ("." [0-9]+)?\n',
                 ["", "{", "{\"", "{\"a\\", "{\"a\\u00", "{\"a\": ", "{\"a\": [1", "{\"a\": -", "{\"a\": null}", "{\"été"]),
    }
    for (vocabulary, vocab), (grammar, beginnings) in itertools.product(vocabularies.items(), grammars.values()):
        size = llama_cpp.llama_vocab_n_tokens(vocab)
        for text in beginnings:
            # The tokenizer of stories260K puts a space before a text: byte tokens (3 + byte) spell it without one.
            tokens = [3 + byte for byte in text.encode()] if vocabulary == "stories260K" else tokenize(vocab, text)
            sampler = llama_cpp.llama_sampler_init_grammar(vocab, grammar.encode(), b"root")
            for token in tokens:
                llama_cpp.llama_sampler_accept(sampler, token)
            left, _ = Chain([sampler]).apply([0.0] * size)
            permitted = sorted(token for token, logit, _ in left if logit > -math.inf)
            case = {"vocabulary": vocabulary, "grammar": grammar, "tokens": tokens}
            if len(permitted) * 2 < size:
                yield {**case, "permitted": permitted}
            else:
                yield {**case, "refused": sorted(set(range(size)) - set(permitted))}


def main():
    llama_cpp.llama_log_set(ctypes.cast(None, llama_cpp.llama_log_callback), None)
    parameters = llama_cpp.llama_model_default_params()
    parameters.vocab_only = True
    vocabularies = {}
    for name, path in zip(["stories260K", "demo"], sys.argv[1:3]):
        model = llama_cpp.llama_model_load_from_file(path.encode(), parameters)
        vocabularies[name] = llama_cpp.llama_model_get_vocab(model)
    FOLDER.mkdir(parents=True, exist_ok=True)
    llama = f"llama-cpp-python {llama_cpp.__version__}"
    write("transformers.json", transformers_cases(), f"transformers {transformers.__version__}")
    write("llama.json", llama_cases(vocabularies["stories260K"]), llama)
    write("dry.json", dry_cases(vocabularies, [
        "The cat sat on the mat. The cat sat on the",
        "One day, a big dog ran and ran and ran and ran and ran and",
        "Tom: hello, Lily: hello, Tom: hello, Lily:",
        "The big dog saw the big dog. The big dog saw the big",
        "\"Hi,\" he said. \"Hi,\" she said. \"Hi,\" he said. \"Hi,\" she",
        "Sort: d b a c. Sort: d b a c. Sort: d b a",
    ]), llama)
    write("mirostat.json", mirostat_cases(), llama)
    write("grammars.json", grammar_cases(vocabularies), llama)


if __name__ == "__main__":
    main()
