#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# DeepSeek-V4's compressors: a prompt at once, the same tokens a few at a time, and a prompt continued
# from the state it leaves give the same bits, and so do several prompts in one call. Argument: the command.
set -e
tegula=$1
python3 -c 'import numpy' 2> /dev/null || { echo "skipped: no NumPy"; exit 77; }
export kernels=$(cd "$(dirname "$0")/../.." && pwd)/kernels tegula
export work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export TEGULA_CACHE_DIR=$work/cache
exec python3 - <<'PY'
import os, subprocess
import numpy as np

rng = np.random.default_rng(7)
W = 8  # columns that are turned


def run(kernel, settings, inputs, outputs):
    """Launches a kernel; returns the outputs named."""
    at = lambda name: f"{os.environ['work']}/{name}.npy"
    command = [os.environ["tegula"], "run", os.environ["kernels"] + "/v4/compress.tg", "--kernel", kernel]
    for name, value in settings.items():
        command += ["--set", f"{name}={value}"]
    for name, value in inputs.items():
        np.save(at(name), value)
        command += ["--in", f"{name}={at(name)}"]
    for name in outputs:
        command += ["--out", f"{name}={at('out_' + name)}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [np.load(at("out_" + name)) for name in outputs]


def stream(kind, m, d, state, c, z, fixed, pos, chunk):
    """Tokens from pos on, chunk by chunk; the entries that were completed, by number."""
    entries = {}
    while pos < len(c):
        n = min(chunk, len(c) - pos)
        inputs = dict(fixed, state=state, slot=np.array([1], np.int32), cu=np.array([0, n], np.int32),
                      pos=np.arange(pos, pos + n, dtype=np.int32), c=c[pos:pos + n], z=z[pos:pos + n])
        state, y, entry = run(f"compress_{kind}_step", {"T": "f32", "M": m, "D": d, "W": W, "eps": 1e-6}, inputs,
                              ["state", "y", "entry"])
        for i in range(n):
            if entry[i] >= 0:
                entries[int(entry[i])] = y[i]
        pos += n
    return entries


def check(kind, m, d, tokens, prompt, chunk):
    width = 2 * d if kind == "overlap" else d
    rows = 2 * m if kind == "overlap" else m
    f = lambda *shape: rng.standard_normal(shape).astype(np.float32)
    c, z = f(tokens, width), 3 * f(tokens, width)
    fixed = {"ape": f(m, width), "g": f(d), "cs": f(tokens + m, W)}
    at_once, = run(f"compress_{kind}", {"T": "f32", "M": m, "D": d, "W": W, "eps": 1e-6}, dict(fixed, c=c, z=z), ["y"])
    cut = [0, tokens // 3, tokens // 3, tokens]  # three prompts, one of them empty
    ce = np.concatenate([[0], np.cumsum(np.diff(cut) // m)])
    packed, = run(f"compress_{kind}_packed", {"T": "f32", "M": m, "D": d, "W": W, "eps": 1e-6, "most": int(np.diff(ce).max()), "E": int(ce[-1]), "B": 3},
                  dict(fixed, c=c, z=z, cu=np.array(cut, np.int32), ce=ce.astype(np.int32)), ["y"])
    for b in (0, 2):
        alone, = run(f"compress_{kind}", {"T": "f32", "M": m, "D": d, "W": W, "eps": 1e-6},
                     dict(fixed, c=c[cut[b]:cut[b + 1]], z=z[cut[b]:cut[b + 1]]), ["y"])
        assert packed[ce[b]:ce[b + 1]].tobytes() == alone.tobytes(), (kind, m, "packed", b)
    fresh = np.full((2, rows, 2, width), np.nan, np.float32)
    entries = stream(kind, m, d, fresh, c, z, fixed, 0, chunk)
    assert sorted(entries) == list(range(tokens // m)), sorted(entries)
    for w, y in entries.items():
        assert y.tobytes() == at_once[w].tobytes(), (kind, m, w)
    state, = run(f"compress_{kind}_state", {"M": m, "D": d},
                 {"c": c[:prompt], "z": z[:prompt], "cu": np.array([0, prompt], np.int32), "ape": fixed["ape"],
                  "s": np.array([1], np.int32), "state": fresh},
                 ["state"])
    entries = stream(kind, m, d, state, c, z, fixed, prompt, chunk)
    assert sorted(entries) == list(range(prompt // m, tokens // m)), sorted(entries)
    for w, y in entries.items():
        assert y.tobytes() == at_once[w].tobytes(), (kind, m, w, "continued")


check("overlap", 4, 32, 53, 30, 9)
check("overlap", 4, 32, 21, 3, 1)
check("plain", 16, 32, 53, 21, 11)
check("plain", 128, 32, 300, 200, 64)
print("v4_stream: the same bits")
PY
