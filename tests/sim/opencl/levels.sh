#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# levels.sh TEST: the OpenCL kernels compiled here and now, not optimised and in other ways than those that are kept.
set -u
here=$(cd "$(dirname "$0")" && pwd)
command -v clang-19 >/dev/null && command -v ld.lld-19 >/dev/null || { echo "skipped: no clang-19 or ld.lld-19"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0
for level in -O0 -O1 -O3 -Os; do
    "$here/make_hsaco.sh" $level "$work" 942 1100 || { echo "$level does not compile"; exit 1; }
    "$1" "$work" 942 1100 >"$work/log" 2>&1 || { cat "$work/log"; bad=1; }
    sed -n "s/^gfx.*/$level &/p" "$work/log"
done
exit $bad
