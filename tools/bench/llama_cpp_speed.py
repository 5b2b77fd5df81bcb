#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures llama.cpp on one model: the same prompts and the same numbers of tokens as `weft bench --json`. The last line is JSON,
with one object for each of its two ways to compute attention.

    python llama_cpp_speed.py MODEL --threads 2
    python llama_cpp_speed.py MODEL --sequences 8                             one batch of 8 tokens in every step
    python llama_cpp_speed.py MODEL --sequences 8 --different --adapter A ... one sequence after the other: adapters cannot be batched
    python llama_cpp_speed.py MODEL --adapter A --adapter B --switching       another adapter before every other token
    python llama_cpp_speed.py MODEL --context 16384                           a prompt that is computed once

Its best settings are used: all threads for prompt and generation, weights copied into memory in the layout of its own kernels
(no memory mapping), prompts in batches of 512.
"""
import argparse
import ctypes
import json
import statistics
import time

import llama_cpp as llama

ATTENTION = {"plain": 0, "flash": 1}


@llama.llama_log_callback
def QUIET(level, text, data):
    pass


def set_field(parameters, name, value):
    """ctypes takes any attribute in silence; only those of the C structure have an effect."""
    if name not in dict(parameters._fields_):
        raise SystemExit(f"this llama.cpp has no parameter {name}")
    setattr(parameters, name, value)


def open_model(path):
    llama.llama_log_set(QUIET, None)
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    if "load_mode" in dict(parameters._fields_):
        set_field(parameters, "load_mode", llama.LLAMA_LOAD_MODE_NONE)
    else:
        set_field(parameters, "use_mmap", False)
    model = llama.llama_model_load_from_file(path.encode(), parameters)
    if not model:
        raise SystemExit(f"{path}: llama.cpp cannot load it")
    return model


class Context:
    """One context, and the steps that are measured in it."""

    def __init__(self, model, arguments, attention):
        self.prompt, self.decode = arguments.context or arguments.prefill, arguments.decode
        self.sequences = 1 if arguments.different else arguments.sequences
        options = llama.llama_context_default_params()
        steps = 2 * self.decode if arguments.switching else self.decode
        set_field(options, "n_ctx", self.sequences * (-(-(self.prompt + steps + 8) // 256) * 256))
        set_field(options, "n_seq_max", self.sequences)
        set_field(options, "n_batch", max(self.sequences, min(self.prompt, 512)))
        set_field(options, "n_ubatch", options.n_batch)
        set_field(options, "n_threads", arguments.threads)
        set_field(options, "n_threads_batch", arguments.threads)
        set_field(options, "flash_attn_type", ATTENTION[attention])
        self.context = llama.llama_init_from_model(model, options)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")
        self.memory = llama.llama_get_memory(self.context)
        vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
        self.tokens = [[(i * 7919 + s * 104729 + 13) % vocabulary for i in range(self.prompt)] for s in range(self.sequences)]
        self.batch = llama.llama_batch_init(options.n_batch, 0, 1)

    def activate(self, adapters):
        handles = (llama.llama_adapter_lora_p_ctypes * max(1, len(adapters)))(*adapters)
        scales = (ctypes.c_float * max(1, len(adapters)))(*[1.0] * len(adapters))
        assert llama.llama_set_adapters_lora(self.context, handles, len(adapters), scales) == 0

    def run(self, rows, wants_last=False):
        """One llama_decode of (token, position, sequence); logits of every row, or of the last one."""
        self.batch.n_tokens = len(rows)
        for i, (token, position, sequence) in enumerate(rows):
            self.batch.token[i], self.batch.pos[i] = token, position
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
            self.batch.logits[i] = not wants_last or i == len(rows) - 1
        assert llama.llama_decode(self.context, self.batch) == 0
        llama.llama_synchronize(self.context)

    def clear(self):
        llama.llama_memory_clear(self.memory, True)

    def prefill(self, count):
        """Seconds of the prompts' first `count` tokens."""
        size = llama.llama_n_batch(self.context)
        begin = time.perf_counter()
        for sequence, tokens in enumerate(self.tokens):
            for first in range(0, count, size):
                last = min(count, first + size)
                self.run([(tokens[i], i, sequence) for i in range(first, last)], wants_last=True)
        return time.perf_counter() - begin

    def step(self, index):
        """Seconds of one step: a token for every sequence."""
        begin = time.perf_counter()
        self.run([(tokens[0], self.prompt + index, sequence) for sequence, tokens in enumerate(self.tokens)])
        return time.perf_counter() - begin


