#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tables of speeds, on synthetic models of real shapes.

    make bench                                    Weft alone: prefill of 512 tokens and decode of 64
    make bench -- --against llama-cpp             llama.cpp on the same files in the same call, with ratios
    make bench -- --suite adapters,batch,context --shapes 0.5b --formats q4_0,q8_0 --threads 1,2
    make bench -- --suite all --shapes all --against llama-cpp --resume

Suites are base, adapters (0, 1 and 4 active, f16 and ternary, and a change between two tokens), batch (1 to 16 sequences together,
and 8 with 8 adapters, f16 and ternary) and context (decode behind up to 16,384 tokens, and their prefill).

Every cell is measured in rounds, Weft and llama.cpp in turn, each once after an uncounted repetition. A probe before and after
each pair says whether the machine was free; if not, the pair is measured again, and a cell that is disturbed too often has no
figure. All rounds are stored in bench-out/result.json after every pair (--output), from where table.py prints and draw.py draws.
"""
import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import cells  # noqa: E402
import engines  # noqa: E402
import machine  # noqa: E402
import probe  # noqa: E402
import rounds  # noqa: E402
import store  # noqa: E402
import synthetic  # noqa: E402
import table  # noqa: E402
import weights  # noqa: E402

FILES = HERE.parent.parent / "bench-out"
WEFT = HERE.parent.parent / ".build/release/weft"


def parsed(words):
    def listed(known):
        def parse(text):
            names = list(known) if text == "all" else text.split(",")
            for name in names:
                if name not in known:
                    raise argparse.ArgumentTypeError(f"expected all or some of {','.join(known)}, found {name}")
            return names
        return parse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", choices=["llama-cpp"])
    parser.add_argument("--suite", type=listed(cells.SUITES), default=["base"])
    parser.add_argument("--shapes", type=listed(synthetic.SHAPES), default=synthetic.DEFAULT_SHAPES)
    parser.add_argument("--formats", type=listed(synthetic.FORMATS), default=synthetic.DEFAULT_FORMATS)
    parser.add_argument("--threads", type=lambda text: [int(word) for word in text.split(",")], default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--isa", help="the instructions that Weft may use (WEFT_ISA)")
    parser.add_argument("--llama-python", default=sys.executable, help="a Python whose llama-cpp-python is the one to compare with")
    parser.add_argument("--weft", type=pathlib.Path, default=WEFT, help="the program to measure")
    parser.add_argument("--output", type=pathlib.Path, default=FILES / "result.json")
    parser.add_argument("--resume", action="store_true", help="go on with the results of an earlier call")
    arguments = parser.parse_args(words)
    if arguments.rounds < 1 or min(arguments.threads) < 1:
        parser.error("expected --rounds and --threads of 1 or more")
    if arguments.isa and arguments.against and arguments.llama_python == sys.executable:
        parser.error("--isa: expected --llama-python with a llama.cpp that was built for the same instructions")
    return arguments


def write_packs(arguments):
    """Ternary packs of the adapters, by Weft."""
    for shape in arguments.shapes:
        for number in range(8):
            folder = FILES / f"{shape}-adapter-{number}"
            pack = FILES / f"{shape}-adapter-{number}-ternary.weft"
            if not pack.exists():
                print(f"writing {pack}", flush=True)
                subprocess.run(
                    [arguments.weft, "compress", folder, "--method", "ternary", "--json", "--output", pack, "--model",
                     FILES / f"{shape}-{arguments.formats[0]}.gguf"], check=True, stdout=subprocess.DEVNULL)


def main():
    arguments = parsed(sys.argv[1:])
    subprocess.run(
        [sys.executable, HERE / "synthetic.py", "--output", FILES, "--shapes", ",".join(arguments.shapes),
         "--formats", ",".join(arguments.formats)], check=True)
    if {"adapters", "batch"} & set(arguments.suite):
        write_packs(arguments)
    contestants = [engines.Weft(arguments.weft, FILES, arguments.isa)]
    if arguments.against:
        contestants.append(engines.LlamaCpp(arguments.llama_python, FILES))
    description = machine.description(arguments.llama_python if arguments.against else None)
    roofline = machine.build_roofline(FILES)
    watch = probe.Watch(roofline)
    if not watch.wait(rounds.PATIENCE):
        sys.exit(f"bench: the machine is not free: the probe takes {watch.slowdown() - 1:.0%} longer than at best; end what else runs")
    settings = {"isa": arguments.isa, "against": arguments.against, "tolerance": probe.TOLERANCE,
                "foreign_share": probe.FOREIGN_SHARE, "retries": rounds.RETRIES}
    stored = store.Store(arguments.output, description | {"settings": settings, "models": {}}, arguments.resume)
    for shape in arguments.shapes:
        for kind in arguments.formats:
            stored.value["models"][f"{shape}-{kind}"] = weights.costs(FILES / f"{shape}-{kind}.gguf")
    for suite in arguments.suite:
        for shape in arguments.shapes:
            for kind in arguments.formats:
                for threads in arguments.threads:
                    # Again and again, because it may be disturbed too; the best one counts.
                    found = machine.roofline(roofline, arguments.threads)
                    stored.value["roofline"] = machine.best_roofline(stored.value.get("roofline", {}), found)
                    group = cells.group(suite, shape, kind, threads)
                    rounds.measure_group(group, arguments.rounds, contestants, watch, stored)
    print(table.markdown([stored.value]))
    sys.exit(any(result["status"] == "failed" for result in stored.value["cells"]))


if __name__ == "__main__":
    main()
