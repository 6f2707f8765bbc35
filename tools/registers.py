#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What NVIDIA's assembler makes of the stock kernels: registers, spilled bytes, stack and shared memory of every kernel
for every row of the machine table, at the settings of its smoke case. Messages about matrix instructions that the
assembler had to put in order (C7508, C7510 to C7514, C7517) are failures.

usage: tools/registers.py TEGULA [--ptxas PATH] [--rows ROW,...] [--filter GLOB] [--sample N --seed S]
                          [--jobs N] [--write FILE | --compare FILE]

--compare fails where a kernel has become worse than the kept table says: any more spilled, stack or shared bytes, or
more registers than RELIEF beyond. A table of another release of ptxas is not compared, but everything is assembled.
"""
import argparse
import concurrent.futures
import os
import random
import re
import subprocess
import sys
import tempfile

from compile_times import cases

ROWS = "sm_80,sm_89,sm_90a"
RELIEF = 8  # registers come in eights; less is noise of the allocator
SERIAL = re.compile(r"\(C(7508|7510|7511|7512|7513|7514|7517)\)")
FIELDS = ("registers", "spilled bytes", "bytes of stack", "bytes of shared memory")
HEAD = """# SPDX-License-Identifier: Apache-2.0
# Made by tools/registers.py --write; {version}
# registers/spilled bytes/stack bytes/shared bytes of a kernel's largest entry
"""


def version_of(ptxas):
    text = subprocess.run([ptxas, "--version"], check=True, capture_output=True, text=True).stdout
    return "ptxas " + re.search(r"release (\S+),", text).group(1)


def largest(log):
    """The largest figure of each kind over the entries that `ptxas -v` tells of."""
    def most(pattern):
        return max([int(n) for n in re.findall(pattern, log)] or [0])
    spills = [int(a) + int(b) for a, b in re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)]
    return (most(r"Used (\d+) registers"), max(spills or [0]), most(r"(\d+) bytes stack frame"),
            most(r"(\d+) bytes smem"))


def assemble(o, file, kernel, settings, row, work):
    """(figures, None), or (None, why not)."""
    ptx, cubin = (os.path.join(work, f"{kernel}.{row}.{end}") for end in ("ptx", "cubin"))
    command = [o.tegula, "build", file, "--kernel", kernel, "--target", row, "--emit", "ptx", "-o", ptx]
    for s in settings:
        command += ["--set", s]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        return None, "does not build: " + made.stderr.strip()[:200]
    done = subprocess.run([o.ptxas, "-v", "-arch=" + row, ptx, "-o", cubin], capture_output=True, text=True)
    os.remove(ptx)
    log = done.stdout + done.stderr
    if done.returncode or SERIAL.search(log):
        bad = [line for line in log.splitlines() if done.returncode and "error" in line or SERIAL.search(line)]
        return None, "ptxas: " + (bad or [log])[0][:300]
    return largest(log), None


def parse_table(path):
    """({kernel: {row: figures}}, the assembler's version)."""
    table, version = {}, None
    for line in open(path, encoding="utf-8"):
        if line.startswith("#"):
            version = line.split("; ")[-1].strip() if "; " in line else version
            continue
        words = line.split()
        if words and words[0] == "kernel":
            rows = words[1:]
        elif words:
            table[words[0]] = {r: tuple(map(int, w.split("/"))) for r, w in zip(rows, words[1:]) if w != "-"}
    return table, version


def worse(got, kept, fields):
    limits = [k + (RELIEF if "registers" in what and "spilled" not in what else 0) for k, what in zip(kept, fields)]
    return [f"{g} {what}, {k} in the table" for g, k, most, what in zip(got, kept, limits, fields) if g > most]


def compare(table, path, version, fields=FIELDS):
    kept, made_by = parse_table(path)
    if made_by != version:
        print(f"the table is of {made_by}, this is {version}: not compared")
        return []
    bad, better, lacking = [], 0, 0
    for kernel, rows in table.items():
        for row, got in rows.items():
            if row not in kept.get(kernel, {}):
                lacking += 1
                continue
            bad += [f"{kernel} for {row}: {w}" for w in worse(got, kept[kernel][row], fields)]
            better += got < kept[kernel][row]
    if lacking:
        print(f"{lacking} entries are not in {path}: assembled, not compared")
    if better:
        print(f"{better} entries are better than {path} says")
    return bad


def write_rows(table, path, rows, head):
    wide = 4 + max([len("/".join(map(str, f))) for k in table.values() for f in k.values()] or [0])
    wide = max(wide, 20)
    with open(path, "w", encoding="utf-8") as out:
        out.write(head)
        out.write(f"{'kernel':<36}" + "".join(f"{r:<{wide}}" for r in rows).rstrip() + "\n")
        for kernel in sorted(table):
            words = ["/".join(map(str, table[kernel][r])) if r in table[kernel] else "-" for r in rows]
            out.write((f"{kernel:<36}" + "".join(f"{w:<{wide}}" for w in words)).rstrip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tegula")
    parser.add_argument("--ptxas", default="ptxas")
    parser.add_argument("--rows", default=ROWS)
    parser.add_argument("--filter", default="*")
    parser.add_argument("--sample", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--write")
    parser.add_argument("--compare")
    o = parser.parse_args()
    rows, found, table, bad = o.rows.split(","), {}, {}, []
    for file, kernel, settings in cases(o.tegula, o.filter):
        found.setdefault(kernel, (file, settings))
    names = sorted(found)
    if o.sample is not None:
        names = sorted(random.Random(o.seed).sample(names, min(o.sample, len(names))))
    pairs = [(kernel, row) for kernel in names for row in rows]
    with tempfile.TemporaryDirectory() as work, concurrent.futures.ThreadPoolExecutor(o.jobs) as pool:
        results = pool.map(lambda p: assemble(o, found[p[0]][0], p[0], found[p[0]][1], p[1], work), pairs)
        for (kernel, row), (figures, why) in zip(pairs, results):
            if figures:
                table.setdefault(kernel, {})[row] = figures
            else:
                bad.append(f"{kernel} for {row}: {why}")
    version = version_of(o.ptxas)
    if o.write:
        write_rows(table, o.write, rows, HEAD.format(version=version))
    if o.compare:
        bad += compare(table, o.compare, version)
    for line in bad:
        print(line)
    print(f"{len(names)} kernels for {len(rows)} rows, {len(bad)} failures ({version})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
