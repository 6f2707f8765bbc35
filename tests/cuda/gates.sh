#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The kernels judged by their machine code against the kept page docs/gates.md (needs ptxas and nvdisasm); their products in
# the simulator. Then the tool itself: a page that promises more than there is must fail.
set -u
tegula=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "gates.sh: $1" >&2; exit 1; }
for k in gemm_fp8_fast gemm_fp8; do # more trips than the ring has places, and a ragged end on each axis
    "$tegula" run "$root/tests/cuda/gates.tg" --kernel $k --device sim:sm_90a --set T=bf16 --set M=130 --set N=260 --set K=1000 --seed 1 \
        --check >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$k in the simulator"; }
done
for k in "gemm.tg matmul BM=128 BN=256 BK=64" "gemm.tg linear BM=128 BN=128 BK=128" "blocks.tg gemm_fp8 B=128"; do
    set -- $k
    file=$1 kernel=$2
    shift 2
    sets=$(for s in "$@"; do printf -- '--set %s ' "$s"; done)
    # shellcheck disable=SC2086
    "$tegula" run "$root/kernels/gemm/$file" --kernel "$kernel" --device sim:sm_90a --set T=bf16 $sets --set M=130 --set N=264 --set K=1008 \
        --seed 1 --check >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$kernel in the simulator"; }
done
# Whole blocks of rows to a group: the group's number is told to the role that copies.
for k in "grouped_linear BN=256 BK=64" "grouped_linear_psum" "grouped_fp8 B=128" "grouped_fp8_psum B=128"; do
    set -- $k
    kernel=$1
    shift
    sets=$(for s in "$@"; do printf -- '--set %s ' "$s"; done)
    # shellcheck disable=SC2086
    "$tegula" run "$root/kernels/gemm/grouped.tg" --kernel "$kernel" --device sim:sm_90a --set T=bf16 --set ALIGN=128 $sets --set M=384 \
        --set N=136 --set K=784 --set G=3 --seed 3 --check >"$work/log" 2>&1 || { cat "$work/log" >&2; fail "$kernel in the simulator"; }
done

PATH="$PATH:/usr/local/cuda/bin"
command -v ptxas >/dev/null || { echo "skipped: no ptxas"; exit 77; }
command -v python3 >/dev/null || { echo "skipped: no python3"; exit 77; }
run() { PYTHONDONTWRITEBYTECODE=1 python3 "$root/tools/gates.py" "$tegula" "$@"; }
run --filter 'GEMM bf16 128x256x64' --write "$work/kept" >"$work/log" 2>&1
case $? in 77) echo "skipped: no nvdisasm"; exit 77 ;; 0) ;; *) cat "$work/log" >&2; fail "gates.py" ;; esac
run --filter 'GEMM bf16 128x256x64' --compare "$work/kept" >/dev/null 2>&1 || fail "a page does not agree with itself"
sed 's/| 168 | 0 | [0-9.]* |/| 160 | 0 | 999.0 |/' "$work/kept" >"$work/better"
run --filter 'GEMM bf16 128x256x64' --compare "$work/better" >/dev/null 2>"$work/log" && fail "a better page passes"
grep -q '168 registers, 160 in the page' "$work/log" || fail "the message does not say what is worse"
run --compare "$root/docs/gates.md" || fail "worse than the page; if it must be, write it anew (./dev gates)"
