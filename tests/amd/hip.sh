#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# hip.sh TEGULA SOURCE-ROOT: the HIP C++ of stock kernels (a draw by seed, all with TEGULA_TEST_FULL=1) is compiled by clang
# to assembly, without HIP's headers, for gfx906, gfx90a, gfx942 and gfx1100.
set -u
tegula=$1 root=$2
command -v clang++-19 >/dev/null || { echo "skipped: no clang++-19"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "hip.sh: $1" >&2; exit 1; }

"$tegula" conform --list --level smoke | awk '!seen[$2]++' >"$work/all"
awk -v full="${TEGULA_TEST_FULL:-}" 'full != "" || NR % 40 == 7' "$work/all" >"$work/some"
n=0
while read -r file kernel settings; do
    set --
    for s in $settings; do set -- "$@" --set "$s"; done
    "$tegula" build "$file" --kernel "$kernel" "$@" --target hip --emit hip -o "$work/k.hip" || fail "$kernel does not build"
    for row in gfx906 gfx90a gfx942 gfx1100; do
        clang++-19 -x hip --offload-arch=$row --offload-device-only -nogpuinc -nogpulib -std=c++17 -ffp-contract=off -fno-strict-aliasing \
            -Wno-unknown-pragmas -O1 -S "$work/k.hip" -o "$work/k.s" 2>"$work/log" || fail "$kernel for $row: $(head -20 "$work/log")"
        grep -q '\.amdhsa_kernel' "$work/k.s" || fail "$kernel for $row: no kernel in the assembly"
    done
    n=$((n + 1))
done <"$work/some"
[ "$n" -gt 0 ] || fail "no kernels"
echo "$n kernels compiled for 4 machines"
