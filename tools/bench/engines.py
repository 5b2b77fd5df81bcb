# SPDX-License-Identifier: Apache-2.0
"""Runs one cell in Weft or llama.cpp, each in a process of its own, and reads what it prints."""
import json
import os
import pathlib
import subprocess
from dataclasses import replace

HERE = pathlib.Path(__file__).resolve().parent
# Tokens of a context from which on llama.cpp's best way to compute attention does not change.
LONG = 4096


class Failed(Exception):
    """A command that ended with an error; its text says which and what it printed."""


def last_json(command, environment=None):
    """Runs a command and reads the JSON in its last line."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, env={**os.environ, **(environment or {})})
    lines = done.stdout.strip().splitlines()
    if done.returncode != 0 or not lines:
        raise Failed(f"{' '.join(words)}\nended with {done.returncode}\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def load_arguments(cell):
    """The options that both engines spell alike."""
    words = ["--threads", cell.threads, "--decode", cell.decode]
    words += ["--context", cell.context] if cell.context else ["--prefill", cell.prefill]
    words += ["--sequences", cell.sequences] if cell.sequences > 1 else []
    return words + ["--different"] * cell.different + (["--switching"] if cell.switching else ["--repetitions", 1])


class Weft:
    name = "weft"

    def __init__(self, program, files, isa=None):
        self.program, self.files, self.isa = program, files, isa

    def measure(self, cell):
        command = [self.program, "bench", "--json", "--model", self.files / f"{cell.shape}-{cell.format}.gguf", *load_arguments(cell)]
        for number in range(cell.adapters):
            path = self.files / f"{cell.shape}-adapter-{number}"
            command += ["--adapter", f"a{number}={path if cell.factors == 'f16' else f'{path}-{cell.factors}.weft'}"]
        return last_json(command, {"WEFT_ISA": self.isa} if self.isa else None)


class LlamaCpp:
    """The better of both ways to compute attention counts. Where one was the best in nothing, it is not measured again; nor behind
    longer contexts, whose prompts take minutes."""
    name = "llama_cpp"

    def __init__(self, python, files):
        self.python, self.files = python, files
        self.attention = {}

    def measure(self, cell):
        alike = replace(cell, context=min(cell.context, LONG)) if cell.context else cell
        command = [
            self.python, HERE / "llama_cpp_speed.py", self.files / f"{cell.shape}-{cell.format}.gguf", *load_arguments(cell),
            "--attention", ",".join(self.attention.get(alike, ["plain", "flash"]))]
        for number in range(cell.adapters):
            command += ["--adapter", self.files / f"{cell.shape}-adapter-{number}.gguf"]
        results = last_json(command)
        best, winners = better_of(results)
        self.attention.setdefault(alike, winners)
        return best


def better_of(results):
    """From results by name: of every figure the best one, and the names that had one of those."""
    best, winners = {}, set()
    for key in next(iter(results.values())):
        is_speed = key.endswith("_per_second")
        name = (max if is_speed else min)(results, key=lambda name: results[name][key])
        best[key] = results[name][key]
        winners.add(name)
    return best, sorted(winners)
