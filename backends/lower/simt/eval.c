/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The value of a tile at a position. Constants, index tiles and views are computed where they are
 * used; what a nest computes is remembered in it; everything else is read from its array.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

bool ts_is_lazy(const tg_value *v) {
    if (v->def == NULL) {
        return false;
    }
    switch ((int)v->def->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
    case TG_OP_IOTA:
    case TG_OP_SPAN_MASK:
    case TG_OP_BROADCAST:
    case TG_OP_PERMUTE:
    case TG_OP_RESHAPE:
        return true;
    case TG_OP_CONVERT:
        return v->def->n_operands == 1;
    case TG_OP_PRESENT:
        return tg_operand(v->def, 0)->type->kind == TG_TY_SPAN;
    default:
        return false;
    }
}

tg_value *ts_vec(ts_ctx *x, ts_ev e) {
    return e.vec || x->lanes == 1 ? e.v : tg_build_splat(&x->b, e.v, x->lanes);
}

static ts_ev uniform(tg_value *v) { return (ts_ev){.v = v}; }

static ts_ev varying(const ts_ctx *x, tg_value *v) { return (ts_ev){.v = v, .vec = x->lanes > 1}; }

/* ---- lazy values ------------------------------------------------------------------------------
 */

static ts_ev iota(ts_ctx *x, const tg_op *op, const ts_coord *c) {
    tg_dtype t = op->results[0].type->dtype;
    if (ts_coord_uniform(x, c)) {
        return uniform(tg_build_cast(&x->b, ts_coord_scalar(x, c), t));
    }
    return varying(x, tg_build_cast(&x->b, ts_coord_vec(x, c), t));
}

/* c below limit: a bool. */
static ts_ev below(ts_ctx *x, const ts_coord *c, tg_value *limit) {
    if (ts_coord_uniform(x, c)) {
        return uniform(tg_build_cmp(&x->b, TG_CMP_LT, ts_coord_scalar(x, c), limit));
    }
    tg_value *v = ts_coord_vec(x, c);
    return varying(x, tg_build_cmp(&x->b, TG_CMP_LT, v, tg_build_splat(&x->b, limit, x->lanes)));
}

static ts_ev both(ts_ctx *x, ts_ev p, ts_ev q) {
    if (!p.vec && !q.vec) {
        return uniform(tg_build_binary(&x->b, TG_OP_AND, p.v, q.v));
    }
    return varying(x, tg_build_binary(&x->b, TG_OP_AND, ts_vec(x, p), ts_vec(x, q)));
}

static ts_ev span_mask(ts_ctx *x, const tg_op *op, const ts_coord *c) {
    const ts_info *s = ts_of(x->S, tg_operand(op, 0));
    return below(x, c, tg_build_binary(&x->out, TG_OP_SUB, s->hi, s->lo));
}

/* 0 <= lo + c < min(hi, extent) */
static ts_ev present_span(ts_ctx *x, const tg_op *op, const ts_coord *c) {
    tg_value *index = tg_operand(op, 0), *extent = ts_scalar(x->S, tg_operand(op, 1));
    const ts_info *s = ts_of(x->S, index);
    tg_value *end = tg_build_binary(&x->out, TG_OP_MIN, s->hi, extent);
    ts_ev r = below(x, c, tg_build_binary(&x->out, TG_OP_SUB, end, s->lo));
    if (ts_nonneg(tg_operand(index->def, 0), 0)) {
        return r;
    }
    tg_value *least = tg_build_unary(&x->out, TG_OP_NEG, s->lo);
    ts_ev low = below(x, c, least);
    low.v = tg_build_unary(&x->b, TG_OP_NOT, low.v);
    return both(x, r, low);
}

