/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stage: what moves between lanes goes through buffers.
 *
 * Takes a placed function without layouts. Gives one in which the operands of `dot`, what is
 * sliced, joined or gathered, and what the team operations work on are buffers. Refuses `extern`.
 *
 * Before:
 *   %3 = load %a, %1, %2 {axes = [0, 1]} : f16[64, 32]
 *   %4 = permute %b {axes = [1, 0]} : f16[32, 64]
 *   %6 = dot %3, %4, %5 : f32[64, 64]
 * After:
 *   %7 = buffer : buf<shared, f16[64, 32], 1>
 *   %8 = copy %7, %a, %1, %2 {axes = [0, 1]} : i64
 *   wait %8
 *   put %9, %b
 *   %10 = window %9 {axes = [1, 0]} : buf<shared, f16[32, 64], 1>
 *   %6 = dot %7, %10, %5 : f32[64, 64]
 *
 * A value is written to one buffer, right where it is defined; permute, slice and reshape of it are
 * windows. A load that only feeds its buffer becomes a copy.
 */
#include "backends/place/stage.h"
#include "ir/passes.h"
#include "ir/passes/util.h"

/* ---- values in memory ----------------------------------------------------------------------- */

static bool is_dense(tg_value *buf) {
    return buf->def->code == TG_OP_BUFFER && buf->type->layout == NULL;
}

/* v as a view of what its operand already is in memory; NULL where that is no view. */
static tg_value *staged_view(tg_stager *s, tg_value *v) {
    tg_op *op = v->def;
    int64_t axes[TG_MAX_RANK];
    if (op == NULL ||
        (op->code != TG_OP_PERMUTE && op->code != TG_OP_SLICE && op->code != TG_OP_RESHAPE)) {
        return NULL;
    }
    tg_value *x = tg_operand(op, 0);
    if (x->type->rank == 0 || v->type->rank == 0) {
        return NULL;
    }
    tg_value *base = tg_stage_value(s, x);
    if (op->code == TG_OP_RESHAPE && !is_dense(base)) {
        return NULL;
    }
    tg_builder b = tg_place_after(v);
    if (op->code == TG_OP_RESHAPE) {
        return tg_place_window_reshape(&b, base, v->type->rank, v->type->shape);
    }
    if (op->code == TG_OP_PERMUTE) {
        return tg_place_window(&b, base, v->type->rank, v->type->shape,
                               tg_attr_get(op, TG_ATTR_AXES)->list, NULL);
    }
    for (int a = 0; a < v->type->rank; a++) {
        axes[a] = a;
    }
    return tg_place_window(&b, base, v->type->rank, v->type->shape, axes,
                           tg_attr_get(op, TG_ATTR_OFFSETS)->list);
}

tg_value *tg_stage_value(tg_stager *s, tg_value *v) {
    tg_value *buf = tg_value_map_get(s->staged, v);
    if (buf == NULL) {
        buf = staged_view(s, v);
    }
    if (buf == NULL) {
        tg_builder b = tg_place_after(v);
        buf = tg_place_buffer(s->p, v->type->dtype, v->type->rank, v->type->shape, b.span);
        tg_place_put(&b, buf, v);
    }
    tg_value_map_put(s->staged, v, buf);
    return buf;
}

/* ---- one operation -------------------------------------------------------------------------- */

/* A permuted load that nothing else looks at is read in the order it is wanted in, so that the
 * buffer's rows are those of the product. */
static void fold_permute(tg_op *dot, int i) {
    tg_op *permute = tg_operand(dot, i)->def;
    if (permute == NULL || permute->code != TG_OP_PERMUTE) {
        return;
    }
    tg_op *load = tg_operand(permute, 0)->def;
    if (load == NULL || load->code != TG_OP_LOAD || tg_attr_int(load, TG_ATTR_MASKED, 0) != 0 ||
        load->results[0].uses->next != NULL || permute->results[0].uses->next != NULL) {
        return;
    }
    const int64_t *order = tg_attr_get(permute, TG_ATTR_AXES)->list;
    const tg_attr *axes = tg_attr_get(load, TG_ATTR_AXES);
    int64_t *to = TG_NEW_ARRAY(dot->func->module->arena, int64_t, axes->n_list + 1);
    for (size_t k = 0; k < axes->n_list; k++) {
        for (int r = 0; r < permute->results[0].type->rank; r++) {
            to[k] = order[r] == axes->list[k] ? r : to[k];
        }
    }
    tg_op_set_list(load, TG_ATTR_AXES, to, axes->n_list);
    load->results[0].type = permute->results[0].type;
    tg_replace_all_uses(&permute->results[0], &load->results[0]);
    tg_op_erase(permute);
}

/* Matrix units read rows and columns alike; bytes only along the contracted axis, which is where
 * a permuted operand has them. */
static void stage_dot(tg_stager *s, tg_op *op) {
    for (int i = 0; i < 2 && tg_attr_get(op, TG_ATTR_UNIT) == NULL; i++) {
        fold_permute(op, i);
    }
    tg_set_operand(op, 0, tg_stage_value(s, tg_operand(op, 0)));
    tg_set_operand(op, 1, tg_stage_value(s, tg_operand(op, 1)));
    if (op->n_operands == 4) {
        tg_set_operand(op, 3, tg_stage_value(s, tg_operand(op, 3)));
    }
}

static void replace(tg_op *op, tg_value *with) {
    tg_replace_all_uses(&op->results[0], with);
    tg_op_erase(op);
}

