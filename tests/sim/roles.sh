#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Stock kernels as programs of several roles, by schedule: as PTX in the simulator (whose findings of races, fences and
# deadlock fail a case), by the loop interpreter and by the checker and interpreter of placed code. Where ptxas is there it
# takes the text without the messages that cost (C7508: registers stay with their lanes; C7510 to C7514, C7517).
# Usage: roles.sh TEGULA SOURCE_DIR
set -u
tegula=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "roles.sh: $1" >&2; exit 1; }

# All kernels of a folder with a schedule: FOLDER SCHEDULE
scheduled() {
    rm -rf "$work/kernels"
    mkdir -p "$work/kernels"
    cp -r "$root/kernels/$1" "$work/kernels/$1"
    cp "$root"/kernels/*.tg "$work/kernels/" 2>/dev/null
    for f in "$work/kernels/$1"/*.tg; do
        sed -n "s/^kernel \([a-z0-9_]*\)[[(].*/schedule \1 for cuda { $2 }/p" "$f" >"$work/lines"
        cat "$work/lines" >>"$f"
    done
}

# FILTER DEVICE
conform() {
    "$tegula" conform --device "$2" --level smoke --filter "$1" --kernels "$work/kernels" >"$work/log" 2>&1 ||
        { grep -v ^PASS "$work/log" >&2; fail "$1 on $2"; }
    grep -q ', 0 failed' "$work/log" || fail "$1 on $2: no total"
}

for schedule in "roles = copy" "roles = copy; replicas = 2" "roles = copy; stages = 2"; do
    scheduled gemm "$schedule"
    for device in sim:sm_90a sim:sm_80 placed:sm_90a loop:sm_90a; do
        conform 'matmul*' $device
        conform 'linear' $device
    done
    scheduled attention "$schedule"
    conform 'flash_attention*' sim:sm_90a
done

ptxas=$(command -v ptxas || ls /usr/local/cuda/bin/ptxas 2>/dev/null) || { echo "no ptxas: the text is not assembled"; exit 0; }
for t in sm_80 sm_90a; do
    for r in 1 2; do
        "$tegula" build "$root/kernels/gemm/gemm.tg" --kernel matmul --set T=bf16 --set schedule.roles=copy \
            --set schedule.replicas=$r --target $t --emit ptx -o "$work/k.ptx" || fail "matmul for $t"
        "$ptxas" -v -arch=$t "$work/k.ptx" -o "$work/k.cubin" >"$work/log" 2>&1 || fail "ptxas refuses matmul for $t"
        ! grep -E 'C75(08|1[0-4]|17)' "$work/log" || fail "ptxas on matmul for $t"
    done
done
grep -q setmaxnreg "$work/k.ptx" || fail "the role that copies keeps its registers"
