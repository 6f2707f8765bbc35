#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# matrix.sh TEGULA [SPIRV_VAL]: products as cooperative matrices: the instructions that are wanted; or, with a validator, what
# that says (exit 77: it is older than the extension, which SPIRV-Tools 2023.4 knows).
set -u
tegula=$1 validator=${2:-}
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
bad=0
fail() { echo "matrix.sh: $*"; bad=1; }
cat >"$work/k.tg" <<'K'
kernel halves(a: f16[M, K], b: f16[K, N], out c: f32[M, N])
  tune BM = 64 in {64}, BN = 32 in {32}, BK = 32 in {32}
  grid i: M by BM, j: N by BN
{
  var acc = zeros f32[BM, BN]
  for k: K by BK { acc = acc + (a[i, k] @ fast b[k, j]) }
  c[i, j] = acc
}
kernel bytes(a: i8[M, K], b: i8[N, K], out c: i32[M, N])
  tune BM = 64 in {64}, BN = 32 in {32}, BK = 64 in {64}
  grid i: M by BM, j: N by BN
{
  var acc = zeros i32[BM, BN]
  for k: K by BK { acc += a[i, k] @ b[j, k].T }
  c[i, j] = acc
}
K
# Opcodes of the extension with how often they stand in the module.
opcodes() {
    od -An -v -tu4 -w4 -j20 "$1" | awk 'left == 0 { left = int($1 / 65536); op = $1 % 65536; n[op]++ } { left-- }
        END { printf "%d types, %d loads, %d stores, %d products\n", n[4456], n[4457], n[4458], n[4459] }'
}
for kernel in halves bytes; do
    "$tegula" build "$work/k.tg" --kernel $kernel --target vulkan-coopmat --emit spirv -o "$work/m.spv" || fail "build $kernel"
    if [ -z "$validator" ]; then
        said=$(opcodes "$work/m.spv")
        [ "$said" = "3 types, 5 loads, 1 stores, 2 products" ] || fail "$kernel: $said"
    elif ! "$validator" --target-env vulkan1.3 --scalar-block-layout "$work/m.spv" >"$work/said" 2>&1; then
        grep -q 'Invalid capability operand: 6022' "$work/said" &&
            { echo "skipped: this spirv-val is older than SPV_KHR_cooperative_matrix"; exit 77; }
        fail "$kernel: $(head -n 3 "$work/said")"
    fi
done
"$tegula" build "$work/k.tg" --kernel bytes --target vulkan --emit spirv -o "$work/m.spv" || fail "build for vulkan"
[ "$(opcodes "$work/m.spv")" = "0 types, 0 loads, 0 stores, 0 products" ] || fail "a unit that the row does not have"
exit $bad
