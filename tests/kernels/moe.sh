#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The mixture-of-experts ops: the layer as one op (bf16, with a shared expert, FP8, FP8 with MXFP4 weights) has
# the bits of its kernels run one by one, whatever the alignment; four ranks that exchange rows have the bits of one that sees all experts. Argument: the
# command.
set -e
tegula=$1
python3 -c 'import numpy' 2> /dev/null || { echo "skipped: no NumPy"; exit 77; }
export kernels=$(cd "$(dirname "$0")/../.." && pwd)/kernels tegula
export work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
exec python3 - <<'PY'
import os, subprocess
import numpy as np

rng = np.random.default_rng(11)
T, E, K, D, I, AL = 13, 8, 2, 256, 128, 16
P = (T * K + (AL - 1) * E) // AL * AL


def run(file, kernel, settings, inputs, outputs):
    """Launches a kernel or an op; returns the outputs named."""
    at = lambda name: f"{os.environ['work']}/{name}.npy"
    command = [os.environ["tegula"], "run", f"{os.environ['kernels']}/{file}.tg", "--kernel", kernel]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    for name, value in inputs.items():
        np.save(at(name), value)
        command += ["--in", f"{name}={at(name)}"]
    for name in outputs:
        command += ["--out", f"{name}={at('out_' + name)}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [np.load(at("out_" + name)) for name in outputs]


def bf16(x):
    """The bits of float32 values, to nearest even."""
    b = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((b + 0x7FFF + ((b >> 16) & 1)) >> 16).astype(np.uint16)


def wide(b):
    return (b.astype(np.uint32) << 16).view(np.float32)


def same(what, a, b):
    assert a.shape == b.shape and a.tobytes() == b.tobytes(), what
    assert len(np.unique(a)) > 1, what + ": one constant"


x = bf16(rng.standard_normal((T, D)))
w13 = bf16(rng.standard_normal((E, 2 * I, D)) * 2 / D**0.5)
w2 = bf16(rng.standard_normal((E, D, I)) / I**0.5)
ids = np.array([rng.choice(E - 1, K, replace=False) for _ in range(T)], np.int32)
ids[3, 0] = ids[7, 1] = -1
w = rng.uniform(0.1, 1, (T, K)).astype(np.float32)


def layer(x, ids, w, w13, w2, before, align=AL, wide_out="bf16"):
    n, e = len(x), len(w13)
    s = dict(TO=wide_out, E=e, AL=align, BEFORE=before, K=K, T=n, D=D, I=I, limit=10.0)
    return run("moe/fused", "moe", s, dict(x=x, ids=ids, w=w, w13=w13, w2=w2), ["y"])[0]


def align():
    m = ["pos_to_expert", "pos_to_token", "pos_to_token_topk", "token_topk_to_pos"]
    return run("routing/align", "moe_align", dict(E=E, AL=AL, K=K, T=T, P=P), dict(ids=ids), m)


def back(o, pos, before, wide_out="bf16"):
    s = dict(T="bf16", TO=wide_out, K=K, P=P, D=D, N=T)
    if before:
        return run("moe/rows", "reduce_sum", s, dict(x=o, pos=pos), ["y"])[0]
    return run("moe/rows", "reduce", dict(s, sf=1.0), dict(x=o, pos=pos, w=w), ["y"])[0]


def steps(before, wide_out="bf16"):
    """The same, one launch at a time."""
    expert, token, pair, pos = align()
    a, = run("moe/rows", "expand", dict(T="bf16", N=T, D=D, P=P), dict(x=x, pos_to_token=token), ["y"])
    g = dict(T="bf16", ALIGN=AL, M=P, G=E)
    h, = run("gemm/grouped", "grouped_linear", dict(g, K=D, N=2 * I), dict(a=a, b=w13, layout=expert), ["d"])
    s = dict(T="bf16", TO="bf16", WEIGHT=before, N=P, I=I, TW=T, KW=K, limit=10.0)
    act, = run("activation/swiglu", "swiglu_weighted", s, dict(x=h, pair=pair, w=w), ["y"])
    o, = run("gemm/grouped", "grouped_linear", dict(g, K=I, N=D), dict(a=act, b=w2, layout=expert), ["d"])
    return back(o, pos, before, wide_out)


def codes(*shape):
    """e4m3 codes of all magnitudes but the NaNs."""
    c = rng.integers(0, 256, shape, np.uint8)
    return np.where(c & 0x7F == 0x7F, 0, c).astype(np.uint8)


def scales(kind, least, *shape):
    if kind == "f8e8m0":
        return rng.integers(127 + least, 127 + least + 6, shape, np.uint8)
    return (rng.uniform(0.5, 1, shape) * 2.0 ** rng.integers(least, least + 6, shape)).astype(np.float32)


def small_floats(kernel, kind, before, B=32):
    """moe_fp8 and moe_fp8_fp4: the op's bits and those of its kernels."""
    four, g = kernel == "moe_fp8_fp4", 32
    x, sx = codes(T, D), scales(kind, -9, T, D // B)
    if four:
        w13, s13 = rng.integers(0, 256, (E, 2 * I, D // 2), np.uint8), scales("f8e8m0", -8, E, 2 * I, D // g)
        w2, s2 = rng.integers(0, 256, (E, D, I // 2), np.uint8), scales("f8e8m0", -8, E, D, I // g)
    else:
        w13, s13 = codes(E, 2 * I, D), scales(kind, -12, E, 2 * I // B, D // B)
        w2, s2 = codes(E, D, I), scales(kind, -12, E, D // B, I // B)
    s = dict(S=kind, E=E, AL=AL, BEFORE=before, B=B, K=K, T=T, D=D, I=I, limit=10.0)
    a = dict(x=x, sx=sx, ids=ids, w=w, w13=w13, s13=s13, w2=w2, s2=s2)
    whole, = run("moe/fused", kernel, s, a, ["y"])
    expert, token, pair, pos = align()
    s = dict(T="f8e4m3", S=kind, N=T, D=D, G=D // B, P=P)
    a, sa = run("moe/rows", "expand_scaled", s, dict(x=x, sf=sx, pos_to_token=token), ["y", "ysf"])
    product = "grouped_fp8_fp4" if four else "grouped_fp8"
    s = dict(T="bf16", B=B, ALIGN=AL, S=kind, M=P, G=E)
    h, = run("gemm/grouped", product, dict(s, K=D, N=2 * I), dict(a=a, sa=sa, b=w13, sb=s13, layout=expert), ["d"])
    t = dict(T="bf16", Q="f8e4m3", S=kind, B=B, WEIGHT=before, N=P, I=I, TW=T, KW=K, limit=10.0)
    q, sq = run("activation/swiglu", "swiglu_quant", t, dict(x=h, pair=pair, w=w), ["q", "sf"])
    o, = run("gemm/grouped", product, dict(s, K=I, N=D), dict(a=q, sa=sq, b=w2, sb=s2, layout=expert), ["d"])
    finite = np.isfinite(wide(whole))
    assert finite.all(), f"{kernel}: values out of range"
    same(f"{kernel} {kind} against its kernels, weight {'before' if before else 'after'}", whole, back(o, pos, before))


def shared(before):
    """A shared expert beside the routed ones."""
    J = 64
    v13 = bf16(rng.standard_normal((2 * J, D)) * 2 / D**0.5)
    v2 = bf16(rng.standard_normal((D, J)) / J**0.5)
    s = dict(E=E, AL=AL, BEFORE=before, K=K, T=T, D=D, I=I, J=J, limit=10.0, shared_limit=0.5)
    a = dict(x=x, ids=ids, w=w, w13=w13, w2=w2, v13=v13, v2=v2)
    whole, = run("moe/fused", "moe_shared", s, a, ["y"])
    h, = run("gemm/gemm", "linear", dict(T="bf16", M=T, N=2 * J, K=D), dict(x=x, w=v13), ["y"])
    act, = run("activation/swiglu", "swiglu", dict(T="bf16", TO="bf16", N=T, I=J, limit=0.5), dict(x=h), ["y"])
    o, = run("gemm/gemm", "linear", dict(T="bf16", M=T, N=D, K=J), dict(x=act, w=v2), ["y"])
    sums = dict(x=steps(before, "f32"), shared=o)
    same("with a shared expert", whole, run("moe/rows", "add_shared", dict(T="bf16", N=T, D=D), sums, ["y"])[0])


for before in (0, 1):
    for kind in ("f32", "f8e8m0"):
        small_floats("moe_fp8", kind, before)
        small_floats("moe_fp8_fp4", kind, before)
    shared(before)
    whole = layer(x, ids, w, w13, w2, before)
    same(f"op against its kernels, weight {'before' if before else 'after'}", whole, steps(before))
    same("another alignment", whole, layer(x, ids, w, w13, w2, before, 64))
    turn = rng.permutation(T)
    same("another order of tokens", whole[turn], layer(x[turn], ids[turn], w[turn], w13, w2, before))
assert not np.array_equal(layer(x, ids, w, w13, w2, 0), layer(x, ids, w, w13, w2, 1)), "the weight's place is seen"

# Four ranks of two experts; each starts with the tokens of its quarter.
R, per = 4, E // 4
parts = [slice(r * T // R, (r + 1) * T // R) for r in range(R)]
sent = []
for r in range(R):
    n = parts[r].stop - parts[r].start
    s = dict(T="bf16", R=R, K=K, N=n, D=D, P=n * R, per_rank=per)
    sent.append(run("parallel/exchange", "ep_dispatch", s, dict(x=x[parts[r]], ids=ids[parts[r]], w=w[parts[r]]),
                    ["send", "send_ids", "send_w", "pos", "last"]))
back = [np.zeros_like(s[0]) for s in sent]
for me in range(R):
    cut = [slice(s[4][me - 1] if me else 0, s[4][me]) for s in sent]
    got = [np.concatenate([s[i][c] for s, c in zip(sent, cut)]) for i in range(3)]
    if len(got[0]) == 0:
        continue
    y = layer(*got, w13[me * per:(me + 1) * per], w2[me * per:(me + 1) * per], 1)
    at = 0
    for r in range(R):
        n = cut[r].stop - cut[r].start
        back[r][cut[r]] = y[at:at + n]
        at += n
result = []
for r in range(R):
    n = parts[r].stop - parts[r].start
    result += run("parallel/exchange", "ep_combine", dict(T="bf16", R=R, P=n * R, N=n, D=D, NB=0),
                  dict(x=back[r], pos=sent[r][3], bias=np.zeros((0, n, D), np.uint16)), ["y"])

# One rank that sees everything: what each rank's experts give, added in the order of ranks.
total = np.zeros((T, D), np.float32)
for r in range(R):
    mine = np.where(ids // per == r, ids - r * per, -1).astype(np.int32)
    y = wide(layer(x, mine, w, w13[r * per:(r + 1) * per], w2[r * per:(r + 1) * per], 1))
    total = np.where((mine >= 0).any(1)[:, None], total + y, total)
same("four ranks against one", np.concatenate(result), bf16(total))
print("fine")
PY
