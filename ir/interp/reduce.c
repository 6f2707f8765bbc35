/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluators of reduce and scan. Float sums and products are accumulated in double and rounded
 * once: their order is free, so the meaning is an error bound. Exact mode reports a sum that could
 * be rounded in some order.
 */
#include <float.h>
#include <math.h>

#include "ir/interp/internal.h"

/* One line along the axis, with its part of the mask. */
typedef struct line {
    const tg_cell *x;
    const tg_cell *mask; /* or NULL */
    int64_t n, stride, mask_stride;
} line;

/* The tile as outer x n x inner around the axis. */
typedef struct lines {
    const tg_cell *x, *mask;
    int64_t outer, n, inner;
    bool mask_is_line; /* rank 1, shared by all lines */
} lines;

static lines lines_of(const tg_interp *in, const tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    lines l = {.outer = 1, .inner = 1, .n = t->shape[axis]};
    l.x = tg_iv_cells(in, op, 0);
    l.mask = tg_iv_mask(in, op);
    for (int a = 0; a < t->rank; a++) {
        l.outer *= a < axis ? t->shape[a] : 1;
        l.inner *= a > axis ? t->shape[a] : 1;
    }
    l.mask_is_line = l.mask != NULL && tg_operand(op, op->n_operands - 1)->type->rank != t->rank;
    return l;
}

static line line_at(const lines *l, const tg_cell *x, int64_t o, int64_t i) {
    int64_t start = o * l->n * l->inner + i;
    line r = {.x = x + start, .n = l->n, .stride = l->inner};
    if (l->mask != NULL) {
        r.mask = l->mask_is_line ? l->mask : l->mask + start;
        r.mask_stride = l->mask_is_line ? 1 : l->inner;
    }
    return r;
}

static bool present(const line *l, int64_t k) {
    return l->mask == NULL || l->mask[k * l->mask_stride].i != 0;
}

/* Least or greatest value of the type; infinities where it has them. */
static tg_cell extreme(const tg_interp *in, tg_dtype t, bool greatest) {
    if (tg_dtype_is_float(t)) {
        double v = greatest ? (double)INFINITY : -(double)INFINITY;
        if (t == TG_DT_F8E8M0 && !greatest) {
            v = 0.0;
        }
        return tg_num_decode(in, t, tg_float_encode(t, v, TG_ROUND_RNE, false));
    }
    int bits = tg_dtype_bits(t);
    if (t == TG_DT_BOOL) {
        return (tg_cell){.i = greatest};
    }
    if (!tg_dtype_is_signed(t)) {
        return (tg_cell){.i = greatest ? (int64_t)(UINT64_MAX >> (64 - bits)) : 0};
    }
    uint64_t top = UINT64_C(1) << (bits - 1);
    return (tg_cell){.i = tg_int_decode(t, greatest ? top - 1 : top)};
}

/* ---- running combination ------------------------------------------------------------------------
 */

typedef struct running {
    const tg_interp *in;
    tg_reduce_kind kind;
    tg_dtype t;
    bool is_float, exact_wanted;
    tg_cell acc;
    tg_exactness sum;
    double odd; /* product of the odd parts of all factors */
} running;

static running running_make(const tg_interp *in, tg_reduce_kind kind, tg_dtype t) {
    running r = {.in = in, .kind = kind, .t = t, .is_float = tg_dtype_is_float(t), .odd = 1.0};
    r.exact_wanted = in->opt->mode == TG_INTERP_EXACT && r.is_float;
    tg_exactness_init(&r.sum);
    switch (kind) {
    case TG_RED_PROD:
        r.acc = r.is_float ? (tg_cell){.f = 1.0} : (tg_cell){.i = 1};
        break;
    case TG_RED_MIN:
        r.acc = extreme(in, t, true);
        break;
    case TG_RED_MAX:
        r.acc = extreme(in, t, false);
        break;
    case TG_RED_ALL:
        r.acc.i = 1;
        break;
    case TG_RED_SUM:
    case TG_RED_ANY:
    case TG_RED_ARGMIN:
    case TG_RED_ARGMAX:
    case TG_RED_COUNT:
    case TG_RED_USER:
        break; /* zero, integer and float */
    }
    return r;
}

