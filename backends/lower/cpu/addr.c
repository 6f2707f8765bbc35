/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses: elements of scratch buffers and of tensors, with what lies outside reading as 0 and
 * never being touched.
 *
 * An address is base + a sum of terms (position * stride), each added at the loop level its
 * position belongs to, so inner loops only add what changes there. Conditions that are the same for
 * all lanes replace the address by that of a block of zeros (no branch); conditions that differ
 * between lanes become masks. Positions along a span need no condition when the loop itself stops
 * at the span's end and the span is proven inside the tensor.
 */
#include "backends/lower/cpu/lower.h"

enum { MAX_PACED = 16, MAX_PACED_NARROW = 64 }; /* lanes that are read one by one */

static tg_value *add_i(tg_builder *b, tg_value *x, tg_value *y) {
    return tg_build_binary(b, TG_OP_ADD, x, y);
}

/*
 * Every `step`-th element of consecutive memory (step 2 or 4): whole vectors and a shuffle instead
 * of a gather. `phase` is the first lane's place in its group; the group is read from its start, so
 * nothing behind the last group is touched.
 */
static tg_value *strided_load(tg_lower *L, tg_builder *b, tg_value *ptr, tg_dtype t, int lanes,
                              int step, int phase) {
    int64_t bytes = tg_scratch_elem_bytes(t), map[256];
    tg_value *p = tg_build_gep(b, ptr, tg_build_index(b, -phase * bytes), 1);
    tg_value *wide = tg_build_loadm(b, tg_loop_type(L, t, lanes * step), p, 0);
    for (int l = 0; l < lanes; l++) {
        map[l] = l * step + phase;
    }
    return tg_build_shuffle(b, wide, wide, lanes, map);
}

/* Lanes at equal distances of any size: one by one, which costs less than the machine's gather and
 * needs no vector of offsets. */
static tg_value *paced_load(tg_builder *b, const tg_type *t, tg_value *ptr, tg_value *pitch) {
    tg_value *v = tg_dtype_is_float(t->dtype) ? tg_build_float(b, t, 0.0) : tg_build_int(b, t, 0);
    for (int64_t l = 0; l < t->shape[0]; l++) {
        ptr = l == 0 ? ptr : tg_build_gep(b, ptr, pitch, 1);
        v = tg_build_insert(b, v, tg_build_loadm(b, tg_type_scalar(b->module, t->dtype), ptr, 0),
                            l);
    }
    return v;
}

/* Do the lanes take every 2nd or 4th element from a whole group on? */
static bool strided_lanes(const tg_ctx *x, const tg_coord *c) {
    return c->vec == NULL && (c->lane == 2 || c->lane == 4) && x->lanes > 1 &&
           x->lanes * c->lane <= 64 && c->add >= 0 &&
           (c->v == NULL || (c->v_align > 0 && c->v_align % c->lane == 0)) && x->valid == NULL;
}

/* ---- scratch buffers
 * --------------------------------------------------------------------------------- */

tg_value *tg_buffer_ptr(tg_lower *L, tg_builder *b, const tg_value *v) {
    return tg_build_gep(b, L->scratch_base, tg_build_index(b, tg_info(L, v)->offset), 1);
}

static tg_value *gather(tg_builder *b, const tg_type *t, tg_value *ptr, tg_value *index,
                        tg_value *mask) {
    tg_value *zero = tg_build_int(b, t, 0);
    tg_value *r = mask == NULL ? tg_build1(b, TG_OP_GATHERM, t, 3, ptr, index, zero)
                               : tg_build1(b, TG_OP_GATHERM, t, 4, ptr, index, zero, mask);
    tg_op_set_int(r->def, TG_ATTR_BYTES, 1);
    if (mask != NULL) {
        tg_op_set_int(r->def, TG_ATTR_MASKED, 1);
    }
    return r;
}

typedef struct access {
    tg_value *ptr; /* of lane 0, at `level` */
    int level;
    tg_value *index; /* i64 byte offsets per lane for gathers, or NULL: lanes are contiguous */
    bool vec;        /* lanes differ */
} access;

/* Adds position*stride_bytes of the coordinate's uniform part to the pointer. */
static void add_terms(tg_ctx *x, access *a, const tg_coord *c, const int64_t *stride, int n) {
    int64_t constant = 0;
    for (int k = 0; k < n; k++) {
        constant += c[k].vec == NULL ? c[k].add * stride[k] : 0;
    }
    if (constant != 0) {
        a->ptr = tg_build_gep(&x->bl[0], a->ptr, tg_build_index(&x->bl[0], constant), 1);
    }
    for (int level = 0; level <= x->depth; level++) {
        for (int k = 0; k < n; k++) {
            if (c[k].vec == NULL && c[k].v != NULL && c[k].level == level) {
                a->ptr = tg_build_gep(&x->bl[level], a->ptr, c[k].v, stride[k]);
                a->level = level;
            }
        }
    }
}

/* Per-lane byte offsets of the coordinates that differ between lanes. */
static tg_value *lane_offsets(tg_ctx *x, const tg_coord *c, const int64_t *stride, int n,
                              int *level) {
    tg_value *sum = NULL;
    const tg_type *t = tg_loop_type(x->L, TG_DT_I64, x->lanes);
    for (int k = 0; k < n; k++) {
        if (tg_coord_uniform(&c[k])) {
            continue;
        }
        *level = c[k].level > *level ? c[k].level : *level;
        tg_builder *b = &x->bl[*level];
        tg_value *v;
        if (c[k].vec != NULL) {
            v = tg_build_binary(b, TG_OP_MUL, c[k].vec, tg_build_int(b, t, stride[k]));
        } else {
            tg_value *lanes = tg_build1(b, TG_OP_LANES, t, 0);
            v = tg_build_binary(b, TG_OP_MUL, lanes, tg_build_int(b, t, c[k].lane * stride[k]));
        }
        sum = sum == NULL ? v : add_i(b, sum, v);
    }
    return sum;
}