static ts_ev present_tile(ts_ctx *x, const tg_op *op, const ts_pos *pos) {
    ts_ev i = ts_eval(x, tg_operand(op, 0), pos);
    tg_value *v = tg_build_cast(&x->b, i.v, TG_DT_I64);
    tg_value *e = ts_scalar(x->S, tg_operand(op, 1));
    if (i.vec) {
        e = tg_build_splat(&x->b, e, x->lanes);
    }
    tg_value *ge = tg_build_cmp(&x->b, TG_CMP_GE, v, tg_build_int(&x->b, v->type, 0));
    tg_value *lt = tg_build_cmp(&x->b, TG_CMP_LT, v, e);
    return (ts_ev){tg_build_binary(&x->b, TG_OP_AND, ge, lt), i.vec};
}

static ts_ev lazy(ts_ctx *x, const tg_op *op, const ts_pos *pos) {
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
        return uniform(ts_const(x->S, &x->b, op, 1));
    case TG_OP_IOTA:
        return iota(x, op, &pos->c[0]);
    case TG_OP_SPAN_MASK:
        return span_mask(x, op, &pos->c[0]);
    case TG_OP_PRESENT:
        return present_span(x, op, &pos->c[0]);
    default:
        return ts_eval(x, tg_operand(op, 0), ts_view_pos(x, op, pos));
    }
}

/* ---- arrays -----------------------------------------------------------------------------------
 */

static ts_ev from_array(ts_ctx *x, tg_value *v, const ts_pos *pos) {
    tg_simt *S = x->S;
    int64_t base = 0, weight[TS_MAX_DIGITS] = {0};
    tg_value *array = ts_of(S, v)->array;
    if (array == NULL || !ts_reg_map(x, pos, v->type->layout, &base, weight)) {
        const int64_t *map = array == NULL ? NULL : ts_reg_list(x, pos, v->type->layout);
        if (map != NULL) { /* two rows of a page, say, for four registers of one digit */
            return ts_array_pick(x, tg_carrier(v->type->dtype), array, map);
        }
        if (S->status == TG_OK) {
            tg_error(S->sink, TG_D_BACKEND, x->b.span,
                     array == NULL ? "a tile is read before it is computed"
                                   : "registers of two layouts do not correspond");
            S->status = TG_E_UNSUPPORTED;
        }
        tg_value *zero = tg_build_int(&x->b, ts_type(S, v->type->dtype, 1), 0);
        return uniform(zero);
    }
    return ts_array_load(x, tg_carrier(v->type->dtype), array, base, weight);
}

ts_ev ts_eval(ts_ctx *x, tg_value *v, const ts_pos *pos) {
    if (!ts_is_tile(v)) {
        return uniform(ts_scalar(x->S, v));
    }
    bool is_lazy = ts_is_lazy(v);
    for (size_t i = x->memo.count; i-- > 0;) {
        const ts_memo *m = &x->memo.data[i];
        if (m->value == v && (m->pos == NULL || m->pos == pos)) {
            return m->ev;
        }
    }
    ts_ev e = is_lazy ? lazy(x, v->def, pos) : from_array(x, v, pos);
    TG_LIST_PUSH(x->S->arena, &x->memo, (ts_memo){v, pos, e});
    return e;
}

/* ---- operations -------------------------------------------------------------------------------
 */

ts_ev ts_compute(ts_ctx *x, tg_op *op, const ts_pos *pos) {
    switch ((int)op->code) {
    case TG_OP_LOAD:
        return ts_load(x, op, pos);
    case TG_OP_GET:
    case TG_OP_GET_AT:
        return ts_get(x, op, pos);
    case TG_OP_PRESENT:
        return present_tile(x, op, pos);
    default:
        break;
    }
    ts_ev e[3];
    tg_value *a[3] = {NULL, NULL, NULL};
    bool vec = false;
    for (int i = 0; i < op->n_operands && i < 3; i++) {
        e[i] = ts_eval(x, tg_operand(op, i), pos);
        vec = vec || e[i].vec;
    }
    for (int i = 0; i < op->n_operands && i < 3; i++) {
        a[i] = vec ? ts_vec(x, e[i]) : e[i].v;
    }
    return (ts_ev){tg_expand_apply(&x->b, x->S->mc, op, a), vec};
}
