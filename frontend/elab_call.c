/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls: the table of built-in operations and the choice between them and functions (elab_fn.c). A
 * reduction without `axis` combines all axes; scans, sort and topk take the last one.
 */
#include "frontend/value.h"

#include <string.h>

#define MAX_ARGS 12

typedef const tg_val *(*builtin_fn)(tg_elab *e, const tg_call_args *a, int arg);

typedef struct builtin {
    const char *name;
    int min, max; /* positional arguments */
    builtin_fn fn;
    int arg;
    bool axis, raw; /* takes `axis`; wants unevaluated spans and references */
    const char *usage;
} builtin;

/* ---- helpers -------------------------------------------------------------------------------- */

/* Argument i as a tile; NULL after an error. */
static const tg_val *tile_arg(tg_elab *e, const tg_call_args *a, int i) {
    const tg_val *v = tg_el_runtime(e, a->pos[i]);
    if (tg_el_is_error(v)) {
        return NULL;
    }
    if (v->kind != TG_VAL_TILE) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->pos_expr[i]->span, "%s cannot stand here",
                    tg_el_describe(e, v));
        return NULL;
    }
    return v;
}

static bool int_arg(tg_elab *e, const tg_call_args *a, int i, const char *what, int64_t *out) {
    if (a->pos[i]->kind == TG_VAL_INT) {
        *out = a->pos[i]->i;
        return true;
    }
    if (!tg_el_is_error(a->pos[i])) {
        tg_el_error(e, TG_D_NOT_CONSTANT, a->pos_expr[i]->span, "%s is known at compile time",
                    what);
    }
    return false;
}

/* The axis written, or `otherwise`; -2 after an error. */
static int axis_of(tg_elab *e, const tg_call_args *a, const tg_val *x, int otherwise) {
    if (!a->has_axis) {
        return otherwise;
    }
    if (a->axis < 0 || a->axis >= tg_el_rank(x)) {
        tg_el_error(e, TG_D_SHAPE, a->where, "%s has no axis %lld", tg_el_describe(e, x),
                    (long long)a->axis);
        return -2;
    }
    return (int)a->axis;
}

/* ---- elementwise ---------------------------------------------------------------------------- */

static const tg_val *math1(tg_elab *e, const tg_call_args *a, int fn) {
    const tg_val *v[1] = {a->pos[0]};
    if (v[0]->kind == TG_VAL_INT) {
        v[0] = tg_el_float(e, (double)v[0]->i, v[0]->where);
    }
    if (!tg_el_promote(e, 1, v, false, a->where)) {
        return &tg_val_error;
    }
    if (!tg_dtype_is_float(tg_el_dtype(v[0]))) {
        tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, a->where, "%s is not a float",
                                 tg_el_describe(e, v[0]));
        tg_note_add(e->sink, d, a->where, "convert with `as f32`");
        return &tg_val_error;
    }
    tg_value *ir = tg_build_math(&e->b, (tg_math_fn)fn, v[0]->ir);
    if (e->fast && ir->def != NULL && ir->def->code == TG_OP_MATH) {
        tg_op_set_int(ir->def, TG_ATTR_FAST, 1);
    }
    return tg_el_result(e, ir, 1, v, a->where);
}

static const tg_val *do_abs(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *v = a->pos[0];
    if (v->kind == TG_VAL_INT) {
        return tg_el_int(e, v->i < 0 ? (int64_t)(0 - (uint64_t)v->i) : v->i, a->where);
    }
    v = tile_arg(e, a, 0);
    if (v == NULL || tg_el_dtype(v) == TG_DT_BOOL) {
        return &tg_val_error;
    }
    if (!tg_dtype_is_float(tg_el_dtype(v))) {
        v = tg_el_cast(e, v, tg_dtype_arith(tg_el_dtype(v)), TG_ROUND_RNE, false, a->where);
    }
    return tg_el_result(e, tg_build_unary(&e->b, TG_OP_ABS, v->ir), 1, &v, a->where);
}

