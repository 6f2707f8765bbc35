#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# tools/sass_row.py on machine code made here by nvcc: loops whose figures are known.
set -u
tool=$1 here=$2
PATH="$PATH:/usr/local/cuda/bin"
command -v nvcc >/dev/null || { echo "skipped: no nvcc"; exit 77; }
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "sass.sh: $1" >&2; cat "$work/log" >&2; exit 1; }
row() { PYTHONDONTWRITEBYTECODE=1 python3 "$tool" "$@" >"$work/log" 2>&1; }

nvcc -arch=sm_90a -cubin -o "$work/sm_90a.cubin" "$here/loops.cu" >"$work/log" 2>&1 || fail "nvcc"
nvcc -arch=sm_80 -cubin -o "$work/sm_80.cubin" "$here/loops.cu" >"$work/log" 2>&1 || fail "nvcc"
row "$work/sm_80.cubin"
case $? in 77) echo "skipped: no nvdisasm"; exit 77 ;; 0) ;; *) fail "sm_80" ;; esac
# One m16n16k16 of wmma is two of mma.sync: 4 warps x 2 x 4,096 a trip and product.
grep -Eq '^by_warps: [1-9][0-9]* regs, 0 spills, .* 2 BAR, depth -, 0 MUFU, .* 4 x HMMA.16816.F32 of' "$work/log" || fail "by_warps"
grep -q '^plain: .* no loop with matrix instructions' "$work/log" || fail "plain"
grep -Eq '^many: 32 regs, [1-9][0-9]* spills' "$work/log" || fail "many: spills"
row "$work/sm_90a.cubin" --kernel by_group --min-depth 1 --max-barriers 0 --max-spills 0 --min-kflop 5 || fail "by_group"
grep -Eq ' 0 BAR, depth 1, 0 MUFU, 0 spills in the loop, 1 x HGMMA.64x64x16.F32.BF16 of' "$work/log" || fail "by_group: row"
row "$work/sm_90a.cubin" --kernel by_group --min-depth 2 && fail "a depth of one is none of two"
row "$work/sm_90a.cubin" --kernel by_group --min-kflop 100 && fail "100 kFLOP are not reached"
row "$work/sm_80.cubin" --kernel by_warps --max-barriers 1 && fail "there are two barriers"
row "$work/sm_80.cubin" --kernel plain --min-kflop 1 && fail "plain has no matrix instructions"
row "$work/sm_80.cubin" --kernel many --max-spills 0 && fail "many spills"
row "$work/sm_80.cubin" --kernel nobody && fail "there is no such kernel"
exit 0
