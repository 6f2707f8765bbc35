/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of warpgroups: the kernels of cuda/wgmma.cu for each way in which matrices may lie in
 * shared memory. The images are laid out here, from the manual's pictures: tiles as a tensor copy
 * leaves them, cores of 8 x 16 bytes where nothing is swizzled. Values are small enough for every
 * sum to be exact.
 */
#include "simtest.h"

#include <math.h>

enum { ROWS = 64, MOST_N = 64, MOST_K = 32, THREADS = 128, OTHER = 32768 /* where B lies */ };

typedef enum element { F16, BF16, TF32, E4M3, E5M2, S8, U8 } element;
static const int element_bits[] = {16, 16, 32, 8, 8, 8, 8};

typedef struct product_case {
    const char *kernel;
    element a, b;
    int n, k;
    bool a_turned, b_turned, a_registers, half, saturates;
    int sign_a, sign_b;
} product_case;

static const product_case products[] = {
    {"half_kk", F16, F16, 16, 16, false, false, false, false, false, 1, 1},
    {"half_mn", F16, F16, 64, 16, true, true, false, false, false, 1, 1},
    {"half_mk", BF16, BF16, 64, 16, true, false, false, false, false, 1, 1},
    {"half_kn", BF16, BF16, 64, 16, false, true, false, false, false, -1, 1},
    {"half_half", F16, F16, 16, 16, false, false, false, true, false, 1, -1},
    {"single_kk", TF32, TF32, 16, 8, false, false, false, false, false, 1, 1},
    {"eight_kk", E4M3, E5M2, 16, 32, false, false, false, false, false, 1, 1},
    {"eight_half", E5M2, E4M3, 16, 32, false, false, false, true, false, -1, -1},
    {"bytes_kk", S8, U8, 16, 32, false, false, false, false, false, 1, 1},
    {"bytes_sat", U8, U8, 16, 32, false, false, false, false, true, 1, 1},
    {"half_rk", F16, F16, 16, 16, false, false, true, false, false, 1, 1},
    {"half_rn", BF16, BF16, 16, 16, false, true, true, false, false, 1, 1},
    {"single_rk", TF32, TF32, 16, 8, false, false, true, false, false, 1, 1},
    {"eight_rk", E4M3, E4M3, 16, 32, false, false, true, false, false, 1, 1},
    {"bytes_rk", U8, S8, 16, 32, false, false, true, false, false, 1, 1}};

/* ---- numbers -----------------------------------------------------------------------------------
 */

/* Bits of a small number: floats have so many stored bits and such a bias. */
static uint32_t coded(double v, int mantissa, int bias, int bits) {
    int e;
    if (v == 0) {
        return 0;
    }
    double f = frexp(fabs(v), &e) * 2; /* 1 <= f < 2 */
    uint32_t out = (uint32_t)(e - 1 + bias) << mantissa | (uint32_t)ldexp(f - 1, mantissa);
    return out | (v < 0 ? 1u << (bits - 1) : 0);
}
static uint32_t bits_of(int v, element t) {
    switch (t) {
    case F16:
        return coded(v, 10, 15, 16);
    case BF16:
        return coded(v, 7, 127, 16);
    case TF32:
        return coded(v, 23, 127, 32);
    case E4M3:
        return coded(v, 3, 7, 8);
    case E5M2:
        return coded(v, 2, 15, 8);
    case S8:
    case U8:
    default:
        return (uint32_t)v & 0xff;
    }
}
static bool whole(const product_case *c) { return c->a == S8 || c->a == U8; }

/* ---- images ------------------------------------------------------------------------------------
 */

typedef struct layout {
    uint32_t swizzle; /* 0, 32, 64, 128 */
    uint32_t begin;   /* bytes of K in front of the slab that is multiplied */
} layout;
static const layout layouts[] = {{0, 0},   {32, 0},   {64, 0},  {64, 32},
                                 {128, 0}, {128, 32}, {128, 96}};