static access buffer_access(tg_ctx *x, const tg_value *v, const tg_coord *c) {
    tg_vinfo *info = tg_info(x->L, v);
    int n = v->type->rank;
    int64_t bytes = tg_scratch_elem_bytes(v->type->dtype), stride[TG_MAX_RANK] = {0};
    access a = {.ptr = tg_buffer_ptr(x->L, &x->bl[0], v)};
    bool contiguous = true;
    for (int k = 0; k < n; k++) {
        stride[k] = info->stride[k] * bytes;
        if (!tg_coord_uniform(&c[k]) && x->lanes > 1) {
            contiguous =
                contiguous && !a.vec && c[k].vec == NULL && c[k].lane * info->stride[k] == 1;
            a.vec = true;
        }
    }
    if (x->lanes == 1) {
        tg_coord s[TG_MAX_RANK];
        for (int k = 0; k < n; k++) {
            s[k] = c[k];
            if (c[k].vec != NULL) {
                s[k] = (tg_coord){.v = c[k].vec, .level = c[k].level, .align = 1};
            }
        }
        add_terms(x, &a, s, stride, n);
        return a;
    }
    add_terms(x, &a, c, stride, n);
    if (a.vec && !contiguous) {
        a.index = lane_offsets(x, c, stride, n, &a.level);
    }
    return a;
}

/* A read of memory at some level must not move above writes made deeper in the same nest: reads are
 * emitted at the level of their coordinates, and the plan never reads what the nest writes
 * elsewhere. */
tg_ev tg_buffer_read(tg_ctx *x, tg_value *v, const tg_coord *c) {
    access a = buffer_access(x, v, c);
    tg_builder *b = &x->bl[a.level];
    tg_dtype t = v->type->dtype;
    if (!a.vec) {
        return (tg_ev){.v = tg_build_loadm(b, tg_loop_type(x->L, t, 1), a.ptr, 0),
                       .level = a.level};
    }
    const tg_type *vt = tg_loop_type(x->L, t, x->lanes);
    if (a.index == NULL) { /* rows are padded: reading past `valid` stays inside the buffer */
        return (tg_ev){.v = tg_build_loadm(b, vt, a.ptr, 0), .level = a.level, .vec = true};
    }
    int unit = tg_info(x->L, v)->inner, differing = 0;
    for (int k = 0; k < v->type->rank; k++) {
        differing += !tg_coord_uniform(&c[k]);
    }
    if (differing == 1 && strided_lanes(x, &c[unit])) {
        int step = (int)c[unit].lane;
        tg_value *picked =
            strided_load(x->L, b, a.ptr, t, x->lanes, step, (int)(c[unit].add % step));
        return (tg_ev){.v = picked, .level = a.level, .vec = true};
    }
    tg_value *mask = x->valid == NULL ? NULL : tg_build_pmask(b, x->valid, x->lanes);
    tg_value *r = gather(b, vt, a.ptr, a.index, mask);
    return (tg_ev){.v = r, .level = a.level, .vec = true};
}

void tg_buffer_write(tg_ctx *x, tg_value *dest, const tg_coord *c, tg_ev e) {
    access a = buffer_access(x, dest, c);
    tg_builder *b = &x->bl[x->depth];
    if (!a.vec) {
        tg_build_storem(b, a.ptr, e.v, 0);
        return;
    }
    tg_value *v = tg_ev_vec(x, e);
    if (a.index == NULL) {
        tg_build_storem(b, a.ptr, v, 0);
        return;
    }
    tg_value *ops[3] = {a.ptr, a.index, v};
    tg_op *op = tg_build_op(b, TG_OP_SCATTERM, 3, ops, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_BYTES, 1);
}

/* ---- tensor accesses
 * ---------------------------------------------------------------------------------- */

int tg_indices(const tg_op *op, tg_index out[TG_MAX_RANK], tg_value **out_mask) {
    bool masked = tg_attr_int(op, TG_ATTR_MASKED, 0) != 0;
    int first = op->code == TG_OP_LOAD ? 1 : 2;
    if (op->code == TG_OP_ATOMIC && tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS) {
        first = 3;
    }
    int end = op->n_operands - (masked ? 1 : 0);
    const tg_attr *axes = tg_attr_get(op, TG_ATTR_AXES);
    size_t at = 0;
    for (int k = first; k < end; k++) {
        tg_index *ix = &out[k - first];
        ix->v = tg_operand(op, k);
        ix->n_axes = ix->v->type->kind == TG_TY_SPAN ? 1 : ix->v->type->rank;
        ix->axes = axes == NULL ? NULL : axes->list + at;
        at += (size_t)ix->n_axes;
    }
    *out_mask = masked ? tg_operand(op, end) : NULL;
    return end - first;
}

typedef struct taccess {
    tg_value *ptr;
    int level;
    tg_value *index; /* byte offsets per lane (gather) or NULL */
    tg_value
        *pitch; /* with index: bytes from each lane to the next where they are equal; or NULL */
    bool vec;
    tg_ev ok;       /* same for all lanes; v NULL: proven */
    tg_value *mask; /* lanes inside, NULL: all */
    tg_value *all;  /* scalar: every lane inside, with mask */
    int mask_level;
    /* sub-byte innermost axis: */
    tg_value *nibble; /* i64 position (scalar or per lane) along it */
    int step, phase;  /* lanes take every step-th element (0: no), from this place in a group;
                       * with a nibble, that of the group */
    bool nibble_even; /* lane 0 is known to be a low half and lanes are consecutive */
    tg_value *stream; /* bool at level 0: the tensor is large and every vector aligned; or NULL */
    tg_dtype dtype;
} taccess;

