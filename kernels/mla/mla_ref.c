/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: absorbed, paged MLA decode with split-KV (attention.md K4, K5) and its combine. Keys
 * are the 576 columns of a cache row (512 latent, 64 rotary), values its first 512. Partial results
 * keep the natural-log LSE of their split; an empty split has LSE -inf there and output 0.
 */
#include "kernels/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LATENT = 512, ROTARY = 64, ROW = LATENT + ROTARY, RECORD_BYTES = 656 };

/* Writes cache row (page, slot) as doubles. */
typedef void (*read_row)(const tgk_arg *cache, int64_t page, int64_t slot, double *out);

static void read_bf16(const tgk_arg *cache, int64_t page, int64_t slot, double *out) {
    memcpy(out, cache->f + (page * cache->extent[1] + slot) * ROW, ROW * sizeof *out);
}

/* 656 bytes: 512 e4m3, 4 f32 scales of 128 columns each, 64 bf16. The kernel multiplies the scaled
 * latent rounded to bf16, as the reference of attention.md K5 does. */
static double round_bf16(double v) {
    float f = (float)v;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    bits += 0x7fff + ((bits >> 16) & 1);
    unsigned char half[2] = {(unsigned char)(bits >> 16), (unsigned char)(bits >> 24)};
    return tgk_bf16(half);
}

static void read_fp8(const tgk_arg *cache, int64_t page, int64_t slot, double *out) {
    const unsigned char *p = cache->bytes + (page * cache->extent[1] + slot) * RECORD_BYTES;
    for (int c = 0; c < LATENT; c++) {
        out[c] = round_bf16((double)(float)(tgk_e4m3(p[c]) * tgk_f32(p + LATENT + c / 128 * 4)));
    }
    for (int c = 0; c < ROTARY; c++) {
        out[LATENT + c] = tgk_bf16(p + LATENT + 16 + 2 * c);
    }
}

/*
 * mla_decode_*(q: [B, H, 576], cache: [P, BS, 576] or records [P, BS], table: i32[B, NB], len:
 * i32[B], work: i32[W, 4] = (request, first token, end token, slot), scale, out po: f32[W, H, 512],
 * out pl: f32[W, H])
 */
static bool decode(tgk_arg *args, int n, read_row read) {
    if (n != 8) {
        return false;
    }
    const tgk_arg *q = &args[0], *cache = &args[1], *table = &args[2], *work = &args[4];
    int64_t heads = q->extent[1], bs = cache->extent[1];
    double row[ROW];
    for (int64_t w = 0; w < work->extent[0]; w++) {
        const int64_t *item = work->i + 4 * w;
        int64_t slot = item[3];
        double *m = malloc((size_t)heads * sizeof *m);
        if (m == NULL) {
            return false;
        }
        double *po = args[6].f + slot * heads * LATENT, *pl = args[7].f + slot * heads;
        memset(po, 0, (size_t)(heads * LATENT) * sizeof *po);
        for (int64_t h = 0; h < heads; h++) {
            m[h] = -INFINITY;
            pl[h] = 0;
        }
        for (int64_t t = item[1]; t < item[2] && t < args[3].i[item[0]]; t++) {
            read(cache, table->i[item[0] * table->extent[1] + t / bs], t % bs, row);
            for (int64_t h = 0; h < heads; h++) {
                const double *qh = q->f + (item[0] * heads + h) * ROW;
                double x = 0;
                for (int c = 0; c < ROW; c++) {
                    x += qh[c] * row[c];
                }
                x *= tgk_float(&args[5]);
                double top = x > m[h] ? x : m[h], keep = m[h] == -INFINITY ? 0 : exp(m[h] - top),
                       p = exp(x - top);
                pl[h] = pl[h] * keep + p;
                for (int c = 0; c < LATENT; c++) {
                    po[h * LATENT + c] = po[h * LATENT + c] * keep + p * row[c];
                }
                m[h] = top;
            }
        }
        for (int64_t h = 0; h < heads; h++) {
            for (int c = 0; c < LATENT && pl[h] > 0; c++) {
                po[h * LATENT + c] /= pl[h];
            }
            pl[h] = pl[h] > 0 ? m[h] + log(pl[h]) : -INFINITY;
        }
        free(m);
    }
    return true;
}

static bool mla_decode(tgk_arg *args, int n) { return decode(args, n, read_bf16); }
static bool mla_decode_fp8(tgk_arg *args, int n) { return decode(args, n, read_fp8); }

/*
 * mla_combine(po: f32[W, H, 512], pl: f32[W, H], first: i32[B+1], sink: f32[H], out o: [B, H, 512],
 * out lse: f32[B, H]): o = sum 2^(L_i - g) O_i over the splits [first[b], first[b+1]); sink as in
 * attention.md section 1.
 */