/* Where byte p of a swizzled tile lies. */
static uint32_t exchanged(uint32_t p, uint32_t swizzle) {
    uint32_t line = p / 128, chunk = p / 16 % 8, mask = swizzle / 16 - 1;
    return line * 128 + (chunk ^ (line & mask)) * 16 + p % 16;
}

/* Byte offset of the element (line of M or N, step of K). Strides are 64 bytes more than they need
 * to be where no swizzle wants them whole. */
static uint32_t place(uint32_t line, uint32_t k, uint32_t bytes, bool turned, uint32_t lines,
                      const layout *at, uint32_t *lead, uint32_t *stride) {
    uint32_t w = at->swizzle, per = 16 / bytes;
    if (w == 0) { /* cores of 8 lines of 16 bytes */
        *stride = turned ? 128 + 64 : 512;
        *lead = turned ? lines / per * *stride + 128 : 128 + 64;
        uint32_t major = turned ? line : k, minor = turned ? k : line;
        uint32_t core = turned ? major / per * *stride + minor / 8 * *lead
                               : major / per * *lead + minor / 8 * *stride;
        return core + minor % 8 * 16 + major % per * bytes;
    }
    if (!turned) { /* rows of w bytes, the slab somewhere in them */
        *lead = 16;
        *stride = 8 * w;
        return exchanged(line * w + at->begin + k * bytes, w);
    }
    uint32_t tile = w * 16, inner = w / bytes; /* tiles of 16 steps of w bytes */
    *lead = tile;
    *stride = 8 * w;
    return line / inner * tile + exchanged(k * w + line % inner * bytes, w);
}

static uint64_t descriptor(uint32_t begin, uint32_t lead, uint32_t stride, uint32_t swizzle) {
    uint64_t code = swizzle == 128 ? 1 : swizzle == 64 ? 2 : swizzle == 32 ? 3 : 0;
    return code << 62 | (uint64_t)(stride >> 4) << 32 | (uint64_t)(lead >> 4) << 16 | begin >> 4;
}

typedef struct trial {
    const product_case *c;
    const layout *at;
    bool adds;
    int a[ROWS][MOST_K], b[MOST_N][MOST_K], d[ROWS][MOST_N];
} trial;

static void lay_out(simtest *h, const trial *t, bool is_b) {
    uint8_t *image = (uint8_t *)h->host_a + (is_b ? OTHER : 0);
    const product_case *c = t->c;
    element type = is_b ? c->b : c->a;
    bool turned = is_b ? c->b_turned : c->a_turned;
    uint32_t bytes = (uint32_t)element_bits[type] / 8, lead = 0, stride = 0;
    uint32_t lines = is_b ? (uint32_t)c->n : ROWS;
    for (uint32_t i = 0; i < lines; i++) {
        for (uint32_t k = 0; k < (uint32_t)c->k; k++) {
            uint32_t v = bits_of(is_b ? t->b[i][k] : t->a[i][k], type);
            uint32_t at = place(i, k, bytes, turned, lines, t->at, &lead, &stride);
            memcpy(image + at, &v, bytes);
        }
    }
    uint32_t begin = (is_b ? OTHER : 0u) + (t->at->swizzle && !turned ? t->at->begin : 0);
    uint64_t d = descriptor(begin, lead, stride, t->at->swizzle);
    memcpy(&h->host_b[is_b ? 2 : 0], &d, sizeof d);
}

/* Registers of A behind the image: row g or g + 8 of the warp's 16, columns of one word. */
static void registers_of_a(simtest *h, const trial *t) {
    uint32_t *to = h->host_a + 2 * OTHER / 4;
    int bits = element_bits[t->c->a], per = 32 / bits;
    for (int q = 0; q < 4 * THREADS; q++) {
        int r = q / THREADS, thread = q % THREADS, lane = thread % 32;
        int row = thread / 32 * 16 + lane / 4 + (r & 1) * 8, col = (lane % 4 + (r >> 1) * 4) * per;
        to[q] = 0;
        for (int e = 0; e < per; e++) {
            to[q] |= bits_of(t->a[row][col + e], t->c->a) << (bits * e) % 32;
        }
    }
}

