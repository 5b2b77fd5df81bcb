# SPDX-License-Identifier: Apache-2.0
"""Rounds of pairs: every cell of a group in turn, both engines of a pair in turn, and pairs again that were disturbed."""
import sys

import engines
import probe

# Pairs of one cell that may be thrown away, and seconds to wait for a free machine before one.
RETRIES = 5
PATIENCE = 60


def progress(text):
    print(f"  {text}", file=sys.stderr, flush=True)


def measure_pair(cell, contestants, watch, first):
    """One result of each engine, the `first` one first; and what is to be said against them, or None."""
    if not watch.wait(PATIENCE):
        return {}, "the machine was not free before it"
    before = watch.reads(cell.threads)
    usage, pair = probe.Usage(), {}
    for index in range(len(contestants)):
        engine = contestants[(first + index) % len(contestants)]
        if engine.name == "weft" or cell.for_llama_cpp:
            pair[engine.name] = engine.measure(cell)
    objection = watch.judge(usage)
    # The host's other guests share the memory: what it gave around this pair, the better of two looks.
    pair["read_bytes_per_second"] = max(before, watch.reads(cell.threads))
    return pair, objection


def measure_cell(cell, result, number, contestants, watch):
    """Round `number` of one cell, into its result. Where pairs are disturbed more often than allowed, the cell has no figure."""
    while len(result["rejected"]) <= RETRIES:
        try:
            pair, objection = measure_pair(cell, contestants, watch, first=number % 2)
        except engines.Failed as failure:
            result["status"], result["failure"] = "failed", str(failure)
            progress(f"{cell.key}: {failure}")
            return
        if objection is None:
            result["rounds"].append({"round": number, **pair})
            progress(f"{cell.key}, round {number + 1}: " + "; ".join(f"{engine.name} {text(pair[engine.name])}" for engine in contestants if engine.name in pair))
            return
        result["rejected"].append({"round": number, "because": objection})
        progress(f"{cell.key}, round {number + 1}: disturbed, {objection}")
    result["status"] = "disturbed"


def text(found):
    """What was measured, short."""
    names = {"prefill_tokens_per_second": "prefill {:.1f}/s", "decode_tokens_per_second": "decode {:.1f}/s",
             "switch_microseconds": "change {:.1f} µs"}
    return ", ".join(form.format(found[key]) for key, form in names.items() if key in found)


def measure_group(group, count, contestants, watch, store):
    """`count` rounds of every cell; those that a stored result has already are not measured again."""
    results = [(cell, store.result(cell)) for cell in group]
    for cell, result in results:
        if result["status"] != "measured" or len(result["rounds"]) < count:
            result["status"], result["rejected"] = "begun", []
            result.pop("failure", None)
    for number in range(count):
        for cell, result in results:
            if result["status"] == "begun" and number not in [pair["round"] for pair in result["rounds"]]:
                measure_cell(cell, result, number, contestants, watch)
                if len(result["rounds"]) >= count:
                    result["status"] = "measured"
                store.write()
