/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text form of the IR (docs/ir.md). One writer for all levels; what it writes, parse.c reads
 * back to an equal module. Values are numbered in the order they are printed, so two equal
 * functions print alike. Source positions are not part of the text.
 */
#include "ir/layout.h"
#include "ir/ir.h"

#include <string.h>

/* ---- words ---------------------------------------------------------------------------------- */

static bool is_word(const char *s) {
    if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_')) {
        return false;
    }
    for (; *s != '\0'; s++) {
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_' ||
              (*s >= '0' && *s <= '9'))) {
            return false;
        }
    }
    return true;
}

static void print_string(tg_sb *sb, const char *s) {
    tg_sb_addc(sb, '"');
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            tg_sb_addc(sb, '\\');
            tg_sb_addc(sb, (char)c);
        } else if (c == '\n') {
            tg_sb_add(sb, "\\n");
        } else if (c < 0x20 || c == 0x7f) {
            tg_sb_addf(sb, "\\x%02x", c);
        } else {
            tg_sb_addc(sb, (char)c);
        }
    }
    tg_sb_addc(sb, '"');
}

/* A name stands bare when it is an identifier, else quoted. */
static void print_name(tg_sb *sb, const char *s) {
    if (s != NULL && is_word(s)) {
        tg_sb_add(sb, s);
    } else {
        print_string(sb, s == NULL ? "" : s);
    }
}

/* ---- dimension expressions ------------------------------------------------------------------ */

typedef struct dim_form {
    const char *op;
    int level; /* binding strength; 0: written as a call */
} dim_form;

static dim_form dim_form_of(tg_dim_code code) {
    switch (code) {
    case TG_DIM_ADD:
        return (dim_form){" + ", 4};
    case TG_DIM_SUB:
        return (dim_form){" - ", 4};
    case TG_DIM_MUL:
        return (dim_form){" * ", 5};
    case TG_DIM_DIV:
        return (dim_form){" / ", 5};
    case TG_DIM_MOD:
        return (dim_form){" % ", 5};
    case TG_DIM_EQ:
        return (dim_form){" == ", 3};
    case TG_DIM_NE:
        return (dim_form){" != ", 3};
    case TG_DIM_LT:
        return (dim_form){" < ", 3};
    case TG_DIM_LE:
        return (dim_form){" <= ", 3};
    case TG_DIM_AND:
        return (dim_form){" & ", 2};
    case TG_DIM_OR:
        return (dim_form){" | ", 1};
    case TG_DIM_CDIV:
        return (dim_form){"cdiv", 0};
    case TG_DIM_MIN:
        return (dim_form){"min", 0};
    case TG_DIM_MAX:
        return (dim_form){"max", 0};
    case TG_DIM_CONST:
    case TG_DIM_SYM:
        break;
    }
    return (dim_form){"?", 0};
}

typedef struct names {
    const tg_sym *syms;
    int n_syms;
} names;

static void print_dim_at(tg_sb *sb, const tg_dim *d, const names *n, int level) {
    if (d == NULL) {
        tg_sb_add(sb, "?");
        return;
    }
    if (d->code == TG_DIM_CONST) {
        tg_sb_addf(sb, "%lld", (long long)d->value);
        return;
    }
    if (d->code == TG_DIM_SYM) {
        if (d->value >= 0 && d->value < n->n_syms) {
            print_name(sb, n->syms[d->value].name);
        } else {
            tg_sb_addf(sb, "sym(%lld)", (long long)d->value);
        }
        return;
    }
    dim_form form = dim_form_of(d->code);
    if (form.level == 0) {
        tg_sb_addf(sb, "%s(", form.op);
        print_dim_at(sb, d->a, n, 1);
        tg_sb_add(sb, ", ");
        print_dim_at(sb, d->b, n, 1);
        tg_sb_addc(sb, ')');
        return;
    }
    bool paren = form.level < level;
    if (paren) {
        tg_sb_addc(sb, '(');
    }
    /* Comparisons do not chain, so both sides of one need the next level. */
    print_dim_at(sb, d->a, n, form.level == 3 ? 4 : form.level);
    tg_sb_add(sb, form.op);
    print_dim_at(sb, d->b, n, form.level + 1);
    if (paren) {
        tg_sb_addc(sb, ')');
    }
}

