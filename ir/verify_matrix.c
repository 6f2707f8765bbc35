/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of matrix units: fragments in loop code, the layout of a product's accumulator in
 * placed code. */
#include "ir/matrix.h"
#include "ir/verify.h"

static const tg_matrix_unit *unit_of(tg_verifier *v, const tg_op *op) {
    const char *name = tg_attr_str(op, TG_ATTR_UNIT);
    const tg_matrix_unit *u = tg_matrix_find(name);
    if (u == NULL) {
        tg_verify_fail(v, "there is no matrix unit `%s`", name != NULL ? name : "");
    } else if (v->f->lanes % u->lanes != 0) {
        tg_verify_fail(v, "%lld lanes are not groups of %d", (long long)v->f->lanes, u->lanes);
        u = NULL;
    }
    return u;
}

static bool fragment_is(tg_verifier *v, const tg_matrix_unit *u, tg_matrix_part p,
                        const tg_type *t) {
    static const char *const names[] = {"a", "b", "the accumulator"};
    const tg_type *want = tg_matrix_type(v->f->module, u, p);
    TG_CHECK(t == want, "a fragment of %s of %s is %s, not %s", names[p], u->name,
             tg_verify_type(v, want), tg_verify_type(v, t));
    return true;
}

static bool move_ok(tg_verifier *v, const tg_op *op, const tg_type *fragment) {
    const tg_matrix_unit *u = unit_of(v, op);
    const tg_type *a = tg_operand_type(op, 0);
    const tg_attr *strides = tg_attr_get(op, TG_ATTR_STRIDES);
    int64_t p = tg_attr_int(op, TG_ATTR_PART, 0), align = tg_attr_int(op, TG_ATTR_ALIGN, 1);
    if (u == NULL) {
        return false;
    }
    TG_CHECK(p >= 0 && p < TG_PART_COUNT, "there is no part %lld", (long long)p);
    TG_CHECK(a->kind == TG_TY_BUFFER && a->rank == 1 && a->space == TG_SPACE_SHARED,
             "works on a shared array, not %s", tg_verify_type(v, a));
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, 1), TG_DT_I32), "the index is i32, not %s",
             tg_verify_type(v, tg_operand_type(op, 1)));
    TG_CHECK(strides != NULL && strides->n_list == 2, "two strides");
    TG_CHECK(align >= 1 && (align & (align - 1)) == 0, "the alignment is a power of two");
    TG_CHECK(fragment->dtype == a->dtype, "%s does not fit %s", tg_verify_type(v, fragment),
             tg_verify_type(v, a));
    return fragment_is(v, u, (tg_matrix_part)p, fragment);
}

bool tg_verify_FRAGLOAD(tg_verifier *v, const tg_op *op) {
    return move_ok(v, op, op->results[0].type);
}

bool tg_verify_FRAGSTORE(tg_verifier *v, const tg_op *op) {
    return move_ok(v, op, tg_operand_type(op, 2));
}

/* What one part's fragment was loaded as cannot be another's operand, even where the types agree.
 */
static bool origin_is(tg_verifier *v, const tg_op *op, int i) {
    const tg_op *def = tg_operand(op, i)->def;
    bool loaded = def != NULL && def->code == TG_OP_FRAGLOAD;
    TG_CHECK(!loaded || tg_attr_int(def, TG_ATTR_PART, 0) == i,
             "operand %d was loaded as part %lld of its block", i,
             (long long)tg_attr_int(def, TG_ATTR_PART, 0));
    return true;
}

bool tg_verify_MMA(tg_verifier *v, const tg_op *op) {
    const tg_matrix_unit *u = unit_of(v, op);
    if (u == NULL) {
        return false;
    }
    for (int p = 0; p < TG_PART_COUNT; p++) {
        if (!fragment_is(v, u, (tg_matrix_part)p, tg_operand_type(op, p)) || !origin_is(v, op, p)) {
            return false;
        }
    }
    return fragment_is(v, u, TG_PART_C, op->results[0].type);
}

/* ---- units of several sub-groups ------------------------------------------------------------- */

