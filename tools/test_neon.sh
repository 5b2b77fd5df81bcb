#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Compiles the kernels for AArch64 and compares the NEON tiers with scalar under qemu: correctness only, an emulator says nothing about
# speed. A Neoverse N1 has dot products and no int8 matrix products: there the tier without them must run without them. Takes the toolchain's clang (CC names another) and Debian's libraries for the other processor; installs what is missing with
# apt where it may.
set -eu
cd "$(dirname "$0")/.."
cc=${CC:-$(command -v clang || echo "$(dirname "$(readlink -f "$(command -v swift)")")/clang")}
if ! command -v qemu-aarch64 >/dev/null || ! command -v aarch64-linux-gnu-gcc >/dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "test_neon.sh: expected qemu-aarch64 and aarch64-linux-gnu-gcc (Debian: qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross)" >&2
    exit 1
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross >/dev/null
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for source in CSources/Kernels/*.c CSources/Kernels/*/*.c tools/neon/compare.c; do
  "$cc" --target=aarch64-linux-gnu --sysroot=/usr/aarch64-linux-gnu -isystem /usr/aarch64-linux-gnu/include -std=c11 -O1 -Wall -Wextra \
    -Werror -c "$source" -o "$out/${source//\//_}.o"
done
aarch64-linux-gnu-gcc -static "$out"/*.o -lm -lpthread -o "$out/compare"
qemu-aarch64 -cpu neoverse-n1 "$out/compare" neon
qemu-aarch64 -cpu max "$out/compare" neon neon_i8mm
