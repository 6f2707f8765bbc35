/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fifteen kernels of the language's outline, from source to numbers: each file of
 * tests/kernels15 is checked as a whole, then its kernels run in the interpreter on small ragged
 * cases against plain C.
 */
#include "tests/frontend/semabench.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void open_file(sb_program *s, const char *name) {
    char path[512];
    snprintf(path, sizeof(path), "%s/%s.tg", TG_KERNELS15, name);
    sb_load_file(s, path);
    if (tg_program_check(s->p) != TG_OK) {
        bench_print_diags(&s->b);
        fail_msg("%s does not check", name);
    }
}

static void close_to(double got, double want, double tol, const char *what, int64_t i) {
    if (!(fabs(got - want) <= tol * (1 + fabs(want))) && !(isinf(want) && got == want)) {
        fail_msg("%s[%lld] = %.9g, expected %.9g", what, (long long)i, got, want);
    }
}

static unsigned mix(int64_t i) { return (unsigned)((uint64_t)i * 2654435761u >> 7); }
static double small_int(int64_t i) { return (double)(mix(i) % 5) - 2; }
static double other_int(int64_t i) { return (double)(mix(i + 977) % 7) - 3; }
static double pow2(int64_t i) { return ldexp(1, (int)(mix(i + 31) % 3) - 1); }
static double unit(int64_t i) { return (double)(mix(i + 5) % 1000) / 500 - 1; }
static double unit2(int64_t i) { return (double)(mix(i + 7777) % 1000) / 500 - 1; }
static double positive(int64_t i) { return (double)(mix(i + 99) % 100) / 50 + 0.5; }
static double bf16_of(double v) {
    return tg_float_decode(TG_DT_BF16, tg_float_encode(TG_DT_BF16, v, TG_ROUND_RNE, false));
}

/* ---- (a), (b): products with scales; small integers and powers of two are exact ---------------
 */

static void test_a(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "a_gemm_fp8");
    sb_kernel(&s, "gemm_fp8", "T=f32 BM=4 BN=16");
    sb_tensor(&s, "a", "5,200", small_int);
    sb_tensor(&s, "sa", "5,2", pow2);
    sb_tensor(&s, "b", "130,200", other_int);
    sb_tensor(&s, "sb", "2,2", pow2);
    sb_tensor(&s, "c", "5,130", NULL);
    sb_run(&s);
    for (int64_t i = 0; i < 5; i++) {
        for (int64_t j = 0; j < 130; j++) {
            double want = 0;
            for (int64_t k = 0; k < 200; k++) {
                want += small_int(i * 200 + k) * other_int(j * 200 + k) * pow2(i * 2 + k / 128) *
                        pow2(j / 128 * 2 + k / 128);
            }
            close_to(sb_get(&s, "c", i * 130 + j), want, 0, "c", i * 130 + j);
        }
    }
    sb_done(&s);
}

static double expert(int64_t i) { return i < 8 ? 2 : i < 12 ? 0 : i < 16 ? -1 : 1; }
static double f4_values(int64_t i) {
    static const double v[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    return v[mix(i) % 8] * (mix(i + 3) % 2 ? 1 : -1);
}
static double twenty(int64_t i) { return i == 0 ? 20 : 0; }

static void test_b(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "b_grouped_f8f4");
    sb_kernel(&s, "g_f8f4", "ALIGN=8 BM=4 BN=4");
    sb_tensor(&s, "a", "24,64", small_int);
    sb_tensor(&s, "sa", "24,1", pow2);
    sb_tensor(&s, "w", "3,5,64", f4_values);
    sb_tensor(&s, "sw", "3,5,2", pow2);
    sb_tensor(&s, "e", "24", expert);
    sb_tensor(&s, "rows", "1", twenty);
    sb_tensor(&s, "d", "24,5", NULL);
    sb_run(&s);
    for (int64_t i = 0; i < 24; i++) {
        for (int64_t j = 0; j < 5; j++) {
            double want = 0;
            int64_t g = (int64_t)expert(i);
            for (int64_t k = 0; k < 64 && g >= 0 && i < 20; k++) {
                want += small_int(i * 64 + k) * pow2(i) * f4_values((g * 5 + j) * 64 + k) *
                        pow2((g * 5 + j) * 2 + k / 32);
            }
            close_to(sb_get(&s, "d", i * 5 + j), bf16_of(want), 0, "d", i * 5 + j);
        }
    }
    sb_done(&s);
}

/* ---- attention ---------------------------------------------------------------------------------
 */

/* One softmax row in double: logits x[n] (natural units), values v[n * e + c]; NaN logit: no key.
 */
static void softmax_row(int n, const double *x, int e, const double *v, double sink, double *out,
                        double *lse) {
    double top = -INFINITY, l = 0;
    for (int j = 0; j < n; j++) {
        top = !isnan(x[j]) && x[j] > top ? x[j] : top;
    }
    for (int c = 0; c < e; c++) {
        out[c] = 0;
    }
    for (int j = 0; j < n && !isinf(top); j++) {
        double p = isnan(x[j]) ? 0 : exp(x[j] - top);
        l += p;
        for (int c = 0; c < e; c++) {
            out[c] += p * v[j * e + c];
        }
    }
    *lse = l > 0 ? top + log(l) : INFINITY;
    double total = l + (isinf(sink) ? 0 : exp(sink - (isinf(top) ? 0 : top)));
    for (int c = 0; c < e; c++) {
        out[c] = l > 0 ? out[c] / total : 0;
    }
}

