/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Element evaluation: code that gives `lanes` elements of a tile value at loop coordinates.
 *
 * A coordinate is affine in the lane (v + add + lane*l) or a vector of positions. Views (permute,
 * slice, reshape, broadcast) only change coordinates. Every result knows the loop level it depends
 * on and whether it differs between lanes; operations are placed at the deepest level of their
 * inputs and stay scalar while no input differs between lanes. Results are remembered until the
 * loop that holds them is closed, so a value used twice in one body is computed once.
 */
#include "backends/lower/cpu/lower.h"

#include <string.h>

/* ---- contexts -----------------------------------------------------------------------------------
 */

tg_ctx tg_ctx_begin(tg_lower *L, int lanes) {
    tg_ctx x = {.L = L, .lanes = lanes};
    x.bl[0] = L->b;
    return x;
}

void tg_ctx_end(tg_ctx *x) { x->L->b = x->bl[0]; }

tg_op *tg_ctx_open(tg_ctx *x, tg_value *lo, tg_value *hi, int64_t step, int n_carried,
                   tg_value **carried, tg_value **out_iv) {
    tg_builder inner = x->bl[x->depth];
    tg_value *step_v = tg_build_index(&inner, step);
    tg_op *loop = tg_build_for(&inner, lo, hi, step_v, n_carried, carried, out_iv);
    x->bl[x->depth].before = loop;
    x->bl[++x->depth] = inner;
    return loop;
}

void tg_ctx_close(tg_ctx *x, tg_op *loop, int n_carried, tg_value **carried) {
    tg_build_end_for(&x->bl[x->depth], loop, n_carried, carried);
    int closed = x->depth--;
    x->bl[x->depth].before = NULL;
    size_t kept = 0;
    for (size_t i = 0; i < x->memo.count; i++) {
        if (x->memo.data[i].level < closed) {
            x->memo.data[kept++] = x->memo.data[i];
        }
    }
    x->memo.count = kept;
}

/* ---- coordinates
 * --------------------------------------------------------------------------------- */

bool tg_coord_uniform(const tg_coord *c) { return c->vec == NULL && c->lane == 0; }

int tg_coord_level(const tg_coord *c, int n) {
    int level = 0;
    for (int i = 0; i < n; i++) {
        level = c[i].level > level ? c[i].level : level;
    }
    return level;
}

tg_value *tg_coord_scalar(tg_ctx *x, const tg_coord *c) {
    tg_builder *b = &x->bl[c->level];
    if (c->v == NULL) {
        return tg_build_index(b, c->add);
    }
    return c->add == 0 ? c->v : tg_build_binary(b, TG_OP_ADD, c->v, tg_build_index(b, c->add));
}

tg_value *tg_coord_vec(tg_ctx *x, const tg_coord *c) {
    if (c->vec != NULL) {
        return c->vec;
    }
    tg_value *s = tg_coord_scalar(x, c);
    if (x->lanes == 1) {
        return s;
    }
    tg_builder *b = &x->bl[c->level];
    const tg_type *t = tg_loop_type(x->L, TG_DT_I64, x->lanes);
    tg_value *v = tg_build_splat(b, s, x->lanes);
    if (c->lane == 0) {
        return v;
    }
    tg_value *l = tg_build1(b, TG_OP_LANES, t, 0);
    if (c->lane != 1) {
        l = tg_build_binary(b, TG_OP_MUL, l, tg_build_int(b, t, c->lane));
    }
    return tg_build_binary(b, TG_OP_ADD, v, l);
}

static bool coord_same(const tg_coord *a, const tg_coord *b) {
    return a->vec == b->vec &&
           (a->vec != NULL || (a->v == b->v && a->add == b->add && a->lane == b->lane));
}

static tg_memo *memo_find(tg_ctx *x, const tg_value *v, const tg_coord *c) {
    for (size_t i = x->memo.count; i-- > 0;) {
        tg_memo *m = &x->memo.data[i];
        if (m->value != v || (m->lanes != x->lanes && m->ev.vec)) {
            continue;
        }
        bool same = true;
        for (int k = 0; k < m->rank && same; k++) {
            same = coord_same(&m->c[k], &c[k]);
        }
        if (same) {
            return m;
        }
    }
    return NULL;
}

