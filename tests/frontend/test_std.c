/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The std module, run by the interpreter (corpus/std.tg calls every function) and compared with
 * plain C in double precision; quantisation with published golden bytes. The corpus as a whole must
 * check.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/interp.h"

typedef struct job {
    tf t;
    tg_module *m;
    tg_func *f;
    tg_interp_arg args[16];
    int n;
} job;

static void fail_with(job *j, const char *what) {
    tg_sb sb;
    tg_sb_init(&sb, &j->t.arena);
    tg_sb_add(&sb, what);
    for (const tg_diag *d = j->t.sink.first; d != NULL; d = d->next) {
        tg_sb_addc(&sb, '\n');
        tg_diag_render(&sb, d);
    }
    fail_msg("%s", sb.data);
}

/* Specialises one kernel of corpus/std.tg. Settings: name, value, ..., NULL. */
static job *start(const char *kernel, const char *const *settings) {
    job *j = calloc(1, sizeof(job));
    assert_non_null(j);
    tf_init(&j->t);
    tg_program *p;
    tg_setting list[8];
    int n = 0;
    for (; settings != NULL && settings[2 * n] != NULL; n++) {
        list[n] = (tg_setting){settings[2 * n], settings[2 * n + 1]};
    }
    tg_source *src = tf_source(&j->t, "std_test.tg", tf_read(&j->t, "corpus/std.tg", NULL));
    if (tg_program_load(&j->t.arena, &j->t.sink, src, NULL, NULL, &p) != TG_OK) {
        fail_with(j, "load");
    }
    j->t.env.oom = &j->t.oom;
    j->m = tg_module_make(&j->t.arena);
    if (tg_program_specialise(p, kernel, list, n, NULL, j->m, &j->f) != TG_OK) {
        fail_with(j, "specialise");
    }
    j->t.env.oom = &j->t.oom;
    return j;
}

/* A dense tensor argument; extents end with 0. bytes: of an element (0: f4, two a byte). */
static void tensor(job *j, void *data, int bytes, const int64_t *extents, int rank) {
    tg_interp_arg *a = &j->args[j->n++];
    a->data = data;
    int64_t stride = bytes;
    for (int i = rank - 1; i >= 0; i--) {
        a->extent[i] = extents[i];
        a->stride_bytes[i] = stride;
        stride = stride == 0 ? (extents[i] + 1) / 2 : stride * extents[i];
    }
}

static void scalar(job *j, uint64_t bits) { j->args[j->n++].scalar = bits; }

static void finish(job *j) {
    int64_t syms[64] = {0};
    tg_interp_options o = {.check_races = true, .check_facts = true};
    if (tg_interp_bind(j->f, j->args, syms, &j->t.sink) != TG_OK) {
        fail_with(j, "bind");
    }
    j->t.env.oom = &j->t.oom;
    if (tg_interp_run(j->f, j->args, syms, &o, &j->t.arena, &j->t.sink) != TG_OK) {
        fail_with(j, "run");
    }
    tf_fini(&j->t);
    free(j);
}

static double noise(uint64_t *s) {
    *s = *s * 6364136223846793005u + 1442695040888963407u;
    return (double)(*s >> 40) / (double)(1 << 24) * 2 - 1;
}

static void near(double got, double want, double tol) {
    if (!(fabs(got - want) <= tol * (1 + fabs(want))) && !(isnan(got) && isnan(want)) &&
        got != want) {
        print_error("%.9g, should be %.9g\n", got, want);
        fail();
    }
}

#define E(...)                                                                                     \
    (const int64_t[]){__VA_ARGS__}, (int)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* ---- softmax -------------------------------------------------------------------------------- */

static void softmax_rows(const float *x, int n, double *out, double *lse) {
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++) {
        top = fmax(top, x[i]);
    }
    for (int i = 0; i < n; i++) {
        sum += isinf(top) ? 0 : exp(x[i] - top);
    }
    for (int i = 0; i < n; i++) {
        out[i] = sum == 0 ? 0 : exp(x[i] - top) / sum;
    }
    *lse = sum == 0 ? -INFINITY : log(sum) + top;
}