static double cum_q(int64_t i) { return i == 0 ? 0 : i == 1 ? 3 : 9; }
static double cum_k(int64_t i) { return i == 0 ? 0 : i == 1 ? 5 : 11; }

static void test_c(void **state) {
    (void)state;
    sb_program s;
    enum { H = 4, HK = 2, D = 8, E = 4, TQ = 9, TK = 11 };
    open_file(&s, "c_attention");
    sb_kernel(&s, "fa", "T=f32 D=8 E=4 BM=4 BN=4");
    sb_tensor(&s, "q", "9,4,8", unit);
    sb_tensor(&s, "k", "11,2,8", unit2);
    sb_tensor(&s, "v", "11,2,4", unit);
    sb_tensor(&s, "cq", "3", cum_q);
    sb_tensor(&s, "ck", "3", cum_k);
    sb_scalar(&s, "scale", 0.5);
    sb_scalar(&s, "maxq", 6);
    sb_tensor(&s, "o", "9,4,4", NULL);
    sb_tensor(&s, "lse", "4,9", NULL);
    sb_run(&s);
    for (int i = 0; i < TQ; i++) {
        int b = i >= 3, q0 = b ? 3 : 0, k0 = b ? 5 : 0, sq = b ? 6 : 3, sk = b ? 6 : 5;
        for (int h = 0; h < H; h++) {
            double x[16], v[16 * E], out[E], lse;
            for (int j = 0; j < sk; j++) {
                x[j] = 0;
                for (int d = 0; d < D; d++) {
                    x[j] +=
                        unit((i * H + h) * D + d) * unit2(((k0 + j) * HK + h / 2) * D + d) * 0.5;
                }
                x[j] = j <= i - q0 + sk - sq ? x[j] : NAN;
                for (int c = 0; c < E; c++) {
                    v[j * E + c] = unit(((k0 + j) * HK + h / 2) * E + c);
                }
            }
            softmax_row(sk, x, E, v, -INFINITY, out, &lse);
            close_to(sb_get(&s, "lse", h * TQ + i), lse, 1e-5, "lse", i);
            for (int c = 0; c < E; c++) {
                close_to(sb_get(&s, "o", (i * H + h) * E + c), out[c], 1e-5, "o", i);
            }
        }
    }
    sb_done(&s);
}

/* MLA records: 512 f8e4m3, 4 f32 scales of 0.5, 64 bf16. */
static int mla_byte(int64_t i) {
    int64_t at = i % 656;
    if (at < 512) {
        int c = (int)(mix(i) & 0xff);
        return (c & 0x7f) > 0x50 ? c & 0x8f : c; /* no NaN, moderate sizes */
    }
    if (at < 528) {
        static const unsigned char half[4] = {0, 0, 0, 0x3f};
        return half[(at - 512) % 4];
    }
    return (at & 1) != 0 ? 0x3e | (int)(mix(i) & 0x80) : (int)(mix(i) & 0x7f);
}
static double table(int64_t i) {
    static const double t[] = {3, 1, 4, -1};
    return t[i];
}
static int work_byte(int64_t i) {
    /* req0 req1 lo hi slot: both requests, 100 tokens of the first, 70 of the second via one item
     * each */
    static const int w[2][5] = {{0, 0, 0, 100, 0}, {1, 1, 0, 70, 1}};
    return i % 4 == 0 ? w[i / 20][i % 20 / 4] : 0;
}

static void test_d(void **state) {
    (void)state;
    sb_program s;
    enum { H = 3 };
    open_file(&s, "d_mla");
    sb_kernel(&s, "mla", "BH=2");
    sb_tensor(&s, "q", "2,3,576", unit);
    sb_bytes(&s, "c", "5,64", mla_byte);
    sb_tensor(&s, "tab", "2,2", table);
    sb_bytes(&s, "wk", "2", work_byte);
    sb_scalar(&s, "scale", 0.01);
    sb_tensor(&s, "po", "2,3,512", NULL);
    sb_tensor(&s, "pl", "2,3", NULL);
    sb_run(&s);
    const unsigned char *c = sb_raw(&s, "c");
    static double v[128 * 512];
    for (int r = 0; r < 2; r++) {
        int n = r == 0 ? 100 : 70;
        for (int h = 0; h < H; h++) {
            double x[128], out[512], lse;
            for (int j = 0; j < n; j++) {
                int page = (int)table(r * 2 + j / 64);
                const unsigned char *row = c + ((page < 0 ? 0 : page) * 64 + j % 64) * 656;
                x[j] = 0;
                for (int d = 0; d < 576; d++) {
                    double k = d < 512
                                   ? bf16_of(tg_float_decode(TG_DT_F8E4M3, row[d]) * 0.5)
                                   : tg_float_decode(TG_DT_BF16,
                                                     (uint64_t)row[528 + (d - 512) * 2] |
                                                         (uint64_t)row[529 + (d - 512) * 2] << 8);
                    x[j] += bf16_of(unit((r * H + h) * 576 + d)) * k * 0.01;
                    if (d < 512) {
                        v[j * 512 + d] = k;
                    }
                }
                x[j] = page < 0 ? NAN : x[j];
            }
            softmax_row(n, x, 512, v, -INFINITY, out, &lse);
            close_to(sb_get(&s, "pl", r * H + h), lse / log(2), 1e-4, "pl", r);
            for (int d = 0; d < 512; d++) {
                close_to(sb_get(&s, "po", (r * H + h) * 512 + d), out[d], 2e-2, "po", d);
            }
        }
    }
    sb_done(&s);
}

