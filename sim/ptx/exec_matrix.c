/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix instructions (9.7.15): ldmatrix, stmatrix, mma, wmma. In mma a register of e elements
 * holds row g (+ 8 for odd registers, where there are 16 rows) and columns t e + i (+ 4 e for each
 * further pair) of A, with g = lane / 4, t = lane % 4; B the same with columns g; of C and D two
 * columns 2 t + i each. The fragments of wmma are nobody's business: element q lies in lane q % 32.
 * Products are summed exactly in double precision (integers: exactly) and rounded once.
 */
#include "sim/ptx/decode.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_ROWS = 32, MOST_K = 64 };

/* ---- ldmatrix, stmatrix ---------------------------------------------------------------------- */

static uint32_t *row32(const sim_warp *w, const sim_operand *o, uint32_t i, uint32_t lane) {
    uint32_t row = o->kind == OPERAND_VECTOR ? w->parts[o->row + i] : o->row;
    return (uint32_t *)(void *)&sim_row(w, row)[lane]; /* little-endian: the low half */
}

/* Matrix j, row r is at the address of lane 8 j + r. */
static void ldmatrix(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint16_t m[4][8][8] = {{{0}}};
    uint64_t address[LANES];
    (void)mask;
    for (uint32_t l = 0; l < 8u * in->vector; l++) {
        address[l] = sim_address(w, in, 1, (int)l);
        sim_place at = sim_resolve(w, (int)l, (sim_space)in->space, address[l], 16, ACCESS_READ);
        if (at.data) {
            memcpy(m[l / 8][l % 8], at.data, 16);
        }
    }
    for (uint32_t j = 0; j < in->vector; j++) { /* a wave each at best */
        uint64_t eight[LANES] = {0};
        memcpy(eight, &address[8 * j], 8 * sizeof *address);
        sim_count_access(w, SPACE_SHARED, eight, 0xff, 16);
        for (uint32_t l = 0; l < LANES; l++) {
            uint32_t r = l / 4, c = l % 4 * 2;
            uint32_t low = in->transposed ? m[j][c][r] : m[j][r][c];
            uint32_t high = in->transposed ? m[j][c + 1][r] : m[j][r][c + 1];
            sim_row(w, in->op[0].kind == OPERAND_VECTOR ? w->parts[in->op[0].row + j]
                                                        : in->op[0].row)[l] = low | high << 16;
        }
    }
}
static void stmatrix(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint16_t m[4][8][8];
    (void)mask;
    for (uint32_t j = 0; j < in->vector; j++) {
        for (uint32_t l = 0; l < LANES; l++) {
            uint32_t r = l / 4, c = l % 4 * 2, v = *row32(w, &in->op[1], j, l);
            *(in->transposed ? &m[j][c][r] : &m[j][r][c]) = (uint16_t)v;
            *(in->transposed ? &m[j][c + 1][r] : &m[j][r][c + 1]) = (uint16_t)(v >> 16);
        }
    }
    for (uint32_t l = 0; l < 8u * in->vector; l++) {
        sim_place at = sim_resolve(w, (int)l, (sim_space)in->space, sim_address(w, in, 0, (int)l),
                                   16, ACCESS_WRITE);
        if (at.data) {
            memcpy(at.data, m[l / 8][l % 8], 16);
        }
    }
}
static bool matrix_move(sim_decoder *d) {
    static const char *const counts[] = {"x1", "x2", "x4", NULL};
    sim_insn *in = d->in;
    bool load = d->op[0] == 'l';
    in->sync = 255;
    int count = sim_took_one(d, counts);
    in->vector = count ? (uint8_t)(1u << (count - 1)) : 0;
    in->transposed = sim_took(d, "trans");
    in->space = (uint8_t)sim_took_space(d);
    bool ok = sim_took(d, "sync") && sim_took(d, "aligned") && sim_took(d, "m8n8") && count &&
              sim_took_type(d) == T_B16 && sim_operands(d, load ? "WA" : "Av");
    return ok && sim_execs(d, load ? ldmatrix : stmatrix, SIM_CLASS_SHARED);
}

