/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Buffers of the program: arrays of shared memory, or device memory behind `scratch`. A window is
 * resolved when the code is made: an offset and a stride per axis.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

/* ---- declaration ------------------------------------------------------------------------------
 */

static bool strides_of(const tg_type *t, ts_buf *u) {
    int64_t dense = 1;
    for (int a = t->rank - 1; a >= 0; a--) {
        u->stride[a] = dense;
        dense *= t->shape[a];
    }
    u->count = dense;
    if (t->layout == NULL) {
        return true;
    }
    if (t->layout->xor_g != 0) {
        return ts_swizzle_of(t, u);
    }
    bool seen[TG_MAX_RANK] = {false};
    for (int m = 0; m < t->layout->n_modes; m++) {
        const tg_layout_mode *mode = &t->layout->modes[m];
        if (mode->resource != TG_RES_MEM || mode->axis < 0 || mode->extent == 1) {
            continue;
        }
        if (seen[mode->axis] && u->stride[mode->axis] * mode->stride != mode->place) {
            return false;
        }
        if (!seen[mode->axis]) {
            if (mode->stride != 1) {
                return false;
            }
            u->stride[mode->axis] = mode->place;
            seen[mode->axis] = true;
        }
    }
    u->count = tg_layout_memory_size(t->layout);
    return true;
}

void ts_emit_buffer(tg_simt *S, tg_op *op) {
    const tg_type *t = op->results[0].type;
    ts_buf *u = TG_NEW(S->arena, ts_buf);
    *u = (ts_buf){.space = t->space, .dtype = t->dtype, .copies = t->depth, .rank = t->rank};
    for (int a = 0; a < t->rank; a++) {
        u->shape[a] = t->shape[a];
    }
    if (!strides_of(t, u)) {
        ts_unsupported(S, op, "this memory layout");
    }
    S->swizzled |= u->swizzle != 0;
    int64_t offset = tg_attr_int(op, TG_ATTR_OFFSET, 0);
    if (t->space == TG_SPACE_SCRATCH) {
        u->memory = tg_build_gep(&S->entry, S->args.scratch, tg_build_index(&S->entry, offset), 1);
    } else {
        u->memory = tg_build_array(&S->b, t->space, tg_carrier(t->dtype), u->count * u->copies,
                                   offset, ts_name(S, op->results[0].name));
    }
    ts_of(S, &op->results[0])->buf = u;
}

/* ---- windows ----------------------------------------------------------------------------------
 */

static ts_buf *window(tg_simt *S, const tg_op *op) {
    const ts_buf *from = ts_buf_of(S, tg_operand(op, 0));
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    const tg_attr *offsets = tg_attr_get(op, TG_ATTR_OFFSETS);
    const tg_type *t = op->results[0].type;
    ts_buf *u = TG_NEW(S->arena, ts_buf);
    *u = *from;
    u->rank = t->rank;
    if (tg_attr_int(op, TG_ATTR_RING, 0) != 0) {
        u->slot = ts_buf_slot(S, &S->b, from, tg_operand(op, 1));
        u->copies = 1;
        return u;
    }
    if (axes == NULL && offsets == NULL) { /* reshape */
        if (from->swizzle != 0) {
            ts_unsupported(S, op, "a reshape of swizzled memory");
        }
        int64_t dense = 1;
        for (int a = from->rank - 1; a >= 0; a--) {
            if (from->stride[a] != dense && from->shape[a] != 1) {
                ts_unsupported(S, op, "a reshape of memory that is not dense");
            }
            dense *= from->shape[a];
        }
        dense = 1;
        for (int a = t->rank - 1; a >= 0; a--) {
            u->shape[a] = t->shape[a];
            u->stride[a] = dense;
            dense *= t->shape[a];
        }
        return u;
    }
    for (int a = 0; offsets != NULL && a < from->rank; a++) {
        u->offset += offsets->list[a] * from->stride[a];
    }
    for (int r = 0; r < t->rank; r++) {
        u->shape[r] = t->shape[r];
        u->stride[r] = from->stride[axes != NULL ? axes->list[r] : r];
    }
    return u;
}

ts_buf *ts_buf_of(tg_simt *S, tg_value *v) {
    ts_info *i = ts_of(S, v);
    if (i->buf == NULL) {
        i->buf = window(S, v->def);
    }
    return i->buf;
}

tg_value *ts_buf_slot(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *slot) {
    if (slot == NULL) {
        return NULL;
    }
    return ts_bin(b, TG_OP_MUL, ts_ring_position(S, b, slot, u->copies), u->count);
}

