/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dimension expressions, compile-time parameters and parameter lists: what a signature means for
 * concrete settings.
 */
#include "frontend/value.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- dimension expressions ------------------------------------------------------------------ */

static const tg_dim *dim_symbol(tg_elab *e, tg_ident name, bool declare) {
    for (size_t i = 0; i < e->dims.syms.count; i++) {
        if (strcmp(e->dims.syms.data[i].name, name.name) == 0) {
            return tg_dim_sym(e->m, (int)i);
        }
    }
    if (!declare) {
        return NULL;
    }
    tg_sym s = {.name = name.name, .span = name.span};
    TG_LIST_PUSH(e->a, &e->dims.syms, s);
    return tg_dim_sym(e->m, (int)e->dims.syms.count - 1);
}

static const tg_dim *dim_name(tg_elab *e, tg_ident name, bool declare) {
    const tg_slot *s = tg_el_lookup(e, name.name);
    const tg_val *v = s != NULL ? s->val : NULL;
    if (v == NULL) {
        const tg_dim *d = dim_symbol(e, name, false);
        if (d != NULL) {
            return d;
        }
        const tg_decl *c = tg_program_find(e->p, e->file, name.name);
        if (c != NULL && c->kind == TG_DECL_CONST) {
            v = tg_el_global(e, name);
        } else if (declare) {
            return dim_symbol(e, name, true);
        }
    }
    if (v != NULL && (v->kind == TG_VAL_INT || v->kind == TG_VAL_BOOL)) {
        return tg_sy_int(e, v->i);
    }
    if (v != NULL && v->kind == TG_VAL_DIM) {
        return v->sym;
    }
    if (v == NULL || !tg_el_is_error(v)) {
        tg_diag *d =
            tg_el_error(e, TG_D_NOT_A_DIM, name.span, "`%s` is not a dimension", name.name);
        tg_note_add(e->sink, d, name.span,
                    "an extent is built from compile-time integers and names of tensor extents");
    }
    return NULL;
}

static const tg_dim *dim_call(tg_elab *e, const tg_expr *x, bool declare) {
    const char *f = x->u.call.name.name;
    const tg_dim *a[3] = {NULL, NULL, NULL};
    for (int i = 0; i < x->u.call.n && i < 3; i++) {
        a[i] = tg_el_dim(e, x->u.call.args[i].value, declare);
        if (a[i] == NULL) {
            return NULL;
        }
    }
    if (x->u.call.module.name == NULL && x->u.call.n == 2) {
        if (strcmp(f, "cdiv") == 0) {
            return tg_dim_binary(e->m, TG_DIM_CDIV, a[0], a[1]);
        }
        if (strcmp(f, "min") == 0 || strcmp(f, "max") == 0) {
            return tg_dim_binary(e->m, f[1] == 'i' ? TG_DIM_MIN : TG_DIM_MAX, a[0], a[1]);
        }
    }
    /* A fn of integers whose body is one `return`. */
    const tg_file *m = x->u.call.module.name == NULL
                           ? NULL
                           : tg_program_module(e->p, e->file, x->u.call.module.name);
    tg_decl *d = x->u.call.module.name == NULL ? tg_program_find(e->p, e->file, f)
                 : m == NULL                   ? NULL
                                               : tg_file_find(m, f);
    if (d == NULL || d->kind != TG_DECL_FN || d->broken || d->u.fn.params.n != x->u.call.n ||
        x->u.call.n > 3 || d->u.fn.body.n != 1 || d->u.fn.body.items[0]->kind != TG_STMT_RETURN ||
        d->u.fn.body.items[0]->u.ret.n != 1 || e->fn_depth > 32) {
        tg_el_error(e, TG_D_NOT_A_DIM, x->span, "`%s` cannot be part of an extent", f);
        return NULL;
    }
    tg_scope *scope = e->scope;
    const tg_file *file = e->file;
    e->scope = NULL;
    tg_el_push(e);
    for (int i = 0; i < x->u.call.n; i++) {
        tg_val *v = tg_el_new(e, TG_VAL_DIM, x->span);
        v->sym = a[i];
        tg_el_bind(e, d->u.fn.params.items[i].name.name, v, false, x->span);
    }
    e->file = d->file;
    e->fn_depth++;
    const tg_dim *r = tg_el_dim(e, d->u.fn.body.items[0]->u.ret.items[0], false);
    e->fn_depth--;
    e->scope = scope;
    e->file = file;
    return r;
}

