/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References of the low-latency exchange (moe.md section 5: a message is 16 bytes of header, the
 * codes, the scales) and of LogFMT-10 (section 1). Bytes are exact: the quotients and products of
 * the quantisation are single f32 operations, done in f32 here, too. DeepEP's packed scales: the
 * exponents of scales that are powers of two, four groups of 128 in an int32 [E, H / 512, P].
 *
 * LogFMT's codes come from log2 in f32, within one unit in the last place (2^-19 for |l| < 32) plus
 * the rounding of the quotient; inputs are redrawn until no code and no bound of a group lies that
 * close to a tie. Decoding: exp2 of an argument within 2^-18 is within 2^-18 of the value, 0.001 of
 * a bf16 unit.
 */
#include "kernels/parallel/parallel_ref.h"
#include "kernels/rounding.h"

#include <string.h>

enum { GROUP = 128, HEADER = 16, LOG_BYTES = 260 };

static void put_bytes(unsigned char *p, uint32_t v, int n) {
    for (int i = 0; i < n; i++) {
        p[i] = (unsigned char)(v >> (8 * i));
    }
}

static uint32_t get_bytes(const unsigned char *p, int n) {
    uint32_t v = 0;
    for (int i = 0; i < n; i++) {
        v |= (uint32_t)p[i] << (8 * i);
    }
    return v;
}

static uint32_t bits_of(float f) {
    uint32_t b;
    memcpy(&b, &f, sizeof b);
    return b;
}

/* ---- messages ------------------------------------------------------------------------------- */

/* powers: the scales are powers of two. */
static void write_message(unsigned char *m, const double *x, int64_t wide, int64_t token,
                          bool powers) {
    put_bytes(m, (uint32_t)token, 4);
    for (int64_t g = 0; g < wide / GROUP; g++) {
        float amax = 1e-4f;
        for (int64_t i = g * GROUP; i < (g + 1) * GROUP; i++) {
            amax = fmaxf(amax, fabsf((float)x[i]));
        }
        float s = amax / 448.0f, inverse = 448.0f / amax;
        if (powers) {
            s = (float)ldexp(1, tgk_e8m0_ceil((double)s) - 127);
            inverse = 1 / s;
        }
        put_bytes(m + HEADER + wide + 4 * g, bits_of(s), 4);
        for (int64_t i = g * GROUP; i < (g + 1) * GROUP; i++) {
            float v = (float)x[i] * inverse;
            m[HEADER + i] = tgk_e4m3_code(copysign(tgk_round_to((double)v, &TGK_E4M3), (double)v));
        }
    }
}

/* ll_pack(x: bf16[N, 128 G], ids: i32[N, K], at: i32[N, K], inout message: Message[G][E, M]): the
 * header's padding and messages nobody sends stay. */
bool tgk_ll_pack(tgk_arg *args, int n) {
    tgk_arg *m = &args[3];
    int64_t k = args[1].extent[1], wide = args[0].extent[1], room = m->extent[1];
    for (int64_t i = 0; n == 4 && i < args[1].count; i++) {
        if (args[1].i[i] >= 0 && args[2].i[i] >= 0) {
            write_message(m->bytes + (args[1].i[i] * room + args[2].i[i]) * m->elem_bytes,
                          args[0].f + i / k * wide, wide, i / k,
                          tgk_constant_of(args, "S", TG_DT_F32) == TG_DT_F8E8M0);
        }
    }
    return n == 4;
}

/* Places in the queues, in order of tokens; nobody; a queue that is full drops what comes later. */
static void draw_places(tgk_arg *ids, tgk_arg *at, int64_t experts, int64_t room, tgk_random *r) {
    int64_t used[1024] = {0}, k = ids->extent[1];
    for (int64_t i = 0; i < ids->count; i++) {
        int64_t e = (i / k * 3 + i % k * 2 + tgk_random_below(r, 2)) % experts;
        for (int64_t j = i / k * k; j < i; j++) {
            e = ids->i[j] == e ? -1 : e;
        }
        ids->i[i] = tgk_random_below(r, 7) == 0 ? -1 : e;
        e = ids->i[i];
        at->i[i] = e >= 0 && used[e] < room ? used[e]++ : -1;
    }
}

void tgk_ll_pack_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    tgk_arg *x = &args[0], *m = &args[3];
    for (int64_t i = 0; i < x->count; i++) {
        double size = exp2(12 * ((double)(i / GROUP * 7 % 13) / 12) - 6);
        x->f[i] = i / GROUP % 9 == 4 ? 0 : tgk_round_to(size * tgk_random_normal(r), &TGK_BF16);
    }
    draw_places(&args[1], &args[2], m->extent[0], m->extent[1], r);
    for (int64_t i = 0; i < m->count * m->elem_bytes; i++) {
        m->bytes[i] = (unsigned char)tgk_random_u64(r);
    }
}

/* Scale of group g (counted over all experts) and row: the f32, or its exponent in byte g % 4 of a
 * word. */