void tg_memo_put(tg_ctx *x, tg_value *v, const tg_coord *c, tg_ev ev) {
    tg_memo m = {.value = v, .rank = v->type->rank, .level = ev.level, .lanes = x->lanes, .ev = ev};
    for (int k = 0; k < m.rank; k++) {
        m.c[k] = c[k];
    }
    TG_LIST_PUSH(x->L->arena, &x->memo, m);
}

/* ---- types and small values ---------------------------------------------------------------------
 */

const tg_type *tg_loop_type(const tg_lower *L, tg_dtype t, int lanes) {
    tg_dtype c = tg_carrier(t);
    return lanes == 1 ? tg_type_scalar(L->out, c) : tg_type_vec(L->out, c, lanes);
}

tg_value *tg_ev_vec(tg_ctx *x, tg_ev e) {
    if (e.vec || x->lanes == 1) {
        return e.v;
    }
    return tg_build_splat(&x->bl[e.level], e.v, x->lanes);
}

tg_value *tg_loop_const(tg_lower *L, tg_builder *b, const tg_op *op) {
    tg_dtype t = op->results[0].type->dtype;
    const tg_type *lt = tg_loop_type(L, t, 1);
    if (op->code == TG_OP_CONST_FLOAT) {
        double f = tg_attr_get(op, TG_ATTR_VALUE_F)->f;
        if (tg_carrier(t) != t) {
            return tg_build_int(b, lt, (int64_t)tg_float_encode(t, f, TG_ROUND_RNE, false));
        }
        return tg_build_float(b, lt, f);
    }
    int64_t i = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
    if (t == TG_DT_I4 || t == TG_DT_U4) {
        i &= 15;
    }
    return tg_build_int(b, lt, i);
}

static tg_ev uniform_ev(tg_value *v, int level) { return (tg_ev){.v = v, .level = level}; }

/* ---- elementwise ops
 * ------------------------------------------------------------------------------ */

static tg_value *same_int(tg_builder *b, tg_value *like, int64_t v) {
    return tg_build_int(b, like->type, v);
}

int tg_expression_size(tg_lower *L, const tg_value *v, int depth) {
    uint8_t kind = tg_info(L, v)->kind;
    if (kind != TG_V_INLINE || v->def == NULL || depth > 8) {
        return 1;
    }
    int n = tg_is_view(v->def->code) ? 0 : 1;
    n += v->def->code == TG_OP_MATH ? 10 : 0;
    for (int k = 0; k < v->def->n_operands; k++) {
        n += tg_expression_size(L, tg_operand(v->def, k), depth + 1);
    }
    return n;
}

/*
 * A choice by a scalar between something costly and something else (a soft cap that is mostly off):
 * a branch that always goes the same way, instead of computing both. Values computed on a side of
 * it are not known behind it. v NULL in the result: not worth it.
 */
static tg_ev select_by_branch(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    enum { COSTLY = 10 };
    tg_value *side[2] = {tg_operand(op, 1), tg_operand(op, 2)}, *v[2] = {NULL, NULL};
    bool costly[2], any = false;
    for (int i = 0; i < 2; i++) {
        costly[i] = tg_is_tile(side[i]) && tg_expression_size(x->L, side[i], 0) >= COSTLY;
        any = any || costly[i];
    }
    tg_value *result = (tg_value *)(uintptr_t)&op->results[0];
    if (!any || x->depth == 0 || !tg_is_tile(result) ||
        tg_coord_level(c, result->type->rank) != x->depth) {
        return (tg_ev){.v = NULL};
    }
    tg_ev cond = tg_elem(x, tg_operand(op, 0), c);
    int64_t known;
    if (cond.vec || cond.level >= x->depth || tg_value_const_int(cond.v, &known)) {
        return (tg_ev){.v = NULL};
    }
    for (int i = 0; i < 2; i++) { /* what both need is computed before the branch */
        v[i] = costly[i] ? NULL : tg_ev_vec(x, tg_elem(x, side[i], c));
    }
    tg_builder *b = &x->bl[x->depth];
    const tg_type *t = tg_loop_type(x->L, result->type->dtype, x->lanes);
    size_t before = x->memo.count;
    tg_op *branch = tg_build_if(b, cond.v, 1, &t);
    v[0] = costly[0] ? tg_ev_vec(x, tg_elem(x, side[0], c)) : v[0];
    tg_build_else(b, branch, 1, &v[0]);
    x->memo.count = before;
    v[1] = costly[1] ? tg_ev_vec(x, tg_elem(x, side[1], c)) : v[1];
    tg_build_end_if(b, branch, 1, &v[1]);
    x->memo.count = before;
    return (tg_ev){.v = &branch->results[0], .level = x->depth, .vec = x->lanes > 1};
}

