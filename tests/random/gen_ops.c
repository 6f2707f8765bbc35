/* SPDX-License-Identifier: Apache-2.0 */
/* The statements of the generator: see gen.c for the bookkeeping that they keep up. */
#include <math.h>
#include <string.h>

#include "tests/random/gen_internal.h"

/* ---- loads --------------------------------------------------------------------------------------
 */

bool gen_is_index_tile(const gen_value *v) {
    return tg_dtype_is_int(v->v->type->dtype) && tg_dtype_bits(v->v->type->dtype) >= 8 &&
           v->v->type->rank <= 2 && v->v->type->rank > 0;
}

static tg_value *as_index(gen *g, tg_value *v) { return tg_build_cast(&g->b, v, TG_DT_I64); }

/* A scalar position: a block number, a constant, or an integer scalar of the pool, maybe out of
 * range. */
static tg_value *scalar_position(gen *g) {
    int kind = gen_below(g, 4);
    if (kind == 0 && g->func->n_grid > 0) {
        return g->block[gen_below(g, g->func->n_grid)];
    }
    gen_value *v = gen_pick(g);
    if (kind == 1 && v->v->type->rank == 0 && tg_dtype_is_int(v->v->type->dtype) &&
        v->joint == NULL) {
        return as_index(g, v->v);
    }
    return tg_build_index(&g->b, gen_below(g, 6) - 1);
}

static tg_value *random_span(gen *g, tg_value *extent, int64_t n) {
    tg_value *lo = tg_build_index(&g->b, gen_below(g, 4) == 0 ? gen_below(g, 5) : 0);
    if (g->func->n_grid > 0 && gen_chance(g, 50)) {
        int a = gen_below(g, g->func->n_grid);
        tg_value *by = tg_build_index(&g->b, g->func->grid_by[a]);
        lo = tg_build_binary(&g->b, TG_OP_MUL, g->block[a], by);
        n = gen_chance(g, 80) ? g->func->grid_by[a] : n;
    } else if (gen_chance(g, 25)) {
        lo = scalar_position(g);
    }
    tg_value *hi = extent;
    if (gen_chance(g, 20)) {
        tg_value *len =
            tg_build_binary(&g->b, TG_OP_ADD, lo, tg_build_index(&g->b, gen_below(g, 9)));
        hi = tg_build_binary(&g->b, TG_OP_MIN, extent, len);
    }
    return tg_build_span(&g->b, lo, hi, n);
}

typedef struct load_plan {
    tg_value *tensor, *index[TG_MAX_RANK], *present[TG_MAX_RANK], *mask;
    int64_t axes[TG_MAX_RANK], shape[TG_MAX_RANK];
    int64_t first_axis[TG_MAX_RANK]; /* of index k in the result; -1: scalar */
    int n_axes, rank;
} load_plan;

static void plan_index(gen *g, load_plan *p, int k) {
    tg_value *extent = tg_build_dim(&g->b, p->tensor, k);
    int kind = gen_below(g, 10);
    gen_value *tile = kind == 0 ? gen_pick_if(g, gen_is_index_tile) : NULL;
    p->first_axis[k] = -1;
    if (tile != NULL && p->rank + tile->v->type->rank <= 3) {
        gen_value full = gen_else(g, tile, -1);
        p->index[k] = full.v;
    } else if (kind <= 2 || p->rank >= 3) {
        p->index[k] = scalar_position(g);
    } else {
        p->index[k] = random_span(g, extent, gen_size(g));
    }
    p->present[k] = tg_build_present(&g->b, p->index[k], extent);
    const tg_type *t = p->index[k]->type;
    int rank = t->kind == TG_TY_SPAN ? 1 : t->rank;
    p->first_axis[k] = rank > 0 ? p->rank : -1;
    for (int d = 0; d < rank; d++) {
        p->axes[p->n_axes++] = p->rank;
        p->shape[p->rank++] = t->shape[d];
    }
}

static void load_presence(gen *g, const load_plan *p, gen_value *r) {
    int rank = p->rank;
    for (int k = 0; k < p->tensor->type->rank; k++) {
        tg_value *m = p->present[k];
        if (m->type->rank == 1) {
            r->axis_mask[p->first_axis[k]] = m;
            continue;
        }
        int64_t axes[TG_MAX_RANK];
        for (int d = 0; d < m->type->rank; d++) {
            axes[d] = p->first_axis[k] + d;
        }
        m = tg_build_broadcast(&g->b, m, rank, p->shape, axes);
        r->joint = r->joint == NULL ? m : tg_build_binary(&g->b, TG_OP_AND, r->joint, m);
    }
}

static gen_value with_bounds(const gen *g, int param, tg_value *v) {
    if (!tg_dtype_is_float(v->type->dtype) || g->out->params[param].subnormals) {
        return gen_plain(v);
    }
    /* the data are made to match, see memory.c */
    return v->type->dtype == TG_DT_F8E8M0 ? gen_exact(v, 8, -3) : gen_exact(v, 8, -1);
}

