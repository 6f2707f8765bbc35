/* SPDX-License-Identifier: Apache-2.0 */
/* Linear forms, facts and the prover; see affine.h. */
#include "ir/passes/affine.h"
#include "ir/passes/util.h"

#include <string.h>

/* A dimension name is an extent, or one give or take a constant. */
#define MAX_NAME (TG_MAX_EXTENT * 4)

enum { MAX_PROOF_DEPTH = 5, MAX_PROOF_STEPS = 3000, MAX_DEPTH = 60, MAX_TILE_STEPS = 400 };

typedef enum atom_kind { ATOM_PLAIN, ATOM_MIN, ATOM_MAX } atom_kind;

typedef struct fact {
    tg_affine form;         /* >= 0 */
    const tg_region *scope; /* holds inside this region; NULL: everywhere */
} fact;

typedef struct atom {
    const tg_value *value; /* one of the two */
    const tg_dim *dim;
    atom_kind kind;
    tg_affine a, b;  /* MIN, MAX: the two sides */
    int64_t lo, hi;  /* interval of its values */
    int64_t divisor; /* every value is a multiple */
} atom;

typedef struct congruence {
    tg_affine form; /* is a multiple of modulus */
    int64_t modulus;
} congruence;

struct tg_affine_ctx {
    tg_func *f;
    tg_arena *arena;
    TG_LIST(atom) atoms;
    TG_LIST(fact) facts;
    TG_LIST(congruence) congruences;
    tg_affine **cache; /* by value id */
    uint32_t n_cache;
    int depth, steps, tile_steps;
};

/* ---- forms ---------------------------------------------------------------------------------- */

static const tg_affine not_ok = {.ok = false};

tg_affine tg_affine_const(int64_t v) { return (tg_affine){.ok = true, .constant = v}; }

static tg_affine form_of_atom(int a) {
    return (tg_affine){.ok = true, .n = 1, .terms = {{.atom = a, .coef = 1}}};
}

static bool push_term(tg_affine *r, int at, int64_t coef) {
    if (coef == 0) {
        return true;
    }
    if (r->n == TG_AFFINE_MAX_TERMS) {
        return false;
    }
    r->terms[r->n++] = (tg_affine_term){.atom = at, .coef = coef};
    return true;
}

/* ka * a + kb * b + n into r, whose terms behind the last stay as they are: proofs make very many
 * forms, and clearing them would be most of the work. */
static bool combine(const tg_affine *a, int64_t ka, const tg_affine *b, int64_t kb, int64_t n,
                    tg_affine *r) {
    int64_t x, y;
    r->n = 0;
    r->ok = a->ok && b->ok && tg_mul_i64(a->constant, ka, &x) && tg_add_i64(x, n, &x) &&
            tg_mul_i64(b->constant, kb, &y) && tg_add_i64(x, y, &r->constant);
    for (int i = 0, j = 0; r->ok && (i < a->n || j < b->n);) {
        int at = i < a->n ? a->terms[i].atom : INT32_MAX;
        int bt = j < b->n ? b->terms[j].atom : INT32_MAX;
        x = y = 0;
        r->ok = (at > bt || tg_mul_i64(a->terms[i].coef, ka, &x)) &&
                (bt > at || tg_mul_i64(b->terms[j].coef, kb, &y)) && tg_add_i64(x, y, &x) &&
                push_term(r, at <= bt ? at : bt, x);
        i += at <= bt;
        j += bt <= at;
    }
    return r->ok;
}

tg_affine tg_affine_add(const tg_affine *a, const tg_affine *b, int64_t scale) {
    tg_affine r;
    return combine(a, 1, b, scale, 0, &r) ? r : not_ok;
}

tg_affine tg_affine_offset(const tg_affine *a, int64_t n) {
    tg_affine c = tg_affine_const(n);
    return tg_affine_add(a, &c, 1);
}

static tg_affine scale_form(const tg_affine *a, int64_t by) {
    tg_affine zero = tg_affine_const(0);
    return tg_affine_add(&zero, a, by);
}

bool tg_affine_range(const tg_affine_ctx *c, const tg_affine *a, int64_t *out_lo, int64_t *out_hi) {
    int64_t lo = a->constant, hi = a->constant;
    if (!a->ok) {
        return false;
    }
    for (int i = 0; i < a->n; i++) {
        const atom *t = &c->atoms.data[a->terms[i].atom];
        int64_t k = a->terms[i].coef, x, y;
        if (!tg_mul_i64(k, k > 0 ? t->lo : t->hi, &x) ||
            !tg_mul_i64(k, k > 0 ? t->hi : t->lo, &y) || !tg_add_i64(lo, x, &lo) ||
            !tg_add_i64(hi, y, &hi)) {
            return false;
        }
    }
    *out_lo = lo;
    *out_hi = hi;
    return true;
}