/* movmatrix (9.7.15.5.18): an 8 x 8 matrix of halves, turned over among the lanes. */
static void movmatrix(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint16_t m[8][8];
    const uint64_t *a = sim_in(w, in, 1);
    (void)mask;
    for (uint32_t l = 0; l < LANES; l++) {
        m[l / 4][l % 4 * 2] = (uint16_t)a[l];
        m[l / 4][l % 4 * 2 + 1] = (uint16_t)(a[l] >> 16);
    }
    for (uint32_t l = 0; l < LANES; l++) {
        sim_in(w, in, 0)[l] = m[l % 4 * 2][l / 4] | (uint32_t)m[l % 4 * 2 + 1][l / 4] << 16;
    }
}
static bool movmatrix_family(sim_decoder *d) {
    d->in->sync = 255;
    return sim_took(d, "sync") && sim_took(d, "aligned") && sim_took(d, "m8n8") &&
           sim_took(d, "trans") && sim_took(d, "b16") && sim_operands(d, "DS") &&
           sim_execs(d, movmatrix, SIM_CLASS_WARP);
}

/* ---- numbers --------------------------------------------------------------------------------- */

static double value_of(uint64_t bits, sim_type t) {
    switch ((int)t) {
    case T_F16:
        return (double)sim_f16_to_f32((uint16_t)bits);
    case T_BF16:
        return (double)sim_bf16_to_f32((uint16_t)bits);
    case T_TF32: /* the low 13 bits are not looked at */
        return (double)sim_as_f32(bits & 0xffffe000);
    case T_F32:
        return (double)sim_as_f32(bits);
    case T_F64:
        return sim_as_f64(bits);
    case T_E4M3:
    case T_E5M2:
        return (double)sim_f8_to_f32((uint8_t)bits, t);
    case T_S8:
        return (double)(int8_t)bits;
    case T_U8:
        return (double)(uint8_t)bits;
    default:
        return (double)(int32_t)bits;
    }
}
static uint64_t bits_of(double v, sim_type t, bool saturates) {
    switch ((int)t) {
    case T_F16:
        return sim_f32_to_f16((float)(isfinite(v) ? sim_round_to(v, 10, -14, ROUND_N) : v),
                              ROUND_N);
    case T_F32:
        return sim_of_f32((float)v);
    case T_F64:
        return sim_of_f64(v);
    default:
        if (saturates) {
            v = v > 2147483647.0 ? 2147483647.0 : v < -2147483648.0 ? -2147483648.0 : v;
        }
        return (uint32_t)(int64_t)v;
    }
}
static uint32_t bits_per(sim_type t) { return t == T_TF32 ? 32 : 8 * sim_type_bytes(t); }

typedef struct sim_product {
    double a[MOST_ROWS][MOST_K], b[MOST_K][MOST_ROWS], c[MOST_ROWS][MOST_ROWS];
} sim_product;

static void multiply(sim_warp *w, const sim_insn *in, sim_product *x) {
    for (uint32_t r = 0; r < in->shape[0]; r++) {
        for (uint32_t n = 0; n < in->shape[1]; n++) {
            double sum = x->c[r][n];
            for (uint32_t k = 0; k < in->shape[2]; k++) {
                sum += x->a[r][k] * x->b[k][n];
            }
            x->c[r][n] = sum;
        }
    }
    w->run->report->counters.matrix_flops += 2ull * in->shape[0] * in->shape[1] * in->shape[2];
}

/* ---- mma: type of D and C, type2 of A, type3 of B -------------------------------------------- */

static uint64_t element(const sim_warp *w, const sim_operand *o, uint32_t reg, uint32_t lane,
                        uint32_t i, uint32_t bits) {
    uint32_t row = o->kind == OPERAND_VECTOR ? w->parts[o->row + reg] : o->row;
    uint64_t v = sim_row(w, row)[lane] >> (bits * i);
    return bits == 64 ? v : v & ((1ull << bits) - 1);
}