/* A field of the record parameter as a tensor. */
static tg_value *field_view(gen *g, int param, tg_value *records) {
    const gen_param *p = &g->out->params[param];
    const gen_field *f = &p->fields[gen_below(g, p->n_fields)];
    const tg_dim *dims[TG_MAX_RANK];
    int rank = records->type->rank;
    memcpy(dims, records->type->dims, (size_t)rank * sizeof dims[0]);
    for (int a = 0; a < f->rank; a++) {
        dims[rank++] = tg_dim_const(g->m, f->dims[a]);
    }
    const tg_type *t = tg_type_tensor(g->m, f->dtype, 0, rank, dims, false);
    tg_value *view = tg_build1(&g->b, TG_OP_VIEW, t, 1, records);
    tg_op_set_int(view->def, TG_ATTR_BYTES, f->offset);
    if (f->rank > 0) {
        tg_op_set_list(view->def, TG_ATTR_STRIDES, f->strides, (size_t)f->rank);
    }
    return view;
}

void gen_load(gen *g) {
    load_plan p = {0};
    int param = gen_below(g, g->first_output - 1); /* all inputs but the scalar */
    p.tensor = g->func->body->args[param];
    if (p.tensor->type->dtype == TG_DT_RECORD) {
        p.tensor = field_view(g, param, p.tensor);
    }
    for (int k = 0; k < p.tensor->type->rank; k++) {
        plan_index(g, &p, k);
    }
    int64_t n = 1;
    for (int a = 0; a < p.rank; a++) {
        n *= p.shape[a];
    }
    if (n > GEN_MAX_ELEMENTS) {
        return;
    }
    tg_value *v = tg_build_load(&g->b, p.tensor, p.tensor->type->rank, p.index, p.rank, p.shape,
                                p.n_axes, p.axes, NULL);
    gen_value r = with_bounds(g, param, v);
    load_presence(g, &p, &r);
    gen_push(g, r);
}

/* ---- elementwise --------------------------------------------------------------------------------
 */

static void add_bounds(gen_value *r, const gen_value *x, const gen_value *y, tg_opcode code) {
    tg_dtype t = r->v->type->dtype;
    if (!tg_dtype_is_float(t) || !x->exact || !y->exact) {
        return;
    }
    int lsb = x->lsb < y->lsb ? x->lsb : y->lsb;
    double bound = x->bound + y->bound;
    if (code == TG_OP_MUL) {
        lsb = x->lsb + y->lsb;
        bound = x->bound * y->bound;
    } else if (code == TG_OP_MIN || code == TG_OP_MAX) {
        bound = fmax(x->bound, y->bound);
    } else if (code != TG_OP_ADD && code != TG_OP_SUB) {
        return;
    }
    if (lsb > -60 && gen_fits(t, bound, lsb)) {
        r->exact = true;
        r->bound = bound;
        r->lsb = lsb;
    }
}

static void step_binary(gen *g) {
    static const tg_opcode any[] = {TG_OP_ADD, TG_OP_SUB, TG_OP_MUL, TG_OP_DIV,
                                    TG_OP_REM, TG_OP_MIN, TG_OP_MAX};
    static const tg_opcode bits[] = {TG_OP_AND, TG_OP_OR, TG_OP_XOR, TG_OP_SHL, TG_OP_SHR};
    gen_value x = *gen_pick(g);
    bool is_bool = x.v->type->dtype == TG_DT_BOOL, is_float = gen_is_float(&x);
    tg_opcode code = is_bool                          ? bits[gen_below(g, 3)]
                     : !is_float && gen_chance(g, 30) ? bits[gen_below(g, 5)]
                                                      : any[gen_below(g, 7)];
    bool keeps_type = code == TG_OP_MIN || code == TG_OP_MAX || is_bool;
    if (!keeps_type) {
        x = gen_arith(g, &x);
    }
    gen_value y = gen_partner(g, &x);
    if (gen_chance(g, 50)) {
        gen_value t = x;
        x = y;
        y = t;
    }
    gen_value r = gen_plain(tg_build_binary(&g->b, code, x.v, y.v));
    gen_join_presence(g, &r, &x);
    gen_join_presence(g, &r, &y);
    add_bounds(&r, &x, &y, code);
    gen_push(g, r);
}

static gen_value clamp(gen *g, const gen_value *x, double limit) {
    gen_value r = *x;
    const tg_type *t = x->v->type;
    r.v = tg_build_binary(&g->b, TG_OP_MAX, r.v, gen_const(g, t, -limit));
    r.v = tg_build_binary(&g->b, TG_OP_MIN, r.v, gen_const(g, t, limit));
    r.bound = limit;
    return r;
}

/* A float on a grid of whole numbers up to limit: exact whatever it was. NaN stays NaN. */
gen_value gen_tame(gen *g, const gen_value *x, double limit) {
    gen_value r = gen_arith(g, x);
    r = clamp(g, &r, limit);
    r.v = tg_build_math(&g->b, TG_MATH_ROUND, r.v);
    r.exact = true;
    r.bound = limit;
    r.lsb = 0;
    return r;
}

