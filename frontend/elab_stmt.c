/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements. Variables are SSA underneath: a loop carries those that its body assigns, a runtime
 * `if` joins them. Presence and identity of a carried variable are a fixpoint (R5): the body is
 * elaborated with what is known at the head; when an assignment adds a predicate, the body is
 * discarded and done again with the larger set, which ends because a predicate is never taken back.
 */
#include "frontend/value.h"

#include <string.h>

#define MAX_CARRIED 64
#define MAX_ATTEMPTS 200

/* ---- what can be undone --------------------------------------------------------------------- */

typedef struct mark {
    tg_sink sink;
    tg_builder b;
    tg_scope *scope;
    tg_loop *loops;
    size_t accesses, boxes, facts;
    int errors;
} mark;

static mark mark_now(const tg_elab *e) {
    return (mark){*e->sink,          e->b,           e->scope,       e->loops,
                  e->accesses.count, e->boxes.count, e->facts.count, e->errors};
}

static void undo(tg_elab *e, const mark *m, tg_op *op) {
    *e->sink = m->sink;
    e->errors = m->errors;
    if (e->sink->last != NULL) {
        e->sink->last->next = NULL;
    }
    e->b = m->b;
    e->scope = m->scope;
    e->loops = m->loops;
    e->accesses.count = m->accesses;
    e->boxes.count = m->boxes;
    e->facts.count = m->facts;
    tg_el_erase(op);
}

/* ---- variables ------------------------------------------------------------------------------ */

typedef struct carried {
    tg_slot *slots[MAX_CARRIED];
    const tg_val *init[MAX_CARRIED], *head[MAX_CARRIED];
    bool conflict[MAX_CARRIED][TG_MAX_RANK];
    int n;
    bool too_many;
} carried;

static void add_assigned(tg_elab *e, const tg_expr *t, carried *c) {
    if (t->kind != TG_EXPR_NAME) {
        return;
    }
    tg_slot *s = tg_el_lookup(e, t->u.name.name);
    if (s == NULL || !s->is_var || s->val->kind != TG_VAL_TILE) {
        return;
    }
    for (int i = 0; i < c->n; i++) {
        if (c->slots[i] == s) {
            return;
        }
    }
    if (c->n < MAX_CARRIED) {
        c->slots[c->n++] = s;
    } else {
        c->too_many = true;
    }
}

/* Variables of the enclosing scopes that the block may assign. */
static void assigned_in(tg_elab *e, const tg_block *b, carried *c) {
    for (int i = 0; i < b->n; i++) {
        const tg_stmt *s = b->items[i];
        switch (s->kind) {
        case TG_STMT_ASSIGN:
            for (int k = 0; k < s->u.assign.targets.n; k++) {
                add_assigned(e, s->u.assign.targets.items[k], c);
            }
            break;
        case TG_STMT_IF:
            assigned_in(e, &s->u.if_.then, c);
            assigned_in(e, &s->u.if_.els, c);
            break;
        case TG_STMT_FOR:
            assigned_in(e, &s->u.for_.body, c);
            break;
        case TG_STMT_WHILE:
            assigned_in(e, &s->u.while_.body, c);
            break;
        case TG_STMT_BLOCK:
            assigned_in(e, &s->u.block, c);
            break;
        case TG_STMT_ERROR:
        case TG_STMT_LET:
        case TG_STMT_EXPR:
        case TG_STMT_RETURN:
        case TG_STMT_PRINT:
        case TG_STMT_ASSERT:
        case TG_STMT_ASSUME:
        case TG_STMT_TEMP:
            break;
        }
    }
}

/* False, with a report, when a statement assigns more variables than it can carry. */
static bool few_enough(tg_elab *e, const tg_stmt *s, const carried *c) {
    if (c->too_many) {
        tg_el_error(e, TG_D_TOO_LARGE, s->span,
                    "more than %d variables from outside are assigned here: join some into a tile",
                    MAX_CARRIED);
    }
    return !c->too_many;
}

static void take_heads(carried *c) {
    for (int i = 0; i < c->n; i++) {
        c->init[i] = c->head[i] = c->slots[i]->val;
        memset(c->conflict[i], 0, sizeof(c->conflict[i]));
    }
}

static const tg_val *with_ir(tg_elab *e, const tg_val *v, tg_value *ir) {
    tg_val *r = tg_el_copy(e, v);
    r->ir = ir;
    r->sym = NULL;
    r->implies = (tg_preds){NULL, 0};
    return r;
}

static bool identity_inside(const tg_identity *s, const tg_region *r) {
    return tg_el_value_inside(s->ir, r) || tg_el_value_inside(s->ir_start, r);
}

static void carried_error(tg_elab *e, const tg_slot *s, const tg_val *v, const tg_pred *p) {
    tg_diag *d = tg_el_error(e, TG_D_LOOP_PRESENCE, v->where,
                             "`%s` would lose elements to what exists in one turn of the loop only",
                             s->name);
    tg_note_add(e->sink, d, p->where, "where %s, later turns have no value to go on with",
                tg_pr_words(e, p));
    tg_note_add(e->sink, d, v->where,
                "give the missing elements a value, for instance with `else`");
}