static double offs(int64_t i) { return i == 0 ? 0 : i == 1 ? 3 : 4; }

static void test_d_combine(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "d_mla");
    sb_kernel(&s, "combine", "BH=2");
    sb_tensor(&s, "po", "4,3,512", unit);
    sb_tensor(&s, "pl", "4,3", unit2);
    sb_tensor(&s, "off", "3", offs);
    sb_tensor(&s, "o", "2,3,512", NULL);
    sb_run(&s);
    for (int64_t b = 0; b < 2; b++) {
        for (int64_t h = 0; h < 3; h++) {
            for (int64_t d = 0; d < 512; d++) {
                double num = 0, den = 0;
                for (int64_t p = (int64_t)offs(b); p < (int64_t)offs(b + 1); p++) {
                    num += exp2(unit2(p * 3 + h)) * unit((p * 3 + h) * 512 + d);
                    den += exp2(unit2(p * 3 + h));
                }
                close_to(sb_get(&s, "o", (b * 3 + h) * 512 + d), num / den, 8e-3, "o", d);
            }
        }
    }
    sb_done(&s);
}

/* ---- (e) pages
 * ------------------------------------------------------------------------------------ */

static int page_byte(int64_t i) {
    enum { PAGE = 2304 }; /* 4 rows of 576, 32 scales, up to a multiple of 576: 2336 -> 2880 */
    (void)PAGE;
    int64_t at = i % 2880;
    if (at >= 2304) {
        return 126 + (int)(mix(i) % 4);
    }
    int c = (int)(mix(i) & 0xff);
    return at % 576 < 448 ? ((c & 0x7f) == 0x7f ? 0 : c) : (at & 1) != 0 ? 0x3f : c;
}
static double places(int64_t i) {
    static const double p[] = {5, -1, 11, 0, 12};
    return p[i];
}

static void test_e(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "e_v4_page");
    sb_kernel(&s, "v4_gather", "BS=4 BN=4");
    assert_int_equal(s.b.func->params[sb_param(&s, "kv")].type->elem_bytes, 2880);
    sb_bytes(&s, "kv", "3", page_byte);
    sb_tensor(&s, "at", "5", places);
    sb_tensor(&s, "y", "5,512", NULL);
    sb_run(&s);
    const unsigned char *kv = sb_raw(&s, "kv");
    for (int r = 0; r < 5; r++) {
        int at = (int)places(r);
        for (int d = 0; d < 512; d++) {
            double want = 0;
            if (at >= 0 && at < 12) {
                const unsigned char *page = kv + at / 4 * 2880, *row = page + at % 4 * 576;
                want = d < 448 ? tg_float_decode(TG_DT_F8E4M3, row[d]) *
                                     ldexp(1, page[2304 + at % 4 * 8 + d / 64] - 127)
                               : tg_float_decode(TG_DT_BF16,
                                                 (uint64_t)row[448 + (d - 448) * 2] |
                                                     (uint64_t)row[449 + (d - 448) * 2] << 8);
            }
            close_to(sb_get(&s, "y", r * 512 + d), want, 0, "y", r * 512 + d);
        }
    }
    sb_done(&s);
}

/* ---- (f) selection
 * ---------------------------------------------------------------------------------- */

static double lows(int64_t i) { return (double)(i % 3); }
static double highs(int64_t i) { return (double)(i + 4); }

static void test_f_indexer(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "f_indexer_topk");
    sb_kernel(&s, "indexer", "H=2 D=4 BM=2 BN=4");
    sb_tensor(&s, "q", "5,2,4", small_int);
    sb_tensor(&s, "k", "9,4", other_int);
    sb_tensor(&s, "lo", "5", lows);
    sb_tensor(&s, "hi", "5", highs);
    sb_tensor(&s, "w", "5,2", small_int);
    sb_tensor(&s, "ks", "9", pow2);
    sb_tensor(&s, "s", "5,9", NULL);
    sb_run(&s);
    for (int64_t m = 0; m < 5; m++) {
        for (int64_t j = 0; j < 9; j++) {
            double want = 0;
            for (int64_t h = 0; h < 2; h++) {
                double d = 0;
                for (int64_t c = 0; c < 4; c++) {
                    d += small_int((m * 2 + h) * 4 + c) * other_int(j * 4 + c);
                }
                want += (d > 0 ? d : 0) * small_int(m * 2 + h);
            }
            want = lows(m) <= (double)j && (double)j < highs(m) ? want * pow2(j) : -INFINITY;
            close_to(sb_get(&s, "s", m * 9 + j), want, 0, "s", m * 9 + j);
        }
    }
    sb_done(&s);
}

static double scores(int64_t i) { return (double)((i * 7) % 11) - 4.5; } /* ties across blocks */
static double ends(int64_t i) { return i == 0 ? 20 : 3; }

