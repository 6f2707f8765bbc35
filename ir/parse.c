/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads the IR's text form (docs/ir.md), the inverse of print.c. Any bytes may come in: the first
 * thing that does not fit is reported and parsing stops; recursion is bounded. What the grammar
 * cannot say (operand types, dominance across regions) is left to the verifier. Spans of the result
 * point into the IR text.
 *
 *   text ─ lexer ─▶ tokens ─ recursive descent ─▶ module
 */
#include "ir/parse.h"

#include <string.h>

/* ---- values --------------------------------------------------------------------------------- */

static size_t name_slot(const tg_name_table *t, const char *key) {
    size_t i = (size_t)((uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u >> 20) & (t->cap - 1);
    while (t->keys[i] != NULL && t->keys[i] != key) {
        i = (i + 1) & (t->cap - 1);
    }
    return i;
}

static void name_table_grow(tg_text_parser *p) {
    tg_name_table old = p->values;
    tg_name_table t = {.cap = old.cap == 0 ? 64 : old.cap * 2, .count = old.count};
    t.keys = TG_NEW_ARRAY(p->arena, const char *, t.cap);
    t.values = TG_NEW_ARRAY(p->arena, tg_value *, t.cap);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.keys[i] != NULL) {
            size_t slot = name_slot(&t, old.keys[i]);
            t.keys[slot] = old.keys[i];
            t.values[slot] = old.values[i];
        }
    }
    p->values = t;
}

/* The interned text of a %name token, which is passed over. */
static bool parse_value_name(tg_text_parser *p, const char **out) {
    if (p->tok.kind != TOK_VALUE) {
        return tg_text_fail(p, "expected a value");
    }
    *out = tg_intern(&p->m->strings, tg_text_tok_text(p) + 1, tg_text_tok_len(p) - 1);
    tg_text_advance(p);
    return true;
}

static bool define(tg_text_parser *p, const char *name, tg_value *v) {
    if (p->values.count * 2 >= p->values.cap) {
        name_table_grow(p);
    }
    size_t slot = name_slot(&p->values, name);
    if (p->values.keys[slot] != NULL) {
        return tg_text_fail(p, tg_arena_printf(p->arena, "%%%.40s is defined twice, before", name));
    }
    p->values.keys[slot] = name;
    p->values.values[slot] = v;
    p->values.count++;
    const char *dot = strrchr(name, '.');
    if (dot != NULL && dot > name && tg_text_is_letter(name[0])) {
        size_t n = (size_t)(dot - name);
        if (memchr(name, '.', n) == NULL) {
            v->name = tg_intern(&p->m->strings, name, n);
        }
    }
    return true;
}

static tg_value *parse_use(tg_text_parser *p) {
    tg_token at_use = p->tok;
    const char *name;
    if (!parse_value_name(p, &name)) {
        return NULL;
    }
    tg_value *v = p->values.cap == 0 ? NULL : p->values.values[name_slot(&p->values, name)];
    if (v == NULL) {
        p->tok = at_use;
        tg_text_fail(p, "no such value");
    }
    return v;
}

/* ---- operations ----------------------------------------------------------------------------- */

