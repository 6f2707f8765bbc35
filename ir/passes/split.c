/* SPDX-License-Identifier: Apache-2.0 */
/*
 * split and peel: index-set splitting of loops.
 *
 * Takes verified tile IR. split gives the same kernel where a `for` whose body compares tiles that
 * are affine in the loop counter (a causal or window condition) is two loops: one over the
 * iterations for which the condition is known, without it, and one over the rest. peel does the
 * same with "the span has all its positions", so that the ragged last iteration gets a loop of its
 * own. The iterations and their order stay, so results are the same bit for bit. Refuses conditions
 * whose bound is not computable in front of the loop, and bodies that are too large to have twice.
 *
 * Before:
 *   %9 = for %lo, %hi, %step, %8 : f32[4, 4] (%10: i64, %11: f32[4, 4]) {
 *     %12 = ... column positions, %10 + 0 .. 3
 *     %13 = cmp %12, %rows {pred = le} : bool[4, 4]
 *     %14 = select %13, %11, %minus_inf : f32[4, 4]
 *     yield %14
 *   }
 * After (m: first counter for which the condition is not known, mid: first iteration from m on):
 *   %9 = for %lo, min(m, %hi), %step, %8 ... with %13 = true
 *   %10 = for %mid, %hi, %step, %9 ... as before
 *
 * Method: the condition is R - iv >= 0 or iv + R >= 0 with R free of the counter, from the linear
 * forms of affine.h; R is computed in front of the loop. The first form is known below m = R + 1,
 * the second from m = -R on.
 */
#include "ir/passes/affine.h"
#include "ir/passes/util.h"

/* Two cuts give the three loops of a causal window: entering it, inside, across the diagonal. */
enum { MAX_BODY_OPS = 500, MAX_SPLITS = 2, MIN_TILE_ELEMS = 16 };

/* A split: from `first` on (or below it) op's result is known. */
typedef struct cut {
    tg_op *op;    /* the cmp or span */
    bool value;   /* what the cmp is known to be */
    tg_affine at; /* m */
    bool below;   /* known for iv < m, else for iv >= m */
} cut;

typedef struct splitter {
    tg_func *f;
    tg_pass_context *ctx;
    tg_affine_ctx *affine;
    bool peel;
    int splits;
    TG_LIST(tg_op *) done; /* conditions that were looked at, loops that were made */
} splitter;

static bool is_done(const splitter *s, const tg_op *op) {
    for (size_t i = 0; i < s->done.count; i++) {
        if (s->done.data[i] == op) {
            return true;
        }
    }
    return false;
}

static int count_ops(const tg_region *r, int limit) {
    int n = 0;
    for (const tg_op *op = r->first; op != NULL && n <= limit; op = op->next) {
        n++;
        for (int i = 0; i < op->n_regions && n <= limit; i++) {
            n += count_ops(op->regions[i], limit);
        }
    }
    return n;
}

/* ---- finding the cut ------------------------------------------------------------------------ */

/* Everything but the counter is computable in front of the loop, within int64. */
static bool is_outside(splitter *s, const tg_affine *a, const tg_op *loop) {
    int64_t lo, hi;
    for (int i = 0; i < a->n; i++) {
        const tg_value *v;
        const tg_dim *d;
        tg_affine_atom(s->affine, a->terms[i].atom, &v, &d);
        if (v != NULL && tg_value_inside(v, loop->regions[0])) {
            return false;
        }
    }
    return tg_affine_range(s->affine, a, &lo, &hi) && lo > INT64_MIN / 4 && hi < INT64_MAX / 4;
}

/* margin >= 0 makes the condition known; true when margin is R - iv or iv + R. */
static bool cut_at(splitter *s, const tg_op *loop, const tg_affine *margin, cut *out) {
    const tg_value *iv = loop->regions[0]->args[0];
    tg_affine counter = tg_affine_of(s->affine, iv);
    int64_t k = margin->ok ? tg_affine_coef(s->affine, margin, iv) : 0;
    if (k != 1 && k != -1) {
        return false;
    }
    tg_affine rest = tg_affine_add(margin, &counter, -k); /* R */
    tg_affine zero = tg_affine_const(0);
    out->below = k < 0;
    out->at = k < 0 ? tg_affine_offset(&rest, 1) : tg_affine_add(&zero, &rest, -1);
    return out->at.ok && is_outside(s, &out->at, loop);
}

