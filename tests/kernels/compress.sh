#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Packing by masks of every density over rows of every length: groups that are looked at as bits, vectors and
# single elements, with readers that stay below the count and one that does not. usage: compress.sh TEGULA
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/pick.tg" <<'TG'
kernel pick(x: i32[N], cut: i32, out y: i32[300], out at: i32[N] init -1)
  grid one: 1
{
  var t = zeros i32[300], m = 0 as i64
  for j: N by 300 {
    let some = compress(j as i32, x[j] >= cut)
    t = scatter_add(t, (m + span(0 .. some.n, 300)) as i32, some.v + 1000)
    at[span(m .. m + some.n, 300)] = some.v else -2
    m += some.n
  }
  y[:] = t + (compress(iota(300), (iota(300) % 7) * (iota(300) % 3) > cut).v else -5) + (m as i32)
}
TG
failed=0
for cut in -9 -5 4 7 9; do
  for n in 0 64 129 300 500; do
    "$1" run "$work/pick.tg" --set N="$n" --set cut="$cut" --check --seed "$n" > "$work/out" 2>&1 || {
      cat "$work/out"
      failed=1
    }
  done
done
exit $failed