/* ---- elements ---------------------------------------------------------------------------------
 */

tg_value *ts_buf_read(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, int lanes) {
    const tg_type *t = ts_type(S, u->dtype, lanes);
    if (u->swizzle != 0) {
        return ts_swizzled_read(S, b, u, index, lanes);
    }
    if (u->space != TG_SPACE_SCRATCH) {
        return tg_build_aload(b, t, u->memory, index, 1);
    }
    tg_value *p = tg_build_gep(b, u->memory, tg_build_cast(b, index, TG_DT_I64),
                               tg_scratch_elem_bytes(u->dtype));
    return tg_build_loadm(b, t, p, 0);
}

void ts_buf_write(tg_simt *S, tg_builder *b, const ts_buf *u, tg_value *index, tg_value *v) {
    if (u->swizzle != 0) {
        ts_swizzled_write(S, b, u, index, v);
        return;
    }
    if (u->space != TG_SPACE_SCRATCH) {
        (void)tg_build_astore(b, u->memory, index, v, 1);
        return;
    }
    tg_value *p = tg_build_gep(b, u->memory, tg_build_cast(b, index, TG_DT_I64),
                               tg_scratch_elem_bytes(u->dtype));
    (void)tg_build_storem(b, p, v, 0);
}

tg_value *ts_buf_start(tg_builder *b, const ts_buf *u) {
    tg_value *offset = tg_build_int(b, tg_type_scalar(b->module, TG_DT_I32), u->offset);
    return u->slot == NULL ? offset : tg_build_binary(b, TG_OP_ADD, u->slot, offset);
}

tg_value *ts_buf_index(tg_builder *b, const ts_buf *u, tg_value *const *c) {
    tg_value *sum = ts_buf_start(b, u);
    for (int a = 0; a < u->rank; a++) {
        if (c[a] != NULL) {
            sum = tg_build_binary(b, TG_OP_ADD, sum, ts_bin(b, TG_OP_MUL, c[a], u->stride[a]));
        }
    }
    return sum;
}

/* ---- at positions -----------------------------------------------------------------------------
 */

/* Where the vector lanes of a position lie in a buffer. */
typedef struct place {
    tg_value *index; /* i32, of lane 0 */
    int64_t step;    /* between lanes */
    tg_value *vec;   /* i32 by lane, beside index; NULL: none */
} place;

static place place_of(ts_ctx *x, const ts_buf *u, tg_value *slot, const int64_t *offsets,
                      const ts_coord *c) {
    tg_builder *b = &x->b;
    const tg_type *i32 = tg_type_scalar(x->S->out, TG_DT_I32);
    place p = {0};
    int64_t constant = u->offset;
    tg_value *out = NULL, *in = NULL;
    for (int a = 0; a < u->rank; a++) {
        constant += offsets != NULL ? offsets[a] * u->stride[a] : 0;
        if (u->shape[a] == 1 && offsets == NULL) {
            continue;
        }
        if (c[a].vec != NULL) {
            tg_value *v = ts_bin(b, TG_OP_MUL, tg_build_cast(b, c[a].vec, TG_DT_I32), u->stride[a]);
            p.vec = p.vec == NULL ? v : tg_build_binary(b, TG_OP_ADD, p.vec, v);
        } else {
            p.step += c[a].step * u->stride[a];
        }
        if (c[a].out != NULL) {
            tg_value *v = ts_bin(&x->out, TG_OP_MUL, ts_i32(&x->out, c[a].out), u->stride[a]);
            out = out == NULL ? v : tg_build_binary(&x->out, TG_OP_ADD, out, v);
        }
        if (c[a].in != NULL) {
            tg_value *v = ts_bin(b, TG_OP_MUL, ts_i32(b, c[a].in), u->stride[a]);
            in = in == NULL ? v : tg_build_binary(b, TG_OP_ADD, in, v);
        }
    }
    tg_value *k = tg_build_int(&x->out, i32, constant);
    out = out == NULL ? k : tg_build_binary(&x->out, TG_OP_ADD, out, k);
    out = u->slot == NULL ? out : tg_build_binary(&x->out, TG_OP_ADD, out, u->slot);
    if (slot != NULL) {
        out = tg_build_binary(&x->out, TG_OP_ADD, out, slot);
    }
    p.index = in == NULL ? out : tg_build_binary(b, TG_OP_ADD, out, in);
    if (x->lanes == 1) {
        p.step = 0;
    }
    return p;
}

