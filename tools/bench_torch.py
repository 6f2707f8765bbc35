# SPDX-License-Identifier: Apache-2.0
"""PyTorch as a peer: eager (oneDNN and FBGEMM below it), and compiled by Inductor for what it fuses."""
import torch

from bench_common import THREADS, copies, in_turn, rotate

F = torch.nn.functional
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}


def load():
    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    return torch.__version__


def rand(t, *shape):
    """A piece of noise, repeated: weights of a gigabyte are not worth drawing."""
    n = 1
    for extent in shape:
        n *= extent
    piece = torch.randn(min(n, 1 << 20)).to(t)
    return piece.repeat(-(-n // piece.numel()))[:n].reshape(shape) if n > piece.numel() else piece.reshape(shape)


def weights(t, *shape):
    size = torch.empty(0, dtype=t).element_size()
    for extent in shape:
        size *= extent
    return [rand(t, *shape) for _ in range(copies(size))]


def turns(f, *args):
    """f on sets of its arguments in turn; the last result of each set is kept, as Tegula's are."""
    def make():
        own, kept = [x.clone() for x in args], []

        def call():
            y = f(*own)
            kept[:] = [y]
        return call
    result = f(*args)
    tensors = [*args, *(result if isinstance(result, tuple) else (result,))]
    return in_turn(make, sum(x.numel() * x.element_size() for x in tensors))


def both(name, f, *args):
    """Eager, and compiled where Inductor takes it."""
    calls = {name: turns(f, *args)}
    try:
        compiled = torch.compile(f, dynamic=False)
        compiled(*args)
        calls["inductor"] = turns(compiled, *args)
    except Exception:  # no compiler on this machine, or an operation it does not take
        pass
    return calls


# ---- products ----------------------------------------------------------------------------------


def matmul(s, t):
    def make():
        a, b, c = rand(t, s["M"], s["K"]), rand(t, s["K"], s["N"]), torch.empty(s["M"], s["N"], dtype=t)
        return lambda: torch.matmul(a, b, out=c)
    elements = s["M"] * s["K"] + s["K"] * s["N"] + s["M"] * s["N"]
    return {"torch": in_turn(make, elements * torch.empty(0, dtype=t).element_size(), s.get("hot"))}


def linear(s, t):
    x = rand(t, s["M"], s["K"])
    return {"torch": rotate([lambda w=w: F.linear(x, w) for w in weights(t, s["N"], s["K"])])}


def matmul_i8(s, t):
    a = torch.randint(-128, 127, (s["M"], s["K"]), dtype=torch.int8)
    b = torch.randint(-128, 127, (s["N"], s["K"]), dtype=torch.int8)
    calls = {"torch": turns(lambda a, b: torch._int_mm(a, b.t()), a, b)}
    calls.update({"onednn": v for v in quantised(s, "onednn").values()})
    return calls


def quantised(s, engine):
    """Weights per channel, activations quantised on the way in."""
    torch.backends.quantized.engine = engine
    x, made = torch.randn(s["M"], s["K"]), []
    for _ in range(copies(s["N"] * s["K"])):
        w = torch.quantize_per_channel(rand(torch.float32, s["N"], s["K"]), torch.full((s["N"],), 0.02),
                                       torch.zeros(s["N"], dtype=torch.long), 0, torch.qint8)
        made.append(torch.ops.quantized.linear_prepack(w, None))
    run = torch.ops.quantized.linear_dynamic
    run(x, made[0], True)
    return {engine: rotate([lambda p=p: run(x, p, True) for p in made])}


def linear_i8(s, t):
    calls = {}
    for engine in torch.backends.quantized.supported_engines:
        if engine in ("fbgemm", "onednn"):
            calls.update(quantised(s, engine))
    return calls


def moe(s, t):
    """Token by token groups, as models are written without a library of kernels."""
    n, d, i, k, e = s["T"], s["D"], s["I"], s["K"], s["E"]
    x, ids = rand(t, n, d), torch.stack([torch.randperm(e)[:k] for _ in range(n)])
    w13, w2 = rand(t, e, 2 * i, d), rand(t, e, d, i)
    scale = torch.rand(n, k).to(t)

    def call():
        y = torch.zeros(n, d, dtype=t)
        for expert in ids.unique().tolist():
            rows, slot = (ids == expert).nonzero(as_tuple=True)
            g, u = F.linear(x[rows], w13[expert]).chunk(2, -1)
            y.index_add_(0, rows, F.linear(F.silu(g) * u, w2[expert]) * scale[rows, slot, None])
        return y
    return {"torch": call}


# ---- attention ---------------------------------------------------------------------------------


def mla(s, t):
    heads, tokens = s["H"], s["NB"] * s["BS"]
    q = rand(t, s["B"], heads, 576)
    kv = weights(t, s["B"], tokens, 576)

    def call(c):
        p = torch.softmax(torch.matmul(q, c.transpose(1, 2)).float() * 192 ** -0.5, -1).to(t)
        return torch.matmul(p, c[:, :, :512])
    f, q1 = F.scaled_dot_product_attention, q[:, None]
    return {"torch": rotate([lambda c=c: call(c) for c in kv]),
            "torch-sdpa": rotate([lambda c=c[:, None]: f(q1, c, c[..., :512], scale=192 ** -0.5) for c in kv])}


def flash_attention(s, t):
    q = rand(t, 1, s["H"], s["TQ"], s["D"])
    k, v = rand(t, 1, s["HK"], s["TK"], s["D"]), rand(t, 1, s["HK"], s["TK"], s["E"])
    if s["H"] != s["HK"]:
        k, v = (x.repeat_interleave(s["H"] // s["HK"], 1) for x in (k, v))
    causal = s.get("right", -1) == 0
    return {"torch": turns(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal), q, k, v)}


def sparse_prefill(s, t):
    q, kv = rand(t, s["S"], s["H"], s["D"]), rand(t, s["L"], s["D"])
    idx = torch.stack([torch.randperm(s["L"])[:s["TOPK"]] for _ in range(s["S"])])

    def f(q, kv, idx):
        rows = kv[idx]
        p = torch.softmax(torch.einsum("shd,skd->shk", q, rows).float() * s["D"] ** -0.5, -1).to(t)
        return torch.einsum("shk,ske->she", p, rows[:, :, :s["E"]])
    return {"torch": turns(f, q, kv, idx)}


def indexer(s, t):
    q, k = rand(torch.float32, s["M"], s["H"], s["D"]), rand(torch.float32, s["N"], s["D"])
    w = rand(torch.float32, s["M"], s["H"])
    return {"torch": turns(lambda q, k, w: torch.einsum("mhn,mh->mn", torch.relu(torch.matmul(q, k.t())), w), q, k, w)}


# ---- rows --------------------------------------------------------------------------------------


def add(s, t):
    a, b = rand(t, s["N"]), rand(t, s["N"])
    return {"torch": turns(lambda a, b, c: torch.add(a, b, out=c), a, b, torch.empty_like(a))}


def silu_mul(s, t):
    return both("torch", lambda a, b: F.silu(a) * b, rand(t, s["M"], s["N"]), rand(t, s["M"], s["N"]))


def softmax(s, t):
    return both("torch", lambda x: torch.softmax(x, -1), rand(t, s["M"], s["N"]))


def rmsnorm(s, t):
    d = s["D"]
    return both("torch", lambda x, g: F.rms_norm(x, (d,), g, 1e-6), rand(t, s["M"], d), rand(t, d))


def layernorm(s, t):
    d = s["D"]
    return both("torch", lambda x, g, b: F.layer_norm(x, (d,), g, b, 1e-6), rand(t, s["M"], d), rand(t, d), rand(t, d))


def rope_of(half):
    def rope(s, t):
        r = s["R"]

        def f(x, cs):
            c, i = cs[:, None, :r], cs[:, None, r:]
            u, v = (x[..., :r], x[..., r:2 * r]) if half else (x[..., :2 * r:2], x[..., 1:2 * r:2])
            a, b = u * c - v * i, u * i + v * c
            y = torch.cat((a, b), -1) if half else torch.stack((a, b), -1).flatten(-2)
            return torch.cat((y, x[..., 2 * r:]), -1).to(x.dtype)
        return both("torch", f, rand(t, s["N"], s["H"], s["D"]), rand(torch.float32, s["N"], 2 * r))
    return rope


def cast(s, t):
    if s["Q"] != "f8e4m3" or s["BM"] != 1:
        return {}
    n, k, b = s["N"], s["K"], s["BK"]

    def f(x):
        v = x.float().view(n, k // b, b)
        scale = v.abs().amax(-1, keepdim=True).clamp(1e-10) / 448
        return (v / scale).to(torch.float8_e4m3fn).view(n, k), scale[..., 0]
    return both("torch", f, rand(t, n, k))


def cast_back(s, t):
    if s["Q"] != "f8e4m3" or s["BM"] != 1:
        return {}
    n, k, b = s["N"], s["K"], s["BK"]
    q, scale = rand(torch.float32, n, k).to(torch.float8_e4m3fn), rand(torch.float32, n, k // b)
    return both("torch", lambda q, scale: (q.float().view(n, k // b, b) * scale[..., None]).view(n, k).to(t), q, scale)


def sinkhorn(s, t):
    def f(x):
        m = torch.softmax(x, -1) + 1e-6
        m = m / (m.sum(-2, keepdim=True) + 1e-6)
        for _ in range(s["ITERS"] - 1):
            m = m / (m.sum(-1, keepdim=True) + 1e-6)
            m = m / (m.sum(-2, keepdim=True) + 1e-6)
        return m
    return both("torch", f, rand(torch.float32, s["T"], 4, 4))


def embedding(s, t):
    table, ids = rand(t, s["V"], s["D"]), torch.randint(0, s["V"], (s["N"],))
    out = torch.empty(s["N"], s["D"], dtype=t)
    return {"torch": lambda: torch.index_select(table, 0, ids, out=out)}


def transpose(s, t):
    x, y = rand(t, s["M"], s["N"]), torch.empty(s["N"], s["M"], dtype=t)
    return {"torch": turns(lambda x, y: y.copy_(x.t()), x, y)}


def row_reduce(s, t):
    return both("torch", lambda x: (x.sum(1), x.amax(1)), rand(t, s["M"], s["N"]))


def logsumexp(s, t):
    return both("torch", lambda x: torch.logsumexp(x, 1), rand(t, s["M"], s["N"]))


def topk_select(s, t):
    x = torch.randn(s["R"], s["N"]).to(t)
    return {"torch": turns(lambda x: torch.topk(x, s["KTOP"], sorted=False), x)}


MAKE = {"matmul": matmul, "linear": linear, "matmul_i8": matmul_i8, "linear_i8": linear_i8, "moe": moe,
        "mla_decode": mla, "flash_attention": flash_attention, "sparse_prefill": sparse_prefill,
        "indexer_fp8": indexer, "add": add, "silu_mul": silu_mul, "softmax": softmax, "rmsnorm": rmsnorm,
        "layernorm": layernorm, "rope_interleaved_first": rope_of(False), "rope_half_first": rope_of(True),
        "cast": cast, "cast_back": cast_back, "sinkhorn": sinkhorn, "embedding": embedding, "transpose": transpose,
        "row_reduce": row_reduce, "logsumexp": logsumexp, "topk_select": topk_select}


def peers(kernel, s):
    name = s.get("X", "bf16") if kernel == "moe" else s.get("T", "f32")
    return MAKE[kernel](s, DTYPES.get(name, torch.float32)) if kernel in MAKE else {}
