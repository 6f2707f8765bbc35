#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The conformance runner survives and names every planted fault, resumes a cut run, writes reports
# and bundles. usage: conform.sh TEGULA WORK_DIR
set -u
tegula=$1
work=$2
rm -rf "$work"
mkdir -p "$work"
failures=0

fail() {
    echo "FAILED: $*"
    failures=$((failures + 1))
}

# fault, status it must be given, what the text must say
expect() {
    "$tegula" conform --device "fake:$1" --filter rmsnorm --level smoke --deadline 5 \
        --bundle "$work/bundle-$1" > "$work/$1.out" 2> "$work/$1.err"
    [ $? -eq 1 ] || fail "fake:$1: exit status"
    grep -q "^$2 .*$3" "$work/$1.out" || fail "fake:$1: $(cat "$work/$1.out")"
}
expect hang@2 TIMEOUT "no answer within 5 s"
expect crash@1 CRASH "Segmentation fault"
expect corrupt@1 FAIL_NUMERIC "first bad index"
expect corrupt@2 FAIL_NONDET "differs between two launches"
expect stale@1 FAIL_STALE "what was there before"
expect lost@2 DEVICE_LOST "the device is lost"
expect beyond@1 FAIL_OOB "memory around y was written"
expect corrupt@1! FLAKY "FAIL_NUMERIC at first"
expect beyond@2 FAIL_OOB "memory around y was written"

# After a fault the other cases still run: the wrong element is planted once a process.
"$tegula" conform --device fake:corrupt@1! --filter rmsnorm > "$work/rest.out" 2> /dev/null
grep -q "^FLAKY" "$work/rest.out" && grep -q "^PASS" "$work/rest.out" || fail "cases after a failure do not run"

# A bundle holds what reproduces the failure; its program builds.
bundle=$(find "$work/bundle-corrupt@1" -mindepth 1 -maxdepth 1 -type d)
for file in README kernel.tg kernel.tile kernel.code kernel.tgp main.c in_x.npy expected_y.npy got_y.npy; do
    [ -s "$bundle/$file" ] || fail "the bundle lacks $file"
done
"$tegula" conform --device fake:corrupt@1 --exact --no-schedule --filter transpose --level smoke --bundle "$work/exact" \
    > "$work/exact.out" 2> /dev/null
grep -q "^FAIL_NUMERIC .*differs from the interpreter" "$work/exact.out" || fail "a wrong bit: $(cat "$work/exact.out")"
bundle=$(find "$work/exact" -mindepth 1 -maxdepth 1 -type d)
for file in kernel.tgp main.c in_x.npy expected_y.npy got_y.npy; do
    [ -s "$bundle/$file" ] || fail "the bundle of an exact case lacks $file"
done
grep -q -- "--no-schedule" "$bundle/README" || fail "the README forgets --no-schedule"
[ -s "$(find "$work/bundle-beyond@1" -name got_y.npy)" ] || fail "a write beside an output leaves no bundle"
[ -s "$(find "$work/bundle-crash@1" -name in_x.npy)" ] || fail "a crash leaves no inputs"

# A missing device is told before any case; a wrong fault is a wrong device.
"$tegula" conform --device nosuch > "$work/none.out" 2>&1
[ $? -eq 3 ] || fail "missing device: exit status"
"$tegula" conform --device fake:xyz > "$work/xyz.out" 2>&1
[ $? -eq 3 ] || fail "unknown fault: exit status"
grep -q "fake:none, hang" "$work/xyz.out" || fail "unknown fault: no help"

# Resume: rows found in the journal are taken over, a torn last line is done again.
"$tegula" conform --filter 'rmsnorm*' --journal "$work/all" > "$work/full.out" || fail "journal run"
rows=$(wc -l < "$work/all")
head -n 2 "$work/all" > "$work/cut"
sed -n 3p "$work/all" | head -c 40 >> "$work/cut"
"$tegula" conform --filter 'rmsnorm*' --journal "$work/cut" --resume --device cpu \
    --json "$work/r.json" --junit "$work/r.xml" --html "$work/r.html" > "$work/resumed.out" || fail "resumed run"