static void stage_slice(tg_stager *s, tg_op *op) {
    tg_value *view = tg_stage_value(s, &op->results[0]);
    tg_builder b = tg_builder_before(view->def->next);
    b.span = op->span;
    tg_value *x = tg_place_get(&b, view, op->results[0].type);
    tg_value_map_put(s->staged, x, view);
    replace(op, x);
}

static void stage_concat(tg_stager *s, tg_op *op) {
    const tg_type *t = op->results[0].type;
    int64_t axis = tg_attr_int(op, TG_ATTR_AXIS, 0), offsets[TG_MAX_RANK] = {0};
    tg_builder b = tg_builder_before(op);
    b.span = op->span;
    tg_value *buf = tg_place_buffer(s->p, t->dtype, t->rank, t->shape, op->span);
    for (int i = 0; i < op->n_operands; i++) {
        tg_op *put = tg_place_put(&b, buf, tg_operand(op, i));
        if (offsets[axis] != 0) {
            tg_op_set_list(put, TG_ATTR_OFFSETS, offsets, t->rank);
        }
        offsets[axis] += tg_operand(op, i)->type->shape[axis];
    }
    tg_value *x = tg_place_get(&b, buf, t);
    tg_value_map_put(s->staged, x, buf);
    replace(op, x);
}

static void stage_gather(tg_stager *s, tg_op *op) {
    tg_value *buf = tg_stage_value(s, tg_operand(op, 0));
    tg_builder b = tg_builder_before(op);
    b.span = op->span;
    tg_value *x = tg_build1(&b, TG_OP_GET_AT, op->results[0].type, 2, buf, tg_operand(op, 1));
    tg_op_set_int(x->def, TG_ATTR_AXIS, tg_attr_int(op, TG_ATTR_AXIS, 0));
    replace(op, x);
}

static tg_status stage_region(tg_stager *s, tg_region *r);

static tg_status stage_op(tg_stager *s, tg_op *op) {
    if (op->code == TG_OP_EXTERN) {
        tg_error(s->p->sink, TG_D_BACKEND, op->span, "the vendor function `%s` has no body for %s",
                 tg_attr_str(op, TG_ATTR_NAME), s->p->machine->name);
        return TG_E_UNSUPPORTED;
    }
    if (tg_stage_team(s, op)) {
        return TG_OK;
    }
    if (op->code == TG_OP_DOT) {
        stage_dot(s, op);
    } else if (op->code == TG_OP_SLICE) {
        stage_slice(s, op);
    } else if (op->code == TG_OP_CONCAT) {
        stage_concat(s, op);
    } else if (op->code == TG_OP_LOCAL_GATHER && tg_operand(op, 0)->type->rank > 0) {
        stage_gather(s, op);
    }
    return TG_OK;
}

/* Regions of reductions are scalar code and stay as they are. */
static tg_status stage_region(tg_stager *s, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions && op->code != TG_OP_REDUCE; i++) {
            tg_status st = stage_region(s, op->regions[i]);
            if (st) {
                return st;
            }
        }
        tg_status st = stage_op(s, op);
        if (st) {
            return st;
        }
    }
    return TG_OK;
}

/* ---- copies --------------------------------------------------------------------------------- */

static bool is_block_load(const tg_op *op) {
    if (op == NULL || op->code != TG_OP_LOAD || op->results[0].type->rank == 0 ||
        tg_attr_int(op, TG_ATTR_MASKED, 0) != 0) {
        return false;
    }
    for (int i = 1; i < op->n_operands; i++) {
        const tg_type *t = op->operands[i].value->type;
        if (t->kind != TG_TY_SPAN && t->rank > 0) {
            return false;
        }
    }
    return true;
}

/* put(buf, load) with no other use of the load: copy and wait. */
static void make_copy(tg_op *put) {
    tg_value *x = tg_operand(put, 1);
    tg_op *load = x->def;
    if (!is_block_load(load) || x->uses->next != NULL || load->parent != put->parent ||
        tg_type_count(tg_operand(put, 0)->type) != tg_type_count(x->type)) {
        return;
    }
    tg_value *operands[2 + TG_MAX_RANK] = {tg_operand(put, 0)};
    for (int i = 0; i < load->n_operands; i++) {
        operands[1 + i] = tg_operand(load, i);
    }
    const tg_type *token = tg_type_scalar(put->func->module, TG_DT_I64);
    tg_builder b = tg_builder_before(load);
    b.span = load->span;
    tg_op *copy = tg_build_op(&b, TG_OP_COPY, load->n_operands + 1, operands, 1, &token, 0);
    const tg_attr *axes = tg_attr_get(load, TG_ATTR_AXES);
    tg_op_set_list(copy, TG_ATTR_AXES, axes->list, axes->n_list);
    tg_value *done[] = {&copy->results[0]};
    tg_build_op(&b, TG_OP_WAIT, 1, done, 0, NULL, 0);
    tg_op_erase(put);
    tg_op_erase(load);
}

static void make_copies(tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            make_copies(op->regions[i]);
        }
        if (op->code == TG_OP_PUT) {
            make_copy(op);
        }
    }
}

tg_status tg_place_stage(tg_placer *p) {
    tg_stager s = {.p = p, .staged = tg_value_map_make(p->arena)};
    tg_status st = stage_region(&s, p->f->body);
    if (st) {
        return st;
    }
    tg_pass_context ctx = {.scratch = p->arena};
    tg_pass_dce(p->f, &ctx); /* permutes and loads whose buffers are read instead */
    make_copies(p->f->body);
    return TG_OK;
}