static void and_ok(tg_ctx *x, tg_ev *ok, tg_value *v, int level) {
    int64_t known;
    if (tg_value_const_int(v, &known) && known != 0) {
        return;
    }
    if (ok->v == NULL) {
        *ok = (tg_ev){.v = v, .level = level};
        return;
    }
    int l = ok->level > level ? ok->level : level;
    *ok = (tg_ev){.v = tg_build_binary(&x->bl[l], TG_OP_AND, ok->v, v), .level = l};
}

static void and_mask(tg_ctx *x, taccess *a, tg_value *m, tg_value *all, int level) {
    int l = a->mask_level > level ? a->mask_level : level;
    tg_builder *b = &x->bl[l];
    a->mask = a->mask == NULL ? m : tg_build_binary(b, TG_OP_AND, a->mask, m);
    a->all = a->all == NULL ? all : tg_build_binary(b, TG_OP_AND, a->all, all);
    a->mask_level = l;
}

/* Position along tensor axis k as a coordinate (span start and lane part together). */
static tg_coord position(tg_ctx *x, const tg_index *ix, const tg_coord *c, tg_coord *rel) {
    tg_lower *L = x->L;
    if (ix->v->type->kind == TG_TY_SPAN) {
        *rel = c[ix->axes[0]];
        tg_coord p = *rel;
        tg_value *lo = tg_info(L, ix->v)->lo;
        int64_t multiple = tg_known_multiple(tg_operand(ix->v->def, 0));
        p.align = multiple < p.align ? multiple : p.align;
        tg_builder *b = &x->bl[p.level];
        if (p.vec != NULL) {
            tg_value *l = x->lanes > 1 ? tg_build_splat(b, lo, x->lanes) : lo;
            p.vec = add_i(b, p.vec, l);
        } else {
            p.v = p.v == NULL ? lo : add_i(b, lo, p.v);
        }
        return p;
    }
    if (ix->n_axes == 0) {
        *rel = (tg_coord){.align = 1};
        tg_value *v = tg_build_cast(&x->bl[0], tg_scalar(L, ix->v), TG_DT_I64);
        return (tg_coord){.v = v, .align = tg_known_multiple(ix->v)};
    }
    tg_coord in[TG_MAX_RANK];
    for (int a = 0; a < ix->n_axes; a++) {
        in[a] = c[ix->axes[a]];
    }
    tg_ev e = tg_elem(x, ix->v, in);
    tg_value *v = tg_build_cast(&x->bl[e.level], e.v, TG_DT_I64);
    tg_coord p = {.v = e.vec ? NULL : v, .vec = e.vec ? v : NULL, .level = e.level, .align = 1};
    *rel = p;
    return p;
}

/* Conditions that keep position p of tensor axis k inside [0, dim) and below the span's end. */
static void check_axis(tg_ctx *x, taccess *a, const tg_op *op, int k, const tg_index *ix,
                       const tg_coord *p, const tg_coord *c, const tg_tensor *t) {
    tg_lower *L = x->L;
    bool span = ix->v->type->kind == TG_TY_SPAN;
    bool bounded =
        span && (tg_span_is_full(ix->v) || (c[ix->axes[0]].bound != NULL &&
                                            c[ix->axes[0]].bound == tg_info(L, ix->v)->canon));
    if (tg_index_proven(L, op, k, ix, bounded)) {
        return;
    }
    tg_builder *b0 = &x->bl[0], *b = &x->bl[p->level];
    tg_value *limit = t->dim[k];
    if (span && !bounded) {
        limit = tg_build_binary(b0, TG_OP_MIN, limit, tg_info(L, ix->v)->hi);
    }
    tg_value *zero = tg_build_index(b0, 0);
    if (tg_coord_uniform(p) || x->lanes == 1) {
        tg_value *s = p->vec != NULL ? p->vec : tg_coord_scalar(x, p);
        tg_value *ok = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, s, zero),
                                       tg_build_cmp(b, TG_CMP_LT, s, limit));
        and_ok(x, &a->ok, ok, p->level);
        return;
    }
    tg_value *v = tg_coord_vec(x, p);
    const tg_type *vt = v->type;
    tg_value *m =
        tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, v, tg_build_int(b, vt, 0)),
                        tg_build_cmp(b, TG_CMP_LT, v, tg_build_splat(b, limit, x->lanes)));
    tg_value *all;
    if (p->vec == NULL && p->lane > 0) {
        tg_value *s = tg_coord_scalar(x, p);
        tg_value *last = add_i(b, s, tg_build_index(b, p->lane * (x->lanes - 1)));
        all = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, s, zero),
                              tg_build_cmp(b, TG_CMP_LT, last, limit));
    } else {
        all = tg_build_reducev(b, TG_RED_ALL, m);
    }
    and_mask(x, a, m, all, p->level);
}

static tg_value *mul_stride(tg_ctx *x, int level, const tg_tensor *t, int k, tg_value *v) {
    tg_builder *b = &x->bl[level];
    if (t->const_stride[k] >= 0) {
        return v->type->kind == TG_TY_VEC
                   ? tg_build_binary(b, TG_OP_MUL, v, tg_build_int(b, v->type, t->const_stride[k]))
                   : tg_build_binary(b, TG_OP_MUL, v, tg_build_index(b, t->const_stride[k]));
    }
    tg_value *s = t->stride[k];
    return tg_build_binary(b, TG_OP_MUL, v,
                           v->type->kind == TG_TY_VEC ? tg_build_splat(b, s, x->lanes) : s);
}

