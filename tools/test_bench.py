# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks compute from what they measured: when a machine was disturbed, ratios and shares, tables and drawings.

    python3 -m unittest discover tools
"""
import json
import pathlib
import struct
import sys
import tempfile
import unittest
import xml.etree.ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "bench"))
import cells  # noqa: E402
import derive  # noqa: E402
import draw  # noqa: E402
import engines  # noqa: E402
import machine  # noqa: E402
import probe  # noqa: E402
import rounds  # noqa: E402
import store  # noqa: E402
import table  # noqa: E402
import weights  # noqa: E402

ROOFLINE = {"read_bytes_per_second": {"1": 4e10, "2": 4.2e10}, "avx512_vnni": 5e11, "avx512_bf16": None, "avx512_fma": 1e11}
COSTS = {"135m-q8_0": {"bytes": 1e8, "macs": 1e8, "kv_bytes": 20000}}


def sample(integer, read):
    return {"integer_milliseconds": integer, "read_milliseconds": read}


def gguf(path, tied):
    """A file of one layer, by the format's specification: an embedding of 64 rows of 32, one matrix [32, 48], one vector."""
    text = lambda value: struct.pack("<Q", len(value)) + value.encode()  # noqa: E731
    entries = [("general.architecture", 8, text("llama")), ("some.list", 9, struct.pack("<IQ", 8, 2) + text("a") + text("bc"))]
    for key, value in (("block_count", 1), ("embedding_length", 32), ("attention.head_count", 4), ("attention.head_count_kv", 2)):
        entries.append((f"llama.{key}", 4, struct.pack("<I", value)))
    tensors = [("token_embd.weight", [32, 64], 2 * 32 * 64), ("blk.0.ffn_up.weight", [32, 48], 2 * 32 * 48),
               ("blk.0.attn_norm.weight", [32], 4 * 32)] + ([] if tied else [("output.weight", [32, 64], 2 * 32 * 64)])
    data = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    for key, kind, value in entries:
        data += text(key) + struct.pack("<I", kind) + value
    offset = 0
    for name, dimensions, size in tensors:
        data += text(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, 1, offset)
        offset += size
    path.write_bytes(data + bytes(-len(data) % 32) + bytes(offset))


class FakeEngine:
    """Measures what it is told, or fails."""

    def __init__(self, name, speed):
        self.name, self.speed, self.count = name, speed, 0

    def measure(self, cell):
        self.count += 1
        if self.speed is None:
            raise engines.Failed("no such file")
        return {"prefill_tokens_per_second": self.speed, "decode_tokens_per_second": self.speed / cell.sequences, "isa": "avx512"}


class FakeWatch:
    """Objects to pairs as told, and to none when the list is empty."""

    def __init__(self, objections=()):
        self.objections = list(objections)

    def wait(self, seconds):
        return True

    def reads(self, threads):
        return 4e10 * threads

    def judge(self, usage):
        return self.objections.pop(0) if self.objections else None


class ProbeTests(unittest.TestCase):
    def test_slowdown_is_of_the_slowest_part(self):
        best = probe.better(probe.better(None, sample([8.0, 8.2], 11.0)), sample([8.4, 8.1], 10.0))
        self.assertEqual(best, sample([8.0, 8.1], 10.0))
        self.assertAlmostEqual(probe.slowdown(sample([8.0, 8.1], 10.0), best), 8.1 / 8)
        self.assertAlmostEqual(probe.slowdown(sample([8.0, 16.0], 10.0), best), 2)
        self.assertAlmostEqual(probe.slowdown(sample([8.0, 8.0], 11.0), best), 1.1)

    def test_only_these_processors_count(self):
        text = "cpu 9 9 9 9 9 9 9 9 0 0\ncpu0 100 50 30 900 5 2 3 40 0 0\ncpu1 1000 0 0 0 0 0 0 500 0 0\nintr 5\n"
        self.assertEqual(probe.parse_stat(text, {0}), (1.85, 0.4))
        self.assertEqual(probe.parse_stat(text, {0, 1}), (11.85, 5.4))


class RoundsTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / "result.json"
        rounds.progress = lambda text: None

    def stored(self, resume=False, **changes):
        description = {"schema": 1, "date": "2026-11-21T21:00:00+00:00", "machine": {"cpu": "a"}, "commit": "c", "dirty": False,
                       "versions": {}, "settings": {}, "models": COSTS, "roofline": ROOFLINE}
        return store.Store(self.path, description | changes, resume)

    def measure(self, watch, resume=False, ours=100.0, theirs=50.0):
        stored, contestants = self.stored(resume), [FakeEngine("weft", ours), FakeEngine("llama_cpp", theirs)]
        rounds.measure_group(cells.group("base", "135m", "q8_0", 1), 3, contestants, watch, stored)
        return stored.value["cells"][0], contestants

    def test_disturbed_pairs_are_measured_again(self):
        result, contestants = self.measure(FakeWatch([None, "a", "b"]))
        self.assertEqual(result["rounds"][0]["read_bytes_per_second"], 4e10)
        self.assertEqual((result["status"], contestants[0].count, contestants[1].count), ("measured", 5, 5))
        self.assertEqual([pair["because"] for pair in result["rejected"]], ["a", "b"])
        self.assertEqual(result["ratios"]["prefill_tokens_per_second"], 2)

    def test_too_many_make_no_figure_and_a_later_call_goes_on(self):
        result, _ = self.measure(FakeWatch([None] + ["a"] * (rounds.RETRIES + 1)))
        self.assertEqual((result["status"], len(result["rounds"])), ("disturbed", 1))
        result, contestants = self.measure(FakeWatch(), resume=True)
        self.assertEqual((result["status"], len(result["rounds"]), contestants[0].count), ("measured", 3, 2))

    def test_a_failure_is_told_and_the_rest_goes_on(self):
        result, _ = self.measure(FakeWatch(), theirs=None)
        self.assertEqual((result["status"], result["failure"]), ("failed", "no such file"))

    def test_results_are_not_overwritten(self):
        self.measure(FakeWatch())
        self.stored().write()
        names = sorted(path.name for path in self.path.parent.iterdir())
        self.assertEqual(names, ["result-2026-11-21T210000+0000.json", "result.json"])

    def test_other_commits_are_not_gone_on_with(self):
        self.measure(FakeWatch())
        with self.assertRaisesRegex(SystemExit, "expected results of the same commit"):
            self.stored(resume=True, commit="d")


