/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launch checks: dimension names from extents, relations, overlap of arguments, data facts.
 *
 * A name takes its value from the first tensor that has it as a whole axis; a name that never
 * stands alone from the first axis of the form name + c, c + name, name - c or name * c (c known).
 * Then every axis and every `require` is evaluated and compared.
 */
#include <math.h>
#include <string.h>

#include "ir/interp/internal.h"

/* ---- dimension names --------------------------------------------------------------------------
 */

/* Value of d when all its names are known. */
static bool known(const tg_dim *d, const bool *have) {
    if (d->code == TG_DIM_CONST) {
        return true;
    }
    if (d->code == TG_DIM_SYM) {
        return have[d->value];
    }
    return known(d->a, have) && known(d->b, have);
}

/* Solves d == extent for its only unknown name, if d is one of the forms above. */
static bool solve(const tg_dim *d, int64_t extent, const int64_t *syms, const bool *have,
                  int *out_sym, int64_t *out_value) {
    if (d->code == TG_DIM_SYM) {
        *out_sym = (int)d->value;
        *out_value = extent;
        return !have[d->value];
    }
    if (d->code != TG_DIM_ADD && d->code != TG_DIM_SUB && d->code != TG_DIM_MUL) {
        return false;
    }
    bool left = known(d->b, have);
    if (!left && (d->code == TG_DIM_SUB || !known(d->a, have))) {
        return false;
    }
    int64_t c = tg_dim_eval(left ? d->b : d->a, syms), inner = 0;
    bool fits = d->code == TG_DIM_ADD   ? tg_sub_i64(extent, c, &inner)
                : d->code == TG_DIM_SUB ? tg_add_i64(extent, c, &inner)
                                        : c > 0 && extent % c == 0;
    if (d->code == TG_DIM_MUL && fits) {
        inner = extent / c;
    }
    return fits && solve(left ? d->a : d->b, inner, syms, have, out_sym, out_value);
}

/* One pass over all axes; bare: only names that stand alone. True when it found something. */
static bool solve_pass(const tg_func *f, const tg_interp_arg *args, bool bare, int64_t *syms,
                       bool *have) {
    bool found = false;
    for (int p = 0; p < f->n_params; p++) {
        const tg_type *t = f->params[p].type;
        for (int a = 0; t->kind == TG_TY_TENSOR && a < t->rank; a++) {
            int sym = 0;
            int64_t value = 0;
            if ((!bare || t->dims[a]->code == TG_DIM_SYM) &&
                solve(t->dims[a], args[p].extent[a], syms, have, &sym, &value)) {
                syms[sym] = value;
                have[sym] = true;
                found = true;
            }
        }
    }
    return found;
}

static bool check_axes(const tg_func *f, const tg_interp_arg *args, const int64_t *syms,
                       tg_sink *sink) {
    bool ok = true;
    for (int p = 0; p < f->n_params; p++) {
        const tg_param *param = &f->params[p];
        for (int a = 0; param->type->kind == TG_TY_TENSOR && a < param->type->rank; a++) {
            int64_t want = tg_dim_eval(param->type->dims[a], syms), got = args[p].extent[a];
            if (got > TG_MAX_EXTENT) {
                tg_error(sink, TG_D_INTERP_DIM, param->span,
                         "axis %d of %s has %lld elements; the limit is 2^48", a, param->name,
                         (long long)got);
                ok = false;
            } else if (got != want || got < 0) {
                tg_error(sink, TG_D_INTERP_DIM, param->span,
                         "axis %d of %s has %lld elements; the other arguments ask for %lld", a,
                         param->name, (long long)got, (long long)want);
                ok = false;
            }
        }
    }
    return ok;
}

/* At most this many names; a kernel has a handful. */
enum { MAX_SYMS = 256 };

tg_status tg_interp_bind(tg_func *kernel, const tg_interp_arg *args, int64_t *out_syms,
                         tg_sink *sink) {
    bool have[MAX_SYMS] = {false}, ok = true;
    if (kernel->n_syms > MAX_SYMS) {
        tg_error(sink, TG_D_INTERP_DIM, kernel->span, "%s has more than %d dimension names",
                 kernel->name, MAX_SYMS);
        return TG_E_UNSUPPORTED;
    }
    memset(out_syms, 0, sizeof *out_syms * (size_t)kernel->n_syms);
    (void)solve_pass(kernel, args, true, out_syms, have);
    while (solve_pass(kernel, args, false, out_syms, have)) {
    }
    for (int s = 0; s < kernel->n_syms; s++) {
        if (!have[s]) {
            tg_error(sink, TG_D_INTERP_DIM, kernel->syms[s].span,
                     "no argument of %s gives the dimension %s its value", kernel->name,
                     kernel->syms[s].name);
            ok = false;
        }
    }
    ok = ok && check_axes(kernel, args, out_syms, sink);
    for (int r = 0; ok && r < kernel->n_requires; r++) {
        if (tg_dim_eval(kernel->requires_[r], out_syms) == 0) {
            tg_error(sink, TG_D_INTERP_REQUIRE, kernel->span,
                     "requirement %d of %s does not hold for these shapes", r + 1, kernel->name);
            return TG_E_SOURCE;
        }
    }
    return ok ? TG_OK : TG_E_SOURCE;
}

