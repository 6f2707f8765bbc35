/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dimension expressions: integer arithmetic over the runtime dimension names of a kernel. They are
 * interned, and sums and products are brought to one normal form on the way in, so that `M + 1` and
 * `1 + M` are one pointer: a sum is a list of coefficient * atom ordered structurally plus a
 * constant. Arithmetic wraps at 64 bits, which keeps the reordering exact.
 */
#include "ir/ir.h"

#include <string.h>

/* Beyond this many terms a sum is kept as written; equality then may be missed, never invented. */
#define MAX_TERMS 24

typedef struct term {
    int64_t coef;
    const tg_dim *atom;
} term;

typedef struct sum {
    term terms[MAX_TERMS];
    int n;
    int64_t constant;
    bool overflow; /* too many terms */
} sum;

/* ---- interning ------------------------------------------------------------------------------ */

static uint64_t dim_hash(const tg_dim *d) {
    uint64_t key[4] = {(uint64_t)d->code, (uint64_t)d->value, (uint64_t)(uintptr_t)d->a,
                       (uint64_t)(uintptr_t)d->b};
    return tg_hash_bytes(key, sizeof(key), 0);
}

static void dim_table_grow(tg_module *m) {
    size_t cap = m->dim_cap == 0 ? 64 : m->dim_cap * 2;
    const tg_dim **table = TG_NEW_ARRAY(m->arena, const tg_dim *, cap);
    for (size_t i = 0; i < m->dim_cap; i++) {
        if (m->dim_table[i] != NULL) {
            size_t at = (size_t)dim_hash(m->dim_table[i]) & (cap - 1);
            while (table[at] != NULL) {
                at = (at + 1) & (cap - 1);
            }
            table[at] = m->dim_table[i];
        }
    }
    m->dim_table = table;
    m->dim_cap = cap;
}

static const tg_dim *dim_intern(tg_module *m, tg_dim_code code, int64_t value, const tg_dim *a,
                                const tg_dim *b) {
    if (m->n_dims * 2 >= m->dim_cap) {
        dim_table_grow(m);
    }
    tg_dim key = {.code = code, .value = value, .a = a, .b = b};
    size_t at = (size_t)dim_hash(&key) & (m->dim_cap - 1);
    for (; m->dim_table[at] != NULL; at = (at + 1) & (m->dim_cap - 1)) {
        const tg_dim *d = m->dim_table[at];
        if (d->code == code && d->value == value && d->a == a && d->b == b) {
            return d;
        }
    }
    tg_dim *d = TG_NEW(m->arena, tg_dim);
    *d = key;
    m->dim_table[at] = d;
    m->n_dims++;
    return d;
}

const tg_dim *tg_dim_const(tg_module *m, int64_t v) {
    return dim_intern(m, TG_DIM_CONST, v, NULL, NULL);
}

const tg_dim *tg_dim_sym(tg_module *m, int index) {
    return dim_intern(m, TG_DIM_SYM, index, NULL, NULL);
}

/* Structural order, independent of addresses, so that output is the same on every run. Constants
 * come last, where people write them. */
static int dim_compare(const tg_dim *a, const tg_dim *b) {
    if (a == b) {
        return 0;
    }
    if ((a->code == TG_DIM_CONST) != (b->code == TG_DIM_CONST)) {
        return a->code == TG_DIM_CONST ? 1 : -1;
    }
    if (a->code != b->code) {
        return a->code < b->code ? -1 : 1;
    }
    if (a->code == TG_DIM_CONST || a->code == TG_DIM_SYM) {
        return a->value < b->value ? -1 : 1;
    }
    int c = dim_compare(a->a, b->a);
    return c != 0 ? c : dim_compare(a->b, b->b);
}

/* ---- evaluation ----------------------------------------------------------------------------- */