static bool parse_attr_value(tg_text_parser *p, tg_op *op, tg_attr_key key) {
    int64_t i;
    double f;
    const char *s;
    const int64_t *list;
    size_t n;
    switch (tg_attr_kind(key)) {
    case 'b':
        if (!tg_text_at(p, "true") && !tg_text_at(p, "false")) {
            return tg_text_fail(p, "expected true or false");
        }
        tg_op_set_int(op, key, tg_text_at(p, "true"));
        tg_text_advance(p);
        return true;
    case 'f':
        if (!tg_text_f64(p, &f)) {
            return false;
        }
        tg_op_set_float(op, key, f);
        return true;
    case 's':
        if (!tg_text_string(p, &s)) {
            return false;
        }
        tg_op_set_str(op, key, s);
        return true;
    case 't': {
        const tg_type *t = tg_text_type(p);
        if (t == NULL) {
            return false;
        }
        tg_op_set_type(op, key, t);
        return true;
    }
    case 'l':
        if (!tg_text_int_list(p, &list, &n)) {
            return false;
        }
        tg_op_set_list(op, key, list, n);
        return true;
    case 'e':
        if (p->tok.kind != TOK_WORD ||
            !tg_enum_value(key, tg_text_tok_text(p), tg_text_tok_len(p), &i)) {
            return tg_text_fail(p, "not a value of this attribute");
        }
        tg_op_set_int(op, key, i);
        tg_text_advance(p);
        return true;
    default:
        if (!tg_text_i64(p, &i)) {
            return false;
        }
        tg_op_set_int(op, key, i);
        return true;
    }
}

/* Attributes begin `{ word =`; a region never does. */
static bool at_attrs(const tg_text_parser *p) {
    if (!tg_text_at(p, "{")) {
        return false;
    }
    tg_token word = tg_text_lex_at(p, p->tok.end);
    return word.kind == TOK_WORD && tg_text_token_is(p, tg_text_lex_at(p, word.end), "=");
}

/* Attribute text is read into a detached op first, since the op's types come after it. */
static bool parse_attrs(tg_text_parser *p, tg_op *holder) {
    if (!at_attrs(p)) {
        return true;
    }
    tg_text_advance(p);
    do {
        tg_attr_key key;
        if (p->tok.kind != TOK_WORD ||
            !tg_attr_from_name(tg_text_tok_text(p), tg_text_tok_len(p), &key)) {
            return tg_text_fail(p, "no such attribute");
        }
        if (tg_attr_get(holder, key) != NULL) {
            return tg_text_fail(p, "attribute given twice");
        }
        tg_text_advance(p);
        if (!tg_text_expect(p, "=") || !parse_attr_value(p, holder, key)) {
            return false;
        }
    } while (tg_text_accept(p, ","));
    return tg_text_expect(p, "}");
}

typedef struct op_text {
    TG_LIST(const char *) results;
    TG_LIST(tg_value *) operands;
    TG_LIST(const tg_type *) types;
    tg_opcode code;
    tg_op *attrs;
    tg_span span;
} op_text;

static bool parse_results(tg_text_parser *p, op_text *t) {
    if (p->tok.kind != TOK_VALUE) {
        return true;
    }
    do {
        const char *name;
        if (!parse_value_name(p, &name)) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &t->results, name);
    } while (tg_text_accept(p, ","));
    return tg_text_expect(p, "=");
}

static bool parse_op_head(tg_text_parser *p, op_text *t) {
    if (!parse_results(p, t)) {
        return false;
    }
    t->span = tg_text_tok_span(p);
    if (p->tok.kind != TOK_WORD ||
        !tg_opcode_from_name(tg_text_tok_text(p), tg_text_tok_len(p), &t->code)) {
        return tg_text_fail(p, "no such operation");
    }
    tg_text_advance(p);
    if (p->tok.kind == TOK_VALUE) {
        do {
            tg_value *v = parse_use(p);
            if (v == NULL) {
                return false;
            }
            TG_LIST_PUSH(p->arena, &t->operands, v);
        } while (tg_text_accept(p, ","));
    }
    t->attrs = tg_op_make(p->f, t->code, t->span, 0, NULL, 0, NULL, 0);
    if (!parse_attrs(p, t->attrs)) {
        return false;
    }
    if (tg_text_accept(p, ":")) {
        do {
            const tg_type *type = tg_text_type(p);
            if (type == NULL) {
                return false;
            }
            TG_LIST_PUSH(p->arena, &t->types, type);
        } while (tg_text_accept(p, ","));
    }
    if (t->types.count != t->results.count) {
        return tg_text_fail(p, "as many result types as results are needed before");
    }
    return true;
}

static bool parse_region(tg_text_parser *p, tg_region *r);

