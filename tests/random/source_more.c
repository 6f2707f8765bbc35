/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More statements of the source generator (source.c): records, state that is read and written,
 * atomics, `while`, branches with stores, functions, reshapes, local gathers. As there, nothing may
 * depend on how the axes are cut into blocks.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tests/random/source_internal.h"

void src_put_declarations(maker *m) {
    tg_sb_add(&m->sb, "fn low(x, by = 3.0) { return min(x, by) }\n"
                      "fn twice(x, y) { return x + x, y - x }\n"
                      "fn fold_int(a, x) { return a * 3 + x }\n"
                      "fn fold_float(a, x) { return max(a - 1.0, x) }\n");
    if (m->has_records) {
        tg_sb_add(&m->sb,
                  "record Inner { q: u4[8]; r: f4e2m1[8]; s: f8e4m3 }\n"
                  "record Row { a: f32[8]; n: i32; in: Inner; b: bf16[2, 8]; c: i8; align 8 }\n");
    }
}

void src_put_more_params(maker *m) {
    tg_sb_add(&m->sb, m->has_records ? ", rec: Row[M]" : "");
    tg_sb_add(&m->sb, !m->has_state ? ""
                      : m->two      ? ", inout st: f32[M, N]"
                                    : ", inout st: f32[M, 8]");
    tg_sb_add(&m->sb, m->has_counts ? ", inout cnt: i32[7]" : "");
    tg_sb_add(&m->sb, ", scale: f32, shift: i32");
}

/* ---- records ------------------------------------------------------------------------------------
 */

static void step_record(maker *m) {
    static const struct {
        const char *path, *axes, *as;
        kind k;
        double bound;
    } fields[] = {{"a", "id", "", KIND_FLOAT, 8},
                  {"n", "i", "", KIND_INT, 0},
                  {"in.q", "id", " as i32", KIND_INT, 0},
                  {"in.r", "id", " as f32", KIND_FLOAT, 8},
                  {"in.s", "i", " as f32", KIND_FLOAT, 8},
                  {"c", "i", " as i32", KIND_INT, 0},
                  {"b[1, :]", "id", " as f32", KIND_FLOAT, 8}};
    if (!m->has_records || m->in_loop) {
        return;
    }
    int f = src_below(m, 7);
    value r = {.k = fields[f].k, .exact = true, .bound = fields[f].bound};
    memcpy(r.axes, fields[f].axes, strlen(fields[f].axes) + 1);
    src_let(m, &r);
    const char *at = src_chance(m, 70) ? "i" : src_chance(m, 50) ? "i + 1" : "indexi[i]";
    r.absent = at[1] != '\0';
    tg_sb_addf(&m->sb, "rec[%s].%s%s\n", at, fields[f].path, fields[f].as);
    src_push(m, r);
}

/* ---- state and branches -------------------------------------------------------------------------
 */

/* A float value over exactly these axes. */
static const value *float_over(maker *m, const char *axes) {
    for (int tries = 0; tries < 12; tries++) {
        const value *v = src_pick(m, KIND_FLOAT);
        if (v != NULL && strcmp(v->axes, axes) == 0) {
            return v;
        }
    }
    return NULL;
}

static void put_state(maker *m) { tg_sb_add(&m->sb, m->two ? "st[i, j]" : "st[i, :]"); }

static void put_state_store(maker *m, const value *v, int constant) {
    src_indent(m);
    put_state(m);
    if (v == NULL) {
        tg_sb_addf(&m->sb, " = %d.0\n", constant);
    } else if (v->absent && src_chance(m, 40)) {
        tg_sb_addf(&m->sb, " = (%s as f32) if exists(%s)\n", v->text, v->text);
    } else {
        tg_sb_addf(&m->sb, src_chance(m, 30) ? " += (%s%s) as f32\n" : " = (%s%s) as f32\n",
                   v->text, v->absent ? " else 1" : "");
    }
}

/* A scalar truth value that is the same in every program. */
static void put_uniform(maker *m) {
    static const char *const conditions[] = {"indexi[0] > 2",          "M > N",
                                             "(shift & 1) == 0",       "scale < 0.0",
                                             "shift % 3 == 1",         "(K > 5) & (N < 20)",
                                             "(M < 9) | (scale > 1.0)"};
    tg_sb_add(&m->sb, conditions[src_below(m, 7)]);
}

