/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source generator: see source.h. Every value has axes, a string over i and j (grid blocks), k
 * (block of the loop around it) and d (a whole compile-time axis); axes i and j are never combined
 * along, and a value along k only by what skips absent elements, so tile extents do not show.
 */
#include "tests/random/source_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int src_below(maker *m, int n) { return (int)(gen_random(&m->rng) % (uint64_t)n); }
bool src_chance(maker *m, int percent) { return src_below(m, 100) < percent; }

void src_indent(maker *m) {
    for (int i = 0; i <= m->depth; i++) {
        tg_sb_add(&m->sb, "  ");
    }
}

static const char *dim_of(char axis) {
    return axis == 'i' ? "M" : axis == 'j' ? "N" : axis == 'k' ? "K" : "8";
}

/* ---- pool ---------------------------------------------------------------------------------------
 */

static void name_value(maker *m, value *v) {
    snprintf(v->text, sizeof v->text, "v%d", m->next_name++);
}

void src_push(maker *m, value v) {
    if (m->n < MAX_VALUES) {
        m->pool[m->n++] = v;
    }
}

/* Begins `let vN = ` for a value that is then written and pushed by the caller. */
void src_let(maker *m, value *v) {
    name_value(m, v);
    src_indent(m);
    tg_sb_addf(&m->sb, "let %s = ", v->text);
}

value *src_pick(maker *m, kind k) {
    for (int tries = 0; tries < 20; tries++) {
        value *v = &m->pool[m->n - 1 - src_below(m, src_chance(m, 60) && m->n > 6 ? 6 : m->n)];
        if (v->k == k) {
            return v;
        }
    }
    return NULL;
}

bool src_has(const value *v, char axis) { return strchr(v->axes, axis) != NULL; }

/* Appends v with new axes where `axes` has more: the language's `_`. False when v has others. */
bool src_put_as(maker *m, const value *v, const char *axes) {
    if (v->axes[0] == '\0') {
        tg_sb_add(&m->sb, v->text);
        return true;
    }
    size_t found = 0;
    for (const char *c = axes; *c != '\0'; c++) {
        found += src_has(v, *c);
    }
    if (found != strlen(v->axes)) {
        return false;
    }
    tg_sb_add(&m->sb, v->text);
    if (strcmp(v->axes, axes) != 0) {
        tg_sb_addc(&m->sb, '[');
        for (const char *c = axes; *c != '\0'; c++) {
            tg_sb_addf(&m->sb, "%s%s", c == axes ? "" : ", ", src_has(v, *c) ? ":" : "_");
        }
        tg_sb_addc(&m->sb, ']');
    }
    return true;
}

/* Union of two axis sets in the order i j k d; false when it has more than two axes. */
bool src_join_axes(const value *x, const value *y, char out[4]) {
    size_t n = 0;
    for (const char *c = "ijkd"; *c != '\0'; c++) {
        if (src_has(x, *c) || src_has(y, *c)) {
            if (n == 3) {
                return false;
            }
            out[n++] = *c;
        }
    }
    out[n] = '\0';
    return n <= 2;
}

/* ---- loads --------------------------------------------------------------------------------------
 */

static bool is_float_name(const char *t) { return t[0] == 'f' || t[0] == 'b'; }

/* Index of one axis: its block, a shifted or gathered one (then absent), or `:`. */
static void put_index(maker *m, char axis, value *r) {
    if (axis == 'd') {
        tg_sb_add(&m->sb, ":");
    } else if (src_has(r, 'k') &&
               axis != 'k') { /* rows that come and go with k cannot be carried */
        tg_sb_addf(&m->sb, "%c", axis);
    } else if (src_chance(m, 12)) {
        tg_sb_addf(&m->sb, "%c %c %d", axis, src_chance(m, 50) ? '+' : '-', 1 + src_below(m, 3));
        r->absent = true;
    } else if (src_chance(m, 12)) {
        tg_sb_addf(&m->sb, "index%c[%c]", axis, axis);
        r->absent = true;
    } else {
        tg_sb_addf(&m->sb, "%c", axis);
    }
}