/* big - small - slack over all elements of both. */
static tg_affine margin_of(const tg_affine_tile *big, const tg_affine_tile *small, int64_t slack) {
    tg_affine low = tg_affine_offset(&big->base, big->low);
    tg_affine high = tg_affine_offset(&small->base, small->high);
    tg_affine d = tg_affine_add(&low, &high, -1);
    return tg_affine_offset(&d, -slack);
}

/* Which outcome saves work: the one for which a select takes the tile that is no constant. */
static bool wanted(const tg_value *cond) {
    for (const tg_use *u = cond->uses; u != NULL; u = u->next) {
        const tg_op *op = u->user;
        if (op->code == TG_OP_SELECT && tg_operand(op, 0) == cond) {
            const tg_op *x = tg_operand(op, 1)->def;
            if (x != NULL && (x->code == TG_OP_CONST_INT || x->code == TG_OP_CONST_FLOAT)) {
                return false;
            }
        }
    }
    return true;
}

static bool cut_of_cmp(splitter *s, const tg_op *loop, tg_op *cmp, cut *out) {
    const tg_type *t = tg_operand(cmp, 0)->type;
    tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(cmp, TG_ATTR_PRED, 0);
    if (!tg_dtype_is_int(t->dtype) || t->dtype == TG_DT_U64 || p == TG_CMP_EQ || p == TG_CMP_NE ||
        tg_type_count(t) < MIN_TILE_ELEMS || !tg_value_is_used(&cmp->results[0])) {
        return false;
    }
    tg_affine_tile a = tg_affine_of_tile(s->affine, tg_operand(cmp, 0));
    tg_affine_tile b = tg_affine_of_tile(s->affine, tg_operand(cmp, 1));
    if (!a.base.ok || !b.base.ok) {
        return false;
    }
    out->op = cmp;
    out->value = wanted(&cmp->results[0]);
    bool less = (p == TG_CMP_LT || p == TG_CMP_LE) == out->value;
    bool strict = (p == TG_CMP_LT || p == TG_CMP_GT) == out->value;
    tg_affine margin = margin_of(less ? &b : &a, less ? &a : &b, strict ? 1 : 0);
    return cut_at(s, loop, &margin, out);
}

static bool cut_of_span(splitter *s, const tg_op *loop, tg_op *span, cut *out) {
    tg_affine lo = tg_affine_of(s->affine, tg_operand(span, 0));
    tg_affine hi = tg_affine_of(s->affine, tg_operand(span, 1));
    tg_affine margin = tg_affine_add(&hi, &lo, -1);
    margin = tg_affine_offset(&margin, -span->results[0].type->shape[0]);
    out->op = span;
    return !tg_affine_prove(s->affine, &margin, span->parent) && cut_at(s, loop, &margin, out) &&
           out->below;
}

static bool find_cut(splitter *s, const tg_op *loop, const tg_region *r, cut *out) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == (s->peel ? TG_OP_SPAN : TG_OP_CMP) && !is_done(s, op)) {
            TG_LIST_PUSH(s->ctx->scratch, &s->done, op);
            if (s->peel ? cut_of_span(s, loop, op, out) : cut_of_cmp(s, loop, op, out)) {
                return true;
            }
        }
        for (int i = 0; i < op->n_regions; i++) {
            if (op->code != TG_OP_FOR && op->code != TG_OP_WHILE &&
                find_cut(s, loop, op->regions[i], out)) {
                return true;
            }
        }
    }
    return false;
}

/* ---- making the loops ----------------------------------------------------------------------- */

static tg_value *build_form(splitter *s, tg_builder *b, const tg_affine *a) {
    tg_value *sum = tg_build_index(b, a->constant);
    for (int i = 0; i < a->n; i++) {
        const tg_value *v;
        const tg_dim *d;
        tg_affine_atom(s->affine, a->terms[i].atom, &v, &d);
        /* The value is only read; the table that holds it is const. */
        tg_value *x = v != NULL ? tg_build_cast(b, (tg_value *)(uintptr_t)v, TG_DT_I64)
                                : tg_build_dim_expr(b, d);
        x = tg_build_binary(b, TG_OP_MUL, x, tg_build_index(b, a->terms[i].coef));
        sum = tg_build_binary(b, TG_OP_ADD, sum, x);
    }
    return sum;
}