/* ---- overlap ------------------------------------------------------------------------------------
 */

typedef struct byte_range {
    uint64_t lo, hi; /* empty when equal */
} byte_range;

static byte_range range_of(const tg_param *p, const tg_interp_arg *arg) {
    const tg_type *t = p->type;
    uint64_t lo = (uint64_t)(uintptr_t)arg->data, hi = lo;
    int bits = t->dtype == TG_DT_RECORD ? 0 : tg_dtype_bits(t->dtype);
    uint64_t elem = t->dtype == TG_DT_RECORD ? (uint64_t)t->elem_bytes : (uint64_t)(bits + 7) / 8;
    for (int a = 0; a < t->rank; a++) {
        if (arg->extent[a] <= 0) {
            return (byte_range){0};
        }
        uint64_t steps = (uint64_t)(arg->extent[a] - 1);
        int64_t stride = arg->stride_bytes[a];
        if (bits == 4 && a == t->rank - 1) {
            hi += steps / 2;
        } else if (stride >= 0) {
            hi += steps * (uint64_t)stride;
        } else {
            lo -= steps * (0 - (uint64_t)stride);
        }
    }
    return (byte_range){.lo = lo, .hi = hi + elem};
}

/* One view under two names: same elements at the same addresses. */
static bool same_view(const tg_param *p, const tg_interp_arg *x, const tg_param *q,
                      const tg_interp_arg *y) {
    const tg_type *s = p->type, *t = q->type;
    if (x->data != y->data || s->rank != t->rank || s->elem_bytes != t->elem_bytes ||
        tg_dtype_bits(s->dtype) != tg_dtype_bits(t->dtype)) {
        return false;
    }
    for (int a = 0; a < s->rank; a++) {
        if (x->extent[a] != y->extent[a] ||
            (x->extent[a] > 1 && x->stride_bytes[a] != y->stride_bytes[a])) {
            return false;
        }
    }
    return true;
}

static bool check_overlap(const tg_func *f, const tg_interp_arg *args, tg_sink *sink) {
    const unsigned writes = TG_PARAM_OUT | TG_PARAM_INOUT;
    bool ok = true;
    for (int p = 0; p < f->n_params; p++) {
        for (int q = p + 1; q < f->n_params; q++) {
            const tg_param *a = &f->params[p], *b = &f->params[q];
            if (a->type->kind != TG_TY_TENSOR || b->type->kind != TG_TY_TENSOR ||
                ((a->flags | b->flags) & writes) == 0 ||
                ((a->flags & b->flags & TG_PARAM_ALIAS) && same_view(a, &args[p], b, &args[q]))) {
                continue;
            }
            byte_range x = range_of(a, &args[p]), y = range_of(b, &args[q]);
            if (x.lo < y.hi && y.lo < x.hi) {
                tg_error(sink, TG_D_INTERP_ALIAS, b->span,
                         "the arguments %s and %s overlap in memory", a->name, b->name);
                ok = false;
            }
        }
    }
    return ok;
}

/* ---- data facts
 * ----------------------------------------------------------------------------------- */

typedef struct fact_check {
    const tg_param *param;
    const int64_t *syms;
    tg_iv_tensor t;
    tg_cell *seen; /* all elements, for `unique` */
    size_t n_seen;
    tg_sink *sink;
    bool ok;
} fact_check;

static void fact_fails(fact_check *c, const char *fact) {
    if (c->ok) {
        tg_error(c->sink, TG_D_INTERP_FACT, c->param->span, "the data of %s are not %s",
                 c->param->name, fact);
    }
    c->ok = false;
}

/* Present as the language compares: a < b. */
static bool below(tg_dtype t, tg_cell a, tg_cell b) { return tg_num_order(t, a, b) < 0; }

static bool in_range(const fact_check *c, tg_cell v) {
    int64_t lo = c->param->range_lo != NULL ? tg_dim_eval(c->param->range_lo, c->syms) : INT64_MIN;
    int64_t hi = c->param->range_hi != NULL ? tg_dim_eval(c->param->range_hi, c->syms) : INT64_MAX;
    if (tg_dtype_is_float(c->t.dtype)) {
        return v.f >= (double)lo && v.f < (double)hi;
    }
    if (c->t.dtype == TG_DT_U64 && v.i < 0) {
        return false;
    }
    return v.i >= lo && v.i < hi;
}

