/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decides for every tile value whether it is computed where it is used or kept in scratch, which
 * values share one buffer, and where in scratch each buffer lies.
 *
 * Values are visited from the last op to the first, so a value's users are decided before it. A
 * value whose inline evaluation would be repeated (several users, a use in a deeper loop, a
 * broadcast along an outer axis) and costs more than a few operations becomes a buffer. Results of
 * reductions, products, sorts and control flow are always buffers. A loop's carried tile owns one
 * buffer: the next value is written straight into it where nobody reads the old value later (its
 * `home`), and is copied at the end of the iteration otherwise. A product accumulates in its
 * result's buffer.
 */
#include "backends/lower/cpu/lower.h"

typedef struct plan {
    tg_lower *L;
    int *group_first, *group_last; /* op position -> first and last position of its run of nests */
    int64_t *evals;                /* by value id: evaluations of one element if inline */
    int *last_eval;                /* by value id: last op position that evaluates it */
    const tg_op **reader;          /* by value id: the one op that evaluates it; NULL: several */
} plan;

/* ---- cost
 * --------------------------------------------------------------------------------------------- */

enum { COST_CHEAP = 3, COST_CAP = 1000, DEEPER = 8 };

static int loop_depth(const tg_region *r) {
    int d = 0;
    for (const tg_op *p = r->parent; p != NULL; p = p->parent->parent) {
        d += p->code == TG_OP_FOR || p->code == TG_OP_WHILE;
    }
    return d;
}

static int op_cost(const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_MATH:
        return 20;
    case TG_OP_DIV:
    case TG_OP_REM:
        return 6;
    case TG_OP_CAST:
        return tg_dtype_is_storage(op->results[0].type->dtype) ? 5 : 2;
    case TG_OP_RNG:
        return 100;
    case TG_OP_LOCAL_GATHER:
        return 8;
    case TG_OP_CONCAT:
        return 4;
    case TG_OP_LOAD: {
        tg_index ix[TG_MAX_RANK];
        tg_value *mask;
        int n = tg_indices(op, ix, &mask), cost = mask != NULL ? 3 : 1;
        for (int k = 0; k < n; k++) {
            bool apart = op->results[0].type->rank == 1 && ix[k].n_axes == 1 && k + 1 < n;
            cost += tg_is_tile(ix[k].v) || apart ? 4 : 0; /* lane by lane */
        }
        return cost;
    }
    default:
        return 1;
    }
}

static int value_cost(const tg_value *v, int depth) {
    if (v->def == NULL || v->def->n_regions > 0) {
        return 1;
    }
    const tg_op *op = v->def;
    if (op->code == TG_OP_REDUCE || op->code == TG_OP_DOT || tg_is_select_op(op->code)) {
        return 1;
    }
    int cost = tg_is_view(op->code) || op->n_operands == 0 ? 0 : op_cost(op);
    if (op->code == TG_OP_LOAD || depth > 12) {
        return cost;
    }
    for (int i = 0; i < op->n_operands && cost < COST_CAP; i++) {
        const tg_value *x = tg_operand(op, i);
        if (tg_is_tile(x) && tg_type_count(x->type) > 1) {
            cost += value_cost(x, depth + 1);
        }
    }
    return cost;
}

/* ---- kinds
 * -------------------------------------------------------------------------------------------- */

/* How often a broadcast operand's element is evaluated per walk over the result: axes added outside
 * its innermost axis repeat it, inner ones do not (the value is invariant there). */
static int64_t broadcast_repeat(const tg_op *op) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    const tg_value *from = tg_operand(op, 0);
    int64_t last = -1, repeat = 1;
    for (int a = 0; a < from->type->rank; a++) {
        last = from->type->shape[a] > 1 ? axes->list[a] : last;
    }
    for (int64_t r = 0; r < last; r++) {
        bool from_operand = false;
        for (int a = 0; a < from->type->rank; a++) {
            from_operand = from_operand || (axes->list[a] == r && from->type->shape[a] > 1);
        }
        repeat *= from_operand ? 1 : op->results[0].type->shape[r];
    }
    return repeat > 16 ? 16 : repeat;
}

/* Does the op that reads the broadcast materialise a tile whose vectors go through its few rows
 * themselves (nest.c)? What rows share is then computed once a vector, in the shade of the rest. */
