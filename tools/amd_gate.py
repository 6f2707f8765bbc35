#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What LLVM makes of the stock kernels for AMD's rows, read from the code objects that ship: vector, accumulation and
scalar registers, spilled ones, scratch, LDS, waves a SIMD, and how much of the hot loop are matrix instructions. A row
is a kernel's largest entry at the settings of its smoke case.

usage: tools/amd_gate.py TEGULA [--rows ROW,...] [--filter GLOB] [--sample N --seed S] [--jobs N]
                         [--write FILE | --compare FILE] [--readelf PATH] [--objdump PATH]

--compare fails where a kernel has become worse than the kept table says: any more spilled registers, scratch or LDS, or
more vector registers than RELIEF beyond. A table of another release of LLVM is not compared, but everything is built.
The hot loop is the innermost one (a branch back and what lies between) with the most matrix instructions; its share is
theirs among the instructions on the shortest way round it that passes them all and all loads of 16 bytes: guarded
copies for blocks at an edge stand in the loop, and are not on the way of blocks that lie inside. Where no way passes
them all, the whole loop counts.
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
from registers import compare, write_rows

ROWS = "gfx942,gfx1100"
FIELDS = ("vector registers", "accumulation registers", "scalar registers", "spilled vector registers",
          "spilled scalar registers", "bytes of scratch", "bytes of LDS")
HEAD = """# SPDX-License-Identifier: Apache-2.0
# Made by tools/amd_gate.py --write; {version}
# vector/accumulation/scalar registers/spilled vector/spilled scalar registers/scratch bytes/LDS bytes/waves a SIMD/
# matrix share in percent of a kernel's largest entry
"""
WIDE = re.compile(r"global_load_(dwordx4|b128)")
MATRIX = re.compile(r"v_(mfma|smfmac|wmma|swmmac)_")


def metadata(readelf, path):
    """A dict of numbers for each kernel of the code object's note."""
    text = subprocess.run([readelf, "--notes", path], check=True, capture_output=True, text=True).stdout
    kernels = []
    for line in text.splitlines():
        if re.match(r"\s+- \.agpr_count:|\s+- \.args:", line):
            kernels.append({})
        found = re.match(r"\s+(?:- )?\.(\w+):\s+(\S+)$", line)
        if found and kernels:
            kernels[-1].setdefault(found[1], found[2])
    return kernels