static bool parse_op(tg_text_parser *p, tg_region *into) {
    op_text t = {0};
    if (!parse_op_head(p, &t)) {
        return false;
    }
    int n_regions = tg_op_info_get(t.code)->n_regions;
    tg_op *op = tg_op_make(p->f, t.code, t.span, (int)t.operands.count, t.operands.data,
                           (int)t.results.count, t.types.data, n_regions);
    op->attrs = t.attrs->attrs;
    op->n_attrs = t.attrs->n_attrs;
    tg_op_append(into, op);
    for (int i = 0; i < n_regions; i++) {
        if (!parse_region(p, op->regions[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < t.results.count; i++) {
        if (!define(p, t.results.data[i], &op->results[i])) {
            return false;
        }
    }
    return true;
}

static bool parse_region_args(tg_text_parser *p, tg_region *r) {
    while (!tg_text_at(p, ")")) {
        const char *name = NULL;
        if ((r->n_args > 0 && !tg_text_expect(p, ",")) || !parse_value_name(p, &name) ||
            !tg_text_expect(p, ":")) {
            return false;
        }
        const tg_type *type = tg_text_type(p);
        if (type == NULL || !define(p, name, tg_region_add_arg(r, type, NULL))) {
            return false;
        }
    }
    tg_text_advance(p);
    return true;
}

static bool parse_region(tg_text_parser *p, tg_region *r) {
    if (p->depth >= TG_TEXT_MAX_DEPTH) {
        return tg_text_fail(p, "regions nested too deeply");
    }
    p->depth++;
    if ((tg_text_accept(p, "(") && !parse_region_args(p, r)) || !tg_text_expect(p, "{")) {
        return false;
    }
    while (!tg_text_accept(p, "}")) {
        if (!parse_op(p, r)) {
            return false;
        }
    }
    p->depth--;
    return true;
}

/* ---- signatures ----------------------------------------------------------------------------- */

typedef TG_LIST(tg_param) param_list;
typedef TG_LIST(tg_sym) sym_list;
typedef TG_LIST(const tg_dim *) dim_list;

typedef struct signature {
    param_list params;
    sym_list syms;
    dim_list conditions;
} signature;

typedef struct flag_word {
    unsigned flag;
    const char *word;
} flag_word;

static const flag_word flag_words[] = {
    {TG_PARAM_OUT, "out"},         {TG_PARAM_INOUT, "inout"},   {TG_PARAM_ALIAS, "alias"},
    {TG_PARAM_STRIDED, "strided"}, {TG_PARAM_SORTED, "sorted"}, {TG_PARAM_UNIQUE, "unique"},
};

static bool parse_plain_flag(tg_text_parser *p, tg_param *q) {
    for (size_t i = 0; i < TG_COUNT_OF(flag_words); i++) {
        if (tg_text_accept(p, flag_words[i].word)) {
            q->flags |= flag_words[i].flag;
            return true;
        }
    }
    return false;
}

static bool parse_range(tg_text_parser *p, tg_param *q) {
    q->flags |= TG_PARAM_RANGE;
    if (!tg_text_expect(p, "(")) {
        return false;
    }
    q->range_lo = tg_text_dim(p);
    if (q->range_lo == NULL || !tg_text_expect(p, ",")) {
        return false;
    }
    q->range_hi = tg_text_dim(p);
    return q->range_hi != NULL && tg_text_expect(p, ")");
}

static bool parse_param(tg_text_parser *p, signature *s) {
    tg_param q = {.span = tg_text_tok_span(p)};
    if (!tg_text_name(p, &q.name) || !tg_text_expect(p, ":")) {
        return false;
    }
    q.type = tg_text_type(p);
    if (q.type == NULL) {
        return false;
    }
    q.flags = q.type->kind == TG_TY_TENSOR ? TG_PARAM_TENSOR : 0;
    for (;;) {
        if (parse_plain_flag(p, &q)) {
            continue;
        }
        if (tg_text_accept(p, "range")) {
            if (!parse_range(p, &q)) {
                return false;
            }
        } else if (tg_text_accept(p, "init")) {
            q.flags |= TG_PARAM_INIT;
            if (!tg_text_expect(p, "(") || !tg_text_f64(p, &q.init) || !tg_text_expect(p, ")")) {
                return false;
            }
        } else if (tg_text_accept(p, "align")) {
            if (!tg_text_expect(p, "(") || !tg_text_i64(p, &q.align_bytes) ||
                !tg_text_expect(p, ")")) {
                return false;
            }
        } else {
            break;
        }
    }
    TG_LIST_PUSH(p->arena, &s->params, q);
    return true;
}

static bool parse_syms(tg_text_parser *p, signature *s) {
    do {
        tg_sym sym = {.span = tg_text_tok_span(p)};
        if (!tg_text_name(p, &sym.name)) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &s->syms, sym);
    } while (tg_text_accept(p, ","));
    p->syms = s->syms.data;
    p->n_syms = (int)s->syms.count;
    return true;
}

/* One line of a signature; *taken says whether it was one. */
static bool parse_signature_line(tg_text_parser *p, signature *s, bool *taken) {
    *taken = true;
    if (tg_text_accept(p, "syms")) {
        return parse_syms(p, s);
    }
    if (tg_text_accept(p, "param")) {
        return parse_param(p, s);
    }
    if (tg_text_accept(p, "require")) {
        const tg_dim *d = tg_text_dim(p);
        if (d == NULL) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &s->conditions, d);
        return true;
    }
    *taken = false;
    return true;
}

/* ---- kernels -------------------------------------------------------------------------------- */

typedef struct kernel_lists {
    signature sig;
    TG_LIST(tg_binding) bindings;
    TG_LIST(const char *) grid_names;
    TG_LIST(int64_t) grid_by;
} kernel_lists;

static bool parse_level(tg_text_parser *p, tg_level *out) {
    if (tg_text_accept(p, "tile")) {
        *out = TG_LEVEL_TILE;
    } else if (tg_text_accept(p, "placed")) {
        *out = TG_LEVEL_PLACED;
    } else if (tg_text_accept(p, "loop")) {
        *out = TG_LEVEL_LOOP;
    } else {
        return tg_text_fail(p, "expected a level: tile, placed or loop");
    }
    return true;
}

static bool parse_func_region(tg_text_parser *p, tg_region **out) {
    if (*out != NULL) {
        return tg_text_fail(p, "region given twice before");
    }
    *out = tg_region_make(p->f, NULL);
    return parse_region(p, *out);
}

static bool parse_kernel_line(tg_text_parser *p, kernel_lists *k) {
    bool taken;
    if (!parse_signature_line(p, &k->sig, &taken)) {
        return false;
    }
    if (taken) {
        return true;
    }
    if (tg_text_accept(p, "role")) {
        return tg_text_name(p, &p->f->role);
    }
    if (tg_text_accept(p, "program")) {
        return tg_text_expect(p, "lanes") && tg_text_i64(p, &p->f->lanes) &&
               tg_text_expect(p, "shared") && tg_text_i64(p, &p->f->shared_bytes) &&
               tg_text_expect(p, "scratch") && tg_text_i64(p, &p->f->scratch_bytes);
    }
    if (tg_text_accept(p, "bind")) {
        tg_binding b;
        if (!tg_text_name(p, &b.name) || !tg_text_expect(p, "=") || !tg_text_string(p, &b.value)) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &k->bindings, b);
        return true;
    }
    if (tg_text_accept(p, "axis")) {
        const char *name;
        int64_t by;
        if (!tg_text_name(p, &name) || !tg_text_expect(p, "by") || !tg_text_i64(p, &by)) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &k->grid_names, name);
        TG_LIST_PUSH(p->arena, &k->grid_by, by);
        return true;
    }
    if (tg_text_accept(p, "grid")) {
        return parse_func_region(p, &p->f->grid);
    }
    if (tg_text_accept(p, "body")) {
        return parse_func_region(p, &p->f->body);
    }
    return tg_text_fail(p, "expected a line of a kernel");
}