static void step_state(maker *m) {
    const char *axes = m->two ? "ij" : "id";
    if (!m->has_state || m->in_loop) {
        return;
    }
    if (src_chance(m, 40)) {
        value r = {.k = KIND_FLOAT};
        memcpy(r.axes, axes, 3);
        src_let(m, &r);
        put_state(m);
        tg_sb_addc(&m->sb, '\n');
        src_push(m, r);
        return;
    }
    const value *v = float_over(m, axes);
    if (src_chance(m, 50)) {
        put_state_store(m, v, src_below(m, 5));
        return;
    }
    src_indent(m);
    tg_sb_add(&m->sb, "if ");
    put_uniform(m);
    tg_sb_add(&m->sb, " {\n");
    m->depth++;
    put_state_store(m, v, src_below(m, 5));
    m->depth--;
    src_indent(m);
    if (src_chance(m, 50)) {
        tg_sb_add(&m->sb, "} else {\n");
        m->depth++;
        put_state_store(m, float_over(m, axes), src_below(m, 5));
        m->depth--;
        src_indent(m);
    }
    tg_sb_add(&m->sb, "}\n");
}

/* A variable that a runtime branch changes. */
static void step_branch(maker *m) {
    kind k = src_chance(m, 65) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k), *y = src_pick(m, k);
    if (m->in_loop || x == NULL || y == NULL || strcmp(x->axes, y->axes) != 0 ||
        x->axes[0] == '\0') {
        return;
    }
    value r = {.k = k, .absent = x->absent || y->absent};
    memcpy(r.axes, x->axes, sizeof r.axes);
    const char *t = k == KIND_FLOAT ? "f32" : "i32";
    snprintf(r.text, sizeof r.text, "b%d", m->next_name++);
    src_indent(m);
    tg_sb_addf(&m->sb, "var %s = %s as %s\n", r.text, x->text, t);
    src_indent(m);
    tg_sb_add(&m->sb, "if ");
    put_uniform(m);
    tg_sb_addf(&m->sb, " { %s = %s as %s }", r.text, y->text, t);
    if (src_chance(m, 40)) {
        tg_sb_addf(&m->sb, " else { %s = %s + %s }", r.text, r.text, k == KIND_FLOAT ? "1.0" : "1");
    }
    tg_sb_add(&m->sb, "\n");
    src_push(m, r);
}

/* ---- atomics ------------------------------------------------------------------------------------
 */

/* Every element once, whatever the blocks: the value runs along all axes of the grid. */
static void step_atomic(maker *m) {
    const value *v = src_pick(m, KIND_INT);
    bool all = v != NULL && src_has(v, 'i') && (!m->two || src_has(v, 'j')) && !src_has(v, 'k');
    if (!m->has_counts || m->in_loop || !all) {
        return;
    }
    bool line = strlen(v->axes) == 1;
    src_indent(m); /* i - i: only where there is such a position */
    tg_sb_addf(&m->sb, "atomic add(cnt[((%s + (i - i)%s%s) & 15) - 2], %d)\n", v->text,
               line ? "" : "[:, _]", m->two ? " + (j - j)[_, :]" : "", 1 + src_below(m, 3));
}

/* ---- while --------------------------------------------------------------------------------------
 */

static void step_while(maker *m) {
    const value *x = src_pick(m, KIND_FLOAT);
    if (m->in_loop || x == NULL || x->axes[0] == '\0' || src_has(x, 'k')) {
        return;
    }
    value r = {.k = KIND_FLOAT};
    memcpy(r.axes, x->axes, sizeof r.axes);
    int n = m->next_name++, turns = 1 + src_below(m, 5);
    snprintf(r.text, sizeof r.text, "w%d", n);
    src_indent(m);
    tg_sb_addf(&m->sb, "var %s = (%s else 2) as f32, n%d = 0\n", r.text, x->text, n);
    src_indent(m);
    tg_sb_addf(&m->sb, "while (n%d < %d)", n, turns);
    if (src_chance(m, 40)) {
        tg_sb_addf(&m->sb, " & (shift > n%d * 2)", n);
    }
    tg_sb_addf(&m->sb, " max %d {\n", turns + src_below(m, 3));
    m->depth++;
    src_indent(m);
    tg_sb_addf(&m->sb, "n%d += 1\n", n);
    src_indent(m);
    static const char *const forms[] = {"%s = where(%s > 1.0, %s * 0.5, %s + 0.75)\n",
                                        "%s = low(%s + 1.0) + max(%s, %s) * 0.25\n"};
    tg_sb_addf(&m->sb, forms[src_below(m, 2)], r.text, r.text, r.text, r.text);
    m->depth--;
    src_indent(m);
    tg_sb_add(&m->sb, "}\n");
    src_push(m, r);
}

/* ---- shapes and functions -----------------------------------------------------------------------
 */

