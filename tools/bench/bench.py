#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of speeds, on synthetic models of real shapes.

    make bench                                    Weft alone: prefill of 512 tokens and decode of 64
    make bench -- --against llama-cpp             llama.cpp on the same files in the same call, with ratios
    make bench -- --suite adapters,batch,context --shapes 0.5b --formats q4_0,q8_0 --threads 1,2

Every cell is measured in rounds, Weft and llama.cpp in turn, each once after an uncounted repetition; the table has medians over
the rounds, and ratios of those. Results are also stored in bench-out/result.json.
"""
import argparse
import json
import pathlib
import platform
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import cells  # noqa: E402
import engines  # noqa: E402
import synthetic  # noqa: E402

FILES = HERE.parent.parent / "bench-out"
WEFT = HERE.parent.parent / ".build/release/weft"
FIGURES = ("prefill_tokens_per_second", "decode_tokens_per_second", "step_milliseconds", "switch_microseconds")


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if pathlib.Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} cores"


def figures(rounds):
    """Medians over the rounds of what was measured."""
    return {key: statistics.median(values) for key in FIGURES if (values := [r[key] for r in rounds if key in r])}


def measure_group(group, contestants, count):
    """Rounds of every cell, engines in turn."""
    results = [{"cell": cell.described(), "rounds": {engine.name: [] for engine in contestants}} for cell in group]
    for _ in range(count):
        for cell, result in zip(group, results):
            for engine in contestants:
                if engine.name == "weft" or cell.for_llama_cpp:
                    result["rounds"][engine.name].append(engine.measure(cell))
    for result in results:
        result["medians"] = {name: figures(rounds) for name, rounds in result["rounds"].items() if rounds}
    return results


def row(result):
    cell, medians = result["cell"], result["medians"]
    texts = [cell["suite"], cell["shape"], cell["format"], cell["threads"], cell["name"]]
    for key in FIGURES:
        ours, theirs = medians["weft"].get(key), medians.get("llama_cpp", {}).get(key)
        texts.append("" if ours is None else f"{ours:.1f}")
        texts.append("" if ours is None or not theirs else f"{ours / theirs:.2f}")
    return "| " + " | ".join(str(text) for text in texts) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--against", choices=["llama-cpp"])
    parser.add_argument("--suite", type=listed, default=["base"])
    parser.add_argument("--shapes", type=listed, default=synthetic.DEFAULT_SHAPES)
    parser.add_argument("--formats", type=listed, default=synthetic.DEFAULT_FORMATS)
    parser.add_argument("--threads", type=listed, default=["1", "2"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", type=pathlib.Path, default=WEFT, help="the weft to measure")
    arguments = parser.parse_args()
    subprocess.run(
        [sys.executable, HERE / "synthetic.py", "--output", FILES, "--shapes", ",".join(arguments.shapes),
         "--formats", ",".join(arguments.formats)], check=True)

    contestants = [engines.Weft(arguments.program, FILES)]
    if arguments.against:
        contestants.append(engines.LlamaCpp(sys.executable, FILES))
    stored = []
    print(f"{machine()}; medians of {arguments.rounds} rounds; vs = Weft's figure over llama.cpp's")
    print("| suite | shape | format | threads | case | prefill, tokens/s | vs | decode, tokens/s | vs | step, ms | vs | change, µs | vs |")
    print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for suite in arguments.suite:
        for shape in arguments.shapes:
            for kind in arguments.formats:
                for threads in arguments.threads:
                    group = cells.group(suite, shape, kind, int(threads))
                    for result in measure_group(group, contestants, arguments.rounds):
                        stored.append(result)
                        print(row(result), flush=True)
                    (FILES / "result.json").write_text(json.dumps(dict(machine=machine(), cells=stored), indent=1))


if __name__ == "__main__":
    main()