static void test_f_topk(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "f_indexer_topk");
    sb_kernel(&s, "topk_stream", "BN=8");
    sb_tensor(&s, "x", "2,20", scores);
    sb_tensor(&s, "end", "2", ends);
    sb_tensor(&s, "idx", "2,5", NULL);
    sb_run(&s);
    for (int r = 0; r < 2; r++) {
        int n = (int)ends(r), got[5];
        bool taken[20] = {false};
        for (int k = 0; k < 5 && k < n; k++) { /* largest first, smaller index on ties */
            int best = -1;
            for (int j = 0; j < n; j++) {
                if (!taken[j] && (best < 0 || scores(r * 20 + j) > scores(r * 20 + best))) {
                    best = j;
                }
            }
            taken[best] = true;
        }
        int at = 0;
        for (int j = 0; j < 20; j++) {
            if (taken[j]) {
                got[at++] = j;
            }
        }
        for (int k = 0; k < 5; k++) {
            assert_int_equal((int)sb_get(&s, "idx", r * 5 + k), k < at ? got[k] : -1);
        }
    }
    sb_done(&s);
}

/* ---- (g) two scopes
 * -------------------------------------------------------------------------------- */

static double chosen(int64_t i) { return (double)(mix(i) % 9) - 1; } /* -1 .. 7, 7 is outside */

static void test_g(void **state) {
    (void)state;
    sb_program s;
    enum { S = 6, H = 3, D = 4, C = 7, K = 5, WIN = 3 };
    open_file(&s, "g_two_scopes");
    sb_kernel(&s, "two_scopes", "D=4 WIN=3 BH=2 BN=2");
    sb_tensor(&s, "q", "6,3,4", unit);
    sb_tensor(&s, "comp", "7,4", unit2);
    sb_tensor(&s, "idx", "6,5", chosen);
    sb_tensor(&s, "recent", "6,4", unit);
    sb_tensor(&s, "sink", "3", unit2);
    sb_scalar(&s, "scale", 0.7);
    sb_tensor(&s, "o", "6,3,4", NULL);
    sb_tensor(&s, "lse", "6,3", NULL);
    sb_run(&s);
    for (int t = 0; t < S; t++) {
        for (int h = 0; h < H; h++) {
            double x[16], v[16 * D], out[D], lse;
            int n = 0;
            for (int j = 0; j < K + WIN; j++) {
                int row = j < K ? (int)chosen(t * K + j) : t - WIN + 1 + (j - K);
                bool there = row >= 0 && row < (j < K ? C : S);
                x[n] = there ? 0 : NAN;
                for (int d = 0; d < D && there; d++) {
                    v[n * D + d] = j < K ? unit2(row * D + d) : unit(row * D + d);
                    x[n] += unit((t * H + h) * D + d) * v[n * D + d] * 0.7;
                }
                for (int d = 0; d < D && !there; d++) {
                    v[n * D + d] = 0;
                }
                n++;
            }
            softmax_row(n, x, D, v, unit2(h), out, &lse);
            close_to(sb_get(&s, "lse", t * H + h), lse, 1e-5, "lse", t);
            for (int d = 0; d < D; d++) {
                close_to(sb_get(&s, "o", (t * H + h) * D + d), out[d], 1e-5, "o", t);
            }
        }
    }
    sb_done(&s);
}

/* ---- (h) compressor
 * ---------------------------------------------------------------------------------- */

static double slots(int64_t i) { return i == 0 ? 2 : 0; }

static void test_h(void **state) {
    (void)state;
    sb_program s;
    enum { MM = 2, D = 3 };
    open_file(&s, "h_compressor");
    sb_kernel(&s, "compress_step", "MM=2 D=3");
    sb_tensor(&s, "st", "4,4,2,6", unit);
    sb_tensor(&s, "slot", "2", slots);
    sb_tensor(&s, "c", "2,6", unit2);
    sb_tensor(&s, "z", "2,6", unit);
    sb_tensor(&s, "ape", "2,6", unit2);
    sb_scalar(&s, "p", 3);
    sb_tensor(&s, "g", "3", positive);
    sb_scalar(&s, "eps", 1e-6);
    sb_tensor(&s, "y", "2,3", NULL);
    sb_run(&s);
    for (int b = 0; b < 2; b++) {
        double st[4][2][6], e[D], ss = 0;
        int slot = (int)slots(b);
        for (int i = 0; i < 48; i++) {
            st[i / 12][i / 6 % 2][i % 6] = unit(slot * 48 + i);
        }
        for (int d = 0; d < 6; d++) {
            st[3][0][d] = unit2(b * 6 + d);
            st[3][1][d] = unit(b * 6 + d) + unit2(1 * 6 + d);
        }
        for (int d = 0; d < D; d++) {
            double x[4], v[4], lse;
            for (int r = 0; r < 4; r++) {
                x[r] = st[r][1][r < MM ? d : d + D];
                v[r] = st[r][0][r < MM ? d : d + D];
            }
            softmax_row(4, x, 1, v, -INFINITY, &e[d], &lse);
            ss += e[d] * e[d];
        }
        for (int d = 0; d < D; d++) {
            close_to(sb_get(&s, "y", b * D + d), e[d] / sqrt(ss / D + 1e-6) * positive(d), 1e-5,
                     "y", d);
        }
        for (int i = 0; i < 48; i++) { /* the first half now holds the second */
            double want =
                i / 12 < MM ? st[i / 12 + MM][i / 6 % 2][i % 6] : st[i / 12][i / 6 % 2][i % 6];
            close_to(sb_get(&s, "st", slot * 48 + i), (float)want, 1e-7, "st", i);
        }
    }
    for (int i = 0; i < 48; i++) { /* slots without a request keep their state */
        close_to(sb_get(&s, "st", 48 + i), (float)unit(48 + i), 0, "st", 48 + i);
    }
    sb_done(&s);
}

