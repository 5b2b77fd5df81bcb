# SPDX-License-Identifier: Apache-2.0
"""Perplexity of GGUF files by llama.cpp, in the windows of llama-perplexity (which `weft perplexity` uses too).

    tools/compare_perplexity.py TEXT MODEL.gguf [MODEL.gguf ...] [--context 512] [--chunks N] [--weft .build/release/weft]
    tools/compare_perplexity.py TEXT --master F32.gguf --types Q4_0,Q4_K_M,Q6_K --weft .build/release/weft

The text is cut into windows of `--context` tokens without overlap; the first token of each is replaced by the begin token where
the model has one; the second half of a window is scored. With --master, llama.cpp and Weft both quantise that file to each type,
and llama.cpp measures both results: the difference of two quantisations is paired token by token, so its error is far smaller
than that of either perplexity. With --weft and no --master, Weft measures the same files.
"""
import argparse
import ctypes
import math
import re
import subprocess
import tempfile
from pathlib import Path

import llama_cpp
import numpy as np

FILE_TYPES = {
    "F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16,
    "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "BF16": 32,
}


def log_probabilities(model: str, text: str, context: int, chunks: int | None) -> tuple[np.ndarray, np.ndarray]:
    """Natural-log probabilities of the whole vocabulary at all scored places, and the tokens that stand there."""
    llama = llama_cpp.Llama(model, n_ctx=context, n_batch=context, n_ubatch=context, logits_all=True, verbose=False, n_threads=2)
    vocabulary = llama_cpp.llama_model_get_vocab(llama.model)
    add_begin = llama_cpp.llama_vocab_get_add_bos(vocabulary)
    tokens = llama.tokenize(text.encode(), add_bos=add_begin, special=False)
    count = min(len(tokens) // context, chunks or 1 << 30)
    rows, targets = [], []
    for chunk in range(count):
        window = tokens[chunk * context : (chunk + 1) * context]
        if add_begin:
            window[0] = llama.token_bos()
        llama.reset()
        llama.eval(window)
        first = context // 2
        logits = np.array(llama.scores[first : context - 1], dtype=np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        rows.append((logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(np.float32))
        targets += window[first + 1 :]
    llama.close()
    return np.concatenate(rows), np.array(targets)


def chosen(rows: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return rows[np.arange(len(targets)), targets].astype(np.float64)


def divergence(master: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Kullback-Leibler divergence of `other` from `master` at every place."""
    return (np.exp(master) * (master - other)).sum(axis=1, dtype=np.float64)


def summary(scores: np.ndarray) -> str:
    mean, deviation = -scores.mean(), scores.std() / math.sqrt(len(scores) - 1)
    return f"{math.exp(mean):9.4f} ± {math.exp(mean) * deviation:.4f} ({len(scores)} tokens)"


def quantize_with_llama(source: str, target: str, kind: str) -> None:
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = FILE_TYPES[kind]
    parameters.nthread = 2
    if llama_cpp.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters)):
        raise SystemExit(f"llama.cpp did not quantise {source} to {kind}")


def paired(values: np.ndarray) -> str:
    return f"{values.mean():+.5f} ± {values.std() / math.sqrt(len(values) - 1):.5f}"


def compare_quantisations(arguments: argparse.Namespace, text: str) -> None:
    master, targets = log_probabilities(arguments.master, text, arguments.context, arguments.chunks)
    print(f"master   {summary(chosen(master, targets))}")
    print("         perplexity           divergence from the master")
    print("type     llama.cpp      Weft  llama.cpp     Weft  Weft - llama.cpp: log perplexity; divergence")
    for kind in arguments.types.split(","):
        with tempfile.TemporaryDirectory() as folder:
            theirs, ours = f"{folder}/theirs.gguf", f"{folder}/ours.gguf"
            quantize_with_llama(arguments.master, theirs, kind)
            command = [arguments.weft, "quantize", arguments.master, "--type", kind, "--output", ours]
            subprocess.run(command + arguments.weft_options.split(), check=True, capture_output=True)
            them, us = (log_probabilities(path, text, arguments.context, arguments.chunks)[0] for path in (theirs, ours))
            sizes = [Path(path).stat().st_size for path in (theirs, ours)]
        p, q = chosen(them, targets), chosen(us, targets)
        k, l = divergence(master, them), divergence(master, us)
        print(
            f"{kind:8s} {math.exp(-p.mean()):9.4f} {math.exp(-q.mean()):9.4f}  {k.mean():9.5f} {l.mean():8.5f}  {paired(p - q)}; "
            f"{paired(l - k)}{'' if sizes[0] == sizes[1] else f'  bytes {sizes[0]} {sizes[1]}'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text")
    parser.add_argument("models", nargs="*")
    parser.add_argument("--master")
    parser.add_argument("--types", default="Q8_0,Q6_K,Q5_K_M,Q5_K_S,Q4_K_M,Q4_K_S,IQ4_NL,Q5_1,Q5_0,Q4_1,Q4_0")
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--chunks", type=int)
    parser.add_argument("--weft")
    parser.add_argument("--weft-options", default="", help="further options for weft quantize")
    arguments = parser.parse_args()
    text = Path(arguments.text).read_bytes().decode()
    if arguments.master:
        compare_quantisations(arguments, text)
    for model in arguments.models:
        scores = chosen(*log_probabilities(model, text, arguments.context, arguments.chunks))
        print(f"{model}: llama.cpp {summary(scores)}")
        if arguments.weft:
            command = [arguments.weft, "perplexity", "--model", model, "--file", arguments.text, "--context", str(arguments.context)]
            command += ["--chunks", str(arguments.chunks)] if arguments.chunks else []
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            ours = float(re.search(r"perplexity ([0-9.]+)", output)[1])
            print(f"{model}: Weft      {output.strip()}; log difference {math.log(ours) + scores.mean():+.6f}")


if __name__ == "__main__":
    main()
