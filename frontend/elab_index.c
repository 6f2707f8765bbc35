/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Spans and memory: spans become positions or indices; tensors and record fields are indexed step
 * by step (a reference collects indices) and become loads, stores and atomics with masks (R1, R9).
 *
 * Result axes stand in the order in which the indices appear; indices that run along one span share
 * their result axis.
 */
#include "frontend/value.h"

#include <string.h>

/* ---- spans ---------------------------------------------------------------------------------- */

tg_identity *tg_el_identity(tg_elab *e, const char *name, tg_span where, int64_t n) {
    tg_identity *s = TG_NEW(e->a, tg_identity);
    s->name = name;
    s->where = where;
    s->n = n;
    s->grid_axis = -1;
    s->loop = -1;
    return s;
}

const tg_identity *tg_el_range(tg_elab *e, const tg_dim *lo, const tg_dim *hi, int64_t n,
                               tg_span where) {
    for (size_t i = 0; i < e->ranges.count; i++) {
        const tg_identity *r = e->ranges.data[i];
        if (r->lo == lo && r->hi == hi && r->n == n) {
            return r;
        }
    }
    tg_identity *s = tg_el_identity(e, NULL, where, n);
    s->lo = s->start = lo;
    s->hi = hi;
    s->is_range = true;
    s->full = tg_sy_nonneg(
        e, tg_sy_bin(e, TG_DIM_SUB, tg_sy_bin(e, TG_DIM_SUB, hi, lo), tg_sy_int(e, n)));
    TG_LIST_PUSH(e->a, &e->ranges, s);
    return s;
}

static tg_value *start_ir(tg_elab *e, const tg_identity *s) {
    return s->ir_start != NULL ? s->ir_start : tg_build_dim_expr(&e->b, s->start);
}

static tg_value *hi_ir(tg_elab *e, const tg_identity *s) {
    return s->ir_hi != NULL ? s->ir_hi : tg_build_dim_expr(&e->b, s->hi);
}

tg_value *tg_el_span_ir(tg_elab *e, const tg_identity *s, const tg_dim *shift, tg_value *ir_shift) {
    int64_t c;
    bool none = shift == NULL || (tg_sy_const(shift, &c) && c == 0);
    if (none && s->ir != NULL) {
        return s->ir;
    }
    tg_value *lo = start_ir(e, s), *hi = hi_ir(e, s);
    if (!none) {
        tg_value *by = ir_shift != NULL ? ir_shift : tg_build_dim_expr(&e->b, shift);
        lo = tg_build_binary(&e->b, TG_OP_ADD, lo, by);
        hi = tg_build_binary(&e->b, TG_OP_ADD, hi, by);
    }
    return tg_build_span(&e->b, lo, hi, s->n);
}

const tg_val *tg_el_positions(tg_elab *e, const tg_identity *s, tg_span where) {
    tg_value *start = tg_build_splat_tile(&e->b, start_ir(e, s), 1, &s->n);
    tg_value *pos = tg_build_binary(&e->b, TG_OP_ADD, tg_build_iota(&e->b, TG_DT_I64, s->n), start);
    tg_val *r = tg_el_tile(e, pos, where);
    r->id[0] = s;
    r->sym = tg_sy_pos(e, s, 0);
    const tg_pred *p = tg_pr_span(e, s, tg_sy_int(e, 0), NULL, NULL, 0, where);
    if (p != NULL) {
        tg_pr_add(e, &r->preds, p);
    }
    return r;
}

static const tg_val *span_field(tg_elab *e, const tg_identity *s, tg_ident name, tg_span where) {
    tg_val *r = NULL;
    const tg_dim *end =
        tg_sy_bin(e, TG_DIM_MIN, tg_sy_bin(e, TG_DIM_ADD, s->start, tg_sy_int(e, s->n)), s->hi);
    if (strcmp(name.name, "start") == 0) {
        r = tg_el_tile(e, start_ir(e, s), where);
        r->sym = s->start;
        return r;
    }
    bool len = strcmp(name.name, "len") == 0;
    if (!len && strcmp(name.name, "end") != 0) {
        tg_diag *d = tg_el_error(e, TG_D_UNKNOWN_NAME, name.span, "a span has no `%s`", name.name);
        tg_note_add(e->sink, d, name.span, "it has .start, .end and .len");
        return &tg_val_error;
    }
    tg_value *start = start_ir(e, s);
    tg_value *ir = tg_build_binary(&e->b, TG_OP_ADD, start, tg_build_index(&e->b, s->n));
    ir = tg_build_binary(&e->b, TG_OP_MIN, ir, hi_ir(e, s));
    ir = tg_build_binary(&e->b, TG_OP_MAX, ir, start);
    if (len) {
        ir = tg_build_binary(&e->b, TG_OP_SUB, ir, start);
    }
    r = tg_el_tile(e, ir, where);
    /* Never before the start: a block of a grid or loop has a position, span() may be empty. */
    end = s->grid_axis >= 0 || s->loop >= 0 ? end : tg_sy_bin(e, TG_DIM_MAX, end, s->start);
    r->sym = len ? tg_sy_bin(e, TG_DIM_SUB, end, s->start) : end;
    return r;
}

