#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the grouped products ask of the language: an index that was computed is bounded by the `if` around
# its uses, and only there. And the low-bit products' forms: rows of every number at every tile height.
set -eu
tegula=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
export TEGULA_CACHE_DIR="$dir/cache"

kernel() {
  cat <<EOF
kernel pick(x: f32[G, K], last: i32[G], out y: f32[M])
  grid i: M by 4
{
  var n = 0
  for e: G by 8 { n += count(last[e] <= i.start) }
  let g = n
  var acc = zeros f32[4]
  $1 { for k: K by 16 { acc += sum(x[g, k]) } }
  y[i] = acc
}
EOF
}

kernel 'if (g >= 0) & (g < G)' > "$dir/bounded.tg"
"$tegula" check "$dir/bounded.tg" > /dev/null
"$tegula" run "$dir/bounded.tg" --set G=3 --set K=19 --set M=9 --check > /dev/null
kernel 'if g >= 0' > "$dir/open.tg"
if "$tegula" check "$dir/open.tg" > "$dir/out" 2>&1; then
  echo "a group that may lie outside was accepted" >&2
  exit 1
fi
grep -q E0206 "$dir/out"

here=$(cd "$(dirname "$0")/../.." && pwd)
for m in 1 2 4 5; do
  for bm in 1 4 16; do
    "$tegula" run "$here/kernels/gemm/weights.tg" --kernel linear_mxfp4 --set T=f32 --set M=$m --set N=37 \
      --set K=137 --set BM=$bm --check > "$dir/out" || { cat "$dir/out" >&2; exit 1; }
  done
done