/* Every value of the form is a value of t, so an operation of t that gives it did not wrap. */
static bool fits(const tg_affine_ctx *c, const tg_affine *a, tg_dtype t) {
    int64_t lo, hi;
    if (!tg_affine_range(c, a, &lo, &hi)) {
        return false;
    }
    int bits = tg_dtype_bits(t);
    if (tg_dtype_is_signed(t)) {
        return bits >= 64 || (lo >= -((int64_t)1 << (bits - 1)) && hi < (int64_t)1 << (bits - 1));
    }
    return lo >= 0 && (bits >= 63 || hi < (int64_t)1 << bits);
}

/* ---- atoms and facts ------------------------------------------------------------------------ */

static void dtype_interval(tg_dtype t, int64_t *lo, int64_t *hi) {
    int bits = t == TG_DT_BOOL ? 1 : tg_dtype_bits(t);
    bool is_signed = t != TG_DT_BOOL && tg_dtype_is_signed(t);
    if (bits >= 64) {
        *lo = is_signed ? INT64_MIN : 0;
        *hi = INT64_MAX; /* u64 above it is never an exact form: see of_value */
        return;
    }
    *lo = is_signed ? -((int64_t)1 << (bits - 1)) : 0;
    *hi = is_signed ? ((int64_t)1 << (bits - 1)) - 1 : ((int64_t)1 << bits) - 1;
}

static int new_atom(tg_affine_ctx *c, const tg_value *v, const tg_dim *d, int64_t lo, int64_t hi) {
    atom a = {.value = v, .dim = d, .lo = lo, .hi = hi, .divisor = 1};
    TG_LIST_PUSH(c->arena, &c->atoms, a);
    return (int)c->atoms.count - 1;
}

static int find_atom(const tg_affine_ctx *c, const tg_value *v, const tg_dim *d) {
    for (size_t i = 0; i < c->atoms.count; i++) {
        if (c->atoms.data[i].value == v && c->atoms.data[i].dim == d) {
            return (int)i;
        }
    }
    return -1;
}

static void add_fact(tg_affine_ctx *c, const tg_affine *form, const tg_region *scope) {
    if (form->ok && form->n > 0) {
        fact f = {.form = *form, .scope = scope};
        TG_LIST_PUSH(c->arena, &c->facts, f);
    }
}

/* big - small - slack >= 0. */
static void add_order(tg_affine_ctx *c, const tg_affine *big, const tg_affine *small, int64_t slack,
                      const tg_region *scope) {
    tg_affine d = tg_affine_add(big, small, -1);
    d = tg_affine_offset(&d, -slack);
    add_fact(c, &d, scope);
}

/* Greatest known divisor of the form; 0 for the form 0. */
static int64_t divisor_of(const tg_affine_ctx *c, const tg_affine *a) {
    int64_t g = a->constant == INT64_MIN ? 1 : tg_gcd_i64(a->constant, 0);
    for (int i = 0; i < a->n; i++) {
        int64_t k;
        if (!tg_mul_i64(a->terms[i].coef, c->atoms.data[a->terms[i].atom].divisor, &k) ||
            k == INT64_MIN) {
            k = 1;
        }
        g = tg_gcd_i64(g, k);
    }
    return g;
}

bool tg_affine_divisible(tg_affine_ctx *c, const tg_affine *a, int64_t m) {
    if (!a->ok || m <= 0) {
        return false;
    }
    if (divisor_of(c, a) % m == 0) {
        return true;
    }
    for (size_t i = 0; i < c->congruences.count; i++) {
        const congruence *q = &c->congruences.data[i];
        if (q->modulus % m != 0) {
            continue;
        }
        for (int sign = -1; sign <= 1; sign += 2) {
            tg_affine rest = tg_affine_add(a, &q->form, sign);
            if (rest.ok && divisor_of(c, &rest) % m == 0) {
                return true;
            }
        }
    }
    return false;
}

/* ---- prover --------------------------------------------------------------------------------- */

static bool in_scope(const fact *f, const tg_region *where) {
    if (f->scope == NULL) {
        return true;
    }
    for (const tg_region *r = where; r != NULL; r = r->parent == NULL ? NULL : r->parent->parent) {
        if (r == f->scope) {
            return true;
        }
    }
    return false;
}

