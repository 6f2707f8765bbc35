/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions: the walk over the syntax tree that evaluates, checks and lowers. */
#include "frontend/value.h"

#include <string.h>

/* Deeper nesting than any program needs; keeps the C stack safe. */
#define MAX_EXPR_DEPTH 300
/* Expressions one kernel may evaluate: stops inlining that never ends in practice. */
#define MAX_STEPS 4000000

/* ---- names ---------------------------------------------------------------------------------- */

void tg_el_push(tg_elab *e) {
    tg_scope *s = TG_NEW(e->a, tg_scope);
    s->up = e->scope;
    e->scope = s;
}

void tg_el_pop(tg_elab *e) { e->scope = e->scope->up; }

tg_slot *tg_el_bind(tg_elab *e, const char *name, const tg_val *v, bool is_var, tg_span where) {
    tg_slot *s = TG_NEW(e->a, tg_slot);
    s->name = name;
    s->val = v;
    s->is_var = is_var;
    s->where = where;
    s->next = e->scope->first;
    e->scope->first = s;
    return s;
}

tg_slot *tg_el_lookup(tg_elab *e, const char *name) {
    for (tg_scope *s = e->scope; s != NULL; s = s->up) {
        for (tg_slot *v = s->first; v != NULL; v = v->next) {
            if (v->name == name || strcmp(v->name, name) == 0) {
                return v;
            }
        }
    }
    return NULL;
}

static const tg_val *type_val(tg_elab *e, tg_dtype t, const tg_record *r, tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_TYPE, where);
    v->dtype = t;
    v->record = r;
    return v;
}

/* `0 as u32`: a constant with a type. */
static bool is_constant_tile(const tg_val *v) {
    int64_t i;
    double f;
    return v->kind == TG_VAL_TILE && tg_el_rank(v) == 0 &&
           (tg_value_const_int(v->ir, &i) || tg_value_const_float(v->ir, &f));
}

/* Value of a declaration that is named in an expression. */
static const tg_val *decl_value(tg_elab *e, tg_decl *d, tg_span where) {
    if (d->kind == TG_DECL_FN) {
        tg_val *v = tg_el_new(e, TG_VAL_FN, where);
        v->decl = d;
        return v;
    }
    if (d->kind == TG_DECL_CONST) {
        const tg_file *file = e->file;
        tg_scope *scope = e->scope;
        if (e->fn_depth > 64) {
            tg_el_error(e, TG_D_RECURSION, where, "`%s` is defined by itself", d->name.name);
            return &tg_val_error;
        }
        e->fn_depth++;
        e->file = d->file;
        e->scope = NULL;
        tg_el_push(e);
        const tg_val *v = tg_el_value(e, d->u.constant.value);
        if (!tg_el_is_const(v) && v->kind != TG_VAL_TUPLE && !tg_el_is_error(v) &&
            !is_constant_tile(v)) {
            tg_el_error(e, TG_D_NOT_CONSTANT, d->u.constant.value->span,
                        "a constant is one value that is known at compile time");
            v = &tg_val_error;
        }
        tg_dtype t;
        const tg_record *r;
        if (d->u.constant.has_type && !tg_el_is_error(v)) {
            v = tg_el_type(e, &d->u.constant.type, &t, &r)
                    ? (tg_el_is_const(v) ? tg_el_adapt(e, v, t) : v)
                    : &tg_val_error;
            v = v == NULL ? &tg_val_error : v;
        }
        e->scope = scope;
        e->file = file;
        e->fn_depth--;
        return v;
    }
    if (d->kind == TG_DECL_RECORD && tg_el_record_params(d) == 0) {
        const tg_expr_list none = {NULL, 0};
        const tg_record *r = tg_el_record(e, d, &none, where);
        return r == NULL ? &tg_val_error : type_val(e, TG_DT_RECORD, r, where);
    }
    tg_el_error(e, TG_D_NOT_A_VALUE, where, "`%s` cannot stand in an expression", d->name.name);
    return &tg_val_error;
}

const tg_val *tg_el_global(tg_elab *e, tg_ident name) {
    tg_dtype t;
    if (tg_dtype_from_name(name.name, strlen(name.name), &t) && t != TG_DT_NONE &&
        t != TG_DT_RECORD) {
        return type_val(e, t, NULL, name.span);
    }
    tg_decl *d = tg_program_find(e->p, e->file, name.name);
    return d == NULL || d->broken ? (d == NULL ? NULL : &tg_val_error)
                                  : decl_value(e, d, name.span);
}