static bool parse_kernel(tg_text_parser *p) {
    kernel_lists k = {0};
    tg_level level = TG_LEVEL_TILE;
    const char *name;
    tg_span span = tg_text_tok_span(p);
    if (!parse_level(p, &level) || !tg_text_name(p, &name) || !tg_text_expect(p, "{")) {
        return false;
    }
    p->f = tg_func_make(p->m, name, level);
    p->f->span = span;
    p->values = (tg_name_table){0};
    p->syms = NULL;
    p->n_syms = 0;
    while (!tg_text_accept(p, "}")) {
        if (!parse_kernel_line(p, &k)) {
            return false;
        }
    }
    p->f->params = k.sig.params.data;
    p->f->n_params = (int)k.sig.params.count;
    p->f->syms = k.sig.syms.data;
    p->f->n_syms = (int)k.sig.syms.count;
    p->f->requires_ = k.sig.conditions.data;
    p->f->n_requires = (int)k.sig.conditions.count;
    p->f->bindings = k.bindings.data;
    p->f->n_bindings = (int)k.bindings.count;
    p->f->grid_names = k.grid_names.data;
    p->f->grid_by = k.grid_by.data;
    p->f->n_grid = (int)k.grid_by.count;
    return true;
}

/* ---- host ops ------------------------------------------------------------------------------- */

