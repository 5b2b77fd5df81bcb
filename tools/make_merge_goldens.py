# SPDX-License-Identifier: Apache-2.0
"""Write what peft and mergekit make of small adapters, in Tests/Goldens/merge.

    python tools/make_merge_goldens.py peft [--check]        with peft 0.21.2, torch, transformers, safetensors
    python tools/make_merge_goldens.py mergekit [--check]    with mergekit 0.1.4 and its torch

The first writes the adapters (adapters/NAME), the base's weights (base.safetensors), its cases (peft.json) and results
(peft.safetensors); the second reads the adapters and writes mergekit.json and mergekit.safetensors. `--check` compares with
what is there instead of writing.

Cases of space "factors" hold A and B of each module, the others the change [out, in] (an embedding's as the model has it,
[vocabulary, hidden]). peft's random stream is seeded right before the first mask, since creating the new adapter draws from
it too.
"""
import json
import math
import pathlib
import sys

import torch
from safetensors.torch import load_file, save_file

torch.set_num_threads(1)
FOLDER = pathlib.Path(__file__).resolve().parent.parent / "Tests/Goldens/merge"
CHECK = "--check" in sys.argv
SEED = 7


def keep(name, tensors):
    """Write a file of tensors, or compare with the one that is there."""
    path = FOLDER / name
    tensors = {key: value.detach().to(torch.float32).contiguous().clone() for key, value in sorted(tensors.items())}
    if not CHECK:
        path.parent.mkdir(parents=True, exist_ok=True)
        return save_file(tensors, path, metadata={"format": "pt"})
    there = load_file(path)
    assert there.keys() == tensors.keys(), f"{name}: other names"
    for key, value in tensors.items():
        # Singular vectors are not compared, only their products: those differ by rounding.
        assert torch.allclose(there[key], value, rtol=1e-4, atol=1e-6), f"{name}: {key} differs"


def keep_text(name, value):
    text = json.dumps(value, indent=1) + "\n"
    if not CHECK:
        return (FOLDER / name).write_text(text)
    assert (FOLDER / name).read_text() == text, f"{name} differs"


ADAPTERS = {
    "a": dict(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj", "embed_tokens"]),
    "b": dict(r=4, lora_alpha=4, target_modules=["q_proj", "down_proj"], use_rslora=True),
    "c": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"], alpha_pattern={"v_proj": 3}),
    "d": dict(r=3, lora_alpha=3, target_modules=["q_proj", "down_proj", "embed_tokens"], rank_pattern={"q_proj": 5},
              alpha_pattern={"layers.1.mlp.down_proj": 9}),
}
SCALES = {
    "i": dict(target_modules=["k_proj", "v_proj", "down_proj"], feedforward_modules=["down_proj"]),
    "j": dict(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]),
}


def peft_cases():
    """Name, sources, method, space, options of add_weighted_adapter."""
    two, three = [["a", 0.7], ["b", 0.4]], [["a", 0.6], ["b", -0.3], ["c", 0.5]]
    mixed = [["a", 0.7], ["d", 0.6]]
    yield "linear-2", two, "linear", "factors", {}
    yield "linear-3", three, "linear", "factors", {}
    yield "linear-1", [["c", 0.8]], "linear", "factors", {}
    for density in (0.5, 0.23):
        for sources in (two, three):
            mark = f"{len(sources)}-{density}"
            yield f"ties-{mark}", sources, "ties", "factors", dict(density=density)
            yield f"dare_linear-{mark}", sources, "dare_linear", "factors", dict(density=density)
            yield f"dare_ties-{mark}", sources, "dare_ties", "factors", dict(density=density)
            yield f"magnitude_prune-{mark}", sources, "magnitude_prune", "factors", dict(density=density)
    yield "ties-frequency", three, "ties", "factors", dict(density=0.5, majority_sign_method="frequency")
    yield "dare_ties-frequency", three, "dare_ties", "factors", dict(density=0.5, majority_sign_method="frequency")
    yield "cat-3", three, "cat", "concat", {}
    yield "cat-mixed", mixed, "cat", "concat", {}
    yield "svd-mixed", mixed, "svd", "delta", {}
    yield "svd-rank", three, "svd", "delta", dict(svd_rank=2)
    for name in ("ties_svd", "dare_linear_svd", "dare_ties_svd", "magnitude_prune_svd"):
        yield f"{name}-mixed", mixed, name, "delta", dict(density=0.4)
        yield f"{name}-3", three, name, "delta", dict(density=0.6, svd_rank=3)
    yield "ties_svd-frequency", three, "ties_svd", "delta", dict(density=0.5, majority_sign_method="frequency")


