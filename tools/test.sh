#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `make test` and CI run: layout and format checks, then all tests in release mode. What failed is said again at the end.
set -eu -o pipefail
cd "$(dirname "$0")/.."

python3 tools/check_layout.py
python3 -m unittest discover -q tools
swift format lint --strict --recursive Sources Tests Package.swift
# In two steps, so that the tests run what users build, without -enable-testing (ARCHITECTURE.md says what that once did).
swift build -c release --build-tests
log=$(mktemp)
trap 'rm -f "$log"' EXIT
swift test -c release --skip-build 2>&1 | tee "$log" || {
  status=$?
  echo "failed:"
  grep '✘' "$log" || tail -20 "$log"
  exit $status
}
