/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree as text. tg_ast_print_*: S-expressions, one statement or clause a line, without
 * positions or redundant parentheses: two sources with equal text mean the same (the formatter's
 * test). tg_expr_text: one line of source syntax for messages.
 */
#include "frontend/program.h"

#include <string.h>

/* ---- source syntax -------------------------------------------------------------------------- */

static void text_list(const tg_expr_list *l, tg_sb *sb) {
    for (int i = 0; i < l->n; i++) {
        tg_sb_add(sb, i > 0 ? ", " : "");
        tg_expr_text(l->items[i], sb);
    }
}

static void text_type(const tg_type_expr *t, tg_sb *sb) {
    if (t->module.name != NULL) {
        tg_sb_addf(sb, "%s.", t->module.name);
    }
    tg_sb_add(sb, t->name.name != NULL ? t->name.name : "?");
    const tg_expr_list *groups[] = {t->has_args ? &t->args : NULL, t->has_dims ? &t->dims : NULL};
    for (size_t i = 0; i < TG_COUNT_OF(groups); i++) {
        if (groups[i] != NULL) {
            tg_sb_addc(sb, '[');
            text_list(groups[i], sb);
            tg_sb_addc(sb, ']');
        }
    }
}

static const char *mat_text(tg_mat_mode m) {
    static const char *const names[] = {"", "exact ", "fast ", "tf32 "};
    return names[m];
}

static const char *round_text(tg_as_round r) {
    static const char *const names[] = {"", " rne", " rtz", " up", " down"};
    return names[r];
}

static const char *range_text(tg_as_range r) {
    static const char *const names[] = {"", " sat", " wrap"};
    return names[r];
}

static const char *atomic_text(tg_atomic_op op) {
    static const char *const names[] = {"add", "min", "max", "cas"};
    return names[op];
}

static const char *shape_text(tg_shape_method m) {
    static const char *const names[] = {"reshape", "permute", "broadcast"};
    return names[m];
}

static const char *mode_text(tg_arg_mode m) {
    static const char *const names[] = {"", "out ", "inout "};
    return names[m];
}

static void text_index(const tg_index *x, tg_sb *sb) {
    if (x->kind == TG_INDEX_NEW) {
        tg_sb_addc(sb, '_');
        return;
    }
    if (x->lo != NULL) {
        tg_expr_text(x->lo, sb);
    }
    if (x->kind == TG_INDEX_SLICE) {
        tg_sb_addc(sb, ':');
        if (x->hi != NULL) {
            tg_expr_text(x->hi, sb);
        }
    }
}

static void text_args(const tg_arg *args, int n, bool comma, tg_sb *sb) {
    for (int i = 0; i < n; i++) {
        tg_sb_add(sb, i > 0 || comma ? ", " : "");
        tg_sb_add(sb, mode_text(args[i].mode));
        if (args[i].name.name != NULL) {
            tg_sb_addf(sb, "%s = ", args[i].name.name);
        }
        tg_expr_text(args[i].value, sb);
    }
}

static void text_call(const tg_expr *e, tg_sb *sb) {
    if (e->u.call.module.name != NULL) {
        tg_sb_addf(sb, "%s.", e->u.call.module.name);
    }
    tg_sb_add(sb, e->u.call.name.name);
    for (int i = 0; i < e->u.call.ct.n; i++) {
        tg_sb_add(sb, i > 0 ? ", " : "[");
        if (e->u.call.ct.items[i].name.name != NULL) {
            tg_sb_addf(sb, "%s = ", e->u.call.ct.items[i].name.name);
        }
        tg_expr_text(e->u.call.ct.items[i].value, sb);
    }
    tg_sb_add(sb, e->u.call.ct.n > 0 ? "](" : "(");
    text_args(e->u.call.args, e->u.call.n, false, sb);
    tg_sb_addc(sb, ')');
}

static void text_infix(const tg_expr *a, const char *op, const tg_expr *b, tg_sb *sb) {
    tg_expr_text(a, sb);
    tg_sb_addf(sb, " %s ", op);
    tg_expr_text(b, sb);
}

