/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory and vectors. Device memory is reached by byte pointers; arrays are typed. A vector is read
 * and written by vloadN/vstoreN, which ask for the element's alignment only; an element that is not
 * aligned is put together from bytes.
 */
#include "backends/simt_c/emit.h"

static bool is_masked(const tg_op *op) { return tg_attr_int(op, TG_ATTR_MASKED, 0) != 0; }

static int bytes_of(const tg_type *t) {
    return t->dtype == TG_DT_BOOL ? 1 : tg_dtype_bits(t->dtype) / 8;
}

static bool unaligned(const tg_op *op, const tg_type *t) {
    int64_t align = tg_attr_int(op, TG_ATTR_ALIGN, 0);
    return align > 0 && align < bytes_of(t);
}

/* Bool is a byte in memory and an int mask in vector registers. */
static tg_c_expr from_memory(tg_c_emitter *e, const tg_type *t, tg_c_expr x) {
    if (t->dtype != TG_DT_BOOL) {
        return x;
    }
    /* a vector of bytes compares with bytes */
    const char *text = tg_c_text(e, t->kind == TG_TY_VEC ? "%s != (uchar)0" : "%s != 0",
                                 tg_c_paren(e, x, TG_PREC_SHIFT));
    return t->kind == TG_TY_VEC
               ? (tg_c_expr){tg_c_text(e, "convert_int%lld(%s)", (long long)t->shape[0], text),
                             TG_PREC_PRIMARY}
               : (tg_c_expr){text, TG_PREC_EQ};
}

static const char *to_memory(tg_c_emitter *e, const tg_value *v) {
    const tg_type *t = v->type;
    if (t->dtype == TG_DT_BOOL) {
        return t->kind == TG_TY_VEC
                   ? tg_c_text(e, "convert_uchar%lld(%s & 1)", (long long)t->shape[0],
                               tg_c_at(e, v, TG_PREC_PRIMARY))
                   : tg_c_text(e, "(uchar)%s", tg_c_at(e, v, TG_PREC_UNARY));
    }
    return tg_c_at(e, v, 0);
}

/* ---- device memory ----------------------------------------------------------------------------
 */

/* The element of type t at byte pointer p (text, primary), `index` elements on. */
static tg_c_expr element(tg_c_emitter *e, const tg_op *op, const tg_type *t, const char *p,
                         int64_t index) {
    const char *type = tg_c_memory_type(t->dtype);
    int bytes = bytes_of(t);
    if (unaligned(op, t)) {
        const char *at = index == 0 ? p : tg_c_text(e, "%s + %lld", p, (long long)index * bytes);
        return (tg_c_expr){tg_c_text(e, "as_%s(vload%d(0, %s))", type, bytes, at), TG_PREC_PRIMARY};
    }
    if (index == 0) {
        return (tg_c_expr){tg_c_text(e, "*(%sconst %s *)%s", e->dialect->device, type, p),
                           TG_PREC_UNARY};
    }
    return (tg_c_expr){
        tg_c_text(e, "((%sconst %s *)%s)[%lld]", e->dialect->device, type, p, (long long)index),
        TG_PREC_PRIMARY};
}

/* Lane by lane, absent lanes from passthru. */
static tg_c_expr masked_read(tg_c_emitter *e, const tg_op *op, const char *p) {
    const tg_type *t = op->results[0].type;
    const tg_value *mask = tg_operand(op, 1), *pass = tg_operand(op, 2);
    if (t->kind != TG_TY_VEC) {
        tg_c_expr x = from_memory(e, t, element(e, op, t, p, 0));
        return (tg_c_expr){tg_c_text(e, "%s ? %s : %s", tg_c_at(e, mask, TG_PREC_EQ),
                                     tg_c_paren(e, x, TG_PREC_COND + 1),
                                     tg_c_at(e, pass, TG_PREC_COND)),
                           TG_PREC_COND};
    }
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_c_list(e, &sb, tg_c_type(e, t));
    for (int64_t l = 0; l < t->shape[0]; l++) {
        tg_c_expr x = element(e, op, t, p, l);
        if (t->dtype == TG_DT_BOOL) {
            x = (tg_c_expr){tg_c_text(e, "-(%s != 0)", x.text), TG_PREC_UNARY};
        }
        tg_sb_addf(&sb, "%s%s ? %s : %s", l > 0 ? ", " : "", tg_c_lane(e, mask, l), x.text,
                   tg_c_lane(e, pass, l));
    }
    tg_sb_addc(&sb, ')');
    return (tg_c_expr){sb.data, TG_PREC_UNARY};
}

