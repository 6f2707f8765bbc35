#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Programs near the edge of what the CPU lowering proves of values (ranges of integers, tables of four-bit codes,
# differences that are never positive): each equals the interpreter. Argument: the command.
set -u
tegula=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
cat > "$work/k.tg" <<'K'
// A shift by the width or more is one by the remainder.
kernel shift(x: u8[M, K], b: i8[N, K], out c: i32[N, M])
  grid i: M by 32, j: N by 32
{
  var acc = zeros i32[32, 32]
  for k: K by 64 { acc += b[j, k] @ ((x[i, k] & 1) + (x[i, k] >> 8)).T }
  c[j, i] = acc
}

// 0xffffffff squared is beyond 63 bits.
kernel square(x: u32[M, K], b: i8[N, K], out c: i32[N, M])
  grid i: M by 32, j: N by 32
{
  var acc = zeros i32[32, 32]
  for k: K by 64 { acc += b[j, k] @ ((x[i, k] * x[i, k]) as i8).T }
  c[j, i] = acc
}

// Casts of a code's value that saturate.
kernel saturates(x: f4e2m1[K], out c: i8[K])
  grid i: K by 64
{
  c[i] = ((x[i] as f32 * 60.0) as i32) as i8 sat
}

kernel saturates_in_product(x: u4[M, K], b: i8[N, K], out c: i32[N, M])
  grid i: M by 32, j: N by 32
{
  var acc = zeros i32[32, 32]
  for k: K by 64 { acc += b[j, k] @ ((x[i, k] as i32 * 17) as i8 sat).T }
  c[j, i] = acc
}

// What a mask leaves out of a maximum may be greater than it.
kernel part_of_row(x: f32[M, 64], out y: f32[M, 64])
  grid i: M by 1
{
  let t = x[i, 0:64]
  let m = max(t if t < 0.25, axis 1) else 0.0
  y[i, 0:64] = exp((t - m[:, _]) * 60.0) + exp(t * 60.0 - m[:, _])
}

kernel part_of_scaled_row(x: f32[M, 64], out y: f32[M, 64])
  grid i: M by 1
{
  let t = x[i, 0:64] * 60.0
  let m = max(t if t < 1.0, axis 1) else 0.0
  y[i, 0:64] = exp(t - m[:, _])
}
K
bad=0
check() { # kernel, options of run
    local kernel=$1
    shift
    "$tegula" run "$work/k.tg" --kernel "$kernel" "$@" --check > "$work/log" 2>&1 ||
        { cat "$work/log"; echo "$kernel: not as the interpreter"; bad=1; }
}
for kernel in shift square saturates_in_product; do check $kernel --set M=40 --set N=33 --set K=130; done
check saturates --set K=256
check part_of_row --set M=9
check part_of_scaled_row --set M=9

# Sums of neighbours as large as they can be.
npy() { # file, type, number, rows, columns
    local head="{'descr': '$2', 'fortran_order': False, 'shape': ($4, $5), }"
    printf '\x93NUMPY\x01\x00\x76\x00%-117s\n' "$head" > "$1"
    head -c $(($4 * $5)) /dev/zero | tr '\000' "$3" >> "$1"
}
npy "$work/x.npy" '|u1' '\376' 40 128
npy "$work/b.npy" '|i1' '\177' 33 128
check shift --set M=40 --set N=33 --set K=128 --in x="$work/x.npy" --in b="$work/b.npy"

# Where the machine adds four products to a word at once, no bound of 16 bits is asked for.
"$tegula" targets > "$work/targets"
if grep -q '^x86-64-v3 .*runs here' "$work/targets"; then
    "$tegula" build "$work/k.tg" --kernel square --target x86-64-avx512-vnni --emit asm -o "$work/k.s" &&
        grep -q vpdpbusd "$work/k.s" || { echo "square: no vpdpbusd"; bad=1; }
    check square --set M=40 --set N=33 --set K=130 --device cpu@x86-64-avx512-vnni+defined
fi
exit $bad
