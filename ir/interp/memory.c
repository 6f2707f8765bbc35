/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluators of the memory group. Every index becomes an array of positions (-1 where it is absent)
 * with one stride per result axis, then one walk over the result's elements serves loads, stores
 * and atomics. An address is formed only from positions inside the extents.
 */
#include <math.h>
#include <string.h>

#include "ir/interp/internal.h"

/* One tensor axis: position of the element at result coordinates c = at[sum c[a] * stride[a]]. */
typedef struct axis_index {
    const int64_t *at;
    int64_t stride[TG_MAX_RANK];
} axis_index;

typedef struct access {
    tg_interp *in;
    tg_op *op;
    const tg_iv_tensor *tensor;
    int rank; /* of the result or the stored value */
    int64_t shape[TG_MAX_RANK];
    axis_index axis[TG_MAX_RANK]; /* by tensor axis */
    const tg_cell *mask;          /* or NULL */
    bool watched;
    bool stored_nan;
    tg_access kind;
} access;

/* ---- indices ----------------------------------------------------------------------------------
 */

static const int64_t *span_positions(tg_interp *in, const tg_cell *span, int64_t n) {
    int64_t *at = tg_stack_alloc(&in->stack, (size_t)n * sizeof *at);
    for (int64_t t = 0; t < n; t++) {
        int64_t p = -1;
        at[t] = tg_add_i64(span[0].i, t, &p) && p < span[1].i ? p : -1;
    }
    return at;
}

static void prepare_axis(access *a, int axis, const tg_value *index, const int64_t *result_axes) {
    const tg_cell *c = tg_iv_get(a->in, index);
    axis_index *x = &a->axis[axis];
    memset(x, 0, sizeof *x);
    if (index->type->kind == TG_TY_SPAN) {
        x->at = span_positions(a->in, c, index->type->shape[0]);
        x->stride[result_axes[0]] = 1;
        return;
    }
    x->at = &c->i; /* cells are int64 here, one after the other */
    int64_t stride = 1;
    for (int d = index->type->rank - 1; d >= 0; d--) {
        x->stride[result_axes[d]] += index->type->shape[d] == 1 ? 0 : stride;
        stride *= index->type->shape[d];
    }
}

/* value_type: of the loaded result or the stored value. */
static void prepare(access *a, tg_interp *in, tg_op *op, int first_index, const tg_type *value_type,
                    tg_access kind) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    size_t next = 0;
    *a = (access){.in = in, .op = op, .kind = kind, .rank = value_type->rank};
    a->tensor = tg_iv_get(in, tg_operand(op, 0));
    a->mask = tg_iv_mask(in, op);
    a->watched = tg_shadow_watches(in->shadow, a->tensor->param);
    memcpy(a->shape, value_type->shape, sizeof a->shape);
    for (int k = 0; k < a->tensor->rank; k++) {
        const tg_value *index = tg_operand(op, first_index + k);
        prepare_axis(a, k, index, axes != NULL ? axes->list + next : NULL);
        next += index->type->kind == TG_TY_SPAN ? 1 : index->type->rank;
    }
}

/* ---- elements ---------------------------------------------------------------------------------
 */

/* Address of the element at offsets[axis] into the position arrays; NULL when absent. */
static char *locate(const access *a, const int64_t *offsets, int64_t *out_packed) {
    const tg_iv_tensor *t = a->tensor;
    bool packed = tg_dtype_bits(t->dtype) == 4;
    char *p = t->base;
    *out_packed = 0;
    for (int k = 0; k < t->rank; k++) {
        int64_t i = a->axis[k].at[offsets[k]];
        if (i < 0 || i >= t->extent[k]) {
            return NULL;
        }
        if (packed && k == t->rank - 1) {
            *out_packed = i;
        } else {
            p += i * t->stride[k];
        }
    }
    return p;
}

static void report_race(access *a, tg_race race, int64_t other) {
    const char *name = a->in->func->params[a->tensor->param].name;
    char who[40] = "several programs";
    if (other >= 0) {
        tg_sb sb;
        tg_sb_init(&sb, a->in->arena);
        tg_sb_addf(&sb, "program %lld", (long long)other);
        memcpy(who, sb.data, sb.len < sizeof who ? sb.len + 1 : sizeof who);
    }
    switch (race) {
    case TG_RACE_NONE:
        break;
    case TG_RACE_WRITES:
        tg_interp_error(a->in, a->op, TG_D_INTERP_RACE, "an element of %s is also written by %s",
                        name, who);
        break;
    case TG_RACE_READ:
        tg_interp_error(a->in, a->op, TG_D_INTERP_RACE,
                        a->kind == TG_ACCESS_READ ? "reads an element of %s that %s writes"
                                                  : "writes an element of %s that %s reads",
                        name, who);
        break;
    case TG_RACE_TWICE:
        tg_interp_error(a->in, a->op, TG_D_INTERP_TWICE,
                        "this store writes an element of %s more than once", name);
        break;
    }
}