static void step_unary(gen *g) {
    gen_value x = *gen_pick(g), r = x;
    tg_dtype t = x.v->type->dtype;
    if (!gen_is_float(&x)) {
        static const tg_opcode codes[] = {TG_OP_NOT, TG_OP_NEG, TG_OP_ABS, TG_OP_POPCOUNT};
        tg_opcode code = t == TG_DT_BOOL ? TG_OP_NOT : codes[gen_below(g, 4)];
        if (t != TG_DT_BOOL) {
            x = gen_arith(g, &x);
        }
        r.v = tg_build_unary(&g->b, code, x.v);
    } else if (gen_chance(g, 40)) {
        r.v = tg_build_unary(&g->b, gen_chance(g, 50) ? TG_OP_NEG : TG_OP_ABS, x.v);
        r.exact = x.exact && t != TG_DT_F8E8M0; /* which has no sign: clamped */
    } else if (gen_chance(g, 20)) {
        r = gen_tame(g, &x, 4);
        r.v = tg_build_math(&g->b, TG_MATH_EXP2, r.v);
        r.bound = 16;
        r.lsb = -4;
    } else {
        static const tg_math_fn fns[] = {TG_MATH_FLOOR, TG_MATH_CEIL, TG_MATH_ROUND, TG_MATH_SQRT};
        tg_math_fn fn = fns[gen_below(g, 4)];
        r = gen_arith(g, &x);
        r.v = tg_build_math(&g->b, fn, r.v);
        r.exact = x.exact && fn != TG_MATH_SQRT;
        r.bound = ceil(x.bound);
        r.lsb = r.lsb > 0 ? r.lsb : 0;
        r.exact = r.exact && r.bound >= 1 && gen_fits(r.v->type->dtype, r.bound, r.lsb);
    }
    gen_push(g, r);
}

static void step_cast(gen *g) {
    gen_value x = *gen_pick(g);
    tg_dtype to = gen_any_dtype(g);
    tg_round round =
        gen_chance(g, 70) || !tg_dtype_is_float(to) ? TG_ROUND_RNE : (tg_round)gen_below(g, 4);
    bool sat = gen_chance(g, 20);
    gen_value r = x;
    r.v = tg_build_cast_as(&g->b, x.v, to, round, sat);
    r.exact = false;
    if (tg_dtype_is_float(to) && x.exact && gen_is_float(&x) && to != TG_DT_F8E8M0 &&
        to != TG_DT_F4E2M1) {
        /* rounding a multiple of the grid to fewer bits stays on the grid while it is not finer */
        r.exact = x.lsb >= -1 && x.bound <= 240;
        r.bound = x.bound * 1.125 + 1;
    }
    gen_push(g, r);
}

static void step_select(gen *g) {
    gen_value x = *gen_pick(g), y = gen_partner(g, &x), c = gen_condition(g, &x);
    if (gen_chance(g, 40)) {
        gen_push(g, c);
        return;
    }
    gen_value r = gen_plain(tg_build_select(&g->b, c.v, x.v, y.v));
    gen_join_presence(g, &r, &x);
    gen_join_presence(g, &r, &y);
    gen_join_presence(g, &r, &c);
    r.exact = x.exact && y.exact;
    r.bound = fmax(x.bound, y.bound);
    r.lsb = x.lsb < y.lsb ? x.lsb : y.lsb;
    gen_push(g, r);
}

static void step_fma(gen *g) {
    gen_value x = gen_arith(g, gen_pick(g)), y = gen_partner(g, &x), z = gen_partner(g, &x);
    if (x.v->type->dtype == TG_DT_BOOL) {
        return;
    }
    gen_value r = gen_plain(tg_build_fma(&g->b, x.v, y.v, z.v));
    gen_join_presence(g, &r, &x);
    gen_join_presence(g, &r, &y);
    gen_join_presence(g, &r, &z);
    gen_push(g, r);
}

static void step_bitcast(gen *g) {
    static const tg_dtype pairs[][2] = {
        {TG_DT_F32, TG_DT_U32},   {TG_DT_F16, TG_DT_U16},   {TG_DT_BF16, TG_DT_U16},
        {TG_DT_F8E4M3, TG_DT_U8}, {TG_DT_F8E5M2, TG_DT_U8}, {TG_DT_I32, TG_DT_U32},
    };
    gen_value x = *gen_pick(g), r;
    tg_dtype to = TG_DT_NONE;
    for (size_t i = 0; i < TG_COUNT_OF(pairs); i++) {
        to = pairs[i][0] == x.v->type->dtype ? pairs[i][1] : to;
    }
    if (to == TG_DT_NONE) {
        return;
    }
    if (g->specials && gen_is_float(&x)) {
        return; /* the payload of a computed NaN is open */
    }
    if (gen_is_float(&x)) { /* opaque values may hold NaN from inf - inf, 0 / 0 */
        if (!x.exact) {
            return;
        }
    }
    r = x;
    r.exact = false;
    r.v = tg_build_bitcast(&g->b, x.v, to);
    gen_push(g, r);
}

/* ---- shape
 * ---------------------------------------------------------------------------------------- */