typedef struct hostop_lists {
    signature sig;
    TG_LIST(tg_hostop_temp) temps;
    TG_LIST(tg_hostop_launch) launches;
} hostop_lists;

static bool parse_temp(tg_text_parser *p, hostop_lists *h) {
    tg_hostop_temp t = {0};
    if (!tg_text_name(p, &t.name) || !tg_text_expect(p, ":") ||
        !tg_text_element(p, &t.dtype, &t.elem_bytes) || !tg_text_dims(p, t.dims, &t.rank)) {
        return false;
    }
    TG_LIST_PUSH(p->arena, &h->temps, t);
    return true;
}

/* The index of the parameter or temp of this name. */
static bool parse_arg_index(tg_text_parser *p, const hostop_lists *h, bool temp, int *out) {
    const char *name;
    if (!tg_text_name(p, &name)) {
        return false;
    }
    size_t n = temp ? h->temps.count : h->sig.params.count;
    for (size_t i = 0; i < n; i++) {
        if ((temp ? h->temps.data[i].name : h->sig.params.data[i].name) == name) {
            *out = (int)i;
            return true;
        }
    }
    return tg_text_fail(
        p, tg_arena_printf(p->arena, "no %s `%s` before", temp ? "temp" : "param", name));
}

static bool parse_arg(tg_text_parser *p, const hostop_lists *h, tg_hostop_arg *a) {
    if (tg_text_accept(p, "param")) {
        a->kind = TG_ARG_PARAM;
        return parse_arg_index(p, h, false, &a->index);
    }
    if (tg_text_accept(p, "temp")) {
        a->kind = TG_ARG_TEMP;
        return parse_arg_index(p, h, true, &a->index);
    }
    if (tg_text_accept(p, "dim")) {
        a->kind = TG_ARG_DIM;
        a->dim = tg_text_dim(p);
        return a->dim != NULL;
    }
    if (tg_text_accept(p, "float")) {
        a->kind = TG_ARG_FLOAT;
        return tg_text_f64(p, &a->value);
    }
    return tg_text_fail(p, "expected a launch argument");
}

