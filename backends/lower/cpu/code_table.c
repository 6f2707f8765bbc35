/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions of one element of four bits: sixteen values, evaluated while compiling.
 *
 * An expression whose results are bytes and that goes through floats, as
 * (q as f32 * 2.0) as i8 of f4e2m1 does, is a look-up of bytes in a table of sixteen; its
 * arithmetic would be done in four times the width. And whatever it computes, its range is known.
 */
#include "backends/lower/cpu/lower.h"

#include "ir/fold.h"

enum { MAX_DEPTH = 8 };

typedef struct number {
    double f;
    int64_t i;
} number;

typedef struct codes {
    tg_value *load; /* the only one */
    int code;
    bool floats; /* something is computed in floats */
    bool moved;  /* permutes may stand in between */
} codes;

static bool evaluate(codes *s, tg_value *v, int depth, number *out);

static bool leaf(codes *s, tg_value *v, number *out) {
    tg_dtype t = v->type->dtype;
    if ((s->load != NULL && s->load != v) || tg_dtype_bits(t) != 4) {
        return false;
    }
    s->load = v;
    if (tg_dtype_is_float(t)) {
        out->f = tg_float_decode(t, (uint64_t)s->code);
        s->floats = true;
        return out->f == out->f;
    }
    out->i = tg_int_decode(t, (uint64_t)s->code);
    return true;
}

static bool convert(const tg_op *op, number x, number *out) {
    tg_dtype from = tg_operand(op, 0)->type->dtype, to = op->results[0].type->dtype;
    bool to_float = tg_dtype_is_float(to);
    if (to_float && tg_dtype_is_float(from) && tg_dtype_holds(to, from)) {
        out->f = x.f;
        return true;
    }
    if ((to_float && to != TG_DT_F32 && to != TG_DT_F64) || tg_attr_int(op, TG_ATTR_SAT, 0) != 0 ||
        tg_attr_int(op, TG_ATTR_ROUND, TG_ROUND_RNE) != TG_ROUND_RNE) {
        return false;
    }
    if (!tg_dtype_is_float(from)) {
        out->i = tg_fold_wrap(to, x.i);
        return !to_float || tg_fold_int_to_float(from, x.i, to, &out->f);
    }
    return to_float ? tg_fold_float_to(to, x.f, TG_ROUND_RNE, false, &out->f)
                    : tg_fold_float_to_int(to, x.f, &out->i);
}

static bool compute(codes *s, const tg_op *op, int depth, number *out) {
    number x, y;
    tg_dtype t = tg_operand(op, 0)->type->dtype;
    if (op->n_operands < 1 || op->n_operands > 2 ||
        !evaluate(s, tg_operand(op, 0), depth - 1, &x) ||
        (op->n_operands == 2 && !evaluate(s, tg_operand(op, 1), depth - 1, &y))) {
        return false;
    }
    if (op->code == TG_OP_CAST) {
        return (tg_dtype_is_int(op->results[0].type->dtype) || tg_dtype_is_float(t) ||
                tg_dtype_is_int(t)) &&
               convert(op, x, out);
    }
    if (op->results[0].type->dtype != t) {
        return false;
    }
    if (tg_dtype_is_float(t)) {
        return (t == TG_DT_F32 || t == TG_DT_F64) &&
               (op->n_operands == 1 ? tg_fold_float_unary(op->code, t, x.f, &out->f)
                                    : tg_fold_float_binary(op->code, t, x.f, y.f, &out->f));
    }
    return op->n_operands == 1 ? tg_fold_int_unary(op->code, t, x.i, &out->i)
                               : tg_fold_int_binary(op->code, t, x.i, y.i, &out->i);
}

static bool evaluate(codes *s, tg_value *v, int depth, number *out) {
    tg_op *op = v->def;
    *out = (number){0, 0};
    if (tg_value_const_int(v, &out->i) || tg_value_const_float(v, &out->f)) {
        return true;
    }
    if (op == NULL || depth == 0) {
        return false;
    }
    if (op->code == TG_OP_BROADCAST) { /* of a constant: other views move elements */
        tg_value *from = tg_operand(op, 0);
        return tg_value_const_int(from, &out->i) || tg_value_const_float(from, &out->f);
    }
    if (op->code == TG_OP_LOAD) {
        return leaf(s, v, out);
    }
    if (op->code == TG_OP_PERMUTE && s->moved) {
        return evaluate(s, tg_operand(op, 0), depth - 1, out);
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 &&
           compute(s, op, depth, out);
}

bool tg_code_table(tg_value *v, tg_code_values *out) {
    codes s = {.load = NULL};
    for (s.code = 0; s.code < 16; s.code++) {
        number n;
        if (!tg_dtype_is_int(v->type->dtype) || !evaluate(&s, v, MAX_DEPTH, &n)) {
            return false;
        }
        out->value[s.code] = n.i;
    }
    out->load = s.load;
    out->floats = s.floats;
    return s.load != NULL;
}

bool tg_code_function(tg_value *v, const tg_op *load, double out[16]) {
    codes s = {.load = NULL, .moved = true};
    for (s.code = 0; s.code < 16; s.code++) {
        number n;
        if (!evaluate(&s, v, MAX_DEPTH, &n) || s.load == NULL || s.load->def != load) {
            return false;
        }
        out[s.code] = tg_dtype_is_float(v->type->dtype) ? n.f : (double)n.i;
    }
    return true;
}

static const char *look_up(const tg_machine *mc, int lanes) {
    if (!(mc->features & TG_CPU_PSHUFB)) {
        return NULL;
    }
    return lanes == 16                             ? "x86.ssse3.pshuf.b.128"
           : lanes == 32 && mc->vector_bytes >= 32 ? "x86.avx2.pshuf.b"
           : lanes == 64 && mc->vector_bytes >= 64 ? "x86.avx512.pshuf.b.512"
                                                   : NULL;
}

bool tg_code_lookup(tg_ctx *x, tg_op *op, const tg_coord *c, tg_ev *out) {
    const char *name = look_up(x->L->mc, x->lanes);
    tg_code_values of;
    if (name == NULL || tg_dtype_bits(op->results[0].type->dtype) != 8 ||
        !tg_code_table(&op->results[0], &of) || !of.floats) {
        return false;
    }
    tg_ev e = tg_elem(x, of.load, c);
    tg_builder *b = &x->bl[e.level];
    const tg_type *bytes = tg_loop_type(x->L, TG_DT_U8, x->lanes);
    tg_value *table = tg_build_int(b, bytes, 0);
    for (int l = 0; l < x->lanes; l++) {
        tg_value *v = tg_build_int(b, tg_type_scalar(b->module, TG_DT_U8), of.value[l % 16] & 255);
        table = tg_build_insert(b, table, v, l);
    }
    tg_value *code = tg_build1(b, TG_OP_BITCAST, bytes, 1, tg_ev_vec(x, e));
    code = tg_build_binary(b, TG_OP_AND, code, tg_build_int(b, bytes, 15)); /* of a carrier */
    tg_value *args[2] = {table, code};
    tg_value *look = tg_build_intrinsic(b, name, bytes, 2, args);
    const tg_type *t = tg_loop_type(x->L, op->results[0].type->dtype, x->lanes);
    *out = (tg_ev){.v = tg_build1(b, TG_OP_BITCAST, t, 1, look), .level = e.level, .vec = true};
    return true;
}
