#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures llama.cpp on one model: the same prompt and the same number of tokens as `weft bench --json`, one line of JSON.

Its best settings are used: flash attention where `--flash` says so, all threads for prompt and generation, memory mapping
off so that weights are repacked, the whole prompt in one batch.
"""
import argparse
import json
import statistics
import time

import llama_cpp as llama


def open_model(path):
    llama.llama_log_set(QUIET, None)
    llama.llama_backend_init()
    parameters = llama.llama_model_default_params()
    parameters.use_mmap = False
    return llama.llama_model_load_from_file(path.encode(), parameters)


@llama.llama_log_callback
def QUIET(level, text, data):
    pass


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--adapter", action="append", default=[], help="an adapter in GGUF, with scale 1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prefill", type=int, default=512)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--flash", action="store_true")
    arguments = parser.parse_args()

    model = open_model(arguments.model)
    options = llama.llama_context_default_params()
    options.n_ctx = arguments.prefill + arguments.decode + 8
    options.n_batch = options.n_ubatch = arguments.prefill
    options.n_threads = options.n_threads_batch = arguments.threads
    options.flash_attn_type = 1 if arguments.flash else 0
    context = llama.llama_init_from_model(model, options)
    adapters = [llama.llama_adapter_lora_init(model, path.encode()) for path in arguments.adapter]
    if adapters:
        handles = (llama.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
        scales = (llama.ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
        assert llama.llama_set_adapters_lora(context, handles, len(adapters), scales) == 0

    vocabulary = llama.llama_vocab_n_tokens(llama.llama_model_get_vocab(model))
    tokens = [(i * 7919 + 13) % vocabulary for i in range(arguments.prefill)]
    prefill, decode = [], []
    for repetition in range(arguments.repetitions + 1):
        llama.llama_memory_clear(llama.llama_get_memory(context), True)
        prompt = (llama.llama_token * len(tokens))(*tokens)
        begin = time.perf_counter()
        assert llama.llama_decode(context, llama.llama_batch_get_one(prompt, len(tokens))) == 0
        llama.llama_synchronize(context)
        middle = time.perf_counter()
        one = (llama.llama_token * 1)(tokens[0])
        for _ in range(arguments.decode):
            assert llama.llama_decode(context, llama.llama_batch_get_one(one, 1)) == 0
            llama.llama_synchronize(context)
        end = time.perf_counter()
        if repetition > 0:
            prefill.append(len(tokens) / (middle - begin))
            decode.append(arguments.decode / (end - middle))
    print(json.dumps({"prefill_tokens_per_second": statistics.median(prefill),
                      "decode_tokens_per_second": statistics.median(decode)}))


if __name__ == "__main__":
    main()