static tg_c_expr read_device(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *p = tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY);
    if (is_masked(op)) {
        return masked_read(e, op, p);
    }
    if (t->kind != TG_TY_VEC) {
        return from_memory(e, t, element(e, op, t, p, 0));
    }
    long long n = (long long)t->shape[0];
    if (unaligned(op, t)) {
        tg_sb sb;
        tg_sb_init(&sb, e->arena);
        tg_c_list(e, &sb, tg_c_type(e, t));
        for (int64_t l = 0; l < n; l++) {
            tg_sb_addf(&sb, "%s%s", l > 0 ? ", " : "", element(e, op, t, p, l).text);
        }
        tg_sb_addc(&sb, ')');
        return (tg_c_expr){sb.data, TG_PREC_UNARY};
    }
    return from_memory(e, t,
                       (tg_c_expr){tg_c_text(e, "vload%lld(0, (%sconst %s *)%s)", n,
                                             e->dialect->device, tg_c_memory_type(t->dtype), p),
                                   TG_PREC_PRIMARY});
}

static void write_element(tg_c_emitter *e, const tg_op *op, const tg_type *t, const char *p,
                          int64_t index, const char *x) {
    const char *type = tg_c_memory_type(t->dtype), *space = e->dialect->device;
    int bytes = bytes_of(t);
    if (unaligned(op, t)) {
        tg_c_line(e, "vstore%d(as_uchar%d(%s), 0, %s + %lld);", bytes, bytes, x, p,
                  (long long)index * bytes);
    } else if (index == 0) {
        tg_c_line(e, "*(%s%s *)%s = %s;", space, type, p, x);
    } else {
        tg_c_line(e, "((%s%s *)%s)[%lld] = %s;", space, type, p, (long long)index, x);
    }
}

static const char *lane_to_memory(tg_c_emitter *e, const tg_value *v, int64_t lane) {
    const char *x = tg_c_lane(e, v, lane);
    return v->type->dtype == TG_DT_BOOL && v->type->kind == TG_TY_VEC
               ? tg_c_text(e, "(uchar)(%s & 1)", x)
               : x;
}

static void write_device(tg_c_emitter *e, const tg_op *op) {
    const tg_value *v = tg_operand(op, 1), *mask = is_masked(op) ? tg_operand(op, 2) : NULL;
    const tg_type *t = v->type;
    const char *p = tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY);
    if (t->kind != TG_TY_VEC) {
        if (mask != NULL) {
            tg_c_line(e, "if (%s)", tg_c_at(e, mask, 0));
            e->indent++;
        }
        write_element(e, op, t, p, 0, to_memory(e, v));
        e->indent -= mask != NULL;
        return;
    }
    if (mask == NULL && !unaligned(op, t)) {
        tg_c_line(e, "vstore%lld(%s, 0, (%s%s *)%s);", (long long)t->shape[0], to_memory(e, v),
                  e->dialect->device, tg_c_memory_type(t->dtype), p);
        return;
    }
    for (int64_t l = 0; l < t->shape[0]; l++) {
        if (mask != NULL) {
            tg_c_line(e, "if (%s)", tg_c_lane(e, mask, l));
            e->indent++;
        }
        write_element(e, op, t, p, l, lane_to_memory(e, v, l));
        e->indent -= mask != NULL;
    }
}

/* ---- gathers ----------------------------------------------------------------------------------
 */

static const char *gather_at(tg_c_emitter *e, const tg_op *op, int64_t lane) {
    return tg_c_text(e, "(%s + (long)%s * %lld)", tg_c_at(e, tg_operand(op, 0), TG_PREC_ADD),
                     tg_c_lane(e, tg_operand(op, 1), lane),
                     (long long)tg_attr_int(op, TG_ATTR_BYTES, 1));
}