/* ---- accumulators ------------------------------------------------------------------------------
 */

static void position(const product_case *c, int q, int thread, int half, int *row, int *col) {
    int i = c->half ? 2 * q + half : q, lane = thread % 32;
    *row = thread / 32 * 16 + lane / 4 + i / 2 % 2 * 8;
    *col = i / 4 * 8 + lane % 4 * 2 + i % 2;
}
static uint32_t accumulator(const product_case *c, int q, int thread, int64_t d[ROWS][MOST_N]) {
    int row, col;
    uint32_t out = 0;
    for (int half = 0; half <= (int)c->half; half++) {
        position(c, q, thread, half, &row, &col);
        int64_t v = d[row][col];
        v = c->saturates && v > INT32_MAX ? INT32_MAX : v;
        out |= c->half    ? coded((double)v, 10, 15, 16) << (16 * half)
               : whole(c) ? (uint32_t)v
                          : coded((double)v, 23, 127, 32);
    }
    return out;
}

static void draw(trial *t, uint64_t seed) {
    const product_case *c = t->c;
    bool no_sign = c->a == U8, no_sign_b = c->b == U8;
    for (int k = 0; k < c->k; k++) {
        for (int i = 0; i < ROWS; i++) {
            int v = (int)(simtest_draw(&seed) % 8);
            t->a[i][k] = no_sign ? v * 30 : v - 4;
        }
        for (int i = 0; i < c->n; i++) {
            int v = (int)(simtest_draw(&seed) % 8);
            t->b[i][k] = no_sign_b ? v * 30 : v - 4;
        }
    }
    for (int i = 0; i < ROWS * c->n; i++) {
        t->d[i / c->n][i % c->n] =
            (int)(simtest_draw(&seed) % 64) + (c->saturates ? INT32_MAX - 9000 : 0);
    }
}

static void run_product(const char *text, const trial *t) {
    static int64_t sums[ROWS][MOST_N], first[ROWS][MOST_N];
    const product_case *c = t->c;
    int registers = c->n / (c->half ? 4 : 2);
    simtest *h = simtest_open_large(text, 3);
    for (int r = 0; r < ROWS; r++) {
        for (int n = 0; n < c->n; n++) {
            first[r][n] = t->d[r][n];
            sums[r][n] = t->adds ? t->d[r][n] : 0;
            for (int k = 0; k < c->k; k++) {
                sums[r][n] += c->sign_a * c->sign_b * t->a[r][k] * t->b[n][k];
            }
        }
    }
    lay_out(h, t, false);
    lay_out(h, t, true);
    registers_of_a(h, t);
    h->host_b[4] = t->adds;
    for (int q = 0; q < registers * THREADS; q++) {
        h->host_b[16 + q] = accumulator(c, q / THREADS, q % THREADS, first);
    }
    h->options.dynamic_shared = 2 * OTHER;
    h->options.seed = (uint64_t)c->n + t->at->swizzle;
    if (simtest_run(h, c->kernel, 1, THREADS, 2 * OTHER) != SIM_OK) {
        simtest_print(&h->report);
        fail_msg("%s, swizzle %u", c->kernel, t->at->swizzle);
    }
    for (int q = 0; q < registers * THREADS; q++) {
        uint32_t want = accumulator(c, q / THREADS, q % THREADS, sums);
        if (h->host_out[q] != want) {
            fail_msg("%s, swizzle %u from %u: register %d of thread %d is %08x, not %08x",
                     c->kernel, t->at->swizzle, t->at->begin, q / THREADS, q % THREADS,
                     h->host_out[q], want);
        }
    }
    assert_int_equal(h->report.counters.matrix_flops, 2 * ROWS * c->n * c->k);
    simtest_close(h);
}