/* ptr + position*stride for the lane-independent part, level by level. */
static void add_position(tg_ctx *x, taccess *a, const tg_tensor *t, int k, const tg_index *ix,
                         const tg_coord *rel, const tg_coord *p, int level) {
    bool span = ix->v->type->kind == TG_TY_SPAN;
    tg_builder *b = &x->bl[level];
    tg_value *part[2] = {NULL, NULL};
    if (span && level == 0) {
        tg_value *lo = tg_info(x->L, ix->v)->lo;
        int64_t add = rel->vec == NULL ? rel->add : 0;
        part[0] = add == 0 ? lo : add_i(b, lo, tg_build_index(b, add));
    }
    const tg_coord *own = span ? rel : p;
    if (own->vec == NULL && own->v != NULL && own->level == level) {
        part[1] = own->v;
    } else if (x->lanes == 1 && own->vec != NULL && own->level == level) {
        part[1] = own->vec;
    }
    for (int i = 0; i < 2; i++) {
        if (part[i] == NULL) {
            continue;
        }
        if (t->const_stride[k] >= 0) {
            a->ptr = tg_build_gep(b, a->ptr, part[i], t->const_stride[k]);
        } else {
            a->ptr = tg_build_gep(b, a->ptr, mul_stride(x, level, t, k, part[i]), 1);
        }
        a->level = level;
    }
}

static void lane_part(tg_ctx *x, taccess *a, const tg_tensor *t, int k, const tg_coord *rel) {
    if (tg_coord_uniform(rel) || x->lanes == 1) {
        return;
    }
    int level = rel->level > a->level ? rel->level : a->level;
    tg_builder *b = &x->bl[level];
    tg_value *v = rel->vec;
    if (v == NULL) {
        const tg_type *lt = tg_loop_type(x->L, TG_DT_I64, x->lanes);
        v = tg_build1(b, TG_OP_LANES, lt, 0);
        if (rel->lane != 1) {
            v = tg_build_binary(b, TG_OP_MUL, v, tg_build_int(b, lt, rel->lane));
        }
    }
    v = mul_stride(x, level, t, k, v);
    bool paced = a->index == NULL && rel->vec == NULL;
    a->pitch = paced ? mul_stride(x, level, t, k, tg_build_index(b, rel->lane)) : NULL;
    a->index = a->index == NULL ? v : add_i(b, a->index, v);
    a->level = level;
}

/* Do the lanes take one element each of whole groups of 2, 4 or 8 packed ones, from a group's start
 * on? Then they are the words of 8, 16 or 32 bits there, shifted. */
static bool nibble_group(const tg_ctx *x, const tg_index *ix, const tg_coord *rel) {
    int64_t step = rel->lane;
    return ix->v->type->kind == TG_TY_SPAN && rel->vec == NULL && x->lanes > 1 && rel->add >= 0 &&
           (step == 2 || step == 4 || step == 8) &&
           tg_known_multiple(tg_operand(ix->v->def, 0)) % step == 0 &&
           (rel->v == NULL || (rel->v_align > 0 && rel->v_align % step == 0));
}

static taccess tensor_access(tg_ctx *x, const tg_op *op, const tg_coord *c) {
    tg_lower *L = x->L;
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(op, ix, &mask);
    tg_tensor *t = tg_tensor_of(L, tg_operand(op, 0));
    taccess a = {.ptr = t->base};
    tg_coord p[TG_MAX_RANK], rel[TG_MAX_RANK];
    int differing = 0;
    bool contiguous = true;
    bool packed = t->elem_bytes == 0;
    for (int k = 0; k < n; k++) {
        p[k] = position(x, &ix[k], c, &rel[k]);
        check_axis(x, &a, op, k, &ix[k], &p[k], c, t);
        if (!tg_coord_uniform(&rel[k]) && x->lanes > 1) {
            differing++;
            a.vec = true;
            contiguous = contiguous && k == n - 1 && rel[k].vec == NULL && rel[k].lane == 1 &&
                         !packed && t->const_stride[k] == t->elem_bytes;
        }
    }
    int strided = packed ? n - 1 : n;
    for (int level = 0; level <= x->depth; level++) {
        for (int k = 0; k < strided; k++) {
            add_position(x, &a, t, k, &ix[k], &rel[k], &p[k], level);
        }
    }
    if (a.vec && differing == 1 && !packed && strided_lanes(x, &rel[n - 1]) && a.mask == NULL &&
        t->const_stride[n - 1] == t->elem_bytes && !tg_coord_uniform(&rel[n - 1]) && mask == NULL) {
        a.step = (int)rel[n - 1].lane;
        a.phase = (int)(rel[n - 1].add % a.step);
    }
    if (a.vec && !(contiguous && differing == 1)) {
        for (int k = 0; k < strided; k++) {
            lane_part(x, &a, t, k, &rel[k]);
        }
    }
    if (packed) {
        const tg_coord *q = &p[n - 1];
        a.level = q->level > a.level ? q->level : a.level;
        bool lanes = a.vec && !tg_coord_uniform(q);
        tg_coord group = *q;
        if (lanes && differing == 1 && a.mask == NULL && mask == NULL && x->valid == NULL &&
            nibble_group(x, &ix[n - 1], &rel[n - 1])) {
            a.step = (int)q->lane;
            a.phase = (int)(q->add % q->lane);
            group.add -= a.phase;
            a.nibble = tg_coord_scalar(x, &group);
            lanes = false;
        }
        if (a.step == 0) {
            a.nibble = lanes ? tg_coord_vec(x, q) : q->vec != NULL ? q->vec : tg_coord_scalar(x, q);
        }
        a.nibble_even = lanes && differing == 1 && q->vec == NULL && q->lane == 1 &&
                        q->align % 2 == 0 && x->lanes % 2 == 0;
        if (a.nibble_even) {
            a.nibble = tg_coord_scalar(x, q);
        }
    }
    if (mask != NULL) {
        tg_ev m = tg_elem(x, mask, c);
        if (m.vec) {
            and_mask(x, &a, m.v, tg_build_reducev(&x->bl[m.level], TG_RED_ALL, m.v), m.level);
        } else {
            and_ok(x, &a.ok, m.v, m.level);
        }
    }
    if (x->valid != NULL && a.vec) {
        tg_builder *b = &x->bl[x->depth];
        tg_value *all = tg_build_cmp(b, TG_CMP_GE, x->valid, tg_build_index(b, x->lanes));
        and_mask(x, &a, tg_build_pmask(b, x->valid, x->lanes), all, x->depth);
    }
    if (a.ok.v != NULL && a.ok.level > a.level) {
        a.level = a.ok.level;
    }
    if (a.mask != NULL && a.mask_level > a.level) {
        a.level = a.mask_level;
    }
    return a;
}

