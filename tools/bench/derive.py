# SPDX-License-Identifier: Apache-2.0
"""What follows from the rounds of a cell: medians, ratios of pairs, shares of the machine's limits, and costs beside other cells."""
import statistics

SPEEDS = ("prefill_tokens_per_second", "decode_tokens_per_second")
TIMES = ("step_milliseconds", "switch_microseconds", "switch_error_microseconds", "switch_call_microseconds", "load_milliseconds",
         "activate_microseconds", "reweight_microseconds")
# Which instruction a format's products can use at best, by tier; null where the tier has none of them.
PEAKS = {
    "avx512": {"f16": "avx512_fma", "bf16": "avx512_bf16", None: "avx512_vnni"},
    "avx2": {"f16": "avx2_fma", "bf16": "avx2_fma", None: "avx_vnni"},
    "neon": {"f16": "neon_fma", "bf16": "neon_bf16", None: "neon_dotprod"},
}


def medians(rounds, engine):
    """Of every figure of an engine."""
    results = [pair[engine] for pair in rounds if engine in pair]
    keys = {key for result in results for key in result if key in SPEEDS + TIMES and result[key] is not None}
    return {key: statistics.median(result[key] for result in results) for key in sorted(keys)}


def ratios(rounds):
    """Medians over pairs: how many times faster Weft is. A time that is not there has no ratio."""
    found = {}
    for key in SPEEDS + TIMES[:1]:
        pairs = [(pair["weft"][key], pair["llama_cpp"][key]) for pair in rounds
                 if key in pair.get("weft", {}) and key in pair.get("llama_cpp", {})]
        if pairs:
            found[key] = statistics.median(ours / theirs if key in SPEEDS else theirs / ours for ours, theirs in pairs)
    return found


def beside(rounds, others, key, engine="weft"):
    """The median, over the rounds that both cells have, of this cell's figure over the other's; None without such rounds."""
    known = {pair["round"]: pair[engine][key] for pair in others if key in pair.get(engine, {})}
    values = [pair[engine][key] / known[pair["round"]] for pair in rounds if pair["round"] in known and key in pair.get(engine, {})]
    return statistics.median(values) if values else None


def peak(roofline, isa, kind):
    """Multiply-accumulates per second of one processor at best; None where it is not known."""
    names = PEAKS.get(isa, {})
    return roofline.get(names.get(kind, names.get(None)))


def limits(result, costs, roofline):
    """Shares of bandwidth and of peak. Bandwidth is what was measured around the same pair."""
    cell, ours = result["cell"], result["medians"].get("weft", {})
    found = {}
    shares = [costs["bytes"] * pair["weft"]["decode_tokens_per_second"] / pair["read_bytes_per_second"] for pair in result["rounds"]
              if "read_bytes_per_second" in pair and "decode_tokens_per_second" in pair.get("weft", {})]
    if shares and cell["sequences"] == 1 and not cell["context"]:
        found["bandwidth_share"] = statistics.median(shares)
    best = peak(roofline, result.get("isa"), cell["format"])
    if best and "prefill_tokens_per_second" in ours:
        found["peak_share"] = costs["macs"] * ours["prefill_tokens_per_second"] / (best * cell["threads"])
    return found


def comparisons(result, group, costs):
    """Beside the cell of the same group that has no adapters, one sequence, or a short context."""
    cell, rounds = result["cell"], result["rounds"]
    found = {}

    def reference(**wanted):
        return next((other["rounds"] for other in group if all(other["cell"][key] == value for key, value in wanted.items())), [])

    if cell["suite"] == "adapters" and cell["adapters"] and not cell["switching"]:
        for engine in ("weft", "llama_cpp"):
            for key, name in zip(SPEEDS, ("prefill_cost", "decode_cost")):
                kept = beside(rounds, reference(adapters=0), key, engine)
                if kept is not None:
                    found[name if engine == "weft" else f"llama_cpp_{name}"] = 1 - kept
    if cell["suite"] == "batch":
        found["over_one_step"] = beside(rounds, reference(sequences=1), "step_milliseconds")
        if cell["different"]:
            found["of_same_batch"] = beside(rounds, reference(sequences=cell["sequences"], adapters=0), "decode_tokens_per_second")
    if cell["suite"] == "context":
        short = [other for other in group if other["cell"]["context"] < cell["context"]]
        reads = [pair["read_bytes_per_second"] for pair in rounds if "read_bytes_per_second" in pair]
        if short and reads and "weft" in result["medians"]:
            first = min(short, key=lambda other: other["cell"]["context"])
            times = [other["medians"].get("weft", {}).get("step_milliseconds") for other in (result, first)]
            tokens = cell["context"] - first["cell"]["context"]
            if None not in times:
                found["attention_over_kv_read"] = (times[0] - times[1]) / 1e3 * statistics.median(reads) / (tokens * costs["kv_bytes"])
    return {key: value for key, value in found.items() if value is not None}


def derive(results, costs, roofline):
    """Fills in medians, ratios and what follows from them, in all cells. `costs` by model file's name."""
    groups = {}
    for result in results:
        cell = result["cell"]
        groups.setdefault((cell["suite"], cell["shape"], cell["format"], cell["threads"]), []).append(result)
        engines = {engine for pair in result["rounds"] for engine in ("weft", "llama_cpp") if engine in pair}
        result["medians"] = {engine: medians(result["rounds"], engine) for engine in sorted(engines)}
        result["ratios"] = ratios(result["rounds"])
        result["isa"] = next((pair["weft"].get("isa") for pair in result["rounds"] if "weft" in pair), None)
    for group in groups.values():
        for result in group:
            cost = costs[f"{result['cell']['shape']}-{result['cell']['format']}"]
            result["derived"] = limits(result, cost, roofline) | comparisons(result, group, cost)
