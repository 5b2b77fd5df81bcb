#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make golden prompts on models of several architectures under Tests/Goldens/prompts.

    python tools/make_prompt_goldens.py            all cases
    python tools/make_prompt_goldens.py --check    into a temporary folder, compared with what is committed

The bases are those of Tests/Goldens/architectures. Each case is an adapter of peft with random weights (seed 5) and what peft
computes with it in float32: `tokens` [T] and `logits` [n + T, V], with those of a prompt's n virtual positions where peft has
them. Needs torch, transformers, peft and safetensors.
"""

import argparse
import filecmp
import os
import pathlib
import shutil
import sys
import tempfile
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"

import peft  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

GOLDENS = pathlib.Path(__file__).resolve().parent.parent / "Tests" / "Goldens"
CAUSAL = dict(task_type="CAUSAL_LM")
CONFIGS = {
    "prompt": lambda: peft.PromptTuningConfig(num_virtual_tokens=5, **CAUSAL),
    "prefix": lambda: peft.PrefixTuningConfig(num_virtual_tokens=5, **CAUSAL),
    "adaption": lambda: peft.AdaptionPromptConfig(adapter_len=4, adapter_layers=2, **CAUSAL),
}
# What is special: the embedding scales its rows but not a prompt's (Gemma), the model scales both (Granite); windows; norms of
# queries and keys; layers without rotation; learned positions; queries of another width.
CASES = [
    ("prompt", "gemma3-scalar"),
    ("prompt", "gpt2-tied"),
    ("prompt", "granite-tied"),
    ("prompt", "mistral-window"),
    ("prompt", "smollm3-nope"),
    ("prefix", "gemma2-caps"),
    ("prefix", "mistral-nemo"),
    ("prefix", "olmo2-gqa"),
    ("prefix", "phi3-window"),
    ("prefix", "qwen3-tied"),
    ("adaption", "mistral-window"),
]


def base_of(name):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        GOLDENS / "architectures" / name, dtype=torch.float32, attn_implementation="eager"
    )
    # What peft writes as the base of the adapter.
    model.name_or_path = model.config._name_or_path = f"weft/{name}"
    return model


@torch.no_grad()
def make(kind, name, root):
    folder = root / f"{kind}-{name}"
    generator = torch.Generator().manual_seed(5)
    model = peft.get_peft_model(base_of(name), CONFIGS[kind]())
    for _, value in sorted(model.named_parameters()):
        if value.requires_grad:
            value.copy_(0.7 * torch.randn(value.shape, generator=generator))
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    tokens = torch.randint(0, model.config.get_text_config().vocab_size, (24,), generator=generator)
    logits = peft.PeftModel.from_pretrained(base_of(name), folder).eval()(tokens[None]).logits[0]
    save_file({"tokens": tokens.to(torch.int32), "logits": logits.contiguous()}, folder / "expected.safetensors")


def make_all(root):
    shutil.rmtree(root, ignore_errors=True)
    for kind, name in CASES:
        make(kind, name, root)
    versions = f"torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}"
    (root / "README.md").write_text(
        f"# Golden prompts\n\nMade by `python tools/make_prompt_goldens.py` with {versions}; `--check` makes them again and compares.\n"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    if not arguments.check:
        make_all(GOLDENS / "prompts")
        return 0
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary) / "prompts"
        make_all(root)
        names = sorted({str(f.relative_to(r)) for r in (root, GOLDENS / "prompts") for f in r.rglob("*") if f.is_file()})
        pairs = [(name, root / name, GOLDENS / "prompts" / name) for name in names]
        different = [n for n, a, b in pairs if not (a.exists() and b.exists() and filecmp.cmp(a, b, shallow=False))]
        print("\n".join(f"differs: {name}" for name in different) or "all files are identical")
        return bool(different)


if __name__ == "__main__":
    sys.exit(main())
