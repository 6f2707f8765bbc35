#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""One row on each kernel of a cubin: registers, spills, and what its hot loop issues.

usage: tools/sass_row.py CUBIN [--kernel NAME] [--nvdisasm PATH] [--json]
                         [--max-registers N] [--max-spills N] [--max-barriers N] [--min-kflop X] [--min-depth N]

The hot loop is the innermost one with matrix instructions (the one of most matrix work where there are several):
  kFLOP     work of a warpgroup (four warps) in one iteration by its instructions that are no matrix instructions, on the
            shortest way through the loop that does all the work: a trip without side roads (masks of the diagonal)
  BAR       barriers of the block in the loop
  depth     matrix groups that may be outstanding at the loop's last wait; - where the machine has none (mma.sync)
  MUFU      special functions
  spills    loads and stores of local memory in the whole kernel, and in the loop
With limits given, a kernel beyond one fails the command. nvdisasm comes from --nvdisasm, $NVDISASM, the search path,
/usr/local/cuda/bin or PyPI's nvidia-cuda-nvdisasm.
"""
import argparse
import collections
import glob
import json
import os
import re
import shutil
import struct
import subprocess
import sys

LINE = re.compile(r"/\*[0-9a-f]+\*/\s+(?:\{\s*)?(?:(@!?U?P\w+)\s+)?([A-Z][A-Za-z0-9_.]*)\s*(.*?)\s*;")
LABEL = re.compile(r"^(\.L\w+):")
TARGET = re.compile(r"`\((\.L\w+)\)")
SHAPED = re.compile(r"^[A-Z]+GMMA\.(?:SP\.)?(\d+)x(\d+)x(\d+)")
WARP = re.compile(r"^(?:HMMA|IMMA|QMMA|DMMA|BMMA)\.(?:SP\.)?(\d+)")
SIZED, REGCOUNT = 4, 0x2F  # of .nv.info
WARP_SHAPES = {"884": (8, 8, 4), "1684": (16, 8, 4), "1688": (16, 8, 8), "16816": (16, 8, 16), "16832": (16, 8, 32),
               "16864": (16, 8, 64), "8816": (8, 8, 16), "8832": (8, 8, 32), "168128": (16, 8, 128)}


def find_nvdisasm(named):
    places = [named, os.environ.get("NVDISASM"), shutil.which("nvdisasm"), "/usr/local/cuda/bin/nvdisasm"]
    for folder in sys.path:
        places += glob.glob(os.path.join(folder, "nvidia", "*", "bin", "nvdisasm"))
    return next((p for p in places if p and os.path.isfile(p)), None)


def sections(data):
    """{name: bytes} of an ELF file of 64 bits."""
    if data[:5] != b"\x7fELF\x02":
        sys.exit("no cubin")
    at, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", data, at + i * size) for i in range(count)]
    text = heads[names][4]
    return {data[text + h[0]:data.index(b"\0", text + h[0])].decode(): data[h[4]:h[4] + h[5]] for h in heads}


def registers(path):
    """{kernel: registers}: the records REGCOUNT of .nv.info, each a symbol's number and a count."""
    parts = sections(open(path, "rb").read())
    info, found, at = parts.get(".nv.info", b""), {}, 0
    while at + 4 <= len(info):
        form, attribute, size = struct.unpack_from("<BBH", info, at)
        at += 4
        if form == SIZED and attribute == REGCOUNT:
            symbol, count = struct.unpack_from("<II", info, at)
            name, = struct.unpack_from("<I", parts[".symtab"], symbol * 24)
            found[parts[".strtab"][name:parts[".strtab"].index(b"\0", name)].decode()] = count
        at += size if form == SIZED else 0
    return found


def disassemble(tool, path):
    """{kernel: [(predicate, mnemonic, operands) or a label's name]}."""
    out = subprocess.run([tool, "-c", path], check=True, capture_output=True, text=True).stdout
    code, kernel = {}, None
    for line in out.splitlines():
        section = re.match(r"\s*\.section\s+\.text\.([\w$.]+),", line)
        kernel = section.group(1) if section else kernel
        label, insn = LABEL.match(line), LINE.search(line)
        if kernel and label:
            code.setdefault(kernel, []).append(label.group(1))
        elif kernel and insn:
            code.setdefault(kernel, []).append(insn.groups())
    return code


def flops(mnemonic):
    """Matrix work of one instruction for a warpgroup; 0: it is no matrix instruction."""
    wide, warp = SHAPED.match(mnemonic), WARP.match(mnemonic)
    if wide:
        m, n, k = map(int, wide.groups())
        return 2 * m * n * k
    if warp and warp.group(1) in WARP_SHAPES:
        m, n, k = WARP_SHAPES[warp.group(1)]
        return 4 * 2 * m * n * k
    return 0


def loops(code):
    """Spans of backward branches, none of which holds another with matrix work."""
    at = {c: i for i, c in enumerate(code) if isinstance(c, str)}
    spans = set()
    for i, c in enumerate(code):
        target = TARGET.search(c[2]) if not isinstance(c, str) and c[1].startswith("BRA") else None
        if target and at.get(target.group(1), i) < i:
            spans.add((at[target.group(1)], i))
    def work(s):
        return sum(flops(c[1]) for c in code[s[0]:s[1]] if not isinstance(c, str))
    busy = [s for s in spans if work(s)]
    inner = [s for s in busy if not any(o != s and s[0] <= o[0] and o[1] <= s[1] for o in busy)]
    # code moved out of a loop jumps back into it from afar: of loops with the same work the shortest is one
    inner.sort(key=lambda s: (-work(s), s[1] - s[0]))
    return inner