def make_peft():
    import peft
    from peft.tuners.lora import LoraLayer
    from peft.utils import merge_utils
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(SEED)
    config = LlamaConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, vocab_size=32, tie_word_embeddings=False)
    base = LlamaForCausalLM(config).eval()
    base_state = {key: value.clone() for key, value in base.state_dict().items()}
    keep("base.safetensors", {key: base_state[key] for key in base_state
                              if any(part in key for part in ("q_proj", "v_proj", "down_proj", "embed_tokens"))})

    def save(name, model_config):
        model = LlamaForCausalLM(config)
        model.load_state_dict(base_state)
        model = peft.get_peft_model(model, model_config)
        generator = torch.Generator().manual_seed(len(name) + ord(name[0]))
        for key, parameter in model.named_parameters():
            if "lora" in key or "ia3" in key:
                values = torch.randn(parameter.shape, generator=generator)
                parameter.data = values * 0.3 + 1 if "ia3" in key else values * 0.3
        state = peft.get_peft_model_state_dict(model, save_embedding_layers=False)
        keep(f"adapters/{name}/adapter_model.safetensors", state)
        if not CHECK:
            kept = model.peft_config["default"]
            kept.inference_mode, kept.base_model_name_or_path = True, "tiny"
            kept.save_pretrained(FOLDER / "adapters" / name)
            # Sets are written in arbitrary order.
            path = FOLDER / "adapters" / name / "adapter_config.json"
            options = json.loads(path.read_text())
            options = {key: sorted(value) if isinstance(value, list) else value for key, value in options.items()}
            path.write_text(json.dumps(options, indent=1, sort_keys=True) + "\n")

    for name, options in ADAPTERS.items():
        save(name, peft.LoraConfig(task_type="CAUSAL_LM", **options))
    for name, options in SCALES.items():
        save(name, peft.IA3Config(task_type="CAUSAL_LM", **options))

    original = merge_utils.random_pruning
    seeded = []

    def pruning(*arguments, **options):
        if not seeded:
            torch.manual_seed(SEED)
            seeded.append(True)
        return original(*arguments, **options)

    merge_utils.random_pruning = pruning
    results, cases = {}, []

    def load(names):
        model = LlamaForCausalLM(config)
        model.load_state_dict(base_state)
        wrapped = peft.PeftModel.from_pretrained(model, FOLDER / "adapters" / names[0], adapter_name=names[0])
        for name in names[1:]:
            wrapped.load_adapter(FOLDER / "adapters" / name, adapter_name=name)
        return wrapped

    for case, sources, method, space, options in peft_cases():
        model = load([name for name, _ in sources])
        seeded.clear()
        model.add_weighted_adapter([name for name, _ in sources], [weight for _, weight in sources], "merged",
                                   combination_type=method, **options)
        for path, module in model.base_model.model.named_modules():
            if not isinstance(module, LoraLayer):
                continue
            if "merged" in module.lora_A:
                a, b = module.lora_A["merged"].weight, module.lora_B["merged"].weight
            elif "merged" in module.lora_embedding_A:
                a, b = module.lora_embedding_A["merged"], module.lora_embedding_B["merged"]
            else:
                continue
            assert math.isclose(module.scaling["merged"], 1)
            if space == "factors":
                results[f"{case}|{path}|A"], results[f"{case}|{path}|B"] = a, b
            else:
                results[f"{case}|{path}"] = module.get_delta_weight("merged")
        parameters = {key: value for key, value in options.items() if key != "svd_rank"}
        if "majority_sign_method" in parameters:
            parameters["majority_sign_method"] = 1
        cases.append(dict(name=case, sources=sources, method=method, space=space, parameters=parameters,
                          rank=options.get("svd_rank"), seed=SEED))

    sources = [["i", 0.7], ["j", -0.2]]
    model = load(["i", "j"])
    model.add_weighted_adapter(["i", "j"], [0.7, -0.2], "merged")
    for key, value in peft.get_peft_model_state_dict(model, adapter_name="merged").items():
        results["ia3|" + key.removeprefix("base_model.model.").removesuffix(".ia3_l")] = value.flatten()
    cases.append(dict(name="ia3", sources=sources, method="linear", space="factors", parameters={}, rank=None, seed=SEED))
    keep("peft.safetensors", results)
    keep_text("peft.json", cases)


