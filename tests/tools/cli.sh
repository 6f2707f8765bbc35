#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command's contract: exit statuses, .npy in and out, diagnostics, packages, formatting, the cache.
# usage: cli.sh TEGULA SCRATCH_DIR
set -u
tegula=$1 dir=$2
kernels=$(cd "$(dirname "$0")/../../kernels" && pwd)
rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || exit 1
export TEGULA_CACHE_DIR=$dir/cache
checks=0 failures=0

# expect STATUS TEXT COMMAND...: exit status and a text that standard output or error must contain.
expect() {
    local status=$1 text=$2 got
    shift 2
    "$@" >out.txt 2>&1 </dev/null
    got=$?
    checks=$((checks + 1))
    if [ $got -ne "$status" ] || { [ -n "$text" ] && ! grep -qF -- "$text" out.txt; }; then
        failures=$((failures + 1))
        echo "FAIL: $* -> status $got (want $status), want text '$text', got:"
        head -20 out.txt
    fi
}

cat >ok.tg <<'TG'
// twice
kernel twice[T: f32 | f16](x: T[N], out y: T[N])
  tune BN = 64
  grid i: N by BN
{
  y[i] = (x[i] * 2.0) as T
}
case twice [f32] N=5
TG
sed 's/x\[i\] \* 2.0/x[i] * z/' ok.tg >wrong.tg

# first steps: a wrong word is told what was meant, and everything missing at once
cat >two.tg <<'TG'
kernel mul(a: f16[M, K], b: f16[K, N], out c: f32[M, N])
  grid i: M by 8, j: N by 8
{
  var acc = zeros f32[8, 8]
  for k: K by 8 { acc += a[i, k] @ b[k, j] }
  c[i, j] = acc
}
TG
expect 0 "usage: tegula run" "$tegula" help run
expect 0 "usage: tegula run" "$tegula" run -h
expect 0 "usage: tegula COMMAND" "$tegula" -h
expect 0 "tegula " "$tegula" version
expect 2 "did you mean 'build'?" "$tegula" biuld
expect 2 "there is no command 'frobnicate'" "$tegula" help frobnicate
expect 1 "M=x is not an extent" "$tegula" run two.tg --set M=x
expect 1 "the extents M, K, N of mul are not known: give --set M=... --set K=... --set N=..." "$tegula" run two.tg
expect 1 "the extent K of mul is not known: give --set K=..." "$tegula" run two.tg --set M=1 --set N=1
cat >segments.tg <<'TG'
kernel segments[T: f32 | f16](x: T[NNZ, D], ptr: i32[S + 1] sorted, out y: f32[S, D])
  grid s: S, d: D by 8
{
  var acc = zeros f32[8]
  for j: ptr[s] .. ptr[s + 1] by 8 { acc += sum(x[j, d], axis 0) }
  y[s, d] = acc
}
TG
python3 -c "import numpy; numpy.save('x.npy', numpy.ones((9, 5), 'f4')); numpy.save('ptr.npy', numpy.array([0, 2, 2, 9], 'i4'))" &&
    expect 0 "y: f32[3, 5] = 2 2 2 2 2 0 0 0" "$tegula" run segments.tg --set T=f32 --in x=x.npy --in ptr=ptr.npy
expect 1 "\`T\` cannot be int8 here" "$tegula" run segments.tg --set T=int8 --set NNZ=3 --set D=3 --set S=1
grep -q "note: it is one of f32, f16" out.txt || { failures=$((failures + 1)); echo "FAIL: alternatives are not named"; }
expect 3 "there is no machine for the device \`sim:sm_81\`" "$tegula" run segments.tg --device sim:sm_81
{
    printf 'kernel many(%s out y: f32[N]) grid i: N by 8 { y[i] = x0[i] }\n' "$(for i in $(seq 0 70); do printf 'x%d: f32[N], ' "$i"; done)"
} >many.tg
expect 1 "72 parameters, 1 dimension names and 217 launch slots" "$tegula" run many.tg --set N=3
expect 2 "give -o FILE" "$tegula" build two.tg
expect 3 "there is no target 'sm_1'" "$tegula" build two.tg --target sm_1
python3 -c "import numpy; numpy.save('wide.npy', numpy.ones((4, 4)))" &&
    expect 1 "wide.npy holds f64[4, 4], a is f16 of rank 2" "$tegula" run two.tg --in a=wide.npy --set N=1