diff "$work/full.out" "$work/resumed.out" || fail "a resumed run says something else"
[ "$(grep -c '"key"' "$work/cut")" -eq $((rows + 1)) ] || fail "the journal of the resumed run"
[ "$(wc -l < "$work/r.json")" -eq "$rows" ] || fail "rows of the JSON report"
grep -q "limits of this device.*FMA [1-9].*copy [1-9]" "$work/r.html" || fail "the device's limits are not in the report"
grep -q "<testsuite" "$work/r.xml" && grep -q "rmsnorm" "$work/r.html" || fail "reports"
# A damaged journal: changed words, junk, NULs, lines without a sum, deep nesting. Nothing of it is believed.
{
    sed -n 1p "$work/all" | sed 's/"PASS"/"FAIL_OOB"/'
    sed -n 2p "$work/all" | sed 's/"max_ulp":[^,]*/"max_ulp":1e300/'
    sed -n 3p "$work/all" | sed 's/,"sum":"[0-9a-f]*"//'
    sed -n '4,$p' "$work/all"
    printf 'junk \000 \377\n{}\n[]\n{"key":3}\n{"sum":""}\n'
    head -c 5000 /dev/zero | tr '\0' '['
    echo
} > "$work/hurt"
"$tegula" conform --filter 'rmsnorm*' --journal "$work/hurt" --resume > "$work/mended.out" 2> "$work/mended.err" || fail "resume of a damaged journal"
sort "$work/full.out" > "$work/full.sorted"
sort "$work/mended.out" | diff "$work/full.sorted" - || fail "a damaged journal was believed"
grep -q "9 damaged lines" "$work/mended.err" || fail "damage is not told: $(cat "$work/mended.err")"
"$tegula" conform --resume > /dev/null 2>&1
[ $? -eq 2 ] || fail "--resume without --journal"

# The list alone: file, kernel, settings; no device is asked for.
"$tegula" conform --list --device nosuch --filter matmul --level smoke > "$work/list.out" || fail "the list of cases"
grep -q "gemm.tg matmul T=" "$work/list.out" && [ "$(wc -l < "$work/list.out")" -eq 1 ] || fail "the list: $(cat "$work/list.out")"

# Schedule points, judged by the reference and bit for bit.
"$tegula" conform --schedules 3 --filter rmsnorm --level smoke > "$work/judged.out" || fail "points judged by the reference"
grep -q "^PASS .*schedule points" "$work/judged.out" || fail "no schedule points: $(cat "$work/judged.out")"
"$tegula" conform --exact --schedules 4 --filter matmul --level smoke > "$work/points.out" || fail "points"
grep -q "schedule points" "$work/points.out" || fail "no schedule points: $(cat "$work/points.out")"

# Somebody's own kernels. One that is called like a stock kernel but takes other arguments (fewer, of
# another type, of other extents) must not meet that one's reference: the interpreter judges it, and the
# row says so. A copy of a stock kernel keeps the reference, and a wrong one fails.
mkdir "$work/own" "$work/copy"
cat > "$work/own/own.tg" <<'TG'
kernel rmsnorm[T: bf16 | f32](x: T[M, N], out y: T[M, N]) grid m: M, n: N by 64 { y[m, n] = (x[m, n] * 2.0) as T }
kernel layernorm[T: f32](x: T[M, D], g: f32[2], b: f32[D], eps: f32, out y: T[M, D]) grid m: M, d: D by 64 {
  y[m, d] = x[m, d] * g[0] + b[d]
}
kernel transpose(x: i32[M, N], out y: i32[M, N]) grid m: M, n: N by 64 { y[m, n] = x[m, n] + 1 }
kernel mine[N](x: f32[M, N], out y: f32[M]) grid m: M { y[m] = sum(x[m, :]) }
case rmsnorm [f32] M=5 N=33
case layernorm [f32] M=5 D=33 eps=1e-6
case transpose M=3 N=4
case mine M=7 N=61
TG
for device in cpu interp; do
    "$tegula" conform --kernels "$work/own" --device $device > "$work/own.out" 2>&1 || fail "own kernels on $device: $(cat "$work/own.out")"
    [ "$(grep -c "^PASS .*judged by the interpreter" "$work/own.out")" -eq 4 ] || fail "own kernels on $device: $(cat "$work/own.out")"
done
grep -q "layernorm.*not the stock kernel layernorm: axis 0 of g has another extent" "$work/own.out" || fail "a stranger's name: $(cat "$work/own.out")"
grep -q "mine.*no reference" "$work/own.out" || fail "a kernel of nobody's: $(cat "$work/own.out")"
"$tegula" conform --kernels "$work/own" --device fake:corrupt@1 > "$work/own.out" 2>&1 && fail "a wrong element of an own kernel passes"
[ "$(grep -c "^FAIL_NUMERIC" "$work/own.out")" -eq 4 ] || fail "a wrong element of an own kernel: $(cat "$work/own.out")"
kernels=$(cd "$(dirname "$0")/../../kernels" && pwd)
cp "$kernels/norm/norm.tg" "$work/copy/norm.tg"
"$tegula" conform --kernels "$work/copy" --filter rmsnorm > "$work/copy.out" 2>&1 || fail "a copy: $(cat "$work/copy.out")"
grep -q interpreter "$work/copy.out" && fail "a copy of a stock kernel lost its reference"

[ "$failures" -eq 0 ] && echo "conformance runner: all fine"
exit "$failures"
