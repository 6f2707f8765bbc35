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
allows it; the allocator is told to keep its pages. `./dev deps --peers` installs what can be installed.
"""
import gc
import importlib
import os
import sys
import time
import warnings

for var in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(var, None)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
warnings.filterwarnings("ignore")
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # what libraries print is no answer

# peer, its module, what makes it ready
LOADS = (("openblas", "bench_blas", "load_openblas"), ("blis", "bench_blas", "load_blis"),
         ("libxsmm", "bench_blas", "load_libxsmm"), ("numpy", "bench_numpy", "load"), ("torch", "bench_torch", "load"),
         ("ggml", "bench_ggml", "load_built"), ("numba", "bench_numba", "load"), ("onnxruntime", "bench_ort", "load"),
         ("iree", "bench_iree", "load"))


def load_all():
    """Modules that are there, and a word on every peer."""
    modules, about = [], []
    for name, module, load in LOADS:
        try:
            found = importlib.import_module(module)
            about.append("%s %s" % (name, getattr(found, load)()))
            if found not in modules:
                modules.append(found)
        except Exception as e:  # libraries fail in many ways; the peer is absent
            about.append("%s absent (%s)" % (name, str(e).split("\n")[0][:80] or type(e).__name__))
    return modules, "; ".join(about)


def value(text):
    try:
        return int(text)
    except ValueError:
        return text


def prepare(modules, kernel, s):
    calls = {}
    for module in modules:
        try:
            for name, call in module.peers(kernel, s).items():
                call()  # compiles what compiles late; one that fails is no peer
                calls[name] = call
        except Exception as e:
            print("bench_peers: %s in %s: %s" % (kernel, module.__name__, str(e).split("\n")[0]), file=sys.stderr)
    return calls


def best_of(call, seconds):
    best, end = float("inf"), time.perf_counter() + seconds
    while best == float("inf") or time.perf_counter() < end:
        begin = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - begin)
    return best / getattr(call, "times", 1)


def main():
    modules, about = load_all()
    prepared = {}
    for line in sys.stdin:
        word, answer = line.split(), ""
        if not word or word[0] == "quit":
            break
        if word[0] == "about":
            answer = about
        elif word[0] == "prepare":
            prepared[word[1]] = prepare(modules, word[2], {k: value(v) for k, v in (w.split("=", 1) for w in word[3:])})
            answer = " ".join(["peers:", *prepared[word[1]]])
        elif word[0] == "run":
            answer = " ".join("%s=%.9f" % (name, best_of(call, float(word[2]))) for name, call in prepared[word[1]].items())
        elif word[0] == "drop":
            prepared.pop(word[1], None)
            gc.collect()
            answer = "dropped"
        print(answer, file=answers, flush=True)


if __name__ == "__main__":
    main()
