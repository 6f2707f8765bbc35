#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How long the stock kernels take to compile: for every kernel a fresh process, from its start to
the object, at the settings of its smoke case. Processor time (user and system), the best of N runs.

usage: tools/compile_times.py TEGULA [TEGULA2 ...] [--target ROW] [--filter GLOB] [--runs N] [--json FILE]

Several commands are run in turn on each kernel, so that builds can be compared on a busy machine.
"""
import argparse
import json
import os
import subprocess
import sys


def cases(tegula, glob):
    """(file, kernel, settings) of the smoke case of every kernel; ops are left out: their kernels are there."""
    out = subprocess.run([tegula, "conform", "--list", "--level", "smoke", "--filter", glob],
                         check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        words = line.split()
        yield words[0], words[1], words[2:]


def processor_ms(command):
    """User and system time of one run, of both threads where there are two; None when it fails."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return 1e3 * (usage.ru_utime + usage.ru_stime) if child.returncode == 0 else None


def measure(tools, file, kernel, settings, target, runs):
    best = [None] * len(tools)
    for _ in range(runs):
        for i, tool in enumerate(tools):
            command = [tool, "build", file, "--kernel", kernel, "--target", target, "--emit", "obj", "-o", "/dev/null"]
            for s in settings:
                command += ["--set", s]
            ms = processor_ms(command)
            if ms is None:
                return None
            best[i] = ms if best[i] is None else min(best[i], ms)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tools", nargs="+", metavar="TEGULA")
    parser.add_argument("--target", default="host")
    parser.add_argument("--filter", default="*")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json")
    o = parser.parse_args()
    rows = []
    for file, kernel, settings in cases(o.tools[0], o.filter):
        best = measure(o.tools, file, kernel, settings, o.target, o.runs)
        if best is None:
            print(f"{kernel}: left out, it does not build alone", file=sys.stderr)
        else:
            rows.append((kernel, best))
    rows.sort(key=lambda row: -row[1][0])
    for kernel, best in rows:
        print("".join(f"{ms:9.1f}" for ms in best), " ms ", kernel)
    for i, tool in enumerate(o.tools):
        column = [best[i] for _, best in rows]
        print(f"{len(column)} kernels, {sum(column) / 1e3:.2f} s, {sum(ms > 100 for ms in column)} above 100 ms: {tool}")
    if o.json:
        with open(o.json, "w", encoding="utf-8") as f:
            json.dump([{"kernel": kernel, "ms": best} for kernel, best in rows], f, indent=1)


if __name__ == "__main__":
    main()
