#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# proofs.sh TEGULA: no check is left out for a condition that does not hold the index inside (proofs.tg), against the
# interpreter.
set -u
tegula=$1 source=$(dirname "$0")/proofs.tg
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
n=0
for kernel in $(sed -n 's/^kernel \([a-z_]*\).*/\1/p' "$source"); do
    for rows in 67 300; do
        "$tegula" run "$source" --kernel "$kernel" --set N=$rows --set M=40 --check >"$work/log" 2>&1 ||
            { echo "proofs.sh: $kernel, N=$rows"; cat "$work/log"; exit 1; }
        grep -q '^y: ok' "$work/log" || { echo "proofs.sh: $kernel was not compared"; exit 1; }
        n=$((n + 1))
    done
done
[ $n -ge 32 ] && echo "$n launches as the interpreter has them"
