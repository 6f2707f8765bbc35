#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two links of one AMDGPU object: compare_link.py OBJECT OURS THEIRS. The loaded bytes of every section must be the
same but for relocated places, and those must lead to the same byte of the same section; so must all dynamic symbols,
found through the hash table too, and no relocation may be left. ld.lld puts constants of several sections into one, so
of those it is their bytes that must be the same."""
import struct
import sys

KINDS = {5: (8, "<q"), 10: (4, "<I"), 11: (4, "<I")}


class Elf:
    def __init__(self, path):
        self.data = open(path, "rb").read()
        self.flags, = struct.unpack_from("<I", self.data, 48)
        self.ident = self.data[:16]
        at, = struct.unpack_from("<Q", self.data, 40)
        n, names = struct.unpack_from("<HH", self.data, 60)
        rows = [struct.unpack_from("<IIQQQQIIQQ", self.data, at + 64 * i) for i in range(n)]
        self.sections = [dict(zip("name type flags address offset size link info align each".split(), r)) for r in rows]
        for s in self.sections:
            s["name"] = self.text(rows[names][4] + s["name"])

    def text(self, at):
        return self.data[at:self.data.index(b"\0", at)].decode()

    def find(self, name):
        return next((s for s in self.sections if s["name"] == name), None)

    def bytes_of(self, s):
        return bytearray(self.data[s["offset"]:s["offset"] + s["size"]])

    def symbols(self, kind):
        table = next(s for s in self.sections if s["type"] == kind)
        names = self.sections[table["link"]]["offset"]
        for at in range(table["offset"], table["offset"] + table["size"], 24):
            name, info, other, where, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            yield {"name": self.text(names + name), "info": info, "other": other, "section": where, "value": value,
                   "size": size}

    def place(self, address):
        """(section's name, offset in it) of an address of the linked file."""
        for s in self.sections:
            if s["flags"] & 2 and s["address"] <= address < s["address"] + s["size"]:
                return s["name"], address - s["address"]
        raise SystemExit(f"address {address:#x} is in no section")

    def constants(self, place, size):
        """What lies there, where that is constants: of sections that a linker may have joined."""
        name, offset = place
        return self.bytes_of(self.find(name))[offset:offset + size] if name.startswith(".rodata") and size else place

    def exports(self):
        return {s["name"]: (self.place(s["value"]), s["info"], s["other"], s["size"])
                for s in self.symbols(11) if s["name"]}

    def hashed(self, name):
        """Is the symbol found as a loader finds it?"""
        table, symbols = self.find(".hash"), list(self.symbols(11))
        h = 0
        for c in name.encode():
            h = (h << 4) + c
            high = h & 0xF0000000
            h = (h ^ high >> 24) & ~high & 0xFFFFFFFF
        words = struct.unpack_from(f"<{table['size'] // 4}I", self.data, table["offset"])
        at = words[2 + h % words[0]]
        while at:
            if symbols[at]["name"] == name:
                return True
            at = words[2 + words[0] + at]
        return False


def relocations(obj):
    """(section's name, offset, kind, symbol, addend)"""
    symbols = list(obj.symbols(2))
    for s in obj.sections:
        if s["type"] == 4 and obj.sections[s["info"]]["flags"] & 2:
            for at in range(s["offset"], s["offset"] + s["size"], 24):
                offset, info, addend = struct.unpack_from("<QQq", obj.data, at)
                yield obj.sections[s["info"]]["name"], offset, info & 0xFFFFFFFF, symbols[info >> 32], addend


def leads_to(linked, obj, r, low):
    """Where a relocated place leads, as its formula S + A - P says it. low: what the lower half holds elsewhere."""
    name, offset, kind, _, addend = r
    s = linked.find(name)
    width, form = KINDS[kind]
    value, = struct.unpack_from(form, linked.data, s["offset"] + offset)
    if kind == 11:
        value = struct.unpack("<q", struct.pack("<II", low, value))[0]
    elif kind == 10:
        value = struct.unpack("<i", struct.pack("<I", value))[0]
    return linked.place(value - addend + s["address"] + offset), width


def main():
    obj, ours, theirs = (Elf(p) for p in sys.argv[1:4])
    bad = []
    if (ours.flags, ours.ident) != (theirs.flags, theirs.ident):
        bad.append(f"header: {ours.flags:#x} {ours.ident} and {theirs.flags:#x} {theirs.ident}")
    masked = {}
    found = 0
    for r in relocations(obj):
        if r[2] not in KINDS:
            raise SystemExit(f"relocation {r[2]}")
        if r[2] == 11:  # of an address that lies near: the sign of the lower half
            places = []
            for linked in (ours, theirs):
                s = linked.find(r[0])
                value, = struct.unpack_from("<I", linked.data, s["offset"] + r[1])
                places.append(value)
            if not set(places) <= {0, 0xFFFFFFFF}:
                bad.append(f"{r[0]}+{r[1]:#x}: upper halves {places}")
            width = 4
        else:
            (a, width), (b, _) = leads_to(ours, obj, r, 0), leads_to(theirs, obj, r, 0)
            size = r[3]["size"] if r[3]["info"] & 15 != 2 else 0
            if ours.constants(a, size) != theirs.constants(b, size):
                bad.append(f"{r[0]}+{r[1]:#x} leads to {a} and {b}")
        masked.setdefault(r[0], []).append((r[1], width))
        found += 1
    for s in obj.sections:
        if not s["flags"] & 2 or s["size"] == 0 or s["name"].startswith(".rodata."):
            continue
        pair = []
        for linked in (ours, theirs):
            t = linked.find(s["name"])
            if t is None or t["flags"] & 7 != s["flags"] & 7 or t["address"] % max(1, s["align"]):
                bad.append(f"section {s['name']} is not as in the object")
                continue
            data = linked.bytes_of(t)[:s["size"]]
            for at, width in masked.get(s["name"], []):
                data[at:at + width] = bytes(width)
            pair.append(bytes(data))
        if len(pair) == 2 and pair[0] != pair[1]:
            bad.append(f"section {s['name']}: other bytes")
    if ours.exports() != theirs.exports():
        bad.append(f"symbols {ours.exports()} and {theirs.exports()}")
    bad += [f"{name} is not in the hash table" for name in ours.exports() if not ours.hashed(name)]
    bad += ["a relocation is left" for s in ours.sections if s["type"] in (4, 9)]
    for line in bad:
        print(line)
    print(f"{len(ours.exports())} symbols, {found} relocations, {len(bad)} differences")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
