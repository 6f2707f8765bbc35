/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounds: removes checks that the shapes already decide.
 *
 * Takes verified tile IR. Gives the same kernel where span_mask of a span proven full is true,
 * `present` of an index proven inside its extent is true, or the span's own mask when only its end
 * is open, and comparisons and minima of proven outcome are gone. Refuses to use facts that the
 * launch does not check (affine.h says which it uses). Remarks name each check removed or kept.
 *
 * Before (with `require K % 64 == 0`, a: tensor<f32[K]>):
 *   for %0, %1, %2 (%5: i64) {
 *     %6 = span %5, %1 : span<64>
 *     %7 = span_mask %6 : bool[64]
 *     %8 = present %6, %1 : bool[64]
 *     %9 = and %7, %8 : bool[64]
 *     ...
 * After:
 *     %6 = span %5, %1 : span<64>
 *     %7 = const {i = 1} : bool[64]
 *     %8 = and %7, %7 : bool[64]
 */
#include "ir/passes/affine.h"
#include "ir/passes/util.h"

typedef struct bounds {
    tg_affine_ctx *affine;
    tg_pass_context *ctx;
    const tg_region *where; /* of the op in question */
} bounds;

/* big >= small + slack. */
static bool at_least(bounds *s, const tg_affine *big, const tg_affine *small, int64_t slack) {
    tg_affine d = tg_affine_add(big, small, -1);
    d = tg_affine_offset(&d, -slack);
    return tg_affine_prove(s->affine, &d, s->where);
}

static bool nonneg(bounds *s, const tg_affine *a) {
    return tg_affine_prove(s->affine, a, s->where);
}

static tg_value *true_like(tg_op *op) {
    tg_builder b = tg_builder_before(op);
    return tg_build_int(&b, op->results[0].type, 1);
}

static tg_value *false_like(tg_op *op) {
    tg_builder b = tg_builder_before(op);
    return tg_build_int(&b, op->results[0].type, 0);
}

/* ---- spans ---------------------------------------------------------------------------------- */

typedef struct span_form {
    bool ok;
    tg_affine lo, hi;
    int64_t n;
} span_form;

static span_form span_of(bounds *s, const tg_value *span) {
    span_form r = {.ok = span->def != NULL && span->def->code == TG_OP_SPAN};
    if (r.ok) {
        r.lo = tg_affine_of(s->affine, tg_operand(span->def, 0));
        r.hi = tg_affine_of(s->affine, tg_operand(span->def, 1));
        r.n = span->type->shape[0];
    }
    return r;
}

static bool is_full(bounds *s, const span_form *p) { return at_least(s, &p->hi, &p->lo, p->n); }

static tg_value *rule_span_mask(bounds *s, tg_op *op) {
    span_form p = span_of(s, tg_operand(op, 0));
    return p.ok && is_full(s, &p) ? true_like(op) : NULL;
}

static tg_value *present_span(bounds *s, tg_op *op, const tg_affine *extent) {
    tg_value *span = tg_operand(op, 0);
    span_form p = span_of(s, span);
    if (!p.ok || !nonneg(s, &p.lo)) {
        return NULL;
    }
    tg_affine last = tg_affine_offset(&p.lo, p.n);
    bool inside = at_least(s, extent, &p.hi, 0), whole = at_least(s, extent, &last, 0);
    if (!inside && !whole) {
        return NULL;
    }
    if (is_full(s, &p)) {
        return true_like(op);
    }
    tg_builder b = tg_builder_before(op);
    return tg_build_span_mask(&b, span);
}

static tg_value *rule_present(bounds *s, tg_op *op) {
    const tg_value *index = tg_operand(op, 0);
    tg_affine extent = tg_affine_of(s->affine, tg_operand(op, 1));
    tg_value *r = NULL;
    if (index->type->kind == TG_TY_SPAN) {
        r = present_span(s, op, &extent);
    } else {
        tg_affine_tile t = tg_affine_of_tile(s->affine, index);
        tg_affine low = tg_affine_offset(&t.base, t.low), high = tg_affine_offset(&t.base, t.high);
        if (t.base.ok && nonneg(s, &low) && at_least(s, &extent, &high, 1)) {
            r = true_like(op);
        }
    }
    tg_remark(s->ctx, r != NULL ? TG_D_IR_CHECK_REMOVED : TG_D_IR_CHECK_KEPT, op->span,
              r != NULL ? "this index is always inside the tensor where it is used"
                        : "this index may lie outside the tensor; elements there are left out at "
                          "run time");
    return r;
}

/* ---- accesses ------------------------------------------------------------------------------- */

static bool is_inside(bounds *s, const tg_value *index, const tg_affine *extent) {
    if (index->type->kind == TG_TY_SPAN) {
        span_form p = span_of(s, index);
        return p.ok && nonneg(s, &p.lo) && at_least(s, extent, &p.hi, 0);
    }
    tg_affine_tile t = tg_affine_of_tile(s->affine, index);
    tg_affine low = tg_affine_offset(&t.base, t.low), high = tg_affine_offset(&t.base, t.high);
    return t.base.ok && nonneg(s, &low) && at_least(s, extent, &high, 1);
}

/* Says of a load or store which axes are known to be inside; changes nothing. */
static void remark_access(bounds *s, const tg_op *op) {
    const tg_type *tensor = tg_operand(op, 0)->type;
    int first = op->code == TG_OP_STORE ? 2 : 1;
    tg_sb open;
    tg_sb_init(&open, s->ctx->scratch);
    for (int a = 0; a < tensor->rank; a++) {
        tg_affine extent = tg_affine_of_dim(s->affine, tensor->dims[a]);
        if (!is_inside(s, tg_operand(op, first + a), &extent)) {
            tg_sb_addf(&open, "%s%d", open.len > 0 ? ", " : "", a);
        }
    }
    const char *what = op->code == TG_OP_STORE ? "write" : "read";
    if (open.len == 0) {
        tg_remark(s->ctx, TG_D_IR_CHECK_REMOVED, op->span,
                  tg_arena_printf(s->ctx->scratch,
                                  "this %s is always inside its tensor: nothing is checked", what));
    } else {
        tg_remark(s->ctx, TG_D_IR_CHECK_KEPT, op->span,
                  tg_arena_printf(s->ctx->scratch, "this %s is checked at run time along axis %s",
                                  what, open.data));
    }
}

/* ---- comparisons ---------------------------------------------------------------------------- */

static bool all_at_least(bounds *s, const tg_affine_tile *big, const tg_affine_tile *small,
                         int64_t slack) {
    tg_affine low = tg_affine_offset(&big->base, big->low);
    tg_affine high = tg_affine_offset(&small->base, small->high);
    return at_least(s, &low, &high, slack);
}

static tg_value *rule_cmp(bounds *s, tg_op *op) {
    const tg_type *t = tg_operand(op, 0)->type;
    if (!tg_dtype_is_int(t->dtype) || t->dtype == TG_DT_U64) {
        return NULL;
    }
    tg_affine_tile a = tg_affine_of_tile(s->affine, tg_operand(op, 0));
    tg_affine_tile b = tg_affine_of_tile(s->affine, tg_operand(op, 1));
    tg_cmp_pred p = (tg_cmp_pred)tg_attr_int(op, TG_ATTR_PRED, 0);
    if (!a.base.ok || !b.base.ok) {
        return NULL;
    }
    bool above = all_at_least(s, &a, &b, 1), below = all_at_least(s, &b, &a, 1);
    switch (p) {
    case TG_CMP_EQ:
        return above || below ? false_like(op) : NULL;
    case TG_CMP_NE:
        return above || below ? true_like(op) : NULL;
    case TG_CMP_LT:
        return below ? true_like(op) : all_at_least(s, &a, &b, 0) ? false_like(op) : NULL;
    case TG_CMP_LE:
        return all_at_least(s, &b, &a, 0) ? true_like(op) : above ? false_like(op) : NULL;
    case TG_CMP_GT:
        return above ? true_like(op) : all_at_least(s, &b, &a, 0) ? false_like(op) : NULL;
    case TG_CMP_GE:
        return all_at_least(s, &a, &b, 0) ? true_like(op) : below ? false_like(op) : NULL;
    }
    return NULL;
}

/* The smaller (or greater) one, where it is always the same one. */
static tg_value *rule_extremum(bounds *s, tg_op *op) {
    tg_value *x = tg_operand(op, 0), *y = tg_operand(op, 1);
    if (!tg_type_is_scalar(x->type) || !tg_dtype_is_int(x->type->dtype) ||
        x->type->dtype == TG_DT_U64) {
        return NULL;
    }
    tg_affine a = tg_affine_of(s->affine, x), b = tg_affine_of(s->affine, y);
    bool is_min = op->code == TG_OP_MIN;
    if (at_least(s, &b, &a, 0)) {
        return is_min ? x : y;
    }
    return at_least(s, &a, &b, 0) ? (is_min ? y : x) : NULL;
}

/* ---- driver --------------------------------------------------------------------------------- */

static tg_value *decide(bounds *s, tg_op *op) {
    s->where = op->parent;
    if (s->ctx->remarks && (op->code == TG_OP_LOAD || op->code == TG_OP_STORE)) {
        remark_access(s, op);
    }
    if (op->code == TG_OP_SPAN_MASK) {
        return rule_span_mask(s, op);
    }
    if (op->code == TG_OP_PRESENT) {
        return rule_present(s, op);
    }
    if (op->code == TG_OP_CMP) {
        return rule_cmp(s, op);
    }
    return op->code == TG_OP_MIN || op->code == TG_OP_MAX ? rule_extremum(s, op) : NULL;
}

static void visit(bounds *s, tg_region *r) {
    for (tg_op *op = r->first; op != NULL;) {
        tg_op *next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            visit(s, op->regions[i]);
        }
        tg_value *v = decide(s, op);
        if (v != NULL) {
            tg_replace_all_uses(&op->results[0], v);
            tg_op_erase(op);
        }
        op = next;
    }
}

void tg_pass_bounds(tg_func *f, tg_pass_context *ctx) {
    bounds s = {.affine = tg_affine_make(f, ctx->scratch), .ctx = ctx};
    visit(&s, f->body);
}
