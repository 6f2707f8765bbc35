/* SPDX-License-Identifier: Apache-2.0 */
/*
 * whole: blocks of which nothing is masked are computed without masks.
 *
 * Takes a placed function without layouts. In a loop that multiplies, what stands between the first
 * and the last operation under a mask becomes an `if`: where one scalar condition says that every
 * mask is true for the whole block, the same without masks, else as before. Refuses nothing.
 *
 * Before:
 *   %4 = cmp %columns, %rows {pred = le} : bool[64, 64]
 *   %5 = select %4, %3, %minus_inf : f32[64, 64]
 *   %6 = reduce %5 {kind = max, axis = 1} : f32[64]
 * After:
 *   %7 = cmp %last_column, %first_row {pred = le} : bool
 *   %6 = if %7 : f32[64] {
 *     %8 = reduce %3 {kind = max, axis = 1} : f32[64]
 *     yield %8
 *   } else {
 *     ... as before
 *   }
 *
 * Masks are made of comparisons of positions (sums of scalars and counters, whose ends are known),
 * of spans that end early and of indices beyond their tensor. Only the diagonal and the last blocks
 * of an attention have any that is false.
 */
#include "backends/place/place.h"

#include "ir/passes.h"
#include "ir/passes/affine.h"
#include "ir/passes/util.h"

enum { MAX_LEAVES = 16, MAX_SCALARS = 32, MIN_ELEMS = 1024, MOST_TERMS = 8 };
/* Sums of few numbers within it do not wrap. */
static const int64_t tame = INT64_C(1) << 58;

typedef struct whole {
    tg_placer *p;
    tg_affine_ctx *affine;
    tg_op *loop, *first, *last; /* of the segment */
    tg_op *leaves[MAX_LEAVES];
    int n_leaves;
    tg_builder b;  /* in front of the segment */
    tg_value *all; /* the condition so far; NULL: nothing is asked */
    tg_value *asked[MAX_SCALARS];
    int n_asked;
    bool failed;
} whole;

/* ---- bounds of positions --------------------------------------------------------------------- */

/* Sums of scalars and of positions along axes: how many; 0: something else. */
static int count_terms(const tg_value *v) {
    const tg_op *op = v->def;
    if (v->type->kind != TG_TY_TILE || v->type->dtype != TG_DT_I64) {
        return 0;
    }
    if (v->type->rank == 0) {
        return 1;
    }
    switch (op == NULL ? -1 : (int)op->code) {
    case TG_OP_IOTA:
        return 1;
    case TG_OP_BROADCAST:
    case TG_OP_RESHAPE:
        return count_terms(op->operands[0].value);
    case TG_OP_ADD:
    case TG_OP_SUB: {
        int a = count_terms(op->operands[0].value), b = count_terms(op->operands[1].value);
        return a == 0 || b == 0 ? 0 : a + b;
    }
    }
    return 0;
}

/* v is computed before op. */
static bool is_known(const tg_value *v, const tg_op *op) {
    const tg_region *home = v->def != NULL ? v->def->parent : v->region;
    while (op != NULL && op->parent != home) {
        op = op->parent->parent;
    }
    for (const tg_op *o = op; o != NULL && v->def != NULL; o = o->prev) {
        if (o == v->def) {
            return o != op;
        }
    }
    return op != NULL && v->def == NULL;
}

static void ask(whole *s, tg_value *cond) {
    s->all = s->all == NULL ? cond : tg_build_binary(&s->b, TG_OP_AND, s->all, cond);
}

/* v is far from the ends of int64; asked in front of the loop where it is known there. */
static void ask_tame(whole *s, tg_value *v) {
    tg_affine a = tg_affine_of(s->affine, v);
    int64_t lo, hi;
    bool fine = tg_affine_range(s->affine, &a, &lo, &hi) && lo >= -tame && hi <= tame;
    for (int i = 0; i < s->n_asked && !fine; i++) {
        fine = s->asked[i] == v;
    }
    if (fine) {
        return;
    }
    s->failed |= s->n_asked == MAX_SCALARS;
    if (s->failed) {
        return;
    }
    s->asked[s->n_asked++] = v;
    if (v == s->loop->regions[0]->args[0]) { /* counts from one bound to the other */
        ask_tame(s, tg_operand(s->loop, 0));
        ask_tame(s, tg_operand(s->loop, 1));
        return;
    }
    tg_builder b = is_known(v, s->loop) ? tg_builder_before(s->loop) : s->b;
    tg_value *above = tg_build_cmp(&b, TG_CMP_GE, v, tg_build_index(&b, -tame));
    tg_value *below = tg_build_cmp(&b, TG_CMP_LE, v, tg_build_index(&b, tame));
    ask(s, tg_build_binary(&b, TG_OP_AND, above, below));
}