/* Compares the end of the body with the head; returns true when the head was enough. */
static bool settle(tg_elab *e, carried *c, const tg_region *body) {
    bool same = true;
    for (int i = 0; i < c->n; i++) {
        const tg_val *end = c->slots[i]->val, *head = c->head[i];
        tg_val *next = tg_el_copy(e, head);
        bool grew = false;
        for (int k = 0; k < end->preds.n; k++) {
            const tg_pred *p = end->preds.items[k];
            if (tg_pr_implied(e, &head->preds, p)) {
                continue;
            }
            if (tg_pr_inside(p, body)) {
                carried_error(e, c->slots[i], end, p);
                continue;
            }
            tg_pr_add(e, &next->preds, p);
            grew = true;
        }
        for (int a = 0; a < tg_el_rank(end); a++) {
            const tg_identity *id = end->id[a];
            if (id == NULL || id == head->id[a] || c->conflict[i][a]) {
                continue;
            }
            if (head->id[a] == NULL && !identity_inside(id, body)) {
                next->id[a] = id;
                grew = true;
            } else if (head->id[a] != NULL) {
                next->id[a] = NULL;
                c->conflict[i][a] = true;
                grew = true;
            }
        }
        c->head[i] = next;
        same = same && !grew;
    }
    return same;
}

/* As settle; reports when variables hand absence on from one to the next for too long. */
static bool settled_now(tg_elab *e, const tg_stmt *s, carried *c, const tg_region *body,
                        int attempt) {
    bool done = settle(e, c, body);
    if (!done && attempt == MAX_ATTEMPTS) {
        tg_el_error(e, TG_D_TOO_LARGE, s->span,
                    "what exists of the variables assigned here is still unknown after %d turns",
                    MAX_ATTEMPTS);
    }
    return done;
}

/* ---- loops ---------------------------------------------------------------------------------- */

static void bind_results(tg_elab *e, carried *c, tg_value *const *irs) {
    for (int i = 0; i < c->n; i++) {
        c->slots[i]->val = with_ir(e, c->head[i], irs[i]);
    }
}

typedef struct for_range {
    const tg_val *lo, *hi;
    int64_t n; /* 0: scalar positions */
} for_range;

static bool for_bounds(tg_elab *e, const tg_stmt *s, for_range *r) {
    tg_span before = e->b.span;
    e->b.span = s->span;
    r->n = 0;
    if (s->u.for_.lo != NULL) {
        r->lo = tg_el_index_scalar(e, s->u.for_.lo, "the start of a loop");
    } else {
        tg_val *zero = tg_el_tile(e, tg_build_index(&e->b, 0), s->span);
        zero->sym = tg_sy_int(e, 0);
        r->lo = zero;
    }
    r->hi = tg_el_index_scalar(e, s->u.for_.hi, "the end of a loop");
    bool ok = r->lo != NULL && r->hi != NULL;
    if (ok && s->u.for_.by != NULL) {
        ok = tg_el_const_int(e, s->u.for_.by, "the step of a loop", &r->n);
        if (ok && (r->n < 1 || r->n > ((int64_t)1 << 24))) {
            tg_el_error(e, TG_D_SHAPE, s->u.for_.by->span, "blocks of %lld positions",
                        (long long)r->n);
            ok = false;
        }
    }
    e->b.span = before;
    return ok;
}

/* Binds the loop variable in the current scope; returns its atom. */
static const tg_dim *bind_loop_var(tg_elab *e, const tg_stmt *s, const for_range *r, tg_value *iv,
                                   tg_loop *loop) {
    const tg_dim *sym, *one = tg_sy_int(e, 1);
    tg_atom *a = tg_sy_atom_new(e, TG_ATOM_LOOP, &sym);
    a->step = r->n == 0 ? 1 : r->n;
    tg_sy_lower(e, a, r->lo->sym);
    tg_sy_upper(e, a, tg_sy_bin(e, TG_DIM_SUB, r->hi->sym, one));
    loop->lo = r->lo->sym;
    loop->hi = r->hi->sym;
    loop->atom = sym;
    tg_ident name = s->u.for_.var;
    if (r->n == 0) {
        tg_val *v = tg_el_tile(e, iv, name.span);
        v->sym = sym;
        tg_el_bind(e, name.name, v, false, name.span);
        return sym;
    }
    tg_identity *id = tg_el_identity(e, name.name, name.span, r->n);
    id->start = sym;
    id->lo = r->lo->sym;
    id->hi = r->hi->sym;
    id->ir_start = iv;
    id->ir_hi = tg_sy_launch(e, id->hi) ? NULL : r->hi->ir;
    id->loop = e->n_loops++;
    id->full = tg_sy_divisible(e, tg_sy_bin(e, TG_DIM_SUB, id->hi, id->lo), r->n);
    id->ir = tg_build_span(&e->b, iv, r->hi->ir, r->n);
    tg_val *v = tg_el_new(e, TG_VAL_SPAN, name.span);
    v->span = id;
    tg_el_bind(e, name.name, v, false, name.span);
    return sym;
}

