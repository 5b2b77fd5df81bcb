# SPDX-License-Identifier: Apache-2.0
"""Run by WEFT_PYTHON_MLX: mlx-lm adapts a model, saves the adapter as its trainer does, loads it again and runs it.

    mlx_adapter.py BASE OPTIONS OUT     OPTIONS is a JSON object: type, num_layers, parameters, seed, tokens
"""

import argparse
import json
import pathlib
import sys

import mlx.core as mx
import mlx_lm.utils
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers, load_adapters


def main():
    base, options, out = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), pathlib.Path(sys.argv[3])
    mx.set_default_device(mx.cpu)
    # Its Mixtral does not know where transformers 5 writes theta.
    theta = {"rope_theta": 10000.0}
    model, _ = mlx_lm.utils.load_model(base, model_config=theta)
    model.freeze()
    mx.random.seed(options["seed"])
    if options["type"] == "full":
        for layer in model.layers[-options["num_layers"] :]:
            layer.unfreeze()
    else:
        linear_to_lora_layers(model, options["num_layers"], options["parameters"], use_dora=options["type"] == "dora")
    moved = []
    for name, value in sorted(tree_flatten(model.trainable_parameters())):
        noise = 0.2 * mx.random.normal(value.shape)
        # Values that BF16 holds.
        moved.append((name, (value + noise).astype(mx.bfloat16).astype(mx.float32)))
    model.load_weights(moved, strict=False)
    out.mkdir(parents=True, exist_ok=True)
    mx.save_safetensors(str(out / "adapters.safetensors"), dict(moved))
    arguments = argparse.Namespace(
        adapter_path="adapters", fine_tune_type=options["type"], iters=1000, learning_rate=1e-5, num_layers=options["num_layers"],
        lora_parameters=options["parameters"], model="weft/" + base.name, optimizer="adam", seed=0, train=True,
    )  # fmt: skip
    mlx_lm.utils.save_config(vars(arguments), out / "adapter_config.json")
    fresh, _ = mlx_lm.utils.load_model(base, model_config=theta)
    fresh = load_adapters(fresh, str(out))
    logits = fresh(mx.array([options["tokens"]]))[0].astype(mx.float32)
    print(json.dumps(logits.tolist()))


main()