/* Rearranges the 8 elements along d. */
static void step_shuffle(maker *m) {
    static const char *const forms[] = {"%s.reshape[%s, 2, 4].permute[0, 2, 1].reshape[%s, 8]\n",
                                        "concat(%s[:, 4:8], %s[:, 0:4], axis 1)\n",
                                        "%s[:, iota(8) ^ 3]\n", "%s[:, (iota(8) * 5) %% 11]\n",
                                        "%s.T.T\n"};
    kind k = src_chance(m, 65) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k);
    if (x == NULL || strlen(x->axes) != 2 || x->axes[1] != 'd' || src_has(x, 'k')) {
        return;
    }
    value r = *x;
    int f = src_below(m, 5);
    const char *rows = x->axes[0] == 'i' ? "BM" : "BN";
    r.absent = x->absent || f == 2 || f == 3; /* bounds of these are not seen */
    src_let(m, &r);
    if (f == 0) {
        tg_sb_addf(&m->sb, forms[0], x->text, rows, rows);
    } else {
        tg_sb_addf(&m->sb, forms[f], x->text, x->text);
    }
    src_push(m, r);
}

/* Folds and selections along d. */
static void step_along(maker *m) {
    kind k = src_chance(m, 65) ? KIND_FLOAT : KIND_INT;
    const value *x = src_pick(m, k);
    if (x == NULL || strlen(x->axes) != 2 || x->axes[1] != 'd') {
        return;
    }
    value r = {.k = k, .absent = x->absent};
    r.axes[0] = x->axes[0];
    int f = src_below(m, 4);
    src_let(m, &r);
    switch (f) {
    case 0:
        tg_sb_addf(&m->sb,
                   k == KIND_FLOAT ? "reduce(%s as f32, fold_float, 0.0, axis 1)\n"
                                   : "reduce(%s, fold_int, 1, axis 1)\n",
                   x->text);
        break;
    case 1:
        tg_sb_addf(&m->sb, "max(topk(%s, 3).v, axis 1)\n", x->text);
        r.absent = true;
        break;
    case 2:
        tg_sb_addf(&m->sb, "%s(topk(%s if (%s != %s), 2).i, axis 1)\n",
                   src_chance(m, 50) ? "max" : "min", x->text, x->text,
                   k == KIND_FLOAT ? "0.5" : "1");
        r.k = KIND_INT;
        r.absent = true;
        break;
    default:
        tg_sb_addf(&m->sb, "count(%s if (%s > %s), axis 1)\n", x->text, x->text,
                   k == KIND_FLOAT ? "0.0" : "0");
        r.k = KIND_INT;
        break;
    }
    src_push(m, r);
}

static void step_function(maker *m) {
    const value *x = src_pick(m, KIND_FLOAT);
    if (x == NULL) {
        return;
    }
    value r = *x;
    r.exact = false;
    src_let(m, &r);
    if (src_chance(m, 60)) {
        tg_sb_addf(&m->sb, "low(%s as f32, by = %d.5)\n", x->text, src_below(m, 5));
    } else {
        tg_sb_addf(&m->sb, "twice(%s as f32, scale)[%d]\n", x->text, src_below(m, 2));
    }
    src_push(m, r);
}

/* A product over d: x[i, d] @ y[j, d].T. */
static void step_product(maker *m) {
    const value *x = NULL, *y = NULL;
    for (int i = 0; i < m->n && m->two; i++) {
        const value *v = &m->pool[i];
        bool fits = v->k == KIND_FLOAT && v->exact && v->bound <= 16 && strlen(v->axes) == 2 &&
                    v->axes[1] == 'd';
        x = fits && v->axes[0] == 'i' && src_chance(m, 60) ? v : x;
        y = fits && v->axes[0] == 'j' && src_chance(m, 60) ? v : y;
    }
    if (x == NULL || y == NULL || m->in_loop) {
        return;
    }
    value r = {.k = KIND_FLOAT, .absent = true, .exact = true, .bound = 2048};
    memcpy(r.axes, "ij", 3);
    src_let(m, &r);
    const char *t = x->absent || y->absent || src_chance(m, 50) ? "f32" : "f16";
    tg_sb_addf(&m->sb, "(%s as %s%s) @ (%s as %s%s).T\n", x->text, t, x->absent ? " else 0.0" : "",
               y->text, t, y->absent ? " else 0.0" : "");
    src_push(m, r);
}

void src_step_more(maker *m) {
    static void (*const steps[])(maker *) = {
        step_record, step_record, step_state,   step_state, step_state,    step_branch,
        step_atomic, step_while,  step_shuffle, step_along, step_function, step_product};
    size_t before = m->sb.len;
    for (int tries = 0; tries < 6 && m->sb.len == before; tries++) {
        steps[src_below(m, (int)TG_COUNT_OF(steps))](m);
    }
}
