/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost model of cost.h. A program's cycles are the sum over its operations, times the trips of
 * the loops around them, of
 *   - arithmetic: elements over the vector lanes, weighted by kind; a dot by its FMA pipes and by
 *     how well its shape fills the accumulators that hide the FMA's latency;
 *   - movement: bytes over what the cache level that holds the tile delivers a cycle;
 *   - overhead: what starting any loop nest costs, which is what makes tiny tiles slow.
 * The launch is programs over threads, the last wave counted whole. Constants are round figures of
 * current cores (Agner Fog, "Instruction tables", and the vendors' optimisation guides give loads
 * of 2 x 32 bytes from L1, 32 from L2, and division and square root at 4 to 6 times a multiply).
 */
#include "backends/cost.h"

#include <math.h>

static const double CLOCK = 3e9;
static const double NEST_CYCLES = 12;     /* to start the loops of one operation */
static const double PROGRAM_CYCLES = 150; /* to start a program */
static const double L1_BYTES = 64, L2_BYTES = 32, FAR_BYTES = 8; /* a cycle */
static const double ACCUMULATORS = 8; /* vectors in flight that hide an FMA's latency, two pipes */

typedef struct walk {
    const tg_func *func;
    const int64_t *syms;
    const tg_machine *m;
    tg_cost *cost;
} walk;

/* ---- integer values that can be known before the launch ----------------------------------------
 */

enum { MAX_DEPTH = 32 }; /* of an index expression; deeper ones count as unknown */

static bool value_of(const walk *w, const tg_value *v, int depth, int64_t *out);

static bool grid_block(const walk *w, const tg_value *v, int64_t *out);

static bool binary(const walk *w, const tg_op *op, int depth, int64_t *out) {
    int64_t a, b;
    if (!value_of(w, tg_operand(op, 0), depth, &a) || !value_of(w, tg_operand(op, 1), depth, &b)) {
        return false;
    }
    switch ((int)op->code) {
    case TG_OP_ADD:
        return tg_add_i64(a, b, out);
    case TG_OP_SUB:
        return tg_sub_i64(a, b, out);
    case TG_OP_MUL:
        return tg_mul_i64(a, b, out);
    case TG_OP_MIN:
        *out = a < b ? a : b;
        return true;
    case TG_OP_MAX:
        *out = a > b ? a : b;
        return true;
    case TG_OP_DIV:
        *out = b != 0 ? tg_div_i64(a, b) : 0;
        return true;
    default:
        return false;
    }
}

static bool value_of(const walk *w, const tg_value *v, int depth, int64_t *out) {
    if (!tg_type_is_scalar(v->type) || depth > MAX_DEPTH) {
        return false;
    }
    if (v->def == NULL) {
        return grid_block(w, v, out);
    }
    const tg_op *op = v->def;
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
        *out = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
        return true;
    case TG_OP_SYM:
        *out = w->syms[tg_attr_int(op, TG_ATTR_SYM, 0)];
        return true;
    case TG_OP_DIM:
        *out =
            tg_dim_eval(tg_operand(op, 0)->type->dims[tg_attr_int(op, TG_ATTR_AXIS, 0)], w->syms);
        return true;
    case TG_OP_CAST:
        return value_of(w, tg_operand(op, 0), depth + 1, out);
    default:
        return op->n_operands == 2 && binary(w, op, depth + 1, out);
    }
}

/* Block number along grid axis a: the middle one. A loop's counter: unknown. */
static bool grid_block(const walk *w, const tg_value *v, int64_t *out) {
    int a = v->index - w->func->n_params;
    int64_t extent;
    if (v->region != w->func->body || a < 0 || w->func->grid == NULL) {
        return false;
    }
    const tg_op *last = w->func->grid->last;
    if (last == NULL || a >= last->n_operands || !value_of(w, tg_operand(last, a), 0, &extent)) {
        return false;
    }
    *out = tg_cdiv_i64(extent, w->func->grid_by[a]) / 2;
    return true;
}