static const tg_val *do_popcount(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *v = tile_arg(e, a, 0);
    if (v == NULL) {
        return &tg_val_error;
    }
    if (!tg_dtype_is_int(tg_el_dtype(v))) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->where,
                    "popcount counts the bits of integers, not of %s", tg_el_describe(e, v));
        return &tg_val_error;
    }
    v = tg_el_cast(e, v, tg_dtype_arith(tg_el_dtype(v)), TG_ROUND_RNE, false, a->where);
    return tg_el_result(e, tg_build_unary(&e->b, TG_OP_POPCOUNT, v->ir), 1, &v, a->where);
}

static const tg_val *do_fma(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *v[3] = {a->pos[0], a->pos[1], a->pos[2]};
    if (!tg_el_promote(e, 3, v, false, a->where) || !tg_el_align(e, 3, v, a->where)) {
        return &tg_val_error;
    }
    if (tg_el_dtype(v[0]) == TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->where, "fma works on numbers");
        return &tg_val_error;
    }
    return tg_el_result(e, tg_build_fma(&e->b, v[0]->ir, v[1]->ir, v[2]->ir), 3, v, a->where);
}

static const tg_val *do_where(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    return tg_el_where(e, a->pos[0], a->pos[1], a->pos[2], a->where);
}

static const tg_val *do_cdiv(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    if (a->pos[0]->kind == TG_VAL_INT && a->pos[1]->kind == TG_VAL_INT) {
        return tg_el_int(e, tg_cdiv_i64(a->pos[0]->i, a->pos[1]->i), a->where);
    }
    const tg_val *v[2] = {a->pos[0], a->pos[1]};
    if (!tg_el_promote(e, 2, v, false, a->where) || !tg_el_align(e, 2, v, a->where)) {
        return &tg_val_error;
    }
    if (!tg_dtype_is_int(tg_el_dtype(v[0]))) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->where, "cdiv divides integers");
        return &tg_val_error;
    }
    /* q + (x > 0 and y > 0 and x % y != 0) */
    const tg_type *t = v[0]->ir->type;
    tg_value *zero = tg_build_int(&e->b, t, 0), *x = v[0]->ir, *y = v[1]->ir;
    tg_value *up = tg_build_cmp(&e->b, TG_CMP_NE, tg_build_binary(&e->b, TG_OP_REM, x, y), zero);
    up = tg_build_binary(&e->b, TG_OP_AND, up, tg_build_cmp(&e->b, TG_CMP_GT, x, zero));
    up = tg_build_binary(&e->b, TG_OP_AND, up, tg_build_cmp(&e->b, TG_CMP_GT, y, zero));
    tg_value *q = tg_build_binary(&e->b, TG_OP_ADD, tg_build_binary(&e->b, TG_OP_DIV, x, y),
                                  tg_build_cast(&e->b, up, t->dtype));
    tg_val *r = tg_el_result(e, q, 2, v, a->where);
    r->sym =
        tg_el_dtype(v[0]) == TG_DT_I64 ? tg_sy_bin(e, TG_DIM_CDIV, v[0]->sym, v[1]->sym) : NULL;
    return r;
}

static tg_dtype unsigned_of(int bits) {
    return bits == 8    ? TG_DT_U8
           : bits == 16 ? TG_DT_U16
           : bits == 32 ? TG_DT_U32
           : bits == 64 ? TG_DT_U64
                        : TG_DT_U4;
}

/* bits(x): the unsigned integer of the same width; bits_T(x): the T with these bits. */
static const tg_val *do_bits(tg_elab *e, const tg_call_args *a, int to) {
    const tg_val *v = tile_arg(e, a, 0);
    if (v == NULL) {
        return &tg_val_error;
    }
    int bits = tg_dtype_bits(tg_el_dtype(v));
    tg_dtype t = to == TG_DT_NONE ? unsigned_of(bits) : (tg_dtype)to;
    if (tg_dtype_bits(t) != bits || tg_el_dtype(v) == TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->where, "%s and %s have different widths",
                    tg_el_describe(e, v), tg_dtype_name(t));
        return &tg_val_error;
    }
    return tg_el_result(e, tg_build_bitcast(&e->b, v->ir, t), 1, &v, a->where);
}

