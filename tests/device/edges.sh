#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The kernels of edges.tg on a device, every bit against the interpreter.
# usage: edges.sh TEGULA DEVICE SCRATCH_DIR
set -u
tegula=$1 device=$2 dir=$3 failed=0
here=$(cd "$(dirname "$0")" && pwd)
rm -rf "$dir" && mkdir -p "$dir" && cd "$dir" || exit 1
python=python3
"$python" -c "import numpy" 2>/dev/null || python=/usr/bin/python3
"$python" -c "import numpy" 2>/dev/null || { echo "skipped: no NumPy to write the arrays"; exit 77; }
"$python" "$here/edges.py" || exit 1

# check KERNEL ARGUMENT...
check() {
    "$tegula" run "$here/edges.tg" --device "$device" --check --kernel "$@" >out.txt 2>&1
    case $? in
    0) ;;
    3) echo "skipped: $(head -1 out.txt)"; exit 77 ;;
    *) failed=$((failed + 1)); echo "FAIL: $*"; grep -v ": ok" out.txt | head -5 ;;
    esac
}

for t in i8 i16 i32 i64 u8 u16 u32 u64; do
    check ints --set T=$t --in a=${t}_a.npy --in b=${t}_b.npy
    check iconv --set S=$t --in a=${t}_1.npy
done
for t in f16 bf16 f32 f64 f8e4m3 f8e5m2 f8e4m3fnuz; do
    check flts --set T=$t --in a=${t}_a.npy --in b=${t}_b.npy
done
for t in f32 f64; do
    check arith --set T=$t --in a=${t}_a.npy --in b=${t}_b.npy
done
for t in f16 bf16 f32 f64 f8e4m3 f8e5m2 f8e4m3fnuz i64 u64 i32 u32 i8; do
    check conv --set S=$t --in a=${t}_1.npy
done
check scale_bytes --in a=f8e8m0_1.npy
for k in nibble_floats nibbles; do
    check $k --set N=8192 --in a=nibble_a.npy --in b=nibble_b.npy
done
check fused --set T=f32 --in a=f32_a.npy --in b=f32_b.npy
# Vulkan's rows do without fma of f64 where the product leaves 2^-960 .. 2^1020 (docs/targets.md).
case $device in
vulkan*) ;;
*) check fused --set T=f64 --in a=f64_a.npy --in b=f64_b.npy ;;
esac
echo "$failed failed"
exit $((failed != 0))