static void shapes(void **state) {
    static trial t;
    char *text = simtest_file("cuda/wgmma.ptx");
    (void)state;
    for (size_t i = 0; i < sizeof products / sizeof *products; i++) {
        for (size_t l = 0; l < sizeof layouts / sizeof *layouts; l++) {
            t.c = &products[i];
            t.at = &layouts[l];
            t.adds = (i + l) % 3 != 0 || products[i].saturates;
            draw(&t, i * 16 + l + 1);
            run_product(text, &t);
        }
    }
    free(text);
}

/* ---- several groups, and a whole product --------------------------------------------------------
 */

static void groups(void **state) {
    static trial t;
    static int64_t once[ROWS][MOST_N], twice[ROWS][MOST_N];
    char *text = simtest_file("cuda/wgmma.ptx");
    simtest *h = simtest_open_large(text, 4);
    (void)state;
    t.c = &products[0];
    t.at = &layouts[4];
    draw(&t, 77);
    lay_out(h, &t, false);
    lay_out(h, &t, true);
    for (int i = 0; i < ROWS * 16; i++) {
        int r = i / 16, n = i % 16;
        int64_t sum = 0;
        for (int k = 0; k < 16; k++) {
            sum += t.a[r][k] * t.b[n][k];
        }
        once[r][n] = sum;
        twice[r][n] = 2 * sum;
    }
    memset(&h->host_b[4], 0, SIMTEST_LARGE * sizeof *h->host_b - 16);
    h->options.dynamic_shared = 2 * OTHER;
    assert_int_equal(simtest_run(h, "two_groups", 1, THREADS, 2 * OTHER), SIM_OK);
    for (int q = 0; q < 8 * THREADS; q++) {
        assert_int_equal(h->host_out[q], accumulator(t.c, q / THREADS, q % THREADS, twice));
        assert_int_equal(h->host_out[q + 8 * THREADS],
                         accumulator(t.c, q / THREADS, q % THREADS, once));
    }
    simtest_close(h);
    free(text);
}

static void pipeline(void **state) {
    enum { DEPTH = 320, N = 64, M = 128 };
    static int a[M][DEPTH], b[N][DEPTH];
    char *text = simtest_file("cuda/wgmma.ptx");
    uint64_t draws = 12;
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        simtest *h = simtest_open_large(text, seed);
        sim_tensor_map m = {.rank = 2,
                            .type = SIM_TENSOR_F16,
                            .swizzle = 128,
                            .address = h->a,
                            .extent = {DEPTH, M},
                            .stride = {0, DEPTH * 2},
                            .box = {64, M}};
        h->m = m;
        h->r = m;
        h->r.address = h->b;
        h->r.extent[1] = h->r.box[1] = N;
        for (int i = 0; i < M * DEPTH; i++) {
            uint16_t code;
            a[i / DEPTH][i % DEPTH] = (int)(simtest_draw(&draws) % 8) - 4;
            code = (uint16_t)bits_of(a[i / DEPTH][i % DEPTH], F16);
            memcpy((uint8_t *)h->host_a + 2 * i, &code, 2);
            if (i < N * DEPTH) {
                b[i / DEPTH][i % DEPTH] = (int)(simtest_draw(&draws) % 8) - 4;
                code = (uint16_t)bits_of(b[i / DEPTH][i % DEPTH], F16);
                memcpy((uint8_t *)h->host_b + 2 * i, &code, 2);
            }
        }
        h->options.seed = seed;
        h->options.dynamic_shared = 2 * (M + N) * 128;
        if (simtest_run(h, "product", 1, 384, DEPTH) != SIM_OK) {
            simtest_print(&h->report);
            fail_msg("product");
        }
        for (int i = 0; i < M * N; i++) {
            int sum = 0;
            for (int k = 0; k < DEPTH; k++) {
                sum += a[i / N][k] * b[i % N][k];
            }
            assert_int_equal(h->host_out[i], coded(sum, 23, 127, 32));
        }
        simtest_close(h);
    }
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(shapes), cmocka_unit_test(groups),
                                       cmocka_unit_test(pipeline)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