static const tg_val *do_anon(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *v = tile_arg(e, a, 0);
    if (v == NULL) {
        return &tg_val_error;
    }
    tg_val *r = tg_el_copy(e, v);
    memset(r->id, 0, sizeof(r->id));
    r->where = a->where;
    return r;
}

static const tg_val *do_iota(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    int64_t n;
    tg_dtype t = TG_DT_I32;
    if (!int_arg(e, a, 0, "the length of iota", &n)) {
        return &tg_val_error;
    }
    if (a->n_pos > 1) {
        t = a->pos[1]->kind == TG_VAL_TYPE ? a->pos[1]->dtype : TG_DT_NONE;
    }
    if (n < 1 || n > ((int64_t)1 << 24) || !tg_dtype_is_int(t) || tg_dtype_is_storage(t)) {
        tg_el_error(e, TG_D_SHAPE, a->where, "iota(n) or iota(n, an integer type)");
        return &tg_val_error;
    }
    tg_val *r = tg_el_tile(e, tg_build_iota(&e->b, t, n), a->where);
    if (t == TG_DT_I64 || t == TG_DT_I32) {
        r->sym = tg_sy_pos(e, tg_el_range(e, tg_sy_int(e, 0), tg_sy_int(e, n), n, a->where), 0);
    }
    return r;
}

static const tg_val *do_random(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *v[2];
    for (int i = 0; i < 2; i++) {
        const tg_val *x = tile_arg(e, a, i);
        if (x == NULL || !tg_dtype_is_int(tg_el_dtype(x))) {
            if (x != NULL) {
                tg_el_error(e, TG_D_TYPE_MISMATCH, a->pos_expr[i]->span,
                            "random(key, counter) takes integers");
            }
            return &tg_val_error;
        }
        v[i] = tg_el_cast(e, x, TG_DT_U64, TG_ROUND_RNE, false, a->where);
    }
    if (!tg_el_align(e, 2, v, a->where)) {
        return &tg_val_error;
    }
    const tg_type *t = tg_type_with_dtype(e->m, v[0]->ir->type, TG_DT_U32);
    return tg_el_result(e, tg_build1(&e->b, TG_OP_RNG, t, 2, v[0]->ir, v[1]->ir), 2, v, a->where);
}

/* keep = true: the combined axes stay with extent 1, ready to meet the operand again. */
static const tg_val *kept(tg_elab *e, const tg_call_args *a, const tg_val *x, int axis,
                          const tg_val *r) {
    if (!a->keep || tg_el_is_error(r)) {
        return r;
    }
    unsigned all = (1u << tg_el_rank(x)) - 1u;
    return tg_el_new_axes(e, r, axis < 0 ? all : 1u << axis, a->where);
}

/* ---- along an axis -------------------------------------------------------------------------- */

static const tg_val *do_reduce_kind(tg_elab *e, const tg_call_args *a, int kind) {
    const tg_val *x = tile_arg(e, a, 0);
    if (x == NULL) {
        return &tg_val_error;
    }
    int axis = axis_of(e, a, x, -1);
    if (axis == -2) {
        return &tg_val_error;
    }
    const tg_val *r = axis < 0 ? tg_el_reduce_all(e, (tg_reduce_kind)kind, x, a->where)
                               : tg_el_reduce(e, (tg_reduce_kind)kind, x, axis, a->where);
    return kept(e, a, x, axis, r);
}

/* min and max: of several values, or along an axis. */
static const tg_val *do_minmax(tg_elab *e, const tg_call_args *a, int is_max) {
    if (a->n_pos == 1) {
        return do_reduce_kind(e, a, is_max ? TG_RED_MAX : TG_RED_MIN);
    }
    const tg_val *r = a->pos[0];
    for (int i = 1; i < a->n_pos && !tg_el_is_error(r); i++) {
        r = tg_el_minmax(e, is_max != 0, r, a->pos[i], a->where);
    }
    return r;
}