/* The name in scope that is nearest to a mistyped one, or NULL. */
static const char *nearest(tg_elab *e, const char *name) {
    size_t n = strlen(name);
    for (tg_scope *s = e->scope; s != NULL; s = s->up) {
        for (tg_slot *v = s->first; v != NULL; v = v->next) {
            size_t m = strlen(v->name), same = 0;
            while (same < n && same < m && name[same] == v->name[same]) {
                same++;
            }
            size_t tail = 0;
            while (tail < n - same && tail < m - same &&
                   name[n - 1 - tail] == v->name[m - 1 - tail]) {
                tail++;
            }
            if (n > 2 && same + tail + 1 >= (n > m ? n : m)) {
                return v->name;
            }
        }
    }
    return NULL;
}

static const tg_val *name_expr(tg_elab *e, tg_ident name, tg_span where) {
    const tg_slot *s = tg_el_lookup(e, name.name);
    const tg_val *v = s != NULL ? s->val : tg_el_global(e, name);
    if (v == NULL) {
        tg_diag *d = tg_el_error(e, TG_D_UNKNOWN_NAME, where, "`%s` is not known here", name.name);
        const char *near = nearest(e, name.name);
        if (near != NULL) {
            tg_note_fix(e->sink, d, where, near, "did you mean `%s`?", near);
        }
        return &tg_val_error;
    }
    if (v->kind == TG_VAL_ERROR) {
        return v;
    }
    tg_val *c = tg_el_copy(e, v);
    c->where = where;
    return c;
}

/* ---- types ---------------------------------------------------------------------------------- */

bool tg_el_type(tg_elab *e, const tg_type_expr *t, tg_dtype *dtype, const tg_record **record) {
    *record = NULL;
    *dtype = TG_DT_NONE;
    const tg_file *file = e->file;
    tg_decl *d = NULL;
    if (t->module.name != NULL) {
        const tg_file *m = tg_program_module(e->p, file, t->module.name);
        d = m == NULL ? NULL : tg_file_find(m, t->name.name);
    } else {
        const tg_slot *s = tg_el_lookup(e, t->name.name);
        if (s != NULL && s->val->kind == TG_VAL_TYPE) {
            *dtype = s->val->dtype;
            *record = s->val->record;
            return true;
        }
        if (s != NULL && s->val->kind == TG_VAL_ERROR) {
            return false;
        }
        if (tg_dtype_from_name(t->name.name, strlen(t->name.name), dtype) && *dtype != TG_DT_NONE &&
            *dtype != TG_DT_RECORD) {
            return true;
        }
        d = s != NULL ? NULL : tg_program_find(e->p, file, t->name.name);
    }
    if (d != NULL && d->kind == TG_DECL_RECORD && !d->broken) {
        const tg_expr_list none = {NULL, 0};
        *record = tg_el_record(e, d, t->has_args ? &t->args : &none, t->span);
        *dtype = TG_DT_RECORD;
        return *record != NULL;
    }
    if (d == NULL || !d->broken) {
        tg_el_error(e, TG_D_UNKNOWN_NAME, t->name.span, "`%s` is not a type", t->name.name);
    }
    return false;
}

bool tg_el_tile_type(tg_elab *e, const tg_type_expr *t, tg_dtype *dtype, int *rank,
                     int64_t *shape) {
    const tg_record *r;
    if (!tg_el_type(e, t, dtype, &r)) {
        return false;
    }
    if (r != NULL) {
        tg_el_error(e, TG_D_NOT_A_VALUE, t->span,
                    "a record is not a value: records live in tensors");
        return false;
    }
    *rank = t->has_dims ? t->dims.n : 0;
    if (*rank > TG_MAX_RANK) {
        tg_el_error(e, TG_D_SHAPE, t->span, "a tile has at most %d axes", TG_MAX_RANK);
        return false;
    }
    int64_t total = 1;
    for (int i = 0; i < *rank; i++) {
        if (!tg_el_const_int(e, t->dims.items[i], "the extent of a tile", &shape[i])) {
            return false;
        }
        if (shape[i] < 1 || !tg_mul_i64(total, shape[i], &total) || total > ((int64_t)1 << 31)) {
            tg_el_error(e, TG_D_SHAPE, t->dims.items[i]->span,
                        "an extent of %lld is not possible for a tile", (long long)shape[i]);
            return false;
        }
    }
    return true;
}