/* ---- building references -------------------------------------------------------------------- */

/* sym = position along axis 0 of one span + shift: a shifted span, not a gather. */
static bool as_shifted_span(tg_elab *e, const tg_val *v, tg_at *out) {
    if (tg_el_rank(v) != 1 || v->sym == NULL || v->id[0] == NULL || v->id[0]->is_range ||
        v->id[0]->n != tg_el_extent(v, 0) || tg_el_dtype(v) != TG_DT_I64) {
        return false;
    }
    int64_t coef;
    const tg_dim *rest;
    if (!tg_sy_linear(e, v->sym, tg_sy_pos(e, v->id[0], 0), &coef, &rest) || coef != 1 ||
        tg_sy_has_pos(e, rest)) {
        return false;
    }
    for (int i = 0; i < v->preds.n; i++) { /* nothing but the span itself may be missing */
        const tg_pred *p = v->preds.items[i];
        if (p->kind != TG_PRED_SPAN || p->span != v->id[0] || p->extent != NULL) {
            return false;
        }
    }
    out->kind = TG_AT_SPAN;
    out->span = v->id[0];
    out->shift = rest;
    if (!tg_sy_launch(e, rest)) { /* the shift as a scalar: first element minus the start */
        int64_t off[1] = {0}, one[1] = {1};
        tg_value *first = tg_build_reshape(&e->b, tg_build_slice(&e->b, v->ir, off, one), 0, NULL);
        out->ir_shift = tg_build_binary(&e->b, TG_OP_SUB, first, start_ir(e, v->id[0]));
    }
    out->sym = v->sym;
    return true;
}

static bool at_value(tg_elab *e, const tg_val *v, tg_at *out) {
    if (v->kind == TG_VAL_SPAN) {
        out->kind = TG_AT_SPAN;
        out->span = v->span;
        out->shift = tg_sy_int(e, 0);
        out->sym = tg_sy_pos(e, v->span, 0);
        return true;
    }
    v = tg_el_runtime(e, v);
    if (tg_el_is_error(v)) {
        return false;
    }
    if (v->kind != TG_VAL_TILE || !tg_dtype_is_int(tg_el_dtype(v))) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, out->where, "%s cannot be an index",
                    tg_el_describe(e, v));
        return false;
    }
    v = tg_el_harden(e, v);
    if (as_shifted_span(e, v, out)) {
        return true;
    }
    out->kind = tg_el_rank(v) == 0 ? TG_AT_SCALAR : TG_AT_TILE;
    if (tg_dtype_is_storage(tg_el_dtype(v)) || out->kind == TG_AT_SCALAR) {
        v = tg_el_cast(e, v, TG_DT_I64, TG_ROUND_RNE, false, out->where);
    }
    out->val = v;
    out->sym = v->sym;
    return true;
}

static bool at_range(tg_elab *e, const tg_index *item, const tg_dim *extent, tg_at *out) {
    int64_t lo = 0, hi;
    bool whole = tg_sy_const(extent, &hi);
    if ((item->lo != NULL && !tg_el_const_int(e, item->lo, "a bound of a range", &lo)) ||
        (item->hi != NULL && !tg_el_const_int(e, item->hi, "a bound of a range", &hi))) {
        return false;
    }
    if (item->hi == NULL && !whole) {
        tg_diag *d =
            tg_el_error(e, TG_D_RUNTIME_EXTENT, item->span,
                        "`:` takes a whole axis, and this axis is as long as the launch says");
        tg_note_add(e->sink, d, item->span,
                    "loop over it in blocks, or make its extent a compile-time name in `[...]`");
        return false;
    }
    if (lo < 0 || hi < lo) {
        tg_el_error(e, TG_D_SHAPE, item->span, "the range %lld:%lld is not one", (long long)lo,
                    (long long)hi);
        return false;
    }
    if (hi - lo > ((int64_t)1 << 24)) {
        tg_el_error(e, TG_D_TOO_LARGE, item->span,
                    "%lld elements at once are too many: loop over them in blocks",
                    (long long)(hi - lo));
        return false;
    }
    out->kind = TG_AT_RANGE;
    out->span = tg_el_range(e, tg_sy_int(e, lo), tg_sy_int(e, hi), hi - lo, item->span);
    out->shift = tg_sy_int(e, 0);
    out->sym = hi > lo ? tg_sy_pos(e, out->span, 0) : NULL;
    return true;
}

static const tg_val *ref_val(tg_elab *e, tg_ref *ref, tg_span where) {
    tg_val *v = tg_el_new(e, TG_VAL_REF, where);
    v->ref = ref;
    return v;
}

static bool has_tile_rank(const tg_ref *r) { return r->rank > 0; }

