#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compiles the kernels below with PyPI's triton to the PTX that tests/sim/test_triton.c runs.

Needs no GPU: pip install triton==3.9.0. Lines for debuggers are left out; a first line tells how
the kernel wants to be launched.
"""
import os
import re
import sys

os.environ["TRITON_DISABLE_LINE_INFO"] = "1"
os.environ["TRITON_DEFAULT_FP_FUSION"] = "1"

import triton  # noqa: E402
import triton.language as tl  # noqa: E402
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.compiler import ASTSource  # noqa: E402

VERSION = "3.9.0"
HERE = os.path.dirname(os.path.abspath(__file__))


@triton.jit
def add(x, y, o, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    m = i < n
    tl.store(o + i, tl.load(x + i, mask=m) + tl.load(y + i, mask=m), mask=m)


@triton.jit
def softmax(x, o, n, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * n + i, mask=i < n, other=-float("inf"))
    e = tl.exp(v - tl.max(v, 0))
    tl.store(o + row * n + i, e / tl.sum(e, 0), mask=i < n)


@triton.jit
def layer_norm(x, w, b, o, n, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * n + i, mask=i < n, other=0.0).to(tl.float32)
    mean = tl.sum(v, 0) / n
    d = tl.where(i < n, v - mean, 0.0)
    r = 1 / tl.sqrt(tl.sum(d * d, 0) / n + 1e-5)
    y = d * r * tl.load(w + i, mask=i < n) + tl.load(b + i, mask=i < n)
    tl.store(o + row * n + i, y.to(tl.float16), mask=i < n)


@triton.jit
def scan(x, o, top, n, B: tl.constexpr):
    row = tl.program_id(0)
    i = tl.arange(0, B)
    v = tl.load(x + row * n + i, mask=i < n, other=0)
    tl.store(o + row * n + i, tl.cumsum(v, 0), mask=i < n)
    tl.store(top + row, tl.argmax(v, 0))


@triton.jit
def order(x, o, B: tl.constexpr):
    i = tl.arange(0, B)
    tl.store(o + tl.program_id(0) * B + i, tl.sort(tl.load(x + tl.program_id(0) * B + i)))


@triton.jit
def count(x, o, n, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    tl.atomic_add(o + (tl.load(x + i, mask=i < n, other=0) & 63), 1, mask=i < n)


@triton.jit
def dropout(x, o, n, seed, B: tl.constexpr):
    i = tl.program_id(0) * B + tl.arange(0, B)
    keep = tl.rand(seed, i) > 0.25
    tl.store(o + i, tl.where(keep, tl.load(x + i, mask=i < n) / 0.75, 0.0), mask=i < n)


@triton.jit
def matmul(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), tl.float32)
    for at in range(0, K, BK):
        x = tl.load(a + m[:, None] * K + (at + k)[None, :], mask=(m < M)[:, None] & (at + k < K)[None, :], other=0.0)
        y = tl.load(b + (at + k)[:, None] * N + n[None, :], mask=(at + k < K)[:, None] & (n < N)[None, :], other=0.0)
        acc = tl.dot(x, y, acc)
    tl.store(c + m[:, None] * N + n[None, :], acc, mask=(m < M)[:, None] & (n < N)[None, :])


@triton.jit
def matmul_nt(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr, ACC: tl.constexpr):
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    n = tl.program_id(1) * BN + tl.arange(0, BN)
    k = tl.arange(0, BK)
    acc = tl.zeros((BM, BN), ACC)
    for at in range(0, K, BK):
        x = tl.load(a + m[:, None] * K + (at + k)[None, :])
        y = tl.load(b + n[None, :] * K + (at + k)[:, None])
        acc = tl.dot(x, y, acc, out_dtype=ACC)
    tl.store(c + m[:, None] * N + n[None, :], acc)


@triton.jit
def attention(q, k, v, o, n, scale, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr):
    m = tl.program_id(0) * BM + tl.arange(0, BM)
    d = tl.arange(0, D)
    x = tl.load(q + m[:, None] * D + d[None, :])
    acc = tl.zeros((BM, D), tl.float32)
    top = tl.full((BM,), -float("inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    for at in range(0, (tl.program_id(0) + 1) * BM, BN):
        j = at + tl.arange(0, BN)
        y = tl.load(k + j[None, :] * D + d[:, None])
        s = tl.dot(x, y) * scale
        s = tl.where(m[:, None] >= j[None, :], s, -float("inf"))
        new = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2(s - new[:, None])
        r = tl.exp2(top - new)
        total = total * r + tl.sum(p, 1)
        z = tl.load(v + j[:, None] * D + d[None, :])
        acc = tl.dot(p.to(tl.float16), z, acc * r[:, None])
        top = new
    tl.store(o + m[:, None] * D + d[None, :], acc / total[:, None])


@triton.jit
def matmul_tma(a, b, c, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    m = tl.program_id(0) * BM
    n = tl.program_id(1) * BN
    acc = tl.zeros((BM, BN), tl.float32)
    for at in range(0, K, BK):
        acc = tl.dot(a.load([m, at]), b.load([n, at]).T, acc)
    c.store([m, n], acc.to(tl.float16))


@triton.jit
def matmul_made(a, b, c, M, N, K, BM: tl.constexpr, BN: tl.constexpr, BK: tl.constexpr):
    x = tl.make_tensor_descriptor(a, [M, K], [K, 1], [BM, BK])
    y = tl.make_tensor_descriptor(b, [K, N], [N, 1], [BK, BN])
    z = tl.make_tensor_descriptor(c, [M, N], [N, 1], [BM, BN])
    m = tl.program_id(0) * BM
    n = tl.program_id(1) * BN
    acc = tl.zeros((BM, BN), tl.float32)
    for at in range(0, K, BK):
        acc = tl.dot(x.load([m, at]), y.load([at, n]), acc)
    z.store([m, n], acc)


@triton.jit
def attention_tma(q, k, v, o, n, scale, BM: tl.constexpr, BN: tl.constexpr, D: tl.constexpr):
    m = tl.program_id(0) * BM
    x = q.load([m, 0])
    acc = tl.zeros((BM, D), tl.float32)
    top = tl.full((BM,), -float("inf"), tl.float32)
    total = tl.zeros((BM,), tl.float32)
    for at in range(0, n, BN):
        s = tl.dot(x, k.load([at, 0]).T) * scale
        new = tl.maximum(top, tl.max(s, 1))
        p = tl.exp2(s - new[:, None])
        r = tl.exp2(top - new)
        total = total * r + tl.sum(p, 1)
        acc = tl.dot(p.to(tl.float16), v.load([at, 0]), acc * r[:, None])
        top = new
    o.store([m, 0], (acc / total[:, None]).to(tl.float16))


MM = {"BM": 64, "BN": 64, "BK": 32}
NT = {"BM": 64, "BN": 32, "BK": 64}


def mm(t, o="fp32"):
    return {"a": "*" + t, "b": "*" + t, "c": "*" + o, "M": "i32", "N": "i32", "K": "i32"}


def desc(t, x, y):
    return "tensordesc<%s[%d,%d]>" % (t, x, y)


ATT = {"BM": 64, "BN": 32, "D": 64}
# name, kernel, arguments, constants, machines, warps
KERNELS = [
    ("add", add, {"x": "*fp32", "y": "*fp32", "o": "*fp32", "n": "i32"}, {"B": 256}, (80, 90), 4),
    ("softmax", softmax, {"x": "*fp32", "o": "*fp32", "n": "i32"}, {"B": 512}, (80, 90), 4),
    ("layer_norm", layer_norm, {"x": "*fp16", "w": "*fp32", "b": "*fp32", "o": "*fp16", "n": "i32"}, {"B": 512}, (80, 90), 4),
    ("scan", scan, {"x": "*i32", "o": "*i32", "top": "*i32", "n": "i32"}, {"B": 256}, (80, 90), 2),
    ("order", order, {"x": "*i32", "o": "*i32"}, {"B": 64}, (80, 90), 2),
    ("count", count, {"x": "*i32", "o": "*i32", "n": "i32"}, {"B": 256}, (80, 90), 4),
    ("dropout", dropout, {"x": "*fp32", "o": "*fp32", "n": "i32", "seed": "i32"}, {"B": 256}, (80, 90), 4),
    ("matmul_half", matmul, mm("fp16"), MM, (80, 90), 4),
    ("matmul_bf16", matmul, mm("bf16"), MM, (80, 90), 4),
    ("matmul_tf32", matmul_nt, mm("fp32"), {"BM": 64, "BN": 32, "BK": 32, "ACC": tl.float32}, (80, 90), 4),
    ("matmul_int8", matmul_nt, mm("i8", "i32"), {**NT, "ACC": tl.int32}, (80, 90), 4),
    ("matmul_fp8", matmul_nt, mm("fp8e4nv"), {**NT, "ACC": tl.float32}, (90,), 4),
    ("matmul_fp8e5", matmul_nt, mm("fp8e5"), {**NT, "ACC": tl.float32}, (80,), 4),
    ("attention", attention, {"q": "*fp16", "k": "*fp16", "v": "*fp16", "o": "*fp32", "n": "i32", "scale": "fp32"}, ATT, (80, 90), 4),
    ("matmul_tma", matmul_tma, {"a": desc("fp16", 64, 64), "b": desc("fp16", 64, 64), "c": desc("fp16", 64, 64), "K": "i32"}, {"BM": 64, "BN": 64, "BK": 64}, (90,), 4),
    ("matmul_tma_fp8", matmul_tma, {"a": desc("fp8e4nv", 64, 64), "b": desc("fp8e4nv", 64, 64), "c": desc("fp16", 64, 64), "K": "i32"}, {"BM": 64, "BN": 64, "BK": 64}, (90,), 4),
    ("matmul_made", matmul_made, mm("bf16"), {"BM": 64, "BN": 64, "BK": 32}, (90,), 4),
    ("attention_tma", attention_tma, {"q": desc("fp16", 64, 64), "k": desc("fp16", 32, 64), "v": desc("fp16", 32, 64), "o": desc("fp16", 64, 64), "n": "i32", "scale": "fp32"}, ATT, (90,), 4),
]


def compile_one(name, fn, args, constants, sm, warps):
    signature = {**args, **{c: "constexpr" for c in constants}}
    attrs = {}
    for i, (arg, t) in enumerate(signature.items()):
        # As a launch with aligned pointers and extents that are multiples of 16 would have it.
        if t.startswith("*") or arg in ("N", "K"):
            attrs[(i,)] = [["tt.divisibility", 16]]
    src = ASTSource(fn=fn, signature=signature, constexprs=constants, attrs=attrs)
    k = triton.compile(src, target=GPUTarget("cuda", sm, 32), options={"num_warps": warps, "num_stages": 2})
    text = re.sub(r"^\s*\.loc\s.*\n|^\s*//.*\n", "", k.asm["ptx"], flags=re.M)
    text = re.sub(r"[ \t]*// .*$", "", text, flags=re.M)
    text = re.sub(r"^\s*\.file\s.*\n|^\$L__(tmp|func)\w*:\n", "", text, flags=re.M)
    text = re.sub(r"^\s*\.section\s+\.debug.*?^\s*\}\n", "", text, flags=re.M | re.S)
    meta = k.metadata
    head = "// triton %s: %s for sm_%d, %d threads, %d bytes of shared memory, %d of scratch for a block\n" % (
        VERSION, name, sm, 32 * meta.num_warps, meta.shared, meta.global_scratch_size)
    path = os.path.join(HERE, "%s_%d.ptx" % (name, sm))
    with open(path, "w") as f:
        f.write(head + text)
    print("%-20s sm_%d %6d bytes, maps %s" % (name, sm, len(text), [d["swizzle"] for d in meta.tensordesc_meta or []]))


# Code objects for AMD's GPUs, as they are.
AMD = ("add", "softmax", "layer_norm", "scan", "order", "count", "dropout", "matmul_half", "matmul_bf16", "matmul_int8", "attention")


def compile_amd(name, fn, args, constants, warps):
    signature = {**args, **{c: "constexpr" for c in constants}}
    attrs = {(i,): [["tt.divisibility", 16]] for i, (arg, t) in enumerate(signature.items())
             if t.startswith("*") or arg in ("N", "K")}
    src = ASTSource(fn=fn, signature=signature, constexprs=constants, attrs=attrs)
    k = triton.compile(src, target=GPUTarget("hip", "gfx942", 64), options={"num_warps": warps, "num_stages": 2})
    path = os.path.join(HERE, "%s_942.hsaco" % name)
    with open(path, "wb") as f:
        f.write(k.asm["hsaco"])
    print("%-20s gfx942 %6d bytes" % (name, len(k.asm["hsaco"])))
    return "%s, %d threads, %d bytes of shared memory, %d of scratch for a block\n" % (
        name, 64 * k.metadata.num_warps, k.metadata.shared, k.metadata.global_scratch_size)


def main():
    if triton.__version__ != VERSION:
        sys.exit("triton %s is wanted, this is %s" % (VERSION, triton.__version__))
    needs = ""
    for name, fn, args, constants, machines, warps in KERNELS:
        if len(sys.argv) > 1 and name not in sys.argv[1:]:
            continue
        for sm in machines:
            compile_one(name, fn, args, constants, sm, warps)
        if name in AMD:
            needs += compile_amd(name, fn, args, constants, warps)
    if len(sys.argv) == 1:
        with open(os.path.join(HERE, "amd.txt"), "w") as f:
            f.write("# triton %s for gfx942: how each kernel wants to be launched\n%s" % (VERSION, needs))


main()
