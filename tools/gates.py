#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The kernels that are judged by their machine code on sm_90a: what ptxas makes of them, beside what is asked of them.

usage: tools/gates.py TEGULA [--filter WORD] [--ptxas PATH] [--nvdisasm PATH] [--write FILE | --compare FILE]

A row is a kernel at the settings given below, built, assembled and read by tools/sass_row.py (which says what the columns
mean). --write makes a page of it; --compare fails where a kernel has become worse than the kept page says (more registers,
spills or barriers, less work by other instruction, less under way) or ptxas says that it put products in order (C7508,
C7510 to C7514, C7517). A page of another release of ptxas is not compared.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import sass_row
from registers import SERIAL, version_of

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SLACK = 0.97  # of kFLOP: releases of LLVM move an instruction or two

# Name, file, kernel, settings, what is asked, the best that others have (kFLOP; read off their own code the same way).
# Asked for: (registers, spills, kFLOP, BAR, depth); None: nothing is.
GATES = [
    ("GEMM bf16 128x256x64", "kernels/gemm/gemm.tg", "matmul", "T=bf16 BM=128 BN=256 BK=64", (168, 0, 60, 0, 1),
     "CUTLASS 46.6"),
    ("GEMM bf16 128x256x64, b by rows", "kernels/gemm/gemm.tg", "linear", "T=bf16 BM=128 BN=256 BK=64",
     (168, 0, 60, 0, 1), "CUTLASS 46.6"),
    ("GEMM fp8 128x256x128, `@ fast`", "tests/cuda/gates.tg", "gemm_fp8_fast", "T=bf16", (168, 0, 80, 0, 1),
     "CUTLASS 93.2"),
    ("GEMM fp8 128x128x128, promoted", "tests/cuda/gates.tg", "gemm_fp8", "T=bf16", (None, 0, 20, 0, None), ""),
    ("GEMM fp8, block scales, promoted", "kernels/gemm/blocks.tg", "gemm_fp8", "T=bf16 B=128", (None, 0, 20, 0, None),
     "DeepGEMM 19.7"),
    ("grouped GEMM bf16", "kernels/gemm/grouped.tg", "grouped_linear", "T=bf16 ALIGN=128 BN=256 BK=64",
     (168, 0, 60, 0, 1), ""),
    ("grouped GEMM fp8, block scales", "kernels/gemm/grouped.tg", "grouped_fp8", "T=bf16 B=128 ALIGN=128",
     (None, 0, 20, 0, None), "DeepGEMM 19.6"),
    ("flash attention d128", "kernels/attention/attention.tg", "flash_attention", "T=bf16 D=128 E=128",
     (None, 0, 9.5, 0, 1), "FA3 10.0"),
    ("MLA decode 512+64", "kernels/mla/mla.tg", "mla_decode", "T=bf16 HK=1 BS=64", (None, 0, 18, 2, None),
     "FlashMLA 11.6"),
    ("sparse MLA", "kernels/sparse/sparse.tg", "sparse_prefill", "T=bf16 D=576 E=512", (None, 0, 11, None, None),
     "FlashMLA 12.3"),
]
HEAD = """# Kernels judged by their machine code

Made by `./dev gates` (tools/gates.py); {version}, sm_90a. Static figures: nothing here ran on a GPU. kFLOP: matrix work of four warps in one trip of
the hot loop by its instructions that are none, on the shortest way through it that does all the work (masks of the diagonal and other functions of the logits
stand aside); BAR: barriers of the block in it; depth: matrix groups under way at its wait.

| kernel | settings | registers | spills | kFLOP | BAR | depth | matrix of all in the loop | asked for | the best of others |
|---|---|---|---|---|---|---|---|---|---|
"""


def measure(o, file, kernel, settings, work):
    """The kernel's row; a string: why there is none."""
    ptx, cubin = os.path.join(work, "k.ptx"), os.path.join(work, "k.cubin")
    command = [o.tegula, "build", os.path.join(ROOT, file), "--kernel", kernel, "--target", "sm_90a", "--emit", "ptx",
               "-o", ptx]
    for s in settings.split():
        command += ["--set", s]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        return "does not build: " + made.stderr.strip()[:200]
    done = subprocess.run([o.ptxas, "-v", "-arch=sm_90a", ptx, "-o", cubin], capture_output=True, text=True)
    log = done.stdout + done.stderr
    if done.returncode or SERIAL.search(log):
        return "ptxas: " + next((x for x in log.splitlines() if "error" in x or SERIAL.search(x)), log)[:200]
    regs = sass_row.registers(cubin)
    rows = [sass_row.row_of(code, regs.get(k, 0)) for k, code in sass_row.disassemble(o.nvdisasm, cubin).items()]
    with_loop = [r for r in rows if r["loop"]]
    return max(with_loop, key=lambda r: r["kflop"]) if with_loop else "no loop with matrix instructions"