/* ---- reads
 * --------------------------------------------------------------------------------------------- */

static tg_value *masked_load(tg_builder *b, const tg_type *t, tg_value *ptr, tg_value *mask) {
    tg_value *r = tg_build1(b, TG_OP_LOADM, t, 3, ptr, mask, tg_build_int(b, t, 0));
    tg_op_set_int(r->def, TG_ATTR_MASKED, 1);
    return r;
}

/* Contiguous lanes of which some may lie outside: the whole vector when all are inside. */
static tg_value *load_or_masked(tg_builder *b, const tg_type *t, const taccess *a) {
    tg_op *branch = tg_build_if(b, a->all, 1, &t);
    tg_value *full = tg_build_loadm(b, t, a->ptr, 0);
    tg_build_else(b, branch, 1, &full);
    tg_value *part = masked_load(b, t, a->ptr, a->mask);
    tg_build_end_if(b, branch, 1, &part);
    return &branch->results[0];
}

/* Low or high half of each byte. */
static tg_value *pick_nibble(tg_builder *b, tg_value *bytes, tg_value *position) {
    tg_value *odd = tg_build_binary(b, TG_OP_AND, position, tg_build_int(b, position->type, 1));
    tg_value *is_odd = tg_build_cmp(b, TG_CMP_NE, odd, tg_build_int(b, position->type, 0));
    tg_value *hi = tg_build_binary(b, TG_OP_SHR, bytes, tg_build_int(b, bytes->type, 4));
    tg_value *lo = tg_build_binary(b, TG_OP_AND, bytes, tg_build_int(b, bytes->type, 15));
    return tg_build_select(b, is_odd, hi, lo);
}

static tg_value *interleave_nibbles(tg_lower *L, tg_builder *b, tg_value *ptr, int lanes) {
    tg_value *bytes = tg_build_loadm(b, tg_loop_type(L, TG_DT_U8, lanes / 2), ptr, 0);
    int whole = L->mc->vector_bytes < 32 ? L->mc->vector_bytes : 32;
    if (lanes >= whole) { /* registers: in 16 bits beside one another */
        tg_value *w = tg_build_cast(b, bytes, TG_DT_U16);
        tg_value *up = tg_build_binary(b, TG_OP_SHL, w, tg_build_int(b, w->type, 4));
        w = tg_build_binary(b, TG_OP_OR, w, up);
        w = tg_build_binary(b, TG_OP_AND, w, tg_build_int(b, w->type, 0x0F0F));
        return tg_build1(b, TG_OP_BITCAST, tg_loop_type(L, TG_DT_U8, lanes), 1, w);
    }
    tg_value *lo = tg_build_binary(b, TG_OP_AND, bytes, tg_build_int(b, bytes->type, 15));
    tg_value *hi = tg_build_binary(b, TG_OP_SHR, bytes, tg_build_int(b, bytes->type, 4));
    int64_t map[256];
    for (int l = 0; l < lanes; l++) {
        map[l] = l / 2 + (l % 2) * (lanes / 2);
    }
    if (lanes == 2) { /* one byte is a scalar, and shuffles take vectors */
        lo = tg_build_splat(b, lo, 2);
        hi = tg_build_splat(b, hi, 2);
        map[1] = 2;
    }
    return tg_build_shuffle(b, lo, hi, lanes, map);
}