static void put_scale(tgk_arg *sf, int64_t g, int64_t rows, int64_t row, uint32_t bits) {
    if (sf->f != NULL) {
        float v;
        memcpy(&v, &bits, sizeof v);
        sf->f[g * rows + row] = (double)v;
    } else {
        int64_t *word = &sf->i[g / 4 * rows + row];
        *word = (int32_t)((uint32_t)*word | bits >> 23 << (8 * (g % 4)));
    }
}

/* ll_unpack(message: Message[G][R, E, M], count: i32[R, E], out x: f8e4m3[E, P, 128 G], out sf:
 * f32[E, G, P], out source: i32[E, P, 2], out rows: i32[E]); ll_unpack_words: sf i32[E, G / 4, P]
 */
bool tgk_ll_unpack(tgk_arg *args, int n) {
    const tgk_arg *m = &args[0];
    int64_t ranks = m->extent[0], experts = m->extent[1], room = m->extent[2],
            p = args[2].extent[1], wide = args[2].extent[2], groups = wide / GROUP;
    memset(args[2].f, 0, (size_t)args[2].count * sizeof(double));
    if (args[3].f != NULL) {
        memset(args[3].f, 0, (size_t)args[3].count * sizeof(double));
    } else {
        memset(args[3].i, 0, (size_t)args[3].count * sizeof(int64_t));
    }
    for (int64_t i = 0; i < args[4].count; i++) {
        args[4].i[i] = -1;
    }
    for (int64_t e = 0; n == 6 && e < experts; e++) {
        int64_t row = 0;
        for (int64_t rank = 0; rank < ranks; rank++) {
            for (int64_t i = 0; i < args[1].i[rank * experts + e]; i++, row++) {
                const unsigned char *at =
                    m->bytes + ((rank * experts + e) * room + i) * m->elem_bytes;
                for (int64_t c = 0; c < wide; c++) {
                    args[2].f[(e * p + row) * wide + c] = tgk_e4m3(at[HEADER + c]);
                }
                for (int64_t g = 0; g < groups; g++) {
                    put_scale(&args[3], e * groups + g, p, row,
                              get_bytes(at + HEADER + wide + 4 * g, 4));
                }
                args[4].i[(e * p + row) * 2] = rank;
                args[4].i[(e * p + row) * 2 + 1] = (int32_t)get_bytes(at, 4);
            }
        }
        args[5].i[e] = row;
    }
    return n == 6;
}

/* Queues from empty to full; messages behind the counts are junk (NaN codes among it). */
void tgk_ll_unpack_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    tgk_arg *m = &args[0];
    int64_t wide = args[2].extent[2];
    double x[8192];
    for (int64_t i = 0; i < m->count * m->elem_bytes; i++) {
        m->bytes[i] = 0xff;
    }
    for (int64_t q = 0; q < args[1].count; q++) {
        int64_t room = m->extent[2];
        args[1].i[q] = q % 4 == 1 ? 0 : q % 4 == 2 ? room : tgk_random_below(r, room + 1);
        for (int64_t i = 0; i < args[1].i[q]; i++) {
            for (int64_t c = 0; c < wide && wide <= 8192; c++) {
                x[c] = tgk_round_to(tgk_random_normal(r), &TGK_BF16);
            }
            write_message(m->bytes + (q * room + i) * m->elem_bytes, x, wide, q * 100 + i,
                          args[3].i != NULL);
        }
    }
}

/* ll_combine(x: [E, M, D], ids: i32[N, K], at: i32[N, K], w: f32[N, K], out y: [N, D]) */
bool tgk_ll_combine(tgk_arg *args, int n) {
    const tgk_arg *x = &args[0];
    tgk_arg *y = &args[n - 1];
    int64_t room = x->extent[1], wide = x->extent[2], k = args[1].extent[1];
    for (int64_t o = 0; n == 5 && o < y->count; o++) {
        float sum = 0;
        for (int64_t j = o / wide * k; j < (o / wide + 1) * k; j++) {
            if (args[1].i[j] >= 0 && args[2].i[j] >= 0) {
                int64_t row = args[1].i[j] * room + args[2].i[j];
                sum = fmaf((float)x->f[row * wide + o % wide], (float)args[3].f[j], sum);
            }
        }
        y->f[o] = y->dtype == TG_DT_BF16 ? tgk_round_to((double)sum, &TGK_BF16) : (double)sum;
    }
    return n == 5;
}

void tgk_ll_combine_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    tgk_arg *x = &args[0];
    draw_places(&args[1], &args[2], x->extent[0], x->extent[1], r);
    for (int64_t i = 0; i < x->count; i++) {
        double v = exp2(12 * tgk_random_uniform(r) - 6) * tgk_random_normal(r);
        x->f[i] = x->dtype == TG_DT_BF16 ? tgk_round_to(v, &TGK_BF16) : (double)(float)v;
    }
    for (int64_t i = 0; i < args[3].count; i++) {
        args[3].f[i] = (double)(float)tgk_random_uniform(r);
    }
}

/* ---- LogFMT-10 ------------------------------------------------------------------------------ */

typedef struct log_range {
    double lo, hi;
    bool coded;
} log_range;