static const tg_val *index_ref(tg_elab *e, const tg_ref *from, const tg_index *items, int n,
                               tg_span where) {
    tg_ref *r = TG_NEW(e->a, tg_ref);
    *r = *from;
    int left = r->rank - r->n_at;
    for (int i = 0; i < n; i++) {
        if (items[i].kind == TG_INDEX_NEW) {
            tg_el_error(e, TG_D_SHAPE, items[i].span,
                        "`_` adds an axis to a value: read first, as in `x[i][:, _]`");
            return &tg_val_error;
        }
    }
    if (n != left || !has_tile_rank(from)) {
        tg_el_error(e, TG_D_SHAPE, where, "this tensor has %d ax%s to index and %d ind%s given",
                    left, left == 1 ? "is" : "es", n, n == 1 ? "ex is" : "ices are");
        return &tg_val_error;
    }
    for (int i = 0; i < n; i++) {
        tg_at *at = &r->at[r->n_at];
        *at = (tg_at){.where = items[i].span};
        if (items[i].kind == TG_INDEX_SLICE) {
            if (!at_range(e, &items[i], r->dims[r->n_at], at)) {
                return &tg_val_error;
            }
        } else {
            const tg_val *v = tg_el_expr(e, items[i].lo);
            if (tg_el_is_error(v) || !at_value(e, v, at)) {
                return &tg_val_error;
            }
        }
        r->n_at++;
    }
    r->indexed = true;
    return ref_val(e, r, where);
}

/* t.scale[:, 0] after t = c[rows] may index the field's own axis or the value's two: as many
 * indices as the field has axes left index the field; more of them, or a `_`, index the value that
 * is read. */
static bool indexes_ref(const tg_ref *r, const tg_index *items, int n) {
    bool fresh = false;
    for (int i = 0; i < n; i++) {
        fresh = fresh || items[i].kind == TG_INDEX_NEW;
    }
    return r->record != NULL || !r->indexed || (!fresh && n == r->rank - r->n_at);
}

const tg_val *tg_el_index(tg_elab *e, const tg_val *x, const tg_index *items, int n,
                          tg_span where) {
    if (x->kind == TG_VAL_REF && indexes_ref(x->ref, items, n)) {
        return index_ref(e, x->ref, items, n, where);
    }
    if (x->kind == TG_VAL_TUPLE) {
        int64_t i;
        if (n != 1 || items[0].kind != TG_INDEX_EXPR ||
            !tg_el_const_int(e, items[0].lo, "the number of a result", &i)) {
            return &tg_val_error;
        }
        if (i >= 0 && i < x->n) {
            return x->items[i];
        }
        tg_el_error(e, TG_D_SHAPE, where, "there are %d values here", x->n);
        return &tg_val_error;
    }
    x = tg_el_harden(e, tg_el_rvalue(e, x));
    if (x->kind != TG_VAL_TILE) {
        if (!tg_el_is_error(x)) {
            tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s has no axes to index",
                        tg_el_describe(e, x));
        }
        return &tg_val_error;
    }
    return tg_el_tile_index(e, x, items, n, where);
}

/* Field of a record element: a view of the tensor with the field's own axes behind. */
static const tg_val *ref_field(tg_elab *e, const tg_ref *from, tg_ident name, tg_span where) {
    const tg_record_field *f = tg_el_record_field(from->record, name.name);
    if (f == NULL) {
        tg_diag *d = tg_el_error(e, TG_D_UNKNOWN_NAME, name.span, "record `%s` has no field `%s`",
                                 from->record->decl->name.name, name.name);
        tg_note_add(e->sink, d, from->record->decl->head, "it is declared here");
        return &tg_val_error;
    }
    if (from->n_at < from->rank) {
        tg_el_error(e, TG_D_SHAPE, where, "index the records before selecting a field");
        return &tg_val_error;
    }
    tg_ref *r = TG_NEW(e->a, tg_ref);
    *r = *from;
    if (r->rank + f->rank > TG_MAX_RANK) {
        tg_el_error(e, TG_D_SHAPE, where, "more than %d axes", TG_MAX_RANK);
        return &tg_val_error;
    }
    for (int i = 0; i < f->rank; i++) {
        r->dims[r->rank++] = tg_sy_int(e, f->dims[i]);
    }
    const tg_type *t = tg_type_tensor(e->m, f->dtype, f->elem_bytes, r->rank, r->dims, false);
    tg_value *view = tg_build1(&e->b, TG_OP_VIEW, t, 1, from->tensor);
    tg_op_set_int(view->def, TG_ATTR_BYTES, f->offset_bytes);
    if (f->rank > 0) {
        tg_op_set_list(view->def, TG_ATTR_STRIDES, f->strides, (size_t)f->rank);
    }
    r->tensor = view;
    r->record = f->record;
    return ref_val(e, r, where);
}