static tg_ev elementwise(tg_ctx *x, tg_op *op, const tg_coord *c) {
    if (op->code == TG_OP_SELECT) {
        tg_ev chosen = select_by_branch(x, op, c);
        if (chosen.v != NULL) {
            return chosen;
        }
    }
    tg_ev e[3];
    if (tg_code_lookup(x, op, c, &e[0])) {
        return e[0];
    }
    tg_value *a[3] = {NULL, NULL, NULL};
    bool vec = false;
    int level = 0;
    for (int i = 0; i < op->n_operands; i++) {
        e[i] = tg_elem(x, tg_operand(op, i), c);
        vec = vec || e[i].vec;
        level = e[i].level > level ? e[i].level : level;
    }
    for (int i = 0; i < op->n_operands; i++) {
        a[i] = vec ? tg_ev_vec(x, e[i]) : e[i].v;
    }
    return (tg_ev){.v = tg_expand_apply(&x->bl[level], x->L->mc, op, a),
                   .level = level,
                   .vec = vec && x->lanes > 1};
}

/* ---- views and index ops
 * --------------------------------------------------------------------------- */

static tg_ev iota_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_dtype t = op->results[0].type->dtype;
    bool vec = !tg_coord_uniform(c) && x->lanes > 1;
    tg_builder *b = &x->bl[c->level];
    if (!vec) {
        return uniform_ev(tg_build_cast(b, tg_coord_scalar(x, c), t), c->level);
    }
    if (c->vec != NULL) {
        return (tg_ev){.v = tg_build_cast(b, c->vec, t), .level = c->level, .vec = true};
    }
    tg_value *s = tg_build_splat(b, tg_build_cast(b, tg_coord_scalar(x, c), t), x->lanes);
    const tg_type *lt = tg_loop_type(x->L, t, x->lanes);
    tg_value *l = tg_build1(b, TG_OP_LANES, lt, 0);
    if (c->lane != 1) {
        l = tg_build_binary(b, TG_OP_MUL, l, tg_build_int(b, lt, c->lane));
    }
    return (tg_ev){.v = tg_build_binary(b, TG_OP_ADD, s, l), .level = c->level, .vec = true};
}

/* lanes where coordinate c is below `limit` (i64, level 0). */
static tg_ev below(tg_ctx *x, const tg_coord *c, tg_value *limit) {
    tg_builder *b = &x->bl[c->level];
    if (tg_coord_uniform(c) || x->lanes == 1) {
        tg_value *s = c->vec != NULL ? c->vec : tg_coord_scalar(x, c);
        return uniform_ev(tg_build_cmp(b, TG_CMP_LT, s, limit), c->level);
    }
    if (c->vec == NULL && c->lane == 1) {
        tg_value *n = tg_build_binary(b, TG_OP_SUB, limit, tg_coord_scalar(x, c));
        return (tg_ev){.v = tg_build_pmask(b, n, x->lanes), .level = c->level, .vec = true};
    }
    tg_value *v =
        tg_build_cmp(b, TG_CMP_LT, tg_coord_vec(x, c), tg_build_splat(b, limit, x->lanes));
    return (tg_ev){.v = v, .level = c->level, .vec = true};
}

