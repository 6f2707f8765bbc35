#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kernels.sh TEGULA: stock kernels compiled to PTX and run by the simulators; probes; a wrong kernel is
# told. ptxas assembles what it gets, where there is one.
set -u
tegula=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
bad=0
fail() { echo "kernels.sh: $*"; bad=1; }

"$tegula" targets --probe sim:sm_80 >"$work/probes" || fail "targets --probe sim:sm_80"
tail -1 "$work/probes"
grep -q ' 0 wrong, 0 more marked' "$work/probes" || { grep -v right "$work/probes"; fail "probes"; }

sample=${TEGULA_TEST_FULL:+--level full}
for device in sim:sm_80 sim:sm_90a; do
    # shellcheck disable=SC2086
    "$tegula" conform --device $device ${sample:---sample 8} --seed 5 >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log"; fail "conform on $device"; }
    tail -1 "$work/log"
done
# Reductions by shuffles keep the barrier that placement counts on: without it memory is reused early.
"$tegula" conform --device sim:sm_80 --filter ep_order >"$work/log" 2>&1 ||
    { grep -v '^PASS' "$work/log"; fail "ep_order"; }
# Matrix units: edges, a mask along k, attention; to the bit where all sums are exact.
for case in '--exact matmul*' '--exact linear' '--exact linear_wide' flash_attention mla_decode; do
    # shellcheck disable=SC2086
    "$tegula" conform --device sim:sm_80 --level smoke $([ "${case% *}" = "$case" ] || echo "${case% *}") --filter "${case##* }" >"$work/log" 2>&1 ||
        { grep -v '^PASS' "$work/log"; fail "matrix units, $case"; }
done
"$tegula" conform --device sim:sm_80 --exact --schedules 2 --seed 3 --filter softmax >"$work/log" 2>&1 ||
    { grep -v '^PASS' "$work/log"; fail "exact"; }

cat >"$work/k.tg" <<'K'
kernel shift(x: f32[N], out y: f32[N])
  tune B = 64 in {64}
  grid i: N by B
{
  y[i] = x[i] * 2.0 + 1.0
}
K
"$tegula" run "$work/k.tg" --kernel shift --device sim:sm_80 --set N=1000 --check || fail "run"
TEGULA_SIM_TIMELINE=$work/t.json "$tegula" run "$work/k.tg" --kernel shift --device sim:sm_90a --set N=1000 >/dev/null ||
    fail "run with a timeline"
if command -v python3 >/dev/null; then
    python3 -c 'import json, sys; t = json.load(open(sys.argv[1]))["traceEvents"]; sys.exit(not any(e["name"] == "global memory" for e in t))' "$work/t.json" || fail "timeline"
fi
"$tegula" build "$work/k.tg" --target sm_80 --emit ptx -o "$work/k.ptx" || fail "build"
grep -q '^.target sm_80' "$work/k.ptx" || fail "no PTX"
grep -q 'fma.rn.f32' "$work/k.ptx" && fail "a product and a sum became one rounding"
cat >"$work/m.tg" <<'K'
kernel product[T: f16 | bf16](a: T[M, K], b: T[K, N], out c: f32[M, N])
  tune BM = 64 in {64}, BN = 64 in {64}, BK = 32 in {32}
  grid i: M by BM, j: N by BN
{
  var acc = zeros f32[BM, BN]
  for k: K by BK { acc += a[i, k] @ b[k, j] }
  c[i, j] = acc
}
kernel narrow(a: f8e4m3[M, K], b: f8e5m2[N, K], out c: f32[M, N])
  tune BM = 64 in {64}, BN = 64 in {64}, BK = 64 in {64}
  grid i: M by BM, j: N by BN
{
  var acc = zeros f32[BM, BN]
  for k: K by BK { acc = acc + (a[i, k] @ b[j, k].T) }
  c[i, j] = acc
}
kernel fast(a: f8e4m3[M, K], b: f8e4m3[N, K], out c: f32[M, N])
  tune BM = 64 in {64}, BN = 64 in {64}, BK = 64 in {64}
  grid i: M by BM, j: N by BN
{
  var acc = zeros f32[BM, BN]
  for k: K by BK { acc = acc + (a[i, k] @ fast b[j, k].T) }
  c[i, j] = acc
}
K
"$tegula" build "$work/m.tg" --kernel product --set T=bf16 --target sm_80 --emit ptx -o "$work/m.ptx" || fail "build m"
for want in mma.sync.aligned.m16n8k16 ldmatrix.sync.aligned.m8n8.x4 'x2.trans' cp.async.cg.shared.global 'cp.async.wait_group 2'; do
    grep -qF "$want" "$work/m.ptx" || fail "no $want"
done
for run in "sm_80 product T=bf16" "sm_80 narrow T=0" "sm_89 fast T=0"; do
    # shellcheck disable=SC2086
    set -- $run
    [ "$3" = T=0 ] && set -- "$1" "$2"
    "$tegula" run "$work/m.tg" --kernel "$2" ${3:+--set "$3"} --device "sim:$1" --set M=70 --set N=72 --set K=200 --check ||
        fail "run $run"
done
if command -v ptxas >/dev/null; then
    ptxas -arch=sm_80 -v "$work/m.ptx" -o "$work/m.cubin" 2>"$work/log" || fail "ptxas m"
    grep -q ' 0 bytes stack frame' "$work/log" || { cat "$work/log"; fail "an accumulator in local memory"; }
    ptxas -arch=sm_80 "$work/k.ptx" -o "$work/k.cubin" || fail "ptxas"
    "$tegula" build "$work/k.tg" --target sm_90a --emit ptx -o "$work/h.ptx" &&
        ptxas -arch=sm_90a "$work/h.ptx" -o "$work/h.cubin" || fail "ptxas sm_90a"
else
    echo "no ptxas: what LLVM wrote was not assembled"
fi
# Without the plug-in there is no device, and the message says what is missing.
(cd "$work" && cp "$tegula" lone && ./lone run k.tg --kernel shift --device sim:sm_80 --set N=8 >out 2>&1)
[ $? -eq 3 ] || fail "without the plug-in: not status 3"
grep -q libtegula-dev-sim-ptx.so "$work/out" || { cat "$work/out"; fail "without the plug-in: no reason"; }
exit $bad
