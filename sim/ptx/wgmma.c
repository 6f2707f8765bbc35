/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wgmma (9.7.16). The four warps of a warpgroup meet at wgmma.mma_async; there the product is
 * computed at once, as an agent's reads of shared memory, and its registers are held until
 * wgmma.wait_group. Fragments: warp i of the group has rows 16 i to 16 i + 15 of A and D, laid out
 * as those of mma.m16n8 (9.7.16.5.1). Matrices in shared memory are cut into chunks of 16 bytes
 * whose places the descriptor tells (9.7.16.5.1.2); swizzling exchanges chunks by address bits.
 */
#include "sim/ptx/model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 64, MOST_N = 256, MOST_DEPTH = 32, CHUNK = 16 };

/* Operands: 0 D, 1 A, 2 B, 3 scale of D, 4 and 5 signs, 6 and 7 transposes of A and B. type of D,
 * type2 of A, type3 of B. */
enum { OP_D, OP_A, OP_B, OP_SCALE, OP_SIGN_A, OP_SIGN_B, OP_TURN_A, OP_TURN_B };

/* ---- descriptors ----------------------------------------------------------------------------- */

typedef struct sim_matrix {
    uint32_t start, leading, stride, base, swizzle;
    uint32_t bytes; /* of an element */
    bool major_k;
} sim_matrix;

static sim_matrix matrix_of(uint64_t d, sim_type t, bool turned) {
    static const uint8_t swizzles[] = {0, 128, 64, 32};
    return (sim_matrix){.start = (uint32_t)(d & 0x3fff) << 4,
                        .leading = (uint32_t)(d >> 16 & 0x3fff) << 4,
                        .stride = (uint32_t)(d >> 32 & 0x3fff) << 4,
                        .base = (uint32_t)(d >> 49 & 7),
                        .swizzle = swizzles[d >> 62],
                        .bytes = t == T_TF32 ? 4 : sim_type_bytes(t),
                        .major_k = !turned};
}

/* Chunk c of line i: lines are rows (of A, columns of B) when K is the major dimension, else steps
 * of K (9.7.16.5.1.2.1.2, "Canonical layouts"). */
static uint32_t chunk_at(const sim_matrix *m, uint32_t i, uint32_t c) {
    uint32_t pitch = m->swizzle ? m->swizzle : CHUNK, at;
    if (m->major_k) {
        at = i / 8 * m->stride + i % 8 * pitch + c * (m->swizzle ? CHUNK : m->leading);
    } else if (m->swizzle) {
        uint32_t per = m->swizzle / CHUNK;
        at = c % per * CHUNK + c / per * m->leading + i % 8 * pitch + i / 8 * m->stride;
    } else {
        at = c * m->stride + i % 8 * pitch + i / 8 * m->leading;
    }
    at += m->start;
    uint32_t pattern = at - (m->base << 7);
    return at ^ (sim_swizzled(pattern, m->swizzle) ^ pattern);
}

/* ---- one product ----------------------------------------------------------------------------- */

typedef struct sim_wgmma {
    sim_warp *warps[WARPGROUP];
    const sim_insn *in;
    const uint32_t *clock; /* what all four know */
    uint32_t n, depth, epoch;
    float a[ROWS][MOST_DEPTH], b[MOST_DEPTH][MOST_N];
    double d[ROWS][MOST_N];
} sim_wgmma;

static float number(const uint8_t *p, sim_type t) {
    uint32_t word;
    uint16_t half;
    switch ((int)t) {
    case T_F16:
        memcpy(&half, p, 2);
        return sim_f16_to_f32(half);
    case T_BF16:
        memcpy(&half, p, 2);
        return sim_bf16_to_f32(half);
    case T_TF32:
        memcpy(&word, p, 4);
        return sim_as_f32(word & 0xffffe000);
    case T_S8:
        return (float)(int8_t)*p;
    case T_U8:
        return (float)*p;
    default:
        return sim_f8_to_f32(*p, t);
    }
}