static tg_ev span_mask_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    const tg_vinfo *s = tg_info(x->L, tg_operand(op, 0));
    if (tg_span_is_full(tg_operand(op, 0)) || (c->bound != NULL && c->bound == s->canon)) {
        return uniform_ev(tg_build_bool(&x->bl[0], true), 0);
    }
    return below(x, c, s->len);
}

/* present(index, extent) at c: 0 <= position < extent, and below hi for a span. */
static tg_ev present_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_value *index = tg_operand(op, 0);
    tg_value *extent = tg_scalar(x->L, tg_operand(op, 1));
    if (index->type->kind == TG_TY_SPAN) {
        const tg_vinfo *s = tg_info(x->L, index);
        tg_builder *b0 = &x->bl[0];
        tg_value *room = tg_build_binary(b0, TG_OP_SUB, extent, s->lo);
        bool bounded = c->bound != NULL && c->bound == s->canon;
        tg_ev r = below(x, c, bounded ? room : tg_build_binary(b0, TG_OP_MIN, s->len, room));
        if (tg_prove_nonneg(tg_operand(index->def, 0))) {
            return r;
        }
        tg_builder *b = &x->bl[c->level];
        tg_value *neg = tg_build_unary(b, TG_OP_NEG, s->lo);
        tg_value *pos = tg_coord_vec(x, c);
        bool vec = !tg_coord_uniform(c) && x->lanes > 1;
        if (vec) {
            neg = tg_build_splat(b, neg, x->lanes);
        } else {
            pos = tg_coord_scalar(x, c);
        }
        tg_value *ok = tg_build_cmp(b, TG_CMP_GE, pos, neg);
        return (tg_ev){.v = tg_build_binary(b, TG_OP_AND, r.v, ok), .level = c->level, .vec = vec};
    }
    tg_ev i = tg_elem(x, index, c);
    tg_builder *b = &x->bl[i.level];
    tg_value *v = tg_build_cast(b, i.v, TG_DT_I64);
    tg_value *e = extent, *zero = tg_build_int(b, v->type, 0);
    if (i.vec) {
        e = tg_build_splat(b, extent, x->lanes);
    }
    tg_value *ge = tg_build_cmp(b, TG_CMP_GE, v, zero);
    tg_value *lt = tg_build_cmp(b, TG_CMP_LT, v, e);
    return (tg_ev){.v = tg_build_binary(b, TG_OP_AND, ge, lt), .level = i.level, .vec = i.vec};
}

static tg_ev broadcast_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_value *from = tg_operand(op, 0);
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    tg_coord in[TG_MAX_RANK];
    for (int a = 0; a < from->type->rank; a++) {
        in[a] = c[axes->list[a]];
        if (from->type->shape[a] == 1 && op->results[0].type->shape[axes->list[a]] != 1) {
            in[a] = (tg_coord){.align = 1};
        }
    }
    return tg_elem(x, from, in);
}

static tg_ev slice_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_value *from = tg_operand(op, 0);
    const tg_attr *offsets = tg_attr_get(op, TG_ATTR_OFFSETS);
    tg_coord in[TG_MAX_RANK];
    for (int a = 0; a < from->type->rank; a++) {
        in[a] = c[a];
        int64_t off = offsets->list[a];
        if (off == 0) {
            continue;
        }
        in[a].bound = NULL;
        in[a].add += off;
        in[a].end += in[a].end > 0 ? off : 0;
        while (off % in[a].align != 0) {
            in[a].align /= 2;
        }
        if (in[a].vec != NULL) {
            tg_builder *b = &x->bl[c[a].level];
            in[a].vec = tg_build_binary(b, TG_OP_ADD, in[a].vec, same_int(b, in[a].vec, off));
        }
    }
    return tg_elem(x, from, in);
}