static double odd_part(double v) {
    return v == 0.0 || !isfinite(v) ? 1.0 : fabs(v) / ldexp(1.0, tg_double_lsb(v));
}

static void running_add(running *r, tg_cell v) {
    if (!r->is_float) {
        r->acc.i = tg_num_wrap(r->t, (int64_t)((uint64_t)r->acc.i + (uint64_t)v.i));
        return;
    }
    r->acc.f += v.f;
    if (r->exact_wanted) {
        tg_exactness_add(&r->sum, v.f);
    }
}

static void running_multiply(running *r, tg_cell v) {
    if (!r->is_float) {
        r->acc.i = tg_num_wrap(r->t, (int64_t)((uint64_t)r->acc.i * (uint64_t)v.i));
        return;
    }
    r->acc.f *= v.f;
    if (r->exact_wanted) {
        r->odd *= odd_part(v.f);
    }
}

static void running_take(running *r, tg_cell v) {
    switch (r->kind) {
    case TG_RED_SUM:
        running_add(r, v);
        break;
    case TG_RED_PROD:
        running_multiply(r, v);
        break;
    case TG_RED_MIN:
    case TG_RED_MAX:
        if (r->is_float) {
            r->acc.f =
                r->kind == TG_RED_MIN ? tg_num_min(r->acc.f, v.f) : tg_num_max(r->acc.f, v.f);
        } else if ((tg_num_order(r->t, v, r->acc) > 0) == (r->kind == TG_RED_MAX)) {
            r->acc = v;
        }
        break;
    case TG_RED_ANY:
        r->acc.i |= v.i != 0;
        break;
    case TG_RED_ALL:
        r->acc.i &= v.i != 0;
        break;
    case TG_RED_COUNT:
        r->acc.i += v.i != 0;
        break;
    case TG_RED_ARGMIN:
    case TG_RED_ARGMAX:
    case TG_RED_USER:
        break;
    }
}

static tg_cell running_value(const running *r) {
    if (r->is_float && (r->kind == TG_RED_SUM || r->kind == TG_RED_PROD)) {
        return (tg_cell){.f = tg_num_round(r->in, r->t, r->acc.f)};
    }
    return r->acc;
}

static bool running_exact(const running *r) {
    int digits = r->t == TG_DT_F64 ? DBL_MANT_DIG : FLT_MANT_DIG;
    return !r->exact_wanted || (tg_exactness_holds(&r->sum, r->t) && r->odd <= ldexp(1.0, digits));
}

/* ---- reduce -----------------------------------------------------------------------------------
 */

/* Does v take the place of best (an earlier element)? The first NaN stays. */
static bool beats(tg_dtype t, tg_cell v, tg_cell best, bool greatest) {
    if (tg_dtype_is_float(t)) {
        if (isnan(v.f) || isnan(best.f)) {
            return isnan(v.f) && !isnan(best.f);
        }
        return greatest ? v.f > best.f : v.f < best.f;
    }
    int order = tg_num_order(t, v, best);
    return greatest ? order > 0 : order < 0;
}

static int64_t arg_of(const line *l, tg_dtype t, bool greatest) {
    int64_t best = -1;
    for (int64_t k = 0; k < l->n; k++) {
        if (present(l, k) &&
            (best < 0 || beats(t, l->x[k * l->stride], l->x[best * l->stride], greatest))) {
            best = k;
        }
    }
    return best;
}

static tg_cell reduce_line(tg_interp *in, tg_op *op, const line *l, tg_reduce_kind kind,
                           tg_dtype t) {
    if (kind == TG_RED_ARGMIN || kind == TG_RED_ARGMAX) {
        return (tg_cell){.i = arg_of(l, t, kind == TG_RED_ARGMAX)};
    }
    running r = running_make(in, kind, t);
    for (int64_t k = 0; k < l->n; k++) {
        if (present(l, k)) {
            running_take(&r, l->x[k * l->stride]);
        }
    }
    if (!running_exact(&r)) {
        tg_interp_inexact(in, op, "some order of the elements rounds");
    }
    return running_value(&r);
}