static const tg_val *transposed(tg_elab *e, const tg_val *x, tg_span where) {
    x = tg_el_rvalue(e, x);
    if (tg_el_is_error(x)) {
        return x;
    }
    int r = tg_el_rank(x), perm[TG_MAX_RANK] = {0};
    if (r < 2) {
        tg_el_error(e, TG_D_SHAPE, where, ".T swaps the last two axes, and %s has %d",
                    tg_el_describe(e, x), r);
        return &tg_val_error;
    }
    for (int i = 0; i < r; i++) {
        perm[i] = i < r - 2 ? i : i == r - 2 ? r - 1 : r - 2;
    }
    return tg_el_permute(e, x, perm, where);
}

const tg_val *tg_el_field(tg_elab *e, const tg_val *x, tg_ident name, tg_span where) {
    if (tg_el_is_error(x)) {
        return x;
    }
    if (x->kind == TG_VAL_SPAN) {
        return span_field(e, x->span, name, where);
    }
    if (x->kind == TG_VAL_REF && x->ref->record != NULL) {
        return ref_field(e, x->ref, name, where);
    }
    if (x->kind == TG_VAL_TUPLE) {
        for (int i = 0; i < x->n && x->names != NULL; i++) {
            if (strcmp(x->names[i], name.name) == 0) {
                return x->items[i];
            }
        }
    }
    if (strcmp(name.name, "T") == 0) {
        return transposed(e, x, where);
    }
    tg_el_error(e, TG_D_UNKNOWN_NAME, name.span, "%s has no `%s`", tg_el_describe(e, x), name.name);
    return &tg_val_error;
}

/* ---- lowering a reference ------------------------------------------------------------------- */

typedef struct lowered {
    tg_value *index[TG_MAX_RANK];
    int64_t axes[TG_MAX_RANK * TG_MAX_RANK];
    int n_axes, rank;
    int64_t shape[TG_MAX_RANK];
    const tg_identity *id[TG_MAX_RANK];
    const tg_dim *sym[TG_MAX_RANK];       /* per tensor axis, over result axes */
    const tg_identity *span[TG_MAX_RANK]; /* unshifted */
    tg_preds preds;                       /* presence of what the indices select */
    tg_preds
        from_tiles; /* the part that the store itself does not check: presence of index tiles */
    bool scalar;
} lowered;

/* The result axis of an index axis: an existing one of the same span, or a new one. */
static int result_axis(lowered *l, const tg_identity *id, int64_t n) {
    for (int a = 0; a < l->rank && id != NULL && !id->is_range; a++) {
        if (l->id[a] == id && l->shape[a] == n) {
            return a;
        }
    }
    if (l->rank >= TG_MAX_RANK) {
        return -1;
    }
    l->id[l->rank] = id != NULL && id->is_range ? NULL : id;
    l->shape[l->rank] = n;
    return l->rank++;
}

static bool lower_span(tg_elab *e, const tg_at *at, const tg_dim *extent, int i, lowered *l,
                       tg_span where) {
    int a = result_axis(l, at->span, at->span->n);
    if (a < 0) {
        return false;
    }
    int64_t zero = 1;
    l->index[i] = tg_el_span_ir(e, at->span, at->shift, at->ir_shift);
    l->axes[l->n_axes++] = a;
    l->sym[i] = tg_sy_bin(e, TG_DIM_ADD, tg_sy_pos(e, at->span, a), at->shift);
    l->span[i] = tg_sy_const(at->shift, &zero) && zero == 0 ? at->span : NULL;
    const tg_pred *p = tg_pr_span(e, at->span, at->shift, at->ir_shift, extent, a, where);
    if (p != NULL) {
        tg_pr_add(e, &l->preds, p);
    }
    return true;
}

static bool lower_tile(tg_elab *e, const tg_at *at, const tg_dim *extent, int i, lowered *l,
                       tg_span where) {
    const tg_val *v = at->val;
    int map[TG_MAX_RANK] = {0}, rank = tg_el_rank(v);
    for (int k = 0; k < rank; k++) {
        map[k] = result_axis(l, v->id[k], tg_el_extent(v, k));
        if (map[k] < 0) {
            return false;
        }
        l->axes[l->n_axes++] = map[k];
    }
    l->index[i] = v->ir;
    l->sym[i] = v->sym == NULL ? NULL : tg_sy_remap(e, v->sym, map, rank);
    for (int k = 0; k < v->preds.n; k++) {
        const tg_pred *p = tg_pr_remap(e, v->preds.items[k], map);
        tg_pr_add(e, &l->preds, p);
        tg_pr_add(e, &l->from_tiles, p);
    }
    const tg_pred *p = tg_pr_index(e, v, extent, map, where);
    if (p != NULL) {
        tg_pr_add(e, &l->preds, p);
    }
    return true;
}