static double trips_of(const walk *w, const tg_op *loop) {
    int64_t lo, hi, step;
    if (loop->code == TG_OP_FOR && value_of(w, tg_operand(loop, 0), 0, &lo) &&
        value_of(w, tg_operand(loop, 1), 0, &hi) && value_of(w, tg_operand(loop, 2), 0, &step) &&
        step > 0) {
        return hi > lo ? ceil(((double)hi - (double)lo) / (double)step) : 0;
    }
    w->cost->guessed = true;
    return TG_COST_TRIPS;
}

/* ---- one operation -----------------------------------------------------------------------------
 */

static double count_of(const tg_type *t) {
    return t->kind == TG_TY_TILE ? (double)tg_type_count(t) : 0;
}

static double bytes_of(const tg_type *t) { return count_of(t) * tg_dtype_bits(t->dtype) / 8.0; }

static double lanes_of(const tg_machine *m, tg_dtype t) {
    int bits = tg_dtype_bits(t) < 8 ? 8 : tg_dtype_bits(t);
    double vector = fmax(1, 8.0 * m->vector_bytes / bits);
    return m->class_ == TG_MACHINE_SIMT ? m->lanes : vector;
}

/* Multiplies' worth of one element. */
static double weight_of(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_DIV:
    case TG_OP_REM:
        return 5;
    case TG_OP_MATH:
        return 12;
    case TG_OP_RNG:
        return 40;
    case TG_OP_CAST:
        return 2;
    case TG_OP_LOCAL_GATHER:
    case TG_OP_PERMUTE:
        return 3;
    case TG_OP_SCAN:
    case TG_OP_COMPRESS:
    case TG_OP_HISTOGRAM:
    case TG_OP_SCATTER_ADD:
    case TG_OP_RANK_BY_KEY:
        return 8;
    default:
        return 1;
    }
}

static double dot_cycles(const walk *w, const tg_op *op) {
    const tg_type *a = tg_operand(op, 0)->type, *r = op->results[0].type;
    double k = (double)a->shape[a->rank - 1], n = (double)r->shape[r->rank - 1];
    double lanes = lanes_of(w->m, r->dtype), pipes = fmax(1, w->m->fma_pipes);
    double vectors = count_of(r) / n * ceil(n / lanes);
    double fill = fmin(1, vectors / (pipes * ACCUMULATORS / 2));
    return vectors * k / (pipes * fmax(fill, 1 / ACCUMULATORS));
}

/* Sorting networks and merges: log^2 passes; selection: one pass and a bit. */
static double order_cycles(const tg_op *op, double n, double lanes) {
    double depth = log2(fmax(n, 2));
    return (op->code == TG_OP_SORT ? depth * depth / 2 : 4) * n / lanes;
}

static double arithmetic_of(const walk *w, const tg_op *op) {
    const tg_type *t = op->n_results > 0 ? op->results[0].type : NULL;
    if (t == NULL || t->kind != TG_TY_TILE || op->code == TG_OP_LOAD) {
        return 0;
    }
    double lanes = lanes_of(w->m, t->dtype), n = count_of(t);
    switch ((int)op->code) {
    case TG_OP_DOT:
        return dot_cycles(w, op);
    case TG_OP_SORT:
    case TG_OP_TOPK:
        return order_cycles(op, count_of(tg_operand(op, 0)->type), lanes);
    case TG_OP_REDUCE: {
        double in = count_of(tg_operand(op, 0)->type);
        return in / lanes + n * log2(lanes + 1);
    }
    case TG_OP_BROADCAST:
    case TG_OP_RESHAPE:
    case TG_OP_SLICE:
        return 0; /* folded into whoever reads it */
    default:
        return weight_of(op) * n / lanes / 2;
    }
}

/* Bytes that an operation moves between caches: what it loads or stores, and the panels of a dot.
 */