bool tg_el_const_int(tg_elab *e, const tg_expr *x, const char *what, int64_t *out) {
    const tg_val *v = tg_el_expr(e, x);
    if (v->kind == TG_VAL_INT) {
        *out = v->i;
        return true;
    }
    if (!tg_el_is_error(v)) {
        tg_diag *d =
            tg_el_error(e, TG_D_NOT_CONSTANT, x->span, "%s is known at compile time; `%s` is not",
                        what, tg_el_text(e, x));
        tg_note_add(e->sink, d, x->span, "make it a name in the kernel's `[...]`, or a `tune`");
    }
    return false;
}

const tg_val *tg_el_index_scalar(tg_elab *e, const tg_expr *x, const char *what) {
    const tg_val *v = tg_el_runtime(e, tg_el_value(e, x));
    if (tg_el_is_error(v)) {
        return NULL;
    }
    if (v->kind != TG_VAL_TILE || tg_el_rank(v) != 0 || !tg_dtype_is_int(tg_el_dtype(v))) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, x->span, "%s is one integer, not %s", what,
                    tg_el_describe(e, v));
        return NULL;
    }
    tg_val *r = tg_el_copy(e, tg_el_cast(e, v, TG_DT_I64, TG_ROUND_RNE, false, x->span));
    if (r->sym == NULL) {
        r->sym = tg_sy_value(e, r->ir);
    }
    return r;
}

/* ---- operators ------------------------------------------------------------------------------ */

static const tg_expr *as_matmul(const tg_expr *x) { return x->kind == TG_EXPR_MATMUL ? x : NULL; }

static tg_dot_numeric numeric_of(tg_mat_mode m) {
    return m == TG_MAT_FAST ? TG_DOT_FAST : m == TG_MAT_TF32 ? TG_DOT_TF32 : TG_DOT_EXACT;
}

static const tg_val *matmul_expr(tg_elab *e, const tg_expr *m, const tg_val *acc, tg_span where) {
    const tg_val *a = tg_el_value(e, m->u.matmul.a), *b = tg_el_value(e, m->u.matmul.b);
    tg_dot_numeric n = numeric_of(m->u.matmul.mode);
    if (acc == NULL || tg_el_is_error(a) || tg_el_is_error(b) || tg_el_is_error(acc)) {
        return tg_el_is_error(a) || tg_el_is_error(b) ? &tg_val_error
                                                      : tg_el_matmul(e, a, b, NULL, n, m->span);
    }
    if (tg_el_matmul_acc_ok(a, b, acc)) {
        return tg_el_matmul(e, a, b, acc, n, where);
    }
    return tg_el_binary(e, TG_BIN_ADD, acc, tg_el_matmul(e, a, b, NULL, n, m->span), where);
}

/* x + a @ b is one accumulation; so is a @ b + c @ d. */
static const tg_val *add_expr(tg_elab *e, const tg_expr *x) {
    const tg_expr *ma = as_matmul(x->u.binary.a), *mb = as_matmul(x->u.binary.b);
    if (mb != NULL) {
        const tg_val *a = tg_el_value(e, x->u.binary.a);
        return tg_el_is_error(a) ? a : matmul_expr(e, mb, a, x->span);
    }
    if (ma != NULL) {
        const tg_val *b = tg_el_value(e, x->u.binary.b);
        return tg_el_is_error(b) ? b : matmul_expr(e, ma, b, x->span);
    }
    const tg_val *a = tg_el_value(e, x->u.binary.a);
    return tg_el_binary(e, TG_BIN_ADD, a, tg_el_value(e, x->u.binary.b), x->span);
}

