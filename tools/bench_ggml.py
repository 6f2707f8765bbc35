# SPDX-License-Identifier: Apache-2.0
"""ggml as a peer of `tegula bench`, through ctypes on the library of tools/build_ggml.sh.

Weights are quantised by ggml itself; activations are f32, as its CPU back end takes them. A call
computes one graph; weights rotate over copies so that they come from DRAM. ggml's own thread pool
(OpenMP) runs as many threads as the benchmark.
"""
import ctypes as c
import glob
import os

import numpy as np

from bench_common import THREADS, copies, rotate

TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 8, "q4_K": 12, "bf16": 30, "mxfp4": 39}
# kernels whose weights ggml has in the same format, or in its nearest one
WEIGHTS = {"linear_q8_0": "q8_0", "linear_q4_0": "q4_0", "linear_q4_K": "q4_K", "linear_ggml_mxfp4": "mxfp4",
           "linear_q8_0_q8_0": "q8_0", "linear_q4_0_q8_0": "q4_0", "linear_mxfp4_q8_0": "mxfp4",
           "linear_mxfp4": "mxfp4", "linear_w8": "q8_0", "linear_i4": "q4_0", "linear_u4": "q4_0"}
MOE = {"moe": "bf16", "moe_fp8": "q8_0", "moe_fp8_fp4": "mxfp4"}
BLOCKS = {"linear_q8_0": 32, "linear_q4_0": 32, "linear_ggml_mxfp4": 32, "linear_q4_K": 256,
          "linear_q8_0_q8_0": 32, "linear_q4_0_q8_0": 32, "linear_mxfp4_q8_0": 32}


class InitParams(c.Structure):
    _fields_ = [("mem_size", c.c_size_t), ("mem_buffer", c.c_void_p), ("no_alloc", c.c_bool)]


def load():
    """The libraries as one namespace, or None when they were not built."""
    here = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "peers", "ggml")
    base = glob.glob(os.path.join(here, "**", "libggml-base.so"), recursive=True)
    cpu = glob.glob(os.path.join(here, "**", "libggml-cpu.so"), recursive=True)
    if not base or not cpu:
        return None
    c.CDLL(base[0], mode=c.RTLD_GLOBAL)
    lib = c.CDLL(cpu[0], mode=c.RTLD_GLOBAL)
    base = c.CDLL(base[0])
    pointers = {"ggml_init": [InitParams], "ggml_new_tensor_2d": [c.c_void_p, c.c_int, c.c_int64, c.c_int64],
                "ggml_new_tensor_3d": [c.c_void_p, c.c_int, c.c_int64, c.c_int64, c.c_int64],
                "ggml_new_tensor_1d": [c.c_void_p, c.c_int, c.c_int64], "ggml_mul_mat": [c.c_void_p] * 3,
                "ggml_mul_mat_id": [c.c_void_p] * 4, "ggml_add": [c.c_void_p] * 3, "ggml_mul": [c.c_void_p] * 3,
                "ggml_swiglu_split": [c.c_void_p] * 3, "ggml_soft_max": [c.c_void_p] * 2,
                "ggml_rms_norm": [c.c_void_p, c.c_void_p, c.c_float], "ggml_cont": [c.c_void_p] * 2,
                "ggml_transpose": [c.c_void_p] * 2, "ggml_get_rows": [c.c_void_p] * 3,
                "ggml_rope_ext": [c.c_void_p] * 4 + [c.c_int] * 3 + [c.c_float] * 6,
                "ggml_new_graph": [c.c_void_p],
                "ggml_backend_alloc_ctx_tensors": [c.c_void_p, c.c_void_p]}
    space = type("ggml", (), {})()
    for name, types in pointers.items():
        f = getattr(base, name)
        f.argtypes, f.restype = types, c.c_void_p
        setattr(space, name, f)
    space.cpu = lib.ggml_backend_cpu_init
    space.cpu.restype = c.c_void_p
    space.threads = lib.ggml_backend_cpu_set_n_threads
    space.threads.argtypes = [c.c_void_p, c.c_int]
    space.expand = base.ggml_build_forward_expand
    space.expand.argtypes = [c.c_void_p, c.c_void_p]
    space.compute = base.ggml_backend_graph_compute
    space.compute.argtypes = [c.c_void_p, c.c_void_p]
    space.set = base.ggml_backend_tensor_set
    space.set.argtypes = [c.c_void_p, c.c_void_p, c.c_size_t, c.c_size_t]
    space.nbytes = base.ggml_nbytes
    space.nbytes.argtypes, space.nbytes.restype = [c.c_void_p], c.c_size_t
    space.quantize = base.ggml_quantize_chunk
    space.quantize.argtypes = [c.c_int, c.c_void_p, c.c_void_p, c.c_int64, c.c_int64, c.c_int64, c.c_void_p]
    space.quantize.restype = c.c_size_t
    for name in ("ggml_free", "ggml_backend_buffer_free", "ggml_backend_free"):
        f = getattr(base, name)
        f.argtypes, f.restype = [c.c_void_p], None
        setattr(space, name, f)
    return space