static const tg_val *do_mean(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *x = tile_arg(e, a, 0);
    int axis = x == NULL ? -2 : axis_of(e, a, x, -1);
    return axis == -2 ? &tg_val_error : kept(e, a, x, axis, tg_el_mean(e, x, axis, a->where));
}

/* arg: kind, plus 100 for exclusive. */
static const tg_val *do_scan(tg_elab *e, const tg_call_args *a, int arg) {
    const tg_val *x = tile_arg(e, a, 0);
    int axis = x == NULL ? -2 : axis_of(e, a, x, tg_el_rank(x) - 1);
    if (axis < 0) {
        if (x != NULL && axis == -1) {
            tg_el_error(e, TG_D_SHAPE, a->where, "a scalar has no axis to run along");
        }
        return &tg_val_error;
    }
    return tg_el_scan(e, (tg_reduce_kind)(arg % 100), x, axis, arg >= 100, a->where);
}

static const tg_val *do_reduce_user(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *x = tile_arg(e, a, 0);
    int axis = x == NULL ? -2 : axis_of(e, a, x, tg_el_rank(x) - 1);
    if (axis < 0 || tg_el_is_error(a->pos[1]) || tg_el_is_error(a->pos[2])) {
        return &tg_val_error;
    }
    if (a->pos[1]->kind != TG_VAL_FN) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->pos_expr[1]->span,
                    "reduce(x, f, start, axis n): f is a function of two elements");
        return &tg_val_error;
    }
    return tg_el_user_reduce(e, x, a->pos[1]->decl, tg_el_rvalue(e, a->pos[2]), axis, a->where);
}

static const tg_val *do_sort(tg_elab *e, const tg_call_args *a, int desc) {
    const tg_val *xs[MAX_ARGS] = {NULL};
    for (int i = 0; i < a->n_pos; i++) {
        xs[i] = tile_arg(e, a, i);
        if (xs[i] == NULL) {
            return &tg_val_error;
        }
    }
    int axis = axis_of(e, a, xs[0], tg_el_rank(xs[0]) - 1);
    if (axis < 0) {
        return &tg_val_error;
    }
    bool down = desc != 0 || (a->desc != NULL && a->desc->i != 0);
    return tg_el_sort(e, a->n_pos, xs, axis, down, a->where);
}

static const tg_val *do_topk(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *x = tile_arg(e, a, 0);
    int64_t k;
    int axis = x == NULL ? -2 : axis_of(e, a, x, tg_el_rank(x) - 1);
    if (axis < 0 || !int_arg(e, a, 1, "the k of topk", &k)) {
        return &tg_val_error;
    }
    return tg_el_topk(e, x, k, axis, a->where);
}

static const tg_val *do_rank_by_key(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *x = tile_arg(e, a, 0);
    int64_t n;
    return x == NULL || !int_arg(e, a, 1, "the number of keys", &n)
               ? &tg_val_error
               : tg_el_rank_by_key(e, x, n, a->where);
}

static const tg_val *do_compress(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *x = tile_arg(e, a, 0), *m = x == NULL ? NULL : tile_arg(e, a, 1);
    return m == NULL ? &tg_val_error : tg_el_compress(e, x, m, a->where);
}

static const tg_val *do_histogram(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *x = tile_arg(e, a, 0);
    int64_t n;
    if (x == NULL || !int_arg(e, a, 1, "the number of bins", &n) ||
        (a->n_pos > 2 && tg_el_is_error(a->pos[2]))) {
        return &tg_val_error;
    }
    return tg_el_histogram(e, x, a->n_pos > 2 ? a->pos[2] : NULL, n, a->where);
}

static const tg_val *do_scatter_add(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *t = tile_arg(e, a, 0), *i = t == NULL ? NULL : tile_arg(e, a, 1);
    if (i == NULL || tg_el_is_error(a->pos[2])) {
        return &tg_val_error;
    }
    return tg_el_scatter_add(e, t, i, a->pos[2], a->where);
}

/* ---- spans, shapes, presence ---------------------------------------------------------------- */

