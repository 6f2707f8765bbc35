#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# DeepSeek-V4's compressors: a prompt at once, the same tokens a few at a time, and a prompt continued
# from the state it leaves give the same bits, and so do several prompts in one call;
# and, in the interpreter in f32, the attention layer's tokens have those of its prompt. Argument: the command.
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


def run(kernel, settings, inputs, outputs, file="compress", device="cpu"):
    """Launches a kernel or op; returns the outputs named."""
    at = lambda name: f"{os.environ['work']}/{name}.npy"
    command = [os.environ["tegula"], "run", f"{os.environ['kernels']}/v4/{file}.tg", "--kernel", kernel,
               "--device", device]
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


def layer(kind, m, tokens, chunks):
    """The attention layer: a prompt, and its tokens chunk by chunk. In the interpreter: there a product adds up in
    one order, however many rows it has."""
    n, h, d, ql, g, ol, hg, hi, di, win, pages, bs = 48, 4, 32, 24, 2, 12, 2, 2, 16, 8, 9, 3
    f = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
    one = lambda k: (1 + rng.standard_normal(k) / 8).astype(np.float32)
    wide = 2 if kind == "csa" else 1
    weights = {"wqa": f(ql, n), "gq": one(ql), "wqb": f(h, d, ql), "wkv": f(d, n), "gkv": one(d), "sink": 4 * f(h),
               "cs": np.concatenate([np.cos(np.outer(np.arange(64), [1, .1, .01, .001])),
                                     np.sin(np.outer(np.arange(64), [1, .1, .01, .001]))], 1).astype(np.float32),
               "wa": f(g, ol, hg, d), "wb": f(n, g, ol)}
    scalars = {"scale": d ** -.5, "eps": 1e-6}
    fixed = {"T": "f32", "Z": "f32", "O": "f32", "W": W, "WIN": win, "D": d, "QL": ql}
    if kind != "swa":
        weights |= {"wc": f(wide * d, n), "wz": 6 * f(wide * d, n), "ape": 3 * f(m, wide * d), "gc": one(d)}
        fixed["M"] = m
    if kind == "csa":
        weights |= {"wiq": f(hi, di, ql), "wiw": f(hi, n), "wic": f(2 * di, n), "wiz": 6 * f(2 * di, n),
                    "iape": 3 * f(m, 2 * di), "gi": one(di)}
        fixed |= {"KTOP": 3, "HI": hi, "DI": di}
        scalars["factor"] = (hi * di) ** -.5
    x = 4 * f(tokens, n)
    at = np.arange(tokens, dtype=np.int32)
    want, = run(f"v4_layer_{kind}", fixed | scalars, weights | {"x": x, "pos": at}, ["y"], "layer", "interp")
    nan = lambda *shape: np.full(shape, np.nan, np.float32)
    past = {"ring": nan(2, win + max(chunks) - 1, d)}
    if kind != "swa":
        past |= {"state": nan(2, wide * m, 2, wide * d), "cache": nan(pages, bs, d)}
        weights["table"] = rng.permutation(pages).astype(np.int32)[None, :]
    if kind == "csa":
        past |= {"istate": nan(2, 2 * m, 2, 2 * di), "icache": nan(pages, bs, di)}
    done, k = 0, 0
    while done < tokens:
        take = min(chunks[k % len(chunks)], tokens - done)
        new = {"x": x[done:done + take], "pos": at[done:done + take], "of": np.zeros(take, np.int32),
               "slot": np.array([1], np.int32), "cu": np.array([0, take], np.int32)}
        if kind == "swa":
            del new["cu"]
        y, *rest = run(f"v4_step_{kind}", fixed | scalars, weights | past | new, ["y"] + list(past), "step", "interp")
        past = dict(zip(past, rest))
        assert y.tobytes() == want[done:done + take].tobytes(), (kind, done)
        done, k = done + take, k + 1


layer("swa", 1, 29, [1, 3, 2])
layer("hca", 4, 29, [2, 1, 7, 1])
layer("csa", 4, 33, [1, 9, 3])
print("v4_stream: the same bits")
PY
