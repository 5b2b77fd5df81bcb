#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the packs of the demo's experts, in the repository's root after `make build`: trains a ternary copy of each expert (it sees
# training items alone) and stores it as it is. FOLDER holds one folder for each expert, in F16 as train_expert.py writes them.
set -e
python=${PYTHON:-python3}
experts=${1:-.build/demo/experts}
ternary=.build/demo/ternary
for expert in actions:1.8 clock:1.7 dates:1.2 describe:1.3 intent:1.8 numbers:2 passive:1.3 reverse:2.6 roman:2.2 sort:1.6; do
    name=${expert%:*}
    $python tools/demo/train_ternary.py --expert "$name" --experts "$experts" --rank 4 --density 0.22 \
        --minutes "${expert#*:}" --out $ternary
    .build/release/weft compress "$ternary/$name" --method ternary-fit --model Models/demo/base.gguf \
        --output "Models/demo/experts/$name.weft"
done