class Session:
    """Graphs of one benchmark row: tensors, then their data, then calls."""

    def __init__(self, g, threads):
        self.g = g
        self.backend = g.cpu()
        g.threads(self.backend, threads)
        self.ctx = g.ggml_init(InitParams(64 << 20, None, True))
        self.pending, self.graphs, self.buffer = [], [], None

    def __del__(self):
        if self.buffer:
            self.g.ggml_backend_buffer_free(self.buffer)
        self.g.ggml_free(self.ctx)
        self.g.ggml_backend_free(self.backend)

    def tensor(self, kind, *extents):
        """Row-major extents, the innermost last."""
        make = (self.g.ggml_new_tensor_1d, self.g.ggml_new_tensor_2d, self.g.ggml_new_tensor_3d)[len(extents) - 1]
        t = make(self.ctx, TYPES[kind] if kind != "i32" else 26, *reversed(extents))
        self.pending.append((t, kind, extents))
        return t

    def graph(self, out):
        graph = self.g.ggml_new_graph(self.ctx)
        self.g.expand(graph, out)
        self.graphs.append(graph)

    def calls(self, integers=None):
        self.buffer = self.g.ggml_backend_alloc_ctx_tensors(self.ctx, self.backend)
        if not self.buffer:
            raise MemoryError("ggml could not allocate")
        for t, kind, extents in self.pending:
            self.fill(t, kind, extents, integers or {})
        return [lambda graph=graph: self.g.compute(self.backend, graph) for graph in self.graphs]

    def fill(self, t, kind, extents, integers):
        total = self.g.nbytes(t)
        if kind == "i32":
            data = np.ascontiguousarray(integers[t], np.int32).tobytes()
        elif kind == "f32":
            data = np.random.rand(min(total // 4, 1 << 20)).astype(np.float32).tobytes()
        else:  # some rows by ggml itself, repeated
            row, rows = extents[-1], max(1, min(16, int(np.prod(extents[:-1]))))
            source = np.random.randn(rows, row).astype(np.float32)
            out = c.create_string_buffer(rows * row * 4)
            n = self.g.quantize(TYPES[kind], source.ctypes.data, out, 0, rows, row, None)
            data = out.raw[:n]
        for at in range(0, total, len(data)):
            self.g.set(t, data, at, min(len(data), total - at))


def linear(s, kernel, settings, weights, copies, rotate):
    block = BLOCKS.get(kernel, 0)
    k = settings["B"] * block if block else settings["K"]
    m, n = settings["M"], settings["N"]
    x = s.tensor("f32", m, k)
    bits = {"f32": 32, "f16": 16, "bf16": 16, "q8_0": 8.5, "q4_0": 4.5, "q4_K": 4.5, "mxfp4": 4.25}[weights]
    for _ in range(copies(int(n * k * bits / 8))):
        s.graph(s.g.ggml_mul_mat(s.ctx, s.tensor(weights, n, k), x))
    return rotate(s.calls())


def moe(s, settings, weights, copies, rotate):
    """Gate, up and down projections of K experts a token; E experts from the kernel's own list."""
    t, d, i, k, e = settings["T"], settings["D"], settings["I"], settings["K"], settings["E"]
    g, ids = s.g, s.tensor("i32", t, k)
    x = s.tensor("f32", t, 1, d)
    size = {"f32": 4, "f16": 2, "bf16": 2, "q8_0": 1.06, "mxfp4": 0.53}[weights]
    for _ in range(copies(int(3 * e * d * i * size))):
        gate, up = (g.ggml_mul_mat_id(s.ctx, s.tensor(weights, e, i, d), x, ids) for _ in range(2))
        s.graph(g.ggml_mul_mat_id(s.ctx, s.tensor(weights, e, d, i), g.ggml_swiglu_split(s.ctx, gate, up), ids))
    picks = np.stack([np.random.permutation(e)[:k] for _ in range(t)])
    return rotate(s.calls({ids: picks}))


def rows(s, kernel, v, copies, rotate):
    """Maps over f32 rows (ggml computes them in f32 alone)."""
    g = s.g
    m, n = (1, v["N"]) if kernel == "add" else (v["M"], v.get("D", v["N"] if "N" in v else 0))
    for _ in range(min(4, copies(m * n * 4))):
        x = s.tensor("f32", m, n)
        if kernel == "add":
            out = g.ggml_add(s.ctx, x, s.tensor("f32", m, n))
        elif kernel == "silu_mul":
            out = g.ggml_swiglu_split(s.ctx, x, s.tensor("f32", m, n))
        elif kernel == "softmax":
            out = g.ggml_soft_max(s.ctx, x)
        elif kernel == "rmsnorm":
            out = g.ggml_mul(s.ctx, g.ggml_rms_norm(s.ctx, x, 1e-6), s.tensor("f32", n))
        else:
            out = g.ggml_cont(s.ctx, g.ggml_transpose(s.ctx, x))
        s.graph(out)
    return rotate(s.calls())


def embedding(s, v, copies, rotate):
    ids = s.tensor("i32", v["N"])
    table = s.tensor("bf16" if v["T"] == "bf16" else "f32", v["V"], v["D"])
    s.graph(s.g.ggml_get_rows(s.ctx, table, ids))
    return rotate(s.calls({ids: np.random.randint(0, v["V"], v["N"])}))


BUILT = None


def load_built():
    global BUILT
    BUILT = load()
    if BUILT is None:
        raise ImportError("tools/build_ggml.sh builds it")
    return "built"


def peers(kernel, v):
    """Calls by name for a row of the benchmark; {} when ggml has nothing like it."""
    s = Session(BUILT, THREADS)
    if kernel in WEIGHTS:
        return {"ggml": linear(s, kernel, v, WEIGHTS[kernel], copies, rotate)}
    if kernel == "linear":
        return {"ggml": linear(s, kernel, v, v["T"], copies, rotate)}
    if kernel == "matmul" and v["T"] != "i8":
        return {"ggml": linear(s, "linear", v, v["T"], copies, rotate)}
    if kernel in MOE:
        return {"ggml": moe(s, v, v.get("X", MOE[kernel]), copies, rotate)}
    if kernel in ("add", "silu_mul", "softmax", "rmsnorm", "transpose") and v["T"] == "f32":
        return {"ggml": rows(s, kernel, v, copies, rotate)}
    if kernel == "embedding":
        return {"ggml": embedding(s, v, copies, rotate)}
    return {}