static void text_string(const tg_expr *e, tg_sb *sb) {
    tg_sb_addc(sb, '"');
    for (size_t i = 0; i < e->u.string.len; i++) {
        char c = e->u.string.text[i];
        if (c == '"' || c == '\\') {
            tg_sb_addf(sb, "\\%c", c);
        } else if ((unsigned char)c < 0x20) {
            tg_sb_addf(sb, "\\x%02x", (unsigned char)c);
        } else {
            tg_sb_addc(sb, c);
        }
    }
    tg_sb_addc(sb, '"');
}

static void text_bare(const tg_expr *e, tg_sb *sb) {
    switch (e->kind) {
    case TG_EXPR_ERROR:
        tg_sb_add(sb, "?");
        break;
    case TG_EXPR_INT:
        tg_sb_addf(sb, "%llu", (unsigned long long)e->u.int_value);
        break;
    case TG_EXPR_FLOAT:
        tg_sb_add_double(sb, e->u.float_value);
        break;
    case TG_EXPR_BOOL:
        tg_sb_add(sb, e->u.bool_value ? "true" : "false");
        break;
    case TG_EXPR_STRING:
        text_string(e, sb);
        break;
    case TG_EXPR_NAME:
        tg_sb_add(sb, e->u.name.name);
        break;
    case TG_EXPR_TUPLE:
        tg_sb_addc(sb, '(');
        text_list(&e->u.tuple, sb);
        tg_sb_addc(sb, ')');
        break;
    case TG_EXPR_UNARY:
        tg_sb_add(sb, tg_unop_text(e->u.unary.op));
        tg_expr_text(e->u.unary.x, sb);
        break;
    case TG_EXPR_BINARY:
        text_infix(e->u.binary.a, tg_binop_text(e->u.binary.op), e->u.binary.b, sb);
        break;
    case TG_EXPR_MATMUL:
        tg_expr_text(e->u.matmul.a, sb);
        tg_sb_addf(sb, " @ %s", mat_text(e->u.matmul.mode));
        tg_expr_text(e->u.matmul.b, sb);
        break;
    case TG_EXPR_AS:
        tg_expr_text(e->u.as.x, sb);
        tg_sb_add(sb, " as ");
        text_type(&e->u.as.type, sb);
        tg_sb_addf(sb, "%s%s", round_text(e->u.as.round), range_text(e->u.as.range));
        break;
    case TG_EXPR_ELSE:
        text_infix(e->u.choose.x, "else", e->u.choose.v, sb);
        break;
    case TG_EXPR_IF:
        text_infix(e->u.choose.x, "if", e->u.choose.v, sb);
        break;
    case TG_EXPR_INDEX:
        tg_expr_text(e->u.index.x, sb);
        for (int i = 0; i < e->u.index.n; i++) {
            tg_sb_add(sb, i > 0 ? ", " : "[");
            text_index(&e->u.index.items[i], sb);
        }
        tg_sb_addc(sb, ']');
        break;
    case TG_EXPR_FIELD:
        tg_expr_text(e->u.field.x, sb);
        tg_sb_addf(sb, ".%s", e->u.field.name.name);
        break;
    case TG_EXPR_SHAPE:
        tg_expr_text(e->u.shape.x, sb);
        tg_sb_addf(sb, ".%s[", shape_text(e->u.shape.method));
        text_list(&e->u.shape.dims, sb);
        tg_sb_addc(sb, ']');
        break;
    case TG_EXPR_CALL:
        text_call(e, sb);
        break;
    case TG_EXPR_ATOMIC:
        tg_sb_addf(sb, "atomic %s%s(", e->u.atomic.unordered ? "unordered " : "",
                   atomic_text(e->u.atomic.op));
        if (e->u.atomic.target != NULL) {
            tg_expr_text(e->u.atomic.target, sb);
        }
        text_args(e->u.atomic.args, e->u.atomic.n, true, sb);
        tg_sb_addc(sb, ')');
        break;
    case TG_EXPR_RANGE:
        tg_expr_text(e->u.range.lo, sb);
        tg_sb_add(sb, " ..");
        if (e->u.range.hi != NULL) {
            tg_sb_addc(sb, ' ');
            tg_expr_text(e->u.range.hi, sb);
        }
        break;
    case TG_EXPR_ZEROS:
    case TG_EXPR_FULL:
        tg_sb_add(sb, e->kind == TG_EXPR_FULL ? "full " : "zeros ");
        text_type(&e->u.fill.type, sb);
        if (e->u.fill.value != NULL) {
            tg_sb_add(sb, " = ");
            tg_expr_text(e->u.fill.value, sb);
        }
        break;
    }
}