def waves(k, row):
    """Waves that a SIMD holds at once, by registers and LDS (CDNA3 ISA 3.6.4; RDNA3: 1536 registers of 32 lanes)."""
    lanes, wave = int(k["max_flat_workgroup_size"]), int(k["wavefront_size"])
    vector, acc = int(k["vgpr_count"]), int(k.get("agpr_count", 0))
    if row in ("gfx90a", "gfx942"):  # vgpr_count is of both kinds
        most = 512 // max(8, (vector + 7) // 8 * 8)
        most = min(most, 8)
    elif row.startswith("gfx9"):
        most = min(256 // max(4, (max(vector, acc) + 3) // 4 * 4), 10)
    else:
        most = min(1536 // max(24, (vector + 23) // 24 * 24), 16)
    lds = int(k["group_segment_fixed_size"])
    groups = 65536 // lds if lds else 64
    simds = 4 if row.startswith("gfx9") else 2
    return min(most, max(1, groups * ((lanes + wave - 1) // wave) // simds))


def loops(listing):
    """Every loop as a list of (name, number of the branch's target in the list or None): from the target of a branch
    back to the branch."""
    at, code = {}, []
    for line in listing.splitlines():
        found = re.match(r"\s+(\S+)(.*)//\s*([0-9A-F]{12}):", line)
        if found:
            at[int(found[3], 16)] = len(code)
            code.append((found[1], found[2], int(found[3], 16)))
    to = []
    for name, rest, address in code:
        found = re.match(r"\s*(\d+)", rest) if name.startswith(("s_cbranch", "s_branch")) else None
        words = int(found[1]) - (65536 if int(found[1]) >= 32768 else 0) if found else 0
        to.append(at.get(address + 4 + 4 * words) if found else None)
    for i, begin in enumerate(to):
        if begin is not None and begin <= i:
            yield [(code[k][0], to[k] - begin if to[k] is not None and begin <= to[k] <= i else None)
                   for k in range(begin, i + 1)]


def way(code, begin, end):
    """The least number of instructions from one to another, both counted, forwards only; None: there is no way."""
    least = {begin: 1}
    for i in range(begin, end):
        if i not in least:
            continue
        name, target = code[i]
        nexts = ([] if name == "s_branch" else [i + 1]) + ([target] if target is not None and target > i else [])
        for n in nexts:
            least[n] = min(least.get(n, least[i] + 1), least[i] + 1)
    return least.get(end)


def on_the_way(code, passed):
    """Instructions on the shortest way round the loop past the given ones."""
    total, last = 0, 0
    for i in passed + [len(code) - 1]:
        n = way(code, last, i)
        if n is None:  # they exclude each other: all counts
            return len(code)
        total, last = total + n - 1, i
    return total + 1


def share(objdump, path):
    """Percent of matrix instructions of the innermost loop with the most of them; 0: there is none."""
    text = subprocess.run([objdump, "-d", path], check=True, capture_output=True, text=True).stdout
    best = (0, 0)
    for code in sorted(loops(text), key=len):
        matrix = [i for i, (name, _) in enumerate(code) if MATRIX.match(name)]
        if len(matrix) > 2 * best[0]:
            passed = [i for i, (name, _) in enumerate(code) if MATRIX.match(name) or WIDE.match(name)]
            best = (len(matrix), 100 * len(matrix) // on_the_way(code, passed))
    return best[1]


def figures_of(o, path, row):
    kernels = metadata(o.readelf, path)

    def most(name):
        return max([int(k.get(name, 0)) for k in kernels] or [0])
    return (most("vgpr_count"), most("agpr_count"), most("sgpr_count"), most("vgpr_spill_count"),
            most("sgpr_spill_count"), most("private_segment_fixed_size"), most("group_segment_fixed_size"), min([waves(k, row) for k in kernels] or [0]), share(o.objdump, path))


def build(o, file, kernel, settings, row, work):
    """(figures, None), or (None, why not)."""
    path = os.path.join(work, f"{kernel}.{row}.hsaco")
    command = [o.tegula, "build", file, "--kernel", kernel, "--target", row, "--emit", "hsaco", "-o", path]
    for s in settings:
        command += ["--set", s]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        return None, "does not build: " + made.stderr.strip()[:200]
    found = figures_of(o, path, row)
    os.remove(path)
    return found, None


def version_of(readelf):
    text = subprocess.run([readelf, "--version"], check=True, capture_output=True, text=True).stdout
    return "LLVM " + re.search(r"LLVM version (\S+)", text)[1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tegula")
    parser.add_argument("--readelf", default="llvm-readelf-19")
    parser.add_argument("--objdump", default="llvm-objdump-19")
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
        results = pool.map(lambda p: build(o, found[p[0]][0], p[0], found[p[0]][1], p[1], work), pairs)
        for (kernel, row), (figures, why) in zip(pairs, results):
            if figures:
                table.setdefault(kernel, {})[row] = figures
            else:
                bad.append(f"{kernel} for {row}: {why}")
    version = version_of(o.readelf)
    if o.write:
        write_rows(table, o.write, rows, HEAD.format(version=version))
    if o.compare:
        bad += compare(table, o.compare, version, FIELDS)
    for line in bad:
        print(line)
    for row in rows:
        got = [table[k][row] for k in table if row in table[k]]
        print(f"{row}: {len(got)} kernels, {sum(1 for g in got if g[3])} with spilled vector registers, "
              f"{sum(1 for g in got if g[4])} with spilled scalar ones, {sum(1 for g in got if g[5])} with scratch, "
              f"{sum(1 for g in got if g[8])} with matrix instructions in a loop")
    print(f"{len(names)} kernels for {len(rows)} rows, {len(bad)} failures ({version})")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
