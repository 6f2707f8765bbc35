/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on held tiles: every lane has only its own registers. */
#include <string.h>

#include "ir/check/run.h"

int32_t tg_run_reg(const tg_run *r, const tg_value *v) { return r->code->reg_of[v->id]; }

int32_t tg_run_cell(tg_run *r, const tg_op *op, const tg_value *v, int64_t lane, int64_t elem) {
    if (v->type->rank == 0 || v->type->layout == NULL) {
        return tg_run_reg(r, v);
    }
    const tg_holders *h = tg_holders_get(&r->holders, v->type);
    int32_t reg = elem < 0 || lane >= h->lanes ? -1 : h->reg[lane * h->count + elem];
    if (reg < 0) {
        tg_li_report(&r->base, TG_LOOP_BAD_CODE, op, (int)lane,
                     "the lane does not hold element %lld of an operand", (long long)elem);
        return -1;
    }
    return tg_run_reg(r, v) + (int32_t)(lane * h->regs) + reg;
}

int64_t tg_run_scalar(tg_run *r, const tg_op *op, const tg_value *v, const char *what) {
    tg_run_thread *t = tg_run_now(r);
    if (t->undefined[tg_run_reg(r, v)]) {
        tg_li_report(&r->base, TG_LOOP_UNDEFINED, op, 0, "%s depends on memory that nobody wrote",
                     what);
    }
    return (int64_t)t->cells[tg_run_reg(r, v)];
}

static bool same_bits(tg_dtype t, uint64_t a, uint64_t b) {
    return a == b || (tg_dtype_is_float(t) && tg_num_is_nan(t, tg_num_decode(NULL, t, a)) &&
                      tg_num_is_nan(t, tg_num_decode(NULL, t, b)));
}

void tg_run_gather(tg_run *r, const tg_op *op, const tg_value *v, uint64_t *bits, uint8_t *undef) {
    tg_run_thread *t = tg_run_now(r);
    int32_t reg = tg_run_reg(r, v);
    if (v->type->rank == 0 || v->type->layout == NULL) {
        bits[0] = t->cells[reg];
        undef[0] = t->undefined[reg];
        return;
    }
    const tg_holders *h = tg_holders_get(&r->holders, v->type);
    for (int64_t e = 0; e < h->count; e++) {
        int32_t owner = h->owner[e];
        bits[e] = owner < 0 ? 0 : t->cells[reg + owner];
        undef[e] = owner < 0 || t->undefined[reg + owner];
    }
    for (int64_t i = 0; i < h->lanes * h->regs; i++) {
        int32_t e = h->elem[i];
        if (e >= 0 && !undef[e] && !t->undefined[reg + i] &&
            !same_bits(v->type->dtype, t->cells[reg + i], bits[e])) {
            tg_li_report(&r->base, TG_LOOP_BAD_CODE, op, (int)(i / h->regs),
                         "two lanes hold different values of element %d", (int)e);
            return;
        }
    }
}

void tg_run_spread(tg_run *r, const tg_value *v, const uint64_t *bits, const uint8_t *undef) {
    tg_run_thread *t = tg_run_now(r);
    int32_t reg = tg_run_reg(r, v);
    if (v->type->rank == 0 || v->type->layout == NULL) {
        t->cells[reg] = bits[0];
        t->undefined[reg] = undef[0];
        return;
    }
    const tg_holders *h = tg_holders_get(&r->holders, v->type);
    for (int64_t i = 0; i < h->lanes * h->regs; i++) {
        int32_t e = h->elem[i];
        t->cells[reg + i] = e < 0 ? 0 : bits[e];
        t->undefined[reg + i] = e < 0 || undef[e];
    }
}

/* ---- operations ----------------------------------------------------------------------------- */

static void run_renamed(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_value *x = tg_operand(op, 0), *y = &op->results[0];
    const tg_holders *h = tg_holders_get(&r->holders, y->type);
    int32_t to = tg_run_reg(r, y);
    int64_t n = y->type->rank == 0 ? 1 : h->lanes * h->regs;
    for (int64_t i = 0; i < n; i++) {
        int64_t e = y->type->rank == 0 ? 0 : h->elem[i];
        int32_t from = e < 0 ? -1 : tg_run_cell(r, op, x, i / h->regs, tg_source_elem(op, e));
        t->cells[to + i] = from < 0 ? 0 : t->cells[from];
        t->undefined[to + i] = from < 0 || t->undefined[from];
    }
}