/* ---- (i) experts
 * ---------------------------------------------------------------------------------------- */

static double gate_score(int64_t i) { return (double)(mix(i) % 4096) / 4096; }
static double gate_bias(int64_t i) { return (double)(mix(i + 50) % 64) / 512; }

static void test_i_gate(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "i_moe");
    sb_kernel(&s, "gate", "");
    sb_tensor(&s, "s", "3,256", gate_score);
    sb_tensor(&s, "bias", "256", gate_bias);
    sb_tensor(&s, "ids", "3,8", NULL);
    sb_tensor(&s, "wts", "3,8", NULL);
    sb_run(&s);
    for (int t = 0; t < 3; t++) {
        double sb[256], group[8];
        bool keep[8] = {false};
        for (int i = 0; i < 256; i++) {
            sb[i] = (float)((float)gate_score(t * 256 + i) + (float)gate_bias(i));
        }
        for (int g = 0; g < 8; g++) {
            double a = -1, b = -1;
            for (int i = 0; i < 32; i++) {
                double v = sb[g * 32 + i];
                b = v > a ? a : v > b ? v : b;
                a = v > a ? v : a;
            }
            group[g] = (float)(a + b);
        }
        for (int k = 0; k < 4; k++) {
            int best = -1;
            for (int g = 0; g < 8; g++) {
                best = !keep[g] && (best < 0 || group[g] > group[best]) ? g : best;
            }
            keep[best] = true;
        }
        int ids[8];
        double total = 0;
        for (int k = 0; k < 8; k++) {
            int best = -1;
            for (int i = 0; i < 256; i++) {
                bool used = !keep[i / 32];
                for (int j = 0; j < k; j++) {
                    used = used || ids[j] == i;
                }
                best = !used && (best < 0 || sb[i] > sb[best]) ? i : best;
            }
            ids[k] = best;
            total += gate_score(t * 256 + best);
        }
        for (int k = 0; k < 8; k++) {
            assert_int_equal((int)sb_get(&s, "ids", t * 8 + k), ids[k]);
            close_to(sb_get(&s, "wts", t * 8 + k), gate_score(t * 256 + ids[k]) / total * 2.5, 1e-6,
                     "wts", k);
        }
    }
    sb_done(&s);
}

static double experts(int64_t i) { return (double)(mix(i) % 4); }

static void test_i_align(void **state) {
    (void)state;
    sb_program s;
    double h[12], base[12];
    open_file(&s, "i_moe");
    sb_kernel(&s, "align_count", "E=4 RB=8");
    sb_tensor(&s, "e", "20", experts);
    sb_tensor(&s, "h", "3,4", NULL);
    sb_run(&s);
    for (int b = 0; b < 3; b++) {
        for (int x = 0; x < 4; x++) {
            int n = 0;
            for (int i = b * 8; i < b * 8 + 8 && i < 20; i++) {
                n += (int)experts(i) == x;
            }
            h[b * 4 + x] = sb_get(&s, "h", b * 4 + x);
            assert_int_equal((int)h[b * 4 + x], n);
        }
    }
    sb_kernel(&s, "align_scan", "E=4 AL=4");
    sb_values(&s, "h", "3,4", h);
    sb_tensor(&s, "base", "3,4", NULL);
    sb_tensor(&s, "first", "5", NULL);
    sb_tensor(&s, "rows", "1", NULL);
    sb_run(&s);
    double first[5];
    for (int x = 0; x < 5; x++) {
        first[x] = sb_get(&s, "first", x);
        assert_int_equal((int)first[x] % 4, 0);
    }
    assert_int_equal((int)first[4], (int)sb_get(&s, "rows", 0));
    for (int i = 0; i < 12; i++) {
        base[i] = sb_get(&s, "base", i);
    }
    sb_kernel(&s, "align_rank", "E=4 RB=8");
    sb_tensor(&s, "e", "20", experts);
    sb_values(&s, "base", "3,4", base);
    sb_tensor(&s, "pos", "20", NULL);
    sb_tensor(&s, "src", "36", NULL);
    sb_run(&s);
    int next[4];
    for (int x = 0; x < 4; x++) {
        next[x] = (int)first[x];
    }
    for (int i = 0; i < 20; i++) { /* stable within an expert */
        int want = next[(int)experts(i)]++;
        assert_int_equal((int)sb_get(&s, "pos", i), want);
        assert_int_equal((int)sb_get(&s, "src", want), i);
    }
    sb_done(&s);
}

static double tok(int64_t i) {
    static const double t[] = {4, 0, -1, 3, 3, 5, 1, 2, 0};
    return t[i];
}
static double returned(int64_t i) { return (double)(mix(i) % 11) - 1; } /* -1 .. 9; 9 is outside */