static void print_dim(tg_sb *sb, const tg_dim *d, const names *n) { print_dim_at(sb, d, n, 1); }

/* ---- types ---------------------------------------------------------------------------------- */

static void print_shape(tg_sb *sb, const tg_type *t) {
    tg_sb_addc(sb, '[');
    for (int i = 0; i < t->rank; i++) {
        tg_sb_addf(sb, "%s%lld", i > 0 ? ", " : "", (long long)t->shape[i]);
    }
    tg_sb_addc(sb, ']');
}

static void print_dims(tg_sb *sb, int rank, const tg_dim *const *dims, const names *n) {
    tg_sb_addc(sb, '[');
    for (int i = 0; i < rank; i++) {
        tg_sb_add(sb, i > 0 ? ", " : "");
        print_dim(sb, dims[i], n);
    }
    tg_sb_addc(sb, ']');
}

static void print_element(tg_sb *sb, tg_dtype t, int64_t elem_bytes) {
    tg_sb_add(sb, tg_dtype_name(t));
    if (t == TG_DT_RECORD) {
        tg_sb_addf(sb, "(%lld)", (long long)elem_bytes);
    }
}

static void print_layout(tg_sb *sb, const tg_layout *l) {
    if (l != NULL) {
        tg_sb_add(sb, " @\"");
        tg_layout_print(sb, l);
        tg_sb_addc(sb, '"');
    }
}

static void print_type(tg_sb *sb, const tg_type *t, const names *n) {
    if (t == NULL) {
        tg_sb_add(sb, "?");
        return;
    }
    switch (t->kind) {
    case TG_TY_TILE:
        tg_sb_add(sb, tg_dtype_name(t->dtype));
        if (t->rank > 0) {
            print_shape(sb, t);
        }
        print_layout(sb, t->layout);
        break;
    case TG_TY_BUFFER:
        tg_sb_addf(sb, "buf<%s, %s", tg_enum_name(TG_ATTR_SPACE, t->space),
                   tg_dtype_name(t->dtype));
        print_shape(sb, t);
        tg_sb_addf(sb, ", %lld", (long long)t->depth);
        print_layout(sb, t->layout);
        tg_sb_addc(sb, '>');
        break;
    case TG_TY_TENSOR:
        tg_sb_add(sb, "tensor<");
        print_element(sb, t->dtype, t->elem_bytes);
        print_dims(sb, t->rank, t->dims, n);
        tg_sb_add(sb, t->strided ? ", strided>" : ">");
        break;
    case TG_TY_SPAN:
        tg_sb_addf(sb, "span<%lld>", (long long)t->shape[0]);
        break;
    case TG_TY_VEC:
        tg_sb_addf(sb, "vec<%s, %lld>", tg_dtype_name(t->dtype), (long long)t->shape[0]);
        break;
    case TG_TY_PTR:
        tg_sb_add(sb, "ptr");
        break;
    }
}

static names names_of(const tg_func *f) {
    return f == NULL ? (names){0} : (names){f->syms, f->n_syms};
}

void tg_type_print(tg_sb *sb, const tg_type *t, const tg_func *f) {
    names n = names_of(f);
    print_type(sb, t, &n);
}

void tg_dim_print(tg_sb *sb, const tg_dim *d, const tg_func *f) {
    names n = names_of(f);
    print_dim(sb, d, &n);
}

/* ---- operations ----------------------------------------------------------------------------- */

typedef struct printer {
    tg_sb *sb;
    names names;
    uint32_t next_id;
} printer;