static void watch(access *a, const char *p, int64_t packed) {
    int64_t other = -1;
    const char *at = p + packed / 2;
    tg_race race = tg_shadow_touch(a->in->shadow, a->tensor, at, packed % 2 != 0, a->kind,
                                   a->in->program, a->in->store_id, &other);
    if (race != TG_RACE_NONE) {
        report_race(a, race, other);
    }
}

typedef void visit_fn(access *a, void *user, int64_t element, char *p, int64_t packed);

/* Calls visit for every element in row-major order; p NULL where absent or masked off. */
static void walk(access *a, int axis, int64_t element, const int64_t *offsets, visit_fn *visit,
                 void *user) {
    if (axis == a->rank) {
        int64_t packed = 0;
        char *p = a->mask != NULL && !a->mask[element].i ? NULL : locate(a, offsets, &packed);
        if (p != NULL && a->watched) {
            watch(a, p, packed);
        }
        visit(a, user, element, p, packed);
        return;
    }
    int64_t here[TG_MAX_RANK];
    memcpy(here, offsets, sizeof here);
    int64_t inner = 1;
    for (int d = axis + 1; d < a->rank; d++) {
        inner *= a->shape[d];
    }
    for (int64_t i = 0; i < a->shape[axis]; i++) {
        walk(a, axis + 1, element + i * inner, here, visit, user);
        for (int k = 0; k < a->tensor->rank; k++) {
            here[k] += a->axis[k].stride[axis];
        }
    }
}

static void walk_all(access *a, visit_fn *visit, void *user) {
    int64_t offsets[TG_MAX_RANK] = {0};
    walk(a, 0, 0, offsets, visit, user);
}

/* ---- load -------------------------------------------------------------------------------------
 */

/* What an absent element of a tile may hold: nobody may see it. */
static tg_cell absent(access *a, int64_t element) {
    tg_dtype t = a->tensor->dtype;
    tg_cell c = tg_num_zero(t);
    if (a->in->opt->absent_seed == 0 || a->rank == 0) {
        return c;
    }
    if (tg_dtype_is_float(t)) {
        c.f = (double)NAN;
        return c;
    }
    uint64_t z = (a->in->opt->absent_seed + (uint64_t)element) * UINT64_C(0x9e3779b97f4a7c15);
    c.i = t == TG_DT_BOOL ? (int64_t)(z >> 63) : tg_int_decode(t, z >> 20);
    return c;
}

static void visit_load(access *a, void *user, int64_t element, char *p, int64_t packed) {
    tg_cell *r = user;
    if (p == NULL) {
        r[element] = absent(a, element);
    } else {
        r[element] = tg_num_load(a->in, a->tensor, p, packed);
    }
}

/*
 * The common load: nothing watched or masked, only the last tensor axis moves along the last result
 * axis. One bounds check of the other axes per row.
 */
static bool plain_rows(const access *a) {
    if (a->watched || a->mask != NULL || a->rank == 0 || a->in->opt->absent_seed != 0 ||
        tg_dtype_bits(a->tensor->dtype) < 8) {
        return false;
    }
    for (int k = 0; k + 1 < a->tensor->rank; k++) {
        if (a->axis[k].stride[a->rank - 1] != 0) {
            return false;
        }
    }
    return a->tensor->rank > 0;
}

static void load_row(const access *a, tg_cell *r, const int64_t *offsets) {
    const tg_iv_tensor *t = a->tensor;
    int last = t->rank - 1;
    int64_t n = a->shape[a->rank - 1], step = a->axis[last].stride[a->rank - 1];
    const char *p = t->base;
    for (int k = 0; k < last; k++) {
        int64_t i = a->axis[k].at[offsets[k]];
        if (i < 0 || i >= t->extent[k]) {
            for (int64_t j = 0; j < n; j++) {
                r[j] = tg_num_zero(t->dtype);
            }
            return;
        }
        p += i * t->stride[k];
    }
    const int64_t *at = a->axis[last].at + offsets[last];
    int64_t extent = t->extent[last], stride = t->stride[last];
    for (int64_t j = 0; j < n; j++) {
        int64_t i = at[j * step];
        if (i < 0 || i >= extent) {
            r[j] = tg_num_zero(t->dtype);
        } else {
            r[j] = tg_num_load(a->in, t, p + i * stride, 0);
        }
    }
}

static tg_cell *load_rows(const access *a, int axis, tg_cell *r, const int64_t *offsets) {
    if (axis == a->rank - 1) {
        load_row(a, r, offsets);
        return r + a->shape[axis];
    }
    int64_t here[TG_MAX_RANK];
    memcpy(here, offsets, sizeof here);
    for (int64_t i = 0; i < a->shape[axis]; i++) {
        r = load_rows(a, axis + 1, r, here);
        for (int k = 0; k < a->tensor->rank; k++) {
            here[k] += a->axis[k].stride[axis];
        }
    }
    return r;
}

