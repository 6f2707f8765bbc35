#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every kernel that the demo runs stands in the file where the demo looks for it; those with caches, whose large
# arrays are drawn in part and hold poison, run and are right (all of them: TEGULA_TEST_FULL=1).
# usage: demo.sh ROOT TEGULA
set -eu
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
pairs=$(grep -oE '\{"[a-z0-9_/]*\.tg", *"[a-z0-9_]+"' tools/cmd_demo.c | tr -d '{",')
[ "$(echo "$pairs" | wc -l)" -ge 20 ] || { echo "FAILED: the demo's table is not found"; exit 1; }
bad=0
while read -r file kernel; do
    grep -qE "^(kernel|op) $kernel[[(]" "kernels/$file" || { echo "FAILED: no $kernel in kernels/$file"; bad=1; }
done <<END
$pairs
END
filter="*_decode"
[ -z "${TEGULA_TEST_FULL:-}" ] || filter="*"
"$2" demo --filter "$filter" --html "$work/demo.html" > "$work/log" 2>&1 ||
    { cat "$work/log"; bad=1; }
grep -q ' 0 failed' "$work/log" || bad=1
"$2" demo --filter nothing --html "$work/demo.html" > /dev/null 2>&1 && { echo "FAILED: a demo of nothing"; bad=1; }
exit $bad