static void indent(printer *p, int depth) {
    for (int i = 0; i < depth; i++) {
        tg_sb_add(p->sb, "  ");
    }
}

static void print_value(printer *p, const tg_value *v) {
    if (v == NULL) {
        tg_sb_add(p->sb, "%?");
    } else if (v->name != NULL && is_word(v->name)) {
        tg_sb_addf(p->sb, "%%%s.%u", v->name, v->id);
    } else {
        tg_sb_addf(p->sb, "%%%u", v->id);
    }
}

static void print_attr(printer *p, const tg_attr *a) {
    tg_sb_addf(p->sb, "%s = ", tg_attr_name(a->key));
    switch (tg_attr_kind(a->key)) {
    case 'b':
        tg_sb_add(p->sb, a->i != 0 ? "true" : "false");
        break;
    case 'f':
        tg_sb_add_double(p->sb, a->f);
        break;
    case 's':
        print_string(p->sb, a->s);
        break;
    case 't':
        print_type(p->sb, a->type, &p->names);
        break;
    case 'l':
        tg_sb_addc(p->sb, '[');
        for (size_t i = 0; i < a->n_list; i++) {
            tg_sb_addf(p->sb, "%s%lld", i > 0 ? ", " : "", (long long)a->list[i]);
        }
        tg_sb_addc(p->sb, ']');
        break;
    case 'e':
        if (tg_enum_name(a->key, a->i) != NULL) {
            tg_sb_add(p->sb, tg_enum_name(a->key, a->i));
            break;
        }
        tg_sb_addf(p->sb, "%lld", (long long)a->i);
        break;
    default:
        tg_sb_addf(p->sb, "%lld", (long long)a->i);
        break;
    }
}

/* In the order of the key table, whatever the order they were set in. */
static void print_attrs(printer *p, const tg_op *op) {
    if (op->n_attrs == 0) {
        return;
    }
    tg_sb_add(p->sb, " {");
    bool first = true;
    for (int key = 0; key < (int)TG_ATTR_COUNT; key++) {
        const tg_attr *a = tg_attr_get(op, (tg_attr_key)key);
        if (a != NULL) {
            tg_sb_add(p->sb, first ? "" : ", ");
            print_attr(p, a);
            first = false;
        }
    }
    tg_sb_addc(p->sb, '}');
}

static void print_region(printer *p, const tg_region *r, int depth);

static void print_op(printer *p, tg_op *op, int depth) {
    indent(p, depth);
    for (int i = 0; i < op->n_results; i++) {
        op->results[i].id = p->next_id++;
        tg_sb_add(p->sb, i > 0 ? ", " : "");
        print_value(p, &op->results[i]);
    }
    tg_sb_add(p->sb, op->n_results > 0 ? " = " : "");
    tg_sb_add(p->sb, tg_op_info_get(op->code)->name);
    for (int i = 0; i < op->n_operands; i++) {
        tg_sb_add(p->sb, i > 0 ? ", " : " ");
        print_value(p, tg_operand(op, i));
    }
    print_attrs(p, op);
    for (int i = 0; i < op->n_results; i++) {
        tg_sb_add(p->sb, i > 0 ? ", " : " : ");
        print_type(p->sb, op->results[i].type, &p->names);
    }
    for (int i = 0; i < op->n_regions; i++) {
        tg_sb_addc(p->sb, ' ');
        print_region(p, op->regions[i], depth);
    }
    tg_sb_addc(p->sb, '\n');
}

static void print_region(printer *p, const tg_region *r, int depth) {
    if (r->n_args > 0) {
        tg_sb_addc(p->sb, '(');
        for (int i = 0; i < r->n_args; i++) {
            r->args[i]->id = p->next_id++;
            tg_sb_add(p->sb, i > 0 ? ", " : "");
            print_value(p, r->args[i]);
            tg_sb_add(p->sb, ": ");
            print_type(p->sb, r->args[i]->type, &p->names);
        }
        tg_sb_add(p->sb, ") ");
    }
    if (r->first == NULL) {
        tg_sb_add(p->sb, "{}");
        return;
    }
    tg_sb_add(p->sb, "{\n");
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        print_op(p, op, depth + 1);
    }
    indent(p, depth);
    tg_sb_addc(p->sb, '}');
}