static void softmaxes(void **state) {
    (void)state;
    enum { M = 5, N = 24 };
    float x[M * N], a[M * N], b[M * N], c[M];
    uint64_t s = 1;
    for (int i = 0; i < M * N; i++) {
        x[i] = i / N == 3 ? -INFINITY : (float)(noise(&s) * 5);
    }
    job *j = start("softmaxes", NULL);
    tensor(j, x, 4, E(M, N));
    tensor(j, a, 4, E(M, N));
    tensor(j, b, 4, E(M, 4, 6));
    tensor(j, c, 4, E(M));
    finish(j);
    for (int r = 0; r < M; r++) {
        double want[N], lse;
        softmax_rows(x + r * N, N, want, &lse);
        near(c[r], lse, 1e-6);
        for (int i = 0; i < N; i++) {
            near(a[r * N + i], want[i], 1e-6);
        }
        for (int g = 0; g < 4; g++) {
            softmax_rows(x + r * N + g * 6, 6, want, &lse);
            for (int i = 0; i < 6; i++) {
                near(b[r * N + g * 6 + i], want[i], 1e-6);
            }
        }
    }
}

static void activations_and_norm(void **state) {
    (void)state;
    enum { N = 70 };
    float x[N], y[N];
    uint64_t s = 2;
    for (int i = 0; i < N; i++) {
        x[i] = (float)(noise(&s) * 30);
    }
    job *j = start("activations", NULL);
    tensor(j, x, 4, E(N));
    tensor(j, y, 4, E(N));
    finish(j);
    for (int i = 0; i < N; i++) {
        double v = x[i], silu = v / (1 + exp(-v));
        double gelu = 0.5 * v * (1 + tanh(0.7978845608028654 * (v + 0.044715 * v * v * v)));
        near(y[i], silu + gelu + (v > 20 ? v : log1p(exp(v))), 2e-6);
    }
}

/* ---- attention ------------------------------------------------------------------------------ */

static void attend(const float *q, const float *k, const float *v, int n, double sink, double *out,
                   double *lse) {
    double top = -INFINITY, sum = 0, x[64];
    memset(out, 0, 8 * sizeof(double));
    for (int i = 0; i < n; i++) {
        x[i] = 0;
        for (int d = 0; d < 16; d++) {
            x[i] += (double)q[d] * k[i * 16 + d];
        }
        top = fmax(top, x[i]);
    }
    for (int i = 0; i < n; i++) {
        sum += exp(x[i] - top);
        for (int e = 0; e < 8; e++) {
            out[e] += exp(x[i] - top) * v[i * 8 + e];
        }
    }
    for (int e = 0; e < 8 && n > 0; e++) {
        out[e] = sink == INFINITY ? 0 : out[e] / (sum + exp(sink - top));
    }
    *lse = n == 0 ? INFINITY : log(sum) + top;
}

static void check_attention(int n) {
    enum { M = 20, D = 16, F = 8 };
    float q[M * D], k[64 * D], v[64 * F], sink[M], o[M * F], lse[M];
    uint64_t s = 3;
    for (int i = 0; i < 64 * D; i++) {
        k[i] = (float)noise(&s);
        v[i % (64 * F)] = (float)noise(&s);
        q[i % (M * D)] = (float)noise(&s);
    }
    for (int i = 0; i < M; i++) {
        sink[i] = i % 3 == 0 ? -INFINITY : i % 3 == 1 ? INFINITY : (float)noise(&s) * 3;
    }
    job *j = start("attention", (const char *const[]){"T", "f32", "D", "16", "E", "8", NULL});
    tensor(j, q, 4, E(M, D));
    tensor(j, k, 4, E(n, D));
    tensor(j, v, 4, E(n, F));
    tensor(j, sink, 4, E(M));
    tensor(j, o, 4, E(M, F));
    tensor(j, lse, 4, E(M));
    finish(j);
    for (int r = 0; r < M; r++) {
        double want[F], l;
        attend(q + r * D, k, v, n, sink[r], want, &l);
        near(lse[r], l, 1e-6);
        for (int e = 0; e < F; e++) {
            near(o[r * F + e], want[e], 2e-6);
        }
    }
}

