/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control flow with carried tiles. A carried tile lives in one private array for the whole loop; a
 * value that is yielded is computed into that array when nobody wants the old content any more, and
 * copied there otherwise, as if all were copied at once.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

#include "backends/lower/simt/control.h"

static bool single_use(const tg_value *v) { return v->uses != NULL && v->uses->next == NULL; }

static tg_value *new_array(tg_simt *S, const tg_value *v) {
    return ts_array(S, tg_carrier(v->type->dtype), ts_regs(v->type->layout), v->name);
}

/* May the array of init become that of the loop's argument? */
static bool takes_over(tg_simt *S, const tg_op *loop, const tg_value *init) {
    if (!single_use(init) || ts_is_lazy(init) || ts_of(S, init)->array == NULL) {
        return false;
    }
    if (init->def != NULL) {
        return init->def->parent == loop->parent;
    }
    return init->region == loop->parent && loop->parent->parent != NULL &&
           loop->parent->parent->code == TG_OP_FOR;
}

static void begin_tiles(tg_simt *S, tg_op *op, int n, tg_value *const *init, tg_value **args) {
    for (int i = 0; i < n; i++) {
        if (!ts_is_tile(args[i])) {
            continue;
        }
        if (takes_over(S, op, init[i])) {
            ts_of(S, args[i])->array = ts_of(S, init[i])->array;
        } else {
            tg_value *a = new_array(S, args[i]);
            ts_fill(S, init[i], a);
            ts_of(S, args[i])->array = a;
        }
    }
}

/* All dst[i] = src[i] at once. */
static void parallel_copy(tg_simt *S, int n, tg_value **src, tg_value **dst) {
    for (int i = 0; i < n; i++) {
        if (src[i] == NULL || src[i] == dst[i]) {
            continue;
        }
        for (int j = i + 1; j < n; j++) {
            if (src[j] == dst[i]) { /* still wanted */
                tg_value *t = ts_array(S, src[j]->type->dtype, src[j]->type->shape[0], NULL);
                ts_array_copy(S, t, src[j]);
                src[j] = t;
            }
        }
        ts_array_copy(S, dst[i], src[i]);
    }
}

static void end_tiles(tg_simt *S, int n, tg_value *const *values, tg_value **dest) {
    tg_value **src = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **dst = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    for (int i = 0; i < n && S->status == TG_OK; i++) {
        if (ts_is_tile(values[i])) {
            src[i] = ts_materialise(S, values[i]);
            dst[i] = ts_of(S, dest[i])->array;
        }
    }
    if (S->status == TG_OK) {
        parallel_copy(S, n, src, dst);
    }
}

static int scalars_of(tg_simt *S, int n, tg_value *const *v, tg_value **out) {
    int count = 0;
    for (int i = 0; i < n; i++) {
        if (!ts_is_tile(v[i])) {
            out[count++] = ts_scalar(S, v[i]);
        }
    }
    return count;
}

static void bind_scalars(tg_simt *S, int n, tg_value *const *to, tg_value *const *from) {
    for (int i = 0, at = 0; i < n; i++) {
        if (!ts_is_tile(to[i])) {
            ts_of(S, to[i])->scalar = from[at++];
        }
    }
}

/* What is yielded for a carried tile may be made in its array, and so may what a product or an
 * inner loop makes it from. */
static void set_homes(tg_simt *S, tg_region *r, int first, int n, tg_value **args) {
    for (int i = 0; i < n; i++) {
        tg_value *y = tg_operand(r->last, first + i);
        while (ts_is_tile(y) && y->def != NULL && y->def->parent == r && !ts_is_lazy(y)) {
            ts_of(S, y)->home = args[i];
            tg_op *op = y->def;
            tg_value *from = op->code == TG_OP_DOT   ? tg_operand(op, 2)
                             : op->code == TG_OP_FOR ? tg_operand(op, 3 + y->index)
                                                     : NULL;
            if (from == NULL || !single_use(from)) {
                break;
            }
            y = from;
        }
    }
}

