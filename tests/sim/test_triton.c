/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code that PyPI's triton wrote (triton/make_ptx.py), PTX for sm_80 and sm_90 and code objects for
 * gfx942 (here: machine 942), told a second time in C.
 * Whatever is made of small whole numbers has to come out exactly; the rest within the error of the
 * formats that the kernel rounds to.
 */
#include <math.h>

#include "simtest.h"

/* ---- launches ----------------------------------------------------------------------------------
 */

enum { MOST_BUFFERS = 6, GFX942 = 942 };

const sim_ptx_interface *tegula_sim_amdgcn(void);

typedef struct launch {
    const sim_ptx_interface *api;
    sim_machine *machine;
    sim_module *module;
    const char *name;
    int sm;
    uint32_t threads, shared, scratch; /* as the first line of the text tells */
    uint8_t params[1024];
    size_t n_params;
    struct {
        uint64_t address;
        void *host;
        size_t bytes;
    } buffer[MOST_BUFFERS];
    int n_buffers;
    sim_report report;
} launch;

/* What the first line of a text tells, or the line of triton/amd.txt. */
static void read_needs(launch *k, const char *text) {
    unsigned threads, shared, scratch;
    const char *needs = strchr(text, ',');
    assert_non_null(needs);
    assert_int_equal(
        sscanf(needs, ", %u threads, %u bytes of shared memory, %u", &threads, &shared, &scratch),
        3);
    k->threads = threads;
    k->shared = shared;
    k->scratch = scratch;
}

static void open_kernel(launch *k, const char *name, int sm) {
    char file[128], message[256];
    bool amd = sm == GFX942;
    (void)snprintf(file, sizeof file, "triton/%s_%d.%s", name, sm, amd ? "hsaco" : "ptx");
    size_t n;
    char *text = simtest_bytes(file, &n), *needs = amd ? simtest_file("triton/amd.txt") : NULL;
    *k = (launch){.name = name, .sm = sm, .api = amd ? tegula_sim_amdgcn() : tegula_sim_ptx()};
    k->machine = k->api->machine_make(sm);
    if (amd) {
        char line[64];
        (void)snprintf(line, sizeof line, "%s,", name);
        assert_non_null(strstr(needs, line));
        read_needs(k, strstr(needs, line));
    } else {
        read_needs(k, text);
    }
    assert_non_null(k->machine);
    if (k->api->module_load(k->machine, text, n, &k->module, message) != SIM_OK) {
        fail_msg("%s: %s", file, message);
    }
    free(text);
    free(needs);
}

static void close_kernel(launch *k) {
    k->api->module_free(k->module);
    k->api->machine_free(k->machine);
    for (int i = 0; i < k->n_buffers; i++) {
        free(k->buffer[i].host);
    }
}

static void push(launch *k, const void *v, size_t bytes, size_t align) {
    k->n_params = (k->n_params + align - 1) / align * align;
    assert_true(k->n_params + bytes <= sizeof k->params);
    memcpy(k->params + k->n_params, v, bytes);
    k->n_params += bytes;
}
static void push_int(launch *k, int32_t v) { push(k, &v, sizeof v, 4); }
static void push_float(launch *k, float v) { push(k, &v, sizeof v, 4); }

static void *make_buffer(launch *k, size_t bytes) {
    assert_true(k->n_buffers < MOST_BUFFERS);
    void *host = calloc(1, bytes);
    assert_non_null(host);
    k->buffer[k->n_buffers].address = k->api->memory_alloc(k->machine, bytes);
    k->buffer[k->n_buffers].host = host;
    k->buffer[k->n_buffers++].bytes = bytes;
    return host;
}
/* A buffer and its address as the next parameter. */
static void *push_buffer(launch *k, size_t bytes) {
    void *host = make_buffer(k, bytes);
    push(k, &k->buffer[k->n_buffers - 1].address, 8, 8);
    return host;
}

typedef struct tile {
    uint32_t rows, cols, box_rows, box_cols, bytes, swizzle;
    sim_tensor_type type;
} tile;