static int64_t coef_of(const tg_affine *a, int at) {
    for (int i = 0; i < a->n; i++) {
        if (a->terms[i].atom == at) {
            return a->terms[i].coef;
        }
    }
    return 0;
}

static bool prove(tg_affine_ctx *c, const tg_affine *a, const tg_region *where, int depth);

/* The form with atom `at` replaced by `with`. */
static tg_affine substitute(const tg_affine *a, int at, const tg_affine *with) {
    int64_t k = coef_of(a, at);
    tg_affine self = form_of_atom(at);
    tg_affine rest = tg_affine_add(a, &self, -k);
    return tg_affine_add(&rest, with, k);
}

static bool prove_cases(tg_affine_ctx *c, const tg_affine *a, int at, const tg_region *where,
                        int depth) {
    tg_affine x = substitute(a, at, &c->atoms.data[at].a);
    tg_affine y = substitute(a, at, &c->atoms.data[at].b);
    return prove(c, &x, where, depth - 1) && prove(c, &y, where, depth - 1);
}

/*
 * a * |f| - fact * |k| cancels the atom; if that is >= 0, so is a. Forms are integers, so
 * up * a >= -(up - 1) already says a >= 0; with it, k / 128 < cdiv(K, 128) follows from k < K.
 */
static bool prove_with(tg_affine_ctx *c, const tg_affine *a, int64_t k, const fact *f, int64_t fk,
                       const tg_region *where, int depth) {
    int64_t g = tg_gcd_i64(k, fk);
    int64_t up = (fk < 0 ? -fk : fk) / g, down = (k < 0 ? -k : k) / g;
    tg_affine rest;
    return combine(a, up, &f->form, -down, up - 1, &rest) && prove(c, &rest, where, depth - 1);
}

static bool prove(tg_affine_ctx *c, const tg_affine *a, const tg_region *where, int depth) {
    int64_t lo, hi;
    if (!a->ok) {
        return false;
    }
    if (a->n == 0) {
        return a->constant >= 0;
    }
    if (tg_affine_range(c, a, &lo, &hi) && lo >= 0) {
        return true;
    }
    if (depth == 0 || c->steps++ > MAX_PROOF_STEPS) {
        return false;
    }
    for (int i = 0; i < a->n; i++) {
        int at = a->terms[i].atom;
        int64_t k = a->terms[i].coef;
        atom_kind kind = c->atoms.data[at].kind;
        if (k == INT64_MIN) {
            return false;
        }
        if (((kind == ATOM_MIN && k > 0) || (kind == ATOM_MAX && k < 0)) &&
            prove_cases(c, a, at, where, depth)) {
            return true;
        }
        for (size_t j = 0; j < c->facts.count; j++) {
            int64_t fk = coef_of(&c->facts.data[j].form, at);
            if (fk != 0 && fk != INT64_MIN && (fk > 0) == (k > 0) &&
                in_scope(&c->facts.data[j], where) &&
                prove_with(c, a, k, &c->facts.data[j], fk, where, depth)) {
                return true;
            }
        }
    }
    return false;
}

bool tg_affine_prove(tg_affine_ctx *c, const tg_affine *a, const tg_region *where) {
    c->steps = 0;
    for (int depth = 1; depth <= MAX_PROOF_DEPTH; depth++) {
        if (prove(c, a, where, depth)) {
            return true;
        }
    }
    return false;
}

/* Like tg_affine_prove, while forms are being made: keeps the step count of the outer question. */
static bool prove_inside(tg_affine_ctx *c, const tg_affine *a, const tg_region *where) {
    int steps = c->steps;
    c->steps = MAX_PROOF_STEPS - 200;
    bool yes = prove(c, a, where, 2);
    c->steps = steps;
    return yes;
}

/* ---- what operations mean ------------------------------------------------------------------- */

/* q = x / n for n > 0 and x >= 0: n*q <= x <= n*q + n-1; equal when n divides x. */
static void quotient_facts(tg_affine_ctx *c, int at, const tg_affine *x, int64_t n,
                           const tg_region *scope) {
    tg_affine q = form_of_atom(at);
    tg_affine nq = scale_form(&q, n);
    int64_t lo, hi;
    add_order(c, x, &nq, 0, scope);
    tg_affine up = tg_affine_offset(&nq, tg_affine_divisible(c, x, n) ? 0 : n - 1);
    add_order(c, &up, x, 0, scope);
    if (tg_affine_range(c, x, &lo, &hi) && lo >= 0) {
        c->atoms.data[at].lo = lo / n;
        c->atoms.data[at].hi = hi / n;
    } else {
        c->atoms.data[at].lo = 0;
    }
}

