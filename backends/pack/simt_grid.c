/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grid regions as dimension byte code over the launch slots, so that a launch on a device needs no
 * round trip to know its programs. i64 arithmetic maps one to one; i32 results are wrapped by
 * arithmetic; whatever else occurs (loads, floats, control flow) is refused and computed by the
 * plan function on the device.
 */
#include "backends/pack/simt_image.h"

#include "backends/pack/package_sig.h"
#include "ir/build.h"

typedef struct coder {
    tg_func *f;
    tg_sb *sb;
    size_t begin; /* of the running axis in sb */
    int depth, most;
    bool failed;
} coder;

static void put(coder *c, tg_dim_code op) {
    tg_sb_addc(c->sb, (char)op);
    c->depth--;
}

static void push(coder *c) {
    c->depth++;
    c->most = c->depth > c->most ? c->depth : c->most;
    c->failed |= c->most > TG_PACK_CODE_DEPTH || c->sb->len - c->begin > TG_PACK_MAX_CODE - 16;
}

static void put_const(coder *c, int64_t v) {
    tg_sb_addc(c->sb, TG_DIM_CONST);
    tg_pack_u64(c->sb, (uint64_t)v);
    push(c);
}

static void put_slot(coder *c, int slot) {
    tg_sb_addc(c->sb, TG_DIM_SYM);
    tg_pack_u16(c->sb, (uint16_t)slot);
    push(c);
}

/* First slot of parameter p; that of the symbols for p == n_params. */
static int slot_of(const tg_func *f, int p) {
    int slot = 0;
    for (int i = 0; i < p; i++) {
        const tg_type *t = f->params[i].type;
        slot += t->kind == TG_TY_TENSOR ? 1 + 2 * t->rank : 1;
    }
    return slot;
}

static int param_of(const tg_func *f, const tg_value *v) {
    for (int i = 0; f->grid && i < f->grid->n_args && i < f->n_params; i++) {
        if (f->grid->args[i] == v) {
            return i;
        }
    }
    return -1;
}

/* Brings the top into the range of i32 by arithmetic modulo 2^32. */
static void wrap32(coder *c) {
    int64_t half = (int64_t)1 << 31, whole = (int64_t)1 << 32;
    put_const(c, half);
    put(c, TG_DIM_ADD);
    put_const(c, whole);
    put(c, TG_DIM_MOD);
    put_const(c, whole);
    put(c, TG_DIM_ADD);
    put_const(c, whole);
    put(c, TG_DIM_MOD);
    put_const(c, half);
    put(c, TG_DIM_SUB);
}

static void code_value(coder *c, const tg_value *v);

static void code_binary(coder *c, const tg_op *op, tg_dim_code code) {
    code_value(c, tg_operand(op, 0));
    code_value(c, tg_operand(op, 1));
    put(c, code);
}

static void code_cmp(coder *c, const tg_op *op) {
    static const tg_dim_code codes[] = {TG_DIM_EQ, TG_DIM_NE, TG_DIM_LT,
                                        TG_DIM_LE, TG_DIM_LT, TG_DIM_LE};
    int64_t pred = tg_attr_int(op, TG_ATTR_PRED, 0);
    bool swap = pred == TG_CMP_GT || pred == TG_CMP_GE;
    code_value(c, tg_operand(op, swap ? 1 : 0));
    code_value(c, tg_operand(op, swap ? 0 : 1));
    put(c, codes[pred]);
}

/* c ? x : y as x*c + y*(c == 0): c is 0 or 1. */
static void code_select(coder *c, const tg_op *op) {
    code_value(c, tg_operand(op, 1));
    code_value(c, tg_operand(op, 0));
    put(c, TG_DIM_MUL);
    code_value(c, tg_operand(op, 2));
    code_value(c, tg_operand(op, 0));
    put_const(c, 0);
    put(c, TG_DIM_EQ);
    put(c, TG_DIM_MUL);
    put(c, TG_DIM_ADD);
}

static bool is_whole(const tg_type *t) {
    return tg_type_is_scalar(t) &&
           (t->dtype == TG_DT_I64 || t->dtype == TG_DT_I32 || t->dtype == TG_DT_BOOL);
}

