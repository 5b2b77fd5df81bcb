#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `make test` and CI run: layout and format checks, then all tests in release mode.
set -eu
cd "$(dirname "$0")/.."

python3 tools/check_layout.py
python3 -m unittest discover -q tools
swift format lint --strict --recursive Sources Tests Package.swift
# In two steps, so that the tests run what users build. `swift test` alone makes a program that crashes while it opens a model
# (Swift 6.3.1); the cause is not known, ARCHITECTURE.md says what was seen.
swift build -c release --build-tests
swift test -c release --skip-build