/* q = ceil(x / n) for n > 0 and x >= 0. */
static void ceiling_facts(tg_affine_ctx *c, int at, const tg_affine *x, int64_t n) {
    tg_affine q = form_of_atom(at);
    tg_affine nq = scale_form(&q, n);
    int64_t lo, hi;
    add_order(c, &nq, x, 0, NULL);
    tg_affine up = tg_affine_offset(x, tg_affine_divisible(c, x, n) ? 0 : n - 1);
    add_order(c, &up, &nq, 0, NULL);
    if (tg_affine_range(c, x, &lo, &hi) && lo >= 0 && hi < INT64_MAX - n) {
        c->atoms.data[at].lo = (lo + n - 1) / n;
        c->atoms.data[at].hi = (hi + n - 1) / n;
    }
}

static void remainder_facts(tg_affine_ctx *c, int at, bool x_nonneg, int64_t n) {
    c->atoms.data[at].lo = x_nonneg ? 0 : 1 - n;
    c->atoms.data[at].hi = n - 1;
}

static void extremum_facts(tg_affine_ctx *c, int at, bool is_min, const tg_affine *a,
                           const tg_affine *b, const tg_region *scope) {
    tg_affine m = form_of_atom(at);
    int64_t alo, ahi, blo, bhi;
    c->atoms.data[at].kind = is_min ? ATOM_MIN : ATOM_MAX;
    c->atoms.data[at].a = *a;
    c->atoms.data[at].b = *b;
    add_order(c, is_min ? a : &m, is_min ? &m : a, 0, scope);
    add_order(c, is_min ? b : &m, is_min ? &m : b, 0, scope);
    c->atoms.data[at].divisor = tg_gcd_i64(divisor_of(c, a), divisor_of(c, b));
    if (c->atoms.data[at].divisor == 0) {
        c->atoms.data[at].divisor = 1;
    }
    if (tg_affine_range(c, a, &alo, &ahi) && tg_affine_range(c, b, &blo, &bhi)) {
        c->atoms.data[at].lo = is_min ? tg_min_i64(alo, blo) : tg_max_i64(alo, blo);
        c->atoms.data[at].hi = is_min ? tg_min_i64(ahi, bhi) : tg_max_i64(ahi, bhi);
    }
}

/* ---- dimension expressions ------------------------------------------------------------------ */

static tg_affine dim_atom(tg_affine_ctx *c, const tg_dim *d) {
    int at = find_atom(c, NULL, d);
    if (at >= 0) {
        return form_of_atom(at);
    }
    if (d->code == TG_DIM_SYM) {
        return form_of_atom(new_atom(c, NULL, d, -MAX_NAME, MAX_NAME));
    }
    at = new_atom(c, NULL, d, INT64_MIN, INT64_MAX);
    tg_affine a = tg_affine_of_dim(c, d->a), b = tg_affine_of_dim(c, d->b);
    int64_t n = b.n == 0 ? b.constant : 0;
    bool nonneg = prove_inside(c, &a, NULL);
    if (d->code == TG_DIM_DIV && n > 0 && nonneg) {
        quotient_facts(c, at, &a, n, NULL);
    } else if (d->code == TG_DIM_CDIV && n > 0 && nonneg) {
        ceiling_facts(c, at, &a, n);
    } else if (d->code == TG_DIM_MOD && n > 0) {
        remainder_facts(c, at, nonneg, n);
    } else if (d->code == TG_DIM_MIN || d->code == TG_DIM_MAX) {
        extremum_facts(c, at, d->code == TG_DIM_MIN, &a, &b, NULL);
    }
    return form_of_atom(at);
}

tg_affine tg_affine_of_dim(tg_affine_ctx *c, const tg_dim *d) {
    if (d->code == TG_DIM_CONST) {
        return tg_affine_const(d->value);
    }
    tg_affine r = not_ok;
    if (d->code == TG_DIM_ADD || d->code == TG_DIM_SUB || d->code == TG_DIM_MUL) {
        tg_affine a = tg_affine_of_dim(c, d->a), b = tg_affine_of_dim(c, d->b);
        if (d->code == TG_DIM_MUL) {
            r = b.n == 0 ? scale_form(&a, b.constant) : not_ok;
        } else {
            r = tg_affine_add(&a, &b, d->code == TG_DIM_ADD ? 1 : -1);
        }
    }
    return r.ok && fits(c, &r, TG_DT_I64) ? r : dim_atom(c, d);
}