def shortest_way(code, head, tail):
    """Instructions on the way from a loop's head back to it that does the most matrix work with the fewest others: what a
    trip executes that takes no side road (masks of the diagonal, another function of the logits)."""
    at = {c: i for i, c in enumerate(code) if isinstance(c, str)}
    best, came, work, seen = {head: (0, 0)}, {}, collections.deque([head]), collections.Counter()
    end = (None, None)
    while work:
        i = work.popleft()
        c, (done, others) = code[i], best[i]
        following, target = [i + 1], None
        if not isinstance(c, str):
            n = flops(c[1]) if head <= i <= tail else 0  # other loops are no part of the trip
            done, others = done - n, others + (0 if n or c[1].startswith("NOP") else 1)
            target = TARGET.search(c[2]) if c[1].startswith("BRA") else None
            sure = c[0] is None and not re.match(r"!?U?P\d", c[2])
            if (target or c[1].startswith("EXIT")) and sure:
                following = []
            if target and target.group(1) in at:
                following.append(at[target.group(1)])
        for j in following:
            if j == head:
                end = ((done, others), i) if end[0] is None or (done, others) < end[0] else end
            elif j < len(code) and (j not in best or (done, others) < best[j]) and seen[j] < 50:
                best[j], came[j] = (done, others), i
                seen[j] += 1
                work.append(j)
    way, i = [], end[1]
    while i is not None and len(way) <= len(code):
        way += [] if isinstance(code[i], str) else [code[i]]
        i = came.get(i)
    return way[::-1]


def is_spill(c):
    return c[1].startswith(("STL", "LDL"))


def row_of(code, regs):
    plain = [c for c in code if not isinstance(c, str)]
    row = {"registers": regs, "spills": sum(map(is_spill, plain)), "loop": None}
    found = loops(code)
    if not found:
        return row
    body = [c for c in code[found[0][0]:found[0][1] + 1] if not isinstance(c, str)]
    hot = shortest_way(code, *found[0])
    matrix = [c for c in hot if flops(c[1])]
    others = [c for c in hot if not flops(c[1]) and not c[1].startswith("NOP")]
    waits = [int(m.group(1), 0) for c in hot if c[1].startswith("WARPGROUP.DEPBAR")
             for m in [re.search(r"gsb\d+, (0x[0-9a-f]+)", c[2])] if m]
    work = sum(flops(c[1]) for c in matrix)
    row.update(loop=len(hot), body=len(body), matrix=len(matrix), unit=matrix[0][1], kflop=round(work / 1000 / max(len(others), 1), 1),
               bar=sum(c[1].startswith("BAR.") for c in hot), depth=waits[-1] if waits else None,
               mufu=sum(c[1].startswith("MUFU") for c in hot), loop_spills=sum(map(is_spill, body)),
               mix=dict(collections.Counter(c[1].split(".")[0] for c in others).most_common(8)))
    return row


def text_of(name, r):
    text = f"{name}: {r['registers']} regs, {r['spills']} spills"
    if r["loop"] is None:
        return text + ", no loop with matrix instructions"
    depth = "-" if r["depth"] is None else r["depth"]
    mix = " ".join(f"{k}:{v}" for k, v in r["mix"].items())
    return (f"{text}, {r['kflop']} kFLOP, {r['bar']} BAR, depth {depth}, {r['mufu']} MUFU, {r['loop_spills']} spills in "
            f"the loop, {r['matrix']} x {r['unit']} of {r['loop']}"
            f"{'' if r['body'] == r['loop'] else ' on the shortest way through ' + str(r['body'])}\n    {mix}")


def beyond(o, r):
    """The limits that a row breaks. Those of the loop ask for one."""
    bad = []
    if o.max_registers is not None and r["registers"] > o.max_registers:
        bad.append(f"more than {o.max_registers} registers")
    if o.max_spills is not None and r["spills"] > o.max_spills:
        bad.append(f"more than {o.max_spills} spills")
    wanted = [x is not None for x in (o.max_barriers, o.min_kflop, o.min_depth)]
    if r["loop"] is None:
        return bad + (["no loop with matrix instructions"] if any(wanted) else [])
    if wanted[0] and r["bar"] > o.max_barriers:
        bad.append(f"more than {o.max_barriers} BAR")
    if wanted[1] and r["kflop"] < o.min_kflop:
        bad.append(f"less than {o.min_kflop} kFLOP")
    if wanted[2] and (r["depth"] or 0) < o.min_depth:
        bad.append(f"depth below {o.min_depth}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cubin")
    parser.add_argument("--kernel")
    parser.add_argument("--nvdisasm")
    parser.add_argument("--json", action="store_true")
    for limit in ("--max-registers", "--max-spills", "--max-barriers", "--min-depth"):
        parser.add_argument(limit, type=int)
    parser.add_argument("--min-kflop", type=float)
    o = parser.parse_args()
    tool = find_nvdisasm(o.nvdisasm)
    if tool is None:
        print("no nvdisasm: pip install nvidia-cuda-nvdisasm, or name one by --nvdisasm or $NVDISASM", file=sys.stderr)
        return 77
    regs, failed = registers(o.cubin), False
    rows = {k: row_of(code, regs.get(k, 0)) for k, code in disassemble(tool, o.cubin).items()
            if o.kernel in (None, k)}
    if not rows:
        sys.exit(f"{o.cubin}: no kernel" + (f" {o.kernel}" if o.kernel else ""))
    if o.json:
        print(json.dumps(rows))
    for name, row in rows.items():
        if not o.json:
            print(text_of(name, row))
        for why in beyond(o, row):
            failed = True
            print(f"{name}: {why}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
