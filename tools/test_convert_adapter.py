#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""convert_adapter.py on a folder that peft wrote as a pickle, on wrapped tensors, and on a pickle that would run code."""

import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import unittest

try:
    import peft
    import torch
    import transformers
    from safetensors.torch import load_file
except ImportError as error:
    # CI has no torch; whoever changes the converter has.
    raise unittest.SkipTest(f"needs torch, transformers, peft and safetensors: {error}")

TOOL = pathlib.Path(__file__).resolve().parent / "convert_adapter.py"
BASE = TOOL.parent.parent / "Tests" / "Goldens" / "families" / "bases" / "llama"


class Runs:
    def __reduce__(self):
        return os.system, ("touch ran",)


class ConvertTests(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.folder = pathlib.Path(self.temporary.name)

    def run_tool(self, source):
        program = [sys.executable, str(TOOL), str(source), str(self.folder / "new")]
        return subprocess.run(program, cwd=self.folder, capture_output=True, text=True)

    def test_peft_folder(self):
        torch.manual_seed(1)
        base = transformers.AutoModelForCausalLM.from_pretrained(BASE)
        model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
        model.save_pretrained(self.folder / "pickle", safe_serialization=False)
        model.save_pretrained(self.folder / "safe")
        self.assertTrue((self.folder / "pickle" / "adapter_model.bin").exists())
        self.assertEqual(self.run_tool(self.folder / "pickle").returncode, 0)
        found = load_file(self.folder / "new" / "adapter_model.safetensors")
        expected = load_file(self.folder / "safe" / "adapter_model.safetensors")
        self.assertEqual(found.keys(), expected.keys())
        self.assertTrue(all(torch.equal(found[key], expected[key]) for key in expected))
        texts = [(self.folder / name / "adapter_config.json").read_text() for name in ("pickle", "new")]
        self.assertEqual(*texts)

    def test_wrapped_and_shared_tensors(self):
        tensor = torch.arange(6.0).view(2, 3)
        torch.save({"state_dict": {"a": tensor, "b": tensor.T, "c": {"d": tensor[0]}}, "epoch": 3}, self.folder / "x.pt")
        self.assertEqual(self.run_tool(self.folder / "x.pt").returncode, 0)
        found = load_file(self.folder / "new" / "x.safetensors")
        self.assertEqual(sorted(found), ["a", "b", "c.d"])
        self.assertTrue(torch.equal(found["b"], tensor.T))

    def test_code_does_not_run(self):
        with open(self.folder / "x.bin", "wb") as file:
            pickle.dump({"a": Runs()}, file)
        result = self.run_tool(self.folder / "x.bin")
        self.assertNotEqual(result.returncode, 0)
        self.assertFalse((self.folder / "ran").exists())
        self.assertFalse((self.folder / "new" / "x.safetensors").exists())

    def test_nothing_to_convert(self):
        (self.folder / "empty").mkdir()
        result = self.run_tool(self.folder / "empty")
        self.assertIn("found none", result.stderr)


if __name__ == "__main__":
    unittest.main()