static const tg_dim *refuse_operator(tg_elab *e, const tg_expr *x) {
    tg_el_error(e, TG_D_NOT_A_DIM, x->span, "`%s` cannot be part of an extent",
                tg_binop_text(x->u.binary.op));
    return NULL;
}

/* A power of two, or 0: which one it is. */
static bool is_power(int64_t v, int64_t *out) {
    *out = v;
    return v > 0 && (v & (v - 1)) == 0;
}

/* a & mask, as a remainder, where the mask is one bit or cuts off those above or below one place.
 */
static const tg_dim *cut_bits(tg_elab *e, const tg_dim *a, int64_t mask) {
    int64_t power;
    if (mask == 0) {
        return tg_sy_int(e, 0);
    }
    if (is_power(mask, &power) && tg_sy_at_least_0(e, a)) { /* one bit */
        const tg_dim *bit = tg_dim_binary(e->m, TG_DIM_DIV, a, tg_sy_int(e, power));
        bit = tg_dim_binary(e->m, TG_DIM_MOD, bit, tg_sy_int(e, 2));
        return tg_dim_binary(e->m, TG_DIM_MUL, bit, tg_sy_int(e, power));
    }
    bool low = mask > 0 && mask < INT64_MAX && is_power(mask + 1, &power);
    bool high = mask < 0 && mask > INT64_MIN && is_power(-mask, &power);
    if ((!low && !high) || !tg_sy_at_least_0(e, a)) {
        return NULL;
    }
    const tg_dim *rest = tg_dim_binary(e->m, TG_DIM_MOD, a, tg_sy_int(e, power));
    return low ? rest : tg_dim_binary(e->m, TG_DIM_SUB, a, rest);
}

/* `&`, `|` and `^` of integers are of their bits. What the launch computes extents with has no such
 * operation, but knows remainders. */
static const tg_dim *dim_bits(tg_elab *e, const tg_expr *x, const tg_dim *a, const tg_dim *b) {
    tg_binop op = x->u.binary.op;
    int64_t i, k;
    bool ci = tg_sy_const(a, &i), ck = tg_sy_const(b, &k);
    if (ci && ck) {
        return tg_sy_int(e, op == TG_BIN_AND ? i & k : op == TG_BIN_OR ? i | k : i ^ k);
    }
    const tg_dim *r = op != TG_BIN_AND ? NULL
                      : ck             ? cut_bits(e, a, k)
                      : ci             ? cut_bits(e, b, i)
                                       : NULL;
    if (r == NULL) {
        tg_diag *d =
            tg_el_error(e, TG_D_NOT_A_DIM, x->span,
                        "`%s` of integers cannot be part of an extent here", tg_binop_text(op));
        tg_note_add(e->sink, d, x->span,
                    "the mask is a constant that keeps one bit or all those on one side of it: "
                    "`N & 8`, `N & 63`, `N & -64`; the other side is never negative");
    }
    return r;
}

/* Of conditions, each 0 or 1, or of the bits of integers. */
static const tg_dim *dim_logic(tg_elab *e, const tg_expr *x, const tg_dim *a, const tg_dim *b) {
    bool left = tg_el_is_condition(x->u.binary.a), right = tg_el_is_condition(x->u.binary.b);
    tg_binop op = x->u.binary.op;
    if (left != right) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, x->span,
                    "`%s` takes two conditions or two integers, not one of each",
                    tg_binop_text(op));
        return NULL;
    }
    return !left ? dim_bits(e, x, a, b)
                 : tg_dim_binary(e->m,
                                 op == TG_BIN_AND  ? TG_DIM_AND
                                 : op == TG_BIN_OR ? TG_DIM_OR
                                                   : TG_DIM_NE,
                                 a, b);
}

/* Shifts by a constant are products and quotients; a quotient rounds as a shift does where nothing
 * is negative. */
static const tg_dim *dim_shift(tg_elab *e, const tg_expr *x, const tg_dim *a, const tg_dim *b) {
    bool left = x->u.binary.op == TG_BIN_SHL;
    int64_t by;
    if (!tg_sy_const(b, &by) || by < 0 || by >= 62 || (!left && !tg_sy_at_least_0(e, a))) {
        return refuse_operator(e, x);
    }
    return tg_dim_binary(e->m, left ? TG_DIM_MUL : TG_DIM_DIV, a, tg_sy_int(e, (int64_t)1 << by));
}

