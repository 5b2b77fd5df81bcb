#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints stored results as Markdown, one table for every suite, and what they were measured on.

    python3 tools/bench/table.py bench-out/result.json [MORE.json ...]

Of a cell that several files have, the last file's counts. Figures that were disturbed are not shown.
"""
import argparse
import json
import pathlib

PREFILL, DECODE, STEP, SWITCH = (
    "prefill_tokens_per_second", "decode_tokens_per_second", "step_milliseconds", "switch_microseconds")


def number(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


def speed(value):
    return number(value, 0 if value is None or value >= 100 else 1)


def ratio(value):
    return "" if value is None else f"{value:.2f}"


def share(value):
    return "" if value is None else f"{value:.0%}".replace("%", " %")


def cost(value):
    return "" if value is None else f"{value * 100:+.1f} %"


def of(engine, key):
    return lambda result: result["medians"].get(engine, {}).get(key)


def under(part, key):
    return lambda result: result[part].get(key)


def pair(title, key, show=speed):
    """Columns of one figure of both engines, and its ratio."""
    return [(title, show, of("weft", key)), ("llama.cpp", show, of("llama_cpp", key)), ("ratio", ratio, under("ratios", key))]


def of_adapters(key):
    """A time that only adapters have."""
    return lambda result: of("weft", key)(result) if result["cell"]["adapters"] else None


ADAPTER_TIMES = [("load, ms", "load_milliseconds"), ("activate, µs", "activate_microseconds"), ("re-weight, µs", "reweight_microseconds")]
PLACE = [
    ("model", str, lambda result: result["cell"]["shape"].upper()),
    ("format", str, lambda result: result["cell"]["format"].upper()),
    ("threads", str, lambda result: result["cell"]["threads"]),
]
NAME = [("", str, lambda result: result["cell"]["name"])]
# Title, form and value of every column of a suite.
COLUMNS = {
    "base": [*PLACE, *pair("prefill of 512, tokens/s", PREFILL), ("of peak", share, under("derived", "peak_share")),
             *pair("decode, tokens/s", DECODE), ("of bandwidth", share, under("derived", "bandwidth_share"))],
    "adapters": [*PLACE, *NAME, *pair("prefill of 512, tokens/s", PREFILL), ("costs", cost, under("derived", "prefill_cost")),
                 *pair("decode, tokens/s", DECODE), ("costs", cost, under("derived", "decode_cost")),
                 ("llama.cpp's costs", cost, under("derived", "llama_cpp_decode_cost")),
                 *[(title, lambda value: number(value, 1), of_adapters(key)) for title, key in ADAPTER_TIMES],
                 ("change, µs", lambda value: number(value, 1), of("weft", SWITCH)),
                 ("±", lambda value: number(value, 1), of("weft", "switch_error_microseconds")),
                 ("its call", lambda value: number(value, 1), of("weft", "switch_call_microseconds")),
                 ("llama.cpp", number, of("llama_cpp", SWITCH))],
    "batch": [*PLACE, *NAME, ("step, ms", lambda value: number(value, 2), of("weft", STEP)),
              ("over one sequence's", ratio, under("derived", "over_one_step")), *pair("all together, tokens/s", DECODE),
              ("of the batch without", share, under("derived", "of_same_batch"))],
    "context": [*PLACE, *NAME, *pair("prefill, tokens/s", PREFILL), *pair("decode, tokens/s", DECODE),
                ("attention over reading KV", ratio, under("derived", "attention_over_kv_read"))],
}


def cells(row, columns):
    """The texts of one row. A cell without figures says why, once."""
    texts, said = [], False
    for title, show, value in columns:
        if row["status"] in ("disturbed", "failed") and (title, show) not in [(t, s) for t, s, _ in PLACE + NAME]:
            texts.append("" if said else row["status"])
            said = True
        else:
            texts.append(show(value(row)))
    return texts


def suite_table(suite, results):
    """One Markdown table; columns that nobody has a figure for are left out."""
    columns = COLUMNS[suite]
    rows = [cells(result, columns) for result in results]
    kept = [i for i in range(len(columns)) if any(row[i] for row in rows)]
    lines = ["| " + " | ".join(columns[i][0] for i in kept) + " |", "|" + "---|" * len(kept)]
    return "\n".join(lines + ["| " + " | ".join(row[i] for i in kept) + " |" for row in rows])


def caption(value):
    """What was measured, with what, on what."""
    machine, versions = value["machine"], value["versions"]
    roofline = value.get("roofline", {})
    reads = ", ".join(f"{speed / 1e9:.0f} GB/s with {threads}" for threads, speed in roofline.get("read_bytes_per_second", {}).items())
    peaks = ", ".join(f"{name.replace('_', ' ')} {speed / 1e9:.0f}" for name, speed in roofline.items()
                      if isinstance(speed, float))
    llama = f", llama-cpp-python {versions['llama_cpp_python']}" if versions["llama_cpp_python"] else ""
    isa = value.get("settings", {}).get("isa")
    return (f"{machine['cpu']}, {machine['processors']} processor{'s' if machine['processors'] > 1 else ''}, Linux {machine['kernel']}; Weft {value['commit']}"
            f"{' with changes' if value['dirty'] else ''}{f', {isa}' if isa else ''}{llama}; {value['date'][:10]}. "
            f"Memory reads: {reads}; GMAC/s of one processor: {peaks}.")


def merged(values):
    """Results of several files by key, the last one's where there are several; those that are not complete are left out."""
    found = {}
    for value in values:
        for result in value["cells"]:
            if result["status"] != "begun":
                found[result["key"]] = result
    return list(found.values())


def markdown(values):
    results, parts = merged(values), []
    for suite in COLUMNS:
        chosen = [result for result in results if result["cell"]["suite"] == suite]
        if chosen:
            parts.append(f"**{suite}**\n\n{suite_table(suite, chosen)}")
    return "\n\n".join(parts + list(dict.fromkeys(caption(value) for value in values)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    print(markdown([json.loads(path.read_text()) for path in parser.parse_args().results]))


if __name__ == "__main__":
    main()