static const tg_val *as_expr(tg_elab *e, const tg_expr *x) {
    static const tg_round rounds[] = {TG_ROUND_RNE, TG_ROUND_RNE, TG_ROUND_RTZ, TG_ROUND_UP,
                                      TG_ROUND_DOWN};
    const tg_val *v = tg_el_value(e, x->u.as.x);
    tg_dtype t;
    const tg_record *r;
    if (tg_el_is_error(v) || !tg_el_type(e, &x->u.as.type, &t, &r)) {
        return &tg_val_error;
    }
    if (r != NULL || x->u.as.type.has_dims) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, x->u.as.type.span, "`as` takes an element type");
        return &tg_val_error;
    }
    return tg_el_cast(e, v, t, rounds[x->u.as.round], x->u.as.range == TG_AS_SAT, x->span);
}

static const tg_val *fill_expr(tg_elab *e, const tg_expr *x) {
    tg_dtype t;
    int rank;
    int64_t shape[TG_MAX_RANK];
    if (!tg_el_tile_type(e, &x->u.fill.type, &t, &rank, shape)) {
        return &tg_val_error;
    }
    const tg_type *type = tg_type_tile(e->m, t, rank, shape);
    if (x->kind == TG_EXPR_ZEROS) {
        tg_value *z =
            tg_dtype_is_float(t) ? tg_build_float(&e->b, type, 0) : tg_build_int(&e->b, type, 0);
        tg_val *r = tg_el_tile(e, z, x->span);
        r->sym = tg_dtype_is_int(t) ? tg_sy_int(e, 0) : NULL;
        return r;
    }
    const tg_val *v = tg_el_value(e, x->u.fill.value);
    if (tg_el_is_error(v)) {
        return v;
    }
    if (tg_el_is_const(v)) {
        v = tg_el_adapt(e, v, t);
        if (v == NULL) {
            return &tg_val_error;
        }
    }
    if (v->kind != TG_VAL_TILE || tg_el_rank(v) != 0 || tg_el_dtype(v) != t) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, x->u.fill.value->span,
                    "a tile of %s is filled with one %s, not %s", tg_dtype_name(t),
                    tg_dtype_name(t), tg_el_describe(e, v));
        return &tg_val_error;
    }
    return tg_el_broadcast(e, v, rank, shape, x->span);
}

static const tg_val *shape_expr(tg_elab *e, const tg_expr *x) {
    const tg_val *v = tg_el_value(e, x->u.shape.x);
    int n = x->u.shape.dims.n, perm[TG_MAX_RANK] = {0};
    int64_t dims[TG_MAX_RANK] = {0}, count = 1;
    if (tg_el_is_error(v)) {
        return v;
    }
    v = tg_el_runtime(e, v);
    if (v->kind != TG_VAL_TILE || n > TG_MAX_RANK) {
        tg_el_error(e, TG_D_SHAPE, x->span, "%s cannot be reshaped", tg_el_describe(e, v));
        return &tg_val_error;
    }
    unsigned seen = 0;
    for (int i = 0; i < n; i++) {
        if (!tg_el_const_int(e, x->u.shape.dims.items[i], "an extent or axis here", &dims[i])) {
            return &tg_val_error;
        }
        bool ok = x->u.shape.method == TG_SHAPE_PERMUTE
                      ? dims[i] >= 0 && dims[i] < n && (seen >> dims[i] & 1u) == 0
                      : dims[i] > 0 && tg_mul_i64(count, dims[i], &count);
        if (!ok) {
            tg_el_error(e, TG_D_SHAPE, x->u.shape.dims.items[i]->span, "%lld is not possible here",
                        (long long)dims[i]);
            return &tg_val_error;
        }
        perm[i] = (int)dims[i];
        seen |= x->u.shape.method == TG_SHAPE_PERMUTE ? 1u << dims[i] : 0;
    }
    bool fits = true;
    if (x->u.shape.method == TG_SHAPE_PERMUTE) {
        fits = n == tg_el_rank(v);
    } else if (x->u.shape.method == TG_SHAPE_RESHAPE) {
        fits = count == tg_type_count(v->ir->type);
    } else {
        fits = tg_el_rank(v) == 0 || tg_el_rank(v) == n;
        for (int a = 0; a < tg_el_rank(v) && fits; a++) {
            fits = tg_el_extent(v, a) == dims[a] || tg_el_extent(v, a) == 1;
        }
    }
    if (!fits) {
        tg_el_error(e, TG_D_SHAPE, x->span, "%s does not take this shape", tg_el_describe(e, v));
        return &tg_val_error;
    }
    if (x->u.shape.method == TG_SHAPE_PERMUTE) {
        return tg_el_permute(e, v, perm, x->span);
    }
    return x->u.shape.method == TG_SHAPE_RESHAPE ? tg_el_reshape(e, v, n, dims, x->span)
                                                 : tg_el_broadcast(e, v, n, dims, x->span);
}

