# SPDX-License-Identifier: Apache-2.0
"""Run by WEFT_PYTHON_ADAPTERS: the library `adapters` makes a bottleneck adapter, saves it, loads it again and runs it.

    bottleneck_adapter.py OPTIONS     a JSON object: base, kind, config, arguments, pickle, seed, tokens, path
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import adapters
import torch
import transformers

# The library has the name of a package beside this script's package: tools come last.
TOOLS = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(TOOLS))
from architectures import reference  # noqa: E402


def load(path, dtype=torch.float32):
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation="eager")
    model.config._name_or_path = model.name_or_path = "weft/" + pathlib.Path(path).name
    adapters.init(model)
    return model


def adapted(base, folder):
    model = load(base)
    name = model.load_adapter(str(folder), use_safetensors=(folder / "adapter.safetensors").exists())
    model.set_active_adapters(name)
    return model.eval()


def exact_logits(options, folder, tokens):
    # Made here, so that the rotary frequencies are those of float64.
    with reference.float64_source(options["kind"]):
        model = adapted(options["base"], folder).double()
        for module in model.modules():
            if hasattr(module, "inv_freq"):
                exact = type(module)(module.config)
                assert exact.inv_freq.dtype == torch.float64
                module.inv_freq, module.original_inv_freq = exact.inv_freq, exact.original_inv_freq
        with reference.NoFloat32():
            return model(tokens).logits[0]


@torch.no_grad()
def main():
    options = json.loads(sys.argv[1])
    folder, tokens = pathlib.Path(options["path"]), torch.tensor([options["tokens"]])
    torch.manual_seed(options["seed"])
    model = load(options["base"])
    model.add_adapter("chef", config=getattr(adapters, options["config"])(**options["arguments"]))
    generator = torch.Generator().manual_seed(options["seed"])
    for key, value in sorted(model.named_parameters()):
        if ".chef." in key:
            value.data = (value.data + 0.2 * torch.randn(value.shape, generator=generator)).bfloat16().float()
    with tempfile.TemporaryDirectory() as temporary:
        saved = pathlib.Path(temporary) / "saved"
        # A new norm has two names in the model, which safetensors refuses.
        model.save_adapter(str(saved), "chef", use_safetensors=not options["pickle"])
        files = saved
        if options["pickle"]:
            files = pathlib.Path(temporary) / "converted"
            subprocess.run([sys.executable, str(TOOLS / "convert_adapter.py"), str(saved), str(files)], check=True, stdout=sys.stderr)
        for file in ["adapter_config.json", "adapter.safetensors"]:
            (folder / file).write_bytes((files / file).read_bytes())
        alone = adapted(options["base"], saved)(tokens).logits[0]
        logits = exact_logits(options, saved, tokens)
    print(json.dumps({"logits": logits.tolist(), "error": reference.relative_error(alone, logits), "version": adapters.__version__}))


main()