static void load_input(maker *m, int p) {
    const input *in = &m->inputs[p];
    value v = {.exact = true, .bound = 8, .k = is_float_name(in->dtype) ? KIND_FLOAT : KIND_INT};
    if (strchr(in->axes, 'k') != NULL && !m->in_loop) {
        return;
    }
    if (!m->two && strchr(in->axes, 'j') != NULL) {
        return;
    }
    memcpy(v.axes, in->axes, sizeof v.axes);
    src_let(m, &v);
    tg_sb_addf(&m->sb, "x%d[", p);
    for (const char *c = in->axes; *c != '\0'; c++) {
        tg_sb_add(&m->sb, c == in->axes ? "" : ", ");
        put_index(m, *c, &v);
    }
    bool raw = v.k == KIND_FLOAT && src_chance(m, 40);
    tg_sb_addf(&m->sb, "]%s\n", raw ? "" : v.k == KIND_FLOAT ? " as f32" : " as i32");
    src_push(m, v);
}

static void load(maker *m) { load_input(m, src_below(m, m->n_inputs)); }

/* ---- expressions
 * ---------------------------------------------------------------------------------- */

static void merge(value *r, const value *x, const value *y) {
    r->absent = x->absent || y->absent;
    r->exact = x->exact && y->exact;
}

static void step_binary(maker *m) {
    static const char *const float_ops[] = {"+", "-", "*", "/"}, *const int_ops[] = {"+", "-", "*",
                                                                                     "/", "%", "&",
                                                                                     "|", "^"};
    kind k = src_chance(m, 65) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k), *y = src_pick(m, k);
    value r = {.k = k};
    if (x == NULL || y == NULL || !src_join_axes(x, y, r.axes)) {
        return;
    }
    merge(&r, x, y);
    const char *op = k == KIND_FLOAT ? float_ops[src_below(m, 4)] : int_ops[src_below(m, 8)];
    r.bound = op[0] == '*' ? x->bound * y->bound : x->bound + y->bound;
    r.exact = r.exact && op[0] != '/' && op[0] != '*' && r.bound <= 4096;
    src_let(m, &r);
    bool call = src_chance(m, 20);
    tg_sb_add(&m->sb, call ? (src_chance(m, 50) ? "min(" : "max(") : "");
    (void)src_put_as(m, x, r.axes);
    tg_sb_addf(&m->sb, call ? ", " : " %s ", op);
    (void)src_put_as(m, y, r.axes);
    tg_sb_add(&m->sb, call ? ")\n" : "\n");
    if (call) {
        r.exact = x->exact && y->exact;
        r.bound = fmax(x->bound, y->bound);
    }
    src_push(m, r);
}

/* A truth value: a comparison of two values, or of two positions (a causal mask). */
static void step_condition(maker *m) {
    value r = {.k = KIND_BOOL};
    static const char *const preds[] = {"<", "<=", ">", ">=", "==", "!="};
    if (m->two && src_chance(m, 30)) {
        memcpy(r.axes, "ij", 3);
        src_let(m, &r);
        tg_sb_addf(&m->sb, "j[_, :] <= i[:, _] + %d\n", src_below(m, 7) - 3);
        src_push(m, r);
        return;
    }
    kind k = src_chance(m, 60) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k), *y = src_pick(m, k);
    if (x == NULL || y == NULL || !src_join_axes(x, y, r.axes)) {
        return;
    }
    merge(&r, x, y);
    src_let(m, &r);
    tg_sb_add(&m->sb, "(");
    (void)src_put_as(m, x, r.axes);
    tg_sb_addf(&m->sb, k == KIND_FLOAT ? " as f32) %s (" : ") %s (", preds[src_below(m, 6)]);
    (void)src_put_as(m, y, r.axes);
    tg_sb_add(&m->sb, k == KIND_FLOAT ? " as f32)\n" : ")\n");
    src_push(m, r);
}

