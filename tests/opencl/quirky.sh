#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A driver with faults (quirky_cl.c before the real one): probes survive its deaths and hangs and tell of the quirk, the
# first compilation finds the quirk and goes around it, and a driver that dies while it is measured is given up on at that
# point alone. usage: quirky.sh TEGULA LIBRARY WORK_DIR
set -u
tegula=$1
library=$2
work=$3
"$tegula" targets 2> /dev/null | grep -q "^device opencl" || { echo "skipped: no OpenCL device"; exit 77; }
rm -rf "$work"
mkdir -p "$work"
export TEGULA_OPENCL_LIBRARY="$library"
failures=0
fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}
cat > "$work/k.tg" << 'TG'
kernel roots(x: f32[N], out y: f32[N])
  grid i: N by 64
{
  y[i] = sqrt(abs(x[i])) else 0.0
}

kernel twice(x: f32[N], out y: f32[N])
  grid i: N by 64
{
  y[i] = (x[i] else 0.0) * 2.0
}
TG

# ---- probes
TEGULA_CACHE_DIR=$work/p QUIRKY_DIE='sqrt(' "$tegula" targets --probe opencl --only 'f32.[sr]*' > "$work/die.out" 2>&1 ||
    fail "a death that a quirk explains fails the command: $(cat "$work/die.out")"
grep -q "^f32.sqrt .*CRASH.*Aborted" "$work/die.out" || fail "the death is not told: $(cat "$work/die.out")"
grep -q "^f32.sub .*right" "$work/die.out" || fail "probes after a death do not run"
grep -q "quirk div-inexact" "$work/die.out" || fail "the quirk is not told"
TEGULA_CACHE_DIR=$work/p QUIRKY_HANG='sqrt(' "$tegula" targets --probe opencl --only 'f32.s[qu]*' --deadline 8 > "$work/hang.out" 2>&1
grep -q "^f32.sqrt .*HANG" "$work/hang.out" || fail "the hang is not told: $(cat "$work/hang.out")"
grep -q "^f32.sub .*right" "$work/hang.out" || fail "probes after a hang do not run"
TEGULA_CACHE_DIR=$work/p QUIRKY_DIE='sqrt(' "$tegula" targets --probe opencl --only 'nothing' > /dev/null 2>&1 && fail "no probe of that name"

# ---- the first compilation: a root that is off by one is found and gone around
root='float wrong_root(float x) { return sqrt(x) * 1.0000001f; }
#undef sqrt
#define sqrt wrong_root
'
TEGULA_CACHE_DIR=$work/q QUIRKY_CL=$root "$tegula" run "$work/k.tg" --kernel roots --device opencl --set N=1000 --check > "$work/root.out" 2>&1
grep -q "y: ok  max ulp 0 " "$work/root.out" || fail "a wrong root: $(cat "$work/root.out")"

# ---- a driver that dies while it is measured: twice, then never again
for i in 1 2; do
    TEGULA_CACHE_DIR=$work/d QUIRKY_DIE='sqrt(' "$tegula" run "$work/k.tg" --kernel twice --device opencl --set N=100 --check > "$work/d$i.out" 2>&1 &&
        fail "run $i did not die: $(cat "$work/d$i.out")"
done
TEGULA_CACHE_DIR=$work/d QUIRKY_DIE='sqrt(' "$tegula" run "$work/k.tg" --kernel twice --device opencl --set N=100 --check > "$work/d3.out" 2>&1
grep -q "y: ok" "$work/d3.out" || fail "the third run: $(cat "$work/d3.out")"

# ---- a quirk without a way around is refused by name
cat > "$work/sum.tg" << 'TG'
kernel total(x: f64[N], out y: f64[N])
  grid i: N by 64
{
  y[i] = (x[i] else 0.0) * 2.0
}
TG
unset TEGULA_OPENCL_LIBRARY
"$tegula" run "$work/sum.tg" --kernel total --device opencl+no-f64 --set N=100 --check > "$work/refused.out" 2>&1 && fail "f64 is not refused"
grep -q "quirk no-f64" "$work/refused.out" || fail "the refusal does not name the quirk: $(cat "$work/refused.out")"

[ "$failures" -eq 0 ] && echo "quirky driver: all fine"
exit "$failures"
