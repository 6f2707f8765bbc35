/* SPDX-License-Identifier: Apache-2.0 */
/* flow.cl told a second time. */
#include "reference.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

REFERENCE(collatz) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint steps = 0;
        for (ulong x = (a[i] & 0xffff) + 1; x != 1; steps++) {
            x = x & 1 ? 3 * x + 1 : x / 2;
        }
        out[i] = steps;
    }
}

REFERENCE(gcds) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint x = a[i], y = b[i] | 1;
        while (y != 0) {
            uint r = x % y;
            x = y;
            y = r;
        }
        out[i] = x;
    }
}

REFERENCE(mandelbrot) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint k = 0;
        float cx = -2.0f + (float)(i & 31) * 0.09f, cy = -1.2f + (float)(i >> 5) * 0.075f, x = 0,
              y = 0;
        for (; k < 200 && x * x + y * y < 4.0f; k++) {
            float t = x * x - y * y + cx;
            y = 2.0f * x * y + cy;
            x = t;
        }
        out[i] = k;
    }
}

static uint tangled(uint x, uint sum, uint j, uint k) {
    switch ((x >> (k & 15)) % 6) {
    case 0:
        return sum + k;
    case 1:
        return sum ^ x;
    case 2:
        return sum << 3 | sum >> 29;
    case 3:
        return sum - j * k;
    }
    return sum * 3;
}
REFERENCE(tangle) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint x = a[i], sum = 0;
        for (uint j = 0; j < (x & 15); j++) {
            if ((x >> j & 7) == 3) {
                continue;
            }
            for (uint k = j;; k += 3) {
                sum = tangled(x, sum, j, k);
                if (k > 20 || sum % 11 == 5) {
                    break;
                }
            }
            if (sum % 17 == 3) {
                break;
            }
        }
        out[i] = sum;
    }
}

static uint placings(int row, uint columns, uint rising, uint falling, const int first[2]) {
    uint found = 0;
    if (row == 8) {
        return 1;
    }
    for (int c = 0; c < 8; c++) {
        uint up = 1u << (row + c), down = 1u << (row - c + 7);
        if ((row < 2 && first[row] != c) || (columns >> c & 1) || (rising & up) ||
            (falling & down)) {
            continue;
        }
        found += placings(row + 1, columns | 1u << c, rising | up, falling | down, first);
    }
    return found;
}
REFERENCE(queens) {
    UNUSED;
    for (int i = 0; i < 64; i++) {
        out[i] = placings(0, 0, 0, 0, (int[2]){i & 7, i >> 3});
    }
}

REFERENCE(crcs) {
    UNUSED;
    const uchar *bytes = (const uchar *)a;
    for (int i = 0; i < n; i++) {
        uint crc = ~0u;
        for (int k = 0; k < (i & 63); k++) {
            crc ^= bytes[i + k];
            for (int bit = 0; bit < 8; bit++) {
                crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
            }
        }
        out[i] = ~crc;
    }
}

static uint mixed(uint x, uint y, uint z) { return (x ^ y >> 3) * 0x85ebca6bu + z; }
static uint folded(uint x, uint y) {
    uint v[8];
    for (uint k = 0; k < 8; k++) {
        v[k] = mixed(x, y, k);
    }
    return mixed(v[x & 7], v[x >> 3 & 7], x) + mixed(v[y & 7], v[y >> 3 & 7], y);
}
REFERENCE(calls) {
    UNUSED;
    for (uint i = 0; i < (uint)n; i++) {
        uint x = a[i];
        for (uint k = 0; k < (i & 3) + 1; k++) {
            uint y = b[i] + k;
            x = x & 1 ? folded(x, y) + y : folded(y, folded(x, y));
        }
        out[i] = x + 128 + i / 128;
    }
}

REFERENCE(crowded) {
    UNUSED;
    for (int i = 0; i < n; i++) {
        uint v[96], sum = 0;
        for (uint k = 0; k < 96; k++) {
            v[k] = a[i + (int)k] * (k + 1);
        }
        for (uint r = 0; r < (b[i] & 7); r++) {
            uint at = (a[i] + r * 13) % 96;
            v[at] ^= v[(at + 7) % 96] + r;
            sum += v[(at * 5) % 96];
        }
        for (uint k = 0; k < 96; k++) {
            sum = sum * 31 + v[k];
        }
        out[i] = sum;
    }
}

