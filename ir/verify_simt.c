/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of the operations of SIMT functions at the loop level (docs/placed.md). What a
 * barrier demands of control flow is for ir/check; the shape of the function itself is in
 * verify.c's order: arrays stand at the top of the body. */
#include "ir/verify.h"

static bool is_i32(const tg_type *t) { return tg_is_scalar_of(t, TG_DT_I32); }

static bool is_array(const tg_type *t) { return t->kind == TG_TY_BUFFER && t->rank == 1; }

static int64_t count_of(const tg_type *t) { return t->kind == TG_TY_VEC ? t->shape[0] : 1; }

/* Only arrays stand before an array. */
static bool at_top(const tg_op *op) {
    if (op->parent != op->func->body) {
        return false;
    }
    for (const tg_op *o = op->prev; o; o = o->prev) {
        if (o->code != TG_OP_ARRAY) {
            return false;
        }
    }
    return true;
}

bool tg_verify_ARRAY(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(is_array(r) && r->depth == 1 && !r->layout, "declares a rank-1 buffer, not %s",
             tg_verify_type(v, r));
    TG_CHECK(r->space != TG_SPACE_SCRATCH, "scratch memory is reached through the scratch ptr");
    TG_CHECK(tg_dtype_bits(r->dtype) >= 8, "%s has no elements of whole bytes",
             tg_verify_type(v, r));
    TG_CHECK(at_top(op), "arrays are declared at the function's top");
    bool has_offset = tg_attr_get(op, TG_ATTR_OFFSET) != NULL;
    int64_t offset = tg_attr_int(op, TG_ATTR_OFFSET, 0), size = tg_dtype_bits(r->dtype) / 8;
    TG_CHECK(has_offset == (r->space == TG_SPACE_SHARED),
             "shared arrays have an offset, private ones none");
    TG_CHECK(offset >= 0 && offset % size == 0, "byte offset %lld of elements of %lld bytes",
             (long long)offset, (long long)size);
    TG_CHECK(!has_offset || offset + r->shape[0] * size <= v->f->shared_bytes,
             "bytes %lld to %lld of %lld shared bytes", (long long)offset,
             (long long)(offset + r->shape[0] * size), (long long)v->f->shared_bytes);
    return true;
}

/* The array, the index and the data of an access. */
static bool access_ok(tg_verifier *v, const tg_op *op, const tg_type *x) {
    const tg_type *a = tg_operand_type(op, 0);
    int64_t align = tg_attr_int(op, TG_ATTR_ALIGN, 1);
    TG_CHECK(is_array(a), "works on an array, not %s", tg_verify_type(v, a));
    TG_CHECK(is_i32(tg_operand_type(op, 1)), "the index is i32, not %s",
             tg_verify_type(v, tg_operand_type(op, 1)));
    TG_CHECK((tg_type_is_scalar(x) || x->kind == TG_TY_VEC) && x->dtype == a->dtype,
             "%s does not fit %s", tg_verify_type(v, x), tg_verify_type(v, a));
    TG_CHECK(count_of(x) <= a->shape[0], "%s does not fit %s", tg_verify_type(v, x),
             tg_verify_type(v, a));
    TG_CHECK(align >= 1 && (align & (align - 1)) == 0, "the alignment is a power of two");
    return true;
}

bool tg_verify_ALOAD(tg_verifier *v, const tg_op *op) {
    return access_ok(v, op, op->results[0].type);
}

bool tg_verify_ASTORE(tg_verifier *v, const tg_op *op) {
    return access_ok(v, op, tg_operand_type(op, 2));
}

bool tg_verify_AATOMIC(tg_verifier *v, const tg_op *op) {
    const tg_type *a = tg_operand_type(op, 0), *x = tg_operand_type(op, 2);
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    TG_CHECK(is_array(a) && a->space == TG_SPACE_SHARED, "works on a shared array, not %s",
             tg_verify_type(v, a));
    TG_CHECK(tg_dtype_is_int(x->dtype) && tg_dtype_bits(x->dtype) >= 32,
             "defined for integers of 32 and 64 bits, not %s", tg_verify_type(v, x));
    TG_CHECK(tg_type_is_scalar(x) && x->dtype == a->dtype && is_i32(tg_operand_type(op, 1)),
             "%s does not fit %s", tg_verify_type(v, x), tg_verify_type(v, a));
    TG_CHECK(op->n_operands == (cas ? 4 : 3), "only cas takes an expected value");
    TG_CHECK(!cas || tg_operand_type(op, 3) == x, "expected is %s, the value %s",
             tg_verify_type(v, tg_operand_type(op, 3)), tg_verify_type(v, x));
    TG_CHECK(op->results[0].type == x, "gives the old value, %s", tg_verify_type(v, x));
    return true;
}