/* Joins by choosing the part a coordinate falls in: constant coordinates pick, others select. */
static tg_ev concat_part(tg_ctx *x, const tg_op *op, const tg_coord *c, int axis, int part,
                         int64_t base) {
    tg_coord in[TG_MAX_RANK];
    tg_value *from = tg_operand(op, part);
    memcpy(in, c, sizeof(tg_coord) * from->type->rank);
    in[axis].add -= base;
    in[axis].end = 0;
    in[axis].bound = NULL;
    in[axis].align = 1;
    return tg_elem(x, from, in);
}

static tg_ev concat_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    tg_ev r = {0};
    int64_t base = 0;
    const tg_coord *at = &c[axis];
    int64_t first = at->add, end = at->end;
    if (at->v == NULL && at->vec == NULL) { /* constant position */
        end = first + at->lane * (x->lanes - 1) + 1;
    }
    for (int i = 0; i < op->n_operands && end > 0 && at->vec == NULL; i++) {
        int64_t n = tg_operand(op, i)->type->shape[axis];
        if (first >= base && end <= base + n) {
            return concat_part(x, op, c, axis, i, base);
        }
        base += n;
    }
    base = 0;
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *part = tg_operand(op, i);
        int64_t n = part->type->shape[axis];
        tg_coord in[TG_MAX_RANK];
        memcpy(in, c, sizeof(tg_coord) * part->type->rank);
        tg_builder *b = &x->bl[c[axis].level];
        /* Clamped into the part, so that the reads of the parts not chosen stay inside. */
        bool vec = !tg_coord_uniform(&c[axis]) && x->lanes > 1;
        tg_value *pos = vec ? tg_coord_vec(x, &c[axis]) : tg_coord_scalar(x, &c[axis]);
        tg_value *rel = tg_build_binary(b, TG_OP_SUB, pos, same_int(b, pos, base));
        tg_value *inside = tg_build_binary(
            b, TG_OP_MAX, tg_build_binary(b, TG_OP_MIN, rel, same_int(b, rel, n - 1)),
            same_int(b, rel, 0));
        in[axis] = (tg_coord){.v = vec ? NULL : inside,
                              .vec = vec ? inside : NULL,
                              .level = c[axis].level,
                              .align = 1};
        tg_ev e = tg_elem(x, part, in);
        if (i == 0) {
            r = e;
        } else {
            int level = r.level > e.level ? r.level : e.level;
            level = c[axis].level > level ? c[axis].level : level;
            bool any = vec || r.vec || e.vec;
            tg_builder *bb = &x->bl[level];
            tg_ev ge = {.v = tg_build_cmp(bb, TG_CMP_GE, pos, same_int(bb, pos, base)),
                        .level = level,
                        .vec = vec};
            tg_value *v =
                any ? tg_build_select(bb, tg_ev_vec(x, ge), tg_ev_vec(x, e), tg_ev_vec(x, r))
                    : tg_build_select(bb, ge.v, e.v, r.v);
            r = (tg_ev){.v = v, .level = level, .vec = any && x->lanes > 1};
        }
        base += n;
    }
    return r;
}

static tg_ev local_gather_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_value *from = tg_operand(op, 0), *index = tg_operand(op, 1);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    int ir = index->type->rank;
    tg_ev i = tg_elem(x, index, c + axis);
    tg_builder *b = &x->bl[i.level];
    tg_value *v = tg_build_cast(b, i.v, TG_DT_I64);
    tg_value *zero = same_int(b, v, 0);
    tg_value *ok =
        tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, v, zero),
                        tg_build_cmp(b, TG_CMP_LT, v, same_int(b, v, from->type->shape[axis])));
    tg_value *safe = tg_build_select(b, ok, v, zero);
    tg_coord in[TG_MAX_RANK];
    for (int a = 0; a < from->type->rank; a++) {
        in[a] = a < axis ? c[a] : a > axis ? c[a + ir - 1] : (tg_coord){.align = 1};
    }
    in[axis] = (tg_coord){
        .v = i.vec ? NULL : safe, .vec = i.vec ? safe : NULL, .level = i.level, .align = 1};
    tg_ev e = tg_elem(x, from, in);
    int level = e.level > i.level ? e.level : i.level;
    tg_builder *bb = &x->bl[level];
    tg_ev m = {.v = ok, .level = i.level, .vec = i.vec};
    bool vec = e.vec || i.vec;
    tg_value *ev = vec ? tg_ev_vec(x, e) : e.v;
    tg_value *r = tg_build_select(bb, vec ? tg_ev_vec(x, m) : ok, ev, same_int(bb, ev, 0));
    return (tg_ev){.v = r, .level = level, .vec = vec};
}