/* The bounds of a group as stored; *out_clear: not close to a tie. */
static log_range range_of(const double *x, bool *out_clear) {
    double lo = INFINITY, hi = -INFINITY;
    for (int i = 0; i < GROUP; i++) {
        if (x[i] != 0) {
            lo = fmin(lo, log2(fabs(x[i])));
            hi = fmax(hi, log2(fabs(x[i])));
        }
    }
    lo = fmax(lo, hi - 32);
    bool empty = isinf(hi);
    *out_clear =
        empty || tgk_round_slack(lo, 1e-5, &TGK_BF16) + tgk_round_slack(hi, 1e-5, &TGK_BF16) == 0;
    lo = empty ? lo : tgk_round_to(lo, &TGK_BF16);
    hi = empty ? hi : tgk_round_to(hi, &TGK_BF16);
    return (log_range){lo, hi, hi < 0 && lo < hi};
}

static uint32_t log_code(double x, log_range g, bool *clear) {
    double step = (g.hi - g.lo) / 510, at = (log2(fabs(x)) - g.lo) / step;
    *clear = *clear && (x == 0 || fabs(at - floor(at) - 0.5) > 0x1p-18 / step + fabs(at) * 0x1p-21);
    return x == 0 ? 0 : (uint32_t)fmin(fmax(rint(at) + 1, 1), 511);
}

static void put_ten(unsigned char *data, int i, uint32_t v) {
    for (int b = 0; b < 10; b++) {
        data[(10 * i + b) / 8] |= (unsigned char)((v >> b & 1) << (10 * i + b) % 8);
    }
}

/* Writes one group of 260 bytes; false when f32 could round otherwise. */
static bool encode(const double *x, unsigned char *out) {
    bool clear;
    log_range g = range_of(x, &clear);
    memset(out, 0, LOG_BYTES);
    tgk_put_bf16(out, g.lo);
    tgk_put_bf16(out + 2, g.hi);
    for (int i = 0; i < GROUP; i++) {
        if (g.coded) {
            put_ten(out + 4, i, log_code(x[i], g, &clear) | (x[i] < 0 ? 512u : 0));
        } else {
            tgk_put_bf16(out + 4 + 2 * i, x[i]);
        }
    }
    return clear;
}

/* logfmt_encode(x: bf16[N, H], inout groups: LogGroup[N, H / 128]) */
bool tgk_logfmt_encode(tgk_arg *args, int n) {
    for (int64_t g = 0; n == 2 && g < args[1].count; g++) {
        (void)encode(args[0].f + g * GROUP, args[1].bytes + g * LOG_BYTES);
    }
    return n == 2;
}

/* A group: small values with zeros; a wide range that the floor of 32 cuts; one magnitude, all
 * zero, or a value of 1 and above (these three are kept as bf16), 1 itself among them. */
static void draw_group(double *x, int64_t kind, tgk_random *r) {
    for (int i = 0; i < GROUP; i++) {
        double u = tgk_random_uniform(r), sign = tgk_random_below(r, 2) == 0 ? 1 : -1;
        double size = kind == 1   ? exp2(-1 - 40 * u)
                      : kind == 2 ? 0.25
                      : kind == 3 ? 0
                      : kind == 4 ? exp2(4 - 8 * u)
                                  : exp2(-1 - 6 * u);
        x[i] = tgk_random_below(r, 16) == 0 ? 0 : sign * tgk_round_to(size, &TGK_BF16);
        x[i] = kind == 6 && i == 77 ? -1 : x[i];
    }
}

void tgk_logfmt_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    unsigned char scratch[LOG_BYTES];
    for (int64_t g = 0; g < args[0].count / GROUP; g++) {
        double *x = args[0].f + g * GROUP;
        for (int attempt = 0; attempt < 2000; attempt++) {
            draw_group(x, g % 7, r);
            if (encode(x, scratch)) {
                break;
            }
        }
    }
    memset(args[1].bytes, 0, (size_t)(args[1].count * LOG_BYTES));
}

/* logfmt_decode(groups: LogGroup[N, H / 128], out y: bf16[N, H]) */
bool tgk_logfmt_decode(tgk_arg *args, int n) {
    for (int64_t g = 0; n == 2 && g < args[0].count; g++) {
        const unsigned char *p = args[0].bytes + g * LOG_BYTES;
        double lo = tgk_bf16(p), hi = tgk_bf16(p + 2);
        for (int i = 0; i < GROUP; i++) {
            double *y = args[1].f + g * GROUP + i;
            uint32_t c = get_bytes(p + 4 + 10 * i / 8, 2) >> 10 * i % 8 & 1023;
            double a = (c & 511) == 0 ? 0 : exp2(((c & 511) - 1) * ((hi - lo) / 510) + lo);
            *y = hi < 0 && lo < hi ? (c > 511 ? -a : a) : tgk_bf16(p + 4 + 2 * i);
        }
    }
    return n == 2;
}

void tgk_logfmt_decode_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    double x[GROUP];
    for (int64_t g = 0; g < args[0].count; g++) {
        draw_group(x, g % 7, r);
        (void)encode(x, args[0].bytes + g * LOG_BYTES);
    }
}