/* The chunk's bytes; NULL after a finding. */
static const uint8_t *read_chunk(const sim_wgmma *x, uint32_t at) {
    sim_warp *w = x->warps[0];
    sim_block *b = w->block;
    if (at + CHUNK > w->run->shared_bytes) {
        sim_find(w, SIM_FAULT_BOUNDS, -1, at, "wgmma reads outside of shared memory");
        return NULL;
    }
    if (!sim_shadow_all(b->shared_written, at, CHUNK)) {
        sim_find(w, SIM_FAULT_UNINITIALISED, -1, at, "wgmma reads shared memory nobody wrote");
    }
    if (!w->run->options->no_races) {
        if (b->cells[at / 4].pending) {
            sim_find(w, SIM_FAULT_RACE, -1, at, "wgmma reads what a copy may be writing");
        }
        sim_race_agent(w, x->clock, b, at, CHUNK, ACCESS_READ, sim_agent_of_group(w), x->epoch);
    }
    return b->shared + at;
}

/* Reads `lines` rows of A or columns of B; out[k] and out[line] are so many floats apart. */
static void read_matrix(const sim_wgmma *x, const sim_matrix *m, sim_type t, uint32_t lines,
                        float sign, float *out, size_t line_step, size_t k_step) {
    uint32_t per = CHUNK / m->bytes, rows = m->major_k ? lines : x->depth,
             chunks = (m->major_k ? x->depth : lines) / per;
    size_t row_step = m->major_k ? line_step : k_step, step = m->major_k ? k_step : line_step;
    for (uint32_t i = 0; i < rows; i++) {
        for (uint32_t c = 0; c < chunks; c++) {
            const uint8_t *p = read_chunk(x, chunk_at(m, i, c));
            for (uint32_t e = 0; p && e < per; e++) {
                out[i * row_step + (c * per + e) * step] = sign * number(p + e * m->bytes, t);
            }
        }
    }
}

static void registers_of_a(sim_wgmma *x, float sign) {
    const sim_operand *o = &x->in->op[OP_A];
    sim_type t = (sim_type)x->in->type2;
    uint32_t bytes = t == T_TF32 ? 4 : sim_type_bytes(t), per = 4 / bytes;
    for (uint32_t i = 0; i < WARPGROUP; i++) {
        const sim_warp *w = x->warps[i];
        for (uint32_t q = 0; q < 4 * LANES; q++) {
            uint32_t l = q % LANES, r = q / LANES, word;
            word = (uint32_t)sim_row(w, w->parts[o->row + r])[l];
            for (uint32_t e = 0; e < per; e++) {
                uint32_t k = l % 4 * per + e + r / 2 * 4 * per;
                uint8_t bits[4];
                memcpy(bits, &word, sizeof bits);
                x->a[16 * i + l / 4 + r % 2 * 8][k] = sign * number(bits + e * bytes, t);
            }
        }
    }
}

static float sign_of(const sim_insn *in, int op, const sim_warp *w) {
    return in->op[op].kind == OPERAND_ROW && (int32_t)sim_in(w, in, op)[0] < 0 ? -1.0f : 1.0f;
}
static bool turned(const sim_insn *in, int op, const sim_warp *w) {
    return in->op[op].kind == OPERAND_ROW && (sim_in(w, in, op)[0] & 1);
}

static void inputs(sim_wgmma *x) {
    const sim_insn *in = x->in;
    const sim_warp *w = x->warps[0];
    float sa = sign_of(in, OP_SIGN_A, w), sb = sign_of(in, OP_SIGN_B, w);
    if (in->op[OP_A].kind == OPERAND_VECTOR) {
        registers_of_a(x, sa);
    } else {
        sim_matrix a =
            matrix_of(sim_in(w, in, OP_A)[0], (sim_type)in->type2, turned(in, OP_TURN_A, w));
        read_matrix(x, &a, (sim_type)in->type2, ROWS, sa, &x->a[0][0], MOST_DEPTH, 1);
    }
    sim_matrix b = matrix_of(sim_in(w, in, OP_B)[0], (sim_type)in->type3, turned(in, OP_TURN_B, w));
    read_matrix(x, &b, (sim_type)in->type3, x->n, sb, &x->b[0][0], 1, MOST_N);
}