def asked_for(row, gate):
    """(the gate in words, what of it is not reached)."""
    names = ("registers", "spills", "kflop", "bar", "depth")
    words, short = [], []
    for name, limit in zip(names, gate):
        if limit is None:
            continue
        least = name in ("kflop", "depth")
        words.append(f"{'>=' if least else '<='} {limit} {'kFLOP' if name == 'kflop' else name}")
        have = row[name] or 0
        if have < limit if least else have > limit:
            short.append(f"{have} {'kFLOP' if name == 'kflop' else name}")
    return ", ".join(words), ", ".join(short)


def line_of(entry, row):
    name, _, kernel, settings, gate, best = entry
    if isinstance(row, str):
        return f"| {name} | `{kernel}` {settings} | {row} | | | | | | **not reached** | {best} |"
    words, short = asked_for(row, gate)
    depth = "-" if row["depth"] is None else row["depth"]
    verdict = f"{words}: " + (f"**not reached** ({short})" if short else "reached")
    return (f"| {name} | `{kernel}` {settings} | {row['registers']} | {row['spills']} | {row['kflop']} | {row['bar']} | "
            f"{depth} | {row['matrix']} x {row['unit']} of {row['loop']} | {verdict} | {best} |")


def kept_rows(path):
    """({name: (registers, spills, kFLOP, BAR, depth)}, the assembler's release)."""
    text = open(path, encoding="utf-8").read()
    release = re.search(r"ptxas [\d.]+", text)
    rows = {}
    for line in text.splitlines():
        cells = [c.strip() for c in line.split("|")[1:-1]]
        if len(cells) == 10 and re.fullmatch(r"\d+", cells[2]):
            rows[cells[0]] = (int(cells[2]), int(cells[3]), float(cells[4]), int(cells[5]),
                              int(cells[6]) if cells[6] != "-" else 0)
    return rows, release.group(0) if release else None


def worse(name, row, kept):
    if name not in kept:
        return []
    if isinstance(row, str):
        return [row]
    regs, spills, kflop, bar, depth = kept[name]
    bad = [f"{row[k]} {k}, {v} in the page" for k, v in (("registers", regs), ("spills", spills), ("bar", bar))
           if row[k] > v]
    bad += [f"{row['kflop']} kFLOP, {kflop} in the page"] if row["kflop"] < kflop * SLACK else []
    return bad + ([f"depth {row['depth']}, {depth} in the page"] if (row["depth"] or 0) < depth else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tegula")
    for option in ("--filter", "--ptxas", "--nvdisasm", "--write", "--compare"):
        parser.add_argument(option)
    o = parser.parse_args()
    o.ptxas = o.ptxas or "ptxas"
    o.nvdisasm = sass_row.find_nvdisasm(o.nvdisasm)
    if o.nvdisasm is None:
        print("no nvdisasm: pip install nvidia-cuda-nvdisasm, or name one by --nvdisasm or $NVDISASM", file=sys.stderr)
        return 77
    version = version_of(o.ptxas)
    kept, release = kept_rows(o.compare) if o.compare else ({}, None)
    text, failed = HEAD.format(version=version), False
    with tempfile.TemporaryDirectory() as work:
        for entry in GATES:
            if o.filter and o.filter not in entry[0]:
                continue
            row = measure(o, *entry[1:4], work)
            print(line_of(entry, row), flush=True)
            text += line_of(entry, row) + "\n"
            for why in worse(entry[0], row, kept) if release == version else []:
                failed = True
                print(f"{entry[0]}: {why}", file=sys.stderr)
    if o.write:
        with open(o.write, "w", encoding="utf-8") as f:
            f.write(text)
    if o.compare and release != version:
        print(f"{o.compare} is of {release}, this is {version}: not compared")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