bool tg_verify_ACOPY(tg_verifier *v, const tg_op *op) {
    const tg_type *a = tg_operand_type(op, 0);
    int64_t bytes = tg_attr_int(op, TG_ATTR_BYTES, 0);
    TG_CHECK(is_array(a) && a->space == TG_SPACE_SHARED, "fills a shared array, not %s",
             tg_verify_type(v, a));
    TG_CHECK(is_i32(tg_operand_type(op, 1)) && tg_operand_type(op, 2)->kind == TG_TY_PTR,
             "takes an i32 index and a ptr");
    TG_CHECK((bytes == 4 || bytes == 8 || bytes == 16) && bytes * 8 % tg_dtype_bits(a->dtype) == 0,
             "%lld bytes of %s at a time", (long long)bytes, tg_verify_type(v, a));
    return true;
}

bool tg_verify_AGROUP(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_ALAND(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_int(op, TG_ATTR_N, 0) >= 0, "the number of groups is not negative");
    return true;
}

bool tg_verify_BARRIER(tg_verifier *v, const tg_op *op) {
    int64_t n = tg_attr_int(op, TG_ATTR_N, 0);
    bool loop = v->f->level == TG_LEVEL_LOOP;
    TG_CHECK(n >= 0 && (v->f->lanes == 0 || n <= v->f->lanes), "%lld of %lld lanes arrive",
             (long long)n, (long long)v->f->lanes);
    TG_CHECK(op->n_operands == 0 || (loop && n > 0 && is_i32(tg_operand_type(op, 0))),
             "a number is an i32 of the loop level and says how many lanes arrive");
    TG_CHECK(!loop || n == 0 || op->n_operands == 1 || v->f->lanes % n == 0,
             "%lld lanes are not in sub-groups of %lld", (long long)v->f->lanes, (long long)n);
    return true;
}

/* ---- barriers in shared memory --------------------------------------------------------------- */

static bool is_mbarrier(tg_verifier *v, const tg_op *op) {
    const tg_type *a = tg_operand_type(op, 0);
    TG_CHECK(is_array(a) && a->space == TG_SPACE_SHARED && a->dtype == TG_DT_U64,
             "a barrier is an element of a shared array of u64, not %s", tg_verify_type(v, a));
    TG_CHECK(is_i32(tg_operand_type(op, 1)), "the index is i32, not %s",
             tg_verify_type(v, tg_operand_type(op, 1)));
    return true;
}

static bool is_who(tg_verifier *v, const tg_op *op, int i) {
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, i), TG_DT_BOOL), "a bool says who arrives, not %s",
             tg_verify_type(v, tg_operand_type(op, i)));
    return true;
}

bool tg_verify_MBAR_INIT(tg_verifier *v, const tg_op *op) {
    int64_t n = tg_attr_int(op, TG_ATTR_N, 0);
    TG_CHECK(n > 0 && n < 1 << 20, "a phase of %lld arrivals", (long long)n);
    return is_mbarrier(v, op);
}

bool tg_verify_MBAR_ARRIVE(tg_verifier *v, const tg_op *op) {
    return is_mbarrier(v, op) && is_who(v, op, 2);
}

bool tg_verify_MBAR_EXPECT(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_i32(tg_operand_type(op, 2)), "the bytes are i32, not %s",
             tg_verify_type(v, tg_operand_type(op, 2)));
    return is_mbarrier(v, op) && is_who(v, op, 3);
}

bool tg_verify_MBAR_COPIED(tg_verifier *v, const tg_op *op) { return is_mbarrier(v, op); }

bool tg_verify_MBAR_WAIT(tg_verifier *v, const tg_op *op) {
    TG_CHECK(is_i32(tg_operand_type(op, 2)), "the parity is i32, not %s",
             tg_verify_type(v, tg_operand_type(op, 2)));
    return is_mbarrier(v, op);
}

bool tg_verify_SETREGS(tg_verifier *v, const tg_op *op) {
    int64_t n = tg_attr_int(op, TG_ATTR_N, 0);
    TG_CHECK(n >= 24 && n <= 256 && n % 8 == 0, "%lld registers a lane", (long long)n);
    return true;
}

bool tg_verify_SHFL(tg_verifier *v, const tg_op *op) {
    const tg_type *x = tg_operand_type(op, 0);
    TG_CHECK(tg_is_data(x) && (x->kind == TG_TY_VEC || x->rank == 0), "moves a scalar or vector");
    TG_CHECK(is_i32(tg_operand_type(op, 1)), "the lane is i32, not %s",
             tg_verify_type(v, tg_operand_type(op, 1)));
    TG_CHECK(op->results[0].type == x, "gives what it moves, %s", tg_verify_type(v, x));
    return true;
}

bool tg_verify_BALLOT(tg_verifier *v, const tg_op *op) {
    const tg_type *r = op->results[0].type;
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, 0), TG_DT_BOOL), "takes a bool");
    TG_CHECK(tg_is_scalar_of(r, TG_DT_U32) || tg_is_scalar_of(r, TG_DT_U64),
             "gives u32 or u64, not %s", tg_verify_type(v, r));
    return true;
}