static void for_stmt(tg_elab *e, const tg_stmt *s) {
    for_range r;
    if (!for_bounds(e, s, &r)) {
        return;
    }
    carried c = {.n = 0};
    assigned_in(e, &s->u.for_.body, &c);
    if (!few_enough(e, s, &c)) {
        return;
    }
    take_heads(&c);
    for (int attempt = 0;; attempt++) {
        mark m = mark_now(e);
        tg_value *irs[MAX_CARRIED], *iv;
        for (int i = 0; i < c.n; i++) {
            irs[i] = c.init[i]->ir;
        }
        tg_op *op = tg_build_for(&e->b, r.lo->ir, r.hi->ir,
                                 tg_build_index(&e->b, r.n == 0 ? 1 : r.n), c.n, irs, &iv);
        bind_results(e, &c, irs);
        tg_el_push(e);
        tg_loop loop = {.region = op->regions[0], .up = e->loops};
        bind_loop_var(e, s, &r, iv, &loop);
        e->loops = &loop;
        tg_el_block(e, &s->u.for_.body);
        e->loops = loop.up;
        tg_el_pop(e);
        bool failed = e->errors > m.errors;
        bool done =
            settled_now(e, s, &c, op->regions[0], attempt) || failed || e->errors > m.errors;
        if (done) {
            for (int i = 0; i < c.n; i++) {
                irs[i] = c.slots[i]->val->ir;
            }
            tg_build_end_for(&e->b, op, c.n, irs);
            bind_results(e, &c, irs);
            return;
        }
        undo(e, &m, op);
    }
}

static tg_value *while_condition(tg_elab *e, const tg_stmt *s) {
    const tg_val *v = tg_el_runtime(e, tg_el_value(e, s->u.while_.cond));
    if (!tg_el_is_error(v) &&
        (v->kind != TG_VAL_TILE || tg_el_rank(v) != 0 || tg_el_dtype(v) != TG_DT_BOOL)) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, s->u.while_.cond->span,
                    "the condition is one bool, not %s", tg_el_describe(e, v));
        v = &tg_val_error;
    }
    return tg_el_is_error(v) ? tg_build_bool(&e->b, false) : v->ir;
}

static void enter_region(tg_elab *e, tg_region *r, carried *c) {
    tg_value *irs[MAX_CARRIED];
    e->b.region = r;
    e->b.before = NULL;
    for (int i = 0; i < c->n; i++) {
        irs[i] = tg_region_add_arg(r, c->head[i]->ir->type, c->slots[i]->name);
    }
    bind_results(e, c, irs);
}

static void yield_slots(tg_elab *e, const carried *c, tg_value *first) {
    tg_value *irs[MAX_CARRIED + 1];
    int n = 0;
    if (first != NULL) {
        irs[n++] = first;
    }
    for (int i = 0; i < c->n; i++) {
        irs[n++] = c->slots[i]->val->ir;
    }
    tg_build_op(&e->b, TG_OP_YIELD, n, irs, 0, NULL, 0);
}

static void while_stmt(tg_elab *e, const tg_stmt *s) {
    int64_t max;
    if (s->u.while_.max->kind == TG_EXPR_ERROR ||
        !tg_el_const_int(e, s->u.while_.max, "the greatest number of turns", &max)) {
        return;
    }
    carried c = {.n = 0};
    assigned_in(e, &s->u.while_.body, &c);
    if (!few_enough(e, s, &c)) {
        return;
    }
    take_heads(&c);
    for (int attempt = 0;; attempt++) {
        mark m = mark_now(e);
        tg_value *irs[MAX_CARRIED];
        const tg_type *types[MAX_CARRIED];
        for (int i = 0; i < c.n; i++) {
            irs[i] = c.init[i]->ir;
            types[i] = irs[i]->type;
        }
        tg_op *op = tg_build_op(&e->b, TG_OP_WHILE, c.n, irs, c.n, types, 2);
        tg_op_set_int(op, TG_ATTR_MAX, max);
        tg_builder outer = e->b;
        enter_region(e, op->regions[0], &c);
        tg_value *cond = while_condition(e, s);
        yield_slots(e, &c, cond);
        enter_region(e, op->regions[1], &c);
        tg_loop loop = {.region = op->regions[1], .up = e->loops};
        e->loops = &loop;
        tg_el_push(e);
        tg_el_block(e, &s->u.while_.body);
        tg_el_pop(e);
        e->loops = loop.up;
        bool done = settled_now(e, s, &c, op->regions[1], attempt) || e->errors > m.errors;
        if (done) {
            yield_slots(e, &c, NULL);
            e->b = outer;
            for (int i = 0; i < c.n; i++) {
                irs[i] = &op->results[i];
            }
            bind_results(e, &c, irs);
            return;
        }
        undo(e, &m, op);
    }
}

/* ---- if ------------------------------------------------------------------------------------- */

/* How one variable leaves a runtime `if`: what both branches share, and a mask for the rest. */
typedef struct join {
    tg_preds shared;
    bool masked;
    tg_preds leaves; /* together enough for either branch, when both may be named outside */
    const tg_identity *id[TG_MAX_RANK];
} join;