static void step_where(maker *m) {
    kind k = src_chance(m, 65) ? KIND_FLOAT : KIND_INT;
    const value *c = src_pick(m, KIND_BOOL), *x = src_pick(m, k), *y = src_pick(m, k);
    value r = {.k = k}, two = {.k = k};
    if (c == NULL || x == NULL || y == NULL || !src_join_axes(x, y, two.axes) ||
        !src_join_axes(&two, c, r.axes)) {
        return;
    }
    merge(&r, x, y);
    r.absent |= c->absent;
    r.bound = fmax(x->bound, y->bound);
    if (r.axes[0] != '\0' && c->axes[0] == '\0') {
        return; /* a scalar condition of tiles is an `if` */
    }
    src_let(m, &r);
    tg_sb_add(&m->sb, "where(");
    (void)src_put_as(m, c, r.axes);
    tg_sb_add(&m->sb, ", ");
    (void)src_put_as(m, x, r.axes);
    tg_sb_add(&m->sb, k == KIND_FLOAT ? " as f32, " : ", ");
    (void)src_put_as(m, y, r.axes);
    tg_sb_add(&m->sb, k == KIND_FLOAT ? " as f32)\n" : ")\n");
    src_push(m, r);
}

static void step_unary(maker *m) {
    static const char *const fns[] = {"abs(%s)", "-%s", "floor(%s as f32)",
                                      "round((%s as f32) * 0.5)", "sqrt(abs(%s) as f32)"};
    kind k = src_chance(m, 70) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k);
    if (x == NULL) {
        return;
    }
    value r = *x;
    int f = k == KIND_FLOAT ? src_below(m, 5) : src_below(m, 2);
    r.exact = x->exact && f < 4;
    src_let(m, &r);
    const char *at = strchr(fns[f], '%');
    tg_sb_addn(&m->sb, fns[f], (size_t)(at - fns[f]));
    tg_sb_add(&m->sb, x->text);
    tg_sb_addf(&m->sb, "%s\n", at + 2);
    src_push(m, r);
}

static void step_cast(maker *m) {
    static const char *const types[] = {"bf16", "f16", "f32", "f8e4m3"};
    const value *x = src_pick(m, src_chance(m, 60) ? KIND_FLOAT : KIND_INT);
    if (x == NULL) {
        return;
    }
    value r = *x;
    bool to_int = x->k == KIND_FLOAT && src_chance(m, 40);
    r.k = to_int ? KIND_INT : KIND_FLOAT;
    r.exact = false;
    src_let(m, &r);
    const char *t = to_int ? "i32" : x->k == KIND_INT ? "f32" : types[src_below(m, 4)];
    tg_sb_addf(&m->sb, "%s%s as %s\n", x->text, "", t);
    src_push(m, r);
}

/* Only away from k: what `else` fills in behind a block's end would be counted there. */
static void step_else(maker *m) {
    const value *x = src_pick(m, src_chance(m, 70) ? KIND_FLOAT : KIND_INT);
    if (x == NULL || src_has(x, 'k') || x->axes[0] == '\0') {
        return;
    }
    value r = *x;
    bool cut = !x->absent && src_chance(m, 40);
    const value *c = cut ? src_pick(m, KIND_BOOL) : NULL;
    char axes[4];
    src_let(m, &r);
    if (c != NULL && c->axes[0] != '\0' && !c->absent && src_join_axes(x, c, axes) &&
        strcmp(axes, x->axes) == 0) {
        tg_sb_addf(&m->sb, "%s if ", x->text);
        (void)src_put_as(m, c, axes);
        tg_sb_add(&m->sb, "\n");
        r.absent = true;
    } else {
        tg_sb_addf(&m->sb, "%s else %d%s\n", x->text, src_below(m, 5) - 2,
                   x->k == KIND_FLOAT ? ".0" : "");
        r.absent = false;
        r.bound = fmax(r.bound, 2);
    }
    src_push(m, r);
}