static void code_param(coder *c, const tg_value *v) {
    int p = param_of(c->f, v);
    if (p < 0 || !is_whole(v->type)) {
        c->failed = true;
        return;
    }
    put_slot(c, slot_of(c->f, p));
    if (v->type->dtype == TG_DT_I32) {
        wrap32(c);
    }
}

static void code_dim(coder *c, const tg_op *op) {
    int p = param_of(c->f, tg_operand(op, 0));
    if (p < 0) {
        c->failed = true;
        return;
    }
    put_slot(c, slot_of(c->f, p) + 1 + (int)tg_attr_int(op, TG_ATTR_AXIS, 0));
}

static bool arithmetic(tg_opcode code, tg_dim_code *out) {
    static const struct {
        tg_opcode from;
        tg_dim_code to;
    } table[] = {{TG_OP_ADD, TG_DIM_ADD}, {TG_OP_SUB, TG_DIM_SUB}, {TG_OP_MUL, TG_DIM_MUL},
                 {TG_OP_DIV, TG_DIM_DIV}, {TG_OP_REM, TG_DIM_MOD}, {TG_OP_MIN, TG_DIM_MIN},
                 {TG_OP_MAX, TG_DIM_MAX}};
    for (size_t i = 0; i < TG_COUNT_OF(table); i++) {
        if (table[i].from == code) {
            *out = table[i].to;
            return true;
        }
    }
    return false;
}

static void code_op(coder *c, const tg_op *op, const tg_type *t) {
    int64_t i;
    tg_dim_code code;
    if (tg_value_const_int(&op->results[0], &i)) {
        put_const(c, t->dtype == TG_DT_BOOL ? i != 0 : i);
    } else if (op->code == TG_OP_SYM) {
        put_slot(c, slot_of(c->f, c->f->n_params) + (int)tg_attr_int(op, TG_ATTR_SYM, 0));
    } else if (op->code == TG_OP_DIM) {
        code_dim(c, op);
    } else if (op->code == TG_OP_CMP && is_whole(tg_operand(op, 0)->type)) {
        code_cmp(c, op);
    } else if (op->code == TG_OP_SELECT) {
        code_select(c, op);
    } else if ((op->code == TG_OP_AND || op->code == TG_OP_OR) && t->dtype == TG_DT_BOOL) {
        code_binary(c, op, op->code == TG_OP_AND ? TG_DIM_AND : TG_DIM_OR);
    } else if (op->code == TG_OP_CAST && is_whole(tg_operand(op, 0)->type) &&
               t->dtype != TG_DT_BOOL && !tg_attr_get(op, TG_ATTR_SAT)) {
        code_value(c, tg_operand(op, 0));
    } else if (arithmetic(op->code, &code) && t->dtype != TG_DT_BOOL) {
        code_binary(c, op, code);
    } else {
        c->failed = true;
        return;
    }
    if (t->dtype == TG_DT_I32 && op->code != TG_OP_CONST_INT) {
        wrap32(c);
    }
}

static void code_value(coder *c, const tg_value *v) {
    if (c->failed || !is_whole(v->type)) {
        c->failed = true;
    } else if (!v->def) {
        code_param(c, v);
    } else {
        code_op(c, v->def, v->type);
    }
}

bool tg_simt_grid_code(tg_func *f, tg_arena *a, tg_sb *out_axes) {
    if (f->n_grid == 0) {
        return true;
    }
    if (!f->grid || !f->grid->last || f->grid->last->code != TG_OP_YIELD ||
        f->grid->last->n_operands != f->n_grid) {
        return false;
    }
    for (const tg_op *op = f->grid->first; op; op = op->next) {
        if (tg_op_info_get(op->code)->flags & (TG_OPF_WRITE | TG_OPF_READ)) {
            return false;
        }
    }
    for (int i = 0; i < f->n_grid; i++) {
        tg_sb_init(&out_axes[i], a);
        coder c = {.f = f, .sb = &out_axes[i]};
        code_value(&c, tg_operand(f->grid->last, i));
        if (c.failed || out_axes[i].len > TG_PACK_MAX_CODE) {
            return false;
        }
    }
    return true;
}
