# SPDX-License-Identifier: Apache-2.0
"""Arrays for edges.tg: TYPE_a.npy and TYPE_b.npy hold all pairs of a type's values at the edges, TYPE_1.npy single ones."""
import numpy as np

F32 = [0, 0x80000000, 1, 0x80000001, 0x7fffff, 0x800000, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001,
       0x7f7fffff, 0xff7fffff, 0x3f800000, 0xbf800000, 0x3f000000, 0xbf000000, 0x3fc00000, 0x40200000, 0xc0200000,
       0x4f000000, 0xcf000000, 0x4effffff, 0x4f800000, 0x5f000000, 0xdf000000, 0x5f800000, 0x477fefff, 0x477ff000,
       0x477fe000, 0x33000000, 0x33000001, 0x33800000, 0x38800000, 0x387fc000, 0x387fe000, 0x387fefff, 0x43e00000,
       0x43e80000, 0x43e7ffff, 0x43f00000, 0x3a800000, 0x3b000000, 0x3a800001, 0x3ac00000, 0x47600000, 0x47700000,
       0x476fffff, 0x3f808000, 0x3f818000, 0x3f808001, 0x7f7f8000, 0x7f7f7fff, 0x00008000, 0x00018000, 0x4b000001,
       0x43000000, 0xc3000000, 0x437f8000, 0x43700000, 0x43780000]
F64 = [0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, np.inf, -np.inf, np.nan, 1.7976931348623157e308, 1.0, -1.0,
       0.5, 1.5, 2.5, -2.5, 2147483647.5, 2147483648.0, -2147483648.9, -2147483649.0, 4294967295.5, 4294967296.0,
       9.223372036854775e18, 9.223372036854776e18, -9.223372036854776e18, 1.8446744073709552e19, 65519.99999, 65520.0,
       65504.0, 2**-25, 2**-25 * (1 + 2**-40), 2**-24, 2**-14, 3.4028235677973366e38, 3.4028235677973362e38, 1 + 2**-24,
       1 + 2**-24 + 2**-50, 1 + 2**-8, 1 + 2**-8 + 2**-40, 2**-149, 2**-150, 2**-150 * (1 + 2**-30), 448, 464,
       463.9999999, 2**-9, 2**-10, 2**-10 * (1 + 2**-45), 57344, 61440, 61439.999, 240, 248, 127.5, 128, -128.5, -129,
       255.5, 256]
HALF = [0, 0x8000, 1, 0x8001, 0x3ff, 0x400, 0x7c00, 0xfc00, 0x7e00, 0xfe00, 0x7c01, 0x7bff, 0xfbff, 0x3c00, 0xbc00,
        0x3800, 0x3e00, 0x4100, 0xc100, 0x7f80, 0xff80, 0x7fc0, 0x7f7f, 0x4f00, 0x5f00, 0xdf00]
# Integers whose conversions to floats are ties or nearly so.
TIES = {64: [(1 << 53) + 1, (1 << 53) + 3, (1 << 24) + 1, (1 << 40) + (1 << 16), (1 << 40) + (1 << 16) + 1,
             (1 << 62) + (1 << 38), (1 << 62) + (1 << 38) + 1, (1 << 62) - 1, 65519, 65520, 464, 465, 248, 2049, 61440],
        32: [(1 << 24) + 1, (1 << 24) + 3, (1 << 30) + 64, (1 << 30) + 65, 65519, 65520, 464, 465, 248, 2049, 2051, 257],
        16: [], 8: list(range(127))}


def save(name, single, pairs):
    np.save(name + "_1.npy", single)
    np.save(name + "_a.npy", np.repeat(pairs, len(pairs)))
    np.save(name + "_b.npy", np.tile(pairs, len(pairs)))


for bits in (8, 16, 32, 64):
    for letter in "iu":
        signed = letter == "i"
        low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
        v = {low, low + 1, high, high - 1, 0, 1, 2, 3, 7, bits - 1, bits, bits + 1, min(2 * bits, high), high // 2,
             high // 2 + 1, high // 3, high // 7}
        v |= {-1, -2, -bits, low // 2} if signed else set()
        v = np.array(sorted(v), "<%s%d" % (letter, bits // 8))
        ties = np.array(TIES[bits], v.dtype)
        save("%s%d" % (letter, bits), np.unique(np.concatenate([v, ties] + ([-ties] if signed else []))), v)
save("f32", np.array(F32, "<u4").view("<f4"), np.array(F32, "<u4").view("<f4"))
save("f64", np.array(F64), np.array(F64))
codes = np.arange(65536, dtype="<u2")
save("f16", codes.view("<f2"), np.array(HALF, "<u2").view("<f2"))
save("bf16", codes, np.array(HALF, "<u2"))
codes = np.arange(256, dtype="u1")
for name in ("f8e4m3", "f8e5m2", "f8e4m3fnuz", "f8e8m0"):
    save(name, codes, codes)
nibbles = np.arange(16, dtype="u1")
np.save("nibble_a.npy", np.repeat(codes, 16))
np.save("nibble_b.npy", np.tile(nibbles * 17, 256))