/* ---- reshape: groups of axes with equal products
 * ----------------------------------------------------- */

/* sum of c[i]*stride over a group, as one coordinate. */
static tg_coord join(tg_ctx *x, const tg_type *t, const tg_coord *c, int lo, int hi) {
    tg_coord r = {.align = (int64_t)1 << 40, .v_align = (int64_t)1 << 40};
    int64_t stride = 1;
    bool affine = true;
    for (int a = lo; a < hi; a++) {
        affine = affine && c[a].vec == NULL;
    }
    tg_value *vec = NULL;
    r.level = tg_coord_level(c + lo, hi - lo);
    tg_builder *b = &x->bl[r.level];
    for (int a = hi - 1; a >= lo; a--) {
        if (!affine) {
            tg_value *v = tg_coord_vec(x, &c[a]);
            v = stride == 1 ? v : tg_build_binary(b, TG_OP_MUL, v, same_int(b, v, stride));
            vec = vec == NULL ? v : tg_build_binary(b, TG_OP_ADD, vec, v);
        } else {
            if (c[a].v != NULL) {
                tg_value *v =
                    stride == 1 ? c[a].v
                                : tg_build_binary(b, TG_OP_MUL, c[a].v, tg_build_index(b, stride));
                r.v = r.v == NULL ? v : tg_build_binary(b, TG_OP_ADD, r.v, v);
                r.v_align = tg_min_i64(r.v_align, c[a].v_align * stride);
            }
            r.add += c[a].add * stride;
            r.lane += c[a].lane * stride;
            int64_t align = c[a].align * (stride & -stride);
            r.align = align < r.align ? align : r.align;
        }
        stride *= t->shape[a];
    }
    r.vec = vec;
    return r;
}

/* Quotient and remainder of a coordinate by a constant. */
static void split(tg_ctx *x, const tg_coord *c, int64_t n, tg_coord *q, tg_coord *r) {
    tg_builder *b = &x->bl[c->level];
    bool pow2 = (n & (n - 1)) == 0;
    bool blocked =
        c->vec == NULL &&
        (c->lane == 0 || (c->lane == 1 && n % x->lanes == 0 && c->align % x->lanes == 0));
    if (c->vec == NULL && c->v == NULL && blocked) {
        *q = (tg_coord){.add = c->add / n, .align = 1, .level = c->level};
        *r = (tg_coord){
            .add = c->add % n, .lane = c->lane, .align = c->lane ? x->lanes : 1, .level = c->level};
        return;
    }
    tg_value *s = blocked ? tg_coord_scalar(x, c) : tg_coord_vec(x, c);
    int shift = 0;
    while (pow2 && ((int64_t)1 << shift) < n) {
        shift++;
    }
    tg_value *qv = pow2 ? tg_build_binary(b, TG_OP_SHR, s, same_int(b, s, shift))
                        : tg_build_binary(b, TG_OP_DIV, s, same_int(b, s, n));
    tg_value *rv = pow2 ? tg_build_binary(b, TG_OP_AND, s, same_int(b, s, n - 1))
                        : tg_build_binary(b, TG_OP_SUB, s,
                                          tg_build_binary(b, TG_OP_MUL, qv, same_int(b, qv, n)));
    if (blocked) {
        int64_t align = c->align < (n & -n) ? c->align : (n & -n);
        *q = (tg_coord){.v = qv, .level = c->level, .align = 1};
        *r = (tg_coord){
            .v = rv, .lane = c->lane, .level = c->level, .align = align, .v_align = align};
    } else if (x->lanes == 1) {
        *q = (tg_coord){.v = qv, .level = c->level, .align = 1};
        *r = (tg_coord){.v = rv, .level = c->level, .align = 1};
    } else {
        *q = (tg_coord){.vec = qv, .level = c->level, .align = 1};
        *r = (tg_coord){.vec = rv, .level = c->level, .align = 1};
    }
}