static const tg_val *do_concat(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *xs[MAX_ARGS];
    for (int i = 0; i < a->n_pos; i++) {
        xs[i] = a->pos[i];
    }
    if (!tg_el_promote(e, a->n_pos, xs, true, a->where)) {
        return &tg_val_error;
    }
    int rank = tg_el_rank(xs[0]), axis = axis_of(e, a, xs[0], rank == 1 ? 0 : -1);
    if (axis < 0) {
        if (axis == -1) {
            tg_el_error(e, TG_D_SHAPE, a->where, "concat(a, b, axis n) joins tiles along an axis");
        }
        return &tg_val_error;
    }
    for (int i = 1; i < a->n_pos; i++) {
        bool ok = tg_el_rank(xs[i]) == rank;
        for (int d = 0; d < rank && ok; d++) {
            ok = d == axis || tg_el_extent(xs[i], d) == tg_el_extent(xs[0], d);
        }
        if (!ok) {
            tg_el_error(e, TG_D_SHAPE, a->where, "%s and %s do not join along axis %d",
                        tg_el_describe(e, xs[0]), tg_el_describe(e, xs[i]), axis);
            return &tg_val_error;
        }
    }
    return tg_el_concat(e, a->n_pos, xs, axis, a->where);
}

static const tg_val *do_exists(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    return tg_el_exists(e, tg_el_soft(e, a->pos_expr[0]), a->where);
}

/* span(lo .. hi, n) */
static const tg_val *do_span(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_expr *r = a->pos_expr[0];
    if (r->kind != TG_EXPR_RANGE) {
        tg_el_error(e, TG_D_CALL, r->span, "span(lo .. hi, n) takes a range");
        return &tg_val_error;
    }
    const tg_val *lo = tg_el_index_scalar(e, r->u.range.lo, "the start of a span");
    const tg_val *hi = lo == NULL || r->u.range.hi == NULL
                           ? NULL
                           : tg_el_index_scalar(e, r->u.range.hi, "the end of a span");
    int64_t n;
    if (lo == NULL || (hi == NULL && r->u.range.hi != NULL) ||
        !tg_el_const_int(e, a->pos_expr[1], "the length of a span", &n)) {
        return &tg_val_error;
    }
    if (hi == NULL) { /* span(lo .., n): all n of them */
        hi = tg_el_binary(e, TG_BIN_ADD, lo, tg_el_int(e, n, a->where), a->where);
    }
    if (n < 1 || n > ((int64_t)1 << 24)) {
        tg_el_error(e, TG_D_SHAPE, a->pos_expr[1]->span, "a span of %lld positions", (long long)n);
        return &tg_val_error;
    }
    tg_identity *s = tg_el_identity(e, NULL, a->where, n);
    s->start = s->lo = lo->sym;
    s->hi = hi->sym;
    s->ir_start = tg_sy_launch(e, lo->sym) ? NULL : lo->ir;
    s->ir_hi = tg_sy_launch(e, hi->sym) ? NULL : hi->ir;
    s->full = tg_sy_nonneg(
        e, tg_sy_bin(e, TG_DIM_SUB, tg_sy_bin(e, TG_DIM_SUB, s->hi, s->lo), tg_sy_int(e, n)));
    s->ir = tg_build_span(&e->b, lo->ir, hi->ir, n);
    tg_val *v = tg_el_new(e, TG_VAL_SPAN, a->where);
    v->span = s;
    return v;
}

/* e8m0(x): the power of two that a scale byte means. */
static const tg_val *do_e8m0(tg_elab *e, const tg_call_args *a, int arg) {
    (void)arg;
    const tg_val *v = tile_arg(e, a, 0);
    if (v == NULL) {
        return &tg_val_error;
    }
    if (tg_el_dtype(v) == TG_DT_U8) {
        v = tg_el_result(e, tg_build_bitcast(&e->b, v->ir, TG_DT_F8E8M0), 1, &v, a->where);
    }
    if (tg_el_dtype(v) != TG_DT_F8E8M0) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, a->where,
                    "e8m0 takes scale bytes (u8 or f8e8m0), not %s", tg_el_describe(e, v));
        return &tg_val_error;
    }
    return tg_el_cast(e, v, TG_DT_F32, TG_ROUND_RNE, false, a->where);
}