/* A float that is exact again: clamped and rounded to whole numbers. */
void src_put_tame(maker *m, const value *x) {
    if (x->exact && x->bound <= 64) {
        tg_sb_add(&m->sb, x->text);
    } else {
        tg_sb_addf(&m->sb, "round(min(max(%s as f32, -16.0), 16.0))", x->text);
    }
}

/* Along the last axis, d or k: everything there skips what is absent. */
static void step_reduce(maker *m) {
    static const char *const fns[] = {"sum", "max", "min", "argmax", "argmin", "prod"};
    const value *x = src_pick(m, src_chance(m, 65) ? KIND_FLOAT : KIND_INT);
    size_t n = x == NULL ? 0 : strlen(x->axes);
    if (n == 0 || (x->axes[n - 1] != 'd' && x->axes[n - 1] != 'k')) {
        return;
    }
    bool k = x->axes[n - 1] == 'k';
    value r = *x;
    r.axes[n - 1] = '\0';
    r.absent = n > 1 && x->absent;
    int f = src_below(m, k ? 3 : 6);
    if (k || (f == 5 && x->k == KIND_FLOAT)) {
        f = k ? 0
              : 1; /* partial results of a block are whole only when they are combined: see loops */
        if (k) {
            return;
        }
    }
    r.exact = f <= 2;
    r.bound = f == 0 ? 512 : x->bound;
    src_let(m, &r);
    tg_sb_addf(&m->sb, "%s(", fns[f]);
    if (f == 0 && x->k == KIND_FLOAT) {
        src_put_tame(m, x);
    } else {
        tg_sb_add(&m->sb, x->text);
    }
    tg_sb_addf(&m->sb, ", axis %d)\n", (int)n - 1);
    if (f == 3 || f == 4) {
        r.k = KIND_INT;
    }
    if (r.axes[0] == '\0') {
        r.absent = false;
    }
    src_push(m, r);
}

/* Scans, sorts, top-k, along d only. */
static void step_order(maker *m) {
    kind k = src_chance(m, 65) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k);
    size_t n = x == NULL ? 0 : strlen(x->axes);
    if (n == 0 || x->axes[n - 1] != 'd') {
        return;
    }
    value r = *x;
    const char *point = k == KIND_FLOAT ? ".0" : "";
    int f = src_below(m, 5);
    f = (f == 0 && k == KIND_FLOAT) || (f != 4 && x->absent) ? 2 : f;
    r.exact = r.absent = false;
    src_let(m, &r);
    switch (f) {
    case 0:
        tg_sb_addf(&m->sb, "scan(%s)\n", x->text);
        break;
    case 1:
        tg_sb_addf(&m->sb, "exscan_max(%s)\n", x->text);
        break;
    case 2:
        tg_sb_addf(&m->sb, "sort(%s else 1%s)\n", x->text, point);
        break;
    case 3:
        tg_sb_addf(&m->sb, "topk(%s, 8).v\n", x->text);
        break;
    default:
        tg_sb_addf(&m->sb, "sort_desc(%s else 0%s)\n", x->text, point);
        break;
    }
    src_push(m, r);
}

/* ---- loops --------------------------------------------------------------------------------------
 */

typedef struct carried {
    char name[8], axes[4];
    kind k;
    int how; /* 0 sum of a product, 1 sum, 2 max, 3 min, 4 count, 5 sum of an integer product */
} carried;

static const char *extent_of(char axis) {
    return axis == 'i' ? "BM" : axis == 'j' ? "BN" : axis == 'k' ? "BK" : "8";
}