/* The only axis of [lo, hi) longer than 1, or -1 when there are none or several. */
static int only_long_axis(const tg_type *t, int lo, int hi) {
    int found = -1;
    for (int a = lo; a < hi; a++) {
        if (t->shape[a] != 1) {
            if (found >= 0) {
                return -1;
            }
            found = a;
        }
    }
    return found;
}

void tg_map_reshape(tg_ctx *x, const tg_type *from, const tg_type *to, const tg_coord *c,
                    tg_coord *out) {
    int i = 0, j = 0;
    while (i < from->rank || j < to->rank) {
        int i0 = i, j0 = j;
        int64_t ni = i < from->rank ? from->shape[i++] : 1;
        int64_t nj = j < to->rank ? to->shape[j++] : 1;
        while (ni != nj) {
            if (ni < nj) {
                ni *= from->shape[i++];
            } else {
                nj *= to->shape[j++];
            }
        }
        int from_axis = only_long_axis(from, i0, i), to_axis = only_long_axis(to, j0, j);
        if (from_axis >= 0 && to_axis >= 0) { /* axes of extent 1 come or go: the same position */
            for (int a = i0; a < i; a++) {
                out[a] = a == from_axis ? c[to_axis] : (tg_coord){.align = 1};
            }
            continue;
        }
        if (i - i0 == 1 && j - j0 == 1) {
            out[i0] = c[j0];
            continue;
        }
        tg_coord lin = join(x, to, c, j0, j);
        if (j - j0 == 0) {
            lin = (tg_coord){.align = 1};
        }
        for (int a = i - 1; a > i0; a--) {
            tg_coord q;
            split(x, &lin, from->shape[a], &q, &out[a]);
            lin = q;
        }
        if (i > i0) {
            out[i0] = lin;
        }
    }
}

/*
 * The last result axis runs through short groups of the operand's last axis (a reshape of [.., n,
 * 2] to [.., 2n]): each place of the group is evaluated for all groups at once and the results are
 * interleaved, instead of computing positions lane by lane.
 */
static bool interleaves(const tg_ctx *x, const tg_type *from, const tg_type *to,
                        const tg_coord *c) {
    int f = from->rank - 1, t = to->rank - 1;
    if (f < 1 || x->lanes < 2 * from->shape[f]) {
        return false;
    }
    int64_t n = from->shape[f];
    for (int k = 0; k < t; k++) {
        if (c[k].vec != NULL || c[k].lane != 0) {
            return false;
        }
    }
    return (n == 2 || n == 4) && from->shape[f - 1] * n == to->shape[t] && f == t + 1 &&
           c[t].vec == NULL && c[t].lane == 1 && x->lanes % n == 0 && c[t].align % n == 0 &&
           c[t].v_align % n == 0 && c[t].v_align > 0 && c[t].add % n == 0;
}