static tg_value *scalar(whole *s, tg_value *v) {
    if (!is_known(v, s->first)) {
        s->failed = true;
    } else {
        ask_tame(s, v);
    }
    return v;
}

/* The greatest (least) element of a tile that count_terms knows. */
static tg_value *bound(whole *s, tg_value *v, bool greatest) {
    tg_op *op = v->def;
    if (v->type->rank == 0) {
        return scalar(s, v);
    }
    if (op->code == TG_OP_IOTA) {
        return tg_build_index(&s->b, greatest ? tg_type_count(v->type) - 1 : 0);
    }
    tg_value *x = bound(s, tg_operand(op, 0), greatest);
    if (op->code != TG_OP_ADD && op->code != TG_OP_SUB) {
        return x;
    }
    tg_value *y = bound(s, tg_operand(op, 1), greatest == (op->code == TG_OP_ADD));
    return s->failed ? x : tg_build_binary(&s->b, op->code, x, y);
}

/* ---- masks ----------------------------------------------------------------------------------- */

static const tg_op *span_of(const tg_op *mask) {
    const tg_value *x = mask->operands[0].value;
    return x->type->kind == TG_TY_SPAN && x->def != NULL && x->def->code == TG_OP_SPAN ? x->def
                                                                                       : NULL;
}

/* A mask of which one can say when all of it is true. */
static bool is_question(const tg_op *op) {
    if (op->code == TG_OP_CMP) {
        tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0);
        int x = count_terms(op->operands[0].value), y = count_terms(op->operands[1].value);
        return p != TG_CMP_EQ && p != TG_CMP_NE && x > 0 && y > 0 && x + y <= MOST_TERMS;
    }
    return (op->code == TG_OP_SPAN_MASK || op->code == TG_OP_PRESENT) && span_of(op) != NULL;
}

static void ask_cmp(whole *s, const tg_op *op) {
    tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0);
    bool less = p == TG_CMP_LT || p == TG_CMP_LE;
    tg_value *x = bound(s, tg_operand(op, 0), less), *y = bound(s, tg_operand(op, 1), !less);
    if (!s->failed) {
        ask(s, tg_build_cmp(&s->b, p, x, y));
    }
}

/* All positions of the span lie below its end, and, for `present`, in the tensor. */
static void ask_span(whole *s, const tg_op *op) {
    const tg_op *span = span_of(op);
    tg_value *lo = scalar(s, tg_operand(span, 0)), *hi = scalar(s, tg_operand(span, 1));
    if (s->failed) {
        return;
    }
    tg_value *n = tg_build_index(&s->b, span->results[0].type->shape[0]);
    tg_value *end = tg_build_binary(&s->b, TG_OP_ADD, lo, n);
    ask(s, tg_build_cmp(&s->b, TG_CMP_LE, end, hi));
    if (op->code == TG_OP_PRESENT) {
        tg_value *extent = scalar(s, tg_operand(op, 1));
        ask(s, tg_build_cmp(&s->b, TG_CMP_GE, lo, tg_build_index(&s->b, 0)));
        ask(s, tg_build_cmp(&s->b, TG_CMP_LE, end, extent));
    }
}

static bool is_mask(const tg_value *v) {
    return v->type->kind == TG_TY_TILE && v->type->rank > 0 && v->type->dtype == TG_DT_BOOL;
}

static bool is_leaf(const whole *s, const tg_op *op) {
    for (int i = 0; i < s->n_leaves; i++) {
        if (s->leaves[i] == op) {
            return true;
        }
    }
    return false;
}