/* ---- values --------------------------------------------------------------------------------- */

static bool is_scalar_int(const tg_value *v) {
    return tg_type_is_scalar(v->type) && tg_dtype_is_int(v->type->dtype);
}

static tg_affine of_value(tg_affine_ctx *c, const tg_value *v);

/* A block number: by * pid < extent, and by * pid + by <= extent where by divides it. */
static void block_facts(tg_affine_ctx *c, int at, int axis) {
    tg_func *f = c->f;
    int64_t by = f->grid_by[axis], lo, hi;
    tg_op *yield = f->grid == NULL ? NULL : tg_region_yield(f->grid);
    c->atoms.data[at].lo = 0;
    c->atoms.data[at].hi = INT64_MAX / by;
    if (yield == NULL || axis >= yield->n_operands) {
        return;
    }
    tg_affine extent = of_value(c, tg_operand(yield, axis));
    tg_affine pid = form_of_atom(at);
    tg_affine first = scale_form(&pid, by);
    if (tg_affine_range(c, &extent, &lo, &hi) && hi >= 1) {
        c->atoms.data[at].hi = (hi - 1) / by;
    }
    add_order(c, &extent, &first, tg_affine_divisible(c, &extent, by) ? by : 1, f->body);
}

static void counter_facts(tg_affine_ctx *c, int at, const tg_op *loop) {
    const tg_region *body = loop->regions[0];
    tg_affine lo = of_value(c, tg_operand(loop, 0)), hi = of_value(c, tg_operand(loop, 1));
    int64_t step = 1, low, high;
    tg_affine iv = form_of_atom(at);
    (void)tg_value_const_int(tg_operand(loop, 2), &step);
    tg_affine trip = tg_affine_add(&hi, &lo, -1);
    int64_t slack = tg_affine_divisible(c, &trip, step) ? step : 1;
    if (tg_affine_range(c, &lo, &low, &high)) {
        c->atoms.data[at].lo = low;
    }
    if (tg_affine_range(c, &hi, &low, &high) && high > INT64_MIN) {
        c->atoms.data[at].hi = high - 1;
    }
    if (c->atoms.data[at].hi < c->atoms.data[at].lo) {
        c->atoms.data[at].hi = c->atoms.data[at].lo; /* the body never runs */
    }
    int64_t g = tg_gcd_i64(divisor_of(c, &lo), step);
    c->atoms.data[at].divisor = g == 0 ? 1 : g;
    add_order(c, &iv, &lo, 0, body);
    add_order(c, &hi, &iv, slack, body);
}

static tg_affine argument(tg_affine_ctx *c, const tg_value *v, int at) {
    const tg_region *r = v->region;
    if (r->parent == NULL && r == c->f->body && v->index >= c->f->n_params &&
        c->f->level == TG_LEVEL_TILE) {
        block_facts(c, at, v->index - c->f->n_params);
    } else if (r->parent != NULL && r->parent->code == TG_OP_FOR && v->index == 0) {
        counter_facts(c, at, r->parent);
    }
    return form_of_atom(at);
}

/* The exact linear form of an op, when it is one. */
static tg_affine linear(tg_affine_ctx *c, const tg_op *op) {
    if (op->code == TG_OP_CAST) {
        const tg_value *x = tg_operand(op, 0);
        return is_scalar_int(x) ? of_value(c, x) : not_ok;
    }
    if (op->code == TG_OP_DIM) {
        return tg_affine_of_dim(c, tg_operand(op, 0)->type->dims[tg_attr_int(op, TG_ATTR_AXIS, 0)]);
    }
    if (op->code == TG_OP_SYM) {
        tg_module *m = op->func->module;
        return tg_affine_of_dim(c, tg_dim_sym(m, (int)tg_attr_int(op, TG_ATTR_SYM, 0)));
    }
    if (op->code != TG_OP_ADD && op->code != TG_OP_SUB && op->code != TG_OP_MUL &&
        op->code != TG_OP_NEG) {
        return not_ok;
    }
    tg_affine a = of_value(c, tg_operand(op, 0));
    if (op->code == TG_OP_NEG) {
        return scale_form(&a, -1);
    }
    tg_affine b = of_value(c, tg_operand(op, 1));
    if (op->code != TG_OP_MUL) {
        return tg_affine_add(&a, &b, op->code == TG_OP_ADD ? 1 : -1);
    }
    if (b.n == 0) {
        return scale_form(&a, b.constant);
    }
    return a.n == 0 ? scale_form(&b, a.constant) : not_ok;
}

