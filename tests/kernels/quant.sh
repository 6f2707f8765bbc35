#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Quantising casts: the golden vectors of moe.md section 1 byte for byte, unbiased rounding, round trips,
# and casts in one kernel equal to casts in two. usage: quant.sh TEGULA
set -u
python3 -c 'import numpy' 2>/dev/null || { echo "skipped: no NumPy"; exit 77; }
tegula=$1
kernels=$(cd "$(dirname "$0")/../../kernels" && pwd)
dir=$(mktemp -d) && cd "$dir" || exit 1
trap 'rm -rf "$dir"' EXIT
export TEGULA_CACHE_DIR=$dir/cache

# launch FILE KERNEL "NAME=VALUE ..." ARG...: arguments as they are for `tegula run`.
launch() {
    local file=$1 kernel=$2 settings=() s
    for s in $3; do settings+=(--set "$s"); done
    shift 3
    "$tegula" run "$kernels/quant/$file.tg" --kernel "$kernel" "${settings[@]}" "$@" >log 2>&1 || {
        echo "FAIL: $kernel"
        cat log
        exit 1
    }
}

python3 - <<'PY'
import numpy as np
def bf16(x):
    b = np.asarray(x, np.float32).view(np.uint32)
    return (b + 0x7fff + ((b >> 16) & 1)) >> 16 << 16
golden = ((np.arange(32) - 15.5) * 0.37).astype(np.float32)
np.save('golden.npy', bf16(golden).astype(np.uint32).view(np.float32).reshape(1, 32))
rng = np.random.default_rng(7)
np.save('x.npy', bf16(rng.standard_normal((512, 576))).astype(np.uint32).view(np.float32))
PY

launch cast cast "T=f32 Q=f4e2m1 S=f8e8m0 BM=1 BK=32" --in x=golden.npy --out q=g4.npy --out sf=g4s.npy
launch cast cast "T=f32 Q=f8e4m3 S=f8e8m0 BM=1 BK=32" --in x=golden.npy --out q=g8.npy --out sf=g8s.npy
launch layout mxfp4_to_ggml "" --in q=g4.npy --in sf=g4s.npy --out y=ggml.npy
launch layout mxfp4_from_ggml "N=1 K=32" --in y=ggml.npy --out q=b4.npy --out sf=b4s.npy

for s in f32 f8e8m0; do
    launch cast cast "T=f32 Q=f8e4m3 S=$s BM=1 BK=64" --in x=x.npy --out q=q8$s.npy --out sf=s8$s.npy
    launch cast cast "T=f32 Q=f4e2m1 S=$s BM=1 BK=32" --in x=x.npy --out q=q4$s.npy --out sf=s4$s.npy
done
launch cast cast_back "Q=f8e4m3 S=f32 T=f32 BM=1 BK=64" --in q=q8f32.npy --in sf=s8f32.npy --out y=y8.npy
launch cast cast_back "Q=f8e4m3 S=f8e8m0 T=f32 BM=1 BK=64" --in q=q8f8e8m0.npy --in sf=s8f8e8m0.npy --out y=y8p.npy
launch cast cast_back "Q=f4e2m1 S=f8e8m0 T=f32 BM=1 BK=32" --in q=q4f8e8m0.npy --in sf=s4f8e8m0.npy --out y=y4.npy
launch nvfp4 cast_e5m6 "T=f32 S=f32" --in x=x.npy --out w=w.npy --out sf=sw.npy
launch nvfp4 cast_back_e5m6 "S=f32 T=f32 K=576" --in w=w.npy --in sf=sw.npy --out y=y12.npy

# Scales first, codes after them; rows of a matrix, columns of its transposed.
launch cast cast_scales_f8 "T=f32 S=f8e8m0 BM=1 BK=64" --in x=x.npy --out sf=t8.npy
launch cast cast_with "T=f32 Q=f8e4m3 S=f8e8m0 BM=1 BK=64" --in x=x.npy --in sf=t8.npy --out q=u8.npy
launch cast cast "T=f32 Q=f8e4m3 S=f8e8m0 BM=128 BK=1" --in x=x.npy --out q=c8.npy --out sf=cs8.npy
launch cast cast_transposed "T=f32 Q=f8e4m3 S=f8e8m0 BM=128" --in x=x.npy --out q=d8.npy --out sf=ds8.npy

python3 - <<'PY'
import sys
import numpy as np
failed = []
def check(what, ok):
    if not ok:
        failed.append(what)
        print('FAIL:', what)
def hexed(f):
    return np.load(f).tobytes().hex()
def same(what, a, b):
    check(what, np.load(a).tobytes() == b)

check('golden MXFP4', hexed('g4.npy') == 'ffeeeedecdbcab891032435465666677' and hexed('g4s.npy') == '7f')
check('golden ggml', hexed('ggml.npy') == '7f0f1f2e3e3e4e4e5d5d6c6c6b6b6a7978')
check('golden FP8', hexed('g8.npy') == 'fcfbfaf9f8f8f6f5f3f2f0edeae7e1d45461676a6d70727375767878797a7b7c'
      and hexed('g8s.npy') == '79')
same('ggml and back', 'b4.npy', np.load('g4.npy').tobytes())
same('scales first', 'u8.npy', np.load('q8f8e8m0.npy').tobytes())
same('scales alone', 't8.npy', np.load('s8f8e8m0.npy').tobytes())
same('transposed', 'd8.npy', np.ascontiguousarray(np.load('c8.npy').T).tobytes())
same('transposed scales', 'ds8.npy', np.ascontiguousarray(np.load('cs8.npy').T).tobytes())

x = np.load('x.npy').astype(np.float64)
for what, f, limit in (('e4m3', 'y8.npy', 1e-3), ('e4m3, powers of two', 'y8p.npy', 1e-3),
                       ('e2m1', 'y4.npy', 2e-2), ('e5m6', 'y12.npy', 1e-4)):
    y = np.load(f).astype(np.float64)
    check('round trip ' + what, 1 - 2 * (x * y).sum() / ((x * x).sum() + (y * y).sum()) < limit)
    bias = abs((y < x).mean() + (y == x).mean() / 2 - 0.5)
    check('bias ' + what, bias < 10 / np.sqrt(x.size))
# With f32 scales 448 / amax * amax may come out above 448: such elements clamp, and do not become NaN.
g = x.astype(np.float32).reshape(512, 9, 64)
a = np.abs(g).max(axis=2, keepdims=True)
above = (np.abs(g * (np.float32(448) / a)) > 448).mean()
check('some elements lie above 448 before the clamp', 0.0002 < above < 0.005)
check('no NaN', not np.isin(np.load('q8f32.npy'), [0x7f, 0xff]).any())
sys.exit(bool(failed))
PY