static void step_broadcast(gen *g) {
    gen_value x = *gen_pick(g), r = x;
    const tg_type *t = x.v->type;
    int64_t shape[TG_MAX_RANK], axes[TG_MAX_RANK];
    if (t->rank >= 3) {
        return;
    }
    int at = gen_below(g, t->rank + 1);
    memset(r.axis_mask, 0, sizeof r.axis_mask);
    for (int a = 0, k = 0; a < t->rank + 1; a++) {
        if (a == at) {
            shape[a] = gen_size(g);
            continue;
        }
        shape[a] = t->shape[k];
        r.axis_mask[a] = x.axis_mask[k];
        axes[k++] = a;
    }
    if (gen_count(t) * shape[at] > GEN_MAX_ELEMENTS) {
        return;
    }
    r.v = tg_build_broadcast(&g->b, x.v, t->rank + 1, shape, axes);
    r.joint = x.joint == NULL ? NULL : tg_build_broadcast(&g->b, x.joint, t->rank + 1, shape, axes);
    gen_push(g, r);
}

static void step_permute(gen *g) {
    gen_value x = *gen_pick(g), r = x;
    int rank = x.v->type->rank;
    int64_t axes[TG_MAX_RANK];
    if (rank < 2) {
        return;
    }
    for (int a = 0; a < rank; a++) {
        axes[a] = a;
    }
    for (int a = rank - 1; a > 0; a--) {
        int b = gen_below(g, a + 1);
        int64_t t = axes[a];
        axes[a] = axes[b];
        axes[b] = t;
    }
    for (int a = 0; a < rank; a++) {
        r.axis_mask[a] = x.axis_mask[axes[a]];
    }
    r.v = tg_build_permute(&g->b, x.v, axes);
    r.joint = x.joint == NULL ? NULL : tg_build_permute(&g->b, x.joint, axes);
    gen_push(g, r);
}

/* Splits or merges axes; presence goes through the same map as one mask. */
static void step_reshape(gen *g) {
    gen_value x = *gen_pick(g), r = x;
    const tg_type *t = x.v->type;
    int64_t shape[TG_MAX_RANK];
    int rank = 0;
    if (t->rank >= 2 && gen_chance(g, 60)) {
        int at = gen_below(g, t->rank - 1);
        for (int a = 0; a < t->rank; a++) {
            if (a == at + 1) {
                shape[rank - 1] *= t->shape[a];
            } else {
                shape[rank++] = t->shape[a];
            }
        }
    } else if (t->rank >= 1 && t->rank <= 2) {
        int at = gen_below(g, t->rank);
        int64_t f = t->shape[at] % 4 == 0   ? 4
                    : t->shape[at] % 2 == 0 ? 2
                    : t->shape[at] % 3 == 0 ? 3
                                            : 1;
        for (int a = 0; a < t->rank; a++) {
            if (a == at) {
                shape[rank++] = t->shape[a] / f;
            }
            shape[rank++] = a == at ? f : t->shape[a];
        }
    } else {
        return;
    }
    tg_value *mask = gen_full_mask(g, &x);
    memset(r.axis_mask, 0, sizeof r.axis_mask);
    r.v = tg_build_reshape(&g->b, x.v, rank, shape);
    r.joint = mask == NULL ? NULL : tg_build_reshape(&g->b, mask, rank, shape);
    gen_push(g, r);
}

static void step_slice(gen *g) {
    gen_value x = *gen_pick(g), r = x;
    const tg_type *t = x.v->type;
    int64_t offsets[TG_MAX_RANK], shape[TG_MAX_RANK];
    if (t->rank == 0) {
        return;
    }
    for (int a = 0; a < t->rank; a++) {
        shape[a] = 1 + gen_below(g, (int)t->shape[a]);
        offsets[a] = gen_below(g, (int)(t->shape[a] - shape[a] + 1));
        r.axis_mask[a] = x.axis_mask[a] == NULL
                             ? NULL
                             : tg_build_slice(&g->b, x.axis_mask[a], &offsets[a], &shape[a]);
    }
    r.v = tg_build_slice(&g->b, x.v, offsets, shape);
    r.joint = x.joint == NULL ? NULL : tg_build_slice(&g->b, x.joint, offsets, shape);
    gen_push(g, r);
}

static void step_concat(gen *g) {
    gen_value x = *gen_pick(g), y = gen_partner(g, &x);
    if (x.v->type->rank == 0) {
        return;
    }
    x = gen_else(g, &x, 1);
    y = gen_else(g, &y, 2);
    tg_value *parts[] = {x.v, y.v, x.v};
    gen_value r = gen_plain(
        tg_build_concat(&g->b, gen_chance(g, 70) ? 2 : 3, parts, gen_below(g, x.v->type->rank)));
    r.exact = x.exact && y.exact;
    r.bound = fmax(x.bound, y.bound);
    r.lsb = x.lsb < y.lsb ? x.lsb : y.lsb;
    gen_push(g, r);
}

static void step_local_gather(gen *g) {
    gen_value x = *gen_pick(g), *i = gen_pick_if(g, gen_is_index_tile);
    if (i == NULL || x.v->type->rank == 0 || x.v->type->rank + i->v->type->rank > 4 ||
        gen_count(x.v->type) * gen_count(i->v->type) > GEN_MAX_ELEMENTS) {
        return;
    }
    gen_value index = gen_else(g, i, -1);
    gen_value full = gen_else(g, &x, 3);
    gen_value r =
        gen_plain(tg_build_local_gather(&g->b, full.v, index.v, gen_below(g, x.v->type->rank)));
    r.exact = full.exact; /* out of range gives 0, which the language calls absent: define it */
    r.bound = full.bound;
    r.lsb = full.lsb;
    gen_push(g, r);
}