bool tg_verify_PFENCE(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_GFENCE(tg_verifier *v, const tg_op *op) { return tg_verify_PFENCE(v, op); }

bool tg_verify_GCOMMIT(tg_verifier *v, const tg_op *op) { return tg_verify_PFENCE(v, op); }

bool tg_verify_GWAIT(tg_verifier *v, const tg_op *op) {
    TG_CHECK(tg_attr_int(op, TG_ATTR_N, 0) >= 0 && tg_attr_int(op, TG_ATTR_N, 0) <= 7,
             "waits for all but 0 to 7 groups");
    TG_CHECK(op->n_results == op->n_operands, "gives back what it waited for");
    for (int i = 0; i < op->n_operands; i++) {
        TG_CHECK(op->results[i].type == tg_operand_type(op, i) &&
                     op->results[i].type->kind == TG_TY_VEC,
                 "result %d is not operand %d", i, i);
    }
    return true;
}

/* An operand in shared memory: array, index and how it lies. */
static bool memory_ok(tg_verifier *v, const tg_op *op, int at, const tg_matrix_unit *u,
                      tg_matrix_part part, const int64_t how[3]) {
    const tg_type *t = tg_operand_type(op, at), *want = tg_matrix_type(v->f->module, u, part);
    const tg_op *def = op->operands[at].value->def;
    int64_t bytes = tg_dtype_bits(u->type[part]) / 8, rows = part == TG_PART_A ? u->m : u->n;
    TG_CHECK(t->kind == TG_TY_BUFFER && t->rank == 1 && t->space == TG_SPACE_SHARED &&
                 t->dtype == want->dtype,
             "operand %d is no shared array of %s", at, tg_dtype_name(want->dtype));
    TG_CHECK(tg_is_scalar_of(tg_operand_type(op, at + 1), TG_DT_I32), "the index is i32, not %s",
             tg_verify_type(v, tg_operand_type(op, at + 1)));
    TG_CHECK(how[0] == 32 || how[0] == 64 || how[0] == 128, "there is no swizzle of %lld bytes",
             (long long)how[0]);
    TG_CHECK(how[1] == 0 || bytes == 2, "only elements of 16 bits lie turned");
    TG_CHECK(how[2] >= 0 && how[2] * bytes % (8 * how[0]) == 0 && rows % 8 == 0,
             "panels are no multiple of 8 rows apart");
    TG_CHECK(def == NULL || tg_attr_int(def, TG_ATTR_OFFSET, 0) % TG_SWIZZLE_ALIGN == 0,
             "a swizzled array begins at a multiple of %d bytes", TG_SWIZZLE_ALIGN);
    return true;
}

bool tg_verify_GMMA(tg_verifier *v, const tg_op *op) {
    const tg_matrix_unit *u = unit_of(v, op);
    const tg_attr *how = tg_attr_get(op, TG_ATTR_STRIDES);
    const tg_type *r = op->results[0].type;
    if (u == NULL) {
        return false;
    }
    TG_CHECK(tg_matrix_reads_memory(u), "%s does not read shared memory", u->name);
    TG_CHECK(how != NULL && how->n_list == 6, "six numbers say how operands lie");
    bool registers = tg_operand_type(op, 0)->kind == TG_TY_VEC;
    int b = registers ? 1 : 2, left = op->n_operands - b - 2;
    TG_CHECK(left == 0 || left == 1, "%d operands", op->n_operands);
    const tg_type *block = tg_matrix_type(v->f->module, u, TG_PART_C);
    TG_CHECK(r->kind == TG_TY_VEC && r->dtype == block->dtype && r->shape[0] > 0 &&
                 r->shape[0] % block->shape[0] == 0 &&
                 r->shape[0] / block->shape[0] * u->n <= TG_GMMA_COLUMNS,
             "%s is no accumulator of %s", tg_verify_type(v, r), u->name);
    TG_CHECK(left == 0 || tg_operand_type(op, op->n_operands - 1) == r,
             "the accumulator is %s, not %s", tg_verify_type(v, r),
             tg_verify_type(v, tg_operand_type(op, op->n_operands - 1)));
    return (registers ? fragment_is(v, u, TG_PART_A, tg_operand_type(op, 0))
                      : memory_ok(v, op, 0, u, TG_PART_A, how->list)) &&
           memory_ok(v, op, b, u, TG_PART_B, how->list + 3);
}

/* Operands are buffers; a may be held by the lanes as their unit wants it, with the rows of the
 * accumulator. */
static bool operands_held(tg_verifier *v, const tg_op *op, const tg_matrix_unit *u) {
    const tg_type *a = tg_operand_type(op, 0), *c = op->results[0].type;
    TG_CHECK(tg_operand_type(op, 1)->kind == TG_TY_BUFFER, "multiplies by a buffer");
    if (a->kind == TG_TY_BUFFER) {
        return true;
    }
    TG_CHECK(u != NULL && op->n_operands == 3 && a->dtype == u->type[TG_PART_A] &&
                 !tg_matrix_rounds(u) && a->layout != NULL && c->layout != NULL,
             "multiplies buffers");
    const tg_layout *want = tg_matrix_operand(v->f->module, u, c->layout, a->shape[a->rank - 1]);
    TG_CHECK(want != NULL && tg_matrix_holds(v->f->module, u, TG_PART_A, a->layout, a->rank) &&
                 tg_layout_same_lanes(a->layout, want, a->shape),
             "%s: lanes do not hold operand a of %s", tg_verify_type(v, a), u->name);
    return true;
}

bool tg_verify_dot_unit(tg_verifier *v, const tg_op *op) {
    const char *name = tg_attr_str(op, TG_ATTR_UNIT);
    const tg_matrix_unit *u = name == NULL ? NULL : unit_of(v, op);
    const tg_type *t = op->results[0].type, *a = tg_operand_type(op, 0);
    if (!operands_held(v, op, u)) {
        return false;
    }
    if (name == NULL || u == NULL) {
        return name == NULL;
    }
    TG_CHECK(t->dtype == u->type[TG_PART_C], "%s adds up in %s, not %s", name,
             tg_dtype_name(u->type[TG_PART_C]), tg_dtype_name(t->dtype));
    TG_CHECK(t->shape[t->rank - 2] % u->m == 0 && t->shape[t->rank - 1] % u->n == 0,
             "%s is no multiple of the blocks of %s", tg_verify_type(v, t), name);
    TG_CHECK(a->shape[a->rank - 1] % u->k == 0, "%lld products are no multiple of %d",
             (long long)a->shape[a->rank - 1], u->k);
    if (t->layout == NULL || !tg_matrix_is_open(u)) {
        return true;
    }
    TG_CHECK(tg_matrix_holds(v->f->module, u, TG_PART_C, t->layout, t->rank),
             "%s: lanes do not hold fragments of %s", tg_verify_type(v, t), name);
    return true;
}