/* ---- functions ------------------------------------------------------------------------------ */

typedef struct flag_word {
    unsigned flag;
    const char *word;
} flag_word;

static const flag_word flag_words[] = {
    {TG_PARAM_OUT, "out"},         {TG_PARAM_INOUT, "inout"},   {TG_PARAM_ALIAS, "alias"},
    {TG_PARAM_STRIDED, "strided"}, {TG_PARAM_SORTED, "sorted"}, {TG_PARAM_UNIQUE, "unique"},
};

static void print_param(tg_sb *sb, const tg_param *q, const names *n) {
    tg_sb_add(sb, "  param ");
    print_name(sb, q->name);
    tg_sb_add(sb, ": ");
    print_type(sb, q->type, n);
    for (size_t i = 0; i < TG_COUNT_OF(flag_words); i++) {
        if ((q->flags & flag_words[i].flag) != 0) {
            tg_sb_addf(sb, " %s", flag_words[i].word);
        }
    }
    if ((q->flags & TG_PARAM_RANGE) != 0) {
        tg_sb_add(sb, " range(");
        print_dim(sb, q->range_lo, n);
        tg_sb_add(sb, ", ");
        print_dim(sb, q->range_hi, n);
        tg_sb_addc(sb, ')');
    }
    if ((q->flags & TG_PARAM_INIT) != 0) {
        tg_sb_add(sb, " init(");
        tg_sb_add_double(sb, q->init);
        tg_sb_addc(sb, ')');
    }
    if (q->align_bytes != 0) {
        tg_sb_addf(sb, " align(%lld)", (long long)q->align_bytes);
    }
    tg_sb_addc(sb, '\n');
}

/* What kernels and host ops share: dimension names, parameters, requirements. */
static void print_signature(tg_sb *sb, const names *n, const tg_param *params, int n_params,
                            const tg_dim *const *conditions, int n_conditions) {
    for (int i = 0; i < n->n_syms; i++) {
        tg_sb_add(sb, i == 0 ? "  syms " : ", ");
        print_name(sb, n->syms[i].name);
    }
    tg_sb_add(sb, n->n_syms > 0 ? "\n" : "");
    for (int i = 0; i < n_params; i++) {
        print_param(sb, &params[i], n);
    }
    for (int i = 0; i < n_conditions; i++) {
        tg_sb_add(sb, "  require ");
        print_dim(sb, conditions[i], n);
        tg_sb_addc(sb, '\n');
    }
}

static const char *level_name(tg_level level) {
    switch (level) {
    case TG_LEVEL_TILE:
        return "tile";
    case TG_LEVEL_PLACED:
        return "placed";
    case TG_LEVEL_LOOP:
        return "loop";
    }
    return "tile";
}

static void print_func_region(printer *p, const char *word, const tg_region *r) {
    if (r != NULL) {
        tg_sb_addf(p->sb, "  %s ", word);
        print_region(p, r, 1);
        tg_sb_addc(p->sb, '\n');
    }
}

