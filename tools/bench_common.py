# SPDX-License-Identifier: Apache-2.0
"""What the peers of `tegula bench` share: threads, copies of weights that rotate, built libraries."""
import os

THREADS = int(os.environ.get("TEGULA_BENCH_THREADS", "0")) or os.cpu_count()
BUILT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "build", "peers")
DRAM_BYTES, MAX_SETS = 160e6, 16  # as tools/rotation.c has them for Tegula's own arguments


def copies(nbytes):
    """How many copies of so many bytes cannot stay in any cache."""
    return max(1, min(MAX_SETS, -int(-DRAM_BYTES // max(1, nbytes))))


def rotate(calls):
    """One call that takes the given ones in turn."""
    state = [0]

    def call():
        state[0] = (state[0] + 1) % len(calls)
        calls[state[0]]()
    return call


def in_turn(make, nbytes, hot=False):
    """Calls on so many sets of arguments that each finds its own in memory, as Tegula's launches do. make() gives
    the call on a new set of so many bytes, its result among them; hot: one set is enough."""
    return rotate([make() for _ in range(1 if hot else copies(nbytes))])


def noise(*shape):
    """f32 noise in 0..1, a piece of a million repeated: drawing gigabytes takes longer than measuring."""
    import numpy as np
    n = int(np.prod(shape))
    return np.resize(np.random.rand(min(n, 1 << 20)).astype(np.float32), n).reshape(shape)


def many(call, times):
    """Marks a call that does its work `times` times."""
    call.times = times
    return call