static void run_iota(tg_run *r, const tg_op *op) {
    int64_t n = tg_type_count(op->results[0].type);
    uint64_t *bits = tg_run_temp(r, n * (int64_t)sizeof(uint64_t));
    uint8_t *undef = tg_run_temp(r, n * (int64_t)sizeof(uint8_t));
    for (int64_t e = 0; e < n; e++) {
        bits[e] = (uint64_t)e;
    }
    tg_run_spread(r, &op->results[0], bits, undef);
}

/* present(index, extent) and span_mask(span). */
static void run_present(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    const tg_value *x = tg_operand(op, 0), *y = &op->results[0];
    bool span = x->type->kind == TG_TY_SPAN;
    int64_t extent = op->code == TG_OP_PRESENT
                         ? tg_run_scalar(r, op, tg_operand(op, 1), "an extent")
                         : INT64_MAX;
    int32_t to = tg_run_reg(r, y), from = tg_run_reg(r, x);
    const tg_holders *h = tg_holders_get(&r->holders, y->type);
    int64_t n = y->type->rank == 0 ? 1 : h->lanes * h->regs;
    for (int64_t i = 0; i < n; i++) {
        int64_t e = y->type->rank == 0 ? 0 : h->elem[i], v, hi = INT64_MAX;
        int32_t cell = span || e < 0 ? from : tg_run_cell(r, op, x, i / h->regs, e);
        v = cell < 0 ? -1 : (int64_t)t->cells[cell] + (span ? e : 0);
        hi = span ? (int64_t)t->cells[from + 1] : hi;
        bool low = op->code == TG_OP_SPAN_MASK || v >= 0;
        t->cells[to + i] = e >= 0 && low && v < extent && v < hi;
        t->undefined[to + i] = e < 0 || cell < 0 || t->undefined[cell];
    }
}

static void run_rng(tg_run *r, const tg_li_ins *i) {
    tg_run_thread *t = tg_run_now(r);
    for (int32_t k = 0; k < i->n; k++) {
        uint32_t words[4];
        tg_philox4x32(t->cells[i->arg[0] + k], t->cells[i->arg[1] + k], words);
        t->cells[i->result + k] = words[0];
        t->undefined[i->result + k] = t->undefined[i->arg[0] + k] | t->undefined[i->arg[1] + k];
    }
}

static void set_scalar(tg_run *r, const tg_op *op, int64_t v) {
    tg_run_thread *t = tg_run_now(r);
    t->cells[tg_run_reg(r, &op->results[0])] = (uint64_t)v;
    t->undefined[tg_run_reg(r, &op->results[0])] = 0;
}

static void run_assert(tg_run *r, const tg_op *op) {
    if (tg_run_scalar(r, op, tg_operand(op, 0), "an assertion") == 0 && r->base.out->trap == 0) {
        r->base.out->trap = TG_CPU_TRAP_ASSERT;
        r->base.out->trap_program = r->base.program;
    }
}

bool tg_run_tile_op(tg_run *r, const tg_li_ins *i) {
    const tg_op *op = i->op;
    tg_run_thread *t = tg_run_now(r);
    switch ((int)op->code) {
    case TG_OP_CONVERT:
    case TG_OP_BROADCAST:
    case TG_OP_PERMUTE:
    case TG_OP_RESHAPE:
        if (op->code == TG_OP_CONVERT && tg_attr_int(op, TG_ATTR_EXCHANGE, 0) != 0) {
            return false;
        }
        run_renamed(r, op);
        return true;
    case TG_OP_IOTA:
        run_iota(r, op);
        return true;
    case TG_OP_SYM:
        set_scalar(r, op, r->syms[tg_attr_int(op, TG_ATTR_SYM, 0)]);
        return true;
    case TG_OP_DIM: {
        const tg_iv_tensor *v = r->tiles.values[tg_operand(op, 0)->id];
        set_scalar(r, op, v->extent[tg_attr_int(op, TG_ATTR_AXIS, 0)]);
        return true;
    }
    case TG_OP_VIEW:
        tg_eval_VIEW(&r->tiles, i->op);
        return true;
    case TG_OP_SPAN:
        t->cells[i->result] = (uint64_t)tg_run_scalar(r, op, tg_operand(op, 0), "a position");
        t->cells[i->result + 1] = (uint64_t)tg_run_scalar(r, op, tg_operand(op, 1), "an end");
        t->undefined[i->result] = t->undefined[i->result + 1] = 0;
        return true;
    case TG_OP_SPAN_MASK:
    case TG_OP_PRESENT:
        run_present(r, op);
        return true;
    case TG_OP_RNG:
        run_rng(r, i);
        return true;
    case TG_OP_ASSERT:
    case TG_OP_ASSUME:
        run_assert(r, op);
        return true;
    case TG_OP_PRINT:
        return true;
    }
    return tg_li_arith(&r->base, i, t->cells, t->undefined);
}