static join join_of(tg_elab *e, const tg_val *t, const tg_val *f, const tg_region *rt,
                    const tg_region *rf) {
    join j = {.masked = false};
    for (int i = 0; i < t->preds.n; i++) {
        const tg_pred *p = t->preds.items[i];
        if (tg_pr_implied(e, &f->preds, p) && !tg_pr_inside(p, rt)) {
            tg_pr_add(e, &j.shared, p);
        }
    }
    for (int i = 0; i < t->preds.n; i++) {
        j.masked = j.masked || !tg_pr_implied(e, &j.shared, t->preds.items[i]);
    }
    for (int i = 0; i < f->preds.n; i++) {
        j.masked = j.masked || !tg_pr_implied(e, &j.shared, f->preds.items[i]);
    }
    bool inside = false;
    const tg_preds *both[2] = {&t->preds, &f->preds};
    const tg_region *regions[2] = {rt, rf};
    for (int b = 0; b < 2 && j.masked; b++) {
        for (int i = 0; i < both[b]->n; i++) {
            inside = inside || tg_pr_inside(both[b]->items[i], regions[b]);
            tg_pr_add(e, &j.leaves, both[b]->items[i]);
        }
    }
    j.leaves = inside ? (tg_preds){NULL, 0} : j.leaves;
    for (int a = 0; a < tg_el_rank(t); a++) {
        const tg_identity *x = t->id[a], *y = f->id[a];
        x = x != NULL && identity_inside(x, rt) ? NULL : x;
        y = y != NULL && identity_inside(y, rf) ? NULL : y;
        j.id[a] = x == y ? x : x == NULL ? y : y == NULL ? x : NULL;
    }
    return j;
}

static tg_value *branch_mask(tg_elab *e, const tg_val *v, const join *j) {
    tg_preds rest = {NULL, 0};
    for (int i = 0; i < v->preds.n; i++) {
        if (!tg_pr_implied(e, &j->shared, v->preds.items[i])) {
            tg_pr_add(e, &rest, v->preds.items[i]);
        }
    }
    const tg_type *t = v->ir->type;
    tg_value *m = tg_pr_conj(e, &rest, t->rank, t->shape);
    return m != NULL ? m : tg_build_int(&e->b, tg_type_with_dtype(e->m, t, TG_DT_BOOL), 1);
}

static void yield_branch(tg_elab *e, tg_region *r, const carried *c, const tg_val *const *vals,
                         const join *js) {
    tg_value *irs[2 * MAX_CARRIED];
    int n = 0;
    e->b.region = r;
    e->b.before = NULL;
    for (int i = 0; i < c->n; i++) {
        irs[n++] = vals[i]->ir;
        if (js[i].masked) {
            irs[n++] = branch_mask(e, vals[i], &js[i]);
        }
    }
    tg_build_op(&e->b, TG_OP_YIELD, n, irs, 0, NULL, 0);
}

/* The op's results are known only after both branches: the finished regions move to a second op. */
static tg_op *with_results(tg_elab *e, tg_op *op, tg_value *cond, const carried *c,
                           const join *js) {
    const tg_type *types[2 * MAX_CARRIED];
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        types[n++] = c->init[i]->ir->type;
        if (js[i].masked) {
            types[n++] = tg_type_with_dtype(e->m, c->init[i]->ir->type, TG_DT_BOOL);
        }
    }
    tg_op *full = tg_op_make(e->f, TG_OP_IF, op->span, 1, &cond, n, types, 2);
    tg_op_insert_before(op, full);
    for (int r = 0; r < 2; r++) {
        tg_region *empty = full->regions[r];
        full->regions[r] = op->regions[r];
        full->regions[r]->parent = full;
        op->regions[r] = empty;
        empty->parent = op;
    }
    tg_op_erase(op);
    return full;
}

static void bind_join(tg_elab *e, const carried *c, const join *js, const tg_op *op,
                      tg_span where) {
    int n = 0;
    for (int i = 0; i < c->n; i++) {
        tg_val *v = tg_el_tile(e, &op->results[n++], c->init[i]->where);
        memcpy(v->id, js[i].id, sizeof(v->id));
        v->preds = js[i].shared;
        if (js[i].masked) {
            int axes[TG_MAX_RANK];
            for (int a = 0; a < TG_MAX_RANK; a++) {
                axes[a] = a;
            }
            tg_pred *p = TG_NEW(e->a, tg_pred);
            *p = *tg_pr_from_mask(e, &op->results[n++], tg_el_rank(v), axes, where);
            p->leaves = js[i].leaves;
            tg_pr_add(e, &v->preds, p);
        }
        c->slots[i]->val = v;
    }
}

static bool same_box(const tg_box *a, const tg_box *b) {
    return a->param == b->param && memcmp(a->all, b->all, sizeof(a->all)) == 0 &&
           memcmp(a->lo, b->lo, sizeof(a->lo)) == 0 && memcmp(a->hi, b->hi, sizeof(a->hi)) == 0;
}