/* select: one of its two sides. */
static void choice_facts(tg_affine_ctx *c, const tg_op *op, int at) {
    tg_affine a = of_value(c, tg_operand(op, 1)), b = of_value(c, tg_operand(op, 2));
    int64_t alo, ahi, blo, bhi;
    if (tg_affine_range(c, &a, &alo, &ahi) && tg_affine_range(c, &b, &blo, &bhi)) {
        c->atoms.data[at].lo = tg_min_i64(alo, blo);
        c->atoms.data[at].hi = tg_max_i64(ahi, bhi);
    }
}

/* An op that is not linear: one atom, with what its opcode says about it. */
static tg_affine opaque(tg_affine_ctx *c, const tg_op *op, int at) {
    if (op->code == TG_OP_SELECT && op->results[0].type->dtype != TG_DT_U64) {
        choice_facts(c, op, at);
        return form_of_atom(at);
    }
    if (op->n_operands != 2 || !is_scalar_int(tg_operand(op, 0)) ||
        !is_scalar_int(tg_operand(op, 1))) {
        return form_of_atom(at);
    }
    bool wide_unsigned = op->results[0].type->dtype == TG_DT_U64;
    tg_affine a = of_value(c, tg_operand(op, 0)), b = of_value(c, tg_operand(op, 1));
    int64_t n = b.n == 0 ? b.constant : 0;
    if ((op->code == TG_OP_DIV || op->code == TG_OP_REM) && n > 0 && !wide_unsigned) {
        bool nonneg = prove_inside(c, &a, op->parent);
        if (op->code == TG_OP_REM) {
            remainder_facts(c, at, nonneg, n);
        } else if (nonneg) {
            quotient_facts(c, at, &a, n, op->parent);
        }
    } else if ((op->code == TG_OP_MIN || op->code == TG_OP_MAX) && !wide_unsigned) {
        extremum_facts(c, at, op->code == TG_OP_MIN, &a, &b, op->parent);
    }
    return form_of_atom(at);
}

static tg_affine compute(tg_affine_ctx *c, const tg_value *v) {
    int64_t k, lo, hi;
    if (tg_value_const_int(v, &k)) {
        /* A u64 above the signed range has no place in the forms. */
        if (v->type->dtype != TG_DT_U64 || k >= 0) {
            return tg_affine_const(k);
        }
    } else if (v->def != NULL && c->depth < MAX_DEPTH && v->type->dtype != TG_DT_U64) {
        tg_affine r = linear(c, v->def);
        if (r.ok && fits(c, &r, v->type->dtype)) {
            return r;
        }
    }
    int at = find_atom(c, v, NULL);
    if (at >= 0) {
        return form_of_atom(at);
    }
    dtype_interval(v->type->dtype, &lo, &hi);
    if (v->type->dtype == TG_DT_U64) {
        lo = INT64_MIN; /* read as signed anything may come */
    }
    at = new_atom(c, v, NULL, lo, hi);
    if (c->depth >= MAX_DEPTH) {
        return form_of_atom(at);
    }
    return v->def == NULL ? argument(c, v, at) : opaque(c, v->def, at);
}

static tg_affine of_value(tg_affine_ctx *c, const tg_value *v) {
    if (v->id < c->n_cache && c->cache[v->id] != NULL) {
        return *c->cache[v->id];
    }
    c->depth++;
    tg_affine r = compute(c, v);
    c->depth--;
    /* A form cut short by the depth limit is right but poor; it is kept all the same, since asking
     * again for shared operands would take exponential time. */
    if (v->id < c->n_cache) {
        c->cache[v->id] = TG_NEW(c->arena, tg_affine);
        *c->cache[v->id] = r;
    }
    return r;
}

tg_affine tg_affine_of(tg_affine_ctx *c, const tg_value *v) {
    return is_scalar_int(v) ? of_value(c, v) : not_ok;
}

/* ---- tiles ---------------------------------------------------------------------------------- */

static tg_affine_tile tile_of(tg_affine_ctx *c, const tg_value *v, int depth);

static bool tile_fits(const tg_affine_ctx *c, const tg_affine_tile *t, tg_dtype dtype) {
    tg_affine low = tg_affine_offset(&t->base, t->low), high = tg_affine_offset(&t->base, t->high);
    return fits(c, &low, dtype) && fits(c, &high, dtype);
}

