# SPDX-License-Identifier: Apache-2.0
"""numba as a peer: the loops that somebody would write by hand, parallel over rows, with fastmath."""
import numba
import numpy as np

from bench_common import THREADS, in_turn, noise

fast = numba.njit(parallel=True, fastmath=True)


@fast
def rmsnorm(x, g, y):
    for i in numba.prange(x.shape[0]):
        s = np.float32(0)
        for j in range(x.shape[1]):
            s += x[i, j] * x[i, j]
        r = np.float32(1) / np.sqrt(s / np.float32(x.shape[1]) + np.float32(1e-6))
        for j in range(x.shape[1]):
            y[i, j] = x[i, j] * r * g[j]


@fast
def softmax(x, y):
    for i in numba.prange(x.shape[0]):
        m = x[i, 0]
        for j in range(x.shape[1]):
            m = max(m, x[i, j])
        s = np.float32(0)
        for j in range(x.shape[1]):
            y[i, j] = np.exp(x[i, j] - m)
            s += y[i, j]
        r = np.float32(1) / s
        for j in range(x.shape[1]):
            y[i, j] *= r


@fast
def silu_mul(a, b, y):
    for i in numba.prange(a.shape[0]):
        for j in range(a.shape[1]):
            y[i, j] = a[i, j] / (np.float32(1) + np.exp(-a[i, j])) * b[i, j]


@fast
def add(a, b, y):
    for i in numba.prange(a.shape[0]):
        y[i] = a[i] + b[i]


@fast
def sinkhorn(x, y, steps):
    eps = np.float32(1e-6)
    for t in numba.prange(x.shape[0]):
        m = np.empty((4, 4), np.float32)
        for i in range(4):
            top = max(max(x[t, i, 0], x[t, i, 1]), max(x[t, i, 2], x[t, i, 3]))
            s = np.float32(0)
            for j in range(4):
                m[i, j] = np.exp(x[t, i, j] - top)
                s += m[i, j]
            for j in range(4):
                m[i, j] = m[i, j] / s + eps
        for k in range(steps):
            if k > 0:
                for i in range(4):
                    r = np.float32(1) / (m[i, 0] + m[i, 1] + m[i, 2] + m[i, 3] + eps)
                    for j in range(4):
                        m[i, j] *= r
            for j in range(4):
                r = np.float32(1) / (m[0, j] + m[1, j] + m[2, j] + m[3, j] + eps)
                for i in range(4):
                    m[i, j] *= r
        y[t] = m


@fast
def rope(x, cs, y, half):
    n, h, d = x.shape
    r = d // 2
    for i in numba.prange(n):
        for a in range(h):
            for j in range(r):
                p, q = (j, j + r) if half else (2 * j, 2 * j + 1)
                u, v, co, si = x[i, a, p], x[i, a, q], cs[i, j], cs[i, r + j]
                y[i, a, p] = u * co - v * si
                y[i, a, q] = u * si + v * co


def load():
    numba.set_num_threads(THREADS)
    return numba.__version__


def turns(f, arrays, *rest):
    """f(arrays..., y, rest...) on sets of arrays and a result like the first of them."""
    def make():
        own = [x.copy() for x in arrays]
        y = np.empty_like(own[0])
        return lambda: f(*own, y, *rest)
    return {"numba": in_turn(make, sum(x.nbytes for x in arrays) + arrays[0].nbytes)}


def peers(kernel, s):
    if kernel != "sinkhorn" and s.get("T", "f32") != "f32":
        return {}
    if kernel == "rmsnorm":
        return turns(rmsnorm, [noise(s["M"], s["D"]), noise(s["D"])])
    if kernel == "softmax":
        return turns(softmax, [noise(s["M"], s["N"])])
    if kernel == "silu_mul":
        return turns(silu_mul, [noise(s["M"], s["N"]), noise(s["M"], s["N"])])
    if kernel == "add":
        return turns(add, [noise(s["N"]), noise(s["N"])])
    if kernel == "sinkhorn":
        return turns(sinkhorn, [noise(s["T"], 4, 4)], s["ITERS"])
    if kernel in ("rope_interleaved_first", "rope_half_first") and 2 * s["R"] == s["D"]:
        return turns(rope, [noise(s["N"], s["H"], s["D"]), noise(s["N"], s["D"])], kernel == "rope_half_first")
    return {}