void src_put_shape(maker *m, const char *axes) {
    for (const char *c = axes; *c != '\0'; c++) {
        tg_sb_addf(&m->sb, "%s%s", c == axes ? "[" : ", ", extent_of(*c));
    }
    tg_sb_add(&m->sb, axes[0] != '\0' ? "]" : "");
}

static void declare(maker *m, carried *c) {
    snprintf(c->name, sizeof c->name, "a%d", m->next_name++);
    c->how = m->two && src_chance(m, 35) ? (src_chance(m, 25) ? 5 : 0) : 1 + src_below(m, 4);
    bool product = c->how == 0 || c->how == 5;
    c->k = c->how >= 4 ? KIND_INT : c->how == 0 || src_chance(m, 70) ? KIND_FLOAT : KIND_INT;
    memcpy(c->axes, product ? "ij" : src_chance(m, 70) || !m->two ? "i" : "j", 2);
    c->axes[product ? 2 : 1] = '\0';
    src_indent(m);
    bool extreme = c->how == 2 || c->how == 3;
    tg_sb_addf(&m->sb, "var %s = %s %s", c->name, extreme ? "full" : "zeros",
               c->k == KIND_FLOAT ? "f32" : "i32");
    src_put_shape(m, c->axes);
    if (extreme) {
        tg_sb_addf(&m->sb, " = %s", c->how == 2 ? "-100" : "100");
        tg_sb_add(&m->sb, c->k == KIND_FLOAT ? ".0" : "");
    }
    tg_sb_addc(&m->sb, '\n');
}

/* A value of these axes in the pool, or loaded now; NULL when no input has them. */
static const value *with_axes(maker *m, kind k, const char *axes) {
    for (int p = 0; p < m->n_inputs && src_chance(m, 70); p++) {
        if (strcmp(m->inputs[p].axes, axes) == 0 &&
            is_float_name(m->inputs[p].dtype) == (k == KIND_FLOAT)) {
            load_input(m, p);
        }
    }
    for (int i = m->n - 1; i >= 0; i--) {
        if (m->pool[i].k == k && strcmp(m->pool[i].axes, axes) == 0 && src_chance(m, 60)) {
            return &m->pool[i];
        }
    }
    return NULL;
}

static void update(maker *m, const carried *c) {
    char axes[4] = {c->axes[0], 'k', '\0'};
    if (c->how == 0) {
        const value *x = with_axes(m, KIND_FLOAT, "ik"), *y = with_axes(m, KIND_FLOAT, "jk");
        if (x == NULL || y == NULL || !x->exact || !y->exact || x->bound > 16 || y->bound > 16) {
            return;
        }
        bool cast = src_chance(m, 50); /* both sides of one type */
        src_indent(m);
        tg_sb_addf(&m->sb,
                   cast ? "%s += (%s as bf16) @ (%s as bf16).T\n"
                        : "%s += (%s as f32) @ (%s as f32).T\n",
                   c->name, x->text, y->text);
        return;
    }
    if (c->how == 5) {
        static const char *const types[] = {"i16", "u16", "i8", "i32", "u8"};
        const value *x = with_axes(m, KIND_INT, "ik"), *y = with_axes(m, KIND_INT, "jk");
        const char *t = types[src_below(m, 5)];
        if (x != NULL && y != NULL) {
            src_indent(m);
            tg_sb_addf(&m->sb, "%s += ((%s as %s) @ (%s as %s).T) as i32\n", c->name, x->text, t,
                       y->text, t);
        }
        return;
    }
    const value *x = with_axes(m, c->k == KIND_INT && c->how == 4 ? KIND_FLOAT : c->k, axes);
    if (x == NULL) {
        return;
    }
    const char *f = c->how == 2 ? "max" : "min";
    src_indent(m);
    if (c->how == 4) {
        tg_sb_addf(&m->sb, "%s += count(%s, axis 1)\n", c->name, x->text);
    } else if (c->how == 1) {
        tg_sb_addf(&m->sb, "%s += sum(", c->name);
        if (c->k == KIND_FLOAT) {
            src_put_tame(m, x);
        } else {
            tg_sb_add(&m->sb, x->text);
        }
        tg_sb_add(&m->sb, ", axis 1)\n");
    } else {
        tg_sb_addf(&m->sb, "%s = %s(%s, %s(%s%s, axis 1))\n", c->name, f, c->name, f, x->text,
                   c->k == KIND_FLOAT ? " as f32" : "");
    }
}