void tg_expr_text(const tg_expr *e, tg_sb *sb) {
    bool paren = e->paren && e->kind != TG_EXPR_TUPLE;
    tg_sb_add(sb, paren ? "(" : "");
    text_bare(e, sb);
    tg_sb_add(sb, paren ? ")" : "");
}

/* ---- S-expressions -------------------------------------------------------------------------- */

/* Expressions: source syntax with every operator in parentheses, so that nothing depends on levels.
 */
static void sx(const tg_expr *e, tg_sb *sb);

static void sx_list(const char *head, const tg_expr_list *l, tg_sb *sb) {
    tg_sb_addf(sb, "(%s", head);
    for (int i = 0; i < l->n; i++) {
        tg_sb_addc(sb, ' ');
        sx(l->items[i], sb);
    }
    tg_sb_addc(sb, ')');
}

static void sx_two(const char *head, const tg_expr *a, const tg_expr *b, tg_sb *sb) {
    tg_sb_addf(sb, "(%s ", head);
    sx(a, sb);
    if (b != NULL) {
        tg_sb_addc(sb, ' ');
        sx(b, sb);
    }
    tg_sb_addc(sb, ')');
}

static void sx_type(const tg_type_expr *t, tg_sb *sb) {
    tg_sb_addf(sb, "(type %s%s%s", t->module.name != NULL ? t->module.name : "",
               t->module.name != NULL ? "." : "", t->name.name != NULL ? t->name.name : "?");
    if (t->has_args) {
        tg_sb_addc(sb, ' ');
        sx_list("args", &t->args, sb);
    }
    if (t->has_dims) {
        tg_sb_addc(sb, ' ');
        sx_list("dims", &t->dims, sb);
    }
    tg_sb_addc(sb, ')');
}

static void sx_args(const tg_arg *args, int n, tg_sb *sb) {
    for (int i = 0; i < n; i++) {
        bool plain = args[i].name.name == NULL && args[i].mode == TG_MODE_IN;
        tg_sb_addf(sb, plain ? " " : " (%s%s ", mode_text(args[i].mode),
                   args[i].name.name != NULL ? args[i].name.name : "");
        sx(args[i].value, sb);
        tg_sb_add(sb, plain ? "" : ")");
    }
}

static void sx_ct(const tg_ct_args *ct, tg_sb *sb) {
    for (int i = 0; i < ct->n; i++) {
        tg_sb_addf(sb, " [%s%s", ct->items[i].name.name != NULL ? ct->items[i].name.name : "",
                   ct->items[i].name.name != NULL ? " " : "");
        sx(ct->items[i].value, sb);
        tg_sb_addc(sb, ']');
    }
}

static void sx_index(const tg_expr *e, tg_sb *sb) {
    tg_sb_add(sb, "(index ");
    sx(e->u.index.x, sb);
    for (int i = 0; i < e->u.index.n; i++) {
        const tg_index *x = &e->u.index.items[i];
        tg_sb_addc(sb, ' ');
        if (x->kind == TG_INDEX_NEW) {
            tg_sb_addc(sb, '_');
        } else if (x->lo != NULL) {
            sx(x->lo, sb);
        }
        if (x->kind == TG_INDEX_SLICE) {
            tg_sb_addc(sb, ':');
            if (x->hi != NULL) {
                sx(x->hi, sb);
            }
        }
    }
    tg_sb_addc(sb, ')');
}

static void sx_call(const tg_expr *e, tg_sb *sb) {
    bool mod = e->u.call.module.name != NULL;
    tg_sb_addf(sb, "(call %s%s%s", mod ? e->u.call.module.name : "", mod ? "." : "",
               e->u.call.name.name);
    sx_ct(&e->u.call.ct, sb);
    sx_args(e->u.call.args, e->u.call.n, sb);
    tg_sb_addc(sb, ')');
}

static void sx_atomic(const tg_expr *e, tg_sb *sb) {
    tg_sb_addf(sb, "(atomic %s%s ", e->u.atomic.unordered ? "unordered " : "",
               atomic_text(e->u.atomic.op));
    if (e->u.atomic.target != NULL) {
        sx(e->u.atomic.target, sb);
    }
    sx_args(e->u.atomic.args, e->u.atomic.n, sb);
    tg_sb_addc(sb, ')');
}