static tg_affine_tile tile_sum(const tg_affine_tile *a, const tg_affine_tile *b, int64_t sign) {
    tg_affine_tile r = {.base = tg_affine_add(&a->base, &b->base, sign)};
    int64_t low = sign > 0 ? b->low : -b->high, high = sign > 0 ? b->high : -b->low;
    if (!tg_add_i64(a->low, low, &r.low) || !tg_add_i64(a->high, high, &r.high)) {
        r.base.ok = false;
    }
    return r;
}

static tg_affine_tile tile_scaled(const tg_affine_tile *a, int64_t by) {
    tg_affine_tile r = {.base = scale_form(&a->base, by)};
    if (!tg_mul_i64(by > 0 ? a->low : a->high, by, &r.low) ||
        !tg_mul_i64(by > 0 ? a->high : a->low, by, &r.high)) {
        r.base.ok = false;
    }
    return r;
}

static tg_affine_tile tile_of_op(tg_affine_ctx *c, const tg_op *op, int depth) {
    tg_affine_tile bad = {.base = not_ok};
    if (op->code == TG_OP_IOTA) {
        return (tg_affine_tile){.base = tg_affine_const(0),
                                .high = op->results[0].type->shape[0] - 1};
    }
    if (op->code == TG_OP_BROADCAST || op->code == TG_OP_RESHAPE || op->code == TG_OP_PERMUTE ||
        op->code == TG_OP_SLICE || op->code == TG_OP_CAST) {
        return tile_of(c, tg_operand(op, 0), depth - 1);
    }
    if (op->code != TG_OP_ADD && op->code != TG_OP_SUB && op->code != TG_OP_MUL) {
        return bad;
    }
    tg_affine_tile a = tile_of(c, tg_operand(op, 0), depth - 1);
    tg_affine_tile b = tile_of(c, tg_operand(op, 1), depth - 1);
    if (!a.base.ok || !b.base.ok) {
        return bad;
    }
    if (op->code != TG_OP_MUL) {
        return tile_sum(&a, &b, op->code == TG_OP_ADD ? 1 : -1);
    }
    if (b.base.n == 0 && b.low == b.high) {
        return tile_scaled(&a, b.base.constant + b.low);
    }
    return a.base.n == 0 && a.low == a.high ? tile_scaled(&b, a.base.constant + a.low) : bad;
}

static tg_affine_tile tile_of(tg_affine_ctx *c, const tg_value *v, int depth) {
    tg_affine_tile r = {.base = not_ok};
    int64_t k;
    if (v->type->kind != TG_TY_TILE || !tg_dtype_is_int(v->type->dtype) ||
        v->type->dtype == TG_DT_U64 || depth == 0 || c->tile_steps++ > MAX_TILE_STEPS) {
        return r;
    }
    if (tg_value_const_int(v, &k)) {
        r.base = tg_affine_const(k);
        return r;
    }
    if (v->type->rank == 0) {
        r.base = of_value(c, v);
        return r;
    }
    if (v->def != NULL) {
        r = tile_of_op(c, v->def, depth);
    }
    r.base.ok = r.base.ok && tile_fits(c, &r, v->type->dtype);
    return r;
}

tg_affine_tile tg_affine_of_tile(tg_affine_ctx *c, const tg_value *v) {
    c->tile_steps = 0;
    return tile_of(c, v, MAX_DEPTH / 2);
}

/* ---- facts of the launch and of branches ---------------------------------------------------- */

static void require_fact(tg_affine_ctx *c, const tg_dim *d) {
    if (d->code == TG_DIM_AND) {
        require_fact(c, d->a);
        require_fact(c, d->b);
        return;
    }
    if (d->code != TG_DIM_EQ && d->code != TG_DIM_LT && d->code != TG_DIM_LE) {
        return;
    }
    if (d->code == TG_DIM_EQ && d->a->code == TG_DIM_MOD && d->b->code == TG_DIM_CONST &&
        d->b->value == 0 && d->a->b->code == TG_DIM_CONST && d->a->b->value > 0) {
        congruence q = {.form = tg_affine_of_dim(c, d->a->a), .modulus = d->a->b->value};
        TG_LIST_PUSH(c->arena, &c->congruences, q);
        if (q.form.n == 1 && q.form.terms[0].coef == 1 && q.form.constant == 0) {
            atom *at = &c->atoms.data[q.form.terms[0].atom];
            int64_t g = tg_gcd_i64(at->divisor, q.modulus), lcm;
            at->divisor = tg_mul_i64(at->divisor / g, q.modulus, &lcm) ? lcm : at->divisor;
        }
        return;
    }
    tg_affine a = tg_affine_of_dim(c, d->a), b = tg_affine_of_dim(c, d->b);
    add_order(c, &b, &a, d->code == TG_DIM_LT ? 1 : 0, NULL);
    if (d->code == TG_DIM_EQ) {
        add_order(c, &a, &b, 0, NULL);
    }
}

