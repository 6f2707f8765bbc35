/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: LDS, barriers, atomics, ids, memory of every kind. */
#include "kernels.h"

#define KERNEL(name) kernel void name(global uint *out, global const uint *a, global const uint *b, int n)

KERNEL(reversed) {
    local uint t[256];
    uint l = ID(x);
    t[l] = a[GROUP(x) * 256 + l];
    barrier();
    out[GROUP(x) * 256 + l] = t[255 - l];
}

KERNEL(tree_sum) {
    local uint t[256];
    uint l = ID(x);
    t[l] = a[GROUP(x) * 512 + l] ^ a[GROUP(x) * 512 + 256 + l];
    for (uint s = 128; s > 0; s /= 2) {
        barrier();
        if (l < s) {
            t[l] += t[l + s];
        }
    }
    if (l == 0) {
        out[GROUP(x)] = t[0];
    }
}

/* Sums of all words up to each. */
KERNEL(scanned) {
    local uint t[2][256];
    uint l = ID(x), from = 0;
    t[0][l] = a[l];
    barrier();
    for (uint s = 1; s < 256; s *= 2) {
        t[1 - from][l] = t[from][l] + (l >= s ? t[from][l - s] : 0);
        from = 1 - from;
        barrier();
    }
    out[l] = t[from][l];
}

/* A matrix of 64 columns, tile by tile of 16 x 16 lanes. */
KERNEL(transposed) {
    local uint t[16][17];
    uint x = ID(x), y = ID(y), col = GROUP(x) * 16, row = GROUP(y) * 16;
    t[y][x] = a[(row + y) * 64 + col + x];
    barrier();
    out[(col + y) * 16 * ((constant uint *)__builtin_amdgcn_implicitarg_ptr())[1] + row + x] = t[x][y];
}

KERNEL(sorted) {
    local uint t[256];
    uint l = ID(x);
    t[l] = a[GROUP(x) * 256 + l];
    for (uint k = 2; k <= 256; k *= 2) {
        for (uint j = k / 2; j > 0; j /= 2) {
            barrier();
            uint o = l ^ j;
            if (o > l && (t[l] > t[o]) == ((l & k) == 0)) {
                uint v = t[l];
                t[l] = t[o];
                t[o] = v;
            }
        }
    }
    barrier();
    out[GROUP(x) * 256 + l] = t[l];
}

/* 32 x 32 floats; a group has a block of 16 x 16. */
KERNEL(product) {
    local float s[16][16], t[16][16];
    global const float *p = (global const float *)a, *q = (global const float *)b;
    uint x = ID(x), y = ID(y), col = GROUP(x) * 16 + x, row = GROUP(y) * 16 + y;
    float sum = 0;
    for (uint k = 0; k < 32; k += 16) {
        s[y][x] = p[row * 32 + k + x];
        t[y][x] = q[(k + y) * 32 + col];
        barrier();
        for (uint j = 0; j < 16; j++) {
            sum = __builtin_fmaf(s[y][j], t[j][x], sum);
        }
        barrier();
    }
    ((global float *)out)[row * 32 + col] = sum;
}

KERNEL(histogram) {
    local uint t[64];
    uint l = ID(x);
    if (l < 64) {
        t[l] = 0;
    }
    barrier();
    for (uint i = l; i < 1024; i += 128) {
        __opencl_atomic_fetch_add((local atomic_uint *)&t[a[i] & 63], 1u, memory_order_relaxed, memory_scope_work_group);
    }
    barrier();
    if (l < 64) {
        __opencl_atomic_fetch_add((global atomic_uint *)&out[l], t[l], memory_order_relaxed, memory_scope_device);
    }
}

/* Every number that a lane can know: ids, sizes, counts; by registers, by the packet of the dispatch and by hidden
 * arguments. */
