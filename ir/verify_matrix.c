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

bool tg_verify_dot_unit(tg_verifier *v, const tg_op *op) {
    const char *name = tg_attr_str(op, TG_ATTR_UNIT);
    if (name == NULL) {
        return true;
    }
    const tg_matrix_unit *u = unit_of(v, op);
    const tg_type *t = op->results[0].type, *a = tg_operand_type(op, 0);
    if (u == NULL) {
        return false;
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
    TG_CHECK(tg_matrix_holds(v->f->module, u, t->layout, t->rank),
             "%s: lanes do not hold fragments of %s", tg_verify_type(v, t), name);
    return true;
}