static bool lower_ref(tg_elab *e, const tg_ref *ref, lowered *l, tg_span where) {
    *l = (lowered){.scalar = true};
    if (ref->record != NULL) {
        tg_el_error(e, TG_D_NOT_A_VALUE, where, "a record is not a value: select a field of `%s`",
                    ref->record->decl->name.name);
        return false;
    }
    for (int i = 0; i < ref->rank; i++) {
        tg_at whole = {.where = where};
        const tg_at *at = &ref->at[i];
        if (i >= ref->n_at) { /* axes of the field that were not indexed */
            tg_index all = {.kind = TG_INDEX_SLICE, .span = where};
            if (!at_range(e, &all, ref->dims[i], &whole)) {
                return false;
            }
            at = &whole;
        }
        bool ok = at->kind == TG_AT_SPAN || at->kind == TG_AT_RANGE
                      ? lower_span(e, at, ref->dims[i], i, l, where)
                      : lower_tile(e, at, ref->dims[i], i, l, where);
        l->scalar = l->scalar && at->kind == TG_AT_SCALAR;
        if (!ok) {
            tg_el_error(e, TG_D_SHAPE, where, "a tile has at most %d axes", TG_MAX_RANK);
            return false;
        }
    }
    bool empty = tg_el_ref_empty(e, ref);
    return empty || tg_el_fits(e, l->rank, l->shape, where);
}

bool tg_el_ref_empty(tg_elab *e, const tg_ref *ref) {
    (void)e;
    for (int i = 0; i < ref->n_at; i++) {
        if (ref->at[i].kind == TG_AT_RANGE && ref->at[i].span->n == 0) {
            return true;
        }
    }
    return false;
}

static void record_access(tg_elab *e, const tg_ref *ref, const lowered *l, bool write,
                          bool disjoint, bool atomic, tg_span where) {
    tg_access a = {.param = ref->param,
                   .write = write,
                   .disjoint = disjoint,
                   .atomic = atomic,
                   .n_at = ref->rank,
                   .rank = l->rank,
                   .where = where};
    memcpy(a.shape, l->shape, sizeof(a.shape));
    for (int i = 0; i < ref->rank; i++) {
        a.sym[i] = l->sym[i];
        a.span[i] = l->span[i];
    }
    TG_LIST_PUSH(e->a, &e->accesses, a);
}

/* ---- load ----------------------------------------------------------------------------------- */

static bool narrow_int(tg_dtype t) {
    return tg_dtype_is_int(t) && t != TG_DT_I64 && t != TG_DT_U64;
}

static bool readable(tg_elab *e, const tg_ref *ref, tg_span where) {
    unsigned flags = e->params[ref->param].flags;
    if ((flags & TG_PARAM_OUT) == 0 || (flags & TG_PARAM_INIT) != 0) {
        return true;
    }
    tg_diag *d =
        tg_el_error(e, TG_D_READ_ONLY, where, "`%s` is an output: it holds nothing to read",
                    e->params[ref->param].name);
    tg_note_add(e->sink, d, e->params[ref->param].span,
                "declare it `inout` to read what is there, or give it `init v`");
    return false;
}

const tg_val *tg_el_load(tg_elab *e, const tg_ref *ref, tg_span where) {
    lowered l;
    if (!readable(e, ref, where)) {
        return &tg_val_error;
    }
    if (tg_el_ref_empty(e, ref)) {
        tg_el_error(e, TG_D_SHAPE, where, "this range is empty");
        return &tg_val_error;
    }
    if (!lower_ref(e, ref, &l, where)) {
        return &tg_val_error;
    }
    tg_value *ir = tg_build_load(&e->b, ref->tensor, ref->rank, l.index, l.rank, l.shape, l.n_axes,
                                 l.axes, NULL);
    tg_val *r = tg_el_tile(e, ir, where);
    memcpy(r->id, l.id, sizeof(r->id));
    record_access(e, ref, &l, false, false, false, where);
    bool fixed = !e->written[ref->param] && (e->params[ref->param].flags & TG_PARAM_ALIAS) == 0;
    tg_dtype t = ir->type->dtype;
    if (fixed && tg_dtype_is_int(t) && ref->tensor == e->args[ref->param]) {
        r->sym = tg_sy_read(e, ref->param, l.sym, ref->rank, !l.scalar || l.preds.n == 0);
    }
    if (!l.scalar) {
        r->preds = l.preds;
        return r;
    }
    /* A lone scalar: 0 outside, an index-sized integer; only else and exists may ask. */
    if (narrow_int(t) && !tg_dtype_is_storage(t)) {
        r->ir = tg_build_cast(&e->b, ir, TG_DT_I64);
    }
    if (r->sym == NULL && tg_dtype_is_int(t)) {
        r->sym = tg_sy_value(e, r->ir);
    }
    for (int i = 0; i < l.preds.n; i++) {
        tg_pred *p = TG_NEW(e->a, tg_pred);
        *p = *l.preds.items[i];
        p->soft = true;
        p->where = where;
        tg_pr_add(e, &r->preds, p);
    }
    return r;
}

/* ---- store ---------------------------------------------------------------------------------- */

static bool writable(tg_elab *e, const tg_ref *ref, tg_span where) {
    if ((e->params[ref->param].flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) != 0) {
        return true;
    }
    tg_diag *d =
        tg_el_error(e, TG_D_READ_ONLY, where, "`%s` is an input", e->params[ref->param].name);
    tg_note_add(e->sink, d, e->params[ref->param].span, "declare it `out` or `inout`");
    return false;
}