static void extent_fact(tg_affine_ctx *c, const tg_dim *d) {
    if (d->code == TG_DIM_SYM) {
        tg_affine a = tg_affine_of_dim(c, d);
        c->atoms.data[a.terms[0].atom].lo = 0;
        return;
    }
    if (d->code != TG_DIM_CONST) {
        tg_affine a = tg_affine_of_dim(c, d);
        add_fact(c, &a, NULL);
    }
}

/* x < y and the like, as far as the forms are exact. */
static void condition_fact(tg_affine_ctx *c, const tg_op *cmp, bool holds, const tg_region *scope) {
    tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(cmp, TG_ATTR_PRED, 0);
    tg_affine a = tg_affine_of(c, tg_operand(cmp, 0)), b = tg_affine_of(c, tg_operand(cmp, 1));
    if (!a.ok || !b.ok || tg_operand(cmp, 0)->type->dtype == TG_DT_U64) {
        return;
    }
    if (p == TG_CMP_EQ || p == TG_CMP_NE) {
        if ((p == TG_CMP_EQ) == holds) {
            add_order(c, &a, &b, 0, scope);
            add_order(c, &b, &a, 0, scope);
        }
        return;
    }
    bool less = (p == TG_CMP_LT || p == TG_CMP_LE) == holds;
    bool strict = (p == TG_CMP_LT || p == TG_CMP_GT) == holds;
    add_order(c, less ? &b : &a, less ? &a : &b, strict ? 1 : 0, scope);
}

static void branch_facts(tg_affine_ctx *c, const tg_value *cond, const tg_op *branch, int depth) {
    if (cond->def == NULL || depth == 0) {
        return;
    }
    if (cond->def->code == TG_OP_AND) {
        /* Both sides hold in the then-region; the else-region knows nothing. */
        for (int i = 0; i < 2; i++) {
            const tg_value *part = tg_operand(cond->def, i);
            if (part->def != NULL && part->def->code == TG_OP_CMP) {
                condition_fact(c, part->def, true, branch->regions[0]);
            } else {
                branch_facts(c, part, branch, 0);
            }
        }
    } else if (cond->def->code == TG_OP_CMP) {
        condition_fact(c, cond->def, true, branch->regions[0]);
        condition_fact(c, cond->def, false, branch->regions[1]);
    }
}

static void region_facts(tg_affine_ctx *c, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_IF) {
            branch_facts(c, tg_operand(op, 0), op, 1);
        }
        for (int i = 0; i < op->n_regions; i++) {
            region_facts(c, op->regions[i]);
        }
    }
}

tg_affine_ctx *tg_affine_make(tg_func *f, tg_arena *scratch) {
    tg_affine_ctx *c = TG_NEW(scratch, tg_affine_ctx);
    c->f = f;
    c->arena = scratch;
    c->n_cache = f->next_value_id;
    c->cache = TG_NEW_ARRAY(scratch, tg_affine *, f->next_value_id + 1);
    /* Names that are extents first: what follows is then made with their bounds known. */
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < f->n_params; i++) {
            const tg_type *t = f->params[i].type;
            for (int a = 0; t->kind == TG_TY_TENSOR && a < t->rank; a++) {
                if ((t->dims[a]->code == TG_DIM_SYM) == (pass == 0)) {
                    extent_fact(c, t->dims[a]);
                }
            }
        }
        for (int i = 0; i < f->n_requires && pass == 0; i++) {
            require_fact(c, f->requires_[i]);
        }
    }
    region_facts(c, f->body);
    return c;
}

/* ---- looking inside ------------------------------------------------------------------------- */

int64_t tg_affine_coef(const tg_affine_ctx *c, const tg_affine *a, const tg_value *v) {
    int at = find_atom(c, v, NULL);
    return at < 0 ? 0 : coef_of(a, at);
}

void tg_affine_atom(const tg_affine_ctx *c, int at, const tg_value **out_value,
                    const tg_dim **out_dim) {
    *out_value = c->atoms.data[at].value;
    *out_dim = c->atoms.data[at].dim;
}