static tg_ev read_packed(tg_ctx *x, const taccess *a, tg_value *ptr) {
    tg_lower *L = x->L;
    tg_builder *b = &x->bl[a->level];
    tg_value *half = tg_build_binary(b, TG_OP_SHR, a->nibble, tg_build_int(b, a->nibble->type, 1));
    if (!a->vec) {
        tg_value *p = tg_build_gep(b, ptr, half, 1);
        if (a->ok.v != NULL) {
            p = tg_build_select(b, a->ok.v, p, L->zeros);
        }
        tg_value *byte = tg_build_loadm(b, tg_loop_type(L, TG_DT_U8, 1), p, 0);
        return (tg_ev){.v = pick_nibble(b, byte, a->nibble), .level = a->level};
    }
    if (a->step > 0) {
        static const tg_dtype word[9] = {[2] = TG_DT_U8, [4] = TG_DT_U16, [8] = TG_DT_U32};
        tg_value *p = tg_build_gep(b, ptr, half, 1);
        if (a->ok.v != NULL) {
            p = tg_build_select(b, a->ok.v, p, L->zeros);
        }
        tg_value *w = tg_build_loadm(b, tg_loop_type(L, word[a->step], x->lanes), p, 1);
        w = tg_build_cast(b, w, TG_DT_U32);
        w = tg_build_binary(b, TG_OP_SHR, w, tg_build_int(b, w->type, 4 * (int64_t)a->phase));
        return (tg_ev){.v = tg_build_cast(b, w, TG_DT_U8), .level = a->level, .vec = true};
    }
    if (a->nibble_even && a->mask == NULL) {
        tg_value *p = tg_build_gep(b, ptr, half, 1);
        if (a->ok.v != NULL) {
            p = tg_build_select(b, a->ok.v, p, L->zeros);
        }
        if (x->ahead > 0) {
            tg_value *far = tg_build_gep(b, p, tg_build_index(b, x->ahead), 1);
            tg_op *hint = tg_build_op(b, TG_OP_PREFETCH, 1, &far, 0, NULL, 0);
            tg_op_set_int(hint, TG_ATTR_LOCALITY, 3);
            tg_op_set_int(hint, TG_ATTR_WRITE, 0);
        }
        return (tg_ev){.v = interleave_nibbles(L, b, p, x->lanes), .level = a->level, .vec = true};
    }
    tg_value *pos = a->nibble;
    if (pos->type->kind != TG_TY_VEC) {
        pos = tg_build_splat(b, pos, x->lanes);
        if (a->nibble_even) {
            pos = add_i(b, pos, tg_build1(b, TG_OP_LANES, pos->type, 0));
        }
    }
    half = tg_build_binary(b, TG_OP_SHR, pos, tg_build_int(b, pos->type, 1));
    tg_value *index = a->index == NULL ? half : add_i(b, a->index, half);
    tg_value *mask = a->mask;
    if (a->ok.v != NULL) {
        tg_value *ok = tg_build_splat(b, a->ok.v, x->lanes);
        mask = mask == NULL ? ok : tg_build_binary(b, TG_OP_AND, mask, ok);
    }
    tg_value *bytes = gather(b, tg_loop_type(L, TG_DT_U8, x->lanes), ptr, index, mask);
    return (tg_ev){.v = pick_nibble(b, bytes, pos), .level = a->level, .vec = true};
}

/* Are lanes at equal distances better read one by one? No machine gathers those below 32 bits:
 * there even where some may lie outside, since seldom any does. */
static bool paced_lanes(const tg_ctx *x, const taccess *a, tg_dtype t) {
    bool narrow = tg_dtype_bits(t) < 32;
    return a->pitch != NULL && x->lanes <= (narrow ? MAX_PACED_NARROW : MAX_PACED) &&
           (a->mask == NULL || (narrow && a->all != NULL));
}

static tg_value *load_paced(tg_ctx *x, tg_builder *b, const tg_type *t, taccess *a) {
    tg_value *ptr = a->ptr, *pitch = a->pitch;
    if (a->ok.v != NULL) {
        ptr = tg_build_select(b, a->ok.v, ptr, x->L->zeros);
        pitch = tg_build_select(b, a->ok.v, pitch, tg_build_index(b, 0));
    }
    if (a->mask == NULL) {
        return paced_load(b, t, ptr, pitch);
    }
    tg_op *branch = tg_build_if(b, a->all, 1, &t);
    tg_value *v = paced_load(b, t, ptr, pitch);
    tg_build_else(b, branch, 1, &v);
    tg_value *mask = a->mask;
    if (a->ok.v != NULL) {
        mask = tg_build_binary(b, TG_OP_AND, mask, tg_build_splat(b, a->ok.v, x->lanes));
    }
    v = gather(b, t, a->ptr, a->index, mask);
    tg_build_end_if(b, branch, 1, &v);
    return &branch->results[0];
}

tg_ev tg_tensor_read(tg_ctx *x, tg_op *load, const tg_coord *c) {
    tg_dtype dt = load->results[0].type->dtype;
    taccess a = tensor_access(x, load, c);
    if (a.nibble != NULL) {
        return read_packed(x, &a, a.ptr);
    }
    tg_builder *b = &x->bl[a.level];
    if (!a.vec) {
        const tg_type *t = tg_loop_type(x->L, dt, 1);
        tg_value *p = a.ok.v == NULL ? a.ptr : tg_build_select(b, a.ok.v, a.ptr, x->L->zeros);
        tg_ev r = {.v = tg_build_loadm(b, t, p, 0), .level = a.level};
        if (a.mask != NULL) { /* one address, a mask per lane */
            tg_value *v = tg_build_splat(b, r.v, x->lanes);
            r = (tg_ev){.v = tg_build_select(b, a.mask, v, tg_build_int(b, v->type, 0)),
                        .level = a.level,
                        .vec = true};
        }
        return r;
    }
    const tg_type *t = tg_loop_type(x->L, dt, x->lanes);
    tg_ev r = {.level = a.level, .vec = true};
    if (a.step > 0) {
        if (a.ok.v != NULL) {
            tg_value *block = tg_build_gep(
                b, x->L->zeros, tg_build_index(b, a.phase * tg_scratch_elem_bytes(dt)), 1);
            a.ptr = tg_build_select(b, a.ok.v, a.ptr, block);
        }
        r.v = strided_load(x->L, b, a.ptr, dt, x->lanes, a.step, a.phase);
        return r;
    }
    if (a.index != NULL && paced_lanes(x, &a, dt)) {
        r.v = load_paced(x, b, t, &a);
        return r;
    }
    if (a.index != NULL) {
        if (a.ok.v != NULL) {
            tg_value *ok = tg_build_splat(b, a.ok.v, x->lanes);
            a.mask = a.mask == NULL ? ok : tg_build_binary(b, TG_OP_AND, a.mask, ok);
        }
        r.v = gather(b, t, a.ptr, a.index, a.mask);
        return r;
    }
    if (a.ok.v != NULL) {
        a.ptr = tg_build_select(b, a.ok.v, a.ptr, x->L->zeros);
    }
    if (a.mask == NULL && a.ok.v == NULL) {
        tg_prefetch_next(x->L, b, load, a.ptr, tg_scratch_elem_bytes(dt) * x->lanes);
    }
    r.v = a.mask == NULL ? tg_build_loadm(b, t, a.ptr, 0) : load_or_masked(b, t, &a);
    return r;
}