/* First iteration at or after m: lo + ceil(max(m - lo, 0) / step) * step. */
static tg_value *first_from(tg_builder *b, tg_value *lo, tg_value *m, tg_value *step) {
    tg_value *gap = tg_build_binary(b, TG_OP_SUB, m, lo);
    int64_t n = 1;
    (void)tg_value_const_int(step, &n);
    gap = tg_build_binary(b, TG_OP_MAX, gap, tg_build_index(b, 0));
    gap = tg_build_binary(b, TG_OP_ADD, gap, tg_build_index(b, n - 1));
    tg_value *trips = tg_build_binary(b, TG_OP_DIV, gap, step);
    return tg_build_binary(b, TG_OP_ADD, lo, tg_build_binary(b, TG_OP_MUL, trips, step));
}

static void set_known(tg_op *op, bool value) {
    tg_builder b = tg_builder_before(op);
    tg_replace_all_uses(&op->results[0], tg_build_int(&b, op->results[0].type, value));
    tg_op_erase(op);
}

/*
 * loop becomes `head; loop`: head is a copy of it over [lo, min(m, hi)), the loop itself continues
 * from the next iteration with head's results.
 */
static void split_at(splitter *s, tg_op *loop, const cut *c) {
    tg_builder b = tg_builder_before(loop);
    tg_value *lo = tg_operand(loop, 0), *hi = tg_operand(loop, 1), *step = tg_operand(loop, 2);
    tg_value *m = tg_build_binary(&b, TG_OP_MIN, build_form(s, &b, &c->at), hi);
    tg_value *mid = first_from(&b, lo, m, step);
    tg_value_map *map = tg_value_map_make(s->ctx->scratch);
    tg_op *head = tg_op_clone(loop, loop->parent, map);
    tg_op_unlink(head);
    tg_op_insert_before(loop, head);
    tg_set_operand(head, 1, m);
    tg_set_operand(loop, 0, mid);
    for (int i = 0; i < loop->n_results; i++) {
        tg_set_operand(loop, 3 + i, &head->results[i]);
    }
    for (size_t i = 0, n = s->done.count; i < n; i++) {
        tg_value *copy = tg_value_map_get(map, &s->done.data[i]->results[0]);
        if (copy != NULL) {
            TG_LIST_PUSH(s->ctx->scratch, &s->done, copy->def);
        }
    }
    tg_op *twin = tg_value_map_get(map, &c->op->results[0])->def;
    if (!s->peel) {
        set_known(c->below ? twin : c->op, c->value);
    }
    s->splits++;
    tg_remark(s->ctx, TG_D_IR_LOOP_SPLIT, loop->span,
              s->peel ? "this loop runs its full blocks first, then the ragged one"
                      : "this loop was split where its condition becomes known");
}

/* The range of a loop must be far from the ends of int64 for the new bounds not to wrap. */
static bool bounds_are_tame(splitter *s, const tg_op *loop) {
    for (int i = 0; i < 2; i++) {
        int64_t lo, hi;
        tg_affine a = tg_affine_of(s->affine, tg_operand(loop, i));
        if (!tg_affine_range(s->affine, &a, &lo, &hi) || lo < INT64_MIN / 4 || hi > INT64_MAX / 4) {
            return false;
        }
    }
    int64_t step;
    return tg_value_const_int(tg_operand(loop, 2), &step) && step < INT64_MAX / 4;
}

static bool split_one(splitter *s, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            if (split_one(s, op->regions[i])) {
                return true;
            }
        }
        cut c;
        if (op->code == TG_OP_FOR && count_ops(op->regions[0], MAX_BODY_OPS) <= MAX_BODY_OPS &&
            bounds_are_tame(s, op) && find_cut(s, op, op->regions[0], &c)) {
            split_at(s, op, &c);
            return true;
        }
    }
    return false;
}

static void run(tg_func *f, tg_pass_context *ctx, bool peel) {
    splitter s = {.f = f, .ctx = ctx, .peel = peel};
    do {
        /* Loops changed: the facts are read anew. */
        s.affine = tg_affine_make(f, ctx->scratch);
    } while (s.splits < MAX_SPLITS && split_one(&s, f->body));
}

void tg_pass_split(tg_func *f, tg_pass_context *ctx) { run(f, ctx, false); }
void tg_pass_peel(tg_func *f, tg_pass_context *ctx) { run(f, ctx, true); }