/* Finds the leaves that a mask is made of. Whether there is one. */
static bool collect(whole *s, const tg_value *v) {
    tg_op *op = v->def;
    bool some = false;
    if (op == NULL || !is_mask(v)) {
        return false;
    }
    if (is_leaf(s, op)) {
        return true;
    }
    if (is_question(op)) {
        bool room = s->n_leaves < MAX_LEAVES;
        s->leaves[room ? s->n_leaves++ : 0] = op;
        return room;
    }
    if ((tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) == 0 &&
        op->code != TG_OP_BROADCAST && op->code != TG_OP_RESHAPE) {
        return false;
    }
    for (int i = 0; i < op->n_operands; i++) {
        some |= collect(s, tg_operand(op, i));
    }
    return some;
}

/* ---- the segment ----------------------------------------------------------------------------- */

/* The operation's mask; NULL: it has none. */
static tg_value *mask_of(const tg_op *op) {
    if (op->code == TG_OP_SELECT && op->results[0].type->dtype != TG_DT_BOOL) {
        return tg_operand(op, 0);
    }
    bool masked = op->code == TG_OP_REDUCE && tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    return masked ? tg_operand(op, 1) : NULL;
}

static bool can_stay(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_BROADCAST:
    case TG_OP_RESHAPE:
    case TG_OP_PERMUTE:
    case TG_OP_REDUCE:
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
    case TG_OP_IOTA:
    case TG_OP_SPAN_MASK:
    case TG_OP_PRESENT:
        return true;
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
}

static bool is_between(const whole *s, const tg_op *op) {
    for (const tg_op *o = s->first; op != NULL && o != NULL; o = o->next) {
        if (o == op) {
            return true;
        }
        if (o == s->last) {
            break;
        }
    }
    return false;
}

static bool uses_segment(const whole *s, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        if (is_between(s, op->operands[i].value->def)) {
            return true;
        }
    }
    return false;
}

/* From the first operation under a known mask to the last one; what cannot stand in an `if` and
 * needs nothing of it moves in front, or ends it. Elements under masks are counted. */
static int64_t find_segment(whole *s, tg_region *body) {
    int64_t elems = 0;
    for (tg_op *op = body->first, *next; op != body->last; op = next) {
        next = op->next;
        tg_value *mask = mask_of(op);
        if (mask != NULL && collect(s, mask)) {
            s->first = s->first == NULL ? op : s->first;
            s->last = op;
            elems += tg_type_count(tg_operand(op, 0)->type);
        } else if (s->first != NULL && !can_stay(op)) {
            tg_op *end = s->last;
            s->last = op->prev;
            bool needs = uses_segment(s, op) ||
                         (tg_op_info_get(op->code)->flags & TG_OPF_PURE) == 0 || op->n_regions > 0;
            s->last = end;
            if (needs) {
                break;
            }
            tg_op_unlink(op);
            tg_op_insert_before(s->first, op);
        }
    }
    return elems;
}

/* The condition under which all leaves are true; NULL: it is not known in front of the segment. */
static tg_value *condition(whole *s) {
    s->b = tg_builder_before(s->first);
    s->b.span = s->first->span;
    for (int i = 0; i < s->n_leaves && !s->failed; i++) {
        if (s->leaves[i]->code == TG_OP_CMP) {
            ask_cmp(s, s->leaves[i]);
        } else {
            ask_span(s, s->leaves[i]);
        }
    }
    return s->failed ? NULL : s->all;
}

/* ---- the two ways ---------------------------------------------------------------------------- */

/* A mask as it is where all leaves are true. */
static tg_value *without(whole *s, tg_builder *b, tg_value *v, tg_value_map *map) {
    tg_value *known = tg_value_map_get(map, v);
    if (known != NULL || !is_mask(v) || v->def == NULL) {
        return known != NULL ? known : v;
    }
    if (is_leaf(s, v->def)) {
        known = tg_build_int(b, v->type, 1);
    } else if (can_stay(v->def) && v->def->n_regions == 0) {
        for (int i = 0; i < v->def->n_operands; i++) {
            tg_value *x = tg_operand(v->def, i);
            tg_value_map_put(map, x, without(s, b, x, map));
        }
        known = &tg_op_clone(v->def, b->region, map)->results[0];
    } else {
        known = v;
    }
    tg_value_map_put(map, v, known);
    return known;
}