/* The value in the target's type: exact widening and index integers only; the rest needs `as`. */
static const tg_val *stored_type(tg_elab *e, const tg_val *v, tg_dtype t, tg_span where) {
    if (tg_el_is_const(v)) {
        v = tg_el_adapt(e, v, t);
        return v == NULL ? &tg_val_error : v;
    }
    tg_dtype f = tg_el_dtype(v);
    if (f == t) {
        return v;
    }
    bool wider_float = tg_dtype_is_float(f) && (t == TG_DT_F32 ? f != TG_DT_F64 : t == TG_DT_F64);
    bool wider_int = tg_dtype_is_int(f) && tg_dtype_is_int(t) &&
                     tg_dtype_bits(t) > tg_dtype_bits(f) &&
                     (tg_dtype_is_signed(t) || !tg_dtype_is_signed(f));
    bool index = f == TG_DT_I64 && tg_dtype_is_int(t) && !tg_dtype_is_storage(t);
    if (wider_float || wider_int || index) {
        return tg_el_cast(e, v, t, TG_ROUND_RNE, index, where);
    }
    tg_diag *d = tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s is stored into %s",
                             tg_el_describe(e, v), tg_dtype_name(t));
    tg_note_add(e->sink, d, v->where, "say how: `as %s`", tg_dtype_name(t));
    return &tg_val_error;
}

/* Fits a value to the shape of the target; scalars spread. */
static const tg_val *stored_shape(tg_elab *e, const tg_val *v, const lowered *l, tg_span where) {
    int r = tg_el_rank(v);
    bool fits = r == 0 || r == l->rank;
    for (int a = 0; a < r && fits; a++) {
        fits = tg_el_extent(v, a) == l->shape[a];
        if (fits && v->id[a] != NULL && l->id[a] != NULL && v->id[a] != l->id[a]) {
            tg_diag *d =
                tg_el_error(e, TG_D_ALIGNMENT, where,
                            "axis %d of the value runs along `%s`, that of the target along `%s`",
                            a, tg_el_span_name(e, v->id[a]), tg_el_span_name(e, l->id[a]));
            tg_note_add(e->sink, d, v->where,
                        "transpose the value with .T, or take it out of its span with `anon(..)`");
            return &tg_val_error;
        }
    }
    if (!fits) {
        tg_val t = {.kind = TG_VAL_TILE};
        const tg_type *type = tg_type_tile(e->m, tg_el_dtype(v), l->rank, l->shape);
        tg_value ir = {.type = type};
        t.ir = &ir;
        tg_el_error(e, TG_D_SHAPE, where, "%s does not fit a target of %s", tg_el_describe(e, v),
                    tg_el_describe(e, &t));
        return &tg_val_error;
    }
    return tg_el_broadcast(e, v, l->rank, l->shape, where);
}

/* R9: what the value may lack where the target exists. */
static bool store_presence(tg_elab *e, const tg_val *v, const lowered *l, tg_preds *chosen,
                           tg_span where) {
    bool ok = true;
    tg_preds picked = {NULL, 0};
    for (int i = 0; i < v->preds.n; i++) {
        if (v->preds.items[i]->chosen) {
            tg_pr_add(e, &picked, v->preds.items[i]);
        }
    }
    for (int i = 0; i < v->preds.n; i++) {
        const tg_pred *p = v->preds.items[i];
        if (tg_pr_implied(e, &l->preds, p)) {
            continue;
        }
        if (p->chosen || tg_pr_implied(e, &picked, p)) {
            tg_pr_add(e, chosen, p);
            continue;
        }
        tg_diag *d = tg_el_error(e, TG_D_MAYBE_ABSENT, where, "the target stays unwritten where %s",
                                 tg_pr_words(e, p));
        tg_note_add(
            e->sink, d, v->where,
            "say what to store there with `else`, or that nothing is stored with `if exists(..)`");
        ok = false;
    }
    return ok;
}

static bool masked_value(tg_elab *e, const tg_val **v, const lowered *l, const tg_val *mask,
                         tg_value **out, tg_span where) {
    if (mask != NULL) {
        *v = tg_el_if(e, *v, mask, where);
        if (tg_el_is_error(*v)) {
            return false;
        }
        *v = stored_shape(e, *v, l, where);
        if (tg_el_is_error(*v)) {
            return false;
        }
    }
    tg_preds chosen = {NULL, 0};
    if (!store_presence(e, *v, l, &chosen, where)) {
        return false;
    }
    tg_pr_join(e, &chosen, &l->from_tiles);
    *out = tg_pr_conj(e, &chosen, l->rank, l->shape);
    return true;
}