static void multiply(sim_wgmma *x) {
    for (uint32_t r = 0; r < ROWS; r++) {
        for (uint32_t k = 0; k < x->depth; k++) {
            double a = (double)x->a[r][k];
            for (uint32_t n = 0; n < x->n; n++) {
                x->d[r][n] += a * (double)x->b[k][n];
            }
        }
    }
    x->warps[0]->run->report->counters.matrix_flops += 2ull * ROWS * x->n * x->depth;
}

static uint64_t rounded(double v, const sim_insn *in) {
    if (in->type == T_F32) {
        return sim_of_f32((float)v);
    }
    if (in->type == T_F16) {
        double once = isfinite(v) ? sim_round_to(v, 10, -14, ROUND_N) : v;
        return sim_f32_to_f16((float)once, ROUND_N);
    }
    if (in->sat) {
        v = v > 2147483647.0 ? 2147483647.0 : v < -2147483648.0 ? -2147483648.0 : v;
    }
    return (uint32_t)(int64_t)v;
}
static double widened(uint64_t v, sim_type t) {
    return t == T_F32   ? (double)sim_as_f32(v)
           : t == T_F16 ? (double)sim_f16_to_f32((uint16_t)v)
                        : (double)(int32_t)v;
}

/* Elements of D of a warp, in or out: two of a row each, then eight rows below (9.7.16.5.1.1). */
static void accumulators(sim_wgmma *x, uint32_t i, bool out) {
    const sim_warp *w = x->warps[i];
    const sim_insn *in = x->in;
    bool packed = in->type == T_F16;
    for (uint32_t q = 0; q < x->n / 2; q++) {
        uint64_t *row = sim_row(w, w->parts[in->op[OP_D].row + (packed ? q / 2 : q)]);
        uint32_t shift = packed ? q % 2 * 16 : 0;
        for (uint32_t l = 0; l < LANES; l++) {
            double *d = &x->d[16 * i + l / 4 + q / 2 % 2 * 8][q / 4 * 8 + l % 4 * 2 + q % 2];
            if (!out) {
                *d = widened(row[l] >> shift, (sim_type)in->type);
            } else {
                uint64_t v = rounded(*d, in);
                row[l] = !packed ? v : shift ? (row[l] & 0xffff) | v << 16 : v;
            }
        }
    }
}

/* ---- registers ------------------------------------------------------------------------------- */

static void hold(sim_warp *w, const sim_insn *in, int op, uint32_t epoch, bool reads) {
    const sim_operand *o = &in->op[op];
    for (uint32_t i = 0; o->kind == OPERAND_VECTOR && i < o->n; i++) {
        uint32_t row = w->parts[o->row + i];
        if (row & ROW_CONSTANT || row == ROW_NONE) {
            continue;
        }
        if (reads && w->async->fenced && w->registers[row].computed_at > w->async->fence_at) {
            sim_find(w, SIM_FAULT_ASYNC, -1, row - N_SPECIAL,
                     "wgmma uses a register written since the last wgmma.fence");
        }
        sim_registers_hold(w, row, epoch, op == OP_A);
    }
}

/* A wgmma of a warp begins: its registers are held until its group was waited for. */
static void begin(sim_warp *w, const sim_insn *in, bool adds) {
    sim_async *a = w->async;
    if (!a->fenced) {
        sim_find(w, SIM_FAULT_ASYNC, -1, 0, "wgmma with no wgmma.fence before it");
    }
    a->matrix_open++;
    hold(w, in, OP_A, a->matrix_groups + 1, true);
    hold(w, in, OP_D, a->matrix_groups + 1, adds);
}