/* Copies of the segment at the end of the region being built. */
static void copy_without(whole *s, tg_builder *b, tg_value_map *map) {
    for (tg_op *op = s->first;; op = op->next) {
        for (int i = 0; i < op->n_operands; i++) {
            (void)without(s, b, tg_operand(op, i), map);
        }
        if (op->n_results != 1 || without(s, b, &op->results[0], map) == &op->results[0]) {
            (void)tg_op_clone(op, b->region, map);
        }
        if (op == s->last) {
            return;
        }
    }
}

typedef TG_LIST(tg_value *) value_list;

static value_list results_of(whole *s) {
    value_list out = {0};
    for (tg_op *op = s->first;; op = op->next) {
        for (int i = 0; i < op->n_results; i++) {
            bool outside = false;
            for (const tg_use *u = op->results[i].uses; u != NULL; u = u->next) {
                outside |= !is_between(s, u->user);
            }
            if (outside) {
                TG_LIST_PUSH(s->p->arena, &out, &op->results[i]);
            }
        }
        if (op == s->last) {
            return out;
        }
    }
}

static void make_branch(whole *s, tg_value *cond) {
    value_list out = results_of(s);
    int n = (int)out.count;
    const tg_type **types = TG_NEW_ARRAY(s->p->arena, const tg_type *, n + 1);
    tg_value **values = TG_NEW_ARRAY(s->p->arena, tg_value *, n + 1);
    tg_builder b = tg_builder_before(s->first);
    b.span = s->first->span;
    for (int i = 0; i < n; i++) {
        types[i] = out.data[i]->type;
    }
    tg_op *branch = tg_build_if(&b, cond, n, types);
    tg_value_map *map = tg_value_map_make(s->p->arena);
    copy_without(s, &b, map);
    for (int i = 0; i < n; i++) {
        values[i] = tg_value_map_get(map, out.data[i]);
    }
    tg_build_else(&b, branch, n, values);
    for (tg_op *op = s->first, *next;; op = next) {
        next = op->next;
        tg_op_unlink(op);
        tg_op_append(branch->regions[1], op);
        if (op == s->last) {
            break;
        }
    }
    b = tg_builder_at_end(branch->regions[1]);
    tg_build_end_if(&b, branch, n, out.data);
    tg_op *yield = branch->regions[1]->last;
    for (int i = 0; i < n; i++) {
        branch->results[i].name = out.data[i]->name;
        tg_value *v = out.data[i];
        for (tg_use *u = v->uses, *next; u != NULL; u = next) {
            next = u->next;
            bool inside = u->user == yield || u->user->parent == branch->regions[1];
            if (!inside) {
                tg_set_operand(u->user, (int)(u - u->user->operands), &branch->results[i]);
            }
        }
    }
}

/* ---- loops ----------------------------------------------------------------------------------- */

static bool multiplies(const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT) {
            return true;
        }
    }
    return false;
}

static bool visit_loop(tg_placer *p, tg_op *loop) {
    whole *s = TG_NEW(p->arena, whole);
    s->p = p;
    s->loop = loop;
    s->affine = tg_affine_make(p->f, p->arena);
    if (!multiplies(loop->regions[0]) || find_segment(s, loop->regions[0]) < MIN_ELEMS) {
        return false;
    }
    tg_value *cond = condition(s);
    if (cond == NULL) {
        return false;
    }
    make_branch(s, cond);
    return true;
}

static bool visit_region(tg_placer *p, tg_region *r) {
    bool some = false;
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            some |= visit_region(p, op->regions[i]);
        }
        some |= op->code == TG_OP_FOR && visit_loop(p, op);
    }
    return some;
}

tg_status tg_place_whole(tg_placer *p) {
    if (p->machine->matrix != 0 && visit_region(p, p->f->body)) {
        tg_pass_context ctx = {.scratch = p->arena};
        tg_pass_canonicalise(p->f, &ctx);
        tg_pass_cse(p->f, &ctx);
        tg_pass_dce(p->f, &ctx);
    }
    return TG_OK;
}