expect 1 "no case of level core matches 'nosuch*'" "$tegula" conform --filter 'nosuch*' --kernels "$kernels/norm"

# a device's own schedules apply where its code is simulated, too
sed 's/  grid/  require BN == 64\n  grid/; $a schedule twice for opencl { BN = 32 }' ok.tg >vendor.tg
expect 0 "ok" "$tegula" run vendor.tg --set T=f32 --set N=5 --check
expect 1 "BN == 64" "$tegula" run vendor.tg --set T=f32 --set N=5 --device sim:opencl
expect 1 "BN == 64" "$tegula" run vendor.tg --set T=f32 --set N=5 --device placed:opencl
expect 0 "" "$tegula" run vendor.tg --set T=f32 --set N=5 --device sim:opencl --no-schedule

# command line
expect 2 usage "$tegula"
expect 2 "no command" "$tegula" frobnicate
expect 0 "usage:" "$tegula" run --help
expect 0 tegula "$tegula" --version
expect 0 complete "$tegula" --completion
expect 0 .TH "$tegula" --man
expect 2 "which FILE" "$tegula" run
expect 2 usage "$tegula" check
expect 3 "no device" "$tegula" run ok.tg --kernel twice --device abacus --set T=f32 --set N=5
expect 3 "no target" "$tegula" build ok.tg --kernel twice --set T=f32 --target z80 -o z.tgp
expect 1 "cannot open" "$tegula" check missing.tg

# options: strict numbers, words and names, each with what it takes
expect 2 "--seed takes a whole number in 0 .. 18446744073709551615, not \`x\`" "$tegula" run ok.tg --seed x
expect 2 "--seed takes" "$tegula" run ok.tg --seed 18446744073709551616
expect 2 "--seed takes" "$tegula" conform --seed -1
expect 2 "--repeat takes a whole number in 1 .. " "$tegula" run ok.tg --repeat -5
expect 2 "--repeat takes" "$tegula" run ok.tg --repeat 0
expect 2 "--threads takes a whole number in 0 .. 256, not \`-1\`" "$tegula" run ok.tg --threads -1
expect 2 "--threads takes" "$tegula" demo --threads 3x
expect 2 "--rounds takes a whole number in 1 .. " "$tegula" bench --rounds 0
expect 2 "--mode takes f32, f64 or exact, not \`f16\`" "$tegula" interp ok.tg --mode f16
expect 2 "--mode is an option of the interpreter" "$tegula" run ok.tg --mode f64
expect 2 "--device is an option of" "$tegula" interp ok.tg --device cpu
expect 2 "--emit takes package, " "$tegula" build ok.tg --emit soup
for option in stop-after start-from dump-after; do
    expect 2 "--$option takes the name of a pass" "$tegula" build ok.tg --set T=f32 --emit tile --$option soup
    expect 2 "load specialise canonicalise" "$tegula" build ok.tg --set T=f32 --emit tile --$option soup
done
cat >two.tg <<'TG'
kernel one(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = x[i] }
kernel two(x: f32[N], out y: f32[N]) grid i: N by 8 { y[i] = x[i] + x[i] }
TG
expect 2 "several kernels; choose one with --kernel: one, two" "$tegula" run two.tg --set N=4
expect 2 "no kernel three; it has one, two" "$tegula" run two.tg --kernel three --set N=4
expect 0 "y: f32[5]" "$tegula" run ok.tg --set T=f32 --set N=5

# who stops reading a list is told nothing
"$tegula" targets 2>err.txt | head -n 1 >/dev/null
checks=$((checks + 1))
[ ! -s err.txt ] || { failures=$((failures + 1)); echo "FAIL: targets | head: $(cat err.txt)"; }