static void sx(const tg_expr *e, tg_sb *sb) {
    switch (e->kind) {
    case TG_EXPR_ERROR:
    case TG_EXPR_INT:
    case TG_EXPR_FLOAT:
    case TG_EXPR_BOOL:
    case TG_EXPR_STRING:
    case TG_EXPR_NAME:
        text_bare(e, sb);
        break;
    case TG_EXPR_TUPLE:
        sx_list("tuple", &e->u.tuple, sb);
        break;
    case TG_EXPR_UNARY:
        sx_two(tg_unop_text(e->u.unary.op), e->u.unary.x, NULL, sb);
        break;
    case TG_EXPR_BINARY:
        sx_two(tg_binop_text(e->u.binary.op), e->u.binary.a, e->u.binary.b, sb);
        break;
    case TG_EXPR_MATMUL:
        tg_sb_addf(sb, "(@ %s", mat_text(e->u.matmul.mode));
        sx(e->u.matmul.a, sb);
        tg_sb_addc(sb, ' ');
        sx(e->u.matmul.b, sb);
        tg_sb_addc(sb, ')');
        break;
    case TG_EXPR_AS:
        tg_sb_add(sb, "(as ");
        sx(e->u.as.x, sb);
        tg_sb_addc(sb, ' ');
        sx_type(&e->u.as.type, sb);
        tg_sb_addf(sb, "%s%s)", round_text(e->u.as.round), range_text(e->u.as.range));
        break;
    case TG_EXPR_ELSE:
        sx_two("else", e->u.choose.x, e->u.choose.v, sb);
        break;
    case TG_EXPR_IF:
        sx_two("present-if", e->u.choose.x, e->u.choose.v, sb);
        break;
    case TG_EXPR_INDEX:
        sx_index(e, sb);
        break;
    case TG_EXPR_FIELD:
        tg_sb_addf(sb, "(.%s ", e->u.field.name.name);
        sx(e->u.field.x, sb);
        tg_sb_addc(sb, ')');
        break;
    case TG_EXPR_SHAPE:
        tg_sb_addf(sb, "(.%s ", shape_text(e->u.shape.method));
        sx(e->u.shape.x, sb);
        tg_sb_addc(sb, ' ');
        sx_list("dims", &e->u.shape.dims, sb);
        tg_sb_addc(sb, ')');
        break;
    case TG_EXPR_CALL:
        sx_call(e, sb);
        break;
    case TG_EXPR_ATOMIC:
        sx_atomic(e, sb);
        break;
    case TG_EXPR_RANGE:
        sx_two("range", e->u.range.lo, e->u.range.hi, sb);
        break;
    case TG_EXPR_ZEROS:
    case TG_EXPR_FULL:
        tg_sb_add(sb, e->kind == TG_EXPR_FULL ? "(full " : "(zeros ");
        sx_type(&e->u.fill.type, sb);
        if (e->u.fill.value != NULL) {
            tg_sb_addc(sb, ' ');
            sx(e->u.fill.value, sb);
        }
        tg_sb_addc(sb, ')');
        break;
    }
}

/* ---- statements ----------------------------------------------------------------------------- */

static void line(tg_sb *sb, int depth) {
    tg_sb_addc(sb, '\n');
    for (int i = 0; i < depth; i++) {
        tg_sb_add(sb, "  ");
    }
}

static void print_block(const tg_block *b, int depth, tg_sb *sb);

static void print_let(const tg_stmt *s, tg_sb *sb) {
    tg_sb_add(sb, s->u.let.is_var ? "(var" : "(let");
    for (int i = 0; i < s->u.let.n; i++) {
        const tg_let_item *b = &s->u.let.items[i];
        tg_sb_add(sb, b->is_tuple ? " ((" : " (");
        for (int k = 0; k < b->n_names; k++) {
            tg_sb_addf(sb, k > 0 ? " %s" : "%s", b->names[k].name != NULL ? b->names[k].name : "?");
        }
        tg_sb_add(sb, b->is_tuple ? ") " : " ");
        if (b->has_type) {
            sx_type(&b->type, sb);
            tg_sb_addc(sb, ' ');
        }
        sx(b->init, sb);
        tg_sb_addc(sb, ')');
    }
    tg_sb_addc(sb, ')');
}