static const builtin builtins[] = {
    {"min", 1, MAX_ARGS, do_minmax, 0, true, false, "min(a, b) or min(x, axis n)"},
    {"max", 1, MAX_ARGS, do_minmax, 1, true, false, "max(a, b) or max(x, axis n)"},
    {"sum", 1, 1, do_reduce_kind, TG_RED_SUM, true, false, "sum(x, axis n)"},
    {"prod", 1, 1, do_reduce_kind, TG_RED_PROD, true, false, "prod(x, axis n)"},
    {"any", 1, 1, do_reduce_kind, TG_RED_ANY, true, false, "any(x, axis n)"},
    {"all", 1, 1, do_reduce_kind, TG_RED_ALL, true, false, "all(x, axis n)"},
    {"argmin", 1, 1, do_reduce_kind, TG_RED_ARGMIN, true, false, "argmin(x, axis n)"},
    {"argmax", 1, 1, do_reduce_kind, TG_RED_ARGMAX, true, false, "argmax(x, axis n)"},
    {"count", 1, 1, do_reduce_kind, TG_RED_COUNT, true, false, "count(x, axis n)"},
    {"mean", 1, 1, do_mean, 0, true, false, "mean(x, axis n)"},
    {"reduce", 3, 3, do_reduce_user, 0, true, true, "reduce(x, f, start, axis n)"},
    {"scan", 1, 1, do_scan, TG_RED_SUM, true, false, "scan(x, axis n)"},
    {"exscan", 1, 1, do_scan, TG_RED_SUM + 100, true, false, "exscan(x, axis n)"},
    {"scan_prod", 1, 1, do_scan, TG_RED_PROD, true, false, "scan_prod(x, axis n)"},
    {"scan_min", 1, 1, do_scan, TG_RED_MIN, true, false, "scan_min(x, axis n)"},
    {"scan_max", 1, 1, do_scan, TG_RED_MAX, true, false, "scan_max(x, axis n)"},
    {"exscan_prod", 1, 1, do_scan, TG_RED_PROD + 100, true, false, "exscan_prod(x, axis n)"},
    {"exscan_min", 1, 1, do_scan, TG_RED_MIN + 100, true, false, "exscan_min(x, axis n)"},
    {"exscan_max", 1, 1, do_scan, TG_RED_MAX + 100, true, false, "exscan_max(x, axis n)"},
    {"sort", 1, MAX_ARGS, do_sort, 0, true, false, "sort(key, values.., axis n)"},
    {"sort_desc", 1, MAX_ARGS, do_sort, 1, true, false, "sort_desc(key, values.., axis n)"},
    {"topk", 2, 2, do_topk, 0, true, false, "topk(x, k, axis n)"},
    {"rank_by_key", 2, 2, do_rank_by_key, 0, false, false, "rank_by_key(key, n)"},
    {"compress", 2, 2, do_compress, 0, false, false, "compress(x, mask)"},
    {"histogram", 2, 3, do_histogram, 0, false, false, "histogram(bin, n, weight)"},
    {"scatter_add", 3, 3, do_scatter_add, 0, false, false, "scatter_add(t, i, v)"},
    {"fma", 3, 3, do_fma, 0, false, false, "fma(a, b, c)"},
    {"where", 3, 3, do_where, 0, false, false, "where(c, x, y)"},
    {"abs", 1, 1, do_abs, 0, false, false, "abs(x)"},
    {"popcount", 1, 1, do_popcount, 0, false, false, "popcount(x)"},
    {"cdiv", 2, 2, do_cdiv, 0, false, false, "cdiv(a, b)"},
    {"exp2", 1, 1, math1, TG_MATH_EXP2, false, false, "exp2(x)"},
    {"exp", 1, 1, math1, TG_MATH_EXP, false, false, "exp(x)"},
    {"log", 1, 1, math1, TG_MATH_LOG, false, false, "log(x)"},
    {"log2", 1, 1, math1, TG_MATH_LOG2, false, false, "log2(x)"},
    {"sqrt", 1, 1, math1, TG_MATH_SQRT, false, false, "sqrt(x)"},
    {"rsqrt", 1, 1, math1, TG_MATH_RSQRT, false, false, "rsqrt(x)"},
    {"sin", 1, 1, math1, TG_MATH_SIN, false, false, "sin(x)"},
    {"cos", 1, 1, math1, TG_MATH_COS, false, false, "cos(x)"},
    {"tanh", 1, 1, math1, TG_MATH_TANH, false, false, "tanh(x)"},
    {"sigmoid", 1, 1, math1, TG_MATH_SIGMOID, false, false, "sigmoid(x)"},
    {"erf", 1, 1, math1, TG_MATH_ERF, false, false, "erf(x)"},
    {"floor", 1, 1, math1, TG_MATH_FLOOR, false, false, "floor(x)"},
    {"ceil", 1, 1, math1, TG_MATH_CEIL, false, false, "ceil(x)"},
    {"round", 1, 1, math1, TG_MATH_ROUND, false, false, "round(x)"},
    {"bits", 1, 1, do_bits, TG_DT_NONE, false, false, "bits(x)"},
    {"e8m0", 1, 1, do_e8m0, 0, false, false, "e8m0(x)"},
    {"anon", 1, 1, do_anon, 0, false, false, "anon(x)"},
    {"iota", 1, 2, do_iota, 0, false, true, "iota(n) or iota(n, type)"},
    {"random", 2, 2, do_random, 0, false, false, "random(key, counter)"},
    {"concat", 1, MAX_ARGS, do_concat, 0, true, false, "concat(a, b, axis n)"},
    {"exists", 1, 1, do_exists, 0, false, true, "exists(x)"},
    {"span", 2, 2, do_span, 0, false, true, "span(lo .. hi, n)"},
};