/* kind user: folds the region over one line; operands are x... (n), init... (n). */
static bool fold_line(tg_interp *in, tg_op *op, const lines *l, int64_t o, int64_t i,
                      tg_cell *acc) {
    tg_region *body = op->regions[0];
    int n = op->n_results;
    tg_cell x[TG_MAX_RANK * 2];
    line first = line_at(l, l->x, o, i);
    tg_stack_mark mark = tg_stack_get_mark(&in->stack);
    for (int r = 0; r < n; r++) {
        acc[r] = tg_iv_cells(in, op, n + r)[0];
    }
    for (int64_t k = 0; k < l->n; k++) {
        if (!present(&first, k)) {
            continue;
        }
        for (int r = 0; r < n; r++) {
            x[r] = line_at(l, tg_iv_cells(in, op, r), o, i).x[k * l->inner];
            tg_iv_set(in, body->args[r], &acc[r]);
            tg_iv_set(in, body->args[n + r], &x[r]);
        }
        tg_op *yield = tg_interp_region(in, body);
        if (yield == NULL) {
            return false;
        }
        tg_cell fresh[TG_MAX_RANK * 2];
        for (int r = 0; r < n; r++) {
            fresh[r] = tg_iv_cells(in, yield, r)[0];
        }
        for (int r = 0; r < n; r++) {
            acc[r] = fresh[r];
        }
        tg_stack_release(&in->stack, mark);
    }
    return true;
}

static void reduce_user(tg_interp *in, tg_op *op, const lines *l) {
    tg_cell acc[TG_MAX_RANK * 2], *results[TG_MAX_RANK * 2];
    if (op->n_results > (int)TG_COUNT_OF(acc)) {
        tg_interp_fatal(in, op, TG_D_INTERP, "a reduction folds more than %d values at once",
                        (int)TG_COUNT_OF(acc));
        return;
    }
    for (int r = 0; r < op->n_results; r++) {
        results[r] = tg_iv_result(in, op, r);
    }
    for (int64_t o = 0; o < l->outer; o++) {
        for (int64_t i = 0; i < l->inner; i++) {
            if (!fold_line(in, op, l, o, i, acc)) {
                return;
            }
            for (int r = 0; r < op->n_results; r++) {
                results[r][o * l->inner + i] = acc[r];
            }
        }
    }
}

void tg_eval_REDUCE(tg_interp *in, tg_op *op) {
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    lines l = lines_of(in, op);
    tg_interp_step(in, op, tg_type_count(tg_operand(op, 0)->type));
    if (kind == TG_RED_USER) {
        reduce_user(in, op, &l);
        return;
    }
    tg_dtype t = tg_operand(op, 0)->type->dtype;
    tg_cell *r = tg_iv_result(in, op, 0);
    for (int64_t o = 0; o < l.outer; o++) {
        for (int64_t i = 0; i < l.inner; i++) {
            line one = line_at(&l, l.x, o, i);
            r[o * l.inner + i] = reduce_line(in, op, &one, kind, t);
        }
    }
}

/* ---- scan -------------------------------------------------------------------------------------
 */

static void scan_line(tg_interp *in, tg_op *op, const line *l, tg_cell *r, bool exclusive) {
    running run = running_make(in, (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0),
                               tg_operand(op, 0)->type->dtype);
    for (int64_t k = 0; k < l->n; k++) {
        if (exclusive) {
            r[k * l->stride] = running_value(&run);
        }
        if (present(l, k)) {
            running_take(&run, l->x[k * l->stride]);
        }
        if (!exclusive) {
            r[k * l->stride] = running_value(&run);
        }
    }
    if (!running_exact(&run)) {
        tg_interp_inexact(in, op, "some order of the elements rounds");
    }
}

void tg_eval_SCAN(tg_interp *in, tg_op *op) {
    lines l = lines_of(in, op);
    tg_cell *r = tg_iv_result(in, op, 0);
    bool exclusive = tg_attr_int(op, TG_ATTR_EXCL, 0) != 0;
    for (int64_t o = 0; o < l.outer; o++) {
        for (int64_t i = 0; i < l.inner; i++) {
            line one = line_at(&l, l.x, o, i);
            scan_line(in, op, &one, r + o * l.n * l.inner + i, exclusive);
        }
    }
}
