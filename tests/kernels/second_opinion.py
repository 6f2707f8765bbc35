# SPDX-License-Identifier: Apache-2.0
"""The C references against an independent reading of the specification in NumPy and PyTorch, on the references'
own nasty inputs: attention with sinks, caps and windows, MLA over pages and bytes, indexer, routing, grouped
products, hyper-connections with their gradients, compressors, sparse attention, sampling.

usage: second_opinion.py MODULE.so   (the references as a shared module; see CMakeLists.txt)
"""
import ctypes as C
import sys

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy")
    sys.exit(77)
try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = None

TYPES = ("none bool i8 i16 i32 i64 u8 u16 u32 u64 f16 bf16 f32 f64 f8e4m3 f8e4m3fnuz f8e5m2 f8e8m0 f4e2m1 "
         "i4 u4 record").split()


class Constant(C.Structure):
    _fields_ = [("name", C.c_char_p), ("value", C.c_int64)]


class Arg(C.Structure):
    _fields_ = [("name", C.c_char_p), ("dtype", C.c_int), ("is_out", C.c_bool), ("rank", C.c_int),
                ("extent", C.c_int64 * 8), ("elem_bytes", C.c_int64), ("f", C.c_void_p), ("i", C.c_void_p),
                ("bytes", C.c_void_p), ("slack", C.c_void_p), ("count", C.c_int64), ("constants", C.c_void_p)]


class Random(C.Structure):
    _fields_ = [("state", C.c_uint64), ("spare", C.c_double), ("has_spare", C.c_bool), ("exact", C.c_bool),
                ("full", C.c_bool)]


RUN = C.CFUNCTYPE(C.c_bool, C.POINTER(Arg), C.c_int)
INPUTS = C.CFUNCTYPE(None, C.POINTER(Arg), C.c_int, C.POINTER(Random))


class Reference(C.Structure):
    _fields_ = [("kernel", C.c_char_p), ("run", C.c_void_p), ("inputs", C.c_void_p)]


lib = C.CDLL(sys.argv[1])
lib.tgk_reference_find.restype = C.POINTER(Reference)
lib.tgk_reference_find.argtypes = [C.c_char_p]


def rounded(x, dtype):
    """Values as the type stores them."""
    x = x.astype(np.float32)
    if dtype == "f16":
        return x.astype(np.float16).astype(np.float64)
    if dtype == "bf16":
        u = x.view(np.uint32).astype(np.uint64)
        return ((u + 0x7FFF + ((u >> 16) & 1)) >> 16 << 16).astype(np.uint32).view(np.float32).astype(np.float64)
    if dtype == "f8e4m3":
        return np.clip(np.round(x * 8) / 8, -8, 8).astype(np.float64)
    return x.astype(np.float64)


def call(kernel, args, seed=1, **constants):
    """Inputs and outputs of a reference: args are (name, type, extents[, bytes of a record]), outputs `>name`."""
    rng = np.random.default_rng(seed)
    table = (Constant * (len(constants) + 1))(*[Constant(k.encode(), v) for k, v in constants.items()])
    c_args, held = (Arg * len(args))(), {}
    for a, (name, dtype, extents, *size) in zip(c_args, args):
        out, name = name[0] == ">", name.lstrip(">")
        count = int(np.prod(extents)) if extents else 1
        a.name, a.dtype, a.is_out, a.rank, a.count = name.encode(), TYPES.index(dtype), out, len(extents), count
        a.extent[:len(extents)] = list(extents)
        a.constants = C.cast(table, C.c_void_p)
        if dtype == "record":
            data = np.zeros((count + 1, size[0]), np.uint8)
            a.elem_bytes, a.bytes = size[0], data.ctypes.data
            held[name] = data[:count].reshape(tuple(extents) + (size[0],))
        elif dtype[0] in "fb" and dtype != "bool":
            data = np.zeros(count + 1)
            data[:count] = 0 if out else rounded(rng.standard_normal(count), dtype)
            a.f, held[name] = data.ctypes.data, data[:count].reshape(extents)
        else:
            data = np.zeros(count + 1, np.int64)
            a.i, held[name] = data.ctypes.data, data[:count].reshape(extents)
        held["." + name] = data
    ref = lib.tgk_reference_find(kernel.encode())
    assert ref, kernel
    if ref.contents.inputs:
        INPUTS(ref.contents.inputs)(c_args, len(args), C.byref(Random(seed, 0, False, False, False)))
    before = {k: v.copy() for k, v in held.items() if k[0] != "."}
    assert RUN(ref.contents.run)(c_args, len(args)), kernel
    return before, held