static bool repeats_beside_rows(const plan *p, const tg_op *op) {
    const tg_op *reader = p->reader[op->results[0].id];
    const tg_type *t = op->results[0].type;
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    int longest = 0;
    int64_t rows = 1;
    if (reader == NULL || !(tg_op_info_get(reader->code)->flags & TG_OPF_ELEMENTWISE) ||
        tg_info(p->L, &reader->results[0])->kind != TG_V_BUFFER || t->rank < 2 ||
        t->shape[t->rank - 1] >= 8) {
        return false;
    }
    for (int a = 0; a < t->rank; a++) {
        longest = t->shape[a] > t->shape[longest] ? a : longest;
        rows *= t->shape[a];
    }
    bool along = false;
    for (int a = 0; a < tg_operand(op, 0)->type->rank; a++) {
        along = along || (axes->list[a] == longest &&
                          tg_operand(op, 0)->type->shape[a] == t->shape[longest]);
    }
    return along && t->shape[longest] >= 8 && rows / t->shape[longest] <= NEST_FEW_ROWS;
}

static bool always_inline(tg_opcode code) {
    return code == TG_OP_CONST_INT || code == TG_OP_CONST_FLOAT || code == TG_OP_IOTA ||
           code == TG_OP_SPAN_MASK || code == TG_OP_PRESENT || tg_is_view(code);
}

static bool may_inline(const tg_op *op) {
    return always_inline(op->code) || op->code == TG_OP_CONCAT || op->code == TG_OP_LOCAL_GATHER ||
           op->code == TG_OP_LOAD || (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
}

static const tg_op *ancestor_in(const tg_op *op, const tg_region *r) {
    while (op != NULL && op->parent != r) {
        op = op->parent->parent;
    }
    return op;
}

/* Position up to which memory read at `user` must stay as it is, seen from region r. */
static int eval_end(const tg_op *user, const tg_region *r) {
    const tg_op *a = ancestor_in(user, r);
    if (a == NULL || a == user) {
        return tg_opi(user)->pos;
    }
    return tg_opi(a)->end;
}

static bool transparent(tg_lower *L, const tg_op *user) {
    if (user->n_results != 1) {
        return false;
    }
    const tg_vinfo *i = tg_info(L, &user->results[0]);
    return user->results[0].type->kind == TG_TY_TILE &&
           (i->kind == TG_V_INLINE || i->kind == TG_V_LAZY) && tg_is_tile(&user->results[0]);
}

/* Tile results only, and nobody needs any of them. */
static bool all_dead(tg_lower *L, const tg_op *op) {
    for (int r = 0; r < op->n_results; r++) {
        if (!tg_is_tile(&op->results[r]) || tg_info(L, &op->results[r])->kind != TG_V_DEAD) {
            return false;
        }
    }
    return op->n_results > 0 && op->n_regions == 0 && op->code != TG_OP_ATOMIC;
}

/* Does op evaluate its operands once for every element, all at one place? What is used twice below
 * it is then computed once. */
static bool reads_once(const tg_op *op) {
    return op->code == TG_OP_STORE || op->code == TG_OP_REDUCE || op->code == TG_OP_SCAN ||
           op->code == TG_OP_HISTOGRAM || op->code == TG_OP_SCATTER_ADD ||
           op->code == TG_OP_COMPRESS ||
           (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
}

/* The op that all uses of v lead to through elementwise ops, or NULL. */
static const tg_op *only_reader(const plan *p, const tg_value *v) {
    const tg_op *only = NULL;
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *user = u->user, *reader = user;
        bool elementwise = (tg_op_info_get(user->code)->flags & TG_OPF_ELEMENTWISE) != 0;
        if (transparent(p->L, user)) {
            reader = elementwise ? p->reader[user->results[0].id] : NULL;
        }
        if (reader == NULL || !reads_once(reader) || (only != NULL && only != reader)) {
            return NULL;
        }
        only = reader;
    }
    return only;
}

static void count_uses(plan *p, tg_value *v) {
    tg_lower *L = p->L;
    p->reader[v->id] = only_reader(p, v);
    const tg_region *home = v->def != NULL ? v->def->parent : v->region;
    int depth = loop_depth(home);
    int64_t evals = 0;
    int last = -1;
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        const tg_op *user = u->user;
        int64_t times = 1;
        int end = eval_end(user, home);
        if (transparent(L, user)) {
            const tg_value *r = &user->results[0];
            times = p->evals[r->id];
            times *= user->code == TG_OP_BROADCAST && !repeats_beside_rows(p, user)
                         ? broadcast_repeat(user)
                         : 1;
            const tg_op *up = ancestor_in(user, home);
            int inner = p->last_eval[r->id];
            end = up == user ? inner : tg_opi(up)->end;
        } else if (all_dead(L, user)) {
            times = 0;
        }
        if (times > 0 && loop_depth(user->parent) > depth) {
            times *= DEEPER;
        }
        evals = p->reader[v->id] != NULL ? tg_max_i64(evals, times) : evals + times;
        last = end > last && times > 0 ? end : last;
    }
    p->evals[v->id] = evals > COST_CAP ? COST_CAP : evals;
    p->last_eval[v->id] = last;
}