/* ---- waves --------------------------------------------------------------------------------------
 */

static ulong odd_lanes(const uint *a, int base, int wave) {
    ulong odd = 0;
    for (int i = 0; i < wave; i++) {
        odd |= (ulong)(a[base + i] & 1) << i;
    }
    return odd;
}
/* The first lane of the wave whose second bit is as this one's. */
static uint first_alike(const uint *a, int base, int l) {
    int i = base;
    while ((a[i] & 2) != (a[l] & 2)) {
        i++;
    }
    return a[i];
}
REFERENCE(votes) {
    UNUSED;
    for (int l = 0; l < 128; l++) {
        int base = l & ~(wave - 1);
        ulong odd = odd_lanes(a, base, wave);
        out[l] = (uint)odd;
        out[128 + l] = (uint)(odd >> 32);
        out[256 + l] = ~0u;
        out[384 + l] = a[base];
        out[512 + l] = a[base + 5];
        out[640 + l] = (uint)(l - base);
        out[768 + l] = a[l] & 2 ? first_alike(a, base, l) : ~first_alike(a, base, l);
        out[896 + l] = (uint)wave;
    }
}

REFERENCE(exchanges) {
    UNUSED;
    for (int l = 0; l < 128; l++) {
        int base = l & ~(wave - 1), row = l & ~15, at = l & 15;
        uint *o = out + l;
        o[0] = a[base + (int)(b[l] & (uint)(wave - 1))];
        out[128 + base + (l * 7 & (wave - 1))] = a[l];
        o[256] = a[l ^ 1];
        o[384] = a[l ^ 16];
        o[512] = a[l ^ 3];
        o[640] = a[l & ~7];
        o[768] = a[l ^ 3];
        o[896] = at < 13 ? a[l + 3] : 99;
        o[1024] = at < 2 ? 0 : a[l - 2];
        o[1152] = a[row + (at + 11) % 16];
        o[1280] = (l - base) / 16 % 2 == 0 ? a[row + 15 - at] : 99;
        o[1408] = at < 8 ? a[row + 7 - at] : 99;
        o[1536] = l & 1 ? 0 : 7;
    }
}

REFERENCE(waves) {
    UNUSED;
    for (int base = 0; base < 128; base += wave) {
        uint sum = 0, turns = 0, done = 0;
        for (int l = base; l < base + wave; l++) {
            sum += a[l];
        }
        for (int l = base; l < base + wave; l++) {
            uint value = a[l] & 15;
            out[l] = sum;
            if (!(done >> value & 1)) {
                done |= 1u << value;
                turns++;
                for (int k = l; k < base + wave; k++) {
                    out[128 + k] = (a[k] & 15) == value ? value * 1000 + turns : out[128 + k];
                }
            }
        }
    }
}

const cl_case cl_flow[] = {
    {"collatz", collatz, {8, 1, 1}, {128, 1, 1}, 1024, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"gcds", gcds, {8, 1, 1}, {128, 1, 1}, 1024, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"mandelbrot", mandelbrot, {8, 1, 1}, {128, 1, 1}, 1024, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"tangle", tangle, {8, 1, 1}, {128, 1, 1}, 1024, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"queens", queens, {1, 1, 1}, {64, 1, 1}, 64, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"crcs", crcs, {8, 1, 1}, {128, 1, 1}, 1024, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"calls", calls, {8, 1, 1}, {128, 1, 1}, 1024, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"crowded", crowded, {1, 1, 1}, {128, 1, 1}, 128, FILL_WORDS, FILL_WORDS, AS_WORDS},
    {"votes", votes, {1, 1, 1}, {128, 1, 1}, 0, FILL_WORDS, FILL_LANES, AS_WORDS},
    {"exchanges", exchanges, {1, 1, 1}, {128, 1, 1}, 0, FILL_WORDS, FILL_LANES, AS_WORDS},
    {"waves", waves, {1, 1, 1}, {128, 1, 1}, 0, FILL_WORDS, FILL_LANES, AS_WORDS}};
const size_t cl_n_flow = sizeof cl_flow / sizeof *cl_flow;
