#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The table of speeds: prefill of 512 tokens and decode of 64, on synthetic models of real shapes.

    make bench                                    Weft alone
    make bench -- --against llama-cpp             llama.cpp on the same files in the same call, with ratios
    make bench -- --shapes 0.5b --formats q4_0 --threads 1 --adapters 0,1
    make bench -- --shapes 1b --formats q4_k_m,q5_k_m,q6_k,iq4_xs --adapters 0

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
import synthetic  # noqa: E402

FILES = HERE.parent.parent / "bench-out"
WEFT = HERE.parent.parent / ".build/release/weft"


def last_json(command):
    """Runs a command and reads the JSON in its last line."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(str(word) for word in command)}\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def weft(shape, kind, threads, adapters):
    command = [WEFT, "bench", "--json", "--repetitions", 1, "--model", FILES / f"{shape}-{kind}.gguf", "--threads", threads]
    for number in range(adapters):
        command += ["--adapter", f"a{number}={FILES / f'{shape}-adapter-{number}'}"]
    return last_json(command)


def llama_cpp(shape, kind, threads, adapters):
    """The better of both of its attention implementations."""
    command = [
        sys.executable, HERE / "llama_cpp_speed.py", FILES / f"{shape}-{kind}.gguf", "--threads", threads, "--repetitions", 1]
    for number in range(adapters):
        command += ["--adapter", FILES / f"{shape}-adapter-{number}.gguf"]
    results = [last_json(command), last_json(command + ["--flash"])]
    return {key: max(result[key] for result in results) for key in results[0]}


def machine():
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines() if pathlib.Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} cores"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    listed = lambda text: text.split(",")  # noqa: E731
    parser.add_argument("--against", choices=["llama-cpp"])
    parser.add_argument("--shapes", type=listed, default=synthetic.DEFAULT_SHAPES)
    parser.add_argument("--formats", type=listed, default=synthetic.DEFAULT_FORMATS)
    parser.add_argument("--threads", type=listed, default=["1", "2"])
    parser.add_argument("--adapters", type=listed, default=["0", "1", "4"])
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    subprocess.run(
        [sys.executable, HERE / "synthetic.py", "--output", FILES, "--shapes", ",".join(arguments.shapes),
         "--formats", ",".join(arguments.formats)], check=True)

    cells = []
    print(f"{machine()}; tokens per second, medians of {arguments.rounds} rounds")
    print("| shape | format | threads | adapters | prefill 512 | decode 64 |" + (" vs llama.cpp | |" if arguments.against else ""))
    print("|---|---|---|---|---|---|" + ("---|---|" if arguments.against else ""))
    for shape in arguments.shapes:
        for kind in arguments.formats:
            for threads in arguments.threads:
                counts = [int(count) for count in arguments.adapters]
                rounds = {("weft", count): [] for count in counts} | {("llama", count): [] for count in counts}
                for _ in range(arguments.rounds):
                    for count in counts:
                        rounds["weft", count].append(weft(shape, kind, threads, count))
                        if arguments.against:
                            rounds["llama", count].append(llama_cpp(shape, kind, threads, count))
                for count in counts:
                    cell = dict(shape=shape, format=kind, threads=int(threads), adapters=count)
                    for name in ("prefill", "decode"):
                        for engine in ("weft", "llama"):
                            values = [result[f"{name}_tokens_per_second"] for result in rounds[engine, count]]
                            if values:
                                cell[f"{engine}_{name}"] = statistics.median(values)
                    cells.append(cell)
                    row = f"| {shape} | {kind} | {threads} | {count} | {cell['weft_prefill']:.0f} | {cell['weft_decode']:.1f} |"
                    if arguments.against:
                        row += f" {cell['weft_prefill'] / cell['llama_prefill']:.2f} | {cell['weft_decode'] / cell['llama_decode']:.2f} |"
                    print(row, flush=True)
    (FILES / "result.json").write_text(json.dumps(dict(machine=machine(), cells=cells), indent=1))


if __name__ == "__main__":
    main()