/* ---- writes
 * -------------------------------------------------------------------------------------------- */

static void storem_masked(tg_builder *b, tg_value *ptr, tg_value *v, tg_value *mask) {
    tg_value *ops[3] = {ptr, v, mask};
    tg_op *op = tg_build_op(b, TG_OP_STOREM, 3, ops, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_MASKED, 1);
}

/* One element of a packed row: read, replace a half, write. Rows belong to one program. */
static void write_nibble(tg_lower *L, tg_builder *b, tg_value *ptr, tg_value *position,
                         tg_value *v) {
    const tg_type *u8 = tg_loop_type(L, TG_DT_U8, 1);
    tg_value *p =
        tg_build_gep(b, ptr, tg_build_binary(b, TG_OP_SHR, position, tg_build_index(b, 1)), 1);
    tg_value *old = tg_build_loadm(b, u8, p, 0);
    tg_value *odd = tg_build_binary(b, TG_OP_AND, position, tg_build_index(b, 1));
    tg_value *is_odd = tg_build_cmp(b, TG_CMP_NE, odd, tg_build_index(b, 0));
    tg_value *low = tg_build_binary(b, TG_OP_AND, v, tg_build_int(b, u8, 15));
    tg_value *high = tg_build_binary(b, TG_OP_SHL, low, tg_build_int(b, u8, 4));
    tg_value *with_hi = tg_build_binary(
        b, TG_OP_OR, tg_build_binary(b, TG_OP_AND, old, tg_build_int(b, u8, 15)), high);
    tg_value *with_lo = tg_build_binary(
        b, TG_OP_OR, tg_build_binary(b, TG_OP_AND, old, tg_build_int(b, u8, 0xF0)), low);
    tg_build_storem(b, p, tg_build_select(b, is_odd, with_hi, with_lo), 0);
}

static void write_packed(tg_ctx *x, const taccess *a, tg_ev e) {
    tg_lower *L = x->L;
    tg_builder *b = &x->bl[x->depth];
    if (!a->vec) {
        write_nibble(L, b, a->ptr, a->nibble, e.v);
        return;
    }
    tg_value *v = tg_ev_vec(x, e);
    if (a->nibble_even && a->mask == NULL && a->index == NULL) {
        int64_t even[128], odd[128];
        for (int l = 0; l < x->lanes / 2; l++) {
            even[l] = 2 * l;
            odd[l] = 2 * l + 1;
        }
        tg_value *lo = tg_build_shuffle(b, v, v, x->lanes / 2, even);
        tg_value *hi = tg_build_shuffle(b, v, v, x->lanes / 2, odd);
        lo = tg_build_binary(b, TG_OP_AND, lo, tg_build_int(b, lo->type, 15));
        hi = tg_build_binary(b, TG_OP_SHL, hi, tg_build_int(b, hi->type, 4));
        tg_value *half = tg_build_binary(b, TG_OP_SHR, a->nibble, tg_build_index(b, 1));
        tg_build_storem(b, tg_build_gep(b, a->ptr, half, 1), tg_build_binary(b, TG_OP_OR, lo, hi),
                        0);
        return;
    }
    for (int l = 0; l < x->lanes; l++) {
        tg_value *pos = a->nibble->type->kind == TG_TY_VEC
                            ? tg_build_extract(b, a->nibble, l)
                            : add_i(b, a->nibble, tg_build_index(b, a->nibble_even ? l : 0));
        tg_value *p = a->index == NULL
                          ? a->ptr
                          : tg_build_gep(b, a->ptr, tg_build_extract(b, a->index, l), 1);
        tg_op *branch = NULL;
        if (a->mask != NULL) {
            branch = tg_build_if(b, tg_build_extract(b, a->mask, l), 0, NULL);
        }
        write_nibble(L, b, p, pos, tg_build_extract(b, v, l));
        if (branch != NULL) {
            tg_build_else(b, branch, 0, NULL);
            tg_build_end_if(b, branch, 0, NULL);
        }
    }
}

static void write_inside(tg_ctx *x, const taccess *a, tg_ev e) {
    tg_builder *b = &x->bl[x->depth];
    if (a->nibble != NULL) {
        write_packed(x, a, e);
        return;
    }
    if (!a->vec && a->mask == NULL) {
        tg_build_storem(b, a->ptr, e.v, 0);
        return;
    }
    tg_value *v = tg_ev_vec(x, e);
    if (a->index != NULL || !a->vec) {
        tg_value *index = a->index;
        if (index == NULL) {
            index = tg_build_int(b, tg_loop_type(x->L, TG_DT_I64, x->lanes), 0);
        }
        tg_value *ops[4] = {a->ptr, index, v, a->mask};
        tg_op *op = tg_build_op(b, TG_OP_SCATTERM, a->mask != NULL ? 4 : 3, ops, 0, NULL, 0);
        tg_op_set_int(op, TG_ATTR_BYTES, 1);
        if (a->mask != NULL) {
            tg_op_set_int(op, TG_ATTR_MASKED, 1);
        }
        return;
    }
    if (a->mask == NULL && a->stream != NULL) {
        int64_t bytes = tg_scratch_elem_bytes(a->dtype) * x->lanes;
        tg_op *large = tg_build_if(b, a->stream, 0, NULL);
        tg_op *past = tg_build_storem(b, a->ptr, v, tg_min_i64(bytes, x->L->mc->vector_bytes));
        tg_op_set_int(past, TG_ATTR_NONTEMPORAL, 1);
        tg_build_else(b, large, 0, NULL);
        tg_build_storem(b, a->ptr, v, 0);
        tg_build_end_if(b, large, 0, NULL);
        return;
    }
    if (a->mask == NULL) {
        tg_build_storem(b, a->ptr, v, 0);
        return;
    }
    tg_op *branch = tg_build_if(b, a->all, 0, NULL);
    tg_build_storem(b, a->ptr, v, 0);
    tg_build_else(b, branch, 0, NULL);
    storem_masked(b, a->ptr, v, a->mask);
    tg_build_end_if(b, branch, 0, NULL);
}

