#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# oclgrind.sh TEGULA SCRATCH_FOLDER [--full] [--seed N] [--sample N] [--deadline SECONDS]: small cases under oclgrind, which reports
# data races, accesses out of bounds and uninitialised reads: those named below, and two of the stock kernels' smallest cases drawn by
# the seed, or all of them (--full: hours; a line a case; oclgrind takes milliseconds for an instruction of a group, so what has no
# answer by the deadline is told and is no failure). Optimisation is off: its passes make instructions that oclgrind's
# uninitialised-read check does not know.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tegula=$1 tmp=$2
shift 2
seed=1 deadline=120 what=(--sample 2)
while [ $# -gt 0 ]; do
    case $1 in
    --full) what=() ;;
    --seed) seed=$2 && shift ;;
    --sample) what=(--sample "$2") && shift ;;
    --deadline) deadline=$2 && shift ;;
    *) echo "unknown argument $1" && exit 2 ;;
    esac
    shift
done
library=$(ls /usr/lib/oclgrind/liboclgrind-rt.so /usr/lib/*/oclgrind/liboclgrind-rt.so 2>/dev/null | head -n 1)
[ -n "$library" ] || { echo "skipped: no oclgrind"; exit 77; }
rm -rf "$tmp/cache"; mkdir -p "$tmp"
"$tegula" conform --list --level smoke --seed "$seed" "${what[@]}" >"$tmp/names"
export TEGULA_OPENCL_LIBRARY=$library TEGULA_CACHE_DIR=$tmp/cache OCLGRIND_LOG=$tmp/log
export OCLGRIND_DATA_RACES=1 OCLGRIND_UNINITIALIZED=1 OCLGRIND_BUILD_OPTIONS=-cl-opt-disable
clean=0 failed=0 late=0
# The first run measures the device, which takes oclgrind a while.
"$tegula" run "$here/../../kernels/elementwise/elementwise.tg" --kernel add --device opencl --set T=f16 --set N=1 >/dev/null 2>&1
check() { # file, kernel, settings, --check or nothing (what is drawn is judged by the conformance runs)
    local set=() s status
    for s in $3; do set+=(--set "$s"); done
    rm -f "$OCLGRIND_LOG"
    out=$(timeout "$deadline" "$tegula" run "$1" --kernel "$2" --device opencl "${set[@]}" ${4:-} 2>&1)
    status=$?
    if [ -s "$OCLGRIND_LOG" ] || { [ $status != 0 ] && [ $status != 124 ]; }; then
        failed=$((failed + 1))
        printf 'FAIL %s %s\n%s\n' "$2" "$3" "$(head -n 8 <<<"$out")"
        [ ! -s "$OCLGRIND_LOG" ] || head -n 20 "$OCLGRIND_LOG"
    elif [ $status = 124 ]; then
        late=$((late + 1))
        echo "late $2 $3"
    else
        clean=$((clean + 1))
        echo "clean $2 $3"
    fi
}
check "$here/../../kernels/elementwise/elementwise.tg" add 'T=f16 N=70' --check
check "$here/../../kernels/elementwise/elementwise.tg" softmax 'T=f32 M=2 N=70' --check
check "$here/../../kernels/elementwise/elementwise.tg" transpose 'T=f32 M=9 N=20' --check
check "$here/../../kernels/elementwise/elementwise.tg" row_reduce 'T=bf16 M=1 N=300' --check
check "$here/../../kernels/gemm/gemm.tg" matmul 'T=f32 M=5 N=7 K=9' --check
check "$here/../../kernels/norm/norm.tg" rmsnorm 'T=f32 M=1 D=33' --check
check "$here/../kernels15/i_moe.tg" gate 'T=1' --check
check "$here/../kernels15/i_moe.tg" align_count 'E=4 RB=8 R=20 NBLK=3' --check
check "$here/../kernels15/o_top_p.tg" top_p 'B=1 V=50 seed=11' --check
check "$here/../kernels15/f_indexer_topk.tg" topk_stream 'R=1 N=20 KTOP=5' --check
while read -r file kernel settings; do
    check "$file" "$kernel" "$settings"
done <"$tmp/names"
echo "$clean clean, $failed not, $late without an answer in $deadline s"
[ $failed = 0 ]