static double moved_bytes(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_LOAD:
        return bytes_of(op->results[0].type);
    case TG_OP_STORE:
    case TG_OP_ATOMIC:
        return bytes_of(tg_operand(op, 1)->type);
    case TG_OP_DOT:
        return bytes_of(tg_operand(op, 0)->type) + bytes_of(tg_operand(op, 1)->type);
    default:
        return 0;
    }
}

static double footprint(const tg_op *op) {
    double bytes = 0;
    for (int i = 0; i < op->n_operands; i++) {
        bytes += bytes_of(tg_operand(op, i)->type);
    }
    for (int i = 0; i < op->n_results; i++) {
        bytes += bytes_of(op->results[i].type);
    }
    return bytes;
}

static double bytes_per_cycle(const tg_machine *m, double tile) {
    double near = (double)m->l1_bytes, far = (double)m->l2_bytes;
    if (m->class_ == TG_MACHINE_SIMT) {
        near = (double)m->register_bytes * m->lanes;
        far = near + (double)m->shared_bytes;
    }
    return tile <= near ? L1_BYTES : tile <= far ? L2_BYTES : FAR_BYTES;
}

static void add_region(walk *w, const tg_region *r, double times);

static void add_op(walk *w, const tg_op *op, double times) {
    double inner = times;
    if (op->code == TG_OP_FOR || op->code == TG_OP_WHILE) {
        inner = times * trips_of(w, op);
    }
    for (int i = 0; i < op->n_regions; i++) {
        bool body = op->code != TG_OP_REDUCE; /* its region is a scalar rule */
        if (body) {
            add_region(w, op->regions[i], op->code == TG_OP_IF ? times / 2 : inner);
        }
    }
    double tile = footprint(op), arithmetic = arithmetic_of(w, op), moved = moved_bytes(op);
    w->cost->tile_bytes = fmax(w->cost->tile_bytes, tile);
    w->cost->arithmetic += times * arithmetic;
    w->cost->movement += times * moved / bytes_per_cycle(w->m, tile);
    w->cost->overhead += arithmetic > 0 || moved > 0 ? times * NEST_CYCLES : 0;
}

static void add_region(walk *w, const tg_region *r, double times) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        add_op(w, op, times);
    }
}

/* Programs of the grid, and how much of what they compute lies outside. */
static void size_grid(walk *w) {
    const tg_op *last = w->func->grid != NULL ? w->func->grid->last : NULL;
    w->cost->programs = 1;
    w->cost->waste = 1;
    for (int a = 0; last != NULL && a < w->func->n_grid && a < last->n_operands; a++) {
        int64_t extent;
        if (!value_of(w, tg_operand(last, a), 0, &extent)) {
            w->cost->guessed = true;
            extent = w->func->grid_by[a] * TG_COST_TRIPS;
        }
        int64_t blocks = tg_cdiv_i64(extent, w->func->grid_by[a]);
        w->cost->programs *= (double)blocks;
        w->cost->waste *=
            extent > 0 ? (double)blocks * (double)w->func->grid_by[a] / (double)extent : 1;
    }
}

tg_cost tg_cost_of(const tg_func *func, const int64_t *syms, const tg_machine *machine,
                   int threads) {
    tg_cost cost = {0};
    walk w = {.func = func, .syms = syms, .m = machine, .cost = &cost};
    size_grid(&w);
    add_region(&w, func->body, 1);
    cost.overhead += PROGRAM_CYCLES;
    if (machine->class_ == TG_MACHINE_CPU && cost.waste > 1) { /* ragged tails are peeled there */
        cost.arithmetic /= cost.waste;
        cost.movement /= cost.waste;
    }
    /* loads run beside arithmetic, but never hide wholly */
    double a = cost.arithmetic, m = cost.movement;
    cost.program_cycles = fmax(a, m) + 0.25 * fmin(a, m) + cost.overhead;
    double waves = ceil(cost.programs / fmax(1, threads));
    cost.seconds = waves * cost.program_cycles / CLOCK;
    return cost;
}