static bool awaits(const tg_region *body) {
    const tg_op *op = body->first;
    while (op != NULL && op->code != TG_OP_AWAIT) {
        op = op->next;
    }
    return op != NULL;
}

/*
 * A loop that goes through rings counts its trips, from 0 in 32 bits: positions, numbers of blocks
 * and the loop's end are one register then. 2^31 blocks of a ring are more than memory has rows
 * for; they are told, and all roles stop there.
 */
static tg_value *count_trips(tg_simt *S, tg_value *lo, tg_value *hi, tg_value *step) {
    tg_builder *b = &S->b;
    tg_value *zero = tg_build_index(b, 0), *most = tg_build_index(b, INT32_MAX);
    tg_value *n = tg_build_binary(b, TG_OP_SUB, hi, lo);
    n = tg_build_binary(b, TG_OP_ADD, n, ts_bin(b, TG_OP_SUB, step, 1));
    n = tg_build_binary(b, TG_OP_MAX, tg_build_binary(b, TG_OP_DIV, n, step), zero);
    tg_value *bad = tg_build_cmp(b, TG_CMP_GT, n, most);
    tg_op *trap = tg_build_op(b, TG_OP_TRAP, 1, &bad, 0, NULL, 0);
    tg_op_set_int(trap, TG_ATTR_VALUE_I, TG_CPU_TRAP_GRID);
    return tg_build_binary(b, TG_OP_MIN, n, most);
}

/* The loop over h->placed; its variable is known. */
static void begin_for(tg_simt *S, ts_loop *h, int n_scalars, tg_value **carried) {
    tg_builder *b = &S->b;
    tg_value *bound[3], *iv;
    for (int i = 0; i < 3; i++) {
        bound[i] = ts_scalar(S, h->placed->operands[i].value);
    }
    const tg_region *body = h->placed->regions[0];
    if (S->role != NULL && awaits(body)) {
        tg_value *n = count_trips(S, bound[0], bound[1], bound[2]);
        h->made = tg_build_for(b, tg_build_index(b, 0), n, tg_build_index(b, 1), n_scalars, carried,
                               &h->trip);
        iv = tg_build_binary(b, TG_OP_ADD, bound[0],
                             tg_build_binary(b, TG_OP_MUL, h->trip, bound[2]));
    } else {
        h->made = tg_build_for(b, bound[0], bound[1], bound[2], n_scalars, carried, &iv);
        iv->name = ts_name(S, body->args[0]->name);
    }
    ts_of(S, body->args[0])->scalar = iv;
}

void ts_emit_for(tg_simt *S, tg_op *op) {
    int n = op->n_results;
    tg_region *body = op->regions[0];
    tg_value **v = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **args = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **results = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **carried = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    for (int i = 0; i < n; i++) {
        v[i] = tg_operand(op, 3 + i);
        args[i] = body->args[1 + i];
        results[i] = &op->results[i];
    }
    begin_tiles(S, op, n, v, args);
    set_homes(S, body, 0, n, args);
    bool late = ts_late_begin(S, op);
    int n_scalars = scalars_of(S, n, v, carried);
    ts_loop here = {.placed = op, .outer = S->loop};
    begin_for(S, &here, n_scalars, carried);
    tg_op *loop = here.made;
    bind_scalars(S, n, args, carried);
    S->loop = &here;
    ts_emit_region(S, body);
    S->loop = here.outer;
    if (S->status != TG_OK) {
        return;
    }
    for (int i = 0; i < n; i++) {
        v[i] = tg_operand(body->last, i);
    }
    end_tiles(S, n, v, args);
    scalars_of(S, n, v, carried);
    ts_ring_step(S, &here);
    tg_build_end_for(&S->b, loop, n_scalars, carried);
    bind_scalars(S, n, results, carried);
    for (int i = 0; i < n; i++) {
        ts_of(S, results[i])->array = ts_of(S, args[i])->array;
    }
    if (late) {
        ts_late_end(S, op);
    }
}