static tg_c_expr gather(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const tg_value *pass = tg_operand(op, 2), *mask = is_masked(op) ? tg_operand(op, 3) : NULL;
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_c_list(e, &sb, tg_c_type(e, t));
    for (int64_t l = 0; l < t->shape[0]; l++) {
        const char *x = element(e, op, t, gather_at(e, op, l), 0).text;
        if (t->dtype == TG_DT_BOOL) {
            x = tg_c_text(e, "-(%s != 0)", x);
        }
        tg_sb_add(&sb, l > 0 ? ", " : "");
        if (mask != NULL) {
            tg_sb_addf(&sb, "%s ? %s : %s", tg_c_lane(e, mask, l), x, tg_c_lane(e, pass, l));
        } else {
            tg_sb_add(&sb, x);
        }
    }
    tg_sb_addc(&sb, ')');
    return (tg_c_expr){sb.data, TG_PREC_UNARY};
}

static void scatter(tg_c_emitter *e, const tg_op *op) {
    const tg_value *v = tg_operand(op, 2), *mask = is_masked(op) ? tg_operand(op, 3) : NULL;
    for (int64_t l = 0; l < v->type->shape[0]; l++) {
        if (mask != NULL) {
            tg_c_line(e, "if (%s)", tg_c_lane(e, mask, l));
            e->indent++;
        }
        write_element(e, op, v->type, gather_at(e, op, l), 0, lane_to_memory(e, v, l));
        e->indent -= mask != NULL;
    }
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static tg_c_expr read_array(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *a = tg_c_at(e, tg_operand(op, 0), TG_PREC_PRIMARY);
    if (t->kind != TG_TY_VEC) {
        return from_memory(e, t,
                           (tg_c_expr){tg_c_text(e, "%s[%s]", a, tg_c_at(e, tg_operand(op, 1), 0)),
                                       TG_PREC_PRIMARY});
    }
    return from_memory(e, t,
                       (tg_c_expr){tg_c_text(e, "vload%lld(0, %s + %s)", (long long)t->shape[0], a,
                                             tg_c_at(e, tg_operand(op, 1), TG_PREC_ADD)),
                                   TG_PREC_PRIMARY});
}

static void write_array(tg_c_emitter *e, const tg_op *op) {
    const tg_value *v = tg_operand(op, 2);
    const char *a = tg_c_at(e, tg_operand(op, 0), TG_PREC_PRIMARY);
    if (v->type->kind != TG_TY_VEC) {
        tg_c_line(e, "%s[%s] = %s;", a, tg_c_at(e, tg_operand(op, 1), 0), to_memory(e, v));
        return;
    }
    tg_c_line(e, "vstore%lld(%s, 0, %s + %s);", (long long)v->type->shape[0], to_memory(e, v), a,
              tg_c_at(e, tg_operand(op, 1), TG_PREC_ADD));
}

/* ---- atomics ----------------------------------------------------------------------------------
 */

/* A compare-and-swap loop for what has no instruction: floats. */
static const char *float_atomic(tg_c_emitter *e, const tg_type *t, tg_atomic_kind kind,
                                const char *space, const char *tag) {
    static const char *const kinds[] = {"add", "min", "max", "cas"};
    bool wide = t->dtype == TG_DT_F64;
    const char *f = tg_c_scalar(t->dtype), *bits = wide ? "ulong" : "uint";
    const char *cas = wide ? "atom_cmpxchg" : "atomic_cmpxchg";
    const char *name = tg_c_text(e, "atomic_%s_%s_%s", kinds[kind], f, tag);
    const char *update =
        kind == TG_ATOMIC_ADD
            ? tg_c_text(e, "as_%s(seen) + x", f)
            : tg_c_text(e, "%s(as_%s(seen), x)", tg_c_minmax(e, kind == TG_ATOMIC_MAX, t), f);
    if (kind == TG_ATOMIC_CAS) {
        tg_c_helper(e, name,
                    tg_c_text(e,
                              "/* compares bits: -0 is not 0 */\n"
                              "%s %s(volatile %s%s *at, %s expected, %s x) {\n"
                              "    %s seen = *at;\n"
                              "    while (seen == as_%s(expected)) {\n"
                              "        %s found = %s(at, seen, as_%s(x));\n"
                              "        if (found == seen)\n            break;\n"
                              "        seen = found;\n    }\n    return as_%s(seen);\n}\n",
                              f, name, space, bits, f, f, bits, bits, bits, cas, bits, f));
        return name;
    }
    tg_c_helper(e, name,
                tg_c_text(e,
                          "%s %s(volatile %s%s *at, %s x) {\n    %s seen = *at;\n    for (;;) {\n"
                          "        %s found = %s(at, seen, as_%s(%s));\n"
                          "        if (found == seen)\n            return as_%s(seen);\n"
                          "        seen = found;\n    }\n}\n",
                          f, name, space, bits, f, bits, bits, cas, bits, update, f));
    return name;
}

/* 8 and 16 bits: compare and swap the word around them. */
static const char *small_atomic(tg_c_emitter *e, const tg_type *t, tg_atomic_kind kind,
                                const char *space, const char *tag) {
    static const char *const kinds[] = {"add", "min", "max", "cas"};
    static const char *const updates[] = {"old + x", "min((int)old, (int)x)",
                                          "max((int)old, (int)x)", "old == expected ? x : old"};
    const char *s = tg_c_scalar(t->dtype), *u = tg_dtype_bits(t->dtype) == 8 ? "uchar" : "ushort";
    const char *name = tg_c_text(e, "atomic_%s_%s_%s", kinds[kind], s, tag);
    const char *mask = tg_dtype_bits(t->dtype) == 8 ? "0xffu" : "0xffffu";
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_sb_addf(&sb, "/* by way of the word around it */\n%s %s(volatile %s%s *at, %s%s x) {\n", s,
               name, space, s, kind == TG_ATOMIC_CAS ? tg_c_text(e, "%s expected, ", s) : "", s);
    tg_sb_addf(&sb, "    volatile %suint *word = (volatile %suint *)((size_t)at & ~(size_t)3);\n",
               space, space);
    tg_sb_addf(&sb,
               "    uint shift = (uint)((size_t)at & 3) * 8, seen = *word;\n    for (;;) {\n"
               "        %s old = (%s)(seen >> shift), put = (%s)(%s);\n",
               s, s, s, updates[kind]);
    tg_sb_addf(&sb, "        uint want = (seen & ~(%s << shift)) | (uint)(%s)put << shift;\n", mask,
               u);
    tg_sb_add(&sb,
              "        uint found = atomic_cmpxchg(word, seen, want);\n        if (found == seen)\n"
              "            return old;\n        seen = found;\n    }\n}\n");
    tg_c_helper(e, name, sb.data);
    return name;
}

/* at: pointer text; operands from `first`: value, expected. */
static tg_c_expr atomic(tg_c_emitter *e, const tg_op *op, const char *space, const char *tag,
                        const char *at, int first) {
    static const char *const names[] = {"add", "min", "max", "cmpxchg"};
    const tg_type *t = op->results[0].type;
    tg_atomic_kind kind = (tg_atomic_kind)tg_attr_int(op, TG_ATTR_ATOMIC, 0);
    int bits = tg_dtype_bits(t->dtype);
    const char *value = tg_c_at(e, tg_operand(op, first), 0), *fn, *type;
    bool small_int = bits < 32 && tg_dtype_is_int(t->dtype);
    if ((bits < 32 && !small_int) || t->kind == TG_TY_VEC) {
        tg_c_refuse(e, op, "atomic operations work on integers, f32 and f64");
    }
    if (small_int) {
        fn = small_atomic(e, t, kind, space, tag);
        type = tg_c_scalar(t->dtype);
    } else if (t->dtype == TG_DT_F32 || t->dtype == TG_DT_F64) {
        fn = float_atomic(e, t, kind, space, tag);
        type = bits == 64 ? "ulong" : "uint";
    } else {
        fn = tg_c_text(e, "%s_%s", bits == 64 ? "atom" : "atomic", names[kind]);
        type = tg_c_scalar(t->dtype);
    }
    const char *expected =
        kind == TG_ATOMIC_CAS ? tg_c_text(e, "%s, ", tg_c_at(e, tg_operand(op, first + 1), 0)) : "";
    return (tg_c_expr){
        tg_c_text(e, "%s((volatile %s%s *)%s, %s%s)", fn, space, type, at, expected, value),
        TG_PREC_PRIMARY};
}

/* ---- vectors ----------------------------------------------------------------------------------
 */

static tg_c_expr shuffle(tg_c_emitter *e, const tg_op *op) {
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    const tg_type *t = op->results[0].type;
    int64_t lanes = tg_c_lanes(tg_operand(op, 0)->type);
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_c_list(e, &sb, tg_c_type(e, t));
    for (size_t i = 0; i < axes->n_list; i++) {
        int64_t l = axes->list[i] < 0 ? 0 : axes->list[i];
        const tg_value *from = tg_operand(op, l >= lanes);
        tg_sb_addf(&sb, "%s%s", i > 0 ? ", " : "", tg_c_lane(e, from, l % lanes));
    }
    tg_sb_addc(&sb, ')');
    return (tg_c_expr){sb.data, TG_PREC_UNARY};
}

static tg_c_expr counting(tg_c_emitter *e, const tg_type *t) {
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    tg_c_list(e, &sb,
              t->dtype == TG_DT_BOOL ? tg_c_text(e, "long%lld", (long long)t->shape[0])
                                     : tg_c_type(e, t));
    for (int64_t l = 0; l < t->shape[0]; l++) {
        tg_sb_addf(&sb, "%s%lld", l > 0 ? ", " : "", (long long)l);
    }
    tg_sb_addc(&sb, ')');
    return (tg_c_expr){sb.data, TG_PREC_UNARY};
}

/* Halves are combined until one lane is left. */
static tg_c_expr reduce_vector(tg_c_emitter *e, const tg_op *op) {
    const tg_value *v = tg_operand(op, 0);
    int64_t kind = tg_attr_int(op, TG_ATTR_RED, TG_RED_SUM);
    if (kind == TG_RED_ANY || kind == TG_RED_ALL) {
        return (tg_c_expr){
            tg_c_text(e, "%s(%s) != 0", kind == TG_RED_ANY ? "any" : "all", tg_c_at(e, v, 0)),
            TG_PREC_EQ};
    }
    const char *part[16];
    int64_t n = tg_c_lanes(v->type);
    tg_type scalar = {.kind = TG_TY_TILE, .dtype = v->type->dtype};
    for (int64_t l = 0; l < n; l++) {
        part[l] = tg_c_lane(e, v, l);
    }
    const char *cast = tg_c_scalar(v->type->dtype);
    for (; n > 1; n /= 2) {
        for (int64_t l = 0; l < n / 2; l++) {
            const char *a = part[l], *b = part[l + n / 2];
            bool minmax = kind == TG_RED_MIN || kind == TG_RED_MAX;
            part[l] =
                minmax
                    ? tg_c_text(e, "%s(%s, %s)", tg_c_minmax(e, kind == TG_RED_MAX, &scalar), a, b)
                    : tg_c_text(e, "(%s)(%s %c %s)", cast, a, kind == TG_RED_PROD ? '*' : '+', b);
        }
    }
    return (tg_c_expr){part[0], TG_PREC_UNARY};
}

tg_c_expr tg_c_vector(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    switch ((int)op->code) {
    case TG_OP_SPLAT: {
        const tg_value *v = tg_operand(op, 0);
        const char *x = tg_c_at(e, v, 0);
        if (t->dtype == TG_DT_BOOL) {
            x = tg_c_text(e, "-(int)%s", tg_c_at(e, v, TG_PREC_UNARY));
        }
        return (tg_c_expr){tg_c_text(e, "(%s)(%s)", tg_c_type(e, t), x), TG_PREC_UNARY};
    }
    case TG_OP_EXTRACT: {
        const char *x = tg_c_lane(e, tg_operand(op, 0), tg_attr_int(op, TG_ATTR_VALUE_I, 0));
        return t->dtype == TG_DT_BOOL ? (tg_c_expr){tg_c_text(e, "%s != 0", x), TG_PREC_EQ}
                                      : (tg_c_expr){x, TG_PREC_PRIMARY};
    }
    case TG_OP_SHUFFLE:
        return shuffle(e, op);
    case TG_OP_LANES:
        return counting(e, t);
    case TG_OP_PMASK:
        return (tg_c_expr){tg_c_text(e, "convert_int%lld(%s < (long%lld)(%s))",
                                     (long long)t->shape[0], counting(e, t).text,
                                     (long long)t->shape[0], tg_c_at(e, tg_operand(op, 0), 0)),
                           TG_PREC_PRIMARY};
    case TG_OP_REDUCEV:
        return reduce_vector(e, op);
    }
    tg_c_refuse(e, op, "the dialect has no such operation");
    return (tg_c_expr){"0", TG_PREC_PRIMARY};
}

/* ---- doors ------------------------------------------------------------------------------------
 */

static tg_c_expr slot(tg_c_emitter *e, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    const char *slots = tg_c_at(e, tg_operand(op, 0), TG_PREC_PRIMARY);
    long long i = (long long)tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    const char *word = tg_c_text(e, "%s[%lld]", slots, i);
    if (t->kind == TG_TY_PTR && e->dialect->addresses) {
        return (tg_c_expr){tg_c_text(e, "(uchar *)%s", word), TG_PREC_UNARY};
    }
    if (t->kind == TG_TY_PTR) { /* the buffer is an argument, the slot its offset */
        return (tg_c_expr){tg_c_text(e, "arg%lld + %s", i, word), TG_PREC_ADD};
    }
    int bits = tg_dtype_bits(t->dtype);
    if (t->dtype == TG_DT_I64) {
        return (tg_c_expr){word, TG_PREC_PRIMARY};
    }
    if (t->dtype == TG_DT_BOOL) {
        return (tg_c_expr){tg_c_text(e, "(%s & 255) != 0", word), TG_PREC_EQ};
    }
    if (t->dtype == TG_DT_F32 || t->dtype == TG_DT_F64) {
        return (tg_c_expr){bits == 64 ? tg_c_text(e, "as_double(%s)", word)
                                      : tg_c_text(e, "as_float((int)%s)", word),
                           TG_PREC_PRIMARY};
    }
    return (tg_c_expr){tg_c_text(e, "(%s)%s", tg_c_scalar(t->dtype), word), TG_PREC_UNARY};
}

tg_c_expr tg_c_read(tg_c_emitter *e, const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_SLOT:
        return slot(e, op);
    case TG_OP_GEP: {
        long long bytes = (long long)tg_attr_int(op, TG_ATTR_BYTES, 1);
        const tg_value *i = tg_operand(op, 1);
        const char *base = tg_c_at(e, tg_operand(op, 0), TG_PREC_ADD);
        const char *index = tg_c_at(e, i, TG_PREC_MUL);
        if (bytes == 1) {
            return (tg_c_expr){tg_c_text(e, "%s + %s", base, tg_c_at(e, i, TG_PREC_MUL)),
                               TG_PREC_ADD};
        }
        const char *wide = tg_c_is_narrow(e, i) ? "(long)" : "";
        index = wide[0] != '\0' ? tg_c_at(e, i, TG_PREC_UNARY) : index;
        return (tg_c_expr){tg_c_text(e, "%s + %s%s * %lld", base, wide, index, bytes), TG_PREC_ADD};
    }
    case TG_OP_LOADM:
        return read_device(e, op);
    case TG_OP_GATHERM:
        return gather(e, op);
    case TG_OP_ALOAD:
        return read_array(e, op);
    case TG_OP_ATOMICM:
        return atomic(e, op, e->dialect->device, "device",
                      tg_c_at(e, tg_operand(op, 0), TG_PREC_UNARY), 1);
    case TG_OP_AATOMIC:
        return atomic(e, op, e->dialect->shared_pointer, "shared",
                      tg_c_text(e, "(%s + %s)", tg_c_at(e, tg_operand(op, 0), TG_PREC_PRIMARY),
                                tg_c_at(e, tg_operand(op, 1), TG_PREC_ADD)),
                      2);
    }
    return tg_c_vector(e, op);
}

void tg_c_write(tg_c_emitter *e, const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_STOREM:
        write_device(e, op);
        return;
    case TG_OP_SCATTERM:
        scatter(e, op);
        return;
    case TG_OP_ASTORE:
        write_array(e, op);
        return;
    case TG_OP_PREFETCH:
        return;
    }
    tg_c_refuse(e, op, "the dialect has no such operation");
}