KERNEL(ids) {
    uint l = ID(x) + SIZE(x) * (ID(y) + SIZE(y) * ID(z));
    uint g = GROUP(x) + 3 * (GROUP(y) + 2 * GROUP(z));
    global uint *o = out + 10 * (g * 60 + l);
    constant uint *packet = (constant uint *)__builtin_amdgcn_dispatch_ptr();
    constant uint *hidden = (constant uint *)__builtin_amdgcn_implicitarg_ptr();
    o[0] = ID(x) | ID(y) << 8 | ID(z) << 16;
    o[1] = GROUP(x) | GROUP(y) << 8 | GROUP(z) << 16;
    o[2] = SIZE(x) | SIZE(y) << 8 | SIZE(z) << 16;
    o[3] = __builtin_amdgcn_grid_size_x();
    o[4] = __builtin_amdgcn_grid_size_y() | __builtin_amdgcn_grid_size_z() << 16;
    o[5] = packet[1] & 0xffff;
    o[6] = hidden[0] | hidden[1] << 8 | hidden[2] << 16;
    o[7] = hidden[3];
    o[8] = hidden[4] & 0xffff;
    o[9] = (uint)n;
}

/* One word each; results too, in an order that does not matter where every lane adds its own bit. */
KERNEL(atomics) {
    uint i = GLOBAL_ID, x = a[i];
#define AT(k) ((global atomic_uint *)&out[k])
#define AT_INT(k) ((global atomic_int *)&out[k])
#define AT_LONG(k) ((global atomic_ulong *)&out[k])
#define HOW memory_order_relaxed, memory_scope_device
    __opencl_atomic_fetch_add(AT(0), x, HOW);
    __opencl_atomic_fetch_sub(AT(1), x, HOW);
    __opencl_atomic_fetch_min(AT(2), x, HOW);
    __opencl_atomic_fetch_max(AT(3), x, HOW);
    __opencl_atomic_fetch_min(AT_INT(4), (int)x, HOW);
    __opencl_atomic_fetch_max(AT_INT(5), (int)x, HOW);
    __opencl_atomic_fetch_and(AT(6), x | 0xff0000ff, HOW);
    __opencl_atomic_fetch_or(AT(7), x & 0xf0f0, HOW);
    __opencl_atomic_fetch_xor(AT(8), x, HOW);
    __opencl_atomic_fetch_add(AT_LONG(10), (ulong)x << 20, HOW);
    __opencl_atomic_fetch_max(AT_LONG(12), (ulong)x << 20, HOW);
    __opencl_atomic_fetch_xor(AT_LONG(14), (ulong)x << 31, HOW);
    uint place = __opencl_atomic_fetch_add(AT(16), 1u, memory_order_acq_rel, memory_scope_device);
    out[64 + place] = 1;
    uint old = __opencl_atomic_load(AT(17), HOW);
    while (!__opencl_atomic_compare_exchange_weak(AT(17), &old, old * 3 + 1, memory_order_seq_cst, memory_order_relaxed,
                                                  memory_scope_all_svm_devices)) {
    }
    __opencl_atomic_fetch_add((global atomic_float *)&out[18], (float)(x & 255), HOW);
    __opencl_atomic_fetch_add((global atomic_double *)&out[20], (double)(x & 255), HOW);
    __builtin_amdgcn_atomic_inc32(&out[22], 100, __ATOMIC_RELAXED, "agent");
    __builtin_amdgcn_atomic_dec32(&out[23], 100, __ATOMIC_RELAXED, "agent");
    __opencl_atomic_store(AT(1088 + i), __opencl_atomic_exchange(AT(1088 + i), x, HOW) + 1, memory_order_release,
                          memory_scope_device);
}