static void mma_inputs(const sim_warp *w, const sim_insn *in, sim_product *x) {
    uint32_t width = in->type2 == T_F64 ? 64 : 32;
    uint32_t abits = bits_per((sim_type)in->type2), bbits = bits_per((sim_type)in->type3);
    uint32_t e = width / abits, tall = in->shape[0] == 16, pairs = in->shape[2] / (4 * e);
    for (uint32_t l = 0; l < LANES; l++) {
        uint32_t g = l / 4, t = l % 4;
        for (uint32_t p = 0; p < pairs; p++) {
            for (uint32_t i = 0; i < e; i++) {
                uint32_t k = t * e + i + p * 4 * e;
                for (uint32_t h = 0; h <= tall; h++) {
                    x->a[g + 8 * h][k] =
                        value_of(element(w, &in->op[1], p * (1 + tall) + h, l, i, abits),
                                 (sim_type)in->type2);
                }
                x->b[k][g] = value_of(element(w, &in->op[2], p, l, i, bbits), (sim_type)in->type3);
            }
        }
    }
}
/* Visits the elements of C or D: row, column, register, part of it. */
static void mma_accumulators(sim_warp *w, const sim_insn *in, sim_product *x, bool out) {
    bool packed = in->type == T_F16;
    uint32_t rows = in->shape[0] / 8;
    for (uint32_t l = 0; l < LANES; l++) {
        for (uint32_t q = 0; q < 2 * rows; q++) {
            uint32_t r = l / 4 + 8 * (q / 2), n = l % 4 * 2 + q % 2, reg = packed ? q / 2 : q;
            if (!out) {
                x->c[r][n] = value_of(element(w, &in->op[3], reg, l, packed ? q % 2 : 0,
                                              packed              ? 16
                                              : in->type == T_F64 ? 64
                                                                  : 32),
                                      (sim_type)in->type);
                continue;
            }
            uint64_t *d = &sim_row(w, w->parts[in->op[0].row + reg])[l],
                     v = bits_of(x->c[r][n], (sim_type)in->type, in->sat);
            *d = !packed ? v : q % 2 ? (*d & 0xffff) | v << 16 : v;
        }
    }
}
static void mma(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_product x;
    (void)mask;
    mma_inputs(w, in, &x);
    mma_accumulators(w, in, &x, false);
    multiply(w, in, &x);
    mma_accumulators(w, in, &x, true);
}

static bool took_shape(sim_decoder *d) {
    for (int i = 0; i < d->n; i++) {
        unsigned m, n, k;
        int end = 0;
        if (!d->used[i] && sscanf(d->modifier[i], "m%un%uk%u%n", &m, &n, &k, &end) == 3 &&
            d->modifier[i][end] == '\0' && m <= MOST_ROWS && n <= MOST_ROWS && k <= MOST_K) {
            d->used[i] = true;
            d->in->shape[0] = (uint8_t)m;
            d->in->shape[1] = (uint8_t)n;
            d->in->shape[2] = (uint8_t)k;
            return true;
        }
    }
    return false;
}
static uint32_t registers_of(const sim_operand *o) { return o->kind == OPERAND_VECTOR ? o->n : 1; }

static bool mma_family(sim_decoder *d) {
    sim_insn *in = d->in;
    in->sync = 255;
    if (!sim_took(d, "sync") || !sim_took(d, "aligned") || !took_shape(d) || !sim_took(d, "row") ||
        !sim_took(d, "col")) {
        return false;
    }
    in->sat = sim_took(d, "satfinite");
    in->type = (uint8_t)sim_took_type(d);
    in->type2 = (uint8_t)sim_took_type(d);
    in->type3 = (uint8_t)sim_took_type(d);
    sim_type c = sim_took_type(d);
    bool f64 = in->type == T_F64;
    bool known = (in->type == T_F32 || in->type == T_S32 || in->type == T_F16 || f64) &&
                 c == (sim_type)in->type;
    known = known && (in->shape[0] == 16 || f64) && in->shape[1] == 8 && in->type2 && in->type3;
    known = known && bits_per((sim_type)in->type2) == bits_per((sim_type)in->type3) &&
            in->type2 != T_F32;
    if (!known || !sim_operands(d, "Wvvv")) {
        return false;
    }
    uint32_t e = (f64 ? 64 : 32) / bits_per((sim_type)in->type2), pairs = in->shape[2] / (4 * e);
    bool fits = pairs > 0 && registers_of(&in->op[1]) == pairs * (in->shape[0] == 16 ? 2 : 1) &&
                registers_of(&in->op[2]) == pairs &&
                registers_of(&in->op[0]) == (in->type == T_F16 ? 2u : in->shape[0] / 4u) &&
                registers_of(&in->op[3]) == registers_of(&in->op[0]) &&
                in->op[0].kind == OPERAND_VECTOR;
    return fits && sim_execs(d, mma, SIM_CLASS_MATRIX);
}