static void runtime_if(tg_elab *e, const tg_stmt *s, tg_value *cond, const tg_dim *known) {
    carried c = {.n = 0};
    const tg_val *vals[2][MAX_CARRIED];
    join js[MAX_CARRIED];
    assigned_in(e, &s->u.if_.then, &c);
    assigned_in(e, &s->u.if_.els, &c);
    if (!few_enough(e, s, &c)) {
        return;
    }
    take_heads(&c);
    tg_op *op = tg_build_op(&e->b, TG_OP_IF, 1, &cond, 0, NULL, 2);
    tg_builder outer = e->b;
    size_t base = e->boxes.count, split = base;
    tg_box *then_boxes = NULL;
    for (int r = 0; r < 2; r++) {
        e->b.region = op->regions[r];
        e->b.before = NULL;
        tg_el_push(e);
        size_t facts = e->facts.count;
        tg_sy_assume(e, known, r == 0);
        tg_el_block(e, r == 0 ? &s->u.if_.then : &s->u.if_.els);
        e->facts.count = facts;
        tg_el_pop(e);
        for (int i = 0; i < c.n; i++) {
            vals[r][i] = c.slots[i]->val;
            c.slots[i]->val = c.init[i];
        }
        if (r == 0) { /* boxes of one branch count when the other writes them too */
            split = e->boxes.count;
            then_boxes = TG_NEW_ARRAY(e->a, tg_box, split - base + 1);
            for (size_t i = base; i < split; i++) {
                then_boxes[i - base] = e->boxes.data[i];
            }
            e->boxes.count = base;
        }
    }
    size_t kept = base;
    for (size_t i = base; i < e->boxes.count; i++) {
        for (size_t k = 0; k < split - base; k++) {
            if (same_box(&e->boxes.data[i], &then_boxes[k])) {
                e->boxes.data[kept++] = e->boxes.data[i];
                break;
            }
        }
    }
    e->boxes.count = kept;
    for (int i = 0; i < c.n; i++) {
        js[i] = join_of(e, vals[0][i], vals[1][i], op->regions[0], op->regions[1]);
    }
    yield_branch(e, op->regions[0], &c, vals[0], js);
    yield_branch(e, op->regions[1], &c, vals[1], js);
    e->b = outer;
    bool at_end = outer.before == NULL;
    op = with_results(e, op, cond, &c, js);
    if (!at_end) {
        e->b.before = outer.before;
    }
    bind_join(e, &c, js, op, s->span);
}

static void if_stmt(tg_elab *e, const tg_stmt *s) {
    const tg_val *v = tg_el_value(e, s->u.if_.cond);
    if (tg_el_is_error(v)) {
        return;
    }
    if (v->kind == TG_VAL_BOOL) {
        tg_el_push(e);
        tg_el_block(e, v->i ? &s->u.if_.then : &s->u.if_.els);
        tg_el_pop(e);
        return;
    }
    if (v->kind != TG_VAL_TILE || tg_el_rank(v) != 0 || tg_el_dtype(v) != TG_DT_BOOL) {
        tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, s->u.if_.cond->span,
                                 "the condition is one bool, not %s", tg_el_describe(e, v));
        tg_note_add(e->sink, d, s->u.if_.cond->span,
                    "choose element by element with where(c, x, y)");
        return;
    }
    runtime_if(e, s, v->ir, v->sym);
}

/* ---- let and assignment --------------------------------------------------------------------- */

static const tg_val *declared(tg_elab *e, const tg_let_item *item, const tg_val *v) {
    tg_dtype t;
    int rank;
    int64_t shape[TG_MAX_RANK];
    if (!item->has_type || tg_el_is_error(v)) {
        return v;
    }
    if (!tg_el_tile_type(e, &item->type, &t, &rank, shape)) {
        return &tg_val_error;
    }
    if (tg_el_is_const(v)) {
        v = tg_el_adapt(e, v, t);
        return v == NULL   ? &tg_val_error
               : rank == 0 ? v
                           : tg_el_broadcast(e, v, rank, shape, item->span);
    }
    bool ok = v->kind == TG_VAL_TILE && tg_el_dtype(v) == t && tg_el_rank(v) == rank;
    for (int a = 0; a < rank && ok; a++) {
        ok = tg_el_extent(v, a) == shape[a];
    }
    if (!ok) {
        tg_diag *d =
            tg_el_error(e, TG_D_TYPE_MISMATCH, item->span, "the value is %s", tg_el_describe(e, v));
        tg_note_add(e->sink, d, item->type.span, "and this is its declared type");
        return &tg_val_error;
    }
    return v;
}

static void bind_value(tg_elab *e, tg_ident name, const tg_val *v, bool is_var) {
    if (strcmp(name.name, "_") == 0) {
        return;
    }
    if (is_var && !tg_el_is_error(v)) {
        v = tg_el_runtime(e, v);
        if (v->kind != TG_VAL_TILE && !tg_el_is_error(v)) {
            tg_el_error(e, TG_D_TYPE_MISMATCH, name.span,
                        "a variable holds one tile or scalar, not %s", tg_el_describe(e, v));
            v = &tg_val_error;
        }
    }
    bool opaque = !is_var && v->kind == TG_VAL_TILE && tg_el_rank(v) == 0 && v->sym == NULL &&
                  v->ir != NULL && tg_el_dtype(v) == TG_DT_I64;
    if (opaque) { /* a name of its own: an `if` around its uses may bound it */
        tg_val *named = tg_el_copy(e, v);
        named->sym = tg_sy_value(e, v->ir);
        v = named;
    }
    tg_el_bind(e, name.name, v, is_var, name.span);
}