static int64_t dim_apply(tg_dim_code code, int64_t a, int64_t b) {
    switch (code) {
    case TG_DIM_CONST:
    case TG_DIM_SYM:
        return 0;
    case TG_DIM_ADD:
        return (int64_t)((uint64_t)a + (uint64_t)b);
    case TG_DIM_SUB:
        return (int64_t)((uint64_t)a - (uint64_t)b);
    case TG_DIM_MUL:
        return (int64_t)((uint64_t)a * (uint64_t)b);
    case TG_DIM_DIV:
        return tg_div_i64(a, b);
    case TG_DIM_CDIV:
        return tg_cdiv_i64(a, b);
    case TG_DIM_MOD:
        return tg_mod_i64(a, b);
    case TG_DIM_MIN:
        return tg_min_i64(a, b);
    case TG_DIM_MAX:
        return tg_max_i64(a, b);
    case TG_DIM_EQ:
        return a == b;
    case TG_DIM_NE:
        return a != b;
    case TG_DIM_LT:
        return a < b;
    case TG_DIM_LE:
        return a <= b;
    case TG_DIM_AND:
        return a != 0 && b != 0;
    case TG_DIM_OR:
        return a != 0 || b != 0;
    }
    return 0;
}

int64_t tg_dim_eval(const tg_dim *d, const int64_t *syms) {
    if (d->code == TG_DIM_CONST) {
        return d->value;
    }
    if (d->code == TG_DIM_SYM) {
        return syms[d->value];
    }
    return dim_apply(d->code, tg_dim_eval(d->a, syms), tg_dim_eval(d->b, syms));
}

void tg_dim_encode(tg_sb *sb, const tg_dim *d) {
    if (d->code == TG_DIM_CONST) {
        tg_sb_addc(sb, (char)TG_DIM_CONST);
        for (int i = 0; i < 8; i++) {
            tg_sb_addc(sb, (char)(unsigned char)((uint64_t)d->value >> (8 * i)));
        }
        return;
    }
    if (d->code == TG_DIM_SYM) {
        tg_sb_addc(sb, (char)TG_DIM_SYM);
        tg_sb_addc(sb, (char)(unsigned char)((uint64_t)d->value & 0xff));
        tg_sb_addc(sb, (char)(unsigned char)((uint64_t)d->value >> 8 & 0xff));
        return;
    }
    tg_dim_encode(sb, d->a);
    tg_dim_encode(sb, d->b);
    tg_sb_addc(sb, (char)d->code);
}

/* ---- normal form of sums -------------------------------------------------------------------- */

static int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }

static void sum_term(sum *s, const tg_dim *atom, int64_t coef) {
    for (int i = 0; i < s->n; i++) {
        if (s->terms[i].atom == atom) {
            s->terms[i].coef = wrap_add(s->terms[i].coef, coef);
            return;
        }
    }
    if (s->n == MAX_TERMS) {
        s->overflow = true;
        return;
    }
    s->terms[s->n++] = (term){.coef = coef, .atom = atom};
}

/* Adds coef * d to s, opening sums, differences and products with a constant. */
static void sum_add(sum *s, const tg_dim *d, int64_t coef) {
    if (s->overflow) {
        return;
    }
    if (d->code == TG_DIM_CONST) {
        s->constant = wrap_add(s->constant, wrap_mul(coef, d->value));
    } else if (d->code == TG_DIM_ADD || d->code == TG_DIM_SUB) {
        sum_add(s, d->a, coef);
        sum_add(s, d->b, d->code == TG_DIM_SUB ? wrap_mul(coef, -1) : coef);
    } else if (d->code == TG_DIM_MUL && d->b->code == TG_DIM_CONST) {
        sum_add(s, d->a, wrap_mul(coef, d->b->value));
    } else {
        sum_term(s, d, coef);
    }
}

static void sum_sort(sum *s) {
    int n = 0;
    for (int i = 0; i < s->n; i++) {
        if (s->terms[i].coef != 0) {
            s->terms[n++] = s->terms[i];
        }
    }
    s->n = n;
    for (int i = 1; i < n; i++) {
        term t = s->terms[i];
        int j = i;
        for (; j > 0 && dim_compare(s->terms[j - 1].atom, t.atom) > 0; j--) {
            s->terms[j] = s->terms[j - 1];
        }
        s->terms[j] = t;
    }
}

static const tg_dim *scaled(tg_module *m, const tg_dim *atom, int64_t coef) {
    return coef == 1 ? atom : dim_intern(m, TG_DIM_MUL, 0, atom, tg_dim_const(m, coef));
}

