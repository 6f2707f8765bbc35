/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for the next program's input while this one reads its own again.
 *
 * A kernel that passes over its rows several times (norms, softmax) waits for memory in the first
 * pass and leaves it idle in the others. So the last pass that reads a place also prefetches what
 * the next program reads there: the same element, moved by one step of the last grid axis. The
 * passes may be several loads of one place or one load that several of them evaluate.
 * Only when a program's part of the tensor is small against the second cache level, which is known
 * when the kernel runs; otherwise the hint names the element itself.
 */
#include "backends/lower/cpu/lower.h"

#include <limits.h>

/* ---- the same place again
 * ------------------------------------------------------------------------------------- */

static bool same_scalar(const tg_value *a, const tg_value *b) {
    int64_t x, y;
    return a == b || (tg_value_const_int(a, &x) && tg_value_const_int(b, &y) && x == y);
}

static bool same_loop_range(const tg_value *a, const tg_value *b) {
    const tg_op *x = a->def == NULL ? a->region->parent : NULL;
    const tg_op *y = b->def == NULL ? b->region->parent : NULL;
    if (a == b) {
        return true;
    }
    if (x == NULL || y == NULL || x->code != TG_OP_FOR || y->code != TG_OP_FOR ||
        a != x->regions[0]->args[0] || b != y->regions[0]->args[0]) {
        return false;
    }
    for (int k = 0; k < 3; k++) {
        if (!same_scalar(tg_operand(x, k), tg_operand(y, k))) {
            return false;
        }
    }
    return true;
}

static bool same_index(const tg_index *a, const tg_index *b) {
    if (a->v == b->v) {
        return true;
    }
    if (a->v->type != b->v->type || a->v->type->kind != TG_TY_SPAN) {
        return a->n_axes == 0 && b->n_axes == 0 && same_loop_range(a->v, b->v);
    }
    return tg_operand(a->v->def, 1) == tg_operand(b->v->def, 1) &&
           same_loop_range(tg_operand(a->v->def, 0), tg_operand(b->v->def, 0));
}

static bool same_elements(const tg_op *a, const tg_op *b) {
    tg_index x[TG_MAX_RANK], y[TG_MAX_RANK];
    tg_value *mx, *my;
    if (a->code != TG_OP_LOAD || b->code != TG_OP_LOAD || tg_operand(a, 0) != tg_operand(b, 0)) {
        return false;
    }
    int n = tg_indices(a, x, &mx), m = tg_indices(b, y, &my);
    bool same = n == m && mx == my;
    for (int k = 0; k < n && same; k++) {
        same = same_index(&x[k], &y[k]);
    }
    return same;
}

/* ---- how far the next program's part lies
 * -------------------------------------------------------------------------- */

/* c when v = c * arg + something independent of arg; false when it is no such thing. */
static bool coefficient(const tg_value *v, const tg_value *arg, int depth, int64_t *c) {
    *c = v == arg;
    if (v->def == NULL || depth > 8 || v->type->kind == TG_TY_SPAN) {
        return v->type->kind != TG_TY_SPAN;
    }
    const tg_op *op = v->def;
    int64_t x = 0, y = 0, known;
    for (int k = 0; k < op->n_operands && k < 2; k++) {
        if (!coefficient(tg_operand(op, k), arg, depth + 1, k == 0 ? &x : &y)) {
            return false;
        }
    }
    if (op->code == TG_OP_ADD || op->code == TG_OP_SUB) {
        *c = op->code == TG_OP_ADD ? x + y : x - y;
        return true;
    }
    for (int k = 0; k < 2 && op->code == TG_OP_MUL; k++) {
        if (tg_value_const_int(tg_operand(op, k), &known)) {
            *c = known * (k == 0 ? y : x);
            return true;
        }
    }
    return x == 0 && y == 0 && op->n_regions == 0;
}

/* Memory answers late: programs that read less than this look further ahead than the next. */
enum { NEAR = 8192 };