static void attention(void **state) {
    (void)state;
    check_attention(33);
    check_attention(16);
    check_attention(1);
    check_attention(0);
}

/* ---- selection ------------------------------------------------------------------------------ */

static uint32_t key_of(float x) {
    uint32_t b;
    memcpy(&b, &x, 4);
    return isnan(x) ? 0xffffffffu : (b >> 31) != 0 ? ~b : b | 0x80000000u;
}

static void selection(void **state) {
    (void)state;
    enum { R = 6, N = 200, K = 8 };
    static float x[R * N];
    int32_t len[R] = {200, 64, 65, 3, 0, 200}, idx[R * K];
    uint64_t s = 4;
    for (int i = 0; i < R * N; i++) {
        x[i] = i / N == 5 ? (float)((i * 7) % 3) : (float)noise(&s); /* row 5: ties only */
    }
    x[17] = NAN, x[50] = INFINITY, x[51] = -0.0f, x[N + 3] = -INFINITY, x[2 * N + 64] = 9.0f;
    job *j = start("select", (const char *const[]){"K", "8", NULL});
    tensor(j, x, 4, E(R, N));
    tensor(j, len, 4, E(R));
    scalar(j, K);
    tensor(j, idx, 4, E(R, K));
    finish(j);
    for (int r = 0; r < R; r++) {
        int found = 0;
        for (int i = 0; i < len[r]; i++) {
            int better = 0;
            for (int k = 0; k < len[r]; k++) {
                uint32_t a = key_of(x[r * N + k]), b = key_of(x[r * N + i]);
                better += a > b || (a == b && k < i);
            }
            if (better < K) {
                assert_int_equal(idx[r * K + found], i);
                found++;
            }
        }
        for (; found < K; found++) {
            assert_int_equal(idx[r * K + found], -1);
        }
    }
}

/* ---- quantisation --------------------------------------------------------------------------- */

static float to_bf16(double v) {
    return (float)tg_float_decode(TG_DT_BF16, tg_float_encode(TG_DT_BF16, v, TG_ROUND_RNE, false));
}

/* Golden bytes: x_i = bf16((i - 15.5) * 0.37), amax 5.75. */
static void quantisation(void **state) {
    (void)state;
    enum { M = 3 };
    static const uint8_t gold4[16] = {0xff, 0xee, 0xee, 0xde, 0xcd, 0xbc, 0xab, 0x89,
                                      0x10, 0x32, 0x43, 0x54, 0x65, 0x66, 0x66, 0x77};
    static const uint8_t gold8[32] = {0xfc, 0xfb, 0xfa, 0xf9, 0xf8, 0xf8, 0xf6, 0xf5,
                                      0xf3, 0xf2, 0xf0, 0xed, 0xea, 0xe7, 0xe1, 0xd4,
                                      0x54, 0x61, 0x67, 0x6a, 0x6d, 0x70, 0x72, 0x73,
                                      0x75, 0x76, 0x78, 0x78, 0x79, 0x7a, 0x7b, 0x7c};
    float x[M * 128], s8[M * 4], y[M * 128];
    uint8_t q8[M * 128], p8[M * 128], e8[M * 4], q4[M * 64], e4[M * 4];
    for (int i = 0; i < M * 128; i++) {
        x[i] = i / 32 == 5 ? 0.0f : to_bf16((i % 32 - 15.5) * 0.37);
    }
    job *j = start("quantise", NULL);
    tensor(j, x, 4, E(M, 4, 32));
    tensor(j, q8, 1, E(M, 4, 32));
    tensor(j, s8, 4, E(M, 4));
    tensor(j, p8, 1, E(M, 4, 32));
    tensor(j, e8, 1, E(M, 4));
    tensor(j, q4, 0, E(M, 4, 32));
    tensor(j, e4, 1, E(M, 4));
    tensor(j, y, 4, E(M, 4, 32));
    finish(j);
    for (int g = 0; g < M * 4; g++) {
        if (g == 5) { /* zeros: the floor of amax, codes 0 */
            near(s8[g], 1e-4 / 448, 1e-6);
            continue;
        }
        assert_memory_equal(q4 + g * 16, gold4, 16);
        assert_memory_equal(p8 + g * 32, gold8, 32);
        assert_int_equal(e4[g], 0x7f);
        assert_int_equal(e8[g], 0x79);
        near(s8[g], 5.75 / 448, 1e-6);
        for (int i = 0; i < 32; i++) {
            double scale = ldexp(1, 0x79 - 127),
                   d8 = tg_float_decode(TG_DT_F8E4M3, q8[g * 32 + i]) * s8[g];
            near(y[g * 32 + i], d8 + tg_float_decode(TG_DT_F8E4M3, gold8[i]) * scale * scale, 1e-5);
        }
    }
}

