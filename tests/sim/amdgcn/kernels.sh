#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# kernels.sh TEGULA: stock kernels as code objects in the simulator: a draw of cases (all: TEGULA_TEST_FULL=1), a drawn
# schedule's bits against the interpreter's, and a division of every kind of number.
set -u
tegula=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
bad=0
fail() { echo "kernels.sh: $*"; bad=1; }
for device in sim:gfx942 sim:gfx1100; do
    sample=${TEGULA_TEST_FULL:+--level full}
    # shellcheck disable=SC2086
    "$tegula" conform --device $device ${sample:---level smoke --sample 14} --seed "${TEGULA_TEST_SEED:-5}" >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log"; fail "conform on $device"; }
    tail -1 "$work/log"
    for case in 'matmul*' 'kgrouped' 'swiglu_backward'; do
        "$tegula" conform --device $device --level smoke --filter "$case" >"$work/log" 2>&1 || { grep -v '^PASS' "$work/log"; fail "$case on $device"; }
    done
    for case in linear softmax; do
        "$tegula" conform --device $device --exact --schedules 1 --seed 3 --level smoke --filter $case >"$work/log" 2>&1 || { grep -v '^PASS' "$work/log"; fail "exact $case on $device"; }
    done
done
exit $bad