static void let_stmt(tg_elab *e, const tg_stmt *s) {
    for (int i = 0; i < s->u.let.n; i++) {
        const tg_let_item *item = &s->u.let.items[i];
        const tg_val *v = tg_el_expr(e, item->init);
        if (v->kind == TG_VAL_REF && v->ref->indexed && v->ref->record == NULL) {
            v = tg_el_rvalue(e, v); /* read now: later stores do not change it */
        }
        v = tg_el_harden(e, v);
        if (v->kind == TG_VAL_VOID || v->kind == TG_VAL_STRING) {
            tg_el_error(e, TG_D_NOT_A_VALUE, item->init->span, "%s cannot be bound to a name",
                        tg_el_describe(e, v));
            v = &tg_val_error;
        }
        if (!item->is_tuple) {
            bind_value(e, item->names[0], declared(e, item, v), s->u.let.is_var);
            continue;
        }
        bool fits = v->kind == TG_VAL_TUPLE && v->n == item->n_names;
        if (!fits && !tg_el_is_error(v)) {
            tg_el_error(e, TG_D_CALL, item->span, "%d names for %s", item->n_names,
                        tg_el_describe(e, v));
        }
        for (int k = 0; k < item->n_names; k++) {
            bind_value(e, item->names[k], fits ? v->items[k] : &tg_val_error, s->u.let.is_var);
        }
    }
}

/* A new value for a variable: its type and shape stay. */
static void other_type(tg_elab *e, const tg_slot *s, const tg_val *v, tg_span where) {
    tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "`%s` is %s and the new value is %s",
                             s->name, tg_el_describe(e, s->val), tg_el_describe(e, v));
    if (v->kind == TG_VAL_TILE && tg_el_rank(v) != tg_el_rank(s->val)) {
        tg_note_add(e->sink, d, s->where,
                    "declared here; begin with a tile: `var %s = zeros %s` or `full %s = ...`",
                    s->name, tg_el_describe(e, v), tg_el_describe(e, v));
        return;
    }
    tg_note_add(e->sink, d, s->where,
                "declared here; convert the value with `as`, or declare the type: `var %s: ...`",
                s->name);
}

static void set_var(tg_elab *e, tg_slot *s, const tg_val *v, tg_span where) {
    if (tg_el_is_error(v) || tg_el_is_error(s->val)) {
        return;
    }
    if (!s->is_var) {
        tg_diag *d = tg_el_error(e, TG_D_NOT_ASSIGNABLE, where, "`%s` keeps its value", s->name);
        tg_note_add(e->sink, d, s->where, "declare it with `var` to assign to it");
        return;
    }
    const tg_val *old = s->val;
    tg_dtype t = tg_el_dtype(old);
    v = tg_el_rvalue(e, v);
    if (tg_el_is_const(v)) {
        v = tg_el_adapt(e, v, t);
        if (v == NULL) {
            return;
        }
        v = tg_el_broadcast(e, v, tg_el_rank(old), old->ir->type->shape, where);
    }
    if (tg_el_is_error(v)) {
        return;
    }
    bool widen =
        v->kind == TG_VAL_TILE && tg_el_dtype(v) != t &&
        ((t == TG_DT_F32 && tg_dtype_is_float(tg_el_dtype(v)) && tg_el_dtype(v) != TG_DT_F64) ||
         (t == TG_DT_I64 && tg_dtype_is_int(tg_el_dtype(v)) && tg_el_dtype(v) != TG_DT_U64));
    if (widen) {
        v = tg_el_cast(e, v, t, TG_ROUND_RNE, false, where);
    }
    if (v->kind != TG_VAL_TILE || v->ir->type != old->ir->type) {
        other_type(e, s, v, where);
        return;
    }
    tg_val *c = tg_el_copy(e, v);
    c->where = where;
    s->val = c;
}

/* Where an assignment goes. */
typedef struct target {
    bool drop;
    tg_slot *slot;
    const tg_ref *ref;
} target;

static bool target_of(tg_elab *e, const tg_expr *x, target *out) {
    *out = (target){.drop = false};
    if (x->kind == TG_EXPR_NAME) {
        out->drop = strcmp(x->u.name.name, "_") == 0;
        out->slot = out->drop ? NULL : tg_el_lookup(e, x->u.name.name);
        if (out->slot == NULL && !out->drop) {
            tg_el_expr(e, x); /* reports */
            tg_diag *d = e->sink->last;
            if (d != NULL && d->id == TG_D_UNKNOWN_NAME && d->span.begin == x->span.begin) {
                tg_note_add(e->sink, d, x->span, "a new name starts with `let` or `var`");
            }
            return false;
        }
        return true;
    }
    if (x->kind != TG_EXPR_INDEX && x->kind != TG_EXPR_FIELD) {
        if (x->kind != TG_EXPR_ERROR) {
            tg_el_error(e, TG_D_NOT_ASSIGNABLE, x->span, "`%s` cannot be assigned to",
                        tg_el_text(e, x));
        }
        return false;
    }
    const tg_expr *base = x->kind == TG_EXPR_INDEX ? x->u.index.x : x->u.field.x;
    const tg_slot *s = base->kind == TG_EXPR_NAME ? tg_el_lookup(e, base->u.name.name) : NULL;
    if (s != NULL && s->val->kind == TG_VAL_TILE) {
        tg_diag *d =
            tg_el_error(e, TG_D_NOT_ASSIGNABLE, x->span,
                        "`%s` is a value: its elements are not assigned one by one", s->name);
        tg_note_add(e->sink, d, x->span,
                    "make a new value with where(..), concat(..) or scatter_add(..)");
        return false;
    }
    const tg_val *v = tg_el_expr(e, x);
    if (v->kind != TG_VAL_REF) {
        if (!tg_el_is_error(v)) {
            tg_el_error(e, TG_D_NOT_ASSIGNABLE, x->span, "`%s` cannot be assigned to",
                        tg_el_text(e, x));
        }
        return false;
    }
    out->ref = v->ref;
    return true;
}