/* ---- rope, hashes --------------------------------------------------------------------------- */

static void rope(void **state) {
    (void)state;
    enum { M = 7, D = 64 };
    float x[M * D], pos[M], a[M * D], b[M * D];
    uint64_t s = 6;
    for (int i = 0; i < M * D; i++) {
        x[i] = (float)noise(&s);
        pos[i % M] = (float)(i % M * 37);
    }
    job *j = start("rope", NULL);
    tensor(j, x, 4, E(M, D));
    tensor(j, pos, 4, E(M));
    tensor(j, a, 4, E(M, D));
    tensor(j, b, 4, E(M, D));
    finish(j);
    for (int i = 0; i < M * D; i++) { /* rotated there and back */
        near(a[i], x[i], 1e-6);
        near(b[i], x[i], 1e-6);
    }
}

static void rotations(void **state) {
    (void)state;
    enum { M = 3, D = 64, H = 32 };
    float x[M * D], pos[M] = {0, 1, 123}, a[M * D], b[M * D];
    uint64_t s = 7;
    for (int i = 0; i < M * D; i++) {
        x[i] = (float)noise(&s);
    }
    job *j = start("rotate", NULL);
    tensor(j, x, 4, E(M, D));
    tensor(j, pos, 4, E(M));
    tensor(j, a, 4, E(M, D));
    tensor(j, b, 4, E(M, D));
    finish(j);
    for (int r = 0; r < M; r++) {
        for (int i = 0; i < H; i++) {
            double t = pos[r] * pow(10000.0, -(double)i / H), c = cos(t), n = sin(t);
            const float *h = x + r * D, *p = x + r * D + 2 * i;
            near(a[r * D + i], h[i] * c - h[i + H] * n, 3e-5);
            near(a[r * D + i + H], h[i + H] * c + h[i] * n, 3e-5);
            near(b[r * D + 2 * i], p[0] * c - p[1] * n, 3e-5);
            near(b[r * D + 2 * i + 1], p[1] * c + p[0] * n, 3e-5);
        }
    }
}

/* Parts of rows turned by a table; its rows need not be cosines and sines. */
static void turns(void **state) {
    (void)state;
    enum { M = 5, D = 8, W = 4 };
    float x[M * D], cs[M * W], all8[M * D], a[M * D], b[M * D], c[M * D], d[M * D];
    uint64_t s = 8;
    for (int i = 0; i < M * D; i++) {
        x[i] = (float)noise(&s);
        cs[i % (M * W)] = (float)noise(&s);
        all8[i] = (float)(i % D < D / 2 ? cos(i / D + i % 4) : sin(i / D + i % 4));
    }
    job *j = start("turns", NULL);
    tensor(j, x, 4, E(M, D));
    tensor(j, cs, 4, E(M, W));
    tensor(j, all8, 4, E(M, D));
    tensor(j, a, 4, E(M, D));
    tensor(j, b, 4, E(M, D));
    tensor(j, c, 4, E(M, D));
    tensor(j, d, 4, E(M, D));
    finish(j);
    for (int r = 0; r < M; r++) {
        const float *h = x + r * D, *t = cs + r * W;
        for (int i = 0; i < W; i++) {
            near(a[r * D + i], h[i], 1e-7);
            near(b[r * D + W + i], h[W + i], 1e-7);
            near(c[r * D + W + i], h[W + i], 1e-7);
        }
        for (int i = 0; i < W / 2; i++) {
            const float *p = h + W + 2 * i, *q = h + 2 * i;
            near(a[r * D + W + 2 * i], p[0] * t[i] - p[1] * t[W / 2 + i], 1e-6);
            near(a[r * D + W + 2 * i + 1], p[1] * t[i] + p[0] * t[W / 2 + i], 1e-6);
            near(b[r * D + 2 * i], q[0] * t[i] + q[1] * t[W / 2 + i], 1e-6);
            near(b[r * D + 2 * i + 1], q[1] * t[i] - q[0] * t[W / 2 + i], 1e-6);
            near(c[r * D + i], h[i] * t[i] - h[i + 2] * t[W / 2 + i], 1e-6);
            near(c[r * D + i + 2], h[i + 2] * t[i] + h[i] * t[W / 2 + i], 1e-6);
        }
    }
    for (int i = 0; i < M * D; i++) { /* a rotation and its conjugate */
        near(d[i], x[i], 1e-6);
    }
}