static void print_assign(const tg_stmt *s, tg_sb *sb) {
    tg_sb_addf(sb, "(%s%s=", s->u.assign.disjoint ? "disjoint " : "",
               tg_binop_text(s->u.assign.op));
    if (s->u.assign.is_tuple) {
        tg_sb_addc(sb, ' ');
        sx_list("tuple", &s->u.assign.targets, sb);
    } else {
        tg_sb_addc(sb, ' ');
        sx(s->u.assign.targets.items[0], sb);
    }
    tg_sb_addc(sb, ' ');
    sx(s->u.assign.value, sb);
    if (s->u.assign.mask != NULL) {
        tg_sb_add(sb, " (mask ");
        sx(s->u.assign.mask, sb);
        tg_sb_addc(sb, ')');
    }
    tg_sb_addc(sb, ')');
}

static void print_if(const tg_stmt *s, int depth, tg_sb *sb) {
    tg_sb_add(sb, "(if ");
    sx(s->u.if_.cond, sb);
    print_block(&s->u.if_.then, depth + 1, sb);
    if (s->u.if_.has_else) {
        line(sb, depth);
        tg_sb_add(sb, " else");
        print_block(&s->u.if_.els, depth + 1, sb);
    }
    tg_sb_addc(sb, ')');
}

static void print_for(const tg_stmt *s, int depth, tg_sb *sb) {
    const char *kind = s->u.for_.kind == TG_FOR_IN ? "in" : "span";
    tg_sb_addf(sb, "(for-%s %s ", kind, s->u.for_.var.name != NULL ? s->u.for_.var.name : "?");
    const tg_expr *parts[] = {s->u.for_.lo, s->u.for_.hi, s->u.for_.by};
    for (size_t i = 0; i < TG_COUNT_OF(parts); i++) {
        if (parts[i] != NULL) {
            sx(parts[i], sb);
        } else {
            tg_sb_addc(sb, '-');
        }
        tg_sb_addc(sb, ' ');
    }
    print_block(&s->u.for_.body, depth + 1, sb);
    tg_sb_addc(sb, ')');
}

static void print_temps(const tg_stmt *s, tg_sb *sb) {
    tg_sb_add(sb, "(temp");
    for (int i = 0; i < s->u.temp.n; i++) {
        tg_sb_addf(sb, " (%s ",
                   s->u.temp.items[i].name.name != NULL ? s->u.temp.items[i].name.name : "?");
        sx_type(&s->u.temp.items[i].type, sb);
        if (s->u.temp.items[i].init != NULL) {
            tg_sb_add(sb, " init ");
            sx(s->u.temp.items[i].init, sb);
        }
        tg_sb_addc(sb, ')');
    }
    tg_sb_addc(sb, ')');
}

static void print_stmt(const tg_stmt *s, int depth, tg_sb *sb) {
    switch (s->kind) {
    case TG_STMT_ERROR:
        tg_sb_add(sb, "(error)");
        break;
    case TG_STMT_LET:
        print_let(s, sb);
        break;
    case TG_STMT_ASSIGN:
        print_assign(s, sb);
        break;
    case TG_STMT_EXPR:
        sx(s->u.expr, sb);
        break;
    case TG_STMT_IF:
        print_if(s, depth, sb);
        break;
    case TG_STMT_FOR:
        print_for(s, depth, sb);
        break;
    case TG_STMT_WHILE:
        sx_two("while", s->u.while_.cond, s->u.while_.max, sb);
        print_block(&s->u.while_.body, depth + 1, sb);
        break;
    case TG_STMT_RETURN:
        sx_list("return", &s->u.ret, sb);
        break;
    case TG_STMT_PRINT:
        sx_list("print", &s->u.report.args, sb);
        break;
    case TG_STMT_ASSERT:
        sx_list("assert", &s->u.report.args, sb);
        break;
    case TG_STMT_ASSUME:
        sx_list("assume", &s->u.report.args, sb);
        break;
    case TG_STMT_TEMP:
        print_temps(s, sb);
        break;
    case TG_STMT_BLOCK:
        tg_sb_add(sb, "(block");
        print_block(&s->u.block, depth + 1, sb);
        tg_sb_addc(sb, ')');
        break;
    }
}

static void print_block(const tg_block *b, int depth, tg_sb *sb) {
    for (int i = 0; i < b->n; i++) {
        line(sb, depth);
        print_stmt(b->items[i], depth, sb);
    }
}