static void step_loop(maker *m) {
    carried c[3];
    int n = 1 + src_below(m, 3), mark = m->n;
    if (m->in_loop) {
        return;
    }
    for (int i = 0; i < n; i++) {
        declare(m, &c[i]);
    }
    src_indent(m);
    if (src_chance(m, 25)) {
        tg_sb_addf(&m->sb, "for k: %d .. min(K, %d) by BK {\n", src_below(m, 4),
                   4 + src_below(m, 30));
    } else {
        tg_sb_add(&m->sb, "for k: K by BK {\n");
    }
    m->depth++;
    m->in_loop = true;
    int steps = 4 + src_below(m, 6);
    for (int i = 0; i < steps; i++) {
        if (src_chance(m, 50)) {
            load(m);
        } else {
            src_step(m);
        }
    }
    for (int i = 0; i < n; i++) {
        update(m, &c[i]);
    }
    m->in_loop = false;
    m->depth--;
    src_indent(m);
    tg_sb_add(&m->sb, "}\n");
    m->n = mark;
    for (int i = 0; i < n; i++) {
        value v = {.k = c[i].k, .exact = true, .bound = 60000};
        memcpy(v.text, c[i].name, sizeof c[i].name);
        memcpy(v.axes, c[i].axes, sizeof v.axes);
        src_push(m, v);
    }
}

void src_step(maker *m) {
    static void (*const steps[])(maker *) = {
        load,       load,          step_binary,   step_binary,  step_binary, step_condition,
        step_where, step_unary,    step_cast,     step_else,    step_reduce, step_order,
        step_loop,  src_step_more, src_step_more, src_step_more};
    steps[src_below(m, (int)TG_COUNT_OF(steps))](m);
}

/* ---- the program
 * ---------------------------------------------------------------------------------- */

static void add_inputs(maker *m) {
    static const char *const two[] = {"ij", "ik", "jk", "i", "j", "k", "id", "jd"}, *const one[] = {
                                                                                        "i",  "id",
                                                                                        "ik", "k",
                                                                                        "id", "d",
                                                                                        "ik", "id"};
    static const char *const types[] = {"f32", "f32",    "bf16", "f16",   "i32",
                                        "i8",  "f8e4m3", "u8",   "f8e5m2"};
    m->n_inputs = 4 + src_below(m, 4);
    for (int p = 0; p < m->n_inputs; p++) {
        const char *axes = (m->two ? two : one)[p < 3 ? p : src_below(m, 8)];
        memcpy(m->inputs[p].axes, axes, strlen(axes) + 1);
        m->inputs[p].dtype = types[src_below(m, 9)];
    }
}

static void put_signature(maker *m, const char *out_axes, int n_out, const char *const *out_types) {
    src_put_declarations(m);
    tg_sb_add(&m->sb, "kernel r(size: i8[M, N], ksize: i8[K]");
    src_put_more_params(m);
    for (int p = 0; p < m->n_inputs; p++) {
        tg_sb_addf(&m->sb, ", x%d: %s[", p, m->inputs[p].dtype);
        for (const char *c = m->inputs[p].axes; *c != '\0'; c++) {
            tg_sb_addf(&m->sb, "%s%s", c == m->inputs[p].axes ? "" : ", ", dim_of(*c));
        }
        tg_sb_addc(&m->sb, ']');
    }
    tg_sb_add(&m->sb, ", indexi: i32[M], indexj: i32[N], indexk: i32[K]");
    for (int o = 0; o < n_out; o++) {
        tg_sb_addf(&m->sb, ", out y%d: %s[", o, out_types[o]);
        for (const char *c = out_axes; *c != '\0'; c++) {
            tg_sb_addf(&m->sb, "%s%s", c == out_axes ? "" : ", ", dim_of(*c));
        }
        tg_sb_addc(&m->sb, ']');
    }
    tg_sb_add(&m->sb, ")\n  tune BM = 4, BN = 8, BK = 4\n");
    tg_sb_add(&m->sb, m->two ? "  grid i: M by BM, j: N by BN\n{\n" : "  grid i: M by BM\n{\n");
}

