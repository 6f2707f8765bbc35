#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fused hyper-connection kernels give the small ones' bits; samples of 100,000 draws follow their
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
    save("p.npy", (100000, 50), p * 100000)
    save("k.npy", (100000,), [0] * 100000, "i", "<i4")
    save("one.npy", (100000,), [1.0] * 100000)
    save("zero.npy", (100000,), [0.0] * 100000)
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

run() { "$tegula" run "$kernels/sampling/sampling.tg" --kernel "$@" >/dev/null; }
run sample --set seed=11 --set offset=0 --in p=p.npy --in top_k=k.npy --in top_p=one.npy --in min_p=zero.npy --out token=t1.npy
run sample_exponential --set seed=12 --set offset=0 --in p=p.npy --out token=t2.npy
python3 arrays.py judge t1.npy
python3 arrays.py judge t2.npy