/*
 * Outputs that cannot stay in the caches are written past them: the lines need not be read first.
 * Known when the program runs, from the extents and the alignment of base and strides; the vector's
 * own position must be a whole vector by construction (bytes: of 16 at least, and the tile's rows
 * whole lines). Only for tensors the kernel does not read.
 */
static tg_value *streaming(tg_ctx *x, const tg_op *store, const tg_coord *c) {
    tg_lower *L = x->L;
    tg_value *tensor = tg_operand(store, 0);
    tg_index ix[TG_MAX_RANK];
    tg_value *mask;
    int n = tg_indices(store, ix, &mask);
    tg_tensor *t = tg_tensor_of(L, tensor);
    enum { LEAST = 16, LINE = 64 };
    int64_t bytes = t->elem_bytes * x->lanes, vector = tg_min_i64(bytes, L->mc->vector_bytes);
    if (tensor->def != NULL || n < 1 || x->lanes == 1 || bytes < LEAST || bytes % vector != 0 ||
        (bytes < L->mc->vector_bytes && bytes % LEAST != 0) || mask != NULL ||
        !(L->kernel->params[tensor->index].flags & TG_PARAM_OUT) ||
        ix[n - 1].v->type->kind != TG_TY_SPAN) {
        return NULL;
    }
    int64_t row = ix[n - 1].v->type->shape[0] * t->elem_bytes;
    if (bytes < L->mc->vector_bytes && row % LINE != 0) {
        return NULL;
    }
    const tg_coord *last = &c[ix[n - 1].axes[0]];
    int64_t first = tg_known_multiple(tg_operand(ix[n - 1].v->def, 0)) * t->elem_bytes;
    if (last->vec != NULL || last->lane != 1 || (last->add * t->elem_bytes) % vector != 0 ||
        first % vector != 0 ||
        (last->v != NULL &&
         (last->v_align == 0 || (last->v_align * t->elem_bytes) % vector != 0))) {
        return NULL;
    }
    if (t->stream == NULL) {
        tg_builder *b = &L->entry;
        tg_value *bits = tg_build1(b, TG_OP_SLOT, tg_type_scalar(L->out, TG_DT_I64), 1, L->slots);
        tg_op_set_int(bits->def, TG_ATTR_VALUE_I, t->slot);
        tg_value *size = tg_build_index(b, t->elem_bytes);
        for (int k = 0; k < t->rank; k++) {
            if (k + 1 < t->rank) {
                bits = tg_build_binary(b, TG_OP_OR, bits, t->stride[k]);
            }
            size = tg_build_binary(b, TG_OP_MUL, size, t->dim[k]);
        }
        tg_value *low =
            tg_build_binary(b, TG_OP_AND, bits, tg_build_index(b, L->mc->vector_bytes - 1));
        tg_value *aligned = tg_build_cmp(b, TG_CMP_EQ, low, tg_build_index(b, 0));
        tg_value *large = tg_build_cmp(b, TG_CMP_GE, size, tg_build_index(b, L->mc->l3_bytes / 4));
        t->stream = tg_build_binary(b, TG_OP_AND, aligned, large);
    }
    return t->stream;
}

void tg_tensor_write(tg_ctx *x, tg_op *store, const tg_coord *c, tg_ev e) {
    taccess a = tensor_access(x, store, c);
    if (a.vec && a.index == NULL && a.nibble == NULL && a.mask == NULL) {
        a.stream = streaming(x, store, c);
        a.dtype = tg_operand(store, 1)->type->dtype;
    }
    tg_builder *b = &x->bl[x->depth];
    if (a.ok.v == NULL) {
        write_inside(x, &a, e);
        return;
    }
    tg_op *branch = tg_build_if(b, a.ok.v, 0, NULL);
    write_inside(x, &a, e);
    tg_build_else(b, branch, 0, NULL);
    tg_build_end_if(b, branch, 0, NULL);
}

/* Scalar read-modify-write at c (lanes is 1): the old value, 0 where the element is outside. */
tg_ev tg_atomic_at(tg_ctx *x, tg_op *op, const tg_coord *c) {
    tg_lower *L = x->L;
    taccess a = tensor_access(x, op, c);
    tg_ev v = tg_elem(x, tg_operand(op, 1), c);
    bool cas = tg_attr_int(op, TG_ATTR_ATOMIC, 0) == TG_ATOMIC_CAS;
    tg_ev expected = cas ? tg_elem(x, tg_operand(op, 2), c) : v;
    tg_builder *b = &x->bl[x->depth];
    const tg_type *t = tg_loop_type(L, op->results[0].type->dtype, 1);
    tg_value *ok = a.ok.v == NULL ? tg_build_bool(b, true) : a.ok.v;
    tg_op *branch = tg_build_if(b, ok, 1, &t);
    tg_value *old = cas ? tg_build1(b, TG_OP_ATOMICM, t, 3, a.ptr, v.v, expected.v)
                        : tg_build1(b, TG_OP_ATOMICM, t, 2, a.ptr, v.v);
    tg_op_set_int(old->def, TG_ATTR_ATOMIC, tg_attr_int(op, TG_ATTR_ATOMIC, 0));
    tg_build_else(b, branch, 1, &old);
    tg_value *none = tg_build_int(b, t, 0);
    tg_build_end_if(b, branch, 1, &none);
    return (tg_ev){.v = &branch->results[0], .level = x->depth};
}