def mergekit_cases():
    """Name, sources, method, parameters."""
    two, three = [["a", 0.7], ["b", 0.4]], [["a", 0.6], ["b", -0.3], ["c", 0.5]]
    for sources in (two, three):
        count = len(sources)
        yield f"linear-{count}", sources, "linear", {}
        yield f"linear-{count}-sum", sources, "linear", dict(normalize=False)
        yield f"task_arithmetic-{count}", sources, "task_arithmetic", dict([("lambda", 0.8)])
        yield f"ties-{count}", sources, "ties", dict(density=0.4)
        yield f"ties-{count}-sum", sources, "ties", dict([("density", 0.4), ("normalize", False), ("lambda", 1.3)])
        yield f"dare_linear-{count}", sources, "dare_linear", dict(density=0.4)
        yield f"dare_ties-{count}", sources, "dare_ties", dict(density=0.4)
        yield f"dare_ties-{count}-plain", sources, "dare_ties", dict(density=0.4, rescale=False, normalize=True)
        yield f"della-{count}", sources, "della", dict(density=0.4)
        yield f"della_linear-{count}", sources, "della_linear", dict(density=0.6, epsilon=0.2)
        yield f"breadcrumbs-{count}", sources, "breadcrumbs", dict(density=0.5, gamma=0.03)
        yield f"breadcrumbs_ties-{count}", sources, "breadcrumbs_ties", dict(density=0.5, gamma=0.03)
        yield f"breadcrumbs-{count}-dense", sources, "breadcrumbs", dict(density=0.99, gamma=0.05)
        yield f"multislerp-{count}", sources, "multislerp", {}
        yield f"multislerp-{count}-sum", sources, "multislerp", dict(normalize_weights=False)
        yield f"karcher-{count}", sources, "karcher", {}
        yield f"model_stock-{count}", sources, "model_stock", {}
        yield f"model_stock-{count}-rows", sources, "model_stock", dict(filter_wise=True)
        yield f"sce-{count}", sources, "sce", {}
        yield f"sce-{count}-top", sources, "sce", dict(select_topk=0.3)
        yield f"ram-{count}", sources, "ram", dict(epsilon=0.1)
        yield f"ramplus_tl-{count}", sources, "ramplus_tl", dict(epsilon=0.1, r=0.5, alpha=0.9)
    yield "slerp-0.3", two, "slerp", dict(t=0.3)
    yield "slerp-same", [["a", 1], ["a", 1]], "slerp", dict(t=0.3)
    for key, parameters in (("flat", {}), ("rows", dict(nuslerp_flatten=False)),
                            ("columns", dict(nuslerp_flatten=False, nuslerp_row_wise=True))):
        yield f"nuslerp-{key}", two, "nuslerp", parameters
    yield "nearswap", [["a", 1]], "nearswap", dict(t=0.05)
    yield "arcee_fusion", [["a", 1]], "arcee_fusion", {}
    yield "passthrough", [["a", 1]], "passthrough", dict(scale=0.6)


def changes(name):
    """The changes of an adapter by module, as the model keeps the weights."""
    folder = FOLDER / "adapters" / name
    config, state = json.loads((folder / "adapter_config.json").read_text()), load_file(folder / "adapter_model.safetensors")
    result = {}
    for key in state:
        path, _, parameter = key.removeprefix("base_model.model.").partition(".lora_")
        if not parameter.startswith(("A", "embedding_A")):
            continue
        a, b = state[key], state[key.replace("lora_A", "lora_B").replace("embedding_A", "embedding_B")]

        def pattern(option, usual):
            return next((value for part, value in config[option].items() if path.endswith(part)), usual)

        rank, alpha = pattern("rank_pattern", config["r"]), pattern("alpha_pattern", config["lora_alpha"])
        assert a.shape[0] == rank
        delta = (b @ a) * (alpha / (math.sqrt(rank) if config["use_rslora"] else rank))
        result[path] = delta.T.contiguous() if "embedding" in parameter else delta
    return result


def ram(taus, base, epsilon, r=0.0, alpha=0.0):
    """RAM by its formula (https://arxiv.org/abs/2601.13572): the release of mergekit that has it is not on PyPI."""
    large = [tau.abs() > epsilon for tau in taus]
    count = sum(mask.int() for mask in large)
    total = torch.zeros_like(base)
    for tau, mask in zip(taus, large):
        own, shared = mask & (count == 1), mask & (count > 1)
        gain = 1 + r * min(max(float(shared.sum()) / max(float(own.sum()), epsilon), 0), alpha)
        total += tau * own * gain + tau * shared / count.clamp(min=1)
    return total