static const tg_dim *dim_unary(tg_elab *e, const tg_expr *x, bool declare) {
    const tg_dim *a = tg_el_dim(e, x->u.unary.x, declare);
    if (a == NULL) {
        return NULL;
    }
    switch (x->u.unary.op) {
    case TG_UN_NEG:
        return tg_dim_binary(e->m, TG_DIM_SUB, tg_sy_int(e, 0), a);
    case TG_UN_BITNOT: /* two's complement */
        return tg_dim_binary(e->m, TG_DIM_SUB, tg_sy_int(e, -1), a);
    case TG_UN_NOT:
        break;
    }
    if (!tg_el_is_condition(x->u.unary.x)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, x->span, "`!` takes a condition, `~` an integer");
        return NULL;
    }
    return tg_dim_binary(e->m, TG_DIM_EQ, tg_sy_int(e, 0), a);
}

static const tg_dim *dim_binary(tg_elab *e, const tg_expr *x, bool declare) {
    const tg_dim *a = tg_el_dim(e, x->u.binary.a, declare),
                 *b = tg_el_dim(e, x->u.binary.b, declare);
    if (a == NULL || b == NULL) {
        return NULL;
    }
    switch (x->u.binary.op) {
    case TG_BIN_ADD:
        return tg_dim_binary(e->m, TG_DIM_ADD, a, b);
    case TG_BIN_SUB:
        return tg_dim_binary(e->m, TG_DIM_SUB, a, b);
    case TG_BIN_MUL:
        return tg_dim_binary(e->m, TG_DIM_MUL, a, b);
    case TG_BIN_DIV:
        return tg_dim_binary(e->m, TG_DIM_DIV, a, b);
    case TG_BIN_REM:
        return tg_dim_binary(e->m, TG_DIM_MOD, a, b);
    case TG_BIN_EQ:
        return tg_dim_binary(e->m, TG_DIM_EQ, a, b);
    case TG_BIN_NE:
        return tg_dim_binary(e->m, TG_DIM_NE, a, b);
    case TG_BIN_LT:
        return tg_dim_binary(e->m, TG_DIM_LT, a, b);
    case TG_BIN_LE:
        return tg_dim_binary(e->m, TG_DIM_LE, a, b);
    case TG_BIN_GT:
        return tg_dim_binary(e->m, TG_DIM_LT, b, a);
    case TG_BIN_GE:
        return tg_dim_binary(e->m, TG_DIM_LE, b, a);
    case TG_BIN_AND:
    case TG_BIN_OR:
    case TG_BIN_XOR:
        return dim_logic(e, x, a, b);
    case TG_BIN_SHL:
    case TG_BIN_SHR:
        return dim_shift(e, x, a, b);
    case TG_BIN_NONE:
        break;
    }
    return refuse_operator(e, x);
}

const tg_dim *tg_el_dim(tg_elab *e, const tg_expr *x, bool declare) {
    if (e->expr_depth > 200) {
        return NULL;
    }
    e->expr_depth++;
    const tg_dim *r = NULL;
    switch (x->kind) {
    case TG_EXPR_ERROR:
        break;
    case TG_EXPR_INT:
        r = tg_sy_int(e, (int64_t)x->u.int_value);
        break;
    case TG_EXPR_BOOL:
        r = tg_sy_int(e, x->u.bool_value);
        break;
    case TG_EXPR_NAME:
        r = dim_name(e, x->u.name, declare);
        break;
    case TG_EXPR_BINARY:
        r = dim_binary(e, x, declare);
        break;
    case TG_EXPR_UNARY:
        r = dim_unary(e, x, declare);
        break;
    case TG_EXPR_CALL:
        r = dim_call(e, x, declare);
        break;
    case TG_EXPR_FIELD:
    case TG_EXPR_FLOAT:
    case TG_EXPR_STRING:
    case TG_EXPR_TUPLE:
    case TG_EXPR_MATMUL:
    case TG_EXPR_AS:
    case TG_EXPR_ELSE:
    case TG_EXPR_IF:
    case TG_EXPR_INDEX:
    case TG_EXPR_SHAPE:
    case TG_EXPR_ATOMIC:
    case TG_EXPR_RANGE:
    case TG_EXPR_ZEROS:
    case TG_EXPR_FULL:
        tg_el_error(e, TG_D_NOT_A_DIM, x->span, "`%s` cannot be part of an extent",
                    tg_el_text(e, x));
        break;
    }
    e->expr_depth--;
    return r;
}