void tg_eval_LOAD(tg_interp *in, tg_op *op) {
    access a;
    tg_cell *r = tg_iv_result(in, op, 0);
    prepare(&a, in, op, 1, op->results[0].type, TG_ACCESS_READ);
    if (plain_rows(&a)) {
        int64_t offsets[TG_MAX_RANK] = {0};
        (void)load_rows(&a, 0, r, offsets);
    } else {
        walk_all(&a, visit_load, r);
    }
}

/* ---- store ------------------------------------------------------------------------------------
 */

static void visit_store(access *a, void *user, int64_t element, char *p, int64_t packed) {
    const tg_cell *v = user;
    if (p != NULL) {
        tg_num_store(a->tensor, p, packed, v[element]);
        a->stored_nan |= tg_num_is_nan(a->tensor->dtype, v[element]);
    }
}

void tg_eval_STORE(tg_interp *in, tg_op *op) {
    access a;
    const tg_cell *v = tg_iv_cells(in, op, 1);
    in->store_id++;
    prepare(&a, in, op, 2, tg_operand(op, 1)->type, TG_ACCESS_WRITE);
    tg_interp_step(in, op, tg_type_count(tg_operand(op, 1)->type));
    walk_all(&a, visit_store, (void *)(uintptr_t)v);
    if (a.stored_nan && in->births.count > 0) {
        tg_interp_tell_births(in);
    }
}

/* ---- atomic -----------------------------------------------------------------------------------
 */

typedef struct atomic_state {
    tg_atomic_kind kind;
    const tg_cell *value, *expected;
    tg_cell *old;
} atomic_state;

static tg_cell atomic_add(const tg_interp *in, tg_dtype t, tg_cell x, tg_cell y) {
    if (!tg_dtype_is_float(t)) {
        return (tg_cell){.i = tg_num_wrap(t, (int64_t)((uint64_t)x.i + (uint64_t)y.i))};
    }
    return (tg_cell){.f = tg_num_round(in, t, x.f + y.f)};
}

static tg_cell atomic_extreme(tg_dtype t, tg_cell x, tg_cell y, bool greatest) {
    if (tg_dtype_is_float(t)) {
        return (tg_cell){.f = greatest ? tg_num_max(x.f, y.f) : tg_num_min(x.f, y.f)};
    }
    return (tg_num_order(t, x, y) > 0) == greatest ? x : y;
}

static void visit_atomic(access *a, void *user, int64_t element, char *p, int64_t packed) {
    const atomic_state *s = user;
    tg_dtype t = a->tensor->dtype;
    if (p == NULL) {
        s->old[element].i = 0;
        return;
    }
    tg_cell old = tg_num_load(a->in, a->tensor, p, packed), v = s->value[element], fresh = old;
    switch (s->kind) {
    case TG_ATOMIC_ADD:
        fresh = atomic_add(a->in, t, old, v);
        break;
    case TG_ATOMIC_MIN:
        fresh = atomic_extreme(t, old, v, false);
        break;
    case TG_ATOMIC_MAX:
        fresh = atomic_extreme(t, old, v, true);
        break;
    case TG_ATOMIC_CAS:
        fresh = tg_num_encode(t, old) == tg_num_encode(t, s->expected[element]) ? v : old;
        break;
    }
    tg_num_store(a->tensor, p, packed, fresh);
    a->stored_nan |= tg_num_is_nan(t, fresh);
    s->old[element] = old;
}

void tg_eval_ATOMIC(tg_interp *in, tg_op *op) {
    access a;
    atomic_state s = {.kind = (tg_atomic_kind)tg_attr_int(op, TG_ATTR_ATOMIC, 0)};
    bool cas = s.kind == TG_ATOMIC_CAS;
    s.value = tg_iv_cells(in, op, 1);
    s.expected = cas ? tg_iv_cells(in, op, 2) : NULL;
    s.old = tg_iv_result(in, op, 0);
    in->store_id++;
    prepare(&a, in, op, cas ? 3 : 2, tg_operand(op, 1)->type, TG_ACCESS_ATOMIC);
    walk_all(&a, visit_atomic, &s);
    if (a.stored_nan && in->births.count > 0) {
        tg_interp_tell_births(in);
    }
}

/* ---- view -------------------------------------------------------------------------------------
 */

void tg_eval_VIEW(tg_interp *in, tg_op *op) {
    const tg_iv_tensor *from = tg_iv_get(in, tg_operand(op, 0));
    const tg_type *to = op->results[0].type;
    const tg_attr *strides = tg_attr_get(op, TG_ATTR_STRIDES);
    tg_iv_tensor *v = tg_stack_alloc(&in->stack, sizeof *v);
    *v = *from;
    v->base = from->base == NULL ? NULL : from->base + tg_attr_int(op, TG_ATTR_BYTES, 0);
    v->dtype = to->dtype;
    v->rank = to->rank;
    for (int k = from->rank; k < to->rank; k++) {
        size_t extra = (size_t)(k - from->rank);
        v->extent[k] = tg_dim_eval(to->dims[k], in->syms);
        v->stride[k] = strides != NULL && extra < strides->n_list ? strides->list[extra] : 0;
    }
    tg_iv_set(in, &op->results[0], v);
}