def make_mergekit():
    import mergekit.merge_methods as methods
    from mergekit.merge_methods import (arcee_fusion, generalized_task_arithmetic as gta, karcher, linear, model_stock,
                                        multislerp, nearswap, nuslerp, sce, slerp)
    from mergekit.architecture import WeightInfo
    from mergekit.common import ImmutableMap, ModelReference
    from mergekit.sparsify import RescaleNorm

    base_state = load_file(FOLDER / "base.safetensors")

    def merged(method, parameters, weights, taus, base):
        """The change that a method makes of changes, on a base of zeros, except where it reads the base."""
        zero = torch.zeros_like(base)
        keys = [ModelReference.model_validate(f"m{i}") for i in range(len(taus))]
        root = ModelReference.model_validate("base")
        info = WeightInfo(name="w")
        if method == "ram":
            return ram(taus, zero, parameters["epsilon"])
        if method == "ramplus_tl":
            return ram(taus, zero, **parameters)
        if method == "passthrough":
            return taus[0] * parameters["scale"]
        if method == "linear":
            task = linear.LinearMergeTask.model_construct(
                tensor_parameters={key: {"weight": weight} for key, weight in zip(keys, weights)},
                normalize=parameters.get("normalize", True), weight_info=info)
            return task.execute(dict(zip(keys, taus)))
        if method == "slerp":
            return slerp.slerp(parameters["t"], *taus)
        if method == "nuslerp":
            task = nuslerp.NuSlerpTask.model_construct(
                tensor_parameters={key: {"weight": weight} for key, weight in zip(keys, weights)}, weight_info=info,
                row_wise=parameters.get("nuslerp_row_wise", False), flatten=parameters.get("nuslerp_flatten", True),
                base_model=None)
            return task.execute({key: tau.clone() for key, tau in zip(keys, taus)})
        if method == "multislerp":
            return multislerp.multislerp([tau.clone() for tau in taus], weights, zero,
                                         normalize_weights=parameters.get("normalize_weights", True))
        if method == "karcher":
            return karcher.karcher_merge_tensors(taus, [1 / len(taus)] * len(taus))
        if method == "model_stock":
            task = model_stock.ModelStockMergeTask.model_construct(
                base_model=root, weight_info=info, filter_wise=parameters.get("filter_wise", False))
            return task.execute({root: zero, **dict(zip(keys, taus))})
        if method == "sce":
            return sce.sce_merge(taus, zero, select_topk=parameters.get("select_topk", 1.0))
        if method == "nearswap":
            return nearswap.nearswap_merge(taus, zero, parameters["t"])
        if method == "arcee_fusion":
            task = arcee_fusion.ArceeFusionMergeTask.model_construct(base_model=root, weight_info=info)
            return task.execute({root: base, keys[0]: base + taus[0]}) - base
        row = methods.get(method)
        assert isinstance(row, gta.GeneralizedTaskArithmeticMerge)
        given = {definition.name: definition.default_value for definition in row.parameters() + row.tensor_parameters()}
        given.update(parameters)
        own = {key: {**{name: given[name] for name in ("density", "gamma", "epsilon") if name in given}, "weight": weight}
               for key, weight in zip(keys, weights)}
        task = gta.GTATask.model_construct(
            method=row, base_model=root, weight_info=info, tensor_parameters=ImmutableMap(own), int8_mask=False,
            normalize=given["normalize"], lambda_=given["lambda"],
            rescale_norm=RescaleNorm.l1 if given["rescale"] else None)
        return task.execute({root: zero, **dict(zip(keys, taus))})

    # In the order of the model, as peft's named_modules has it.
    order = ["model.embed_tokens"] + [f"model.layers.{layer}.{part}" for layer in range(2)
                                      for part in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")]
    results, cases = {}, []
    for case, sources, method, parameters in mergekit_cases():
        own = [changes(name) for name, _ in sources]
        torch.manual_seed(SEED)
        for path in order:
            base = base_state[path + ".weight"]
            if not any(path in change for change in own):
                continue
            taus = [change.get(path, torch.zeros_like(base)) for change in own]
            results[f"{case}|{path}"] = merged(method, parameters, [weight for _, weight in sources], taus, base)
        cases.append(dict(name=case, sources=sources, method=method, space="delta",
                          parameters={key: float(value) for key, value in parameters.items()}, rank=None, seed=SEED))
    keep("mergekit.safetensors", results)
    keep_text("mergekit.json", cases)


if __name__ == "__main__":
    {"peft": make_peft, "mergekit": make_mergekit}[sys.argv[1]]()