/* ---- wmma: mode 1 a, 2 b, 3 c, 4 d; type of the elements, type2 of C ---------------------------
 */

typedef struct sim_fragment {
    uint32_t rows, cols, bits;
} sim_fragment;

static sim_fragment fragment_of(const sim_insn *in, int mode, sim_type t) {
    bool a = mode == 1, b = mode == 2;
    return (sim_fragment){.rows = b ? in->shape[2] : in->shape[0],
                          .cols = a ? in->shape[2] : in->shape[1],
                          .bits = bits_per(t)};
}
/* Register and part of element q. */
static uint32_t fragment_row(const sim_warp *w, const sim_operand *o, uint32_t q, uint32_t bits,
                             uint32_t *out_part) {
    uint32_t e = bits == 64 ? 1 : 32 / bits, k = q / LANES;
    *out_part = k % e;
    return o->kind == OPERAND_VECTOR ? w->parts[o->row + k / e] : o->row;
}
static uint64_t fragment_get(const sim_warp *w, const sim_operand *o, uint32_t q, uint32_t bits) {
    uint32_t i, row = fragment_row(w, o, q, bits, &i);
    uint64_t v = sim_row(w, row)[q % LANES] >> (bits * i);
    return bits == 64 ? v : v & ((1ull << bits) - 1);
}
static void fragment_set(const sim_warp *w, const sim_operand *o, uint32_t q, uint32_t bits,
                         uint64_t v) {
    uint32_t i, row = fragment_row(w, o, q, bits, &i);
    uint64_t *d = &sim_row(w, row)[q % LANES],
             kept = bits == 64 ? UINT64_MAX : ((1ull << bits) - 1) << (bits * i);
    *d = (*d & ~kept) | (v << (bits * i) & kept);
}

/* load: 0 registers, 1 address, 2 stride; store: 0 address, 1 registers, 2 stride. All lanes give
 * the same address and stride. */
