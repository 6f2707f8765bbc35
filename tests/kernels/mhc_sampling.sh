#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fused hyper-connection kernels (pre, delayed pre, head, recomputation of layers) give the small ones' bits; samples of 100,000 draws follow their
# probabilities (chi-square, 49 degrees of freedom, p > 1e-4: below 98.0). Argument: the command.
set -eu
command -v python3 >/dev/null || { echo "skipped: no Python"; exit 77; }
tegula=$1
kernels=$(cd "$(dirname "$0")/../../kernels" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

cat >arrays.py <<'PY'
import math, random, struct, sys
def save(name, shape, values, code="f", descr="<f4"):
    text = "{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }" % (descr, ",".join(map(str, shape)))
    text += " " * (63 - (10 + len(text)) % 64) + "\n"
    with open(name, "wb") as f:
        f.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode())
        f.write(struct.pack("<%d%s" % (len(values), code), *values))
def load(name, code="i"):
    raw = open(name, "rb").read()
    raw = raw[10 + struct.unpack("<H", raw[8:10])[0]:]
    return struct.unpack("<%d%s" % (len(raw) // 4, code), raw)
random.seed(5)
p = [random.random() ** 2 + 0.002 for _ in range(50)]
p = [v / sum(p) for v in p]
if sys.argv[1] == "make":
    save("x.npy", (13, 4, 128), [struct.unpack("<I", struct.pack("<f", random.gauss(0, 1)))[0] >> 16 for _ in range(13 * 512)], "H", "<u2")
    save("w.npy", (24, 4, 128), [random.gauss(0, 0.05) for _ in range(24 * 512)])
    save("s.npy", (3,), [1.0, 0.7, -1.3])
    save("b.npy", (24,), [random.gauss(0, 1) for _ in range(24)])
    save("w4.npy", (4, 4, 128), [random.gauss(0, 0.05) for _ in range(4 * 512)])
    save("s1.npy", (1,), [0.8])
    save("b4.npy", (4,), [random.gauss(0, 1) for _ in range(4)])
    save("before.npy", (13, 4), [random.random() for _ in range(52)])
    half = lambda n: [struct.unpack("<I", struct.pack("<f", random.gauss(0, 1)))[0] >> 16 for _ in range(n)]
    single = lambda n: [random.gauss(0, 0.5) for _ in range(n)]
    layers = {"f": ((13, 128), half, "H", "<u2"), "pre": ((13, 4), single, "f", "<f4"),
              "post": ((13, 4), single, "f", "<f4"), "comb": ((13, 4, 4), single, "f", "<f4")}
    for name, (shape, draw, code, descr) in layers.items():
        values = [draw(math.prod(shape)) for _ in range(3)]
        save("l_%s.npy" % name, (3,) + shape, sum(values, []), code, descr)
        for l in range(3):
            save("l%d_%s.npy" % (l, name), shape, values[l], code, descr)
    save("p.npy", (100000, 50), p * 100000)
    save("k.npy", (100000,), [0] * 100000, "i", "<i4")
    save("one.npy", (100000,), [1.0] * 100000)
    save("zero.npy", (100000,), [0.0] * 100000)
elif sys.argv[1] == "same":  # the first is the others in a row
    body = lambda name: open(name, "rb").read()[10 + struct.unpack("<H", open(name, "rb").read()[8:10])[0]:]
    whole = body(sys.argv[2])
    assert whole == b"".join(map(body, sys.argv[3:])) and len(set(whole)) > 8, sys.argv[2]
else:
    tokens = load(sys.argv[2])
    assert len(tokens) == 100000 and min(tokens) >= 0 and max(tokens) < 50
    chi = sum((tokens.count(j) - 1e5 * p[j]) ** 2 / (1e5 * p[j]) for j in range(50))
    assert 10 < chi < 98.0, chi
PY
python3 arrays.py make

mhc() { "$tegula" run "$kernels/mhc/mhc.tg" --kernel "$@" >/dev/null; }
mhc mhc_norm_fn --set R=24 --set eps=1e-6 --in x=x.npy --in w=w.npy --out m=m.npy
mhc mhc_split --set mult=2.0 --in m=m.npy --in s=s.npy --in b=b.npy --out pre=pre.npy --out post=post.npy --out comb=z.npy
mhc sinkhorn --set ITERS=20 --in x=z.npy --out y=comb.npy
mhc mhc_apply --in x=x.npy --in pre=pre.npy --out y=y.npy
mhc mhc_pre --set ITERS=20 --set eps=1e-6 --set mult=2.0 --in x=x.npy --in w=w.npy --in s=s.npy --in b=b.npy \
  --out y=y2.npy --out post=post2.npy --out comb=comb2.npy
cmp y.npy y2.npy
cmp post.npy post2.npy
cmp comb.npy comb2.npy

mhc mhc_pre_delayed --set ITERS=20 --set eps=1e-6 --set mult=2.0 --in x=x.npy --in before=before.npy --in w=w.npy \
  --in s=s.npy --in b=b.npy --out y=y3.npy --out pre=pre3.npy --out post=post3.npy --out comb=comb3.npy
mhc mhc_apply --in x=x.npy --in pre=before.npy --out y=y4.npy
cmp y3.npy y4.npy
cmp pre3.npy pre.npy
cmp post3.npy post.npy
cmp comb3.npy comb.npy
mhc mhc_norm_fn --set R=4 --set eps=1e-6 --in x=x.npy --in w=w4.npy --out m=m4.npy
mhc mhc_head_mix --in m=m4.npy --in s=s1.npy --in b=b4.npy --out pre=pre4.npy
mhc mhc_apply --in x=x.npy --in pre=pre4.npy --out y=y5.npy
mhc mhc_head --set eps=1e-6 --in x=x.npy --in w=w4.npy --in s=s1.npy --in b=b4.npy --out y=y6.npy
cmp y5.npy y6.npy
mhc mhc_recompute --set L=3 --in x0=x.npy --in f=l_f.npy --in pre=l_pre.npy --in post=l_post.npy --in comb=l_comb.npy \
  --out y=ry.npy --out x=rx.npy
cp x.npy r0.npy
for l in 0 1 2; do
    mhc mhc_apply --in x=r$l.npy --in pre=l${l}_pre.npy --out y=ry$l.npy
    mhc mhc_post --in x=r$l.npy --in f=l${l}_f.npy --in post=l${l}_post.npy --in comb=l${l}_comb.npy --out y=r$((l + 1)).npy
done
python3 arrays.py same ry.npy ry0.npy ry1.npy ry2.npy
python3 arrays.py same rx.npy r1.npy r2.npy r3.npy

run() { "$tegula" run "$kernels/sampling/sampling.tg" --kernel "$@" >/dev/null; }
run sample --set seed=11 --set offset=0 --in p=p.npy --in top_k=k.npy --in top_p=one.npy --in min_p=zero.npy --out token=t1.npy
run sample_exponential --set seed=12 --set offset=0 --in p=p.npy --out token=t2.npy
python3 arrays.py judge t1.npy
python3 arrays.py judge t2.npy