/* ---- along an axis
 * ---------------------------------------------------------------------------------- */

/* The mask of an operation along `axis`: everything that mentions it. rest: what stays. */
static tg_value *axis_presence(gen *g, const gen_value *x, int axis, gen_value *rest,
                               bool keep_axis) {
    for (int a = 0, k = 0; a < x->v->type->rank; a++) {
        if (a != axis || keep_axis) {
            rest->axis_mask[k++] = a == axis ? NULL : x->axis_mask[a];
        }
    }
    if (x->joint == NULL) {
        return x->axis_mask[axis];
    }
    memset(rest->axis_mask, 0, sizeof rest->axis_mask);
    return gen_full_mask(g, x);
}

static gen_value exact_operand(gen *g, const gen_value *x, double limit) {
    return x->exact && x->bound <= limit && !tg_dtype_is_storage(x->v->type->dtype)
               ? *x
               : gen_tame(g, x, limit);
}

static bool has_axis(const gen_value *v) { return v->v->type->rank > 0; }

/* A float product is exact only for factors that are powers of two. */
static gen_value powers_of_two(gen *g, const gen_value *x) {
    gen_value r = gen_tame(g, x, 1);
    r.v = tg_build_math(&g->b, TG_MATH_EXP2, r.v);
    r.lsb = -1;
    r.bound = 2;
    return r;
}

static void step_reduce(gen *g) {
    gen_value *pick = gen_pick_if(g, has_axis);
    if (pick == NULL) {
        return;
    }
    gen_value x = *pick;
    bool is_float = gen_is_float(&x), is_bool = x.v->type->dtype == TG_DT_BOOL;
    static const tg_reduce_kind number[] = {TG_RED_SUM, TG_RED_SUM,    TG_RED_PROD,  TG_RED_MIN,
                                            TG_RED_MAX, TG_RED_ARGMIN, TG_RED_ARGMAX};
    static const tg_reduce_kind truth[] = {TG_RED_ANY, TG_RED_ALL, TG_RED_COUNT};
    tg_reduce_kind kind = is_bool ? truth[gen_below(g, 3)] : number[gen_below(g, 7)];
    int axis = gen_below(g, x.v->type->rank);
    int64_t n = x.v->type->shape[axis];
    if (kind == TG_RED_PROD && n > 100) {
        kind = TG_RED_MAX; /* powers of two would leave the range */
    }
    bool sums = kind == TG_RED_SUM || kind == TG_RED_PROD;
    if (sums && is_float) {
        x = kind == TG_RED_SUM ? exact_operand(g, &x, 1024) : powers_of_two(g, &x);
        if (kind == TG_RED_SUM && !gen_fits(x.v->type->dtype, x.bound * (double)n, x.lsb)) {
            x = gen_tame(g, &x, 1024);
        }
    } else if (sums && tg_dtype_is_storage(x.v->type->dtype)) {
        x = gen_arith(g, &x);
    }
    gen_value r = {0};
    tg_value *mask = axis_presence(g, &x, axis, &r, false);
    r.v = tg_build_reduce(&g->b, kind, x.v, axis, mask);
    if (gen_is_float(&r)) {
        r.exact = kind == TG_RED_SUM;
        r.bound = x.bound * (double)n;
        r.lsb = x.lsb;
    }
    gen_push(g, r);
}

/* A fold in index order by a region: acc * 3 + x of integers, max(acc - 1, x) of floats. */
static void step_fold(gen *g) {
    gen_value *pick = gen_pick_if(g, has_axis);
    if (pick == NULL || pick->v->type->dtype == TG_DT_BOOL) {
        return;
    }
    gen_value x = gen_arith(g, pick), r = {0};
    int axis = gen_below(g, x.v->type->rank), n = 0;
    int64_t shape[TG_MAX_RANK];
    for (int a = 0; a < x.v->type->rank; a++) {
        if (a != axis) {
            shape[n++] = x.v->type->shape[a];
        }
    }
    const tg_type *scalar = tg_type_scalar(g->m, x.v->type->dtype);
    const tg_type *type = tg_type_tile(g->m, x.v->type->dtype, n, shape);
    tg_value *mask = axis_presence(g, &x, axis, &r, false);
    tg_value *args[3] = {x.v, gen_random_const(g, scalar).v, mask};
    tg_op *op = tg_build_op(&g->b, TG_OP_REDUCE, mask != NULL ? 3 : 2, args, 1, &type, 1);
    tg_op_set_int(op, TG_ATTR_RED, TG_RED_USER);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_builder outer = g->b;
    g->b = tg_builder_at_end(op->regions[0]);
    tg_value *acc = tg_region_add_arg(op->regions[0], scalar, "acc");
    tg_value *one = tg_region_add_arg(op->regions[0], scalar, "x");
    bool is_float = gen_is_float(&x);
    acc = is_float ? tg_build_binary(&g->b, TG_OP_SUB, acc, gen_const(g, scalar, 1))
                   : tg_build_binary(&g->b, TG_OP_MUL, acc, gen_const(g, scalar, 3));
    acc = tg_build_binary(&g->b, is_float ? TG_OP_MAX : TG_OP_ADD, acc, one);
    (void)tg_build_op(&g->b, TG_OP_YIELD, 1, &acc, 0, NULL, 0);
    g->b = outer;
    r.v = &op->results[0];
    gen_push(g, r);
}