static tg_value *place_lane(ts_ctx *x, const place *p, int l) {
    tg_value *i = ts_bin(&x->b, TG_OP_ADD, p->index, p->step * l);
    if (p->vec == NULL) {
        return i;
    }
    tg_value *v = x->lanes > 1 ? tg_build_extract(&x->b, p->vec, l) : p->vec;
    return tg_build_binary(&x->b, TG_OP_ADD, i, v);
}

static void write_if(ts_ctx *x, const ts_buf *u, tg_value *ok, tg_value *index, tg_value *v) {
    if (ok == NULL) {
        ts_buf_write(x->S, &x->b, u, index, v);
        return;
    }
    tg_op *branch = tg_build_if(&x->b, ok, 0, NULL);
    ts_buf_write(x->S, &x->b, u, index, v);
    tg_build_else(&x->b, branch, 0, NULL);
    tg_build_end_if(&x->b, branch, 0, NULL);
}

/* Rows, copies of a ring and the buffer itself begin at multiples of `align`. */
static bool rows_aligned(const ts_buf *u, int64_t align) {
    int64_t g = tg_gcd_i64(align, u->offset);
    g = u->copies > 1 || u->slot != NULL ? tg_gcd_i64(g, u->count) : g;
    for (int a = 0; a < u->rank; a++) {
        g = u->stride[a] == 1 || u->shape[a] == 1 ? g : tg_gcd_i64(g, u->stride[a]);
    }
    return g == align;
}

tg_value *ts_put_row(ts_ctx *x, const ts_buf *u, tg_value *slot, const ts_pos *pos, int64_t align) {
    if (u->space != TG_SPACE_SHARED || !rows_aligned(u, align)) {
        return NULL;
    }
    place p = place_of(x, u, slot, NULL, pos->c);
    if (p.vec != NULL || p.step != 1) {
        return NULL;
    }
    return u->swizzle != 0 ? ts_swizzled(&x->b, u, p.index) : p.index;
}

void ts_put_at(ts_ctx *x, const ts_buf *u, tg_value *slot, const int64_t *offsets,
               const ts_pos *pos, const ts_guard *g, ts_ev e) {
    place p = place_of(x, u, slot, offsets, pos->c);
    if (p.vec == NULL && g->mask == NULL && (x->lanes == 1 || p.step == 1)) {
        write_if(x, u, g->ok, p.index, ts_vec(x, e));
        return;
    }
    for (int l = 0; l < x->lanes; l++) {
        tg_value *ok = g->ok;
        if (g->mask != NULL) {
            tg_value *m = x->lanes > 1 ? tg_build_extract(&x->b, g->mask, l) : g->mask;
            ok = ok == NULL ? m : tg_build_binary(&x->b, TG_OP_AND, ok, m);
        }
        tg_value *v = e.vec ? tg_build_extract(&x->b, e.v, l) : e.v;
        write_if(x, u, ok, place_lane(x, &p, l), v);
    }
}

static tg_value *ring_slot(ts_ctx *x, const tg_op *op, const ts_buf *u, int at) {
    bool ring = tg_attr_int(op, TG_ATTR_RING, 0) != 0;
    return ring ? ts_buf_slot(x->S, &x->out, u, tg_operand(op, at)) : NULL;
}

void ts_put(ts_ctx *x, tg_op *op, const tg_layout *l, const ts_pos *pos) {
    const ts_buf *u = ts_buf_of(x->S, tg_operand(op, 0));
    const tg_attr *offsets = tg_attr_get(op, TG_ATTR_OFFSETS);
    tg_value *v = tg_operand(op, 1);
    ts_ev e = ts_eval(x, v, pos);
    ts_guard g = {0};
    ts_holders(x, l, v->type->rank, v->type->shape, pos, l == NULL, &g);
    ts_put_at(x, u, ring_slot(x, op, u, 2), offsets != NULL ? offsets->list : NULL, pos, &g, e);
}

