#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Tiles with few short rows, whose vectors run along their longest axis: reductions and elementwise code along
# every other axis, what rows share, ragged blocks. usage: small_rows.sh TEGULA
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat > "$work/small.tg" <<'TG'
fn over[A](c) { return c * (1.0 / (sum(abs(c), axis = A, keep = true) + 1.0)) }

kernel small[A, B](x: f32[T, A, B], k: i32[T, A, B], out y: f32[T, A, B], out low: f32[T, B],
    out any_of: i32[T, A], out n: i32[T, B, A])
  grid t: T by 32
{
  var c = x[t, :, :]
  for it in 0 .. 3 { c = over[A = 1](over[A = 2](c) * 2.0 - 0.25) }
  y[t, :, :] = c
  low[t, :] = min(c, axis 1)
  any_of[t, :] = where(any(k[t, :, :] > 6, axis 2), 1, 0)
  let m = max(k[t, :, :], axis = 1, keep = true)
  n[t, :, :] = ((k[t, :, :] - m) * m).permute[0, 2, 1]
}
TG
failed=0
for shape in "1 1" "2 3" "4 4" "7 2" "3 9" "1 5"; do
  read -r a b <<< "$shape"
  for t in 0 1 31 64 77; do
    "$1" run "$work/small.tg" --set T="$t" --set A="$a" --set B="$b" --check > "$work/out" 2>&1 || {
      echo "A=$a B=$b T=$t"
      cat "$work/out"
      failed=1
    }
  done
done
exit $failed