static tg_ev interleave(tg_ctx *x, tg_value *from, const tg_type *to, const tg_coord *c) {
    int f = from->type->rank - 1, lanes = x->lanes;
    int n = (int)from->type->shape[f];
    tg_coord in[TG_MAX_RANK];
    memcpy(in, c, sizeof(tg_coord) * to->rank);
    const tg_coord *last = &c[to->rank - 1];
    tg_builder *b = &x->bl[last->level];
    tg_value *q = last->v;
    if (q != NULL) {
        q = tg_build_binary(b, TG_OP_SHR, q, same_int(b, q, n == 2 ? 1 : 2));
    }
    in[f - 1] = (tg_coord){.v = q,
                           .add = last->add / n,
                           .lane = 1,
                           .level = last->level,
                           .align = last->align / n,
                           .v_align = last->v_align / n};
    tg_ev part[4];
    int level = 0;
    x->lanes = lanes / n;
    for (int k = 0; k < n; k++) {
        in[f] = (tg_coord){.add = k, .align = 1, .level = last->level};
        part[k] = tg_elem(x, from, in);
        part[k].v = tg_ev_vec(x, part[k]);
        level = part[k].level > level ? part[k].level : level;
    }
    x->lanes = lanes;
    tg_builder *bb = &x->bl[level];
    int64_t map[256];
    int half = lanes / n;
    for (int l = 0; l < 2 * half; l++) {
        map[l] = l / 2 + (l % 2) * half;
    }
    if (n == 2) {
        return (tg_ev){.v = tg_build_shuffle(bb, part[0].v, part[1].v, lanes, map),
                       .level = level,
                       .vec = true};
    }
    tg_value *even = tg_build_shuffle(bb, part[0].v, part[2].v, 2 * half, map);
    tg_value *odd = tg_build_shuffle(bb, part[1].v, part[3].v, 2 * half, map);
    for (int l = 0; l < lanes; l++) {
        map[l] = l / 2 + (l % 2) * 2 * half;
    }
    return (tg_ev){.v = tg_build_shuffle(bb, even, odd, lanes, map), .level = level, .vec = true};
}

static tg_ev view_ev(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_value *from = tg_operand(op, 0);
    tg_coord in[TG_MAX_RANK];
    if (op->code == TG_OP_RESHAPE && interleaves(x, from->type, op->results[0].type, c)) {
        return interleave(x, from, op->results[0].type, c);
    }
    if (op->code == TG_OP_PERMUTE) {
        const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
        for (int r = 0; r < from->type->rank; r++) {
            in[axes->list[r]] = c[r];
        }
    } else {
        tg_map_reshape(x, from->type, op->results[0].type, c, in);
    }
    return tg_elem(x, from, in);
}

bool tg_is_view(tg_opcode code) {
    return code == TG_OP_BROADCAST || code == TG_OP_RESHAPE || code == TG_OP_PERMUTE ||
           code == TG_OP_SLICE;
}

/* ---- the evaluator
 * ------------------------------------------------------------------------------------- */

tg_ev tg_eval_op(tg_ctx *x, tg_op *op, tg_value *v, const tg_coord *c) {
    (void)v;
    switch ((int)op->code) {
    case TG_OP_CONST_INT:
    case TG_OP_CONST_FLOAT:
        return uniform_ev(tg_loop_const(x->L, &x->bl[0], op), 0);
    case TG_OP_IOTA:
        return iota_ev(x, op, c);
    case TG_OP_SPAN_MASK:
        return span_mask_ev(x, op, c);
    case TG_OP_PRESENT:
        return present_ev(x, op, c);
    case TG_OP_BROADCAST:
        return broadcast_ev(x, op, c);
    case TG_OP_SLICE:
        return slice_ev(x, op, c);
    case TG_OP_PERMUTE:
    case TG_OP_RESHAPE:
        return view_ev(x, op, c);
    case TG_OP_CONCAT:
        return concat_ev(x, op, c);
    case TG_OP_LOCAL_GATHER:
        return local_gather_ev(x, op, c);
    case TG_OP_LOAD:
        return tg_tensor_read(x, op, c);
    default:
        return elementwise(x, op, c);
    }
}

tg_ev tg_elem(tg_ctx *x, tg_value *v, const tg_coord *c) {
    if (tg_info(x->L, v)->kind == TG_V_SCALAR) {
        return uniform_ev(tg_scalar(x->L, v), 0);
    }
    tg_memo *m = memo_find(x, v, c);
    if (m != NULL) {
        return m->ev;
    }
    tg_ev e;
    if (tg_info(x->L, v)->kind == TG_V_BUFFER) {
        e = tg_buffer_read(x, v, c);
    } else {
        e = tg_eval_op(x, v->def, v, c);
    }
    tg_memo_put(x, v, c, e);
    return e;
}