static void test_i_expand_reduce(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "i_moe");
    sb_kernel(&s, "expand", "D=4 BR=4");
    sb_tensor(&s, "x", "5,4", small_int);
    sb_tensor(&s, "tok", "9", tok);
    sb_tensor(&s, "y", "9,4", NULL);
    sb_run(&s);
    for (int64_t i = 0; i < 36; i++) {
        int64_t t = (int64_t)tok(i / 4);
        close_to(sb_get(&s, "y", i), t >= 0 && t < 5 ? small_int(t * 4 + i % 4) : 0, 0, "y", i);
    }
    sb_kernel(&s, "weighted_return", "KS=2 D=4");
    sb_tensor(&s, "x", "9,4", small_int);
    sb_tensor(&s, "pos", "5,2", returned);
    sb_tensor(&s, "w", "5,2", pow2);
    sb_tensor(&s, "y", "5,4", NULL);
    sb_run(&s);
    for (int64_t i = 0; i < 20; i++) {
        double want = 0;
        for (int64_t k = 0; k < 2; k++) {
            int64_t p = (int64_t)returned(i / 4 * 2 + k);
            want += p >= 0 && p < 9 ? small_int(p * 4 + i % 4) * pow2(i / 4 * 2 + k) : 0;
        }
        close_to(sb_get(&s, "y", i), want, 0, "y", i);
    }
    sb_done(&s);
}

static void test_i_op(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "i_moe");
    assert_int_equal(sb_try(&s, "align", "E=4 RB=8 AL=4"), TG_OK);
    const tg_hostop *op = s.m->hostops;
    assert_non_null(op);
    assert_string_equal(op->name, "align");
    assert_int_equal(op->n_temps, 2);
    assert_int_equal(op->n_launches, 3);
    assert_string_equal(op->launches[0].kernel, "align_count");
    assert_int_equal(op->launches[1].args[0].kind, TG_ARG_TEMP);
    assert_int_equal(op->launches[2].args[0].kind, TG_ARG_PARAM);
    int64_t syms[4] = {0};
    for (int i = 0; i < op->n_syms; i++) {
        syms[i] = strcmp(op->syms[i].name, "R") == 0 ? 20 : 36;
    }
    assert_int_equal(tg_dim_eval(op->temps[0].dims[0], syms), 3);
    assert_non_null(tg_func_find(s.m, "align_rank"));
    sb_done(&s);
}

/* ---- (j) hyper-connections
 * --------------------------------------------------------------------------- */

static void test_j(void **state) {
    (void)state;
    sb_program s;
    enum { T = 5, ND = 70 };
    open_file(&s, "j_mhc");
    sb_kernel(&s, "mhc_weights", "BT=2 BK=16");
    sb_tensor(&s, "x", "5,70", unit);
    sb_tensor(&s, "fn_w", "24,70", unit2);
    sb_tensor(&s, "b", "24", unit);
    sb_tensor(&s, "scales", "3", positive);
    sb_scalar(&s, "eps", 1e-6);
    sb_tensor(&s, "pre", "5,4", NULL);
    sb_tensor(&s, "post", "5,4", NULL);
    sb_tensor(&s, "comb", "5,4,4", NULL);
    sb_run(&s);
    for (int t = 0; t < T; t++) {
        double m[24] = {0}, ss = 0, c[4][4];
        for (int k = 0; k < ND; k++) {
            double x = bf16_of(unit(t * ND + k));
            ss += x * x;
            for (int j = 0; j < 24; j++) {
                m[j] += x * (float)unit2(j * ND + k);
            }
        }
        for (int j = 0; j < 24; j++) {
            m[j] = m[j] / sqrt(ss / ND + 1e-6) * positive(j < 4 ? 0 : j < 8 ? 1 : 2) + unit(j);
        }
        for (int i = 0; i < 4; i++) {
            double sum = 0;
            for (int j = 0; j < 4; j++) {
                sum += exp(m[8 + i * 4 + j]);
            }
            for (int j = 0; j < 4; j++) {
                c[i][j] = exp(m[8 + i * 4 + j]) / sum + 1e-6;
            }
        }
        for (int it = 0; it < 2 * 20 - 1; it++) { /* columns, then rows and columns in turn */
            for (int a = 0; a < 4; a++) {
                double sum = 0;
                for (int b = 0; b < 4; b++) {
                    sum += it % 2 == 0 ? c[b][a] : c[a][b];
                }
                for (int b = 0; b < 4; b++) {
                    *(it % 2 == 0 ? &c[b][a] : &c[a][b]) /= sum + 1e-6;
                }
            }
        }
        for (int j = 0; j < 4; j++) {
            close_to(sb_get(&s, "pre", t * 4 + j), 1 / (1 + exp(-m[j])) + 1e-6, 2e-5, "pre", j);
            close_to(sb_get(&s, "post", t * 4 + j), 2 / (1 + exp(-m[4 + j])), 2e-5, "post", j);
            for (int i = 0; i < 4; i++) {
                close_to(sb_get(&s, "comb", (t * 4 + i) * 4 + j), c[i][j], 2e-5, "comb", i * 4 + j);
            }
        }
    }
    sb_kernel(&s, "mhc_pre", "BT=2 BD=4");
    sb_tensor(&s, "x", "5,4,9", small_int);
    sb_tensor(&s, "pre", "5,4", pow2);
    sb_tensor(&s, "y", "5,9", NULL);
    sb_run(&s);
    for (int64_t i = 0; i < 45; i++) {
        double want = 0;
        for (int64_t n = 0; n < 4; n++) {
            want += pow2(i / 9 * 4 + n) * small_int((i / 9 * 4 + n) * 9 + i % 9);
        }
        close_to(sb_get(&s, "y", i), want, 0, "y", i);
    }
    sb_done(&s);
}

/* ---- (k) hashes
 * ------------------------------------------------------------------------------------------ */