static void step_random(gen *g) {
    gen_value x = *gen_pick(g);
    if (!tg_dtype_is_int(x.v->type->dtype)) {
        return;
    }
    const tg_type *key = tg_type_with_dtype(g->m, x.v->type, TG_DT_U64);
    gen_value r = x;
    r.v = tg_build1(&g->b, TG_OP_RNG, tg_type_with_dtype(g->m, x.v->type, TG_DT_U32), 2,
                    gen_random_const(g, key).v, tg_build_cast(&g->b, x.v, TG_DT_U64));
    r.exact = false;
    gen_push(g, r);
}

static void step_scan(gen *g) {
    gen_value *pick = gen_pick_if(g, has_axis);
    if (pick == NULL) {
        return;
    }
    gen_value x = *pick, r = {0};
    static const tg_reduce_kind number[] = {TG_RED_SUM, TG_RED_MIN, TG_RED_MAX, TG_RED_PROD};
    bool is_bool = x.v->type->dtype == TG_DT_BOOL;
    tg_reduce_kind kind = is_bool ? (gen_chance(g, 50) ? TG_RED_ANY : TG_RED_ALL)
                                  : number[gen_below(g, gen_is_float(&x) ? 3 : 4)];
    int axis = gen_below(g, x.v->type->rank);
    if (kind == TG_RED_SUM && gen_is_float(&x)) {
        x = gen_tame(g, &x, 256);
    } else if (!is_bool && (kind == TG_RED_SUM || kind == TG_RED_PROD)) {
        x = gen_arith(g, &x);
    }
    tg_value *mask = axis_presence(g, &x, axis, &r, true), *args[2] = {x.v, mask};
    tg_op *op = tg_build_op(&g->b, TG_OP_SCAN, mask != NULL ? 2 : 1, args, 1, &x.v->type, 0);
    tg_op_set_int(op, TG_ATTR_RED, kind);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    if (gen_chance(g, 40)) {
        tg_op_set_int(op, TG_ATTR_EXCL, 1);
    }
    r.v = &op->results[0];
    gen_push(g, r);
}

static void step_sort(gen *g) {
    gen_value *pick = gen_pick_if(g, has_axis);
    if (pick == NULL) {
        return;
    }
    gen_value x = gen_else(g, pick, 2);
    int axis = gen_below(g, x.v->type->rank);
    tg_value *args[3] = {x.v, NULL, NULL};
    const tg_type *types[2] = {x.v->type, NULL};
    int n = 1;
    gen_value payload = gen_partner(g, &x);
    if (gen_chance(g, 50)) {
        args[n] = gen_else(g, &payload, 1).v;
        types[n] = args[n]->type;
        n++;
    }
    tg_op *op = tg_build_op(&g->b, TG_OP_SORT, n, args, n, types, 0);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (gen_chance(g, 40)) {
        tg_op_set_int(op, TG_ATTR_DESC, 1);
    }
    for (int r = 0; r < n; r++) {
        gen_push(g, gen_plain(&op->results[r]));
    }
}

/* Absent elements go last: the result has as many as there were. */
static void step_sort_masked(gen *g) {
    gen_value *pick = gen_pick_if(g, has_axis);
    if (pick == NULL || pick->v->type->rank != 1 || pick->v->type->dtype == TG_DT_BOOL) {
        return;
    }
    tg_value *mask = gen_full_mask(g, pick), *args[2] = {pick->v, mask};
    if (mask == NULL) {
        return;
    }
    int64_t n = pick->v->type->shape[0], axis = 0;
    tg_op *op = tg_build_op(&g->b, TG_OP_SORT, 2, args, 1, &pick->v->type, 0);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    tg_op_set_int(op, TG_ATTR_MASKED, 1);
    if (gen_chance(g, 40)) {
        tg_op_set_int(op, TG_ATTR_DESC, 1);
    }
    tg_value *count = tg_build_reduce(&g->b, TG_RED_COUNT, mask, 0, NULL);
    gen_value r = gen_plain(&op->results[0]);
    r.axis_mask[0] = tg_build_cmp(&g->b, TG_CMP_LT, tg_build_iota(&g->b, TG_DT_I32, n),
                                  tg_build_broadcast(&g->b, count, 1, &n, NULL));
    gen_push(g, r);
}

static void step_topk(gen *g) {
    gen_value *pick = gen_pick_if(g, has_axis);
    if (pick == NULL || pick->v->type->dtype == TG_DT_BOOL) {
        return;
    }
    gen_value x = *pick, r = {0}, ri = {0};
    int axis = gen_below(g, x.v->type->rank);
    int64_t k = 1 + gen_below(g, (int)x.v->type->shape[axis] > 9 ? 9 : (int)x.v->type->shape[axis]);
    int64_t shape[TG_MAX_RANK];
    memcpy(shape, x.v->type->shape, sizeof shape);
    shape[axis] = k;
    tg_value *mask = axis_presence(g, &x, axis, &r, true), *args[2] = {x.v, mask};
    const tg_type *types[2] = {tg_type_tile(g->m, x.v->type->dtype, x.v->type->rank, shape),
                               tg_type_tile(g->m, TG_DT_I32, x.v->type->rank, shape)};
    tg_op *op = tg_build_op(&g->b, TG_OP_TOPK, mask != NULL ? 2 : 1, args, 2, types, 0);
    tg_op_set_int(op, TG_ATTR_K, k);
    tg_op_set_int(op, TG_ATTR_AXIS, axis);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    ri = r;
    r.v = &op->results[0];
    ri.v = &op->results[1];
    gen_push(g, r);
    gen_push(g, ri);
}

