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
if command -v ptxas >/dev/null; then
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
