#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes the synthetic models, then measures. With `--against llama-cpp`, builds llama.cpp for this machine first.
# WEFT_PYTHON names a Python that already has the packages.
set -eu
cd "$(dirname "$0")/../.."

python=${WEFT_PYTHON:-.venv/bin/python}
if [ -z "${WEFT_PYTHON:-}" ]; then
  if [ ! -x "$python" ] && ! python3 -m venv .venv; then
    echo "bench: expected Python with venv; install python3 and python3-venv, or set WEFT_PYTHON" >&2
    exit 1
  fi
  "$python" -c 'import gguf, numpy, safetensors' 2>/dev/null || "$python" -m pip install -q gguf numpy safetensors
  if [[ "$*" == *llama-cpp* && "$*" != *--llama-python* ]] && ! "$python" -c 'import llama_cpp' 2>/dev/null; then
    echo "building llama.cpp for this machine (some minutes)"
    CMAKE_ARGS="-DGGML_NATIVE=ON" "$python" -m pip install -q --no-binary llama-cpp-python llama-cpp-python
  fi
fi
exec "$python" tools/bench/bench.py "$@"
