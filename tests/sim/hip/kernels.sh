#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernels.sh TEGULA FOLDER: stock kernels printed as HIP C++, compiled by clang-19 and executed as machine code of gfx942 and
# gfx1100 (a draw of the smoke cases, all with TEGULA_TEST_FULL=1). FOLDER has the plug-in that does it
# (plugin.c).
set -u
tegula=$1
for t in clang++-19 ld.lld-19; do
    command -v $t >/dev/null || { echo "skipped: no $t"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache TEGULA_PLUGINS=$2
"$tegula" targets | grep -q '^device sim .*hip hip' || { echo "kernels.sh: no device sim:hip"; exit 1; }
bad=0
for machine in gfx942 gfx1100; do
    sample=--sample\ 4
    [ -n "${TEGULA_TEST_FULL:-}" ] && sample=
    # shellcheck disable=SC2086
    TEGULA_SIM_HIP=$machine "$tegula" conform --device sim:hip --level smoke $sample --seed "${TEGULA_TEST_SEED:-3}" >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log"; bad=1; }
    echo "$machine: $(tail -1 "$work/log")"
    # Quotients of vectors (rows of a routed pair), once printed as C++'s comma operator.
    TEGULA_SIM_HIP=$machine "$tegula" conform --device sim:hip --level smoke --filter swiglu_weighted >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log"; bad=1; }
done
exit $bad
