#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Rows of NVIDIA's machines beside those the other tests run on: the text's head is theirs, ptxas takes it where there is
# one, and what the simulator has is right there.
# Usage: rows.sh TEGULA SOURCE_DIR
set -u
tegula=$1 root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "rows.sh: $1" >&2; exit 1; }
ptxas=$(command -v ptxas || ls /usr/local/cuda/bin/ptxas 2>/dev/null) || echo "no ptxas: the text is not assembled"
for t in sm_86 sm_90 sm_100a sm_120a; do
    for k in "gemm/gemm.tg matmul" "norm/norm.tg rmsnorm"; do
        set -- $k
        "$tegula" build "$root/kernels/$1" --kernel "$2" --set T=bf16 --target $t --emit ptx -o "$work/k.ptx" || fail "$2 for $t"
        grep -qx ".target $t" "$work/k.ptx" || fail "the head of $2 does not say $t"
        [ "$(grep -c '^\.version' "$work/k.ptx")" = 1 ] || fail "$2 for $t has not one version"
        [ -z "$ptxas" ] || "$ptxas" -arch=$t "$work/k.ptx" -o "$work/k.cubin" || fail "ptxas refuses $2 for $t"
    done
done
for t in sm_86 sm_90; do
    "$tegula" conform --device sim:$t --level smoke --filter 'matmul*' >"$work/log" || { cat "$work/log"; fail "matmul on sim:$t"; }
    grep -q ', 0 failed' "$work/log" || fail "no total"
done
