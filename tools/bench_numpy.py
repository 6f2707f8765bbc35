# SPDX-License-Identifier: Apache-2.0
"""NumPy as a peer: selection."""
import numpy as np


def load():
    return np.__version__


def peers(kernel, s):
    if kernel == "topk_select" and s["T"] == "f32":
        x = np.random.randn(s["R"], s["N"]).astype(np.float32)
        return {"numpy": lambda: np.argpartition(x, s["N"] - s["KTOP"], axis=1)}
    return {}