static double hash_tok(int64_t i) { return (double)(mix(i) % 11); }
static double is_dead(int64_t i) { return i == 4; }
static double hash_pos(int64_t i) { return (double)(i % 6); }
static double hash_map(int64_t i) { return (double)((i * 5 + 1) % 11); }
static double hash_mul(int64_t i) { return (double)(1000003 + 2 * i); }
static double hash_prime(int64_t i) { return (double)(97 + 2 * i); }
static double hash_off(int64_t i) { return (double)(i * 1000); }

static void test_k(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "k_engram");
    sb_kernel(&s, "engram_hash", "BT=4");
    sb_tensor(&s, "tok", "9", hash_tok);
    sb_tensor(&s, "dead", "9", is_dead);
    sb_tensor(&s, "pos", "9", hash_pos);
    sb_tensor(&s, "map", "11", hash_map);
    sb_tensor(&s, "mul", "3", hash_mul);
    sb_tensor(&s, "prime", "2,8", hash_prime);
    sb_tensor(&s, "off", "2,8", hash_off);
    sb_tensor(&s, "hash", "9,16", NULL);
    sb_run(&s);
    for (int t = 0; t < 9; t++) {
        int64_t p = 0;
        bool ok = true;
        for (int n = 0; n < 3; n++) {
            ok = ok && (int)hash_pos(t) >= n && t - n >= 0 && is_dead(t - n) == 0;
            p ^= (ok ? (int64_t)hash_map((int64_t)hash_tok(t - n)) : 0) * (int64_t)hash_mul(n);
            for (int h = 0; h < 8 && n > 0; h++) {
                int64_t want =
                    p % (int64_t)hash_prime((n - 1) * 8 + h) + (int64_t)hash_off((n - 1) * 8 + h);
                assert_int_equal((int64_t)sb_get(&s, "hash", t * 16 + (n - 1) * 8 + h), want);
            }
        }
    }
    sb_done(&s);
}

static int engram_byte(int64_t i) {
    return i % 264 < 256 ? (int)(mix(i) & 0x77) : 125 + (int)(mix(i) % 5);
}
static double engram_id(int64_t i) { return (double)(mix(i) % 7) - 1; }

static void test_k_gather(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "k_engram");
    sb_kernel(&s, "engram_gather", "BT=2");
    sb_bytes(&s, "rows", "5", engram_byte);
    sb_tensor(&s, "hash", "3,2", engram_id);
    sb_tensor(&s, "y", "3,2,256", NULL);
    sb_run(&s);
    const unsigned char *rows = sb_raw(&s, "rows");
    for (int64_t i = 0; i < 6 * 256; i++) {
        int64_t r = (int64_t)engram_id(i / 256), d = i % 256;
        double want = r < 0 || r > 4 ? 0
                                     : tg_float_decode(TG_DT_F8E4M3, rows[r * 264 + d]) *
                                           ldexp(1, rows[r * 264 + 256 + d / 32] - 127);
        close_to(sb_get(&s, "y", i), bf16_of(want), 0, "y", i);
    }
    sb_done(&s);
}

/* ---- (l), (m): bit-exact quantisation, fused norm
 * --------------------------------------------------------- */

static double wide(int64_t i) { return unit(i) * ldexp(1, (int)(mix(i / 128) % 13) - 6); }

static void test_l(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "l_quant");
    sb_kernel(&s, "quant", "BT=2");
    sb_tensor(&s, "x", "3,300", wide);
    sb_tensor(&s, "sf", "3,3", NULL);
    sb_tensor(&s, "q", "3,300", NULL);
    sb_run(&s);
    for (int t = 0; t < 3; t++) {
        for (int g = 0; g < 3; g++) {
            float a = 1e-4f;
            for (int k = g * 128; k < g * 128 + 128 && k < 300; k++) {
                a = fmaxf(a, (float)fabs(bf16_of(wide(t * 300 + k))));
            }
            float s448 = a / 448;
            uint32_t bits;
            memcpy(&bits, &s448, 4);
            uint32_t e = ((bits - 1) >> 23) + 1, inv = (254 - e) << 23;
            float scale;
            memcpy(&scale, &inv, 4);
            assert_int_equal((int)sb_get(&s, "sf", t * 3 + g), (int)e);
            for (int k = g * 128; k < g * 128 + 128 && k < 300; k++) {
                uint64_t want = tg_float_encode(
                    TG_DT_F8E4M3, (float)bf16_of(wide(t * 300 + k)) * scale, TG_ROUND_RNE, true);
                assert_int_equal(sb_raw(&s, "q")[t * 300 + k], (int)want);
            }
        }
    }
    sb_done(&s);
}

static void test_m(void **state) {
    (void)state;
    sb_program s;
    open_file(&s, "m_add_norm");
    sb_kernel(&s, "add_norm", "D=10 BT=2");
    sb_tensor(&s, "x", "3,10", unit);
    sb_tensor(&s, "res", "3,10", unit2);
    sb_tensor(&s, "g", "10", positive);
    sb_scalar(&s, "eps", 1e-6);
    sb_tensor(&s, "y", "3,10", NULL);
    sb_run(&s);
    for (int t = 0; t < 3; t++) {
        double r[10], ss = 0;
        for (int d = 0; d < 10; d++) {
            r[d] = bf16_of(unit(t * 10 + d)) + bf16_of(unit2(t * 10 + d));
            ss += r[d] * r[d];
            close_to(sb_get(&s, "res", t * 10 + d), bf16_of(r[d]), 0, "res", d);
        }
        for (int d = 0; d < 10; d++) {
            close_to(sb_get(&s, "y", t * 10 + d), r[d] / sqrt(ss / 10 + 1e-6) * positive(d), 4e-3,
                     "y", d);
        }
    }
    sb_done(&s);
}

