#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole way on the driver `cuda`: the command lists the made-up device, compiles for the row its compute
# capability chooses, and a draw of the stock cases passes (TEGULA_TEST_FULL=1: one small case of each kernel).
set -u
tegula=$1 fake=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "conform.sh: $1" >&2; exit 1; }

TEGULA_CUDA_LIBRARY=libthere_is_none.so "$tegula" targets >"$work/log" || fail "targets without a library"
grep -q '^device cuda ' "$work/log" && fail "a device from nowhere"
TEGULA_CUDA_LIBRARY=libthere_is_none.so "$tegula" conform --device cuda --filter softmax >"$work/log" 2>&1
[ $? != 0 ] && grep -q 'no CUDA on this machine' "$work/log" || fail "an absent library is not told"

export TEGULA_CUDA_LIBRARY="$fake"
"$tegula" targets | grep -q '^device cuda  *Fake sm_90 sm_90a' || fail "targets does not list the device"
for sm in 80 90; do
    if [ -n "${TEGULA_TEST_FULL:-}" ]; then draw="--level smoke"; else draw="--sample 6 --seed $sm"; fi
    # shellcheck disable=SC2086
    FAKE_CUDA_SM=$sm "$tegula" conform --device cuda $draw >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log" | head -40; fail "conform on the device of sm_$sm"; }
    tail -n 1 "$work/log"
    # The same by way of the library's graphs.
    FAKE_CUDA_SM=$sm "$tegula" conform --device cuda --replay $draw >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log" | head -40; fail "conform --replay on the device of sm_$sm"; }
    tail -n 1 "$work/log"
done
# A device of one driver out of several rows is tuned by its own row.
"$tegula" tune --device cuda --filter add --dry-run >"$work/log" 2>&1 && grep -q 'modelled' "$work/log" || { cat "$work/log"; fail "tune on the device"; }
