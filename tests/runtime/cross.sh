#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A package made here runs on another architecture: cross-compiles the runtime (without zstd, which only
# unpacks IR text) and the embedding example, and runs them under qemu-user with a package for that machine.
# Usage: cross.sh TEGULA SOURCE_DIR ARCH TARGET. Exits 77 (skip) when the tools are missing.
set -eu
tegula=$1 root=$2 arch=$3 target=$4
cc=$arch-linux-gnu-gcc
qemu=qemu-$arch
case $arch in riscv64) cpu=rv64,v=true,vext_spec=v1.0,vlen=128 ;; *) cpu=max ;; esac
for t in "$cc" "$qemu"; do
    command -v "$t" >/dev/null || { echo "skipped: $t is not installed"; exit 77; }
done
[ -f /usr/include/xxhash.h ] || { echo "skipped: no xxhash.h"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/include" && ln -s /usr/include/xxhash.h "$work/include/xxhash.h"
"$tegula" build "$root/examples/embed/add.tg" --target "$target" -o "$work/add.tgp"
"$cc" -std=gnu17 -O1 -static -I"$work/include" -I"$root/runtime" -I"$root/runtime/core" -I"$root/runtime/include" \
    "$root"/runtime/core/*.c "$root"/runtime/drivers/*/*.c "$root/examples/embed/main.c" -lpthread -lm -o "$work/embed"
out=$("$qemu" -cpu "$cpu" "$work/embed" "$work/add.tgp")
echo "$out"
[ "$out" = "fine, c[999] = 999.5" ]
