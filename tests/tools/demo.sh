#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every kernel that the demo runs stands in the file where the demo looks for it. usage: demo.sh ROOT
set -eu
cd "$1"
pairs=$(grep -oE '\{"[a-z0-9_/]*\.tg", *"[a-z0-9_]+"' tools/cmd_demo.c | tr -d '{",')
[ "$(echo "$pairs" | wc -l)" -ge 20 ] || { echo "FAILED: the demo's table is not found"; exit 1; }
bad=0
while read -r file kernel; do
    grep -qE "^(kernel|op) $kernel[[(]" "kernels/$file" || { echo "FAILED: no $kernel in kernels/$file"; bad=1; }
done <<END
$pairs
END
exit $bad
