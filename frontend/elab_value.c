/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the elaborator: constructors, description in words, constants becoming runtime scalars.
 */
#include "frontend/value.h"
#include "ir/fold.h"

#include <math.h>
#include <string.h>

const tg_val tg_val_error = {.kind = TG_VAL_ERROR};
const tg_val tg_val_void = {.kind = TG_VAL_VOID};

tg_val *tg_el_new(tg_elab *e, tg_val_kind kind, tg_span where) {
    tg_val *v = TG_NEW(e->a, tg_val);
    v->kind = kind;
    v->where = where;
    return v;
}

const tg_val *tg_el_int(tg_elab *e, int64_t i, tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_INT, where);
    v->i = i;
    return v;
}

const tg_val *tg_el_float(tg_elab *e, double f, tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_FLOAT, where);
    v->f = f;
    return v;
}

const tg_val *tg_el_bool(tg_elab *e, bool b, tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_BOOL, where);
    v->i = b;
    return v;
}

tg_val *tg_el_tile(tg_elab *e, tg_value *ir, tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_TILE, where);
    v->ir = ir;
    return v;
}

tg_val *tg_el_copy(tg_elab *e, const tg_val *v) {
    tg_val *c = TG_NEW(e->a, tg_val);
    *c = *v;
    return c;
}

const tg_val *tg_el_tuple(tg_elab *e, int n, const tg_val *const *items, const char *const *names,
                          tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_TUPLE, where);
    const tg_val **copy = TG_NEW_ARRAY(e->a, const tg_val *, n > 0 ? n : 1);
    for (int i = 0; i < n; i++) {
        if (tg_el_is_error(items[i])) {
            return &tg_val_error;
        }
        copy[i] = items[i];
    }
    v->items = copy;
    v->names = names;
    v->n = n;
    return v;
}

bool tg_el_fits(tg_elab *e, int rank, const int64_t *shape, tg_span where) {
    int64_t total = 1;
    bool ok = rank <= TG_MAX_RANK;
    for (int i = 0; i < rank && ok; i++) {
        ok = shape[i] >= 1 && shape[i] <= ((int64_t)1 << 24) &&
             tg_mul_i64(total, shape[i], &total) && total <= ((int64_t)1 << 31);
    }
    if (!ok) {
        tg_el_error(e, TG_D_TOO_LARGE, where, "a tile of this shape is too large: work in blocks");
    }
    return ok;
}

bool tg_el_is_error(const tg_val *v) { return v->kind == TG_VAL_ERROR; }

bool tg_el_is_const(const tg_val *v) {
    return v->kind == TG_VAL_INT || v->kind == TG_VAL_FLOAT || v->kind == TG_VAL_BOOL;
}

int tg_el_rank(const tg_val *v) { return v->kind == TG_VAL_TILE ? v->ir->type->rank : 0; }

int64_t tg_el_extent(const tg_val *v, int axis) { return v->ir->type->shape[axis]; }

tg_dtype tg_el_dtype(const tg_val *v) {
    return v->kind == TG_VAL_TILE   ? v->ir->type->dtype
           : v->kind == TG_VAL_BOOL ? TG_DT_BOOL
                                    : TG_DT_NONE;
}

static void describe_tile(tg_sb *sb, const tg_type *t) {
    tg_sb_add(sb, tg_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++) {
        tg_sb_addf(sb, "%s%lld", i == 0 ? "[" : ", ", (long long)t->shape[i]);
    }
    tg_sb_add(sb, t->rank > 0 ? "]" : "");
}

const char *tg_el_describe(tg_elab *e, const tg_val *v) {
    tg_sb sb;
    tg_sb_init(&sb, e->a);
    switch (v->kind) {
    case TG_VAL_TILE:
        describe_tile(&sb, v->ir->type);
        return sb.data;
    case TG_VAL_REF:
        tg_sb_add(&sb, v->ref->record != NULL ? "a record" : "a tensor");
        return sb.data;
    case TG_VAL_INT:
    case TG_VAL_DIM:
        return "an integer";
    case TG_VAL_FLOAT:
        return "a number";
    case TG_VAL_BOOL:
        return "a bool";
    case TG_VAL_STRING:
        return "a text";
    case TG_VAL_TYPE:
        return "a type";
    case TG_VAL_FN:
        return "a function";
    case TG_VAL_TUPLE:
        tg_sb_addf(&sb, "%d values", v->n);
        return sb.data;
    case TG_VAL_SPAN:
        return "a span";
    case TG_VAL_VOID:
        return "no value";
    case TG_VAL_ERROR:
        break;
    }
    return "an error";
}