void tg_func_print(tg_sb *sb, const tg_func *f) {
    printer p = {.sb = sb, .names = {f->syms, f->n_syms}};
    tg_sb_addf(sb, "kernel %s ", level_name(f->level));
    print_name(sb, f->name);
    tg_sb_add(sb, " {\n");
    if (f->role != NULL) {
        tg_sb_add(sb, "  role ");
        print_name(sb, f->role);
        tg_sb_addc(sb, '\n');
    }
    if (f->lanes > 0) {
        tg_sb_addf(sb, "  program lanes %lld shared %lld scratch %lld\n", (long long)f->lanes,
                   (long long)f->shared_bytes, (long long)f->scratch_bytes);
    }
    for (int i = 0; i < f->n_bindings; i++) {
        tg_sb_add(sb, "  bind ");
        print_name(sb, f->bindings[i].name);
        tg_sb_add(sb, " = ");
        print_string(sb, f->bindings[i].value);
        tg_sb_addc(sb, '\n');
    }
    print_signature(sb, &p.names, f->params, f->n_params, f->requires_, f->n_requires);
    for (int i = 0; i < f->n_grid; i++) {
        tg_sb_add(sb, "  axis ");
        print_name(sb, f->grid_names[i]);
        tg_sb_addf(sb, " by %lld\n", (long long)f->grid_by[i]);
    }
    print_func_region(&p, "grid", f->grid);
    print_func_region(&p, "body", f->body);
    tg_sb_add(sb, "}\n");
}

/* ---- host ops and modules ------------------------------------------------------------------- */

static void print_arg(tg_sb *sb, const tg_hostop *h, const tg_hostop_arg *a, const names *n) {
    switch (a->kind) {
    case TG_ARG_PARAM:
        tg_sb_add(sb, "param ");
        print_name(sb, a->index >= 0 && a->index < h->n_params ? h->params[a->index].name : "");
        break;
    case TG_ARG_TEMP:
        tg_sb_add(sb, "temp ");
        print_name(sb, a->index >= 0 && a->index < h->n_temps ? h->temps[a->index].name : "");
        break;
    case TG_ARG_DIM:
        tg_sb_add(sb, "dim ");
        print_dim(sb, a->dim, n);
        break;
    case TG_ARG_FLOAT:
        tg_sb_add(sb, "float ");
        tg_sb_add_double(sb, a->value);
        break;
    }
}

static void print_launch(tg_sb *sb, const tg_hostop *h, const tg_hostop_launch *l, const names *n) {
    tg_sb_add(sb, "  launch ");
    print_name(sb, l->kernel);
    tg_sb_addc(sb, '(');
    for (int i = 0; i < l->n_args; i++) {
        tg_sb_add(sb, i > 0 ? ", " : "");
        print_arg(sb, h, &l->args[i], n);
    }
    tg_sb_addc(sb, ')');
    if (l->when != NULL) {
        tg_sb_add(sb, " when ");
        print_dim(sb, l->when, n);
    }
    tg_sb_addc(sb, '\n');
}

static void print_hostop(tg_sb *sb, const tg_hostop *h) {
    names n = {h->syms, h->n_syms};
    tg_sb_add(sb, "hostop ");
    print_name(sb, h->name);
    tg_sb_add(sb, " {\n");
    print_signature(sb, &n, h->params, h->n_params, h->requires_, h->n_requires);
    for (int i = 0; i < h->n_temps; i++) {
        const tg_hostop_temp *t = &h->temps[i];
        tg_sb_add(sb, "  temp ");
        print_name(sb, t->name);
        tg_sb_add(sb, ": ");
        print_element(sb, t->dtype, t->elem_bytes);
        print_dims(sb, t->rank, t->dims, &n);
        tg_sb_addc(sb, '\n');
    }
    for (int i = 0; i < h->n_launches; i++) {
        print_launch(sb, h, &h->launches[i], &n);
    }
    tg_sb_add(sb, "}\n");
}

void tg_module_print(tg_sb *sb, const tg_module *m) {
    tg_sb_add(sb, "tegula-ir 1\n");
    for (const tg_func *f = m->first_func; f != NULL; f = f->next) {
        tg_sb_addc(sb, '\n');
        tg_func_print(sb, f);
    }
    for (const tg_hostop *h = m->hostops; h != NULL; h = h->next) {
        tg_sb_addc(sb, '\n');
        print_hostop(sb, h);
    }
}