bool tg_el_is_condition(const tg_expr *x) {
    if (x->kind == TG_EXPR_BINARY) {
        tg_binop op = x->u.binary.op;
        return (op >= TG_BIN_EQ && op <= TG_BIN_GE) ||
               ((op == TG_BIN_AND || op == TG_BIN_OR || op == TG_BIN_XOR) &&
                tg_el_is_condition(x->u.binary.a) && tg_el_is_condition(x->u.binary.b));
    }
    return x->kind == TG_EXPR_BOOL || x->kind == TG_EXPR_ERROR ||
           (x->kind == TG_EXPR_UNARY && x->u.unary.op == TG_UN_NOT &&
            tg_el_is_condition(x->u.unary.x));
}

const tg_dim *tg_el_condition(tg_elab *e, const tg_expr *x, bool declare) {
    if (!tg_el_is_condition(x)) {
        tg_el_error(e, TG_D_NOT_A_DIM, x->span, "`%s` is not a condition", tg_el_text(e, x));
        return NULL;
    }
    return tg_el_dim(e, x, declare);
}

const tg_val *tg_el_dim_value(tg_elab *e, const tg_dim *d, tg_span where) {
    int64_t c;
    if (tg_sy_const(d, &c)) {
        return tg_el_int(e, c, where);
    }
    tg_val *v = tg_el_tile(e, tg_build_dim_expr(&e->b, d), where);
    v->sym = d;
    v->adapts = true;
    return v;
}

/* ---- settings and compile-time parameters --------------------------------------------------- */

const char *tg_el_setting(const tg_elab *e, const char *name) {
    const char *value = NULL;
    for (int i = 0; i < e->n_settings; i++) {
        if (strcmp(e->settings[i].name, name) == 0) {
            value = e->settings[i].value;
        }
    }
    return value;
}

/* A literal as text: type, bool, integer (decimal, 0x, 0b) or number. */
bool tg_el_setting_value(tg_elab *e, const char *text, tg_span where, const tg_val **out) {
    tg_dtype t;
    size_t len = strlen(text);
    if (tg_dtype_from_name(text, len, &t) && t != TG_DT_NONE && t != TG_DT_RECORD) {
        tg_val *v = tg_el_new(e, TG_VAL_TYPE, where);
        v->dtype = t;
        *out = v;
        return true;
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        *out = tg_el_bool(e, text[0] == 't', where);
        return true;
    }
    char *end;
    const char *digits = text[0] == '-' ? text + 1 : text;
    bool binary = digits[0] == '0' && (digits[1] == 'b' || digits[1] == 'B');
    bool hex = digits[0] == '0' && (digits[1] == 'x' || digits[1] == 'X');
    errno = 0;
    long long i = binary ? strtoll(digits + 2, &end, 2) : strtoll(text, &end, hex ? 16 : 10);
    if (end != text && *end == '\0' && errno == ERANGE) {
        tg_el_error(e, TG_D_SETTING, where, "%s is beyond i64", text);
        return false;
    }
    if (len > 0 && *end == '\0') {
        *out = tg_el_int(e, binary && text[0] == '-' ? -i : i, where);
        return true;
    }
    double f = strtod(text, &end);
    if (len > 0 && *end == '\0') {
        *out = tg_el_float(e, f, where);
        return true;
    }
    tg_decl *d = tg_program_find(e->p, e->file, text);
    if (d != NULL && (d->kind == TG_DECL_RECORD || d->kind == TG_DECL_CONST)) {
        *out = tg_el_global(e, (tg_ident){text, where});
        return *out != NULL && !tg_el_is_error(*out);
    }
    tg_el_error(e, TG_D_SETTING, where, "`%s` is not a value", text);
    return false;
}

static bool type_allowed(tg_elab *e, const tg_ct_param *p, const tg_val *v) {
    for (int i = 0; i < p->n_alts; i++) {
        tg_dtype t;
        const tg_record *r;
        if (tg_el_type(e, &p->alts[i], &t, &r) && t == v->dtype && r == v->record) {
            return true;
        }
    }
    return p->n_alts == 0;
}

/* A type, or a declaration: a record may be meant. */
static bool names_type(tg_elab *e, const char *text) {
    tg_dtype t;
    return tg_dtype_from_name(text, strlen(text), &t) || tg_program_find(e->p, e->file, text);
}