# programs
expect 0 fine "$tegula" check ok.tg
expect 1 "wrong.tg:6:" "$tegula" check wrong.tg
expect 1 '"severity"' "$tegula" check wrong.tg --json
id=$("$tegula" check wrong.tg 2>&1 | grep -oE 'E[0-9]{4}' | head -1)
expect 0 "$id" "$tegula" explain "$id"
expect 1 "no diagnostic" "$tegula" explain E9999
expect 1 "N" "$tegula" run ok.tg --kernel twice --set T=f32
expect 1 "too large" "$tegula" run ok.tg --kernel twice --set T=f32 --set N=9000000000000000000
cat >scalars.tg <<'TG'
kernel shift(n: i8, b: bool, out y: i64[1]) { y[0:1] = full i64[1] = where(b, n as i64, 0) }
TG
expect 0 "= -128" "$tegula" run scalars.tg --kernel shift --set n=-128 --set b=1
expect 1 "n=128 does not fit i8" "$tegula" run scalars.tg --kernel shift --set n=128 --set b=1

# arrays: 1..5 as float32 through an .npy file
printf '\x93NUMPY\x01\x00\x76\x00' >x.npy
printf "%-117s\n" "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }" >>x.npy
printf '\x00\x00\x80\x3f\x00\x00\x00\x40\x00\x00\x40\x40\x00\x00\x80\x40\x00\x00\xa0\x40' >>x.npy
for device in interp cpu; do
    expect 0 "" "$tegula" run ok.tg --kernel twice --device $device --set T=f32 --in x=x.npy --out y=$device.npy
    got=$(tail -c 20 $device.npy | od -An -tx1 | tr -d ' \n')
    checks=$((checks + 1))
    if [ "$got" != 00000040000080400000c0400000004100002041 ]; then
        failures=$((failures + 1)); echo "FAIL: $device wrote $got"
    fi
done
head -c 60 x.npy >cut.npy
expect 1 "cut.npy" "$tegula" run ok.tg --kernel twice --set T=f32 --in x=cut.npy
expect 0 "y: ok" "$tegula" run ok.tg --kernel twice --set T=f32 --set N=1000 --check
expect 0 "twice:" "$tegula" run ok.tg --kernel twice --set T=f16 --set N=77 --repeat 3
expect 0 "" "$tegula" interp ok.tg --kernel twice --set T=f32 --set N=7 --mode exact

# --check: the bound comes from the kernel's arithmetic, or from its tol; files are written even when it fails
sum() { printf 'kernel total(x: f32[M, N], out y: f32[M])\n  tune BM = 4\n  grid i: M by BM\n  %s\n{\n  y[i] = sum(x[i, 0:60000], axis 1)\n}\n' "$1"; }
sum "" >sum.tg
sum "tol exact" >strict.tg
expect 0 "y: ok" "$tegula" run sum.tg --set M=9 --set N=60000 --check
expect 0 "y: ok" "$tegula" interp sum.tg --set M=9 --set N=60000 --check
expect 1 "y: outside the tolerance" "$tegula" run strict.tg --set M=9 --set N=60000 --check --out y=wrong.npy
expect 0 "" test -s wrong.npy
expect 1 '"pass": false' "$tegula" run strict.tg --set M=9 --set N=60000 --check --json
# One element of 3078 is an exponential's error off that cancels in the first two noisy runs.
expect 0 "sf: ok" "$tegula" run "$kernels/activation/swiglu.tg" --kernel swiglu_backward_quant --set T=f32 --set S=f32 --set B=32 --set I=96 \
    --set N=513 --set TW=7 --set KW=3 --set limit=10.0 --set WEIGHT=1 --seed 3 --check

# --json: one object that a reader of JSON takes
expect 0 '"ok": true' "$tegula" run ok.tg --set T=f32 --set N=7 --json
"$tegula" run ok.tg --set T=f32 --set N=7 --check --repeat 2 --json >run.json
if command -v python3 >/dev/null; then
    expect 0 "7 True" python3 -c 'import json; r = json.load(open("run.json")); print(r["args"][1]["shape"][0], r["check"][0]["pass"] and r["best_us"] > 0)'