static uint32_t mix32(uint32_t a) {
    a = (a ^ (a >> 16)) * 0x7feb352du;
    a = (a ^ (a >> 15)) * 0x846ca68bu;
    return a ^ (a >> 16);
}

static uint64_t mix64(uint64_t a) {
    a += 0x9e3779b97f4a7c15u;
    a = (a ^ (a >> 30)) * 0xbf58476d1ce4e5b9u;
    a = (a ^ (a >> 27)) * 0x94d049bb133111ebu;
    return a ^ (a >> 31);
}

static void hashes(void **state) {
    (void)state;
    enum { N = 100 };
    int32_t x[N];
    uint32_t a[N];
    uint64_t b[N];
    int64_t c[N];
    float d[N];
    assert_true(mix64(0) == 0xE220A8397B1DCDAFu); /* splitmix64's first output for seed 0 */
    for (int i = 0; i < N; i++) {
        x[i] = i * 7919 - (i % 2) * 1000000;
    }
    job *j = start("hashes", NULL);
    tensor(j, x, 4, E(N));
    tensor(j, a, 4, E(N));
    tensor(j, b, 8, E(N));
    tensor(j, c, 8, E(N));
    tensor(j, d, 4, E(N));
    finish(j);
    for (int i = 0; i < N; i++) {
        uint64_t w = (uint64_t)(int64_t)x[i];
        assert_int_equal(a[i], mix32((uint32_t)x[i]));
        assert_true(b[i] == mix64(mix64(w) ^ mix64(w)));
        assert_true(c[i] == (int64_t)x[i] * 12345 % 1009);
        assert_true(d[i] == (float)(mix32((uint32_t)x[i]) >> 8) / (float)(1 << 24));
    }
}

static void corpus_checks(void **state) {
    (void)state;
    tf t;
    tf_init(&t);
    int n;
    char **files = tf_list(&t, "corpus", &n);
    for (int i = 0; i < n; i++) {
        tg_program *p;
        tg_sink sink;
        tg_sink_init(&sink, &t.arena);
        tg_status st = tg_program_load(
            &t.arena, &sink, tf_source(&t, files[i], tf_read(&t, files[i], NULL)), NULL, NULL, &p);
        st = st == TG_OK ? tg_program_check(p) : st;
        t.env.oom = &t.oom;
        if (st != TG_OK) {
            tg_sb sb;
            tg_sb_init(&sb, &t.arena);
            tg_diag_render(&sb, sink.first);
            fail_msg("%s", sb.data);
        }
    }
    tf_fini(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_checks),
        cmocka_unit_test(softmaxes),
        cmocka_unit_test(activations_and_norm),
        cmocka_unit_test(attention),
        cmocka_unit_test(selection),
        cmocka_unit_test(quantisation),
        cmocka_unit_test(rope),
        cmocka_unit_test(turns),
        cmocka_unit_test(rotations),
        cmocka_unit_test(hashes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