/* A box that this store certainly writes, if the proof can use it (cover.c). */
static void note_box(tg_elab *e, const tg_ref *ref, const lowered *l, bool masked) {
    tg_box b = {.param = ref->param, .n_at = ref->rank};
    tg_loop *open[TG_MAX_RANK];
    const tg_dim *used[TG_MAX_RANK];
    int n_open = 0, n_used = 0;
    for (tg_loop *p = e->loops; p != NULL; p = p->up) {
        const tg_dim *trips =
            p->lo == NULL
                ? NULL
                : tg_sy_bin(e, TG_DIM_SUB, tg_sy_bin(e, TG_DIM_SUB, p->hi, p->lo), tg_sy_int(e, 1));
        if (trips != NULL && tg_sy_nonneg(e, trips)) {
            continue;
        }
        if (trips == NULL || n_open == TG_MAX_RANK) {
            return;
        }
        open[n_open++] = p;
    }
    if (masked || ref->tensor != e->args[ref->param]) {
        return;
    }
    for (int i = 0; i < ref->rank; i++) {
        const tg_dim *ext = ref->dims[i], *zero = tg_sy_int(e, 0), *sym = l->sym[i];
        const tg_identity *s = l->span[i];
        int64_t lo, hi;
        if (s != NULL && s->is_range && tg_sy_const(s->lo, &lo) && tg_sy_const(s->hi, &hi)) {
            b.lo[i] = lo;
            b.hi[i] = hi;
            b.all[i] = lo <= 0 && tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, s->hi, ext));
            continue;
        }
        const tg_dim *range_lo = NULL, *range_hi = NULL, *atom = NULL;
        int64_t c = 0;
        const tg_dim *rest;
        if (s != NULL && (s->grid_axis >= 0 || s->loop >= 0)) {
            range_lo = s->lo;
            range_hi = s->hi;
            atom = s->start;
        } else if (s != NULL &&
                   s->start != NULL) { /* span(c*g .. c*g + n, n) over a scalar grid axis */
            for (int g = 0; g < e->n_grid && range_lo == NULL; g++) {
                int64_t len;
                if (tg_sy_linear(e, s->start, e->grid_atom[g], &c, &rest) && c > 0 &&
                    rest == zero && tg_sy_atom(e, e->grid_atom[g])->step == 1 && s->n >= c &&
                    tg_sy_const(tg_sy_bin(e, TG_DIM_SUB, s->hi, s->start), &len) && len >= c) {
                    range_lo = zero;
                    range_hi = tg_sy_bin(e, TG_DIM_MUL, e->grid_extent[g], tg_sy_int(e, c));
                    atom = e->grid_atom[g];
                }
                bool quotient = s->start->code == TG_DIM_DIV && s->start->a == e->grid_atom[g] &&
                                tg_sy_const(s->start->b, &c) && c > 0;
                if (s->start == e->grid_atom[g]) {
                    quotient = true;
                    c = 1;
                }
                if (quotient && tg_sy_atom(e, e->grid_atom[g])->step % c == 0 &&
                    s->n * c >= tg_sy_atom(e, e->grid_atom[g])->step && s->full) {
                    range_lo = zero; /* span(i.start / c .., n / c): one for every c positions */
                    range_hi = tg_sy_bin(e, TG_DIM_CDIV, e->grid_extent[g], tg_sy_int(e, c));
                    atom = e->grid_atom[g];
                }
            }
        } else if (sym != NULL && sym->code == TG_DIM_SYM && tg_sy_atom(e, sym) != NULL) {
            const tg_atom *a = tg_sy_atom(e, sym);
            if (a->kind == TG_ATOM_GRID && a->step == 1) {
                range_lo = zero;
                range_hi = e->grid_extent[a->index];
            }
            for (tg_loop *p = e->loops; p != NULL && a->kind == TG_ATOM_LOOP; p = p->up) {
                if (p->atom == sym && a->step == 1) {
                    range_lo = p->lo;
                    range_hi = p->hi;
                }
            }
            atom = sym;
        } else if (sym != NULL && tg_sy_const(sym, &lo)) {
            b.lo[i] = lo;
            b.hi[i] = lo + 1;
            b.all[i] = lo == 0 && tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, tg_sy_int(e, 1), ext));
            continue;
        }
        if (range_lo == NULL || !tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, zero, range_lo)) ||
            !tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, range_hi, ext))) {
            return;
        }
        for (int k = 0; k < n_used; k++) {
            if (used[k] == atom) {
                return; /* y[i, i] runs along the diagonal only */
            }
        }
        used[n_used++] = atom;
        b.all[i] = true;
        for (int k = 0; k < n_open; k++) {
            if (open[k]->atom == atom) {
                open[k] = open[--n_open];
            }
        }
    }
    for (int g = 0; g < e->n_grid;
         g++) { /* nor is there a program at all along an empty grid axis */
        bool covers = false;
        for (int k = 0; k < n_used; k++) {
            covers = covers || used[k] == e->grid_atom[g];
        }
        if (!covers &&
            !tg_sy_nonneg(e, tg_sy_bin(e, TG_DIM_SUB, e->grid_extent[g], tg_sy_int(e, 1)))) {
            return;
        }
    }
    if (n_open == 0) { /* every loop that may not run at all runs along a covered axis */
        TG_LIST_PUSH(e->a, &e->boxes, b);
    }
}