def measure_speed(context, arguments):
    """Prompts and steps; with --context, the prompts once."""
    prefills, decodes, steps = [], [], []
    if arguments.context:
        context.prefill(min(8, context.prompt))
    for repetition in range(arguments.repetitions + 1):
        if repetition == 0 or not arguments.context:
            context.clear()
            seconds = context.prefill(context.prompt)
            if bool(arguments.context) == (repetition == 0):
                prefills.append(context.sequences * context.prompt / seconds)
        else:
            for sequence in range(context.sequences):
                llama.llama_memory_seq_rm(context.memory, sequence, context.prompt, -1)
        times = [context.step(index) for index in range(context.decode)]
        if repetition > 0:
            decodes.append(context.sequences * context.decode / sum(times))
            steps.append(statistics.median(times))
    return {"prefill_tokens_per_second": statistics.median(prefills), "decode_tokens_per_second": statistics.median(decodes),
            "step_milliseconds": statistics.median(steps) * 1e3}


def measure_serial(context, adapters, arguments):
    """Sequences one after the other, each with an adapter of its own that is set before its steps."""
    total = 0.0
    for index in range(-1, arguments.sequences):  # the first one is not counted
        context.clear()
        context.prefill(context.prompt)
        begin = time.perf_counter()
        context.activate([adapters[index % len(adapters)]])
        for step in range(context.decode):
            context.step(step)
        total += time.perf_counter() - begin if index >= 0 else 0
    return {"decode_tokens_per_second": arguments.sequences * context.decode / total}


def measure_switching(context, adapters):
    """Pairs of steps, with a change of the adapter before one of them."""
    context.activate(adapters[:1])
    context.prefill(context.prompt)
    context.step(0)
    differences, steps = [], []
    for pair in range(1, context.decode):
        times = {}
        for position, changes in enumerate([pair % 2 == 1, pair % 2 == 0]):
            begin = time.perf_counter()
            if changes:
                context.activate([adapters[pair % len(adapters)]])
            context.step(2 * pair - 1 + position)
            times[changes] = time.perf_counter() - begin
        differences.append((times[True] - times[False]) * 1e6)
        steps.append(times[False])
    return {"switch_microseconds": statistics.median(differences), "step_milliseconds": statistics.median(steps) * 1e3}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--adapter", action="append", default=[], help="an adapter in GGUF, with scale 1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--sequences", type=int, default=1)
    parser.add_argument("--different", action="store_true")
    parser.add_argument("--context", type=int)
    parser.add_argument("--switching", action="store_true")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--attention", default="plain,flash", help="which ways to compute attention")
    arguments = parser.parse_args()

    model = open_model(arguments.model)
    adapters = [llama.llama_adapter_lora_init(model, path.encode()) for path in arguments.adapter]
    if not all(adapters):
        raise SystemExit("llama.cpp cannot load the adapters")
    results = {}
    for attention in arguments.attention.split(","):
        context = Context(model, arguments, attention)
        if arguments.different:
            results[attention] = measure_serial(context, adapters, arguments)
        elif arguments.switching:
            results[attention] = measure_switching(context, adapters)
        else:
            if adapters:
                context.activate(adapters)
            results[attention] = measure_speed(context, arguments)
        llama.llama_free(context.context)
    print(json.dumps(results))


if __name__ == "__main__":
    main()