static void check_row(fact_check *c, const char *row) {
    int last = c->t.rank - 1;
    bool packed = tg_dtype_bits(c->t.dtype) == 4;
    int64_t n = c->t.rank == 0 ? 1 : c->t.extent[last];
    tg_cell before = {.i = 0};
    for (int64_t i = 0; i < n; i++) {
        const char *p = packed || c->t.rank == 0 ? row : row + i * c->t.stride[last];
        tg_cell v =
            tg_num_decode(NULL, c->t.dtype, tg_bits_load(p, c->t.dtype, packed ? (size_t)i : 0));
        if ((c->param->flags & TG_PARAM_SORTED) && i > 0 && below(c->t.dtype, v, before)) {
            fact_fails(c, "sorted");
        }
        if ((c->param->flags & TG_PARAM_RANGE) && !in_range(c, v)) {
            fact_fails(c, "in the range that the parameter declares");
        }
        if (c->seen != NULL) {
            c->seen[c->n_seen++] = v;
        }
        before = v;
    }
}

static void check_rows(fact_check *c, int axis, const char *at) {
    if (axis >= c->t.rank - 1) {
        check_row(c, at);
        return;
    }
    for (int64_t i = 0; i < c->t.extent[axis]; i++) {
        check_rows(c, axis + 1, at + i * c->t.stride[axis]);
    }
}

/* Bottom-up merge sort, then neighbours. */
static bool has_twins(tg_dtype t, tg_cell *x, tg_cell *tmp, size_t n) {
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * width) {
            size_t mid = lo + width < n ? lo + width : n, hi = mid + width < n ? mid + width : n;
            size_t i = lo, j = mid;
            for (size_t k = lo; k < hi; k++) {
                bool right = i == mid || (j < hi && below(t, x[j], x[i]));
                tmp[k] = right ? x[j++] : x[i++];
            }
        }
        memcpy(x, tmp, n * sizeof *x);
    }
    for (size_t k = 1; k < n; k++) {
        if (tg_num_order(t, x[k - 1], x[k]) == 0) {
            return true;
        }
    }
    return false;
}

static bool check_facts(const tg_param *p, const tg_interp_arg *arg, const int64_t *syms,
                        tg_arena *scratch, tg_sink *sink) {
    fact_check c = {.param = p, .syms = syms, .sink = sink, .ok = true};
    const tg_type *t = p->type;
    c.t = (tg_iv_tensor){.base = arg->data, .dtype = t->dtype};
    if (t->kind != TG_TY_TENSOR) {
        tg_cell v = tg_num_decode(NULL, t->dtype, arg->scalar);
        if ((p->flags & TG_PARAM_RANGE) && !in_range(&c, v)) {
            fact_fails(&c, "in the range that the parameter declares");
        }
        return c.ok;
    }
    size_t total = 1;
    c.t.rank = t->rank;
    for (int a = 0; a < t->rank; a++) {
        c.t.extent[a] = arg->extent[a];
        c.t.stride[a] = arg->stride_bytes[a];
        if (arg->extent[a] <= 0 || !tg_mul_size(total, (size_t)arg->extent[a], &total)) {
            return true;
        }
    }
    if (p->flags & TG_PARAM_UNIQUE) {
        c.seen = TG_NEW_ARRAY(scratch, tg_cell, total);
    }
    check_rows(&c, 0, c.t.base);
    if (c.seen != NULL &&
        has_twins(t->dtype, c.seen, TG_NEW_ARRAY(scratch, tg_cell, total), total)) {
        fact_fails(&c, "unique");
    }
    return c.ok;
}

bool tg_interp_check_args(const tg_func *f, const tg_interp_arg *args, const int64_t *syms,
                          bool facts, tg_arena *scratch, tg_sink *sink) {
    bool ok = true;
    for (int p = 0; p < f->n_params; p++) {
        const tg_param *param = &f->params[p];
        bool empty = param->type->kind != TG_TY_TENSOR;
        for (int a = 0; a < param->type->rank && !empty; a++) {
            empty = args[p].extent[a] <= 0;
        }
        if (!empty && args[p].data == NULL) {
            tg_error(sink, TG_D_INTERP_DIM, param->span, "the argument %s has no memory",
                     param->name);
            ok = false;
        }
    }
    ok = ok && check_overlap(f, args, sink);
    const unsigned any = TG_PARAM_SORTED | TG_PARAM_UNIQUE | TG_PARAM_RANGE;
    for (int p = 0; ok && facts && p < f->n_params; p++) {
        if ((f->params[p].flags & any) != 0 && f->params[p].type->dtype != TG_DT_RECORD) {
            ok = check_facts(&f->params[p], &args[p], syms, scratch, sink);
        }
    }
    return ok;
}
