#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The whole way on the driver `hip`: the command lists the made-up device, compiles for its row, and a draw of the
# stock cases passes (TEGULA_TEST_FULL=1: one small case of each kernel). AMD's own library, where it is installed,
# has no device here and says so.
set -u
tegula=$1 fake=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "conform.sh: $1" >&2; exit 1; }

TEGULA_HIP_LIBRARY=libthere_is_none.so "$tegula" targets >"$work/log" || fail "targets without a library"
grep -q '^device hip ' "$work/log" && fail "a device from nowhere"
TEGULA_HIP_LIBRARY=libthere_is_none.so "$tegula" conform --device hip --filter softmax >"$work/log" 2>&1
[ $? != 0 ] && grep -q 'no HIP on this machine' "$work/log" || fail "an absent library is not told"
if ! [ -e /dev/kfd ] && ldconfig -p 2>/dev/null | grep -q libamdhip64; then
    TEGULA_HIP_LIBRARY='' "$tegula" conform --device hip --filter softmax >"$work/log" 2>&1
    [ $? != 0 ] && grep -q 'HIP' "$work/log" || fail "AMD's library without a device is not told"
fi

export TEGULA_HIP_LIBRARY="$fake"
"$tegula" targets | grep -q '^device hip  *Fake Instinct gfx942' || fail "targets does not list the device"
for arch in gfx942 gfx1100; do
    if [ -n "${TEGULA_TEST_FULL:-}" ]; then draw="--level smoke"; else draw="--sample 6 --seed ${arch#gfx}"; fi
    # shellcheck disable=SC2086
    FAKE_HIP_ARCH=$arch "$tegula" conform --device hip $draw >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log" | head -40; fail "conform on the device of $arch"; }
    tail -n 1 "$work/log"
    # The same by way of the library's graphs.
    FAKE_HIP_ARCH=$arch "$tegula" conform --device hip --replay $draw >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log" | head -40; fail "conform --replay on the device of $arch"; }
    tail -n 1 "$work/log"
done
