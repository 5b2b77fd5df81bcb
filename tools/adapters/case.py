# SPDX-License-Identifier: Apache-2.0
"""A golden adapter: how peft makes it, saves it, loads it again and runs it."""

import contextlib
import copy
import dataclasses
import json
import sys
import zlib

import peft
import torch
from architectures import reference
from safetensors.torch import load_file, save_file

from . import bases

FLOATS = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
GPT2 = ["c_attn", "c_proj", "c_fc"]
# The modules of which the first one with a delta is kept: if possible not square, so that its orientation shows.
DELTAS = {
    "llama": [
        f"model.layers.1.{name}" for name in ("self_attn.k_proj", "self_attn.v_proj", "mlp.down_proj", "self_attn.q_proj")
    ],
    "gpt2": [f"transformer.h.1.{name}" for name in ("mlp.c_fc", "attn.c_attn")],
    "mixtral": ["model.layers.1.self_attn.k_proj"],
}


@dataclasses.dataclass
class Case:
    """One folder under Tests/Goldens/families.

    `config` is the class of the configuration, `options` its arguments. Every trainable parameter is moved from where peft
    begins by normal noise of deviation `noise`. `inputs` are further arguments of forward. The other functions replace a step.
    """

    name: str
    base: str
    config: type
    options: dict
    features: str = ""
    noise: float = 0.2
    storage: str = "F32"
    deltas: list = None
    inputs: dict = dataclasses.field(default_factory=dict)
    saving: dict = dataclasses.field(default_factory=dict)
    tokens: torch.Tensor = None
    # The adapter's folder below that of the case.
    adapter: str = ""
    # (base, folder) -> peft model, in place of get_peft_model.
    adapt: object = None
    # (peft model) -> None, after the noise.
    finish: object = None
    # (folder) -> None, after saving.
    edit: object = None
    # (base, folder) -> peft model, in place of PeftModel.from_pretrained.
    load: object = None
    # Why the model is not to be merged, though peft does not refuse.
    unmergeable: str = ""
    # Why there are no expected numbers: a reader must refuse the folder.
    refused: str = ""

    @property
    def seed(self):
        return zlib.crc32(self.name.encode())

    @property
    def kind(self):
        return bases.BASES[self.base].kind

    def adapted(self, base, folder):
        torch.manual_seed(self.seed)
        if self.adapt:
            return self.adapt(base, folder)
        # peft changes dictionaries that it is given.
        return peft.get_peft_model(base, self.config(task_type="CAUSAL_LM", **copy.deepcopy(self.options)))

    def loaded(self, base, folder):
        # What is not in the file comes from streams that begin here.
        torch.manual_seed(self.seed + 1)
        return self.load(base, folder) if self.load else peft.PeftModel.from_pretrained(base, folder)


def family(prefix, config, **shared):
    """A function that makes the cases of one family: name, base, features, fields of `Case`, and options of the configuration."""

    def make_case(name="", base="llama", features="", case=None, **options):
        return Case(f"{prefix}-{name}" if name else prefix, base, config, shared | options, features, **(case or {}))

    return make_case


@contextlib.contextmanager
def float64_peft(kind):
    """`float64_source`, and the same for the sources of peft. For what runs, not for what is made: random streams differ."""
    modules = [module for name, module in sys.modules.items() if name.startswith("peft.") and hasattr(module, "torch")]
    with reference.float64_source(kind):
        for module in modules:
            module.torch = reference.Float64Torch()
        torch.set_default_dtype(torch.float64)
        try:
            yield
        finally:
            torch.set_default_dtype(torch.float32)
            for module in modules:
                module.torch = torch


def add_noise(model, case):
    generator = torch.Generator().manual_seed(case.seed)
    for _, value in sorted(model.named_parameters()):
        if value.requires_grad:
            moved = value.data + case.noise * torch.randn(value.shape, generator=generator)
            # In place, as tied factors are views of each other.
            value.data.copy_(moved.to(FLOATS[case.storage]))


@torch.no_grad()
def logits_of(model, case, tokens):
    """[T, V] of the given tokens, without those of virtual ones before them."""
    return model(tokens[None], **case.inputs).logits[0][-len(tokens) :]