static const tg_val *field_expr(tg_elab *e, const tg_expr *x) {
    const tg_expr *base = x->u.field.x;
    if (base->kind == TG_EXPR_NAME && tg_el_lookup(e, base->u.name.name) == NULL) {
        const tg_file *m = tg_program_module(e->p, e->file, base->u.name.name);
        if (m != NULL) {
            tg_decl *d = tg_file_find(m, x->u.field.name.name);
            if (d != NULL) {
                return d->broken ? &tg_val_error : decl_value(e, d, x->span);
            }
            tg_el_error(e, TG_D_UNKNOWN_NAME, x->span, "module `%s` has no `%s`", base->u.name.name,
                        x->u.field.name.name);
            return &tg_val_error;
        }
    }
    return tg_el_field(e, tg_el_expr(e, base), x->u.field.name, x->span);
}

static const tg_val *atomic_expr(tg_elab *e, const tg_expr *x) {
    static const tg_atomic_kind kinds[] = {TG_ATOMIC_ADD, TG_ATOMIC_MIN, TG_ATOMIC_MAX,
                                           TG_ATOMIC_CAS};
    tg_atomic_args args = {.kind = kinds[x->u.atomic.op], .unordered = x->u.atomic.unordered};
    if (x->u.atomic.target == NULL) {
        return &tg_val_error;
    }
    const tg_val *t = tg_el_expr(e, x->u.atomic.target), *pos[2] = {NULL, NULL};
    int n = 0, want = args.kind == TG_ATOMIC_CAS ? 2 : 1;
    for (int i = 0; i < x->u.atomic.n; i++) {
        const tg_arg *a = &x->u.atomic.args[i];
        if (a->name.name != NULL && strcmp(a->name.name, "scope") == 0 &&
            a->value->kind == TG_EXPR_NAME) {
            args.scope = a->value->u.name.name;
            bool known = strcmp(args.scope, "program") == 0 || strcmp(args.scope, "device") == 0 ||
                         strcmp(args.scope, "system") == 0;
            if (!known) {
                tg_el_error(e, TG_D_UNKNOWN_NAME, a->span,
                            "the scope of an atomic is program, device or system");
                return &tg_val_error;
            }
        } else if (a->name.name == NULL && n < 2) {
            pos[n++] = tg_el_value(e, a->value);
            if (tg_el_is_error(pos[n - 1])) {
                return &tg_val_error;
            }
        } else {
            n = 3;
        }
    }
    if (tg_el_is_error(t)) {
        return t;
    }
    if (n != want || t->kind != TG_VAL_REF) {
        tg_el_error(e, TG_D_CALL, x->span, "an atomic takes an element of a tensor and %s",
                    want == 2 ? "the expected and the new value" : "a value");
        return &tg_val_error;
    }
    args.value = pos[want - 1];
    args.expected = want == 2 ? pos[0] : NULL;
    return tg_el_atomic(e, t->ref, &args, x->span);
}

static const tg_val *tuple_expr(tg_elab *e, const tg_expr *x) {
    const tg_val **items = TG_NEW_ARRAY(e->a, const tg_val *, x->u.tuple.n + 1);
    for (int i = 0; i < x->u.tuple.n; i++) {
        items[i] = tg_el_value(e, x->u.tuple.items[i]);
    }
    return tg_el_tuple(e, x->u.tuple.n, items, NULL, x->span);
}

/* The scalar type that x names, itself or as a type parameter; NONE for anything else. */
static tg_dtype named_type(tg_elab *e, const tg_expr *x) {
    tg_dtype t = TG_DT_NONE;
    if (x->kind == TG_EXPR_NAME) {
        const tg_slot *s = tg_el_lookup(e, x->u.name.name);
        if (s != NULL) {
            return s->val->kind == TG_VAL_TYPE ? s->val->dtype : TG_DT_NONE;
        }
        tg_dtype_from_name(x->u.name.name, strlen(x->u.name.name), &t);
    }
    return t;
}