KERNEL(local_atomics) {
    local uint __attribute__((aligned(8))) t[32];
    uint l = ID(x), x = a[l];
    if (l < 32) {
        t[l] = l == 2 || l == 6 ? ~0u : 0;
    }
    barrier();
#undef AT
#undef AT_INT
#undef AT_LONG
#undef HOW
#define AT(k) ((local atomic_uint *)&t[k])
#define AT_INT(k) ((local atomic_int *)&t[k])
#define AT_LONG(k) ((local atomic_ulong *)&t[k])
#define HOW memory_order_relaxed, memory_scope_work_group
    __opencl_atomic_fetch_add(AT(0), x, HOW);
    __opencl_atomic_fetch_sub(AT(1), x, HOW);
    __opencl_atomic_fetch_min(AT(2), x, HOW);
    __opencl_atomic_fetch_max(AT(3), x, HOW);
    __opencl_atomic_fetch_min(AT_INT(4), (int)x, HOW);
    __opencl_atomic_fetch_max(AT_INT(5), (int)x, HOW);
    __opencl_atomic_fetch_and(AT(6), x | 0xff0000ff, HOW);
    __opencl_atomic_fetch_or(AT(7), x & 0xf0f0, HOW);
    __opencl_atomic_fetch_xor(AT(8), x, HOW);
    __opencl_atomic_fetch_add(AT_LONG(10), (ulong)x << 20, HOW);
    __opencl_atomic_fetch_max(AT_LONG(12), (ulong)x << 20, HOW);
    uint old = __opencl_atomic_load(AT(13 + 4), HOW);
    while (!__opencl_atomic_compare_exchange_strong(AT(17), &old, old * 3 + 1, memory_order_acq_rel,
                                                    memory_order_relaxed, memory_scope_work_group)) {
    }
    __opencl_atomic_fetch_add((local atomic_float *)&t[18], (float)(x & 255), HOW);
    __opencl_atomic_fetch_add((local atomic_double *)&t[20], (double)(x & 255), HOW);
    __builtin_amdgcn_atomic_inc32(&t[22], 100, __ATOMIC_RELAXED, "workgroup");
    __builtin_amdgcn_atomic_dec32(&t[23], 100, __ATOMIC_RELAXED, "workgroup");
    uint one = __opencl_atomic_fetch_add(AT(24), 1u, HOW);
    out[64 + one] = one;
    barrier();
    if (l < 32) {
        out[l] = t[l];
    }
}

/* Which memory a pointer means is known when the code runs. */
__attribute__((noinline)) static void bump(uint *p, uint by) {
    *p = *p * 5 + by;
}

KERNEL(pointers) {
    local uint t[128];
    uint own[4] = {1, 2, 3, 4}, l = ID(x), x = a[l];
    t[l] = l;
    uint *p = x & 1 ? (uint *)&out[l] : x & 2 ? (uint *)&t[l] : &own[x >> 2 & 3];
    bump(p, x);
    bump(p, 7);
    barrier();
    out[128 + l] = t[l];
    out[256 + l] = own[0] + own[1] * 3 + own[2] * 5 + own[3] * 7;
}

typedef struct wanted {
    uchar from[5];
    short add;
    float scale;
    uint2 both;
} wanted;

/* Arguments by value, and accesses of every width, whose addresses are multiples of no more than a byte. */
kernel void widths(global uint *out, global const uint *a, global const uint *b, int n, wanted w, uchar4 c, double d) {
    uint i = GLOBAL_ID;
    global const uchar *bytes = (global const uchar *)a;
    global uchar *to = (global uchar *)out;
    typedef struct __attribute__((packed)) odd {
        uchar one;
        uint four;
        ushort two;
        ulong eight;
    } odd;
    global const odd *from = (global const odd *)(bytes + 1);
    to[i * 15] = from[i].one + w.from[i % 5];
    *(global ushort *)(to + i * 16 + N * 4) = (ushort)(from[i].two + w.add);
    *(global uint *)(to + i * 16 + N * 4 + 4) = from[i].four + w.both.y + c.z;
    *(global ulong *)(to + i * 16 + N * 4 + 8) = from[i].eight + w.both.x;
    global const float *f = (global const float *)b;
    global float *g = (global float *)(out + 2 * N);
    float3 v = {f[3 * i], f[3 * i + 1], f[3 * i + 2]};
    v = v * w.scale + (float)d;
    g[3 * i] = v.z;
    g[3 * i + 1] = v.x;
    g[3 * i + 2] = v.y;
    ((global uint4 *)(out + 3 * N))[i] = ((global const uint4 *)a)[i] ^ ((global const uint4 *)b)[i];
}