static bool is_int_line(const gen_value *v) {
    return v->v->type->rank == 1 && tg_dtype_is_int(v->v->type->dtype) &&
           tg_dtype_bits(v->v->type->dtype) >= 8;
}

/* Keys mostly inside 0..n. */
static tg_value *keys_of(gen *g, const gen_value *x, int64_t n) {
    gen_value full = gen_else(g, x, 0);
    tg_value *k = tg_build_cast(&g->b, full.v, TG_DT_I32);
    k = tg_build_binary(&g->b, TG_OP_REM, k, gen_const(g, k->type, (double)n + 1));
    return tg_build_unary(&g->b, TG_OP_ABS, k);
}

static void step_keys(gen *g) {
    gen_value *x = gen_pick_if(g, is_int_line);
    if (x == NULL) {
        return;
    }
    int64_t n = 1 + gen_below(g, 12);
    tg_value *keys = keys_of(g, x, n), *args[4] = {keys, NULL, NULL, NULL};
    gen_value kv = gen_plain(keys);
    gen_value c = gen_condition(g, &kv);
    tg_value *mask = gen_chance(g, 50) ? gen_else(g, &c, 0).v : NULL;
    tg_op *op;
    int kind = gen_below(g, 4), n_args = 1;
    if (kind == 0) {
        args[n_args] = mask;
        op = tg_build_op(&g->b, TG_OP_RANK_BY_KEY, mask != NULL ? 2 : 1, args, 1, &keys->type, 0);
    } else if (kind == 1) {
        const tg_type *bins = tg_type_tile(g->m, TG_DT_I32, 1, &n);
        if (gen_chance(g, 50)) {
            args[n_args++] = keys;
        }
        args[n_args] = mask;
        op = tg_build_op(&g->b, TG_OP_HISTOGRAM, n_args + (mask != NULL), args, 1, &bins, 0);
    } else if (kind == 2) {
        gen_value z = gen_random_const(g, tg_type_tile(g->m, TG_DT_I32, 1, &n));
        args[0] = z.v;
        args[1] = keys;
        args[2] = keys;
        args[3] = mask;
        op = tg_build_op(&g->b, TG_OP_SCATTER_ADD, mask != NULL ? 4 : 3, args, 1, &z.v->type, 0);
    } else {
        const tg_type *types[2] = {keys->type, tg_type_scalar(g->m, TG_DT_I32)};
        gen_value all = gen_else(g, &c, 0);
        args[1] = all.v;
        op = tg_build_op(&g->b, TG_OP_COMPRESS, 2, args, 2, types, 0);
        gen_push(g, gen_plain(&op->results[1]));
    }
    if (kind < 2) {
        tg_op_set_int(op, TG_ATTR_N, n);
    }
    if (kind < 3 && mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    gen_push(g, gen_plain(&op->results[0]));
}

/* ---- matrix
 * ----------------------------------------------------------------------------------------- */

static bool is_matrix(const gen_value *v) {
    const tg_type *t = v->v->type;
    return t->rank == 2 && t->dtype != TG_DT_BOOL && t->dtype != TG_DT_F8E8M0;
}

/* x as a [k, n] or [m, k] operand: with a bound that keeps the sum exact, joint masks resolved. */
static gen_value dot_operand(gen *g, const gen_value *x) {
    gen_value r = *x;
    tg_dtype t = x->v->type->dtype;
    if (tg_dtype_is_float(t)) {
        double limit = t == TG_DT_F4E2M1 ? 6 : 16;
        if (!x->exact || x->bound > limit || x->lsb < -1) {
            r = gen_tame(g, x, limit);
            r.v = tg_build_cast(&g->b, r.v, t);
        }
    }
    return r.joint != NULL ? gen_else(g, &r, 0) : r;
}

/* What a matrix unit takes as a first operand. */
static bool is_for_units(const gen_value *v) {
    const tg_type *t = v->v->type;
    int bits = tg_dtype_bits(t->dtype);
    return is_matrix(v) && (bits == 8 || bits == 16) && t->shape[0] % 16 == 0 &&
           t->shape[1] % (256 / bits) == 0;
}

static void step_dot(gen *g) {
    gen_value *pick = g->options.matrix ? gen_pick_if(g, is_for_units) : NULL;
    pick = pick != NULL ? pick : gen_pick_if(g, is_matrix);
    if (pick == NULL) {
        return;
    }
    gen_value a = dot_operand(g, pick), b = {0}, r = {0};
    tg_dtype t = a.v->type->dtype;
    int64_t m = a.v->type->shape[0], k = a.v->type->shape[1];
    for (int tries = 0; tries < 12 && b.v == NULL; tries++) {
        const gen_value *y = gen_pick_if(g, is_matrix);
        if (y->v->type->dtype == t && y->v->type->shape[0] == k) {
            b = dot_operand(g, y);
        }
    }
    if (b.v == NULL) { /* a @ a.T */
        const int64_t swap[] = {1, 0};
        b = a;
        b.v = tg_build_permute(&g->b, a.v, swap);
        b.axis_mask[0] = a.axis_mask[1];
        b.axis_mask[1] = a.axis_mask[0];
    }
    int64_t n = b.v->type->shape[1], shape[] = {m, n};
    if (m * n > GEN_MAX_ELEMENTS) {
        return;
    }
    bool is_float = tg_dtype_is_float(t);
    tg_dtype acc_type = t == TG_DT_F64          ? t
                        : is_float              ? TG_DT_F32
                        : tg_dtype_bits(t) <= 8 ? TG_DT_I32
                                                : t;
    gen_value acc = gen_random_const(g, tg_type_tile(g->m, acc_type, 2, shape));
    tg_value *mask = a.axis_mask[1];
    if (b.axis_mask[0] != NULL && b.axis_mask[0] != mask) {
        mask =
            mask == NULL ? b.axis_mask[0] : tg_build_binary(&g->b, TG_OP_AND, mask, b.axis_mask[0]);
    }
    r.v = tg_build_dot(&g->b, a.v, b.v, acc.v, 0, TG_DOT_EXACT, mask);
    r.axis_mask[0] = a.axis_mask[0];
    r.axis_mask[1] = b.axis_mask[1];
    r.exact = is_float;
    r.bound = 256.0 * (double)k + 4;
    r.lsb = -2;
    gen_push(g, r);
}

/* A batch of products x @ x.T over the first axis. */
static void step_dot_batch(gen *g) {
    gen_value *pick = gen_pick(g);
    const tg_type *t = pick->v->type;
    if (t->rank != 3 || t->dtype == TG_DT_BOOL || t->dtype == TG_DT_F8E8M0) {
        return;
    }
    gen_value a = dot_operand(g, pick), r = {0};
    const int64_t swap[] = {0, 2, 1};
    tg_value *b = tg_build_permute(&g->b, a.v, swap);
    int64_t shape[] = {t->shape[0], t->shape[1], t->shape[1]};
    bool is_float = tg_dtype_is_float(t->dtype);
    tg_dtype acc = t->dtype == TG_DT_F64          ? t->dtype
                   : is_float                     ? TG_DT_F32
                   : tg_dtype_bits(t->dtype) <= 8 ? TG_DT_I32
                                                  : t->dtype;
    if (shape[0] * shape[1] * shape[2] > GEN_MAX_ELEMENTS) {
        return;
    }
    gen_value zero = gen_random_const(g, tg_type_tile(g->m, acc, 3, shape));
    r.v = tg_build_dot(&g->b, a.v, b, zero.v, 1, TG_DOT_EXACT, a.axis_mask[2]);
    r.axis_mask[0] = a.axis_mask[0];
    r.axis_mask[1] = r.axis_mask[2] = a.axis_mask[1];
    r.exact = is_float;
    r.bound = 256.0 * (double)t->shape[2] + 4;
    r.lsb = -2;
    gen_push(g, r);
}

/* ---- statements
 * ------------------------------------------------------------------------------------- */

typedef struct statement {
    void (*run)(gen *g);
    int weight;
    bool nests;
} statement;

static const statement statements[] = {
    {gen_load, 12, false},
    {step_binary, 18, false},
    {step_unary, 8, false},
    {step_cast, 8, false},
    {step_select, 10, false},
    {step_fma, 3, false},
    {step_bitcast, 2, false},
    {step_broadcast, 6, false},
    {step_permute, 4, false},
    {step_reshape, 4, false},
    {step_slice, 4, false},
    {step_concat, 3, false},
    {step_local_gather, 3, false},
    {step_reduce, 10, false},
    {step_scan, 4, false},
    {step_sort, 3, false},
    {step_topk, 3, false},
    {step_keys, 4, false},
    {step_dot, 8, false},
    {step_dot_batch, 2, false},
    {step_fold, 3, false},
    {step_random, 2, false},
    {step_sort_masked, 3, false},
    {gen_store_state, 4, false},
    {gen_load_state, 4, false},
    {gen_atomic, 3, false},
    {gen_for, 5, true},
    {gen_if, 3, true},
    {gen_while, 3, true},
};

void gen_step(gen *g) {
    int total = 0;
    if (g->options.matrix && gen_chance(g, 30)) {
        for (int i = 0; i < 6 && gen_pick_if(g, is_for_units) == NULL; i++) {
            gen_load(g);
        }
        step_dot(g);
        return;
    }
    for (size_t i = 0; i < TG_COUNT_OF(statements); i++) {
        total += statements[i].weight;
    }
    int at = gen_below(g, total);
    for (size_t i = 0; i < TG_COUNT_OF(statements); i++) {
        at -= statements[i].weight;
        if (at < 0) {
            if (!statements[i].nests || (g->depth < 2 && !g->options.no_control)) {
                statements[i].run(g);
            }
            return;
        }
    }
}