static void not_allowed(tg_elab *e, const tg_ct_param *p, const char *text) {
    tg_diag *d = tg_el_error(e, TG_D_SETTING, p->span, "`%s` cannot be %s here", p->name.name,
                             text != NULL ? text : "this");
    tg_sb names;
    tg_sb_init(&names, e->a);
    for (int i = 0; i < p->n_alts; i++) {
        tg_sb_addf(&names, "%s%s", i > 0 ? ", " : "", p->alts[i].name.name);
    }
    tg_note_add(e->sink, d, p->span, "it is one of %s", names.data);
}

bool tg_el_bind_ct(tg_elab *e, const tg_ct_params *ct) {
    bool ok = true;
    for (int i = 0; i < ct->n; i++) {
        const tg_ct_param *p = &ct->items[i];
        const char *text = tg_el_setting(e, p->name.name);
        const tg_val *v = &tg_val_error;
        if (text != NULL && p->n_alts > 0 && !names_type(e, text)) {
            not_allowed(e, p, text);
        } else if (text != NULL) {
            ok = tg_el_setting_value(e, text, p->span, &v) && ok;
        } else if (p->def != NULL) {
            v = tg_el_expr(e, p->def);
        } else {
            tg_diag *d = tg_el_error(e, TG_D_SETTING, p->span, "`%s` needs a value", p->name.name);
            tg_note_add(e->sink, d, p->span,
                        "it is a compile-time name: set it, for instance with --set %s=...",
                        p->name.name);
        }
        if (p->n_alts > 0 && v->kind != TG_VAL_ERROR &&
            (v->kind != TG_VAL_TYPE || !type_allowed(e, p, v))) {
            not_allowed(e, p, text);
            v = &tg_val_error;
        }
        if (!tg_el_is_error(v) && v->kind != TG_VAL_TYPE && !tg_el_is_const(v)) {
            tg_el_error(e, TG_D_NOT_CONSTANT, p->span,
                        "the default of `%s` is not known at compile time", p->name.name);
            v = &tg_val_error;
        }
        ok = ok && !tg_el_is_error(v);
        tg_el_bind(e, p->name.name, v, false, p->span);
    }
    return ok;
}

/* ---- parameters ----------------------------------------------------------------------------- */

static bool param_facts(tg_elab *e, const tg_ast_param *a, tg_param *p) {
    bool tensor = p->type->kind == TG_TY_TENSOR;
    bool out = a->mode != TG_MODE_IN;
    if ((out || a->sorted || a->unique || a->strided || a->init != NULL) && !tensor) {
        tg_el_error(e, TG_D_SIGNATURE, a->span, "`%s` is a scalar: it is an input without facts",
                    a->name.name);
        return false;
    }
    if ((a->sorted || a->unique || a->range_lo != NULL) && !tg_dtype_is_int(p->type->dtype)) {
        tg_el_error(e, TG_D_SIGNATURE, a->facts, "sorted, unique and in are facts about integers");
        return false;
    }
    p->flags = (tensor ? TG_PARAM_TENSOR : 0u) | (a->mode == TG_MODE_OUT ? TG_PARAM_OUT : 0u) |
               (a->mode == TG_MODE_INOUT ? TG_PARAM_INOUT : 0u) | (a->alias ? TG_PARAM_ALIAS : 0u) |
               (a->strided ? TG_PARAM_STRIDED : 0u) | (a->sorted ? TG_PARAM_SORTED : 0u) |
               (a->unique ? TG_PARAM_UNIQUE : 0u);
    if (a->range_lo != NULL) {
        p->range_lo = tg_el_dim(e, a->range_lo, true);
        p->range_hi = tg_el_dim(e, a->range_hi, true);
        if (p->range_lo == NULL || p->range_hi == NULL) {
            return false;
        }
        p->flags |= TG_PARAM_RANGE;
    }
    if (a->init != NULL) {
        const tg_val *v = tg_el_value(e, a->init);
        if (a->mode != TG_MODE_OUT || p->type->dtype == TG_DT_RECORD ||
            (v->kind != TG_VAL_INT && v->kind != TG_VAL_FLOAT && v->kind != TG_VAL_BOOL)) {
            if (!tg_el_is_error(v)) {
                tg_el_error(e, TG_D_SIGNATURE, a->init->span,
                            "`init` gives an `out` tensor one constant");
            }
            return false;
        }
        p->init = v->kind == TG_VAL_FLOAT ? v->f : (double)v->i;
        p->flags |= TG_PARAM_INIT;
    }
    if (a->align != NULL && (!tg_el_const_int(e, a->align, "an alignment", &p->align_bytes) ||
                             p->align_bytes < 1 || (p->align_bytes & (p->align_bytes - 1)) != 0)) {
        tg_el_error(e, TG_D_SIGNATURE, a->align->span, "an alignment is a power of two");
        return false;
    }
    return true;
}