static bool mla_combine(tgk_arg *args, int n) {
    if (n != 6) {
        return false;
    }
    int64_t heads = args[0].extent[1], dim = args[0].extent[2];
    for (int64_t b = 0; b < args[4].extent[0]; b++) {
        for (int64_t h = 0; h < heads; h++) {
            double top = -INFINITY, sum = 0;
            int64_t lo = args[2].i[b], hi = args[2].i[b + 1];
            for (int64_t s = lo; s < hi; s++) {
                top = fmax(top, args[1].f[s * heads + h]);
            }
            for (int64_t s = lo; s < hi && top > -INFINITY; s++) {
                sum += exp(args[1].f[s * heads + h] - top);
            }
            double lse = sum > 0 ? top + log(sum) : INFINITY, sink = args[3].f[h];
            double weight = sum > 0 && sink != INFINITY ? 1 / (1 + exp(sink - lse)) : 0;
            double *o = args[4].f + (b * heads + h) * dim;
            memset(o, 0, (size_t)dim * sizeof *o);
            for (int64_t s = lo; s < hi && weight > 0; s++) {
                double share = exp(args[1].f[s * heads + h] - lse) * weight;
                for (int64_t c = 0; c < dim && share > 0; c++) {
                    o[c] += share * args[0].f[(s * heads + h) * dim + c];
                }
            }
            args[5].f[b * heads + h] = lse;
        }
    }
    return true;
}

static void encode_f32(unsigned char *p, double v) {
    float f = (float)v;
    memcpy(p, &f, sizeof f); /* both sides are little endian, as the record is */
}

/* Requests with lengths from 0 up, split into work items in order; pages random; junk table tails.
 */
static void inputs_decode(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    tgk_arg *cache = &args[1], *table = &args[2], *len = &args[3], *work = &args[4];
    int64_t bs = cache->extent[1], columns = table->extent[1], requests = len->count,
            items = work->extent[0];
    for (int64_t b = 0; b < requests; b++) {
        len->i[b] = r->full || b == 0 ? columns * bs
                    : b == 1          ? 0
                                      : tgk_random_below(r, columns * bs + 1);
        for (int64_t c = 0; c < columns; c++) {
            table->i[b * columns + c] =
                c * bs < len->i[b] ? tgk_random_below(r, cache->extent[0]) : 2147480000;
        }
    }
    for (int64_t w = 0; w < items; w++) {
        int64_t b = w * requests / items, first = (b * items + requests - 1) / requests;
        int64_t next = ((b + 1) * items + requests - 1) / requests, parts = next - first;
        int64_t step = (len->i[b] + parts - 1) / parts;
        work->i[4 * w] = b;
        work->i[4 * w + 1] = (w - first) * step;
        work->i[4 * w + 2] =
            (w - first + 1) * step < len->i[b] ? (w - first + 1) * step : len->i[b];
        work->i[4 * w + 3] = w;
    }
    args[5].f[0] = (double)(float)(1 / sqrt(192.0));
    for (int64_t i = 0; i < cache->count && cache->bytes != NULL; i++) {
        unsigned char *p = cache->bytes + i * RECORD_BYTES;
        for (int c = 0; c < LATENT; c++) {
            p[c] =
                (unsigned char)(tgk_random_u64(r) & 0xbf); /* below 2 in magnitude: no NaN code */
        }
        for (int s = 0; s < 4; s++) {
            encode_f32(p + LATENT + 4 * s, exp2((double)tgk_random_below(r, 5) - 2));
        }
        for (int c = 0; c < ROTARY; c++) {
            unsigned char f[4];
            encode_f32(f, tgk_random_normal(r));
            memcpy(p + LATENT + 16 + 2 * c, f + 2, 2);
        }
    }
}

static void inputs_combine(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t requests = args[4].extent[0], splits = args[0].extent[0];
    args[2].i[0] = 0;
    for (int64_t b = 1; b < requests; b++) {
        int64_t left = splits - args[2].i[b - 1];
        args[2].i[b] = b == 2 ? args[2].i[b - 1] : args[2].i[b - 1] + tgk_random_below(r, left + 1);
    }
    args[2].i[requests] = splits;
    for (int64_t i = 0; i < args[1].count; i++) {
        args[1].f[i] = tgk_random_below(r, 5) == 0 ? -INFINITY : tgk_random_normal(r) * 3;
    }
    for (int64_t h = 0; h < args[3].count; h++) {
        int64_t kind = tgk_random_below(r, 6);
        args[3].f[h] = kind == 0 ? -INFINITY : kind == 1 ? INFINITY : tgk_random_normal(r);
    }
}

const tgk_reference tgk_mla_references[] = {
    {"mla_decode",
     mla_decode,
     inputs_decode,
     false,
     {{"po", TGK_TOL_GATE, 0, 0}, {"pl", TGK_TOL_LSE, 0, 0}}},
    {"mla_decode_fp8",
     mla_decode_fp8,
     inputs_decode,
     false,
     {{"po", TGK_TOL_GATE, 0, 0}, {"pl", TGK_TOL_LSE, 0, 0}}},
    {"mla_combine",
     mla_combine,
     inputs_combine,
     false,
     {{"o", TGK_TOL_GATE, 0, 0}, {"lse", TGK_TOL_LSE, 0, 0}}},
    {0},
};