static const tg_val *binary_expr(tg_elab *e, const tg_expr *x) {
    tg_binop op = x->u.binary.op;
    if (op == TG_BIN_ADD) {
        return add_expr(e, x);
    }
    if (op == TG_BIN_EQ || op == TG_BIN_NE) { /* of types, before they are taken for values */
        tg_dtype t = named_type(e, x->u.binary.a), u = named_type(e, x->u.binary.b);
        if (t != TG_DT_NONE && u != TG_DT_NONE) {
            return tg_el_bool(e, (t == u) == (op == TG_BIN_EQ), x->span);
        }
    }
    const tg_val *a = tg_el_value(e, x->u.binary.a);
    return tg_el_binary(e, op, a, tg_el_value(e, x->u.binary.b), x->span);
}

static const tg_val *expr(tg_elab *e, const tg_expr *x) {
    switch (x->kind) {
    case TG_EXPR_ERROR:
        return &tg_val_error;
    case TG_EXPR_INT:
        return tg_el_int(e, (int64_t)x->u.int_value, x->span);
    case TG_EXPR_FLOAT:
        return tg_el_float(e, x->u.float_value, x->span);
    case TG_EXPR_BOOL:
        return tg_el_bool(e, x->u.bool_value, x->span);
    case TG_EXPR_STRING: {
        tg_val *v = tg_el_new(e, TG_VAL_STRING, x->span);
        v->s = x->u.string.text;
        return v;
    }
    case TG_EXPR_NAME:
        return name_expr(e, x->u.name, x->span);
    case TG_EXPR_TUPLE:
        return tuple_expr(e, x);
    case TG_EXPR_UNARY:
        return tg_el_unary(e, x->u.unary.op, tg_el_value(e, x->u.unary.x), x->span);
    case TG_EXPR_BINARY:
        return binary_expr(e, x);
    case TG_EXPR_MATMUL:
        return matmul_expr(e, x, NULL, x->span);
    case TG_EXPR_AS:
        return as_expr(e, x);
    case TG_EXPR_ELSE:
        return tg_el_else(e, tg_el_soft(e, x->u.choose.x), tg_el_value(e, x->u.choose.v), x->span);
    case TG_EXPR_IF: {
        const tg_val *v = tg_el_value(e, x->u.choose.x);
        return tg_el_is_error(v) ? v : tg_el_if(e, v, tg_el_value(e, x->u.choose.v), x->span);
    }
    case TG_EXPR_INDEX:
        return tg_el_index(e, tg_el_expr(e, x->u.index.x), x->u.index.items, x->u.index.n, x->span);
    case TG_EXPR_FIELD:
        return field_expr(e, x);
    case TG_EXPR_SHAPE:
        return shape_expr(e, x);
    case TG_EXPR_CALL:
        return tg_el_call(e, x);
    case TG_EXPR_ATOMIC:
        return atomic_expr(e, x);
    case TG_EXPR_RANGE:
        tg_el_error(e, TG_D_NOT_A_VALUE, x->span,
                    "a range stands in `for` and in span(lo .. hi, n) only");
        return &tg_val_error;
    case TG_EXPR_ZEROS:
    case TG_EXPR_FULL:
        return fill_expr(e, x);
    }
    return &tg_val_error;
}

const tg_val *tg_el_expr(tg_elab *e, const tg_expr *x) {
    if (++e->steps > MAX_STEPS || e->expr_depth > MAX_EXPR_DEPTH) {
        if (e->steps != MAX_STEPS + 2) {
            tg_el_error(e, TG_D_TOO_LARGE, x->span, "this kernel is too large to compile");
            e->steps = MAX_STEPS + 2;
        }
        e->steps = MAX_STEPS + 1;
        return &tg_val_error;
    }
    e->expr_depth++;
    tg_span before = e->b.span;
    e->b.span = x->span;
    const tg_val *v = expr(e, x);
    e->b.span = before;
    e->expr_depth--;
    return v;
}

const tg_val *tg_el_soft(tg_elab *e, const tg_expr *x) {
    const tg_val *v = tg_el_expr(e, x);
    tg_span before = e->b.span;
    e->b.span = x->span;
    v = tg_el_rvalue(e, v);
    e->b.span = before;
    return v;
}

const tg_val *tg_el_value(tg_elab *e, const tg_expr *x) {
    return tg_el_harden(e, tg_el_soft(e, x));
}
