/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Part of the layout pass: positions that would fill registers, on machines that write loops over
 * registers out.
 *
 * Positions are made again in each layout that wants them. Where they were divided by what only
 * the launch knows, that is long code for each register of every such layout. They become a table:
 * each element is divided once, by one lane, and read back where it is used.
 *
 * What is computed of positions in front of a loop for something behind or inside of it would stay
 * in registers all the while. It is computed where it is used instead.
 *
 * Before:
 *   %3 = rem %1, %2 : i64[64]@"1; 0:4*1@reg*1 0:2*4@lane*32 0:8*8@reg*4 ..."
 *   %8 = add %3, %7 : i64[64]@"1; 0:4*1@reg*1 0:2*4@lane*32 0:8*8@reg*4 ..."
 *   for .. { ... }
 *   store %o, %9, %8
 * After:
 *   %4 = buffer : buf<shared, i64[64], 1>
 *   %5 = rem %6, %7 : i64[64]@"1; 0:64*1@lane*1 ..."
 *   put %4, %5
 *   for .. { ... }
 *   %3 = get %4 : i64[64]@"1; 0:4*1@reg*1 0:2*4@lane*32 0:8*8@reg*4 ..."
 *   %8 = add %3, %7 : i64[64]@"1; 0:4*1@reg*1 0:2*4@lane*32 0:8*8@reg*4 ..."
 *   store %o, %9, %8
 */
#include "backends/place/layout.h"
#include "ir/passes/util.h"

/* FEW_DIVISIONS: of a lane, that cost less than the way through memory. MANY_BYTES: of a lane's
 * registers, that a value does not keep over a loop. */
enum { FEW_DIVISIONS = 8, MANY_BYTES = 32 };

/* ---- tables ---------------------------------------------------------------------------------- */

static bool divides(const tg_op *op) {
    int64_t known;
    return op != NULL && (op->code == TG_OP_DIV || op->code == TG_OP_REM) &&
           op->results[0].type->dtype == TG_DT_I64 && op->results[0].type->rank == 1 &&
           !tg_value_const_int(tg_operand(op, 1), &known) &&
           (tg_operand(op, 1)->def == NULL || tg_operand(op, 1)->def->code != TG_OP_BROADCAST ||
            !tg_value_const_int(tg_operand(tg_operand(op, 1)->def, 0), &known));
}

static int64_t divisions(const tg_layout_pass *s, const tg_value *v) {
    int64_t n = 0;
    for (size_t i = 0; i < s->made.count; i++) {
        const tg_layout_made *m = &s->made.data[i];
        n += m->v == v ? tg_layout_size(m->layout, TG_RES_REG) : 0;
    }
    return n;
}

static void read_where_used(tg_value *buf, tg_value *copy, const tg_op *put) {
    for (tg_use *u = copy->uses, *next; u != NULL; u = next) {
        next = u->next;
        if (u->user != put) {
            tg_builder b = tg_builder_before(u->user);
            b.span = copy->def->span;
            tg_set_operand(u->user, (int)(u - u->user->operands),
                           tg_place_get(&b, buf, copy->type));
        }
    }
}

/* v, which is `base` in the layout of its table. */
static void make_table(tg_layout_pass *s, const tg_value *v, tg_value *base) {
    const tg_type *t = base->type;
    tg_value *buf = tg_place_buffer(s->p, t->dtype, t->rank, t->shape, base->def->span);
    tg_builder b = tg_place_after(base);
    const tg_op *put = tg_place_put(&b, buf, base);
    for (size_t i = 0; i < s->made.count; i++) {
        if (s->made.data[i].v == v) {
            read_where_used(buf, s->made.data[i].copy, put);
        }
    }
}

static void tabulate(tg_layout_pass *s, tg_layout_want want) {
    for (uint32_t id = 0; id < s->n_values; id++) {
        tg_value *v = s->values[id];
        if (v != NULL && divides(v->def) && tg_layout_is_free(s, v) &&
            divisions(s, v) > FEW_DIVISIONS) {
            make_table(s, v, want(s, v, tg_layout_default(s->p, v->type)));
        }
    }
}

/* ---- where they are computed ------------------------------------------------------------------
 */

static bool is_table(const tg_value *buf) {
    int puts = 0;
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        puts += u->user->code != TG_OP_GET;
    }
    return puts == 1 && buf->def->code == TG_OP_BUFFER;
}

/* Short code of one row of positions, which may stand wherever its operands are known. */
static bool may_sink(const tg_op *op) {
    if (op->n_results != 1 || !tg_is_held_type(op->results[0].type) ||
        op->results[0].type->layout == NULL || op->results[0].type->rank > 1) {
        return false;
    }
    switch ((int)op->code) {
    case TG_OP_GET:
        return is_table(tg_operand(op, 0));
    case TG_OP_DIV:
    case TG_OP_REM:
    case TG_OP_MATH:
    case TG_OP_RNG:
        return false;
    case TG_OP_PRESENT:
        return true;
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
}

static int64_t lane_bytes(const tg_type *t) {
    return tg_layout_size(t->layout, TG_RES_REG) * tg_max_i64(4, tg_place_elem_bytes(t->dtype));
}

/* A loop stands between op and a user of its result, or around the user alone. */
static bool is_far(const tg_op *op, const tg_op *user) {
    while (user->parent != op->parent) {
        user = user->parent->parent;
        if (user->code == TG_OP_FOR || user->code == TG_OP_WHILE) {
            return true;
        }
    }
    for (const tg_op *o = op->next; o != NULL && o != user; o = o->next) {
        if (o->code == TG_OP_FOR || o->code == TG_OP_WHILE) {
            return true;
        }
    }
    return false;
}

static void sink(tg_layout_pass *s, tg_op *op) {
    for (tg_use *u = op->results[0].uses, *next; u != NULL; u = next) {
        next = u->next;
        if (is_far(op, u->user)) {
            tg_op *copy = tg_op_clone(op, op->parent, tg_value_map_make(s->p->arena));
            tg_op_unlink(copy);
            tg_op_insert_before(u->user, copy);
            tg_set_operand(u->user, (int)(u - u->user->operands), &copy->results[0]);
        }
    }
}

/* Users before what they use. */
static void visit_region(tg_layout_pass *s, tg_region *r) {
    for (tg_op *op = r->last, *prev; op != NULL; op = prev) {
        prev = op->prev;
        for (int i = op->n_regions - 1; i >= 0 && op->code != TG_OP_TEAM; i--) {
            visit_region(s, op->regions[i]);
        }
        if (may_sink(op) && lane_bytes(op->results[0].type) >= MANY_BYTES) {
            sink(s, op);
        }
    }
}

void tg_layout_positions(tg_layout_pass *s, tg_layout_want want) {
    if ((s->p->machine->simt & TG_SIMT_UNROLLED) != 0) {
        tabulate(s, want);
        visit_region(s, s->p->f->body);
    }
}