/* ---- lazy loads
 * ---------------------------------------------------------------------------------------- */

static const tg_value *root_of(const tg_value *tensor) {
    while (tensor->def != NULL && tensor->def->code == TG_OP_VIEW) {
        tensor = tg_operand(tensor->def, 0);
    }
    return tensor;
}

static unsigned param_flags(const tg_lower *L, const tg_value *root) {
    return root->index < L->kernel->n_params ? L->kernel->params[root->index].flags : 0;
}

bool tg_may_overlap(const tg_lower *L, const tg_value *a, const tg_value *b) {
    const tg_value *ra = root_of(a), *rb = root_of(b);
    return ra == rb ||
           ((param_flags(L, ra) & TG_PARAM_ALIAS) && (param_flags(L, rb) & TG_PARAM_ALIAS));
}

bool tg_same_place(const tg_op *load, const tg_op *store) {
    tg_index a[TG_MAX_RANK], b[TG_MAX_RANK];
    tg_value *ma, *mb;
    int na = tg_indices(load, a, &ma), nb = tg_indices(store, b, &mb);
    if (tg_operand(load, 0) != tg_operand(store, 0) || na != nb || store->code != TG_OP_STORE) {
        return false;
    }
    for (int k = 0; k < na; k++) {
        if (a[k].v != b[k].v) {
            return false;
        }
        for (int i = 0; i < a[k].n_axes; i++) {
            if (a[k].axes[i] != b[k].axes[i]) {
                return false;
            }
        }
    }
    return true;
}

/* Does the value reach `store` through elementwise ops only? */
static bool same_element_path(tg_lower *L, const tg_value *v, const tg_op *store) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        if (u->user == store) {
            continue;
        }
        if (transparent(L, u->user) &&
            (!(tg_op_info_get(u->user->code)->flags & TG_OPF_ELEMENTWISE) ||
             !same_element_path(L, &u->user->results[0], store))) {
            return false;
        }
    }
    return true;
}

static bool lazy_allowed(plan *p, const tg_op *load) {
    tg_lower *L = p->L;
    int from = tg_opi(load)->pos, to = p->last_eval[load->results[0].id];
    for (int i = from + 1; i <= to && i < (int)L->ops.count; i++) {
        const tg_op *op = L->ops.data[i];
        if ((op->code != TG_OP_STORE && op->code != TG_OP_ATOMIC) ||
            !tg_may_overlap(L, tg_operand(load, 0), tg_operand(op, 0))) {
            continue;
        }
        if (i == to && tg_same_place(load, op) && same_element_path(L, &load->results[0], op)) {
            continue;
        }
        return false;
    }
    return true;
}

/* Feeds a product through views and elementwise ops. */
static bool feeds_dot(tg_lower *L, const tg_value *v) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_DOT ||
            (transparent(L, u->user) && feeds_dot(L, &u->user->results[0]))) {
            return true;
        }
    }
    return false;
}

/* A load whose rows are found through an index tile, or that is masked. */
static bool gathers(const tg_op *load) {
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(load, ix, &mask);
    for (int k = 0; k < n; k++) {
        if (ix[k].n_axes > 0 && ix[k].v->type->kind != TG_TY_SPAN) {
            return true;
        }
    }
    return mask != NULL;
}