/* y[..] = the newest value that can be stretched to the output's axes. */
static void put_store(maker *m, int o, const char *axes, const char *type) {
    bool is_float = is_float_name(type);
    const value *best = NULL;
    char joined[4];
    value like = {0};
    memcpy(like.axes, axes, strlen(axes) + 1);
    for (int i = m->n - 1, skip = src_below(m, 4); i >= 0; i--) {
        const value *v = &m->pool[i];
        if (v->k == (is_float ? KIND_FLOAT : KIND_INT) && src_join_axes(v, &like, joined) &&
            strcmp(joined, axes) == 0 && v->axes[0] != '\0') {
            best = v;
            if (skip-- <= 0) {
                break;
            }
        }
    }
    src_indent(m);
    tg_sb_addf(&m->sb, "y%d[", o);
    for (const char *c = axes; *c != '\0'; c++) {
        tg_sb_addf(&m->sb, "%s%s", c == axes ? "" : ", ", *c == 'd' ? ":" : *c == 'i' ? "i" : "j");
    }
    tg_sb_add(&m->sb, "] = ");
    const char *zero = is_float ? "0.0" : "0";
    if (best == NULL) {
        tg_sb_addf(&m->sb, "full %s", type);
        src_put_shape(m, axes);
        tg_sb_addf(&m->sb, " = %s\n", zero);
        return;
    }
    bool stretch = strcmp(best->axes, axes) != 0;
    if (stretch) {
        tg_sb_addf(&m->sb, "((zeros %s", is_float ? "f32" : "i32");
        src_put_shape(m, axes);
        tg_sb_addf(&m->sb, ") + ");
    }
    tg_sb_add(&m->sb, "(");
    (void)src_put_as(m, best, axes);
    if (best->absent) {
        tg_sb_addf(&m->sb, " else %s", zero);
    }
    tg_sb_addf(&m->sb, stretch ? ")) as %s\n" : ") as %s\n", type);
}

const char *source_make(uint64_t seed, tg_arena *a) {
    static const char *const types[] = {"f32", "i32", "bf16", "f32", "i32", "f16"};
    maker *m = TG_NEW(a, maker);
    m->rng = seed * 0x9E3779B97F4A7C15u + 7;
    tg_sb_init(&m->sb, a);
    m->two = src_chance(m, 60);
    m->has_records = src_chance(m, 30);
    m->has_state = src_chance(m, 40);
    m->has_counts = src_chance(m, 30);
    const char *out_axes = m->two ? "ij" : src_chance(m, 50) ? "id" : "i";
    const char *out_types[3];
    int n_out = 1 + src_below(m, 3);
    for (int o = 0; o < n_out; o++) {
        out_types[o] = types[src_below(m, 6)];
    }
    add_inputs(m);
    put_signature(m, out_axes, n_out, out_types);
    for (int tries = 0; m->n < 4 && tries < 50; tries++) {
        load(m);
    }
    int steps = 8 + src_below(m, 16);
    for (int i = 0; i < steps && m->n > 0; i++) {
        src_step(m);
    }
    for (int o = 0; o < n_out; o++) {
        put_store(m, o, out_axes, out_types[o]);
    }
    tg_sb_add(&m->sb, "}\n");
    return m->sb.data;
}
