#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs the system libraries that are missing (Debian 12 and its relatives), and says what to do where it can't.
set -eu

packages=(libcjson-dev libpcre2-dev libutf8proc-dev libedit-dev libopenblas-dev libzstd-dev libssl-dev)
# What each brings; OpenBLAS lies under the name of the processor's architecture.
files=(include/cjson/cJSON.h include/pcre2.h include/utf8proc.h include/editline/readline.h 'lib*/*/libopenblas.so' include/zstd.h include/openssl/evp.h)

if ! command -v swift >/dev/null; then
  echo "setup: swift is missing; install Swift 6.2 or newer from https://www.swift.org/install, then run this again" >&2
  exit 1
fi

missing=()
for index in "${!packages[@]}"; do
  compgen -G "/usr/${files[$index]}" >/dev/null || missing+=("${packages[$index]}")
done
command -v python3 >/dev/null || missing+=(python3)  # checks the layout
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
  echo "setup: these libraries are missing, under their Debian names: ${missing[*]}" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null || ! sudo -n true 2>/dev/null; then
    echo "setup: these packages are missing and this is not root. Run:  sudo apt-get install ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
echo "setup: installing ${missing[*]}"
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