static bool written_at_all(const tg_lower *L, const tg_value *v) {
    return v->uses != NULL && tg_info(L, v)->need[0].kind != TG_NEED_NONE;
}

/* A consumer that wants its operand in memory. */
static bool wants_buffer(tg_lower *L, const tg_value *v) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_YIELD ||
            (tg_is_select_op(u->user->code) && !reads_once(u->user))) {
            return true;
        }
        if (u->user->code == TG_OP_LOCAL_GATHER && u == &u->user->operands[0] && v->def != NULL &&
            !always_inline(v->def->code)) {
            return true;
        }
        if (transparent(L, u->user) && tg_is_view(u->user->code) &&
            wants_buffer(L, &u->user->results[0])) {
            return false; /* the view itself is materialised */
        }
    }
    return false;
}

/* Some index is a span over the surrounding loop's own range: the product may take the whole loop
 * at once, reading the rows in place. */
static bool along_loop_span(const tg_op *load) {
    const tg_op *loop = load->parent->parent;
    if (loop == NULL || loop->code != TG_OP_FOR) {
        return false;
    }
    for (int k = 1; k < load->n_operands; k++) {
        const tg_value *v = tg_operand(load, k);
        if (v->type->kind == TG_TY_SPAN && tg_operand(v->def, 0) == loop->regions[0]->args[0]) {
            return true;
        }
    }
    return false;
}

/* Does v's expression read along the surrounding loop's own range? */
static bool reads_loop_span(tg_lower *L, const tg_value *v, int depth) {
    if (v->def == NULL || !tg_is_tile(v) || depth > 16) {
        return false;
    }
    if (v->def->code == TG_OP_LOAD) {
        return along_loop_span(v->def);
    }
    if (!may_inline(v->def)) {
        return false;
    }
    for (int k = 0; k < v->def->n_operands; k++) {
        if (reads_loop_span(L, tg_operand(v->def, k), depth + 1)) {
            return true;
        }
    }
    return false;
}

/* A computed left operand is read once for every block of columns: compute it once. */
static bool left_of_dot(tg_lower *L, const tg_value *v) {
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_DOT && u == &u->user->operands[0]) {
            return !reads_loop_span(L, v, 0);
        }
    }
    return false;
}

static tg_vkind decide(plan *p, tg_op *op, tg_value *v) {
    tg_lower *L = p->L;
    if (!written_at_all(L, v)) {
        return TG_V_DEAD;
    }
    if (!may_inline(op) || wants_buffer(L, v)) {
        return TG_V_BUFFER;
    }
    if (always_inline(op->code)) {
        return TG_V_INLINE;
    }
    int cost = value_cost(v, 0);
    bool repeated = p->evals[v->id] > 1;
    if (op->code == TG_OP_LOAD) {
        bool dot = feeds_dot(L, v);
        if (!lazy_allowed(p, op) || (repeated && cost > COST_CHEAP) ||
            (dot && gathers(op) && loop_depth(op->parent) > 0 && !along_loop_span(op))) {
            return TG_V_BUFFER;
        }
        return TG_V_LAZY;
    }
    return (repeated || left_of_dot(L, v)) && cost > COST_CHEAP ? TG_V_BUFFER : TG_V_INLINE;
}

static void decide_kinds(plan *p) {
    tg_lower *L = p->L;
    for (size_t i = L->ops.count; i-- > 0;) {
        tg_op *op = L->ops.data[i];
        for (int r = 0; r < op->n_regions; r++) {
            for (int k = 0; k < op->regions[r]->n_args; k++) {
                tg_value *arg = op->regions[r]->args[k];
                tg_info(L, arg)->kind = !tg_is_tile(arg) ? TG_V_SCALAR
                                        : tg_info(L, arg)->need[0].kind == TG_NEED_NONE
                                            ? TG_V_DEAD
                                            : TG_V_BUFFER;
            }
        }
    }
    for (size_t i = L->ops.count; i-- > 0;) {
        tg_op *op = L->ops.data[i];
        for (int r = 0; r < op->n_results; r++) {
            tg_value *v = &op->results[r];
            tg_vinfo *info = tg_info(L, v);
            if (v->type->kind == TG_TY_TILE && v->type->rank == 0) {
                info->kind = TG_V_SCALAR;
            } else if (v->type->kind == TG_TY_TILE) {
                count_uses(p, v);
                info->kind = (uint8_t)decide(p, op, v);
            }
        }
        for (int r = 0; r < op->n_regions; r++) {
            for (int k = 0; k < op->regions[r]->n_args; k++) {
                if (tg_is_tile(op->regions[r]->args[k])) {
                    count_uses(p, op->regions[r]->args[k]);
                }
            }
        }
    }
}