/* A record name with one bracket group: its parameters, or the tensor's extents. */
static void split_groups(tg_elab *e, const tg_type_expr *t, tg_type_expr *out) {
    *out = *t;
    if (t->has_args || !t->has_dims) {
        return;
    }
    const tg_decl *d = tg_el_record_named(e, t);
    if (d != NULL && tg_el_record_params(d) > 0 && tg_el_record_params(d) == t->dims.n) {
        out->args = t->dims;
        out->has_args = true;
        out->dims = (tg_expr_list){NULL, 0};
        out->has_dims = false;
    }
}

static bool param_type(tg_elab *e, const tg_ast_param *a, tg_param *p,
                       const tg_record **out_record) {
    tg_type_expr t;
    tg_dtype dtype;
    const tg_record *record;
    split_groups(e, &a->type, &t);
    if (!a->has_type) {
        tg_el_error(e, TG_D_SIGNATURE, a->span, "`%s` needs a type", a->name.name);
        return false;
    }
    if (!tg_el_type(e, &t, &dtype, &record)) {
        return false;
    }
    *out_record = record;
    if (!t.has_dims) {
        if (record != NULL || tg_dtype_is_storage(dtype)) {
            tg_el_error(e, TG_D_SIGNATURE, a->span,
                        "a scalar parameter is a bool, an integer, f32 or f64");
            return false;
        }
        p->type = tg_type_scalar(e->m, dtype);
        return true;
    }
    const tg_dim *dims[TG_MAX_RANK];
    if (t.dims.n > TG_MAX_RANK) {
        tg_el_error(e, TG_D_SIGNATURE, a->span, "a tensor has at most %d axes", TG_MAX_RANK);
        return false;
    }
    for (int i = 0; i < t.dims.n; i++) {
        if (tg_el_is_condition(t.dims.items[i]) && t.dims.items[i]->kind != TG_EXPR_ERROR) {
            tg_el_error(e, TG_D_NOT_A_DIM, t.dims.items[i]->span,
                        "a condition is not an extent: write it as `require %s`",
                        tg_el_text(e, t.dims.items[i]));
            return false;
        }
        dims[i] = tg_el_dim(e, t.dims.items[i], true);
        if (dims[i] == NULL) {
            return false;
        }
        if (dims[i]->code == TG_DIM_CONST && dims[i]->value < 0) {
            tg_el_error(e, TG_D_SIGNATURE, t.dims.items[i]->span, "an extent of %lld",
                        (long long)dims[i]->value);
            return false;
        }
    }
    p->type =
        tg_type_tensor(e->m, dtype, record != NULL ? record->bytes : 0, t.dims.n, dims, a->strided);
    return true;
}

bool tg_el_params(tg_elab *e, const tg_ast_params *ps) {
    e->ast_params = ps->items;
    e->n_params = ps->n;
    e->params = TG_NEW_ARRAY(e->a, tg_param, ps->n + 1);
    e->param_records = TG_NEW_ARRAY(e->a, const tg_record *, ps->n + 1);
    e->written = TG_NEW_ARRAY(e->a, bool, ps->n + 1);
    bool ok = true;
    for (int i = 0; i < ps->n; i++) {
        tg_param *p = &e->params[i];
        p->name = ps->items[i].name.name;
        p->span = ps->items[i].span;
        p->type = tg_type_scalar(e->m, TG_DT_I64);
        ok = param_type(e, &ps->items[i], p, &e->param_records[i]) && ok;
        for (int k = 0; k < i; k++) {
            if (strcmp(e->params[k].name, p->name) == 0) {
                tg_el_error(e, TG_D_SIGNATURE, p->span, "`%s` is declared twice", p->name);
                ok = false;
            }
        }
    }
    for (int i = 0; i < ps->n && ok; i++) { /* facts may name dims of later parameters */
        ok = param_facts(e, &ps->items[i], &e->params[i]) && ok;
    }
    return ok;
}