static bool parse_launch(tg_text_parser *p, hostop_lists *h) {
    tg_hostop_launch l = {0};
    TG_LIST(tg_hostop_arg) args = {0};
    if (!tg_text_name(p, &l.kernel) || !tg_text_expect(p, "(")) {
        return false;
    }
    while (!tg_text_at(p, ")")) {
        tg_hostop_arg a = {.kind = TG_ARG_PARAM};
        if ((args.count > 0 && !tg_text_expect(p, ",")) || !parse_arg(p, h, &a)) {
            return false;
        }
        TG_LIST_PUSH(p->arena, &args, a);
    }
    tg_text_advance(p);
    if (tg_text_accept(p, "when")) {
        l.when = tg_text_dim(p);
        if (l.when == NULL) {
            return false;
        }
    }
    l.args = args.data;
    l.n_args = (int)args.count;
    TG_LIST_PUSH(p->arena, &h->launches, l);
    return true;
}

static bool parse_hostop_line(tg_text_parser *p, hostop_lists *h) {
    bool taken;
    if (!parse_signature_line(p, &h->sig, &taken)) {
        return false;
    }
    if (taken) {
        return true;
    }
    if (tg_text_accept(p, "temp")) {
        return parse_temp(p, h);
    }
    if (tg_text_accept(p, "launch")) {
        return parse_launch(p, h);
    }
    return tg_text_fail(p, "expected a line of a host op");
}

static bool parse_hostop(tg_text_parser *p, tg_hostop ***tail) {
    hostop_lists h = {0};
    tg_hostop *o = TG_NEW(p->arena, tg_hostop);
    o->span = tg_text_tok_span(p);
    if (!tg_text_name(p, &o->name) || !tg_text_expect(p, "{")) {
        return false;
    }
    p->syms = NULL;
    p->n_syms = 0;
    while (!tg_text_accept(p, "}")) {
        if (!parse_hostop_line(p, &h)) {
            return false;
        }
    }
    o->params = h.sig.params.data;
    o->n_params = (int)h.sig.params.count;
    o->syms = h.sig.syms.data;
    o->n_syms = (int)h.sig.syms.count;
    o->requires_ = h.sig.conditions.data;
    o->n_requires = (int)h.sig.conditions.count;
    o->temps = h.temps.data;
    o->n_temps = (int)h.temps.count;
    o->launches = h.launches.data;
    o->n_launches = (int)h.launches.count;
    **tail = o;
    *tail = &o->next;
    return true;
}

/* ---- module --------------------------------------------------------------------------------- */

static bool parse_header(tg_text_parser *p) {
    static const char magic[] = "tegula-ir ";
    size_t n = sizeof(magic) - 1;
    if (p->src->len < n || memcmp(p->src->text, magic, n) != 0) {
        return tg_text_fail(p, "expected the header line `tegula-ir 1`");
    }
    p->tok = tg_text_lex_at(p, (uint32_t)n);
    int64_t version;
    if (!tg_text_i64(p, &version)) {
        return false;
    }
    return version == 1 ? true
                        : tg_text_fail(p, "unknown version of the IR text, expected 1, before");
}

tg_status tg_module_parse(const tg_source *src, tg_arena *a, tg_sink *sink, tg_module **out) {
    tg_text_parser p = {.src = src, .arena = a, .sink = sink, .m = tg_module_make(a)};
    tg_hostop **tail = &p.m->hostops;
    *out = NULL;
    if (src->len > UINT32_MAX - 8) {
        tg_error(sink, TG_D_IR, (tg_span){0}, "the IR text is larger than 4 GiB");
        return TG_E_SOURCE;
    }
    bool ok = parse_header(&p);
    while (ok && p.tok.kind != TOK_END) {
        if (tg_text_accept(&p, "kernel")) {
            ok = parse_kernel(&p);
        } else if (tg_text_accept(&p, "hostop")) {
            ok = parse_hostop(&p, &tail);
        } else {
            ok = tg_text_fail(&p, "expected `kernel` or `hostop`");
        }
    }
    if (!ok) {
        return TG_E_SOURCE;
    }
    *out = p.m;
    return TG_OK;
}