/* A matrix as a descriptor: map, extents, strides. */
static void *push_tensor(launch *k, tile t) {
    uint8_t map[SIM_TENSOR_MAP_BYTES];
    char message[256];
    void *host = make_buffer(k, (size_t)t.rows * t.cols * t.bytes);
    sim_tensor_map m = {.address = k->buffer[k->n_buffers - 1].address,
                        .rank = 2,
                        .extent = {t.cols, t.rows},
                        .stride = {t.bytes, (uint64_t)t.cols * t.bytes},
                        .box = {t.box_cols, t.box_rows},
                        .type = t.type,
                        .swizzle = t.swizzle};
    int64_t strides[] = {t.cols, 1};
    assert_true(sim_tensor_map_encode(&m, map, message));
    push(k, map, sizeof map, 64);
    push_int(k, (int32_t)t.rows);
    push_int(k, (int32_t)t.cols);
    push(k, strides, sizeof strides, 8);
    return host;
}

static void run(launch *k, uint32_t x, uint32_t y, const char *entry) {
    uint64_t scratch =
        k->scratch ? k->api->memory_alloc(k->machine, (size_t)k->scratch * x * y) : 0;
    uint64_t nothing = 0;
    push(k, &scratch, 8, 8);
    push(k, &nothing, 8, 8);
    const sim_kernel *f = k->api->module_kernel(k->module, entry);
    assert_non_null(f);
    size_t fixed = k->sm == GFX942 ? k->api->kernel_shared_bytes(f) : 0;
    sim_launch_options o = {.grid = {x, y, 1},
                            .block = {k->threads, 1, 1},
                            .dynamic_shared = k->shared - fixed,
                            .seed = 7,
                            .registers = true,
                            .model = k->sm == 90,
                            .most_issues = 1 << 24};
    assert_true(k->sm == GFX942 || k->n_params == sim_kernel_param_bytes(f));
    for (int i = 0; i < k->n_buffers; i++) {
        assert_true(k->api->memory_write(k->machine, k->buffer[i].address, k->buffer[i].host,
                                         k->buffer[i].bytes));
    }
    if (k->api->launch(k->machine, f, &o, k->params, &k->report) != SIM_OK) {
        simtest_print(&k->report);
        fail_msg("%s, sm_%d: %s", k->name, k->sm, k->report.message);
    }
    assert_true((k->report.grid_cycles > 0) == o.model);
    for (int i = 0; i < k->n_buffers; i++) {
        assert_true(k->api->memory_read(k->machine, k->buffer[i].host, k->buffer[i].address,
                                        k->buffer[i].bytes));
    }
}

static void near(const launch *k, int i, double got, double want, double error) {
    if (!(fabs(got - want) <= error)) {
        fail_msg("%s, sm_%d: element %d is %.9g, not %.9g", k->name, k->sm, i, got, want);
    }
}

/* ---- numbers -----------------------------------------------------------------------------------
 */

static double unit(uint64_t *state) { return (simtest_draw(state) % 65536) / 65536.0; }
static int small(uint64_t *state) { return (int)(simtest_draw(state) % 9) - 4; }