void ts_emit_if(tg_simt *S, tg_op *op) {
    int n = op->n_results, n_scalars = 0;
    tg_value **v = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **results = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **loop = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    const tg_type **types = TG_NEW_ARRAY(S->arena, const tg_type *, n + 1);
    for (int i = 0; i < n; i++) {
        results[i] = &op->results[i];
        if (ts_is_tile(results[i])) {
            ts_of(S, results[i])->array = new_array(S, results[i]);
        } else {
            types[n_scalars++] = ts_type(S, results[i]->type->dtype, 1);
        }
    }
    tg_op *branch = tg_build_if(&S->b, ts_scalar(S, tg_operand(op, 0)), n_scalars, types);
    for (int r = 0; r < 2; r++) {
        ts_emit_region(S, op->regions[r]);
        if (S->status != TG_OK) {
            return;
        }
        for (int i = 0; i < n; i++) {
            v[i] = tg_operand(op->regions[r]->last, i);
        }
        end_tiles(S, n, v, results);
        scalars_of(S, n, v, loop);
        if (r == 0) {
            tg_build_else(&S->b, branch, n_scalars, loop);
        } else {
            tg_build_end_if(&S->b, branch, n_scalars, loop);
        }
    }
    for (int i = 0, at = 0; i < n; i++) {
        if (!ts_is_tile(results[i])) {
            ts_of(S, results[i])->scalar = &branch->results[at++];
        }
    }
}

void ts_emit_while(tg_simt *S, tg_op *op) {
    int n = op->n_results;
    tg_value **v = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    tg_value **loop = TG_NEW_ARRAY(S->arena, tg_value *, n + 2);
    tg_value **results = TG_NEW_ARRAY(S->arena, tg_value *, n + 1);
    for (int i = 0; i < n; i++) {
        v[i] = tg_operand(op, i);
        results[i] = &op->results[i];
    }
    begin_tiles(S, op, n, v, op->regions[0]->args);
    int n_scalars = scalars_of(S, n, v, loop);
    const tg_type **types = TG_NEW_ARRAY(S->arena, const tg_type *, n_scalars + 1);
    for (int i = 0; i < n_scalars; i++) {
        types[i] = loop[i]->type;
    }
    tg_op *w = tg_build_op(&S->b, TG_OP_WHILE, n_scalars, loop, n_scalars, types, 2);
    tg_op_set_int(w, TG_ATTR_MAX, tg_attr_int(op, TG_ATTR_MAX, INT64_MAX));
    tg_builder after = S->b;
    for (int i = 0; i < n; i++) {
        if (ts_is_tile(results[i])) {
            tg_value *array = ts_of(S, op->regions[0]->args[i])->array;
            ts_of(S, op->regions[1]->args[i])->array = array;
            ts_of(S, results[i])->array = array;
        }
    }
    for (int r = 0; r < 2; r++) {
        for (int i = 0; i < n_scalars; i++) {
            loop[i] = tg_region_add_arg(w->regions[r], types[i], NULL);
        }
        S->b = tg_builder_at_end(w->regions[r]);
        S->b.span = op->span;
        bind_scalars(S, n, op->regions[r]->args, loop);
        ts_emit_region(S, op->regions[r]);
        if (S->status != TG_OK) {
            return;
        }
        tg_op *yield = op->regions[r]->last;
        for (int i = 0; i < n; i++) {
            v[i] = tg_operand(yield, i + (r == 0));
        }
        end_tiles(S, n, v, op->regions[0]->args);
        scalars_of(S, n, v, loop + 1);
        loop[0] = r == 0 ? ts_scalar(S, tg_operand(yield, 0)) : NULL;
        tg_build_op(&S->b, TG_OP_YIELD, n_scalars + (r == 0), r == 0 ? loop : loop + 1, 0, NULL, 0);
    }
    S->b = after;
    for (int i = 0; i < n_scalars; i++) {
        loop[i] = &w->results[i];
    }
    bind_scalars(S, n, results, loop);
}
