# SPDX-License-Identifier: Apache-2.0
"""NumPy as a peer: selection."""
import numpy as np

from bench_common import in_turn


def load():
    return np.__version__


def peers(kernel, s):
    if kernel == "topk_select" and s["T"] == "f32":
        x = np.random.randn(s["R"], s["N"]).astype(np.float32)
        return {"numpy": in_turn(lambda: lambda x=x.copy(): np.argpartition(x, s["N"] - s["KTOP"], axis=1), x.nbytes)}
    return {}