/* What all of them know: the least of their clocks. */
static const uint32_t *common_clock(const sim_wgmma *x) {
    uint32_t *out = x->warps[0]->run->scratch_clock, n = x->warps[0]->run->clock_words;
    memcpy(out, x->warps[0]->clock, n * sizeof *out);
    for (uint32_t i = 1; i < WARPGROUP; i++) {
        for (uint32_t k = 0; k < n; k++) {
            uint32_t c = x->warps[i]->clock[k];
            out[k] = c < out[k] ? c : out[k];
        }
    }
    return out;
}

/* ---- instructions ---------------------------------------------------------------------------- */

static void compute(sim_warp *first, const sim_insn *in) {
    sim_wgmma x = {.in = in, .n = in->shape[1], .depth = in->shape[2]};
    bool adds = sim_in(first, in, OP_SCALE)[0] & 1;
    adds = adds != in->op[OP_SCALE].negate;
    x.epoch = first->async->matrix_groups + 1;
    for (uint32_t i = 0; i < WARPGROUP; i++) {
        x.warps[i] = &first->block->warps[first->index + i];
        x.warps[i]->at = in;
        begin(x.warps[i], in, adds);
    }
    x.clock = common_clock(&x);
    inputs(&x);
    for (uint32_t i = 0; i < WARPGROUP && adds; i++) {
        accumulators(&x, i, false);
    }
    multiply(&x);
    for (uint32_t i = 0; i < WARPGROUP; i++) {
        accumulators(&x, i, true);
    }
    if (first->run->model) {
        double flops = 2.0 * ROWS * x.n * x.depth;
        double done = sim_model_product(x.warps, flops, (sim_type)in->type2);
        for (uint32_t i = 0; i < WARPGROUP; i++) {
            x.warps[i]->async->group_times[x.epoch % GROUPS_KEPT] = done;
        }
    }
}

void sim_warpgroup_arrive(sim_warp *w, const sim_insn *in) {
    uint32_t base = w->index - w->index % WARPGROUP;
    w->group_waits = true;
    w->at = in;
    for (uint32_t i = base; i < base + WARPGROUP; i++) {
        if (i >= w->block->n_warps || !w->block->warps[i].group_waits) {
            return;
        }
        if (w->block->warps[i].at != in) {
            sim_find(w, SIM_FAULT_DIVERGENCE, -1, 0,
                     "warps of one warpgroup stand at different wgmma instructions");
            w->run->stop = true;
            return;
        }
    }
    compute(&w->block->warps[base], in);
    w->run->stalls = 0;
    for (uint32_t i = base; i < base + WARPGROUP; i++) {
        w->block->warps[i].group_waits = false;
    }
}

static void fence(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)in;
    (void)mask;
    w->async->fenced = true;
    w->async->fence_at = w->run->issues;
}
static void commit(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)in;
    (void)mask;
    w->async->matrix_groups++;
    w->async->matrix_open = 0;
}
static void wait(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t n = (uint32_t)sim_in(w, in, 0)[__builtin_ctz(mask)];
    uint32_t done = w->async->matrix_groups > n ? w->async->matrix_groups - n : 0;
    uint32_t *known = &w->clock[sim_agent_of_group(w)];
    *known = *known > done ? *known : done;
    if (w->run->model && n < GROUPS_KEPT) {
        sim_model_wait(w, w->async->group_times[done % GROUPS_KEPT], "waits for wgmma");
    }
    sim_registers_release(w, done);
}

/* ---- decoding -------------------------------------------------------------------------------- */

static void executed(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)w; /* by the scheduler, when the warpgroup is there */
    (void)in;
    (void)mask;
}

