#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# loops.sh TEGULA: long loops on the Vulkan device. Short of the budget that some drivers give all loops of a lane (65,535
# trips on Mesa's llvmpipe) everything is right; beyond what repeated bodies stretch it to, the launch may be refused with
# the reason, but no result is ever wrong.
set -u
tegula=$1
"$tegula" targets | grep -q "^device vulkan " || { echo "skipped: no Vulkan device"; exit 77; }
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
cat >"$work/loops.tg" <<'TG'
// One loop of n trips.
kernel count(n: i64, x: i64[N], out y: i64[N])
  grid i: N by 64
{
  var c = x[i] else 0
  for t in 0 .. n {
    c = (c * 3) ^ t
  }
  y[i] = c
}

// a times b trips of an inner loop.
kernel nested(a: i64, b: i64, x: i64[N], out y: i64[N])
  grid i: N by 64
{
  var c = x[i] else 0
  for t in 0 .. a {
    c = c + t
    for u in 0 .. b {
      c = (c * 3) ^ u
    }
  }
  y[i] = c
}

// n trips of a loop with an end of its own.
kernel until(n: i64, x: i64[N], out y: i64[N])
  grid i: N by 64
{
  var c = 0, left = n
  while left > 0 max 100000000 {
    c = (c * 3) ^ left
    left = left - 1
  }
  y[i] = (x[i] else 0) + c
}
TG
failed=0
# must KERNEL SETTINGS...: right. may: right or refused with the reason.
run() {
    local how=$1 kernel=$2 set=() out
    shift 2
    for s in "$@"; do set+=(--set "$s"); done
    out=$("$tegula" run "$work/loops.tg" --kernel "$kernel" --device vulkan --set N=70 "${set[@]}" --check 2>&1)
    if grep -q 'y: ok' <<<"$out"; then echo "$kernel $*: right"; return; fi
    if [ "$how" = may ] && grep -q 'ended a loop before its time' <<<"$out"; then echo "$kernel $*: refused"; return; fi
    failed=1
    printf 'FAIL %s %s\n%s\n' "$kernel" "$*" "$(head -n 8 <<<"$out")"
}
run must count n=60000
run must count n=300000
run may count n=9000000
run must nested a=300 b=300
run may nested a=10 b=70000
run may nested a=70000 b=100
run must until n=60000
run may until n=300000
run may count n=65535
run may until n=65536
exit $failed