static void wmma_move(sim_warp *w, const sim_insn *in, uint32_t mask) {
    bool store = in->mode == 4;
    int r = store ? 1 : 0, p = store ? 0 : 1;
    sim_fragment f = fragment_of(in, in->mode, (sim_type)in->type);
    uint32_t bytes = f.bits / 8;
    (void)mask;
    for (uint32_t q = 0; q < f.rows * f.cols; q++) {
        uint32_t lane = q % LANES, row = q / f.cols, col = q % f.cols;
        uint64_t stride = in->op[2].kind == OPERAND_ROW ? (uint32_t)sim_in(w, in, 2)[lane]
                          : in->transposed              ? f.rows
                                                        : f.cols;
        uint64_t at = in->transposed ? col * stride + row : row * stride + col;
        sim_place m = sim_resolve(w, (int)lane, (sim_space)in->space,
                                  sim_address(w, in, p, (int)lane) + at * bytes, bytes,
                                  store ? ACCESS_WRITE : ACCESS_READ);
        uint64_t v = 0;
        if (store) {
            v = fragment_get(w, &in->op[r], q, f.bits);
        }
        if (m.data) {
            memcpy(store ? (void *)m.data : (void *)&v, store ? (void *)&v : (void *)m.data, bytes);
        }
        if (!store) {
            fragment_set(w, &in->op[r], q, f.bits, v);
        }
    }
}
static void wmma_read(const sim_warp *w, const sim_insn *in, int op, int mode, sim_type t,
                      double *to, uint32_t pitch) {
    sim_fragment f = fragment_of(in, mode, t);
    for (uint32_t q = 0; q < f.rows * f.cols; q++) {
        to[q / f.cols * pitch + q % f.cols] = value_of(fragment_get(w, &in->op[op], q, f.bits), t);
    }
}
/* 0 D, 1 A, 2 B, 3 C; type of D, type2 of A and B, type3 of C. */
static void wmma_mma(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_product x;
    (void)mask;
    wmma_read(w, in, 1, 1, (sim_type)in->type2, &x.a[0][0], MOST_K);
    wmma_read(w, in, 2, 2, (sim_type)in->type2, &x.b[0][0], MOST_ROWS);
    wmma_read(w, in, 3, 3, (sim_type)in->type3, &x.c[0][0], MOST_ROWS);
    multiply(w, in, &x);
    sim_fragment f = fragment_of(in, 4, (sim_type)in->type);
    for (uint32_t q = 0; q < f.rows * f.cols; q++) {
        fragment_set(w, &in->op[0], q, f.bits,
                     bits_of(x.c[q / f.cols][q % f.cols], (sim_type)in->type, in->sat));
    }
}
static bool holds(const sim_insn *in, int op, int mode, sim_type t) {
    sim_fragment f = fragment_of(in, mode, t);
    uint32_t e = f.bits == 64 ? 1 : 32 / f.bits;
    return registers_of(&in->op[op]) * e * LANES >= f.rows * f.cols;
}
static bool wmma_family(sim_decoder *d) {
    static const char *const whats[] = {"a", "b", "c", "d", NULL};
    sim_insn *in = d->in;
    bool load = sim_took(d, "load"), store = !load && sim_took(d, "store"),
         product = !load && !store && sim_took(d, "mma");
    in->sync = 255;
    if (!sim_took(d, "sync") || !sim_took(d, "aligned") || !took_shape(d)) {
        return false;
    }
    if (product) {
        /* The layouts only matter where memory is read. */
        (void)(sim_took(d, "row") && sim_took(d, "row"));
        (void)(sim_took(d, "col") && sim_took(d, "col"));
        in->sat = sim_took(d, "satfinite");
        sim_type list[4] = {T_NONE};
        int n = 0;
        for (sim_type t; n < 4 && (t = sim_took_type(d)) != T_NONE; n++) {
            list[n] = t;
        }
        in->type = (uint8_t)list[0];
        in->type2 = (uint8_t)(n == 4 ? list[1] : T_F16); /* f16: only D and C are named */
        in->type3 = (uint8_t)list[n == 4 ? 3 : 1];
        return (n == 4 || n == 2) && sim_operands(d, "Wvvv") &&
               holds(in, 0, 4, (sim_type)in->type) && holds(in, 1, 1, (sim_type)in->type2) &&
               holds(in, 2, 2, (sim_type)in->type2) && holds(in, 3, 3, (sim_type)in->type3) &&
               sim_execs(d, wmma_mma, SIM_CLASS_MATRIX);
    }
    in->mode = (uint8_t)sim_took_one(d, whats);
    in->transposed = sim_took(d, "col");
    (void)sim_took(d, "row");
    in->space = (uint8_t)sim_took_space(d);
    in->type = (uint8_t)sim_took_type(d);
    return (load || store) && in->mode && in->type && (store == (in->mode == 4)) &&
           sim_operands(d, load ? "WA?S" : "Av?S") &&
           holds(in, store ? 1 : 0, in->mode, (sim_type)in->type) &&
           sim_execs(d, wmma_move, in->space == SPACE_SHARED ? SIM_CLASS_SHARED : SIM_CLASS_GLOBAL);
}

const sim_family_row sim_families_matrix[] = {
    {"ldmatrix", matrix_move}, {"stmatrix", matrix_move}, {"movmatrix", movmatrix_family},
    {"mma", mma_family},       {"wmma", wmma_family},     {NULL, NULL}};
