# SPDX-License-Identifier: Apache-2.0
"""What is measured: suites of cells. A cell is one model file under one load; both engines run it."""
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Cell:
    """One model file, its threads, and what runs on them."""
    suite: str
    shape: str
    format: str
    threads: int
    # Adapters that are loaded, and what their factors are: f16 or ternary.
    adapters: int = 0
    factors: str = "f16"
    # Tokens of each prompt, and steps behind it.
    prefill: int = 512
    decode: int = 64
    sequences: int = 1
    # Sequence i answers with adapter i alone.
    different: bool = False
    # The prompt is this long instead, and computed once.
    context: int | None = None
    # A change from one adapter to the other between two tokens.
    switching: bool = False

    @property
    def name(self):
        """What sets it apart from other cells of its suite and file, in words."""
        if self.switching:
            return "change of adapter"
        if self.context:
            return f"{self.context} tokens of context"
        parts = [f"{self.sequences} sequence{'s' if self.sequences > 1 else ''}"] if self.suite == "batch" else []
        if self.adapters:
            kind = "" if self.factors == "f16" else f"{self.factors} "
            parts.append(f"{self.adapters} {'different ' if self.different else ''}{kind}adapter{'s' if self.adapters > 1 else ''}")
        elif self.suite == "adapters":
            parts.append("no adapter")
        return ", ".join(parts) or "base"

    @property
    def key(self):
        """Names the cell in stored results."""
        return f"{self.suite}/{self.shape}/{self.format}/{self.threads}/{self.name}"

    @property
    def for_llama_cpp(self):
        """Whether llama.cpp can do it: it has no ternary adapters."""
        return self.factors == "f16" or self.adapters == 0

    def described(self):
        return asdict(self) | {"name": self.name}


def base(**place):
    return [Cell("base", **place)]


def adapters(**place):
    cells = [Cell("adapters", **place)]
    for factors in ("f16", "ternary"):
        cells += [Cell("adapters", adapters=count, factors=factors, **place) for count in (1, 4)]
    return cells + [Cell("adapters", adapters=2, switching=True, prefill=64, decode=256, **place)]


def batch(**place):
    sizes = dict(prefill=32, decode=32, **place)
    return [Cell("batch", sequences=count, **sizes) for count in (1, 2, 4, 8, 16)] + [
        Cell("batch", sequences=8, adapters=8, different=True, factors=factors, **sizes) for factors in ("f16", "ternary")]


def context(**place):
    return [Cell("context", context=count, decode=32, **place) for count in (64, 4096, 8192, 16384)]


SUITES = {"base": base, "adapters": adapters, "batch": batch, "context": context}


def group(suite, shape, kind, threads):
    """The cells of one suite on one file: measured in turn, so that they can be compared."""
    return SUITES[suite](shape=shape, format=kind, threads=threads)