static const tg_val *updated(tg_elab *e, const tg_stmt *s, const target *t) {
    const tg_expr *x = s->u.assign.value;
    if (s->u.assign.op == TG_BIN_NONE) {
        return tg_el_value(e, x);
    }
    const tg_val *old =
        t->slot != NULL
            ? t->slot->val
            : tg_el_harden(e, tg_el_load(e, t->ref, s->u.assign.targets.items[0]->span));
    if (tg_el_is_error(old)) {
        return old;
    }
    tg_expr self = {.kind = TG_EXPR_NAME, .span = s->span}; /* acc += a @ b accumulates into acc */
    if (s->u.assign.op == TG_BIN_ADD && x->kind == TG_EXPR_MATMUL) {
        tg_el_push(e);
        self.u.name = (tg_ident){tg_program_name(e->p, "$old"), s->span};
        tg_el_bind(e, self.u.name.name, old, false, s->span);
        tg_expr sum = {.kind = TG_EXPR_BINARY, .span = s->span};
        sum.u.binary.op = TG_BIN_ADD;
        sum.u.binary.a = &self;
        sum.u.binary.b = s->u.assign.value;
        const tg_val *v = tg_el_value(e, &sum);
        tg_el_pop(e);
        return v;
    }
    const tg_val *v = tg_el_value(e, x);
    if (t->slot != NULL && t->slot->is_var && old->kind == TG_VAL_TILE && v->kind == TG_VAL_TILE &&
        tg_el_rank(old) == 0 && tg_el_rank(v) > 0) { /* not "i64 and f32[4] do not mix" */
        other_type(e, t->slot, v, s->span);
        return &tg_val_error;
    }
    return tg_el_binary(e, s->u.assign.op, old, v, s->span);
}

static void assign_one(tg_elab *e, const tg_stmt *s, const target *t, const tg_val *v,
                       tg_span where) {
    if (t->drop || tg_el_is_error(v)) {
        return;
    }
    if (t->slot != NULL) {
        set_var(e, t->slot, v, where);
        return;
    }
    const tg_val *mask = s->u.assign.mask == NULL ? NULL : tg_el_value(e, s->u.assign.mask);
    if (mask != NULL && tg_el_is_error(mask)) {
        return;
    }
    tg_el_store(e, t->ref, v, mask, s->u.assign.disjoint, where);
}

static void assign_stmt(tg_elab *e, const tg_stmt *s) {
    const tg_expr_list *ts = &s->u.assign.targets;
    if (!s->u.assign.is_tuple) {
        target t;
        bool ok = target_of(e, ts->items[0], &t);
        if (ok && t.ref != NULL && tg_el_ref_empty(e, t.ref)) {
            return; /* an empty range: nothing to write, nothing to evaluate */
        }
        if (ok && t.slot != NULL && s->u.assign.disjoint) {
            tg_el_error(e, TG_D_NOT_ASSIGNABLE, s->u.assign.disjoint_span,
                        "`disjoint` is about stores to tensors");
            return;
        }
        const tg_val *v = ok ? updated(e, s, &t) : tg_el_value(e, s->u.assign.value);
        if (ok) {
            assign_one(e, s, &t, v, s->span);
        }
        return;
    }
    const tg_val *v = tg_el_value(e, s->u.assign.value);
    if (tg_el_is_error(v)) {
        return;
    }
    if (v->kind != TG_VAL_TUPLE || v->n != ts->n) {
        tg_el_error(e, TG_D_CALL, s->span, "%d targets for %s", ts->n, tg_el_describe(e, v));
        return;
    }
    for (int i = 0; i < ts->n; i++) {
        target t;
        if (target_of(e, ts->items[i], &t) && !(t.ref != NULL && tg_el_ref_empty(e, t.ref))) {
            assign_one(e, s, &t, v->items[i], ts->items[i]->span);
        }
    }
}

/* ---- the rest ------------------------------------------------------------------------------- */

