#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the packs of the demo's experts from their PEFT folders: compress_experts.sh FOLDER [OUTPUT], in the repository's root after
# `make build`. FOLDER holds one folder for each expert, in F16 as train_expert.py writes them; OUTPUT is Models/demo/experts.
# What is chosen is chosen on training items, which tools/demo/tasks.py writes to .build/demo/train; the test items are not looked at.
set -e
folder=${1:?expected the folder of the experts}
output=${2:-Models/demo/experts}
weft=${WEFT:-.build/release/weft}
mkdir -p "$output"
for expert in actions clock dates describe intent numbers passive reverse roman sort; do
    $weft compress "$folder/$expert" --model Models/demo/base.gguf --max-loss "${MAX_LOSS:-0.5%}" \
        --data ".build/demo/train/$expert.jsonl" --limit 500 --output "$output/$expert.weft"
done