static bool took_shape(sim_decoder *d) {
    for (int i = 0; i < d->n; i++) {
        unsigned n, k;
        int end = 0;
        if (!d->used[i] && sscanf(d->modifier[i], "m64n%uk%u%n", &n, &k, &end) == 2 &&
            d->modifier[i][end] == '\0' && n >= 8 && n <= MOST_N && n % 8 == 0 && k <= MOST_DEPTH) {
            d->used[i] = true;
            d->in->shape[0] = ROWS;
            d->in->shape[1] = (uint16_t)n;
            d->in->shape[2] = (uint16_t)k;
            return true;
        }
    }
    return false;
}

static bool known_types(const sim_insn *in) {
    bool eight = in->type2 == T_E4M3 || in->type2 == T_E5M2,
         whole = in->type2 == T_S8 || in->type2 == T_U8;
    bool eight_b = in->type3 == T_E4M3 || in->type3 == T_E5M2,
         whole_b = in->type3 == T_S8 || in->type3 == T_U8;
    uint32_t k = in->shape[2];
    if (whole) {
        return whole_b && in->type == T_S32 && k == 32;
    }
    if (in->type != T_F32 && !(in->type == T_F16 && (eight || in->type2 == T_F16))) {
        return false;
    }
    if (eight) {
        return eight_b && k == 32;
    }
    return in->type2 == in->type3 && (((in->type2 == T_F16 || in->type2 == T_BF16) && k == 16) ||
                                      (in->type2 == T_TF32 && k == 8));
}

/* Letters of the operands: transposes only where elements have 16 bits, and of a matrix A in
 * registers there is none. */
static bool product_operands(sim_decoder *d) {
    sim_insn *in = d->in;
    bool halves = in->type2 == T_F16 || in->type2 == T_BF16;
    if (!sim_operands(d, in->type == T_S32 ? "WvSP" : halves ? "WvSPSSS?S" : "WvSPSS")) {
        return false;
    }
    bool rows = in->op[OP_A].kind == OPERAND_VECTOR;
    sim_operand none = {.kind = OPERAND_NONE, .row = ROW_NONE};
    if (in->type == T_S32) {
        in->op[OP_SIGN_A] = in->op[OP_SIGN_B] = none;
    }
    if (!halves) {
        in->op[OP_TURN_A] = in->op[OP_TURN_B] = none;
    } else if (rows) {
        bool one = in->op[OP_TURN_B].kind == OPERAND_NONE;
        in->op[OP_TURN_B] = in->op[OP_TURN_A];
        in->op[OP_TURN_A] = none;
        if (!one) {
            return false;
        }
    } else if (in->op[OP_TURN_B].kind == OPERAND_NONE) {
        return false;
    }
    in->n = OP_TURN_B + 1;
    uint32_t want = in->shape[1] / (in->type == T_F16 ? 4u : 2u);
    return in->op[OP_D].kind == OPERAND_VECTOR && in->op[OP_D].n == want &&
           (!rows || in->op[OP_A].n == 4);
}

static bool wgmma_family(sim_decoder *d) {
    sim_insn *in = d->in;
    bool product = sim_took(d, "mma_async"), fences = sim_took(d, "fence"),
         commits = sim_took(d, "commit_group"), waits = sim_took(d, "wait_group");
    d->p->module->asynchronous = d->p->module->warpgroups = true;
    in->sync = 255;
    if (!sim_took(d, "sync") || !sim_took(d, "aligned")) {
        return false;
    }
    if (!product) {
        return sim_operands(d, waits ? "S" : "") && (fences || commits || waits) &&
               sim_execs(d,
                         fences    ? fence
                         : commits ? commit
                                   : wait,
                         SIM_CLASS_MATRIX);
    }
    in->control = CONTROL_WARPGROUP;
    in->sat = sim_took(d, "satfinite");
    in->type = (uint8_t)sim_took_type(d);
    in->type2 = (uint8_t)sim_took_type(d);
    in->type3 = (uint8_t)sim_took_type(d);
    return took_shape(d) && known_types(in) && product_operands(d) &&
           sim_execs(d, executed, SIM_CLASS_MATRIX);
}

const sim_family_row sim_families_wgmma[] = {{"wgmma", wgmma_family}, {NULL, NULL}};