def tidy(folder, case):
    """Sets are written in an order that changes from run to run; the stored type; no file that nobody reads."""
    (folder / "README.md").unlink(missing_ok=True)
    for inner in folder.iterdir():
        if inner.is_dir():
            tidy(inner, case)
    path = folder / "adapter_config.json"
    if not path.exists():
        return
    fields = json.loads(path.read_text())
    for key in ("target_modules", "target_parameters", "modules_to_save", "feedforward_modules", "exclude_modules"):
        if isinstance(fields.get(key), list):
            fields[key].sort()
    path.write_text(json.dumps(fields, indent=1) + "\n")
    path = folder / "adapter_model.safetensors"
    if case.storage != "F32":
        tensors = load_file(path)
        stored = {key: value.to(FLOATS[case.storage]) if value.is_floating_point() else value for key, value in tensors.items()}
        assert all(torch.equal(stored[key].to(value.dtype), value) for key, value in tensors.items())
        save_file(stored, path, {"format": "pt"})


def delta_of(merged, base, path):
    """Merged weight - base weight, [out, in], of a module or of a parameter."""
    parameter = path if path.endswith(("experts.gate_up_proj", "experts.down_proj")) else f"{path}.weight"
    delta = (merged.get_parameter(parameter) - base.get_parameter(parameter).double()).detach()
    is_conv1d = parameter != path and type(base.get_submodule(path)).__name__ == "Conv1D"
    return delta.T if is_conv1d else delta


def merged_parts(model, base, case, tokens):
    """The logits of the merged model and its deltas by module; or why peft cannot merge."""
    if case.unmergeable:
        return None, {}, case.unmergeable
    if not hasattr(model.base_model, "merge_and_unload"):
        return None, {}, "there is no weight to merge into"
    try:
        merged = model.merge_and_unload()
    except (ValueError, NotImplementedError, RuntimeError) as error:
        return None, {}, str(error).split("\n")[0] or type(error).__name__
    if case.deltas is None:
        deltas = {path: delta_of(merged, base, path) for path in DELTAS[case.kind]}
        deltas = dict([pair for pair in deltas.items() if pair[1].any()][:1])
    else:
        deltas = {path: delta_of(merged, base, path) for path in case.deltas}
        assert all(delta.any() for delta in deltas.values())
    return logits_of(merged, dataclasses.replace(case, inputs={}), tokens), deltas, ""


def exact_run(case, base, folder, tokens):
    """Logits, merged logits and deltas in float64. The adapter is loaded in float32, as users do, then everything is widened."""
    model = to_float64(case, base, folder)
    with float64_peft(case.kind):
        with reference.NoFloat32():
            logits = logits_of(model, case, tokens)
        merged, deltas, why = merged_parts(model, bases.load_base(base), case, tokens)
    return logits, merged, deltas, why


def to_float64(case, base, folder):
    model = case.loaded(bases.load_base(base), folder).eval()
    with reference.float64_source(case.kind):
        return bases.to_float64(model)


def make(case, root):
    """Write the folder of a case; returns what the table tells of it."""
    base, folder = root / "bases" / case.base, root / case.name
    folder.mkdir(parents=True)
    model = case.adapted(bases.load_base(base), folder)
    add_noise(model, case)
    if case.finish:
        case.finish(model)
    model.eval()
    tokens = case.tokens if case.tokens is not None else bases.tokens_of(case.seed)
    model.save_pretrained(folder, **case.saving)
    # Only now: a pass may change what is saved.
    trained = None if case.refused else logits_of(model, case, tokens)
    tidy(folder, case)
    if case.edit:
        case.edit(folder)
    row = {"name": case.name, "base": case.base, "features": case.features, "refused": case.refused}
    if not case.refused:
        row |= expect(case, base, folder, tokens, trained)
    row["bytes"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return row


def expect(case, base, folder, tokens, trained):
    """Write expected.safetensors."""
    logits, merged, deltas, why = exact_run(case, base, folder, tokens)
    alone = logits_of(case.loaded(bases.load_base(base), folder).eval(), case, tokens)
    plain = logits_of(bases.load_base(base), dataclasses.replace(case, inputs={}), tokens)
    errors = {
        "error": reference.relative_error(alone, logits),
        "reload": reference.relative_error(trained, logits),
        "change": reference.relative_error(plain, logits),
    }
    if merged is not None:
        errors["merging"] = reference.relative_error(merged, logits)
    expected = {"logits": logits, **{f"delta.{path}": delta for path, delta in deltas.items()}}
    if errors.get("merging", 0) > 1e-6:
        expected["merged"] = merged
    about = {"base": case.base, "peft": peft.__version__, "seed": case.seed, "unmergeable": why}
    if "task_ids" in case.inputs:
        about["task"] = case.inputs["task_ids"].item()
    if case.adapter:
        about["adapter"] = case.adapter
    about |= {key: f"{value:.1e}" for key, value in errors.items()}
    rounded = {key: value.to(torch.float32).contiguous() for key, value in expected.items()}
    save_file({"tokens": tokens.to(torch.int32), **rounded}, folder / "expected.safetensors", {"weft": json.dumps(about)})
    return about