/* ---- declarations --------------------------------------------------------------------------- */

static void print_ct_params(const tg_ct_params *ct, tg_sb *sb) {
    for (int i = 0; i < ct->n; i++) {
        const tg_ct_param *c = &ct->items[i];
        line(sb, 1);
        tg_sb_addf(sb, "(compile-time %s", c->name.name != NULL ? c->name.name : "?");
        for (int k = 0; k < c->n_alts; k++) {
            tg_sb_addc(sb, ' ');
            sx_type(&c->alts[k], sb);
        }
        if (c->def != NULL) {
            tg_sb_add(sb, " = ");
            sx(c->def, sb);
        }
        tg_sb_addc(sb, ')');
    }
}

static void print_param(const tg_ast_param *a, tg_sb *sb) {
    line(sb, 1);
    tg_sb_addf(sb, "(param %s%s", mode_text(a->mode), a->name.name != NULL ? a->name.name : "?");
    if (a->has_type) {
        tg_sb_addc(sb, ' ');
        sx_type(&a->type, sb);
    }
    tg_sb_addf(sb, "%s%s%s%s", a->sorted ? " sorted" : "", a->unique ? " unique" : "",
               a->strided ? " strided" : "", a->alias ? " alias" : "");
    if (a->range_lo != NULL) {
        tg_sb_addc(sb, ' ');
        sx_two("in", a->range_lo, a->range_hi, sb);
    }
    const struct {
        const char *word;
        const tg_expr *e;
    } parts[] = {{"init", a->init}, {"align", a->align}, {"default", a->def}};
    for (size_t i = 0; i < TG_COUNT_OF(parts); i++) {
        if (parts[i].e != NULL) {
            tg_sb_addc(sb, ' ');
            sx_two(parts[i].word, parts[i].e, NULL, sb);
        }
    }
    tg_sb_addc(sb, ')');
}

static void print_params(const tg_ast_params *ps, tg_sb *sb) {
    for (int i = 0; i < ps->n; i++) {
        print_param(&ps->items[i], sb);
    }
}

static void print_tolerance(const tg_tol *t, tg_sb *sb) {
    static const char *const names[] = {"", "exact", "abs-rel", "calc_diff", "ulp", "nmse", "gate"};
    if (t->kind == TG_TOLK_NONE) {
        return;
    }
    line(sb, 1);
    tg_sb_addf(sb, "(tol %s ", names[t->kind]);
    tg_sb_add_double(sb, t->a);
    tg_sb_addc(sb, ' ');
    tg_sb_add_double(sb, t->b);
    tg_sb_addc(sb, ')');
}

static void print_requires(const tg_expr_list *l, tg_sb *sb) {
    for (int i = 0; i < l->n; i++) {
        line(sb, 1);
        sx_two("require", l->items[i], NULL, sb);
    }
}

static void print_kernel(const tg_decl *d, tg_sb *sb) {
    print_ct_params(&d->u.kernel.ct, sb);
    print_params(&d->u.kernel.params, sb);
    for (int i = 0; i < d->u.kernel.n_tunes; i++) {
        const tg_tune *t = &d->u.kernel.tunes[i];
        line(sb, 1);
        tg_sb_addf(sb, "(tune %s ", t->name.name != NULL ? t->name.name : "?");
        sx(t->def, sb);
        tg_sb_addc(sb, ' ');
        sx_list("in", &t->values, sb);
        tg_sb_addc(sb, ')');
    }
    print_requires(&d->u.kernel.requires, sb);
    for (int i = 0; i < d->u.kernel.n_grid; i++) {
        line(sb, 1);
        tg_sb_addf(sb, "(grid %s ",
                   d->u.kernel.grid[i].name.name != NULL ? d->u.kernel.grid[i].name.name : "?");
        sx_two("extent", d->u.kernel.grid[i].extent, d->u.kernel.grid[i].by, sb);
        tg_sb_addc(sb, ')');
    }
    print_tolerance(&d->u.kernel.tol, sb);
    print_block(&d->u.kernel.body, 1, sb);
}

static void print_target(const tg_target_expr *t, tg_sb *sb) {
    line(sb, 1);
    tg_sb_addf(sb, "(for %s %s %s)", t->vendor.name != NULL ? t->vendor.name : "?",
               tg_binop_text(t->rel), t->arch.name != NULL ? t->arch.name : "-");
}