/* Elements at a place; those outside of the guard come from element 0. */
static ts_ev read_place(ts_ctx *x, const ts_buf *u, place *p, const ts_guard *g) {
    tg_builder *b = &x->b;
    tg_value *zero = tg_build_int(b, tg_type_scalar(x->S->out, TG_DT_I32), 0);
    if (x->lanes == 1 || (p->vec == NULL && p->step == 0 && g->mask == NULL)) {
        tg_value *i = place_lane(x, p, 0);
        i = g->ok == NULL ? i : tg_build_select(b, g->ok, i, zero);
        return (ts_ev){.v = ts_buf_read(x->S, b, u, i, 1)};
    }
    if (p->vec == NULL && p->step == 1 && g->mask == NULL && u->count >= x->lanes) {
        tg_value *i = g->ok == NULL ? p->index : tg_build_select(b, g->ok, p->index, zero);
        return (ts_ev){ts_buf_read(x->S, b, u, i, x->lanes), true};
    }
    tg_value *v = NULL, *mask = ts_guard_mask_of(x, g);
    for (int l = 0; l < x->lanes; l++) {
        tg_value *i = place_lane(x, p, l);
        i = mask == NULL ? i : tg_build_select(b, tg_build_extract(b, mask, l), i, zero);
        tg_value *e = ts_buf_read(x->S, b, u, i, 1);
        v = l == 0 ? tg_build_splat(b, e, x->lanes) : tg_build_insert(b, v, e, l);
    }
    return (ts_ev){v, true};
}

/* r[.., i-axes, ..] = buf[.., i[..], ..], 0 out of range. */
static ts_ev get_at(ts_ctx *x, tg_op *op, const ts_pos *pos, ts_guard *g) {
    tg_simt *S = x->S;
    const ts_buf *u = ts_buf_of(S, tg_operand(op, 0));
    tg_value *i = tg_operand(op, 1);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), ir = i->type->rank;
    int64_t axes[TG_MAX_RANK];
    for (int a = 0; a < ir; a++) {
        axes[a] = axis + a;
    }
    ts_ev e = ts_is_tile(i) ? ts_eval(x, i, ir == pos->rank ? pos : ts_axes_pos(x, pos, ir, axes))
                            : (ts_ev){.v = ts_scalar(S, i)};
    tg_value *at = tg_build_cast(&x->b, e.v, TG_DT_I64);
    ts_coord c[TG_MAX_RANK], wanted = e.vec ? (ts_coord){.vec = at} : (ts_coord){.in = at};
    for (int a = 0, r = 0; a < u->rank; a++) {
        if (a == axis) {
            c[a] = wanted;
            r += ir;
        } else {
            c[a] = pos->c[r++];
        }
    }
    ts_guard inside = {0};
    ts_guard_range(x, &inside, &wanted, tg_build_index(&x->out, u->shape[axis]), false);
    ts_guard both = inside;
    if (g->ok != NULL) {
        ts_guard_ok(x, &both, g->ok);
    }
    if (g->mask != NULL) {
        ts_guard_mask(x, &both, g->mask, g->all);
    }
    place p = place_of(x, u, ring_slot(x, op, u, 2), NULL, c);
    ts_ev r = read_place(x, u, &p, &both);
    if (inside.mask == NULL && inside.ok == NULL) {
        return r; /* a constant index that exists */
    }
    if (inside.mask == NULL && !r.vec) {
        tg_value *none = tg_build_int(&x->b, r.v->type, 0);
        return (ts_ev){.v = tg_build_select(&x->b, inside.ok, r.v, none)};
    }
    tg_value *v = ts_vec(x, r), *m = ts_guard_mask_of(x, &inside);
    return (ts_ev){tg_build_select(&x->b, m, v, tg_build_int(&x->b, v->type, 0)), true};
}

ts_ev ts_get(ts_ctx *x, tg_op *op, const ts_pos *pos) {
    const ts_buf *u = ts_buf_of(x->S, tg_operand(op, 0));
    const tg_type *t = op->results[0].type;
    const tg_attr *offsets = tg_attr_get(op, TG_ATTR_OFFSETS);
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    ts_guard g = {0};
    if (t->layout != NULL) {
        ts_holders(x, t->layout, t->rank, t->shape, pos, false, &g);
    }
    if (op->code == TG_OP_GET_AT) {
        return get_at(x, op, pos, &g);
    }
    ts_coord c[TG_MAX_RANK] = {{0}};
    for (int r = 0; r < t->rank; r++) {
        c[axes != NULL ? axes->list[r] : r] = pos->c[r];
    }
    place p = place_of(x, u, ring_slot(x, op, u, 1), offsets != NULL ? offsets->list : NULL, c);
    return read_place(x, u, &p, &g);
}

ts_ev ts_get_from(ts_ctx *x, const ts_buf *u, const tg_type *t, const ts_pos *pos) {
    ts_guard g = {0};
    ts_holders(x, t->layout, t->rank, t->shape, pos, false, &g);
    place p = place_of(x, u, NULL, NULL, pos->c);
    return read_place(x, u, &p, &g);
}
