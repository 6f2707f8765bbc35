#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What LLVM made of the stock kernels against the kept table docs/amd.txt: a draw by seed (all: TEGULA_TEST_FULL=1).
# Then the tool itself: a table that promises more than there is must fail.
set -u
tegula=$1 root=$2
for tool in llvm-readelf-19 llvm-objdump-19 python3; do
    command -v "$tool" >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "gate.sh: $1" >&2; exit 1; }
run() { PYTHONDONTWRITEBYTECODE=1 python3 "$root/tools/amd_gate.py" "$tegula" "$@"; }

sample="--sample 8 --seed 5"
[ -z "${TEGULA_TEST_FULL:-}" ] || sample=
# shellcheck disable=SC2086
run $sample --compare "$root/docs/amd.txt" || fail "worse than the table; if it must be, write it anew (--write)"

run --filter matmul_i8 --rows gfx942 --write "$work/kept" >/dev/null || fail "--write"
run --filter matmul_i8 --rows gfx942 --compare "$work/kept" >/dev/null || fail "a table does not agree with itself"
sed 's|^matmul_i8 .*|matmul_i8 8/0/16/0/0/0/0/8/0|' "$work/kept" >"$work/better"
run --filter matmul_i8 --rows gfx942 --compare "$work/better" >"$work/log" && fail "more registers than the table says pass"
grep -q 'matmul_i8 for gfx942: [0-9]* vector registers, 8 in the table' "$work/log" || fail "the message does not say what is worse"
grep -v '^matmul_i8' "$work/kept" >"$work/less"
run --filter matmul_i8 --rows gfx942 --compare "$work/less" | grep -q '^1 entries are not in' || fail "a kernel that the table lacks is not told"
# Matrix instructions are found in the loop, and their share is told.
"$tegula" build "$root/kernels/gemm/gemm.tg" --kernel matmul --set T=f16 --set BM=128 --set BN=128 --set BK=64 --target gfx942 \
    --emit hsaco -o "$work/g.hsaco" || fail "matmul"
PYTHONDONTWRITEBYTECODE=1 python3 - "$root/tools" "$work/g.hsaco" <<'PY' || fail "the share of matrix instructions"
import sys
sys.path.insert(0, sys.argv[1])
import amd_gate
percent = amd_gate.share("llvm-objdump-19", sys.argv[2])
print(f"matmul f16 128x128x64: {percent} % of the hot loop are matrix instructions")
sys.exit(0 if percent >= 15 else 1)
PY
