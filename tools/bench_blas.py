# SPDX-License-Identifier: Apache-2.0
"""OpenBLAS, BLIS and libxsmm through ctypes: f32 products, outputs preallocated, own core detection."""
import ctypes as c
import ctypes.util
import os

import numpy as np

from bench_common import BUILT, THREADS, copies, in_turn, many, noise, rotate

ROW, PLAIN, TRANSPOSED = 101, 111, 112
LIBRARIES = {}  # name: (library, cblas_sgemm)
LOOP = None     # tools/peers_loop.c, which has libxsmm in it


def shared(name):
    path = c.util.find_library(name)
    if path is None:
        raise ImportError("lib%s is not installed" % name)
    return c.CDLL(path)


def sgemm_of(library):
    f = library.cblas_sgemm
    f.restype = None
    f.argtypes = [c.c_int] * 6 + [c.c_float, c.c_void_p, c.c_int, c.c_void_p, c.c_int, c.c_float, c.c_void_p, c.c_int]
    return f


def load_openblas():
    library = shared("openblas")
    library.openblas_set_num_threads(THREADS)
    library.openblas_get_corename.restype = c.c_char_p
    LIBRARIES["openblas"] = sgemm_of(library)
    return library.openblas_get_corename().decode()


def load_blis():
    library = shared("blis")
    library.bli_thread_set_num_threads(c.c_int64(THREADS))
    library.bli_info_get_version_str.restype = c.c_char_p
    LIBRARIES["blis"] = sgemm_of(library)
    return library.bli_info_get_version_str().decode()


def load_libxsmm():
    global LOOP
    path = os.path.join(BUILT, "libpeers_loop.so")
    if not os.path.exists(path):
        raise ImportError("./dev deps --peers builds it")
    LOOP = c.CDLL(path)
    return "built"


def call(f, transposed, a, b, out):
    m, k = a.shape
    n = out.shape[1]
    args = (ROW, PLAIN, TRANSPOSED if transposed else PLAIN, m, n, k, 1.0, a.ctypes.data, k, b.ctypes.data,
            k if transposed else n, 0.0, out.ctypes.data, n)
    keep = (a, b, out)  # alive as long as the call
    return lambda: f(*args) or keep


def hot(a, b, out):
    """Small products in a loop of C; libxsmm has one thread."""
    m, n, k = a.shape[0], b.shape[1], a.shape[1]
    times = max(1, int(2e7 // (m * n * k)))
    at = [c.c_void_p(x.ctypes.data) for x in (a, b, out)]
    made = {}
    if LOOP is None:
        return made
    for name, f in LIBRARIES.items():
        pointer = c.cast(f, c.c_void_p)
        made[name] = many(lambda pointer=pointer, keep=(a, b, out): LOOP.peers_loop_cblas(pointer, m, n, k, *at, times), times)
    if THREADS == 1 and LOOP.peers_loop_libxsmm(m, n, k, *at, 1):
        made["libxsmm"] = many(lambda keep=(a, b, out): LOOP.peers_loop_libxsmm(m, n, k, *at, times), times)
    return made


def peers(kernel, s):
    if kernel not in ("matmul", "linear") or s["T"] != "f32":
        return {}
    m, n, k = s["M"], s["N"], s["K"]
    a, out = noise(m, k), np.empty((m, n), np.float32)
    if kernel == "matmul" and s.get("hot"):
        return hot(a, noise(k, n), out)
    if kernel == "matmul":
        def make(f):
            return call(f, False, noise(m, k), noise(k, n), np.empty((m, n), np.float32))
        return {name: in_turn(lambda f=f: make(f), 4 * (m * k + k * n + m * n)) for name, f in LIBRARIES.items()}
    ws = [noise(n, k) for _ in range(copies(4 * n * k))]
    return {name: rotate([call(f, True, a, w, out) for w in ws]) for name, f in LIBRARIES.items()}