/* ---- homes
 * --------------------------------------------------------------------------------------------- */

/* Does every path from `leaf` up to `top` keep coordinates? (elementwise, inline) */
static bool identity_path(tg_lower *L, const tg_value *top, const tg_value *leaf) {
    if (top == leaf) {
        return true;
    }
    if (top->def == NULL || !tg_is_tile(top)) {
        return true;
    }
    const tg_vinfo *i = tg_info(L, top);
    if (i->kind != TG_V_INLINE && i->kind != TG_V_LAZY) {
        return true;
    }
    const tg_op *op = top->def;
    bool elementwise = (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
    for (int k = 0; k < op->n_operands; k++) {
        const tg_value *x = tg_operand(op, k);
        if (!tg_is_tile(x)) {
            continue;
        }
        if (!elementwise) {
            /* any mention of the leaf below here would be at other coordinates */
            if (x == leaf) {
                return false;
            }
            const tg_vinfo *xi = tg_info(L, x);
            if (xi->kind == TG_V_INLINE || xi->kind == TG_V_LAZY) {
                if (!identity_path(L, x, leaf)) {
                    return false;
                }
                /* elementwise chain under a view still shifts coordinates: look for the leaf */
                for (const tg_use *u = leaf->uses; u != NULL; u = u->next) {
                    if (u->user == x->def) {
                        return false;
                    }
                }
            }
            continue;
        }
        if (!identity_path(L, x, leaf)) {
            return false;
        }
    }
    return true;
}

/* May `writer` replace the content of `old` (a region argument) while it runs? No later reader, and
 * if the writer reads it, element by element. */
static bool may_overwrite(plan *p, const tg_value *old, const tg_op *writer,
                          const tg_value *evaluated) {
    tg_lower *L = p->L;
    const tg_region *body = old->region;
    const tg_op *at = ancestor_in(writer, body);
    if (at != writer) {
        return false;
    }
    if (p->last_eval[old->id] > tg_opi(writer)->pos) {
        return false;
    }
    if (p->last_eval[old->id] == tg_opi(writer)->pos) {
        return evaluated != NULL && identity_path(L, evaluated, old);
    }
    return true;
}

/* A dead home has no room: what is yielded for it may be wanted elsewhere. */
static void set_home(plan *p, tg_value *v, tg_value *home) {
    if (tg_info(p->L, home)->kind == TG_V_BUFFER && tg_buffer_owner(p->L, home) != v &&
        tg_info(p->L, v)->home == NULL) {
        tg_info(p->L, v)->home = home;
    }
}

static bool single_use(const tg_value *v) { return v->uses != NULL && v->uses->next == NULL; }

/* Yielded value y of a loop whose carried argument is arg: write it in place when safe. */
static void home_of_yield(plan *p, tg_value *y, tg_value *arg) {
    tg_lower *L = p->L;
    if (y->def == NULL || y->def->parent != arg->region || tg_info(L, y)->kind != TG_V_BUFFER ||
        tg_info(L, y)->home != NULL) {
        return;
    }
    tg_op *op = y->def;
    const tg_value *evaluated = NULL;
    if (op->code == TG_OP_DOT) {
        evaluated = tg_operand(op, 2);
        for (int k = 0; k < 2; k++) {
            if (!identity_path(L, tg_operand(op, k), arg) || tg_operand(op, k) == arg) {
                return;
            }
            const tg_use *u = arg->uses;
            for (; u != NULL; u = u->next) {
                if (u->user == tg_operand(op, k)->def) {
                    return;
                }
            }
        }
    } else if (may_inline(op)) {
        evaluated = y;
    }
    if (op->code == TG_OP_SCATTER_ADD && tg_operand(op, 0) == arg && single_use(arg)) {
        set_home(p, y, arg); /* adds in place */
        return;
    }
    if (op->code == TG_OP_FOR) {
        /* nested loop carrying on the same variable */
        for (int i = 0; i < op->n_results; i++) {
            tg_value *inner = op->regions[0]->args[1 + i];
            if (&op->results[i] == y && tg_operand(op, 3 + i) == arg && single_use(arg)) {
                set_home(p, inner, arg);
            }
        }
        return;
    }
    if (op->code == TG_OP_WHILE) {
        return; /* its results live with what it carries itself */
    }
    if (evaluated == y) {
        /* y itself is materialised: look below it */
        bool ok = p->last_eval[arg->id] < tg_opi(op)->pos;
        if (!ok && p->last_eval[arg->id] == tg_opi(op)->pos && op->parent == arg->region) {
            ok = (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
            for (int k = 0; k < op->n_operands && ok; k++) {
                ok = identity_path(L, tg_operand(op, k), arg);
            }
        }
        if (ok) {
            set_home(p, y, arg);
        }
        return;
    }
    if (may_overwrite(p, arg, op, evaluated)) {
        set_home(p, y, arg);
    }
}

/* A product's accumulator that nobody else reads is the product's own buffer. */
static void home_of_acc(plan *p, tg_op *dot) {
    tg_lower *L = p->L;
    tg_value *acc = tg_operand(dot, 2), *r = &dot->results[0];
    if (acc->def == NULL || !single_use(acc) || tg_info(L, acc)->kind != TG_V_BUFFER ||
        acc->def->parent != dot->parent || acc->def->code != TG_OP_DOT || acc->def->n_regions > 0) {
        return;
    }
    /* The chain's first product must not destroy what is read between: only when the final home is
     * the result itself, or its old content was already dead there. */
    tg_value *o = tg_buffer_owner(L, r);
    if (o == r) {
        set_home(p, acc, r);
        return;
    }
    if (o->region != NULL && may_overwrite(p, o, acc->def, tg_operand(acc->def, 2))) {
        set_home(p, acc, r);
    }
}

static void decide_homes(plan *p) {
    tg_lower *L = p->L;
    for (size_t i = 0; i < L->ops.count; i++) {
        tg_op *op = L->ops.data[i];
        for (int r = 0; r < op->n_results; r++) {
            if (!tg_is_tile(&op->results[r])) {
                continue;
            }
            if (op->code == TG_OP_FOR) {
                tg_value *arg = op->regions[0]->args[1 + r];
                set_home(p, &op->results[r], arg);
                home_of_yield(p, tg_operand(op->regions[0]->last, r), arg);
            } else if (op->code == TG_OP_WHILE) {
                set_home(p, op->regions[1]->args[r], op->regions[0]->args[r]);
                set_home(p, &op->results[r], op->regions[0]->args[r]);
            }
        }
    }
    for (size_t i = L->ops.count; i-- > 0;) {
        if (L->ops.data[i]->code == TG_OP_DOT) {
            home_of_acc(p, L->ops.data[i]);
        }
    }
}

/* ---- layout and addresses
 * ------------------------------------------------------------------------------- */

static void extend(plan *p, tg_value *v, tg_value *own) {
    tg_vinfo *o = tg_info(p->L, own);
    int first = v->def != NULL              ? tg_opi(v->def)->pos
                : v->region->parent != NULL ? tg_opi(v->region->parent)->pos
                                            : 0;
    int last = p->last_eval[v->id] > first ? p->last_eval[v->id] : first;
    if (v->def == NULL && v->region->parent != NULL) {
        int end = tg_opi(v->region->parent)->end;
        last = end > last ? end : last;
    }
    if (v->def != NULL && v->def->n_regions > 0) {
        int end = tg_opi(v->def)->end;
        last = end > last ? end : last;
    }
    /* Initial values are copied in at the loop, before its body. */
    first = p->group_first[first];
    last = p->group_last[last];
    o->first = o->first < 0 || first < o->first ? first : o->first;
    o->last = last > o->last ? last : o->last;
}

/* A buffer whose owner lies in an outer loop must live through that loop; one defined inside a loop
 * body lives within an iteration. */
static void collect(plan *p, tg_value *v) {
    tg_lower *L = p->L;
    if (!tg_is_tile(v) || tg_info(L, v)->kind != TG_V_BUFFER) {
        return;
    }
    tg_value *own = tg_buffer_owner(L, v);
    if (own == v) {
        tg_cpu_lay_out(L, v);
    }
    if (tg_info(L, own)->first == 0 && tg_info(L, own)->last == 0) {
        tg_info(L, own)->first = -1;
        TG_LIST_PUSH(L->arena, &L->buffers, own);
    }
    extend(p, v, own);
}

static bool overlap_in_time(const tg_vinfo *a, const tg_vinfo *b) {
    return a->first <= b->last && b->first <= a->last;
}

/* First fit, largest lifetime start first. */
static void assign_offsets(tg_lower *L) {
    for (size_t i = 0; i < L->buffers.count; i++) {
        tg_vinfo *v = tg_info(L, L->buffers.data[i]);
        int64_t at = 0;
        bool moved = true;
        while (moved) {
            moved = false;
            for (size_t j = 0; j < i; j++) {
                const tg_vinfo *o = tg_info(L, L->buffers.data[j]);
                if (overlap_in_time(v, o) && at < o->offset + o->bytes &&
                    o->offset < at + v->bytes) {
                    at = o->offset + o->bytes;
                    moved = true;
                }
            }
        }
        v->offset = at;
        L->static_bytes = tg_max_i64(L->static_bytes, at + v->bytes);
    }
}

static void share_owner_layout(tg_lower *L, tg_value *v) {
    if (!tg_is_tile(v) || tg_info(L, v)->kind != TG_V_BUFFER) {
        return;
    }
    tg_value *own = tg_buffer_owner(L, v);
    tg_vinfo *i = tg_info(L, v), *o = tg_info(L, own);
    i->offset = o->offset;
    i->bytes = o->bytes;
    i->inner = o->inner;
    for (int a = 0; a < TG_MAX_RANK; a++) {
        i->stride[a] = o->stride[a];
    }
}

static void each_value(plan *p, void (*fn)(plan *, tg_value *)) {
    tg_lower *L = p->L;
    for (size_t i = 0; i < L->ops.count; i++) {
        tg_op *op = L->ops.data[i];
        for (int r = 0; r < op->n_regions; r++) {
            for (int k = 0; k < op->regions[r]->n_args; k++) {
                fn(p, op->regions[r]->args[k]);
            }
        }
        for (int r = 0; r < op->n_results; r++) {
            fn(p, &op->results[r]);
        }
    }
}

static void share_fn(plan *p, tg_value *v) { share_owner_layout(p->L, v); }

static void note_fn(plan *p, tg_value *v) { tg_cpu_note_readers(p->L, v); }

bool tg_ends_nest(const tg_op *op) {
    return op->code == TG_OP_FOR || op->code == TG_OP_WHILE || op->code == TG_OP_IF ||
           op->code == TG_OP_DOT || op->code == TG_OP_YIELD || tg_is_select_op(op->code);
}

/* Ops between two that end a nest may be emitted as one, so their buffers count as alive together.
 */
static void find_groups(plan *p) {
    tg_lower *L = p->L;
    int n = (int)L->ops.count, start = 0;
    for (int i = 0; i <= n; i++) {
        bool barrier = i == n;
        if (!barrier) {
            barrier = tg_ends_nest(L->ops.data[i]);
        }
        if (barrier) {
            for (int k = start; k < i; k++) {
                p->group_first[k] = start;
                p->group_last[k] = i - 1;
            }
            if (i < n) {
                p->group_first[i] = p->group_last[i] = i;
            }
            start = i + 1;
        }
    }
}

void tg_cpu_decide(tg_lower *L) {
    plan p = {.L = L};
    size_t n_ops = L->ops.count + 1;
    p.group_first = TG_NEW_ARRAY(L->arena, int, n_ops);
    p.group_last = TG_NEW_ARRAY(L->arena, int, n_ops);
    p.evals = TG_NEW_ARRAY(L->arena, int64_t, L->n_info);
    p.last_eval = TG_NEW_ARRAY(L->arena, int, L->n_info);
    p.reader = TG_NEW_ARRAY(L->arena, const tg_op *, L->n_info);
    find_groups(&p);
    decide_kinds(&p);
    decide_homes(&p);
    each_value(&p, note_fn);
    each_value(&p, collect);
    assign_offsets(L);
    each_value(&p, share_fn);
}
