# SPDX-License-Identifier: Apache-2.0
# `make chat` and `make test` each do everything on a fresh machine. `make help` lists the rest.

SWIFT ?= swift
BUILD := $(SWIFT) build -c release
WEFT  := .build/release/weft

.PHONY: help setup build chat test bench demo-eval format lint sanitize

help:
	@echo "make chat        install what is missing, build, and chat with the demo model"
	@echo "make test        build and run all tests"
	@echo "make bench       measure speed; make bench -- --against llama-cpp compares, --suite all measures more"
	@echo "make demo-eval   repeat the demo model's evaluation through Weft"
	@echo "make setup       install the system libraries that are missing"
	@echo "make format      format the Swift sources;  make lint  checks them"
	@echo "make sanitize    run the tests over broken files under AddressSanitizer"

setup:
	@tools/setup.sh

build: setup
	$(BUILD) --product weft

chat: build
	@$(WEFT) chat

test: setup
	@tools/test.sh

# Words after `--` go to the benchmark, not to make.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
  BENCH_ARGUMENTS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
  $(eval $(sort $(BENCH_ARGUMENTS)):;@:)
endif

bench: build
	@tools/bench/run.sh $(BENCH_ARGUMENTS)

demo-eval: build
	@$(WEFT) eval --data Models/demo/eval

format:
	$(SWIFT) format format --in-place --recursive Sources Tests Package.swift

lint:
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift
	python3 tools/check_layout.py

sanitize: setup
	LSAN_OPTIONS=suppressions=tools/leaks.supp,print_suppressions=0 \
	  $(SWIFT) test --sanitize=address --scratch-path .build/address \
	  --filter 'WeftFormatsTests|WeftAdaptersTests|WeftRoutingTests|WeftEngineTests|WeftTransformerTests.*Error|Broken'
