/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow, private memory, calls, tables; and words that go between lanes. */
#include "kernels.h"

#define KERNEL(name) kernel void name(global uint *out, global const uint *a, global const uint *b, int n)

KERNEL(collatz) {
    uint i = GLOBAL_ID, steps = 0;
    for (ulong x = (a[i] & 0xffff) + 1; x != 1; steps++) {
        x = x & 1 ? 3 * x + 1 : x / 2;
    }
    out[i] = steps;
}

KERNEL(gcds) {
    uint i = GLOBAL_ID, x = a[i], y = b[i] | 1;
    while (y != 0) {
        uint r = x % y;
        x = y;
        y = r;
    }
    out[i] = x;
}

KERNEL(mandelbrot) {
    uint i = GLOBAL_ID, k = 0;
    float cx = -2.0f + (float)(i & 31) * 0.09f, cy = -1.2f + (float)(i >> 5) * 0.075f, x = 0, y = 0;
    while (k < 200 && x * x + y * y < 4.0f) {
        float t = x * x - y * y + cx;
        y = 2.0f * x * y + cy;
        x = t;
        k++;
    }
    out[i] = k;
}

/* Loops within loops, breaks of both, a switch. */
KERNEL(tangle) {
    uint i = GLOBAL_ID, x = a[i], sum = 0;
    for (uint j = 0; j < (x & 15); j++) {
        if ((x >> j & 7) == 3) {
            continue;
        }
        for (uint k = j;; k += 3) {
            switch ((x >> (k & 15)) % 6) {
            case 0:
                sum += k;
                break;
            case 1:
                sum ^= x;
                break;
            case 2:
                sum = sum << 3 | sum >> 29;
                break;
            case 3:
                sum -= j * k;
                break;
            default:
                sum *= 3;
            }
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

/* Placings of eight queens whose first two stand where the lane's number says. */
KERNEL(queens) {
    uint i = GLOBAL_ID, found = 0;
    int at[8], row = 2;
    at[0] = (int)(i & 7);
    at[1] = (int)(i >> 3 & 7);
    at[2] = -1;
    if (i >= 64 || at[0] == at[1] || at[0] - at[1] == 1 || at[1] - at[0] == 1) {
        out[i] = 0;
        return;
    }
    while (row >= 2) {
        bool ok = ++at[row] < 8;
        if (!ok) {
            row--;
            continue;
        }
        for (int r = 0; r < row; r++) {
            int d = at[row] - at[r];
            ok = ok && d != 0 && d != row - r && d != r - row;
        }
        if (ok && row == 7) {
            found++;
        } else if (ok) {
            at[++row] = -1;
        }
    }
    out[i] = found;
}

constant uint table[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
                           0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                           0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};

/* CRC-32 of the first so many bytes, by a table in constant memory. */
KERNEL(crcs) {
    uint i = GLOBAL_ID, crc = ~0u;
    global const uchar *bytes = (global const uchar *)a;
    for (uint k = 0; k < (i & 63); k++) {
        crc ^= bytes[i + k];
        crc = table[crc & 15] ^ crc >> 4;
        crc = table[crc & 15] ^ crc >> 4;
    }
    out[i] = ~crc;
}

/* Calls that stay calls, four deep, with a stack. */
__attribute__((noinline)) static uint mixed(uint x, uint y, uint z) {
    return (x ^ y >> 3) * 0x85ebca6bu + z;
}
__attribute__((noinline)) static uint chosen(const uint *v, uint k) {
    return mixed(v[k & 7], v[k >> 3 & 7], k);
}
__attribute__((noinline)) static uint folded(uint x, uint y) {
    uint v[8];
    for (uint k = 0; k < 8; k++) {
        v[k] = mixed(x, y, k);
    }
    return chosen(v, x) + chosen(v, y);
}
__attribute__((noinline)) static uint twice(uint x, uint y) {
    return x & 1 ? folded(x, y) + y : folded(y, folded(x, y));
}

KERNEL(calls) {
    uint i = GLOBAL_ID, x = a[i];
    for (uint k = 0; k < (i & 3) + 1; k++) {
        x = twice(x, b[i] + k);
    }
    out[i] = x + SIZE(x) + GROUP(x);
}

/* More values than registers: 96 words of eight lanes' sums each. */
KERNEL(crowded) {
    uint i = ID(x), v[96], sum = 0;
    for (uint k = 0; k < 96; k++) {
        v[k] = a[i + k] * (k + 1);
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

/* ---- lanes: GFX11 is compiled for waves of 32, GFX9 has 64 */

#define W __builtin_amdgcn_wavefrontsize()

/* Of the first lane that is there, of lane 5, masks of lanes, and how many there are below. */
KERNEL(votes) {
    uint l = ID(x), x = a[l];
#ifdef __GFX11__
    ulong odd = __builtin_amdgcn_ballot_w32(x & 1), all = __builtin_amdgcn_ballot_w32(true);
#else
    ulong odd = __builtin_amdgcn_ballot_w64(x & 1), all = __builtin_amdgcn_ballot_w64(true);
#endif
    out[l] = (uint)odd;
    out[128 + l] = (uint)(odd >> 32);
    out[256 + l] = (uint)all;
    out[384 + l] = __builtin_amdgcn_readfirstlane(x);
    out[512 + l] = __builtin_amdgcn_readlane(x, 5);
    uint below = __builtin_amdgcn_mbcnt_lo(~0u, 0);
#ifndef __GFX11__
    below = __builtin_amdgcn_mbcnt_hi(~0u, below);
#endif
    out[640 + l] = below;
    if (x & 2) {
        out[768 + l] = __builtin_amdgcn_readfirstlane(x);
    } else {
        out[768 + l] = ~__builtin_amdgcn_readfirstlane(x);
    }
    out[896 + l] = W;
}

KERNEL(exchanges) {
    uint l = ID(x), x = a[l], k = 0;
#define PUT(v) out[k++ * 128 + l] = (v)
    PUT(__builtin_amdgcn_ds_bpermute((int)(b[l] << 2), (int)x));
    PUT(__builtin_amdgcn_ds_permute((int)((l * 7 & (W - 1)) << 2), (int)x));
    PUT(__builtin_amdgcn_ds_swizzle((int)x, 0x041f)); /* lane ^ 1 */
    PUT(__builtin_amdgcn_ds_swizzle((int)x, 0x401f)); /* lane ^ 16 */
    PUT(__builtin_amdgcn_ds_swizzle((int)x, 0x801b)); /* within four: 3 2 1 0 */
    PUT(__builtin_amdgcn_ds_swizzle((int)x, 0x0018)); /* lane & 24 */
    PUT(__builtin_amdgcn_update_dpp(99, (int)x, 0x1b, 0xf, 0xf, false));  /* quad_perm 3 2 1 0 */
    PUT(__builtin_amdgcn_update_dpp(99, (int)x, 0x103, 0xf, 0xf, false)); /* row_shl 3 */
    PUT(__builtin_amdgcn_update_dpp(99, (int)x, 0x112, 0xf, 0xf, true));  /* row_shr 2, zeros come in */
    PUT(__builtin_amdgcn_update_dpp(99, (int)x, 0x125, 0xf, 0xf, false)); /* row_ror 5 */
    PUT(__builtin_amdgcn_update_dpp(99, (int)x, 0x140, 0x5, 0xf, false)); /* row_mirror of rows 0 and 2 */
    PUT(__builtin_amdgcn_update_dpp(99, (int)x, 0x141, 0xf, 0x3, false)); /* row_half_mirror, banks 0 and 1 */
    uint even = 0;
    if (!(l & 1)) { /* nobody is there for the odd ones */
        even = __builtin_amdgcn_update_dpp(7, (int)x, 0xb1, 0xf, 0xf, false);
    }
    PUT(even);
}

/* Sums of a wave by words of other lanes; lane by lane, a word at a time, as scalars. */
KERNEL(waves) {
    uint l = ID(x), x = a[l], sum = x, turns = 0;
    for (uint s = 1; s < W; s *= 2) {
        sum += (uint)__builtin_amdgcn_ds_bpermute((int)((l ^ s) << 2), (int)sum);
    }
    out[l] = sum;
    for (uint todo = x & 15, more = 1; more;) { /* all lanes of one value at a time */
        uint first = __builtin_amdgcn_readfirstlane(todo);
        turns++;
        if (todo == first) {
            out[128 + l] = first * 1000 + turns;
            more = 0;
        }
    }
}