/* ---- (n), (o)
 * ------------------------------------------------------------------------------------------------
 */

static double row_ptr(int64_t i) {
    static const double p[] = {0, 2, 2, 3, 3, 4, 4};
    /* two heads of three rows: {0,2,2,3} and {3,4,4,4} are not contiguous per head, so spell them
     */
    static const double q[] = {0, 2, 2, 3, 3, 4, 4, 4};
    (void)p;
    return q[i];
}
static double blocks(int64_t i) {
    static const double b[] = {0, 3, 1, 4}; /* block 4 lies outside of L = 8 */
    return b[i];
}

static void test_n(void **state) {
    (void)state;
    sb_program s;
    enum { C = 2, D = 3, L = 8 };
    open_file(&s, "n_block_sparse");
    sb_kernel(&s, "block_sparse", "C=2 D=3");
    sb_tensor(&s, "q", "1,2,3,2,3", unit);
    sb_tensor(&s, "k", "8,3", unit2);
    sb_tensor(&s, "v", "8,3", unit);
    sb_tensor(&s, "ptr", "1,2,4", row_ptr);
    sb_tensor(&s, "ind", "4", blocks);
    sb_scalar(&s, "scale", 0.9);
    sb_tensor(&s, "o", "1,2,3,2,3", NULL);
    sb_tensor(&s, "lse", "1,2,3,2", NULL);
    sb_run(&s);
    for (int row = 0; row < 6; row++) {
        for (int c = 0; c < C; c++) {
            double x[16], v[16 * D], out[D], lse;
            int n = 0, h = row / 3, i = row % 3;
            for (int b = (int)row_ptr(h * 4 + i); b < (int)row_ptr(h * 4 + i + 1); b++) {
                for (int j = 0; j < C; j++) {
                    int key = (int)blocks(b) * C + j;
                    x[n] = key < L ? 0 : NAN;
                    for (int d = 0; d < D; d++) {
                        x[n] +=
                            key < L ? unit((row * C + c) * D + d) * unit2(key * D + d) * 0.9 : 0;
                        v[n * D + d] = key < L ? unit(key * D + d) : 0;
                    }
                    n++;
                }
            }
            softmax_row(n, x, D, v, -INFINITY, out, &lse);
            close_to(sb_get(&s, "lse", row * C + c), lse, 1e-5, "lse", row);
            for (int d = 0; d < D; d++) {
                close_to(sb_get(&s, "o", (row * C + c) * D + d), out[d], 1e-5, "o", row);
            }
        }
    }
    sb_done(&s);
}

static double probability(int64_t i) {
    static const double p[] = {0.02, 0.3, 0.001, 0.25, 0.1};
    return i % 100 < 5 ? p[i % 100] : 0.329 / 95;
}
static double tops(int64_t i) { return i == 0 ? 0.25 : i == 1 ? 0.5 : 1.0; }

static void test_o(void **state) {
    (void)state;
    sb_program s;
    int first[3];
    bool moved = false;
    open_file(&s, "o_top_p");
    sb_kernel(&s, "top_p", "");
    for (int seed = 0; seed < 20; seed++) {
        sb_tensor(&s, "p", "3,100", probability);
        sb_tensor(&s, "top", "3", tops);
        sb_scalar(&s, "seed", seed);
        sb_tensor(&s, "token", "3", NULL);
        s.b.options.order_seed = (uint64_t)seed; /* the order of programs must not matter */
        sb_run(&s);
        assert_int_equal((int)sb_get(&s, "token", 0), 1); /* only the largest holds 0.25 */
        int t = (int)sb_get(&s, "token", 1);
        assert_true(t == 1 || t == 3); /* 0.3 + 0.25 hold 0.5 */
        t = (int)sb_get(&s, "token", 2);
        assert_true(t >= 0 && t < 100);
        for (int b = 0; b < 3; b++) {
            int now = (int)sb_get(&s, "token", b);
            moved = moved || (seed > 0 && now != first[b]);
            first[b] = seed == 0 ? now : first[b];
        }
    }
    assert_true(moved);
    sb_done(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a),
        cmocka_unit_test(test_b),
        cmocka_unit_test(test_c),
        cmocka_unit_test(test_d),
        cmocka_unit_test(test_d_combine),
        cmocka_unit_test(test_e),
        cmocka_unit_test(test_f_indexer),
        cmocka_unit_test(test_f_topk),
        cmocka_unit_test(test_g),
        cmocka_unit_test(test_h),
        cmocka_unit_test(test_i_gate),
        cmocka_unit_test(test_i_align),
        cmocka_unit_test(test_i_expand_reduce),
        cmocka_unit_test(test_i_op),
        cmocka_unit_test(test_j),
        cmocka_unit_test(test_k),
        cmocka_unit_test(test_k_gather),
        cmocka_unit_test(test_l),
        cmocka_unit_test(test_m),
        cmocka_unit_test(test_n),
        cmocka_unit_test(test_o),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