/* Of a number that the format holds. */
static uint32_t coded(double v, int mantissa, int bias, int bits) {
    int e;
    if (v == 0) {
        return 0;
    }
    double f = frexp(fabs(v), &e) * 2;
    uint32_t out = (uint32_t)(e - 1 + bias) << mantissa | (uint32_t)ldexp(f - 1, mantissa);
    return out | (v < 0 ? 1u << (bits - 1) : 0);
}
static double half_value(uint16_t h) {
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 0 ? ldexp(m, -24) : ldexp(1024 + m, e - 25);
    return h >> 15 ? -v : v;
}
/* Multiples of 1/64 in -4 .. 4: exact in halves. */
static uint16_t some_half(uint64_t *state) {
    return (uint16_t)coded(((int)(simtest_draw(state) % 512) - 256) / 64.0, 10, 15, 16);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

static void add(int sm) {
    enum { N = 1000 };
    launch k;
    uint64_t seed = 1;
    open_kernel(&k, "add", sm);
    float *x = push_buffer(&k, 4 * N), *y = push_buffer(&k, 4 * N), *o = push_buffer(&k, 4 * N);
    push_int(&k, N);
    for (int i = 0; i < N; i++) {
        x[i] = (float)unit(&seed);
        y[i] = (float)(100 * unit(&seed));
    }
    run(&k, 4, 1, "add");
    for (int i = 0; i < N; i++) {
        near(&k, i, (double)o[i], (double)(x[i] + y[i]), 0);
    }
    close_kernel(&k);
}

static void softmax(int sm) {
    enum { N = 333, R = 3 };
    launch k;
    uint64_t seed = 2;
    open_kernel(&k, "softmax", sm);
    float *x = push_buffer(&k, 4 * N * R), *o = push_buffer(&k, 4 * N * R);
    push_int(&k, N);
    for (int i = 0; i < N * R; i++) {
        x[i] = (float)(10 * unit(&seed) - 5);
    }
    run(&k, R, 1, "softmax");
    for (int r = 0; r < R; r++) {
        double sum = 0;
        for (int i = 0; i < N; i++) {
            sum += exp((double)x[r * N + i]);
        }
        for (int i = 0; i < N; i++) { /* exponents to 10, each rounded before exp2 */
            double want = exp((double)x[r * N + i]) / sum;
            near(&k, i, (double)o[r * N + i], want, want * 4e-6);
        }
    }
    close_kernel(&k);
}

static void layer_norm(int sm) {
    enum { N = 500, R = 2 };
    launch k;
    uint64_t seed = 3;
    open_kernel(&k, "layer_norm", sm);
    uint16_t *x = push_buffer(&k, 2 * N * R);
    float *w = push_buffer(&k, 4 * N), *b = push_buffer(&k, 4 * N);
    uint16_t *o = push_buffer(&k, 2 * N * R);
    push_int(&k, N);
    for (int i = 0; i < N * R; i++) {
        x[i] = some_half(&seed);
        w[i % N] = (float)unit(&seed);
        b[i % N] = (float)unit(&seed);
    }
    run(&k, R, 1, "layer_norm");
    for (int r = 0; r < R; r++) {
        double mean = 0, var = 0;
        for (int i = 0; i < N; i++) {
            mean += half_value(x[r * N + i]) / N;
        }
        for (int i = 0; i < N; i++) {
            double d = half_value(x[r * N + i]) - mean;
            var += d * d / N;
        }
        for (int i = 0; i < N; i++) {
            double d = half_value(x[r * N + i]) - mean,
                   want = d / sqrt(var + 1e-5) * (double)w[i] + (double)b[i];
            near(&k, i, half_value(o[r * N + i]), want, fabs(want) * 0x1p-11 + 4e-5);
        }
    }
    close_kernel(&k);
}

static void scan(int sm) {
    enum { N = 200, R = 3 };
    launch k;
    uint64_t seed = 4;
    open_kernel(&k, "scan", sm);
    int32_t *x = push_buffer(&k, 4 * N * R), *o = push_buffer(&k, 4 * N * R),
            *top = push_buffer(&k, 4 * R);
    push_int(&k, N);
    for (int i = 0; i < N * R; i++) {
        x[i] = (int32_t)(simtest_draw(&seed) % 100);
    }
    run(&k, R, 1, "scan");
    for (int r = 0; r < R; r++) {
        int32_t sum = 0, best = 0;
        for (int i = 0; i < N; i++) {
            sum += x[r * N + i];
            best = x[r * N + i] > x[r * N + best] ? i : best;
            assert_int_equal(o[r * N + i], sum);
        }
        assert_int_equal(top[r], best);
    }
    close_kernel(&k);
}

static int ascending(const void *a, const void *b) {
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}
static void order(int sm) {
    enum { N = 64, R = 2 };
    launch k;
    uint64_t seed = 5;
    open_kernel(&k, "order", sm);
    int32_t *x = push_buffer(&k, 4 * N * R), *o = push_buffer(&k, 4 * N * R);
    for (int i = 0; i < N * R; i++) {
        x[i] = (int32_t)simtest_draw(&seed);
    }
    run(&k, R, 1, "order");
    for (int r = 0; r < R; r++) {
        qsort(x + r * N, N, sizeof *x, ascending);
        assert_memory_equal(x + r * N, o + r * N, N * sizeof *x);
    }
    close_kernel(&k);
}

static void count(int sm) {
    enum { N = 700 };
    launch k;
    uint64_t seed = 6;
    int32_t want[64] = {0};
    open_kernel(&k, "count", sm);
    int32_t *x = push_buffer(&k, 4 * N), *o = push_buffer(&k, 4 * 64);
    push_int(&k, N);
    for (int i = 0; i < N; i++) {
        x[i] = (int32_t)simtest_draw(&seed);
        want[x[i] & 63]++;
    }
    run(&k, 3, 1, "count");
    assert_memory_equal(o, want, sizeof want);
    close_kernel(&k);
}

/* Philox 4x32-10 (Salmon et al. 2011), its first word. */
static uint32_t philox(uint32_t counter, uint32_t key) {
    uint32_t c[4] = {counter, 0, 0, 0}, k[2] = {key, 0};
    for (int i = 0; i < 10; i++) {
        uint64_t a = 0xd2511f53ull * c[0], b = 0xcd9e8d57ull * c[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ c[1] ^ k[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ c[3] ^ k[1], (uint32_t)a};
        memcpy(c, next, sizeof c);
        k[0] += 0x9e3779b9;
        k[1] += 0xbb67ae85;
    }
    return c[0];
}
static void dropout(int sm) {
    enum { N = 600, SEED = 1234 };
    launch k;
    uint64_t seed = 7;
    int kept = 0;
    open_kernel(&k, "dropout", sm);
    float *x = push_buffer(&k, 4 * N), *o = push_buffer(&k, 4 * N);
    push_int(&k, N);
    push_int(&k, SEED);
    for (int i = 0; i < N; i++) {
        x[i] = (float)unit(&seed);
    }
    run(&k, 3, 1, "dropout");
    for (int i = 0; i < N; i++) {
        int32_t v = (int32_t)philox((uint32_t)i, SEED);
        bool keep = (float)(v < 0 ? -v - 1 : v) * 4.6566127342e-10f > 0.25f;
        kept += keep;
        near(&k, i, (double)o[i], keep ? (double)x[i] / 0.75 : 0, 2e-7);
    }
    assert_true(kept > 400 && kept < 500);
    close_kernel(&k);
}

/* ---- products ----------------------------------------------------------------------------------
 */

typedef enum number { HALF, BFLOAT, SINGLE, BYTE, E4M3, E5M2 } number;
static const uint32_t number_bytes[] = {2, 2, 4, 1, 1, 1};

static void put(void *to, int i, int v, number t) {
    uint32_t bits = t == HALF     ? coded(v, 10, 15, 16)
                    : t == BFLOAT ? coded(v, 7, 127, 16)
                    : t == SINGLE ? coded(v, 23, 127, 32)
                    : t == E4M3   ? coded(v, 3, 7, 8)
                    : t == E5M2   ? coded(v, 2, 15, 8)
                                  : (uint32_t)v;
    memcpy((uint8_t *)to + (size_t)i * number_bytes[t], &bits, number_bytes[t]);
}

enum { MOST = 128 };
typedef struct product {
    int m, n, k;
    int a[MOST][MOST], b[MOST][MOST]; /* b[n][k] */
} product;

static void draw(product *p, int m, int n, int k, uint64_t seed) {
    p->m = m;
    p->n = n;
    p->k = k;
    for (int i = 0; i < MOST; i++) {
        for (int j = 0; j < MOST; j++) {
            p->a[i][j] = small(&seed);
            p->b[i][j] = small(&seed);
        }
    }
}
static void fill(const product *p, void *a, void *b, number t, bool b_rows_of_k) {
    for (int i = 0; i < p->m * p->k; i++) {
        put(a, i, p->a[i / p->k][i % p->k], t);
    }
    for (int i = 0; i < p->n * p->k; i++) {
        put(b, i, b_rows_of_k ? p->b[i / p->k][i % p->k] : p->b[i % p->n][i / p->n], t);
    }
}
static int sum_of(const product *p, int i) {
    int sum = 0;
    for (int k = 0; k < p->k; k++) {
        sum += p->a[i / p->n][k] * p->b[i % p->n][k];
    }
    return sum;
}

typedef struct product_case {
    const char *name, *entry;
    number type;
    int m, n, k;
    uint32_t x, y;
} product_case;

static void by_pointers(const product_case *c, int sm) {
    static product p;
    launch k;
    bool rows_of_k = strcmp(c->entry, "matmul_nt") == 0;
    uint32_t bytes = number_bytes[c->type];
    draw(&p, c->m, c->n, c->k, 11);
    open_kernel(&k, c->name, sm);
    void *a = push_buffer(&k, (size_t)(p.m * p.k) * bytes),
         *b = push_buffer(&k, (size_t)(p.n * p.k) * bytes);
    uint32_t *o = push_buffer(&k, (size_t)(p.m * p.n) * 4);
    fill(&p, a, b, c->type, rows_of_k);
    push_int(&k, p.m);
    push_int(&k, p.n);
    push_int(&k, p.k);
    run(&k, c->x, c->y, c->entry);
    for (int i = 0; i < p.m * p.n; i++) {
        int sum = sum_of(&p, i);
        assert_int_equal(o[i], c->type == BYTE ? (uint32_t)sum : coded(sum, 23, 127, 32));
    }
    assert_true(k.report.counters.matrix_flops >= 2u * (uint64_t)(p.m * p.n * p.k));
    close_kernel(&k);
}

static const product_case halves = {"matmul_half", "matmul", HALF, 100, 80, 112, 2, 2},
                          bfloats = {"matmul_bf16", "matmul", BFLOAT, 64, 128, 96, 1, 2},
                          tf32s = {"matmul_tf32", "matmul_nt", SINGLE, 64, 64, 96, 1, 2},
                          bytes = {"matmul_int8", "matmul_nt", BYTE, 128, 32, 128, 2, 1},
                          e4m3s = {"matmul_fp8", "matmul_nt", E4M3, 64, 64, 128, 1, 2},
                          e5m2s = {"matmul_fp8e5", "matmul_nt", E5M2, 64, 64, 128, 1, 2};
static void matmul_half(int sm) { by_pointers(&halves, sm); }
static void matmul_bf16(int sm) { by_pointers(&bfloats, sm); }
static void matmul_tf32(int sm) { by_pointers(&tf32s, sm); }
static void matmul_int8(int sm) { by_pointers(&bytes, sm); }
static void matmul_fp8(int sm) { by_pointers(&e4m3s, sm); }
static void matmul_fp8e5(int sm) { by_pointers(&e5m2s, sm); }
static void matmul_made(int sm) {
    static const product_case made = {"matmul_made", "matmul_made", BFLOAT, 128, 64, 96, 2, 1};
    by_pointers(&made, sm);
}

static void by_tensors(const char *name, number t, sim_tensor_type type, uint32_t swizzle) {
    static product p;
    launch k;
    draw(&p, 128, 64, 128, 12);
    open_kernel(&k, name, 90);
    tile a = {128, 128, 64, 64, number_bytes[t], swizzle, type}, b = a,
         c = {128, 64, 64, 64, 2, 128, SIM_TENSOR_F16};
    b.rows = 64;
    void *x = push_tensor(&k, a), *y = push_tensor(&k, b);
    uint16_t *o = push_tensor(&k, c);
    fill(&p, x, y, t, true);
    push_int(&k, p.k);
    run(&k, 2, 1, "matmul_tma");
    for (int i = 0; i < p.m * p.n; i++) {
        assert_int_equal(o[i], coded(sum_of(&p, i), 10, 15, 16));
    }
    close_kernel(&k);
}
static void matmul_tma(int sm) {
    (void)sm;
    by_tensors("matmul_tma", HALF, SIM_TENSOR_F16, 128);
}
static void matmul_tma_fp8(int sm) {
    (void)sm;
    by_tensors("matmul_tma_fp8", E4M3, SIM_TENSOR_U8, 64);
}

/* ---- attention ---------------------------------------------------------------------------------
 */

enum { SEQUENCE = 128, DEPTH = 64 };

/* Row i of the sequence sees the first `seen` keys. Values are at most 4; P is rounded to halves.
 */
static void check_attention(const launch *k, const uint16_t *q, const uint16_t *key,
                            const uint16_t *v, int i, int seen, const double got[DEPTH],
                            double error) {
    double s[SEQUENCE], total = 0, out[DEPTH] = {0};
    for (int j = 0; j < seen; j++) {
        s[j] = 0;
        for (int d = 0; d < DEPTH; d++) {
            s[j] += half_value(q[i * DEPTH + d]) * half_value(key[j * DEPTH + d]);
        }
        s[j] = exp2(s[j] * 0.125);
        total += s[j];
    }
    for (int j = 0; j < seen; j++) {
        for (int d = 0; d < DEPTH; d++) {
            out[d] += s[j] / total * half_value(v[j * DEPTH + d]);
        }
    }
    for (int d = 0; d < DEPTH; d++) {
        near(k, i * DEPTH + d, got[d], out[d], error);
    }
}

static void attention(int sm) {
    launch k;
    uint64_t seed = 21;
    open_kernel(&k, "attention", sm);
    uint16_t *in[3];
    for (int i = 0; i < 3; i++) {
        in[i] = push_buffer(&k, 2 * SEQUENCE * DEPTH);
        for (int j = 0; j < SEQUENCE * DEPTH; j++) {
            in[i][j] = some_half(&seed);
        }
    }
    float *o = push_buffer(&k, 4 * SEQUENCE * DEPTH);
    push_int(&k, SEQUENCE);
    push_float(&k, 0.125f);
    run(&k, 2, 1, "attention");
    for (int i = 0; i < SEQUENCE; i++) {
        double got[DEPTH];
        for (int d = 0; d < DEPTH; d++) {
            got[d] = (double)o[i * DEPTH + d];
        }
        check_attention(&k, in[0], in[1], in[2], i, i + 1, got, 4 * 0x1p-10);
    }
    close_kernel(&k);
}

static void attention_tma(int sm) {
    launch k;
    uint64_t seed = 22;
    uint16_t *in[4];
    open_kernel(&k, "attention_tma", sm);
    for (int i = 0; i < 4; i++) {
        tile t = {SEQUENCE, DEPTH, i == 0 || i == 3 ? 64 : 32, 64, 2, 128, SIM_TENSOR_F16};
        in[i] = push_tensor(&k, t);
        for (int j = 0; j < SEQUENCE * DEPTH; j++) {
            in[i][j] = some_half(&seed);
        }
    }
    push_int(&k, SEQUENCE);
    push_float(&k, 0.125f);
    run(&k, 2, 1, "attention_tma");
    for (int i = 0; i < SEQUENCE; i++) {
        double got[DEPTH];
        for (int d = 0; d < DEPTH; d++) {
            got[d] = half_value(in[3][i * DEPTH + d]);
        }
        check_attention(&k, in[0], in[1], in[2], i, SEQUENCE, got, 4 * 0x1p-9);
    }
    close_kernel(&k);
}

/* ---- all ---------------------------------------------------------------------------------------
 */

static const struct {
    void (*test)(int sm);
    bool old, new, amd;
} all[] = {{add, true, true, true},
           {softmax, true, true, true},
           {layer_norm, true, true, true},
           {scan, true, true, true},
           {order, true, true, true},
           {count, true, true, true},
           {dropout, true, true, true},
           {matmul_half, true, true, true},
           {matmul_bf16, true, true, true},
           {matmul_tf32, true, true, false},
           {matmul_int8, true, true, true},
           {matmul_fp8, false, true, false},
           {matmul_fp8e5, true, false, false},
           {matmul_tma, false, true, false},
           {matmul_tma_fp8, false, true, false},
           {matmul_made, false, true, false},
           {attention, true, true, true},
           {attention_tma, false, true, false}};

static void sm_80(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].old) {
            all[i].test(80);
        }
    }
}
static void sm_90(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].new) {
            all[i].test(90);
        }
    }
}

static void gfx942(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].amd) {
            all[i].test(GFX942);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(sm_80), cmocka_unit_test(sm_90),
                                       cmocka_unit_test(gfx942)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
