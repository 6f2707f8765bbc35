#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Peers of `tegula bench`, in one process that is asked in turns.

Reads lines on standard input and answers each with one line:
  about                             ->  which peers are there, which are absent and why
  prepare ID KERNEL NAME=VALUE...   ->  peers: NAME NAME...   (those installed that can do it)
  run ID SECONDS                    ->  NAME=seconds NAME=seconds ...   (best single call)
  drop ID
  quit
Weights rotate over copies so that they come from DRAM; outputs are preallocated where the library
allows it; the allocator is told to keep its pages.
"""
import os
import sys
import time

THREADS = int(os.environ.get("TEGULA_BENCH_THREADS", "0")) or os.cpu_count()
for var in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(var, None)
os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
os.environ.setdefault("OPENBLAS_NUM_THREADS", str(THREADS))

ABOUT = {}  # peer: version, or why it is absent


def optional(name, load):
    """What load() gives, or None with the reason kept; libraries fail in many ways."""
    try:
        module, version = load()
        ABOUT[name] = version
        return module
    except Exception as e:  # whatever it is, the peer is absent
        text = str(e).split("\n")[0][:80] or "no reason given"
        ABOUT[name] = "absent (%s)" % text
        return None


def load_numpy():
    import numpy
    return numpy, numpy.__version__


def load_torch():
    import torch
    torch.set_num_threads(THREADS)
    torch.set_grad_enabled(False)
    return torch, torch.__version__


def load_ggml():
    import bench_ggml
    found = bench_ggml.load()
    if found is None:
        raise ImportError("tools/build_ggml.sh builds it")
    return found, "built"


np = optional("numpy", load_numpy)
torch = optional("torch", load_torch)
ggml = optional("ggml", load_ggml)

DRAM_BYTES = 160 << 20


def copies(nbytes):
    return max(1, min(16, DRAM_BYTES // max(1, nbytes)))


def rotate(calls):
    state = [0]

    def call():
        state[0] = (state[0] + 1) % len(calls)
        calls[state[0]]()
    return call


def dtype_of(name):
    return {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[name]


def numpy_peers(kernel, s):
    if kernel == "matmul" and s["T"] == "f32":
        a = np.random.rand(s["M"], s["K"]).astype(np.float32)
        b = np.random.rand(s["K"], s["N"]).astype(np.float32)
        c = np.empty((s["M"], s["N"]), np.float32)
        return {"openblas": lambda: np.matmul(a, b, out=c)}
    if kernel == "linear" and s["T"] == "f32":
        x = np.random.rand(s["M"], s["K"]).astype(np.float32)
        y = np.empty((s["M"], s["N"]), np.float32)
        ws = [np.random.rand(s["N"], s["K"]).astype(np.float32) for _ in range(copies(s["N"] * s["K"] * 4))]
        return {"openblas": rotate([lambda w=w: np.matmul(x, w.T, out=y) for w in ws])}
    if kernel == "topk_select" and s["T"] == "f32":
        x = np.random.randn(s["R"], s["N"]).astype(np.float32)
        return {"numpy": lambda: np.argpartition(x, s["N"] - s["KTOP"], axis=1)}
    return {}


def mla(s, t):
    q = torch.randn(s["B"], 128 if "H" not in s else s["H"], 576).to(t)
    tokens = s["NB"] * int(s.get("BS", 64))
    kv = [torch.randn(s["B"], tokens, 576).to(t) for _ in range(copies(s["B"] * tokens * 576 * q.element_size()))]

    def call(c):
        p = torch.softmax(torch.matmul(q, c.transpose(1, 2)).float() * 192 ** -0.5, -1).to(t)
        return torch.matmul(p, c[:, :, :512])
    return rotate([lambda c=c: call(c) for c in kv])


def mla_sdpa(s, t):
    heads = 128 if "H" not in s else s["H"]
    q = torch.randn(s["B"], 1, heads, 576).to(t)
    tokens = s["NB"] * int(s.get("BS", 64))
    kv = [torch.randn(s["B"], 1, tokens, 576).to(t) for _ in range(copies(s["B"] * tokens * 576 * q.element_size()))]
    f = torch.nn.functional.scaled_dot_product_attention
    return rotate([lambda c=c: f(q, c, c[..., :512], scale=192 ** -0.5) for c in kv])


def torch_peers(kernel, s):
    t = dtype_of(s["T"]) if "T" in s and s["T"] in ("f32", "bf16", "f16") else torch.bfloat16
    f = torch.nn.functional
    if kernel == "matmul":
        a, b = torch.rand(s["M"], s["K"]).to(t), torch.rand(s["K"], s["N"]).to(t)
        c = torch.empty(s["M"], s["N"], dtype=t)
        return {"torch": lambda: torch.matmul(a, b, out=c)}
    if kernel == "linear":
        x = torch.rand(s["M"], s["K"]).to(t)
        ws = [torch.rand(s["N"], s["K"]).to(t) for _ in range(copies(s["N"] * s["K"] * x.element_size()))]
        return {"torch": rotate([lambda w=w: f.linear(x, w) for w in ws])}
    if kernel == "matmul_i8":
        a = torch.randint(-128, 127, (s["M"], s["K"]), dtype=torch.int8)
        b = torch.randint(-128, 127, (s["N"], s["K"]), dtype=torch.int8)
        return {"torch": lambda: torch._int_mm(a, b.t())}
    if kernel in ("mla_decode", "mla_decode_fp8"):
        s = dict(s)
        s.setdefault("H", 128)
        return {"torch": mla(s, t), "torch-sdpa": mla_sdpa(s, t)}
    if kernel == "flash_attention":
        q, k, v = (torch.randn(1, s["H"], s["TQ"], int(d)).to(t) for d in (s["D"], s["D"], s["E"]))
        return {"torch": lambda: f.scaled_dot_product_attention(q, k, v, is_causal=True)}
    if kernel == "add":
        a, b = torch.rand(s["N"]).to(t), torch.rand(s["N"]).to(t)
        c = torch.empty_like(a)
        return {"torch": lambda: torch.add(a, b, out=c)}
    if kernel == "silu_mul":
        a, b = torch.rand(s["M"], s["N"]).to(t), torch.rand(s["M"], s["N"]).to(t)
        c = torch.empty_like(a)
        return {"torch": lambda: torch.mul(f.silu(a), b, out=c)}
    if kernel == "softmax":
        x = torch.rand(s["M"], s["N"]).to(t)
        return {"torch": lambda: torch.softmax(x, -1)}
    if kernel == "rmsnorm":
        x, g = torch.rand(s["M"], s["D"]).to(t), torch.rand(s["D"]).to(t)
        return {"torch": lambda: f.rms_norm(x, (s["D"],), g, 1e-6)}
    if kernel == "transpose":
        x = torch.rand(s["M"], s["N"]).to(t)
        y = torch.empty(s["N"], s["M"], dtype=t)
        return {"torch": lambda: y.copy_(x.t())}
    if kernel == "row_reduce":
        x = torch.rand(s["M"], s["N"]).to(t)
        return {"torch": lambda: (x.sum(1), x.amax(1))}
    if kernel == "topk_select":
        x = torch.randn(s["R"], s["N"]).to(t)
        return {"torch": lambda: torch.topk(x, s["KTOP"], sorted=False)}
    return {}


def ggml_peers(kernel, s):
    import bench_ggml
    return bench_ggml.peers(ggml, THREADS, kernel, s, copies, rotate)


def value(text):
    try:
        return int(text)
    except ValueError:
        return text


def main():
    prepared = {}
    for line in sys.stdin:
        word = line.split()
        if not word or word[0] == "quit":
            break
        if word[0] == "about":
            print("; ".join(f"{name} {state}" for name, state in ABOUT.items()), flush=True)
        elif word[0] == "prepare":
            s = {k: value(v) for k, v in (w.split("=", 1) for w in word[3:])}
            calls = {}
            for module, make in ((np, numpy_peers), (torch, torch_peers), (ggml, ggml_peers)):
                try:
                    if module is not None:
                        calls.update(make(word[2], s))
                except Exception as e:  # a peer that cannot do it is no peer
                    print(f"bench_peers: {word[2]}: {e}", file=sys.stderr)
            prepared[word[1]] = calls
            print("peers:", *calls, flush=True)
        elif word[0] == "run":
            out, seconds = [], float(word[2])
            for name, call in prepared[word[1]].items():
                best, end, first = float("inf"), time.perf_counter() + seconds, True
                while first or time.perf_counter() < end:
                    begin = time.perf_counter()
                    call()
                    best = min(best, time.perf_counter() - begin)
                    first = False
                out.append(f"{name}={best:.9f}")
            print(*out, flush=True)
        elif word[0] == "drop":
            prepared.pop(word[1], None)
            print("dropped", flush=True)


if __name__ == "__main__":
    main()