n_compared = 0


def same(what, got, want, tol=1e-10):
    """Equal up to the rounding of double precision; infinities and NaN where they belong."""
    global n_compared
    n_compared += 1
    got, want = np.asarray(got, float), np.asarray(want, float)
    assert got.shape == want.shape, (what, got.shape, want.shape)
    with np.errstate(invalid="ignore"):
        off = ~((np.abs(got - want) <= tol * (1 + np.abs(want))) | (got == want) | (np.isnan(got) & np.isnan(want)))
    if off.any():
        at = tuple(np.argwhere(off)[0])
        sys.exit(f"{what}: {off.sum()} of {off.size} differ, at {at} {got[at]} instead of {want[at]}")


def attend(x, v, sink):
    """Softmax of logits x [.., N] over values v with a sink as one more logit; and the lse without it."""
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        top = np.maximum(x.max(-1, initial=-np.inf), -1e300)
        p = np.exp(x - top[..., None])
        total = p.sum(-1)
        lse = np.where(total > 0, top + np.log(total), np.inf)
        share = p / (total + np.exp(sink - top))[..., None]
    share = np.where((total > 0)[..., None] & (np.asarray(sink) < np.inf)[..., None], share, 0)
    return share @ np.where(share.any(tuple(range(share.ndim - 1)))[:, None], v, 0), lse