void tg_el_store(tg_elab *e, const tg_ref *ref, const tg_val *value, const tg_val *mask,
                 bool disjoint, tg_span where) {
    lowered l;
    if (!ref->indexed && ref->rank > 0) {
        tg_el_error(e, TG_D_NOT_A_VALUE, where,
                    "index the tensor to say which elements are written");
        return;
    }
    if (!writable(e, ref, where) || !lower_ref(e, ref, &l, where)) {
        return;
    }
    const tg_val *v = tg_el_rvalue(e, value);
    if (tg_el_is_error(v)) {
        return;
    }
    if (!tg_el_is_const(v) && v->kind != TG_VAL_TILE) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "%s cannot be stored", tg_el_describe(e, v));
        return;
    }
    v = stored_type(e, v, ref->tensor->type->dtype, where);
    if (tg_el_is_error(v)) {
        return;
    }
    v = stored_shape(e, v, &l, where);
    tg_value *m = NULL;
    if (tg_el_is_error(v) || !masked_value(e, &v, &l, mask, &m, where)) {
        return;
    }
    tg_op *op = tg_build_store(&e->b, ref->tensor, v->ir, ref->rank, l.index, l.n_axes, l.axes, m);
    if (disjoint) {
        tg_op_set_int(op, TG_ATTR_DISJOINT, 1);
    }
    record_access(e, ref, &l, true, disjoint, false, where);
    note_box(e, ref, &l, m != NULL);
}

/* ---- atomics -------------------------------------------------------------------------------- */

const tg_val *tg_el_atomic(tg_elab *e, const tg_ref *ref, const tg_atomic_args *args,
                           tg_span where) {
    lowered l;
    if (!writable(e, ref, where) || !lower_ref(e, ref, &l, where)) {
        return &tg_val_error;
    }
    if (!readable(e, ref, where)) {
        return &tg_val_error;
    }
    const tg_type *t = ref->tensor->type;
    if (tg_dtype_is_storage(t->dtype) || t->dtype == TG_DT_BOOL) {
        tg_el_error(e, TG_D_TYPE_MISMATCH, where, "there is no atomic operation on %s",
                    tg_dtype_name(t->dtype));
        return &tg_val_error;
    }
    if (tg_dtype_is_float(t->dtype) && args->kind == TG_ATOMIC_ADD && !args->unordered) {
        tg_diag *d = tg_el_error(e, TG_D_FLOAT_ATOMIC, where,
                                 "float addition in any order gives other bits from run to run");
        tg_note_add(e->sink, d, where, "say `atomic unordered add(..)` to accept that");
        return &tg_val_error;
    }
    const tg_val *in[2] = {args->value, args->expected};
    tg_value *operands[TG_MAX_RANK + 5] = {ref->tensor}, *mask = NULL;
    int n = 1, n_in = args->expected != NULL ? 2 : 1;
    for (int i = 0; i < n_in; i++) {
        const tg_val *v = tg_el_rvalue(e, in[i]);
        v = tg_el_is_error(v) ? v : stored_type(e, v, t->dtype, where);
        v = tg_el_is_error(v) ? v : stored_shape(e, v, &l, where);
        tg_value *m = NULL;
        if (tg_el_is_error(v) || !masked_value(e, &v, &l, NULL, &m, where)) {
            return &tg_val_error;
        }
        mask = mask == NULL             ? m
               : m == NULL || m == mask ? mask
                                        : tg_build_binary(&e->b, TG_OP_AND, mask, m);
        operands[n++] = v->ir;
    }
    for (int i = 0; i < ref->rank; i++) {
        operands[n++] = l.index[i];
    }
    if (mask != NULL) {
        operands[n++] = mask;
    }
    const tg_type *type = tg_type_tile(e->m, t->dtype, l.rank, l.shape);
    tg_op *op = tg_build_op(&e->b, TG_OP_ATOMIC, n, operands, 1, &type, 0);
    tg_op_set_int(op, TG_ATTR_ATOMIC, args->kind);
    tg_op_set_list(op, TG_ATTR_AXES, l.axes, (size_t)l.n_axes);
    if (mask != NULL) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    if (args->unordered) {
        tg_op_set_int(op, TG_ATTR_UNORDERED, 1);
    }
    if (args->scope != NULL) {
        tg_op_set_str(op, TG_ATTR_SCOPE, args->scope);
    }
    record_access(e, ref, &l, true, true, true, where);
    tg_val *r = tg_el_tile(e, &op->results[0], where);
    memcpy(r->id, l.id, sizeof(r->id));
    r->preds = l.preds;
    if (l.scalar && narrow_int(t->dtype)) {
        r->ir = tg_build_cast(&e->b, r->ir, TG_DT_I64);
        r->preds = (tg_preds){NULL, 0};
    }
    return r;
}
