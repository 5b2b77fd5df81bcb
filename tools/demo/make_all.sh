#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes everything in Models/demo in about an hour of CPU time. Run it in the repository's root, after
# `make build`. PYTHON names the interpreter that has tools/demo/requirements.txt installed.
set -e
python=${PYTHON:-python3}
tools=tools/demo
demo=Models/demo
$python $tools/tasks.py
$python $tools/corpus.py
$python $tools/train_base.py
$python $tools/export_gguf.py
for expert in actions:5 clock:3.5 dates:2 describe:2 intent:3.5 numbers:3 passive:2 reverse:3.5 roman:5 sort:3; do
    $python $tools/train_expert.py ${expert%:*} --minutes ${expert#*:}
done
$python $tools/evaluate.py
PYTHON=$python $tools/compress_experts.sh
.build/release/weft router train --model $demo/base.gguf --data .build/demo/train/router.jsonl \
    --output $demo/router.safetensors
.build/release/weft router eval --model $demo/base.gguf --router $demo/router.safetensors \
    --data $demo/router-test.jsonl