def attention():
    for seed in range(1, 13):
        tq, tk, h, hk, d, e, b = 34, 61, 4, 2, 24, 16, 3
        a, out = call("flash_attention", [
            ("q", "f32", (tq, h, d)), ("k", "f32", (tk, hk, d)), ("v", "f32", (tk, hk, e)), ("cq", "i32", (b + 1,)),
            ("ck", "i32", (b + 1,)), ("sink", "f32", (h,)), ("scale", "f32", ()), ("softcap", "f32", ()),
            ("left", "i32", ()), ("right", "i32", ()), ("maxq", "i32", ()), (">o", "f32", (tq, h, e)),
            (">lse", "f32", (h, tq))], seed)
        o, lse = np.zeros((tq, h, e)), np.full((h, tq), np.inf)
        for s in range(b):
            q0, q1, k0, k1 = *a["cq"][s:s + 2], *a["ck"][s:s + 2]
            i, j = np.arange(q1 - q0)[:, None] + (k1 - k0) - (q1 - q0), np.arange(k1 - k0)[None, :]
            seen = (j >= i - a["left"] if a["left"] >= 0 else True) & (j <= i + a["right"])
            for n in range(h):
                x = a["q"][q0:q1, n] @ a["k"][k0:k1, n // 2].T * a["scale"]
                cap = float(a["softcap"])
                x = np.where(seen, cap * np.tanh(x / cap) if cap > 0 else x, -np.inf)
                o[q0:q1, n], lse[n, q0:q1] = attend(x, a["v"][k0:k1, n // 2], np.full(q1 - q0, a["sink"][n]))
                if torch and a["sink"][n] == -np.inf and cap == 0 and k1 > k0 and q1 > q0:
                    some = seen.any(1)
                    t = F.scaled_dot_product_attention(
                        *(torch.tensor(m) for m in (a["q"][q0:q1, n], a["k"][k0:k1, n // 2], a["v"][k0:k1, n // 2])),
                        attn_mask=torch.tensor(seen), scale=float(a["scale"])).numpy()
                    same(f"flash_attention {seed} o by torch", out["o"][q0:q1, n][some], t[some])
        same(f"flash_attention {seed} o", out["o"], o)
        same(f"flash_attention {seed} lse", out["lse"], lse)


def e4m3(codes):
    return torch.from_numpy(codes.copy()).view(torch.float8_e4m3fn).double().numpy()


def bf16(pairs):
    u = np.ascontiguousarray(pairs).view(np.uint16).astype(np.uint32) << 16
    return u.view(np.float32).astype(np.float64)


def mla():
    b, s, h, pages, bs, nb, w = 5, 2, 3, 9, 16, 11, 3
    for seed, kind in [(1, "mla_decode_split"), (2, "mla_decode_split"), (1, "mla_decode_fp8_split"),
                       (1, "mla_decode_v4_split")]:
        d, size = (512, -(-bs * 584 // 576) * 576) if "v4" in kind else (576, 656)
        if "fp8" in kind or "v4" in kind:
            if not torch:
                continue
            cache = ("cache", "record", (pages,) if "v4" in kind else (pages, bs), size)
        else:
            cache = ("cache", "bf16", (pages, bs, 1, 576))
        a, out = call(kind, [("q", "bf16", (b, s, h, d)), cache, ("table", "i32", (b, nb)), ("len", "i32", (b,)),
                             ("part", "record", (w,), 32), ("splits", "i32", (b + 1,)), ("sink", "f32", (h,)),
                             ("scale", "f32", ()), (">o", "bf16", (b, s, h, 512)), (">lse", "f32", (b, h, s))],
                      seed, BS=bs)
        if "v4" in kind:
            row = a["cache"][:, :bs * 576].reshape(pages, bs, 576)
            sf = a["cache"][:, bs * 576:bs * 584].reshape(pages, bs, 8)[..., :7]
            c = rounded(e4m3(row[..., :448]) * np.repeat(2.0 ** (sf.astype(float) - 127), 64, -1), "bf16")
            kv = np.concatenate([c, bf16(row[..., 448:])], -1)
        elif "fp8" in kind:
            sf = np.ascontiguousarray(a["cache"][..., 512:528]).view(np.float32).astype(np.float64)
            with np.errstate(invalid="ignore"):
                c = rounded(e4m3(a["cache"][..., :512]) * np.repeat(sf, 128, -1), "bf16")
            kv = np.concatenate([c, bf16(a["cache"][..., 528:])], -1)
        else:
            kv = a["cache"][:, :, 0]
        for r in range(b):
            n = int(a["len"][r])
            at = np.arange(n)
            key = kv[a["table"][r, at // bs], at % bs] if n else np.zeros((0, d))
            for i in range(s):
                m = max(n - s + i + 1, 0)
                o, lse = attend(a["q"][r, i] @ key[:m].T * a["scale"], key[:m, :512], a["sink"])
                same(f"{kind} o", out["o"][r, i], o)
                same(f"{kind} lse", out["lse"][r, :, i], lse)


def indexer():
    m, n, h, d = 33, 97, 4, 64
    a, out = call("indexer_fp8", [("q", "f8e4m3", (m, h, d)), ("k", "f8e4m3", (n, d)), ("ks", "f32", (n,)),
                                  ("w", "f32", (m, h)), ("lo", "i32", (m,)), ("hi", "i32", (m,)),
                                  (">s", "f32", (m, n))])
    x = np.einsum("mhn,mh->mn", np.maximum(np.einsum("mhd,nd->mhn", a["q"], a["k"]), 0), a["w"]) * a["ks"]
    j = np.arange(n)
    same("indexer_fp8", out["s"], np.where((j >= a["lo"][:, None]) & (j < a["hi"][:, None]), x, -np.inf), 1e-6)


def scores(z, kind):
    if kind == 0:
        return 1 / (1 + np.exp(-z))
    if kind == 2:
        return np.sqrt(np.where(z > 20, z, np.log1p(np.exp(np.minimum(z, 20)))))
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gate():
    for e, k, g, kg, score, norm in [(256, 8, 8, 4, 0, 1), (72, 6, 1, 1, 1, 0), (384, 6, 1, 1, 2, 2),
                                     (16, 2, 4, 2, 2, 3)]:
        t = 37
        a, out = call("gate", [("logits", "f32", (t, e)), ("bias", "f32", (e,)), ("gate_temp", "f32", ()),
                               ("route_scale", "f32", ()), ("eps", "f32", ()), (">ids", "i32", (t, k)),
                               (">wts", "f32", (t, k))], E=e, K=k, G=g, KG=kg, SCORE=score, NORM=norm)
        s = scores(a["logits"] / a["gate_temp"], score)
        r = (s + a["bias"]).reshape(t, g, e // g)
        if g > 1:
            best = np.sort(r, -1)[..., -2:].sum(-1)
            kept = np.argsort(-best, -1, kind="stable")[:, :kg]
            r = np.where((np.arange(g) == kept[..., None]).any(1)[..., None], r, -np.inf)
        ids = np.argsort(-r.reshape(t, e), -1, kind="stable")[:, :k]
        w = np.take_along_axis(s, out["ids"], -1)
        total, eps = w.sum(-1, keepdims=True), a["eps"]
        total = {0: total, 1: total + eps, 2: np.maximum(total, eps), 3: 1}[norm]
        same(f"gate {score} ids", np.sort(out["ids"], -1), np.sort(ids, -1))
        same(f"gate {score} weights", out["wts"], w / total * a["route_scale"], 1e-6)


def grouped():
    m, n, k, g, al = 96, 24, 40, 5, 16
    a, out = call("grouped_linear", [("a", "bf16", (m, k)), ("b", "bf16", (g, n, k)), ("layout", "i32", (m,)),
                                     (">d", "f32", (m, n))], ALIGN=al)
    want = np.array([a["b"][e] @ a["a"][i] if e >= 0 else np.zeros(n) for i, e in enumerate(a["layout"])])
    same("grouped_linear", out["d"], want)
    bk = 32
    a, out = call("grouped_fp8", [("a", "f8e4m3", (m, k)), ("sa", "f32", (m, 2)), ("b", "f8e4m3", (g, n, k)),
                                  ("sb", "f32", (g, 1, 2)), ("layout", "i32", (m,)), (">d", "f32", (m, n))],
                  ALIGN=al, B=bk)
    x = a["a"] * np.repeat(a["sa"], bk, -1)[:, :k]
    y = a["b"] * np.repeat(np.repeat(a["sb"], bk, 1)[:, :n], bk, -1)[..., :k]
    want = np.array([y[e] @ x[i] if e >= 0 else np.zeros(n) for i, e in enumerate(a["layout"])])
    same("grouped_fp8", out["d"], want)


def sinkhorn(x, iters):
    c = torch.softmax(x, -1) + 1e-6
    c = c / (c.sum(-2, keepdim=True) + 1e-6)
    for _ in range(iters - 1):
        c = c / (c.sum(-1, keepdim=True) + 1e-6)
        c = c / (c.sum(-2, keepdim=True) + 1e-6)
    return c


def mhc():
    if not torch:
        return
    t, d = 13, 24
    a, out = call("mhc_pre", [("x", "bf16", (t, 4, d)), ("w", "f32", (24, 4, d)), ("s", "f32", (3,)),
                              ("b", "f32", (24,)), ("eps", "f32", ()), ("mult", "f32", ()), (">y", "bf16", (t, d)),
                              (">post", "f32", (t, 4)), (">comb", "f32", (t, 4, 4))], ITERS=20)
    x = torch.tensor(a["x"])
    m = x.reshape(t, -1) @ torch.tensor(a["w"]).reshape(24, -1).T
    m = m * torch.rsqrt(x.reshape(t, -1).square().mean(-1, keepdim=True) + float(a["eps"]))
    m = m * torch.tensor(a["s"]).repeat_interleave(torch.tensor([4, 4, 16])) + torch.tensor(a["b"])
    same("mhc_pre y", out["y"], ((m[:, :4].sigmoid() + 1e-6)[..., None] * x).sum(1))
    same("mhc_pre post", out["post"], m[:, 4:8].sigmoid() * float(a["mult"]))
    same("mhc_pre comb", out["comb"], sinkhorn(m[:, 8:].reshape(t, 4, 4), 20))

    a, out = call("sinkhorn_backward", [("x", "f32", (t, 4, 4)), ("dy", "f32", (t, 4, 4)), (">dx", "f32", (t, 4, 4))],
                  ITERS=20)
    x = torch.tensor(a["x"], requires_grad=True)
    sinkhorn(x, 20).backward(torch.tensor(a["dy"]))
    same("sinkhorn_backward", out["dx"], x.grad, 1e-8)

    a, out = call("mhc_post_backward", [("x", "bf16", (t, 4, d)), ("f", "bf16", (t, d)), ("post", "f32", (t, 4)),
                                        ("comb", "f32", (t, 4, 4)), ("dy", "bf16", (t, 4, d)),
                                        (">dx", "bf16", (t, 4, d)), (">df", "bf16", (t, d)),
                                        (">dpost", "f32", (t, 4)), (">dcomb", "f32", (t, 4, 4))])
    x, f, post, comb = (torch.tensor(a[n], requires_grad=True) for n in ("x", "f", "post", "comb"))
    (post[..., None] * f[:, None] + torch.einsum("tij,tid->tjd", comb, x)).backward(torch.tensor(a["dy"]))
    for name, v in (("dx", x), ("df", f), ("dpost", post), ("dcomb", comb)):
        same("mhc_post_backward " + name, out[name], v.grad)


def engram():
    if not torch:
        return
    t, d = 9, 48
    args = [("h", "bf16", (t, 4, d)), ("k", "bf16", (t, 4, d)), ("v", "bf16", (t, d)), ("w", "f32", (4, d)),
            ("eps", "f32", ())]
    a, out = call("engram_gate", args + [(">y", "bf16", (t, 4, d)), (">gate", "f32", (t, 4))], SIGN=1)
    h, k, v, w = (torch.tensor(a[n]) for n in ("h", "k", "v", "w"))
    norm = lambda z: torch.rsqrt(z.square().mean(-1) + float(a["eps"]))
    dot = (h * w * k).sum(-1) * norm(h) * norm(k) / d ** 0.5
    g = torch.copysign(dot.abs().clamp_min(1e-6).sqrt(), dot).sigmoid()
    same("engram_gate", out["gate"], g, 1e-9)
    same("engram_gate y", out["y"], h + g[..., None] * v[:, None], 1e-9)

    a, out = call("engram_gate_backward", args + [("dy", "bf16", (t, 4, d)), (">dh", "bf16", (t, 4, d)),
                                                  (">dk", "bf16", (t, 4, d)), (">dv", "bf16", (t, d)),
                                                  (">dw", "f32", (-(-t // 4), 4, d))], SIGN=1, BT=4)
    h, k, v, w = (torch.tensor(a[n], requires_grad=True) for n in ("h", "k", "v", "w"))
    dot = (h * w * k).sum(-1) * norm(h) * norm(k) / d ** 0.5
    g = torch.copysign(dot.abs().clamp_min(1e-6).sqrt(), dot).sigmoid()
    (h + g[..., None] * v[:, None]).backward(torch.tensor(a["dy"]))
    for name, p in (("dh", h), ("dk", k), ("dv", v)):
        same("engram_gate_backward " + name, out[name], rounded(p.grad.numpy(), "bf16"), 2 ** -7)
        assert np.mean(out[name] != rounded(p.grad.numpy(), "bf16")) < 1e-3, name
    same("engram_gate_backward dw", out["dw"].sum(0), w.grad, 1e-9)


def turn_last(y, cs):
    """The last 2 n channels as complex numbers times the table's."""
    n = cs.shape[-1] // 2
    y = y.copy()
    z = (y[..., -2 * n::2] + 1j * y[..., 1 - 2 * n::2]) * (cs[..., :n] + 1j * cs[..., n:])
    y[..., -2 * n::2], y[..., 1 - 2 * n::2] = z.real, z.imag
    return y


def softmax(x, axis):
    p = np.exp(x - x.max(axis, keepdims=True))
    return p / p.sum(axis, keepdims=True)


def compressors():
    s, d, w, p = 53, 32, 8, 64
    for name, m, wide in (("compress_plain", 16, d), ("compress_overlap", 4, 2 * d)):
        n = s // m
        a, out = call(name, [("c", "f32", (s, wide)), ("z", "f32", (s, wide)), ("ape", "f32", (m, wide)),
                             ("g", "f32", (d,)), ("eps", "f32", ()), ("cs", "f32", (p, w)), (">y", "f32", (n, d))],
                      M=m, D=d)
        c, z = a["c"][:n * m].reshape(n, m, wide), a["z"][:n * m].reshape(n, m, wide)
        z = rounded(z + a["ape"], "f32")  # as the state holds it
        if wide > d:  # the group before by its first channels, this one by its last
            old = np.concatenate([np.full((1, m, d), -np.inf), z[:-1, :, :d]])
            z = np.concatenate([old, z[:, :, d:]], 1)
            c = np.concatenate([np.concatenate([np.zeros((1, m, d)), c[:-1, :, :d]]), c[:, :, d:]], 1)
        y = (softmax(z, 1) * c).sum(1)
        y = y / np.sqrt((y * y).mean(-1, keepdims=True) + a["eps"]) * a["g"]
        same(name, out["y"], turn_last(y, a["cs"][np.arange(n) * m]), 1e-6)


def nsa():
    t, h, g, d, e, s, bs, w = 131, 2, 16, 24, 16, 4, 8, 13
    a, out = call("nsa", [("q", "f32", (t, h, g, d)), ("k", "f32", (t, h, d)), ("v", "f32", (t, h, e)),
                          ("gc", "f32", (t, h, g)), ("gs", "f32", (t, h, g)), ("gw", "f32", (t, h, g)),
                          ("count", "i32", (t, h)), ("seq", "i32", (t,)), ("cu", "i32", (4,)), ("cc", "i32", (4,)),
                          ("w", "i32", ()), ("scale", "f32", ()), (">o", "f32", (t, h, g, e))], S=s, BS=bs)
    w, none = int(a["w"]), np.full(g, -np.inf)
    for i in range(t):
        first = a["cu"][a["seq"][i]]
        at, n = i - first, (i - first + 1) // bs
        for j in range(h):
            k, v = a["k"][first:i + 1, j], a["v"][first:i + 1, j]
            ck, cv = (rounded(x[:n * bs].reshape(n, bs, x.shape[1]).mean(1), "f32") for x in (k, v))
            x = a["q"][i, j] @ ck.T * a["scale"]
            o, lse = attend(x, cv, none)
            weight = np.exp(x - lse[:, None]).sum(0) if n else np.zeros(0)
            weight = np.append(weight, 0)[:at // bs + 1]
            weight[at // bs] = g + 1  # the current block is always first
            chosen = np.argsort(-weight, kind="stable")[:min(s, int(a["count"][i, j]))]
            x = a["q"][i, j] @ k.T * a["scale"]
            own = np.isin(np.arange(at + 1) // bs, chosen)
            so, _ = attend(np.where(own, x, -np.inf), v, none)
            wo, _ = attend(np.where(np.arange(at + 1) > at - w, x, -np.inf), v, none)
            want = sum(a[b][i, j][:, None] * y for b, y in (("gc", o), ("gs", so), ("gw", wo)))
            same("nsa", out["o"][i, j], want, 1e-5)


def philox(key, counter):
    c, k = [counter & 0xFFFFFFFF, counter >> 32 & 0xFFFFFFFF, 0, 0], [key & 0xFFFFFFFF, key >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [b >> 32 ^ c[1] ^ k[0], b & 0xFFFFFFFF, a >> 32 ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [k[0] + 0x9E3779B9 & 0xFFFFFFFF, k[1] + 0xBB67AE85 & 0xFFFFFFFF]
    return c[0]


def sampling():
    b, v, seed = 64, 50, 7
    args = [("p", "f32", (b, v)), ("top_k", "i32", (b,)), ("top_p", "f32", (b,)), ("min_p", "f32", (b,)),
            ("seed", "i64", ()), ("offset", "i64", ()), (">token", "i32", (b,))]
    a, out = call("sample", args, 3)
    for r in range(b):
        p = np.where(a["p"][r] > 0, np.minimum(a["p"][r], 1), 0)
        mass = [int(x * 2.0 ** 36) for x in p]
        order = sorted(range(v), key=lambda j: (-p[j], j))
        k = int(a["top_k"][r])
        order = order[:k] if 0 < k < v else order
        total, share = sum(mass[j] for j in order), int(min(max(a["top_p"][r], 0), 1) * 2 ** 24)
        kept, held = [], 0
        for j in order:
            if kept and held * 2 ** 24 >= share * total:
                break
            kept.append(j)
            held += mass[j]
        least = np.float32(a["min_p"][r]) * np.float32(p.max())
        kept = sorted(j for j in kept if p[j] >= least)
        target = philox(int(a["seed"]), int(a["offset"]) + r) * sum(mass[j] for j in kept) >> 32
        token = -1
        for j in reversed(kept):
            token = j if sum(mass[i] for i in kept if i <= j) > target else token
        same("sample", out["token"][r], token)

    t, v = 6, 61
    a, out = call("temperature_softmax", [("logits", "f32", (t, v)), ("temperature", "f32", (t,)),
                                          (">p", "f32", (t, v))])
    for r in range(t):
        x, temp = a["logits"][r], a["temperature"][r]
        want = np.eye(v)[x.argmax()] if temp < 1e-5 else softmax(x / temp, 0)
        same("temperature_softmax", out["p"][r], want, 1e-9)


for family in (attention, mla, indexer, gate, grouped, mhc, engram, compressors, nsa, sampling):
    family()
print(f"fine: {n_compared} arrays" + ("" if torch else "; skipped without PyTorch: bytes, gradients, hyper-connections"))