tg_diag *tg_el_error(tg_elab *e, tg_diag_id id, tg_span where, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_sb sb;
    tg_sb_init(&sb, e->a);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    e->errors++;
    return tg_error(e->sink, id, where, "%s", sb.data);
}

const char *tg_el_text(tg_elab *e, const tg_expr *x) {
    tg_sb sb;
    tg_sb_init(&sb, e->a);
    tg_expr_text(x, &sb);
    return sb.data;
}

void tg_el_erase(tg_op *op) {
    for (int r = 0; r < op->n_regions; r++) {
        while (op->regions[r] != NULL && op->regions[r]->last != NULL) {
            tg_el_erase(op->regions[r]->last);
        }
    }
    tg_op_erase(op);
}

/* ---- conversions ---------------------------------------------------------------------------- */

const tg_val *tg_el_rvalue(tg_elab *e, const tg_val *v) {
    switch (v->kind) {
    case TG_VAL_SPAN:
        return tg_el_positions(e, v->span, v->where);
    case TG_VAL_REF:
        if (!v->ref->indexed && v->ref->rank > 0) {
            tg_diag *d =
                tg_el_error(e, TG_D_NOT_A_VALUE, v->where, "a tensor is not a value: index it");
            tg_note_add(e->sink, d, v->where, "`[:, i]` reads a block; every axis needs an index");
            return &tg_val_error;
        }
        return tg_el_load(e, v->ref, v->where);
    case TG_VAL_DIM:
        return tg_el_dim_value(e, v->sym, v->where);
    case TG_VAL_STRING:
    case TG_VAL_TYPE:
    case TG_VAL_FN:
    case TG_VAL_VOID:
        if (v->kind == TG_VAL_VOID) {
            tg_el_error(e, TG_D_NOT_A_VALUE, v->where, "this function returns nothing");
            return &tg_val_error;
        }
        tg_el_error(e, TG_D_NOT_A_VALUE, v->where, "%s is not a value", tg_el_describe(e, v));
        return &tg_val_error;
    case TG_VAL_ERROR:
    case TG_VAL_INT:
    case TG_VAL_FLOAT:
    case TG_VAL_BOOL:
    case TG_VAL_TUPLE:
    case TG_VAL_TILE:
        break;
    }
    return v;
}

static const tg_val *scalar_const(tg_elab *e, tg_dtype t, const tg_val *v) {
    const tg_type *type = tg_type_scalar(e->m, t);
    bool f = tg_dtype_is_float(t);
    tg_val *r =
        tg_el_tile(e,
                   f ? tg_build_float(&e->b, type, v->kind == TG_VAL_FLOAT ? v->f : (double)v->i)
                     : tg_build_int(&e->b, type, v->i),
                   v->where);
    if (v->kind == TG_VAL_INT && !f) {
        r->sym = tg_sy_int(e, v->i);
    }
    return r;
}

const tg_val *tg_el_adapt(tg_elab *e, const tg_val *v, tg_dtype t) {
    if (v->kind == TG_VAL_BOOL && t != TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, v->where, "a bool where %s is needed", tg_dtype_name(t));
        return NULL;
    }
    if (t == TG_DT_BOOL && v->kind != TG_VAL_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, v->where, "%s where a bool is needed",
                    tg_el_describe(e, v));
        return NULL;
    }
    if (v->kind == TG_VAL_FLOAT && !tg_dtype_is_float(t)) {
        tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, v->where, "a fraction does not fit %s",
                                 tg_dtype_name(t));
        tg_note_add(e->sink, d, v->where,
                    "convert the other side first, for instance with `as f32`");
        return NULL;
    }
    if (v->kind == TG_VAL_INT && !tg_dtype_is_float(t) && tg_fold_wrap(t, v->i) != v->i &&
        !(t == TG_DT_U64 && v->i < 0)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, v->where, "%lld does not fit %s", (long long)v->i,
                    tg_dtype_name(t));
        return NULL;
    }
    return scalar_const(e, t, v);
}

const tg_val *tg_el_runtime(tg_elab *e, const tg_val *v) {
    v = tg_el_rvalue(e, v);
    if (v->kind == TG_VAL_INT) {
        return scalar_const(e, TG_DT_I64, v);
    }
    if (v->kind == TG_VAL_FLOAT) {
        return scalar_const(e, TG_DT_F32, v);
    }
    return v->kind == TG_VAL_BOOL ? scalar_const(e, TG_DT_BOOL, v) : v;
}