/* Bytes from an element the load reads to the next program's, at the entry; NULL: none. */
static tg_value *distance(tg_lower *L, const tg_op *load) {
    const tg_func *k = L->kernel;
    const tg_value *arg = k->body->args[k->n_params + k->n_grid - 1];
    tg_tensor *t = tg_tensor_of(L, tg_operand(load, 0));
    tg_index ix[TG_MAX_RANK];
    tg_value *mask, *step = NULL;
    int n = tg_indices(load, ix, &mask);
    tg_builder *b = &L->entry;
    tg_value *bytes = tg_build_index(b, t->elem_bytes);
    for (int i = 0; i < n; i++) {
        bool span = ix[i].v->type->kind == TG_TY_SPAN;
        int64_t c = 0;
        if ((!span && ix[i].n_axes != 0) ||
            !coefficient(span ? tg_operand(ix[i].v->def, 0) : ix[i].v, arg, 0, &c)) {
            return NULL;
        }
        if (c != 0) {
            tg_value *by = tg_build_index(b, c);
            by = t->const_stride[i] >= 0
                     ? tg_build_binary(b, TG_OP_MUL, by, tg_build_index(b, t->const_stride[i]))
                     : tg_build_binary(b, TG_OP_MUL, by, t->stride[i]);
            step = step == NULL ? by : tg_build_binary(b, TG_OP_ADD, step, by);
        }
        tg_value *extent =
            c == 0 && span ? t->dim[i] : tg_build_index(b, span ? ix[i].v->type->shape[0] : 1);
        bytes = tg_build_binary(b, TG_OP_MUL, bytes, extent);
    }
    if (step == NULL) {
        return NULL;
    }
    tg_value *fits = tg_build_cmp(b, TG_CMP_LE, bytes, tg_build_index(b, L->mc->l2_bytes / 4));
    /* A division by 0 is 0, and a step of 0 an idle hint. */
    tg_value *programs = tg_build_binary(b, TG_OP_DIV, tg_build_index(b, NEAR), bytes);
    programs = tg_build_binary(b, TG_OP_MAX, programs, tg_build_index(b, 1));
    step = tg_build_binary(b, TG_OP_MUL, step, programs);
    return tg_build_select(b, fits, step, tg_build_index(b, 0));
}

/* Position of the last op that evaluates op's result, directly or through inline values; INT_MAX
 * where one does so in a loop that op stands outside of. Of later ops it is known already. */
static int last_reader(tg_lower *L, const tg_op *op) {
    int last = 0;
    for (const tg_use *u = op->results[0].uses; u != NULL; u = u->next) {
        const tg_op *user = u->user;
        bool passes = user->n_results == 1 && tg_is_tile(&user->results[0]) &&
                      tg_info(L, &user->results[0])->kind == TG_V_INLINE;
        int at = user->parent != op->parent ? INT_MAX
                 : passes                   ? tg_opi(user)->last_reader
                                            : tg_opi(user)->pos;
        last = at > last ? at : last;
    }
    return last;
}

static void find_rereads(tg_lower *L, tg_op *op) {
    bool before = false, after = false;
    for (size_t j = 0; j < L->ops.count && op->code == TG_OP_LOAD; j++) {
        if (L->ops.data[j] != op && same_elements(L->ops.data[j], op)) {
            bool earlier = tg_opi(L->ops.data[j])->pos < tg_opi(op)->pos;
            before = before || earlier;
            after = after || !earlier;
        }
    }
    tg_opi(op)->rereads = before;
    tg_opi(op)->last_reader = after ? INT_MAX : tg_opi(op)->last_reader;
}

void tg_cpu_find_rereads(tg_lower *L) {
    for (size_t i = L->ops.count; i-- > 0 && L->kernel->n_grid > 0;) {
        tg_op *op = L->ops.data[i];
        tg_opi(op)->last_reader = op->n_results == 1 ? last_reader(L, op) : 0;
        find_rereads(L, op);
    }
}

/* Is what is being emitted the last of several passes over what the load reads? */
static bool last_pass(tg_lower *L, tg_opinfo *load) {
    if (load->first_pass == 0) {
        load->first_pass = L->pass;
    }
    return load->last_reader <= L->pass_end && (load->rereads || load->first_pass != L->pass);
}

void tg_prefetch_next(tg_lower *L, tg_builder *b, tg_op *load, tg_value *ptr, int64_t bytes) {
    tg_opinfo *info = tg_opi(load);
    if (info == NULL || L->kernel->n_grid == 0 || !last_pass(L, info)) {
        return;
    }
    if (info->next == NULL) {
        info->next = distance(L, load);
        info->last_reader = info->next != NULL ? info->last_reader : INT_MAX;
    }
    for (int64_t at = 0; at < bytes && info->next != NULL; at += 64) {
        tg_value *p =
            tg_build_gep(b, tg_build_gep(b, ptr, info->next, 1), tg_build_index(b, at), 1);
        tg_op *op = tg_build_op(b, TG_OP_PREFETCH, 1, &p, 0, NULL, 0);
        tg_op_set_int(op, TG_ATTR_LOCALITY, 2);
    }
}
