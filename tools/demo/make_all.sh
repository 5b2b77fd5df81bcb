#!/bin/sh
# Makes everything in Models/demo but the router. Run it in the repository's root; takes about an hour of
# CPU time. PYTHON names the interpreter that has tools/demo/requirements.txt installed.
set -e
python=${PYTHON:-python3}
tools=tools/demo
$python $tools/tasks.py
$python $tools/corpus.py
$python $tools/train_base.py
$python $tools/export_gguf.py
for expert in numbers roman clock dates sort reverse passive describe actions intent; do
    $python $tools/train_expert.py $expert --out Models/demo/experts
done
$python $tools/evaluate.py
