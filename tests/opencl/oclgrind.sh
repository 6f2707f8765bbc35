#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Small cases under oclgrind, which reports data races, accesses out of bounds and uninitialised
# reads: oclgrind.sh TEGULA SCRATCH_FOLDER. Optimisation is off: its passes make instructions that
# oclgrind's uninitialised-read check does not know.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tegula=$1 tmp=$2
library=$(ls /usr/lib/oclgrind/liboclgrind-rt.so /usr/lib/*/oclgrind/liboclgrind-rt.so 2>/dev/null | head -n 1)
[ -n "$library" ] || { echo "skipped: no oclgrind"; exit 77; }
rm -rf "$tmp/cache"; mkdir -p "$tmp"
export TEGULA_OPENCL_LIBRARY=$library TEGULA_CACHE_DIR=$tmp/cache OCLGRIND_LOG=$tmp/log
export OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1 OCLGRIND_BUILD_OPTIONS=-cl-opt-disable
failed=0
check() { # file, kernel, settings
    local set=() s
    for s in $3; do set+=(--set "$s"); done
    rm -f "$OCLGRIND_LOG"
    if ! out=$("$tegula" run "$here/../../$1" --kernel "$2" --device opencl "${set[@]}" --check 2>&1) || [ -s "$OCLGRIND_LOG" ]; then
        failed=$((failed + 1))
        printf 'FAIL %s %s\n%s\n' "$2" "$3" "$(head -n 8 <<<"$out")"
        [ ! -s "$OCLGRIND_LOG" ] || head -n 20 "$OCLGRIND_LOG"
    else
        echo "clean $2 $3"
    fi
}
check kernels/elementwise/elementwise.tg add 'T=f16 N=70'
check kernels/elementwise/elementwise.tg softmax 'T=f32 M=2 N=70'
check kernels/elementwise/elementwise.tg transpose 'T=f32 M=9 N=20'
check kernels/elementwise/elementwise.tg row_reduce 'T=bf16 M=1 N=300'
check kernels/gemm/gemm.tg matmul 'T=f32 M=5 N=7 K=9'
check kernels/norm/norm.tg rmsnorm 'T=f32 M=1 D=33'
check tests/kernels15/i_moe.tg gate 'T=1'
check tests/kernels15/i_moe.tg align_count 'E=4 RB=8 R=20 NBLK=3'
check tests/kernels15/o_top_p.tg top_p 'B=1 V=50 seed=11'
check tests/kernels15/f_indexer_topk.tg topk_stream 'R=1 N=20 KTOP=5'
[ $failed = 0 ]