class DeriveTests(unittest.TestCase):
    def results(self, suite, figures):
        """Cells of one group with two rounds each; figures by name: (weft, llama.cpp) in every round."""
        found = []
        for cell in cells.group(suite, "135m", "q8_0", 1):
            pairs = [{"round": number, "read_bytes_per_second": 4e10, **{engine: value for engine, value in zip(("weft", "llama_cpp"), values) if value}}
                     for number, values in enumerate(figures(cell))]
            found.append({"key": cell.key, "cell": cell.described(), "status": "measured", "rounds": pairs, "rejected": []})
        derive.derive(found, COSTS, ROOFLINE)
        return found

    def test_medians_and_ratios_are_of_pairs(self):
        speeds = [(100.0, 50.0), (300.0, 100.0), (120.0, 30.0)]
        result, = self.results("base", lambda cell: [
            ({"decode_tokens_per_second": a, "prefill_tokens_per_second": 10 * a, "step_milliseconds": 1000 / a, "isa": "avx512"},
             {"decode_tokens_per_second": b}) for a, b in speeds])
        self.assertEqual(result["medians"]["weft"]["decode_tokens_per_second"], 120)
        self.assertEqual(result["medians"]["llama_cpp"]["decode_tokens_per_second"], 50)
        self.assertEqual(result["ratios"], {"decode_tokens_per_second": 3})
        # 1e8 bytes, 120 times a second, of 4e10; 1e8 multiply-accumulates, 1200 times a second, of 5e11.
        self.assertAlmostEqual(result["derived"]["bandwidth_share"], 0.3)
        self.assertAlmostEqual(result["derived"]["peak_share"], 0.24)

    def test_what_the_processor_lacks_has_no_share(self):
        self.assertIsNone(derive.peak(ROOFLINE, "avx512", "bf16"))
        self.assertIsNone(derive.peak(ROOFLINE, "avx2", "q4_0"))
        self.assertEqual(derive.peak(ROOFLINE, "avx512", "f16"), 1e11)

    def test_adapters_cost_beside_none(self):
        def figures(cell):
            kept = {0: 1.0, 1: 0.95, 2: 1.0, 4: 0.9}[cell.adapters]
            return [({"decode_tokens_per_second": speed * kept}, None) for speed in (100.0, 200.0)]
        costs = {result["cell"]["name"]: result["derived"].get("decode_cost") for result in self.results("adapters", figures)}
        self.assertAlmostEqual(costs["4 ternary adapters"], 0.1)
        self.assertAlmostEqual(costs["1 adapter"], 0.05)
        self.assertIsNone(costs["no adapter"])

    def test_batches_beside_one_sequence(self):
        results = self.results("batch", lambda cell: [
            ({"step_milliseconds": 10.0 + cell.sequences + cell.adapters, "decode_tokens_per_second": 100.0 - cell.adapters}, None)])
        derived = {result["cell"]["name"]: result["derived"] for result in results}
        self.assertAlmostEqual(derived["8 sequences"]["over_one_step"], 18 / 11)
        self.assertAlmostEqual(derived["8 sequences, 8 different adapters"]["of_same_batch"], 0.92)

    def test_attention_beside_reading_keys_and_values(self):
        # Twice what reading 20,000 bytes a token at 4e10 takes.
        results = self.results("context", lambda cell: [({"step_milliseconds": 5 + cell.context * 1e-3}, None)])
        for result in results[1:]:
            self.assertAlmostEqual(result["derived"]["attention_over_kv_read"], 2)

    def test_the_better_attention_counts(self):
        results = {"plain": {"decode_tokens_per_second": 5, "step_milliseconds": 9},
                   "flash": {"decode_tokens_per_second": 4, "step_milliseconds": 8}}
        self.assertEqual(
            engines.better_of(results), ({"decode_tokens_per_second": 5, "step_milliseconds": 8}, ["flash", "plain"]))

    def test_the_best_roofline_counts(self):
        best = machine.best_roofline(ROOFLINE, {"read_bytes_per_second": {"1": 5e10, "2": 4e10}, "avx512_vnni": 4e11, "avx512_bf16": None})
        self.assertEqual(best, ROOFLINE | {"read_bytes_per_second": {"1": 5e10, "2": 4.2e10}})

    def test_tables_and_drawings_show_every_cell(self):
        figures = dict(decode_tokens_per_second=80.0, prefill_tokens_per_second=900.0, step_milliseconds=2.0, switch_microseconds=-3.0)
        results = [result for suite in cells.SUITES for result in self.results(suite, lambda cell: [(figures, figures)])]
        results[0]["status"] = "disturbed"
        value = dict(
            machine={"cpu": "A <cpu> & more", "processors": 2, "kernel": "6"}, commit="abc", dirty=True, date="2026-11-21",
            versions={"llama_cpp_python": "0.3"}, settings={"isa": None}, roofline=ROOFLINE, cells=results)
        text = table.markdown([json.loads(json.dumps(value))])
        drawn = draw.charts([value])
        self.assertEqual(set(drawn), {f"{name}.svg" for name, *_ in draw.CHARTS})
        for svg in drawn.values():
            xml.etree.ElementTree.fromstring(svg)
            self.assertIn("abc with changes", svg)
        for result in results:
            cell = result["cell"]
            if cell["suite"] != "base":
                self.assertIn(f"| {cell['name']} |", text)
            self.assertTrue(any(f">{draw.label(cell)}<" in svg for svg in drawn.values()), result["key"])
        self.assertIn("| 135M | Q8_0 | 1 | disturbed |", text)
        self.assertIn(">disturbed<", drawn["base-decode.svg"])
        self.assertNotIn("80.0", drawn["base-decode.svg"])


class WeightsTests(unittest.TestCase):
    def test_bytes_of_a_token(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "model.gguf"
            layer = 2 * 32 * 48 + 4 * 32
            gguf(path, tied=True)
            # Keys and values of 2 heads of 8 in f16.
            self.assertEqual(weights.costs(path), {"bytes": 2 * 32 * 64 + layer, "macs": 32 * 48, "kv_bytes": 2 * 2 * 2 * 8})
            gguf(path, tied=False)
            self.assertEqual(weights.costs(path)["bytes"], 2 * 32 * 64 + layer + 2 * 32)

    def test_a_real_file(self):
        path = pathlib.Path(__file__).resolve().parent.parent / "Models/demo/base.gguf"
        header = weights.Header(path)
        self.assertLess(path.stat().st_size - sum(size for _, size in header.tensors.values()), 2e6)
        self.assertGreater(weights.costs(path)["macs"], 1e6)


if __name__ == "__main__":
    unittest.main()