static void print_fn(const tg_decl *d, tg_sb *sb) {
    tg_sb_add(sb, d->u.fn.fast ? " fast" : "");
    print_ct_params(&d->u.fn.ct, sb);
    print_params(&d->u.fn.params, sb);
    for (int i = 0; i < d->u.fn.n_results; i++) {
        line(sb, 1);
        tg_sb_add(sb, "(result ");
        sx_type(&d->u.fn.results[i], sb);
        tg_sb_addc(sb, ')');
    }
    print_requires(&d->u.fn.requires, sb);
    if (d->u.fn.is_extern) {
        print_target(&d->u.fn.target, sb);
        tg_sb_addf(sb, " (symbol %s)", d->u.fn.symbol != NULL ? d->u.fn.symbol : "?");
    }
    print_block(&d->u.fn.body, 1, sb);
}

static void print_record(const tg_decl *d, tg_sb *sb) {
    print_ct_params(&d->u.record.ct, sb);
    for (int i = 0; i < d->u.record.n; i++) {
        const tg_field *f = &d->u.record.fields[i];
        line(sb, 1);
        if (f->kind == TG_FIELD_DATA) {
            tg_sb_addf(sb, "(field %s ", f->name.name != NULL ? f->name.name : "?");
            sx_type(&f->type, sb);
            tg_sb_addc(sb, ')');
        } else {
            sx_two(f->kind == TG_FIELD_PAD ? "pad" : "align", f->amount, NULL, sb);
        }
    }
}

static void print_schedule(const tg_decl *d, tg_sb *sb) {
    sx_ct(&d->u.schedule.ct, sb);
    print_target(&d->u.schedule.target, sb);
    if (d->u.schedule.when != NULL) {
        line(sb, 1);
        sx_two("when", d->u.schedule.when, NULL, sb);
    }
    for (int i = 0; i < d->u.schedule.n; i++) {
        line(sb, 1);
        tg_sb_addf(sb, "(set %s ",
                   d->u.schedule.sets[i].name.name != NULL ? d->u.schedule.sets[i].name.name : "?");
        sx(d->u.schedule.sets[i].value, sb);
        tg_sb_addc(sb, ')');
    }
}

static void print_example(const tg_decl *d, tg_sb *sb) {
    for (int i = 0; i < d->u.example.n; i++) {
        const tg_set *s = &d->u.example.sets[i];
        tg_sb_addf(sb, " (%s %s)", s->name.name != NULL ? s->name.name : "-", s->text);
    }
    print_tolerance(&d->u.example.tol, sb);
}

static void print_const(const tg_decl *d, tg_sb *sb) {
    tg_sb_addc(sb, ' ');
    if (d->u.constant.has_type) {
        sx_type(&d->u.constant.type, sb);
        tg_sb_addc(sb, ' ');
    }
    sx(d->u.constant.value, sb);
}

void tg_ast_print_decl(const tg_decl *d, tg_sb *sb) {
    static const char *const names[] = {"kernel",   "op",   "fn",    "record",      "const",
                                        "schedule", "case", "bench", "instantiate", "import"};
    tg_sb_addf(sb, "(%s %s", names[d->kind], d->name.name != NULL ? d->name.name : "?");
    switch (d->kind) {
    case TG_DECL_KERNEL:
    case TG_DECL_OP:
        print_kernel(d, sb);
        break;
    case TG_DECL_FN:
        print_fn(d, sb);
        break;
    case TG_DECL_RECORD:
        print_record(d, sb);
        break;
    case TG_DECL_CONST:
        print_const(d, sb);
        break;
    case TG_DECL_SCHEDULE:
        print_schedule(d, sb);
        break;
    case TG_DECL_CASE:
    case TG_DECL_BENCH:
    case TG_DECL_INSTANTIATE:
        print_example(d, sb);
        break;
    case TG_DECL_IMPORT:
        tg_sb_addf(sb, " %s", d->u.import.path != NULL ? d->u.import.path : "?");
        break;
    }
    tg_sb_add(sb, ")\n");
}

void tg_ast_print_file(const tg_file *f, tg_sb *sb) {
    for (int i = 0; i < f->n_decls; i++) {
        tg_ast_print_decl(f->decls[i], sb);
    }
}

void tg_program_print_ast(const tg_program *p, tg_sb *out) { tg_ast_print_file(p->main, out); }
