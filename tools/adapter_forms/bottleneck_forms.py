# SPDX-License-Identifier: Apache-2.0
"""Bottleneck adapters, made, saved and run by the library `adapters` of AdapterHub."""

import json
import os
import pathlib
import subprocess

import torch
from adapters import bases

SCRIPT = pathlib.Path(__file__).parent / "foreign" / "bottleneck_adapter.py"


def case(name, base, features, config, **arguments):
    def make(root, temporary):
        folder, seed = root / name, 120 + len(name)
        tokens = bases.tokens_of(seed)
        options = {"base": str((root / "bases" / base).resolve()), "kind": bases.BASES[base].kind, "config": config, "arguments": arguments}
        options |= {"seed": seed, "pickle": arguments.get("ln_before", False), "tokens": tokens.tolist(), "path": str(folder)}
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        program = [os.environ["WEFT_PYTHON_ADAPTERS"], str(SCRIPT), json.dumps(options)]
        result = subprocess.run(program, check=True, stdout=subprocess.PIPE, env=environment)
        found = json.loads(result.stdout.splitlines()[-1])
        path = folder / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()), indent=1) + "\n")
        logits = torch.tensor(found["logits"], dtype=torch.float64)
        return folder, base, tokens, {"logits": logits}, {}, {"error": f"{found['error']:.1e}", "adapters": found["version"]}

    return name, features, make


CASES = [
    case("bottleneck-pfeiffer", "llama", "SeqBnConfig: relu", "SeqBnConfig", reduction_factor=8),
    case("bottleneck-houlsby", "llama", "DoubleSeqBnConfig: swish", "DoubleSeqBnConfig", reduction_factor=8),
    case("bottleneck-gpt2", "gpt2", "DoubleSeqBnConfig, gelu", "DoubleSeqBnConfig", reduction_factor=8, non_linearity="gelu"),
    case("bottleneck-norms", "llama", "ln_before, ln_after, gelu_new; saved as a pickle, converted by tools/convert_adapter.py", "SeqBnConfig", reduction_factor=8, ln_before=True, ln_after=True, non_linearity="gelu_new"),
    case("bottleneck-parallel", "llama", "ParBnConfig: scaling 4", "ParBnConfig", reduction_factor=8),
    case("bottleneck-learned", "llama", "learned scaling, leakyrelu", "DoubleSeqBnConfig", reduction_factor=8, scaling="learned", non_linearity="leakyrelu"),
    case("bottleneck-plus", "llama", "AdapterPlusConfig: a scale per channel", "AdapterPlusConfig", reduction_factor=8, stochastic_depth=0.0),
    case("bottleneck-layers", "llama", "leave_out, tanh", "DoubleSeqBnConfig", reduction_factor={"1": 4, "default": 8}, leave_out=[0], non_linearity="tanh"),
]  # fmt: skip