fi

# memory that runs out is called that, and one more error is one
if (ulimit -v 600000; "$tegula" --version) >/dev/null 2>&1; then
    for kib in 150000 200000 250000; do
        (ulimit -v $kib; "$tegula" run ok.tg --set T=f32 --set N=1000 --no-schedule --threads 1 >out.txt 2>&1 </dev/null)
        checks=$((checks + 1))
        if grep -qE "LLVM cannot|1 more errors" out.txt; then
            failures=$((failures + 1)); echo "FAIL: in $kib KiB:"; cat out.txt
        fi
    done
fi

# placement choices as settings
expect 0 "" "$tegula" build ok.tg --set T=f32 --set schedule.stages=3 -o staged.tgp
expect 0 "schedule.stages=3" "$tegula" pack ls staged.tgp
expect 1 "schedule.soup" "$tegula" build ok.tg --set T=f32 --set schedule.soup=3 -o staged.tgp

# packages
expect 0 "" "$tegula" build ok.tg --kernel twice --set T=f32 -o ok.tgp
expect 0 "kernel twice" "$tegula" pack ls ok.tgp
expect 0 whole "$tegula" pack verify ok.tgp
expect 0 alike "$tegula" pack diff ok.tgp ok.tgp
head -c 100 ok.tgp >short.tgp
expect 1 short.tgp "$tegula" pack verify short.tgp
for emit in ast tile loop llvm asm; do
    expect 0 "" "$tegula" build ok.tg --kernel twice --set T=f32 --emit $emit
done
expect 0 tegula-ir "$tegula" build ok.tg --kernel twice --set T=f32 --emit tile
expect 0 "" "$tegula" build ok.tg --kernel twice --set T=f32 --emit tile -o ok.tgir
expect 0 "" "$tegula" build ok.tgir --emit asm
expect 0 lower "$tegula" build --print-pipeline

# formatting: idempotent, and the stock kernels still check afterwards
cp ok.tg f.tg
expect 0 "" "$tegula" fmt f.tg
expect 0 "" "$tegula" fmt --check f.tg
rm -rf stock
mkdir stock
cp -r "$kernels"/* stock
for k in stock/*/*.tg; do
    expect 0 "" "$tegula" fmt "$k"
    expect 0 "" "$tegula" fmt --check "$k"
    expect 0 fine "$tegula" check "$k"
done

# a kernel that is called like a stock one has its own parameters
cat > named.tg << 'END'
kernel gate(x: f32[N], out y: f32[N])
  grid i: N by 16
{ y[i] = x[i] * 2.0 }
END
expect 0 "y: ok" "$tegula" run named.tg --kernel gate --set N=37 --check

# an op is launched kernel by kernel wherever there is no runtime
cat > op.tg << 'END'
kernel add(a: f32[N], b: f32[N], out c: f32[N])
  grid i: N by 16
{ c[i] = a[i] + b[i] }
op thrice(a: f32[N], out c: f32[N]) {
  temp x: f32[N]
  add(a, a, out x)
  add(x, a, out c)
}
END
for device in interp cpu sim:vulkan placed:opencl; do
    expect 0 "c: ok" "$tegula" run op.tg --kernel thrice --set N=37 --device $device --check
done

# the cache
expect 0 entries "$tegula" cache ls
expect 0 "0 damaged" "$tegula" cache verify
for f in cache/*; do [ -f "$f" ] && printf 'x' | dd of="$f" bs=1 seek=40 conv=notrunc 2>/dev/null; done
expect 0 "" "$tegula" run ok.tg --kernel twice --set T=f32 --set N=1000 --check
expect 0 removed "$tegula" cache clear
TEGULA_CACHE_DIR=/proc/nowhere expect 0 "y: ok" "$tegula" run ok.tg --kernel twice --set T=f32 --set N=1000 --check

echo "$checks checks, $failures failed"
[ $failures -eq 0 ]