/* ---- dispatch ------------------------------------------------------------------------------- */

static const builtin *find_builtin(const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(builtins); i++) {
        if (strcmp(builtins[i].name, name) == 0) {
            return &builtins[i];
        }
    }
    return NULL;
}

/* An argument of scatter_add and histogram may choose: `1 if c` counts where c holds. */
static const tg_val *call_argument(tg_elab *e, const builtin *b, const tg_call_args *a,
                                   const tg_expr *x) {
    if (b->fn != do_scatter_add || a->n_pos != 2 || x->kind != TG_EXPR_IF) {
        return tg_el_value(e, x);
    }
    const tg_val *v = tg_el_value(e, x->u.choose.x);
    if (tg_el_is_const(v) && a->pos[0]->kind == TG_VAL_TILE) {
        v = tg_el_adapt(e, v, tg_el_dtype(a->pos[0]));
    }
    return v == NULL || tg_el_is_error(v) ? &tg_val_error
                                          : tg_el_if(e, v, tg_el_value(e, x->u.choose.v), x->span);
}

static bool named_argument(tg_elab *e, const builtin *b, const tg_arg *arg, tg_call_args *a) {
    if (strcmp(arg->name.name, "axis") == 0 && b->axis && !a->has_axis) {
        a->has_axis = true;
        return tg_el_const_int(e, arg->value, "an axis", &a->axis);
    }
    if (strcmp(arg->name.name, "desc") == 0 && b->fn == do_sort) {
        a->desc = tg_el_value(e, arg->value);
        if (a->desc->kind == TG_VAL_BOOL) {
            return true;
        }
    }
    if (strcmp(arg->name.name, "keep") == 0 &&
        (b->fn == do_reduce_kind || b->fn == do_minmax || b->fn == do_mean)) {
        const tg_val *v = tg_el_value(e, arg->value);
        if (v->kind == TG_VAL_BOOL) {
            a->keep = v->i != 0;
            return true;
        }
    }
    tg_el_error(e, TG_D_CALL, arg->span, "%s does not take `%s`", b->name, arg->name.name);
    return false;
}