/* Positive terms first, then the negative ones as subtractions, then the constant. */
static const tg_dim *sum_build(tg_module *m, const sum *s) {
    const tg_dim *d = NULL;
    for (int i = 0; i < s->n; i++) {
        if (s->terms[i].coef > 0) {
            const tg_dim *t = scaled(m, s->terms[i].atom, s->terms[i].coef);
            d = d == NULL ? t : dim_intern(m, TG_DIM_ADD, 0, d, t);
        }
    }
    int64_t constant = s->constant;
    for (int i = 0; i < s->n; i++) {
        int64_t coef = s->terms[i].coef;
        if (coef < 0) {
            if (d == NULL) {
                d = tg_dim_const(m, constant);
                constant = 0;
            }
            d = dim_intern(m, TG_DIM_SUB, 0, d, scaled(m, s->terms[i].atom, wrap_mul(coef, -1)));
        }
    }
    if (d == NULL) {
        return tg_dim_const(m, constant);
    }
    if (constant == 0) {
        return d;
    }
    if (constant > 0 || constant == INT64_MIN) {
        return dim_intern(m, TG_DIM_ADD, 0, d, tg_dim_const(m, constant));
    }
    return dim_intern(m, TG_DIM_SUB, 0, d, tg_dim_const(m, -constant));
}

static const tg_dim *dim_sum(tg_module *m, tg_dim_code code, const tg_dim *a, const tg_dim *b) {
    sum s = {.n = 0};
    sum_add(&s, a, 1);
    sum_add(&s, b, code == TG_DIM_SUB ? -1 : 1);
    if (s.overflow) {
        return dim_intern(m, code, 0, a, b);
    }
    sum_sort(&s);
    return sum_build(m, &s);
}

static const tg_dim *dim_product(tg_module *m, const tg_dim *a, const tg_dim *b) {
    if (a->code == TG_DIM_CONST) {
        const tg_dim *t = a;
        a = b;
        b = t;
    }
    if (b->code == TG_DIM_CONST) {
        sum s = {.n = 0};
        sum_add(&s, a, b->value);
        if (s.overflow) {
            return dim_intern(m, TG_DIM_MUL, 0, a, b);
        }
        sum_sort(&s);
        return sum_build(m, &s);
    }
    return dim_compare(a, b) <= 0 ? dim_intern(m, TG_DIM_MUL, 0, a, b)
                                  : dim_intern(m, TG_DIM_MUL, 0, b, a);
}

/* ---- construction --------------------------------------------------------------------------- */

static bool is_commutative(tg_dim_code code) {
    return code == TG_DIM_MIN || code == TG_DIM_MAX || code == TG_DIM_EQ || code == TG_DIM_NE ||
           code == TG_DIM_AND || code == TG_DIM_OR;
}

/* The value of `d code d`, or NULL when it is not one of the easy ones. */
static const tg_dim *same_operands(tg_module *m, tg_dim_code code, const tg_dim *d) {
    if (code == TG_DIM_MIN || code == TG_DIM_MAX) {
        return d;
    }
    if (code == TG_DIM_EQ || code == TG_DIM_LE) {
        return tg_dim_const(m, 1);
    }
    if (code == TG_DIM_NE || code == TG_DIM_LT) {
        return tg_dim_const(m, 0);
    }
    return NULL;
}

const tg_dim *tg_dim_binary(tg_module *m, tg_dim_code code, const tg_dim *a, const tg_dim *b) {
    if (a->code == TG_DIM_CONST && b->code == TG_DIM_CONST) {
        return tg_dim_const(m, dim_apply(code, a->value, b->value));
    }
    if (code == TG_DIM_ADD || code == TG_DIM_SUB) {
        return dim_sum(m, code, a, b);
    }
    if (code == TG_DIM_MUL) {
        return dim_product(m, a, b);
    }
    if ((code == TG_DIM_DIV || code == TG_DIM_CDIV) && b->code == TG_DIM_CONST && b->value == 1) {
        return a;
    }
    if (a == b) {
        const tg_dim *d = same_operands(m, code, a);
        if (d != NULL) {
            return d;
        }
    }
    if (is_commutative(code) && dim_compare(a, b) > 0) {
        const tg_dim *t = a;
        a = b;
        b = t;
    }
    return dim_intern(m, code, 0, a, b);
}
