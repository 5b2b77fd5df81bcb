#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws stored results: one SVG for every suite and figure, with a bar for Weft and one for llama.cpp in every cell.

    python3 tools/bench/draw.py bench-out/result.json [MORE.json ...] --output docs/bench

Bars of one model share a scale. The text beside them has the figure and how many times llama.cpp's it is.
"""
import argparse
import json
import pathlib
from xml.sax.saxutils import escape

import table

# File name, suite, figure, title, unit, and which cells it is about.
CHARTS = [
    ("base-prefill", "base", table.PREFILL, "Prefill of 512 tokens", "tokens/s", lambda cell: True),
    ("base-decode", "base", table.DECODE, "Decode, one sequence", "tokens/s", lambda cell: True),
    ("adapters-prefill", "adapters", table.PREFILL, "Prefill of 512 tokens with adapters of rank 16", "tokens/s",
     lambda cell: not cell["switching"]),
    ("adapters-decode", "adapters", table.DECODE, "Decode with adapters of rank 16", "tokens/s", lambda cell: not cell["switching"]),
    ("adapters-change", "adapters", table.SWITCH, "A change of the adapter between two tokens", "µs", lambda cell: cell["switching"]),
    ("batch", "batch", table.DECODE, "Sequences together", "tokens/s", lambda cell: True),
    ("context-prefill", "context", table.PREFILL, "Prefill of long prompts", "tokens/s", lambda cell: cell["context"] >= 4096),
    ("context-decode", "context", table.DECODE, "Decode behind long contexts", "tokens/s", lambda cell: True),
]
# Colours that are readable on white and on black; text takes the reader's scheme.
STYLE = """
text { font: 11px system-ui, sans-serif; fill: #24292f } .title { font-size: 15px; font-weight: 600 } .note { font-size: 10px }
.weft { fill: #2f81f7 } .llama { fill: #8b949e }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
"""
WIDTH, LEFT, BARS, ROW, TOP, FOOT = 940, 372, 290, 26, 54, 34


def label(cell):
    """Names a cell of its chart."""
    name = "" if cell["suite"] == "base" else f", {cell['name']}"
    return f"{cell['shape'].upper()} {cell['format'].upper()}, {cell['threads']} thread{'s' if cell['threads'] > 1 else ''}{name}"


def said(result, figure, unit):
    """The text beside the bars."""
    ours, theirs = (result["medians"].get(engine, {}).get(figure) for engine in ("weft", "llama_cpp"))
    if result["status"] != "measured" or ours is None:
        return result["status"] if result["status"] != "measured" else "not measured"
    text = f"{table.number(ours, 1) if unit == 'µs' else table.speed(ours)} {unit}"
    if figure in result["ratios"]:
        return f"{text}, {table.ratio(result['ratios'][figure])} times llama.cpp's {table.speed(theirs)}"
    return text + (f"; llama.cpp {table.speed(theirs)}" if theirs is not None else "")


def chart(results, figure, title, unit, notes):
    """One SVG. Bars of a shape are relative to the longest of them."""
    longest = {}
    for result in results:
        values = [engine.get(figure) or 0 for engine in result["medians"].values()] if result["status"] == "measured" else []
        shape = result["cell"]["shape"]
        longest[shape] = max([longest.get(shape, 1e-9), *values])
    height = TOP + ROW * len(results) + FOOT + 12 * len(notes)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img">',
             f"<title>{escape(title)}</title><style>{STYLE}</style>",
             f'<text class="title" x="8" y="20">{escape(title)}, {escape(unit)}</text>',
             '<rect class="weft" x="8" y="30" width="10" height="10"/><text x="22" y="39">Weft</text>',
             '<rect class="llama" x="64" y="30" width="10" height="10"/><text x="78" y="39">llama.cpp</text>']
    for index, result in enumerate(results):
        y = TOP + ROW * index
        lines.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(label(result["cell"]))}</text>')
        end = 0.0
        for place, (engine, style) in enumerate((("weft", "weft"), ("llama_cpp", "llama"))):
            value = result["medians"].get(engine, {}).get(figure)
            if result["status"] == "measured" and value is not None:
                width = BARS * max(0.0, value) / longest[result["cell"]["shape"]]
                end = max(end, width)
                lines.append(f'<rect class="{style}" x="{LEFT}" y="{y + 2 + 9 * place}" width="{width:.1f}" height="8"/>')
        lines.append(f'<text x="{LEFT + end + 6:.1f}" y="{y + 14}">{escape(said(result, figure, unit))}</text>')
    for index, note in enumerate(notes):
        lines.append(f'<text class="note" x="8" y="{height - FOOT // 2 - 12 * (len(notes) - 1 - index)}">{escape(note)}</text>')
    return "\n".join(lines + ["</svg>", ""])


def wrapped(text, width=150):
    """Lines of at most so many characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width:
            lines.append("")
        lines[-1] += (" " if lines[-1] else "") + word
    return lines


def charts(values):
    """SVG by file name."""
    results = table.merged(values)
    notes = [line for text in dict.fromkeys(table.caption(value) for value in values) for line in wrapped(text)]
    drawn = {}
    for name, suite, figure, title, unit, belongs in CHARTS:
        chosen = [result for result in results if result["cell"]["suite"] == suite and belongs(result["cell"])]
        if chosen:
            drawn[f"{name}.svg"] = chart(chosen, figure, title, unit, notes)
    return drawn


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=pathlib.Path)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("docs/bench"))
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, text in charts([json.loads(path.read_text()) for path in arguments.results]).items():
        (arguments.output / name).write_text(text)
        print(arguments.output / name)


if __name__ == "__main__":
    main()