static const tg_val *call_builtin(tg_elab *e, const builtin *b, const tg_expr *x) {
    const tg_val *pos[MAX_ARGS];
    const tg_expr *pos_expr[MAX_ARGS];
    tg_call_args a = {.call = x, .pos = pos, .pos_expr = pos_expr, .where = x->span};
    bool ok = x->u.call.ct.n == 0;
    for (int i = 0; i < x->u.call.n && ok; i++) {
        const tg_arg *arg = &x->u.call.args[i];
        if (arg->name.name != NULL) {
            if (!named_argument(e, b, arg, &a)) {
                return &tg_val_error;
            }
            continue;
        }
        if (a.n_pos >= b->max || arg->mode != TG_MODE_IN) {
            ok = false;
            break;
        }
        pos_expr[a.n_pos] = arg->value;
        bool raw = b->raw && (b->fn == do_span || b->fn == do_exists || (b->fn != do_reduce_user) ||
                              a.n_pos == 1);
        if (b->fn == do_iota) {
            pos[a.n_pos] = tg_el_expr(e, arg->value);
        } else if (b->fn == do_reduce_user && a.n_pos == 1) {
            pos[a.n_pos] = tg_el_expr(e, arg->value);
        } else {
            pos[a.n_pos] = raw ? &tg_val_void : call_argument(e, b, &a, arg->value);
        }
        if (tg_el_is_error(pos[a.n_pos])) {
            return &tg_val_error;
        }
        a.n_pos++;
    }
    if (!ok || a.n_pos < b->min) {
        tg_diag *d = tg_el_error(e, TG_D_CALL, x->span, "these arguments do not fit %s", b->name);
        tg_note_add(e->sink, d, x->span, "it is called as %s", b->usage);
        return &tg_val_error;
    }
    return b->fn(e, &a, b->arg);
}

/* bits_f32(x) and its like: one for every type. */
static bool bits_target(const char *name, tg_dtype *out) {
    return strncmp(name, "bits_", 5) == 0 && tg_dtype_from_name(name + 5, strlen(name + 5), out) &&
           *out != TG_DT_NONE && *out != TG_DT_RECORD && *out != TG_DT_BOOL;
}

bool tg_el_is_builtin(const char *name) {
    tg_dtype t;
    return find_builtin(name) != NULL || bits_target(name, &t);
}

const tg_val *tg_el_call(tg_elab *e, const tg_expr *x) {
    const char *name = x->u.call.name.name;
    if (x->u.call.module.name != NULL) {
        const tg_file *m = tg_program_module(e->p, e->file, x->u.call.module.name);
        tg_decl *d = m == NULL ? NULL : tg_file_find(m, name);
        if (d == NULL || d->kind != TG_DECL_FN) {
            tg_el_error(e, TG_D_UNKNOWN_NAME, x->span,
                        m == NULL ? "there is no module `%s` here"
                                  : "module `%s` has no function of this name",
                        x->u.call.module.name);
            return &tg_val_error;
        }
        return tg_el_call_fn(e, d, x);
    }
    const tg_slot *s = tg_el_lookup(e, name);
    if (s != NULL && s->val->kind == TG_VAL_FN) {
        return tg_el_call_fn(e, s->val->decl, x);
    }
    tg_decl *own = tg_file_find(e->file, name);
    const builtin *b = own == NULL ? find_builtin(name) : NULL;
    if (b != NULL) {
        return call_builtin(e, b, x);
    }
    tg_dtype t;
    if (own == NULL && bits_target(name, &t)) {
        const builtin cast = {name, 1, 1, do_bits, (int)t, false, false, "bits_T(x)"};
        return call_builtin(e, &cast, x);
    }
    tg_decl *d = own != NULL ? own : tg_program_find(e->p, e->file, name);
    if (d != NULL && d->kind == TG_DECL_FN) {
        return tg_el_call_fn(e, d, x);
    }
    if (d == NULL || !d->broken) {
        tg_diag *g =
            tg_el_error(e, TG_D_UNKNOWN_NAME, x->u.call.name.span, "`%s` is not a function", name);
        if (d != NULL && (d->kind == TG_DECL_KERNEL || d->kind == TG_DECL_OP)) {
            tg_note_add(e->sink, g, d->head, "a kernel is launched by an `op`, not called");
        }
    }
    return &tg_val_error;
}