static void print_stmt(tg_elab *e, const tg_stmt *s) {
    tg_sb text;
    tg_sb_init(&text, e->a);
    tg_value *vals[16];
    int n = 0;
    for (int i = 0; i < s->u.report.args.n; i++) {
        const tg_expr *x = s->u.report.args.items[i];
        if (x->kind == TG_EXPR_STRING) {
            tg_sb_add(&text, x->u.string.text);
            continue;
        }
        const tg_val *v = tg_el_runtime(e, tg_el_value(e, x));
        if (tg_el_is_error(v) || v->kind != TG_VAL_TILE || n == 16) {
            if (!tg_el_is_error(v)) {
                tg_el_error(e, TG_D_CALL, x->span, "print takes texts and up to 16 values");
            }
            return;
        }
        vals[n++] = v->ir;
        tg_sb_add(&text, "{}");
    }
    tg_op *op = tg_build_op(&e->b, TG_OP_PRINT, n, vals, 0, NULL, 0);
    tg_op_set_str(op, TG_ATTR_TEXT, text.data);
}

static void assert_stmt(tg_elab *e, const tg_stmt *s) {
    const tg_expr_list *args = &s->u.report.args;
    if (args->n < 1) {
        return;
    }
    const tg_val *v = tg_el_value(e, args->items[0]);
    const char *text = args->n > 1 && args->items[1]->kind == TG_EXPR_STRING
                           ? args->items[1]->u.string.text
                           : tg_el_text(e, args->items[0]);
    if (tg_el_is_error(v)) {
        return;
    }
    if (v->kind == TG_VAL_BOOL && !v->i && s->kind == TG_STMT_ASSERT) {
        tg_el_error(e, TG_D_REQUIRE, s->span, "this never holds: %s", text);
        return;
    }
    v = tg_el_runtime(e, v);
    if (v->kind != TG_VAL_TILE || tg_el_dtype(v) != TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, args->items[0]->span, "the condition is a bool, not %s",
                    tg_el_describe(e, v));
        return;
    }
    const tg_dim *known = tg_el_rank(v) == 0 ? v->sym : NULL;
    v = tg_el_reduce_all(e, TG_RED_ALL, v, s->span);
    if (tg_el_is_error(v)) {
        return;
    }
    tg_value *cond = v->ir;
    for (int i = 0; i < v->preds.n; i++) { /* nothing is asked of what does not exist */
        tg_value *there = tg_pr_mask(e, v->preds.items[i], NULL);
        cond = tg_build_binary(&e->b, TG_OP_OR, cond, tg_build_unary(&e->b, TG_OP_NOT, there));
    }
    tg_op *op = tg_build_op(&e->b, s->kind == TG_STMT_ASSERT ? TG_OP_ASSERT : TG_OP_ASSUME, 1,
                            &cond, 0, NULL, 0);
    tg_op_set_str(op, TG_ATTR_TEXT, text);
    tg_sy_assume(e, known, true); /* until the end of the block */
}

static void return_stmt(tg_elab *e, const tg_stmt *s) {
    const tg_val *items[16];
    if (e->returned == NULL || s->u.ret.n > 16) {
        tg_el_error(e, TG_D_CALL, s->span, "only a function returns values");
        return;
    }
    for (int i = 0; i < s->u.ret.n; i++) {
        const tg_val *v = tg_el_expr(e, s->u.ret.items[i]);
        items[i] = v->kind == TG_VAL_REF ? tg_el_rvalue(e, v) : v;
        items[i] = tg_el_harden(e, items[i]);
    }
    *e->returned = s->u.ret.n == 0   ? &tg_val_void
                   : s->u.ret.n == 1 ? items[0]
                                     : tg_el_tuple(e, s->u.ret.n, items, NULL, s->span);
}

static void statement(tg_elab *e, const tg_stmt *s) {
    switch (s->kind) {
    case TG_STMT_ERROR:
        return;
    case TG_STMT_LET:
        let_stmt(e, s);
        return;
    case TG_STMT_ASSIGN:
        assign_stmt(e, s);
        return;
    case TG_STMT_EXPR: {
        const tg_val *v = tg_el_expr(e, s->u.expr);
        if (v->kind == TG_VAL_REF) {
            tg_el_rvalue(e, v);
        }
        return;
    }
    case TG_STMT_IF:
        if_stmt(e, s);
        return;
    case TG_STMT_FOR:
        for_stmt(e, s);
        return;
    case TG_STMT_WHILE:
        while_stmt(e, s);
        return;
    case TG_STMT_RETURN:
        return_stmt(e, s);
        return;
    case TG_STMT_PRINT:
        print_stmt(e, s);
        return;
    case TG_STMT_ASSERT:
    case TG_STMT_ASSUME:
        assert_stmt(e, s);
        return;
    case TG_STMT_TEMP:
        tg_el_error(e, TG_D_CALL, s->span, "`temp` belongs to an `op`");
        return;
    case TG_STMT_BLOCK:
        tg_el_push(e);
        tg_el_block(e, &s->u.block);
        tg_el_pop(e);
        return;
    }
}

void tg_el_block(tg_elab *e, const tg_block *b) {
    size_t facts = e->facts.count;
    for (int i = 0; i < b->n; i++) {
        tg_span before = e->b.span;
        e->b.span = b->items[i]->span;
        statement(e, b->items[i]);
        e->b.span = before;
    }
    e->facts.count = facts;
}
