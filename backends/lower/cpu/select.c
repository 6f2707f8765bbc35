/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operations that look at elements one after the other: scan, sort, top-k, ranks, compress,
 * histogram, scatter_add, atomics, and reductions with a state that is more than a running value
 * (argmin, argmax, the user's). Scalar loops over the axis, one for every position of the others.
 *
 * Sorting works on keys: u64 integers whose order is the language's (NaN above +inf, -0 below +0;
 * complemented for descending order), moved together with i32 positions by a bottom-up merge, which
 * is stable. Absent elements are set aside first and appended behind.
 */
#include "backends/lower/cpu/lower.h"

bool tg_is_select_op(tg_opcode code) {
    return code == TG_OP_SCAN || code == TG_OP_SORT || code == TG_OP_TOPK ||
           code == TG_OP_RANK_BY_KEY || code == TG_OP_COMPRESS || code == TG_OP_HISTOGRAM ||
           code == TG_OP_SCATTER_ADD || code == TG_OP_ATOMIC;
}

/* ---- small helpers
 * ---------------------------------------------------------------------------------------- */

static tg_builder *at(tg_ctx *x) { return &x->bl[x->depth]; }

static tg_value *ix(tg_ctx *x, int64_t v) { return tg_build_index(at(x), v); }

static tg_value *add(tg_ctx *x, tg_value *a, tg_value *b) {
    return tg_build_binary(at(x), TG_OP_ADD, a, b);
}

static const tg_type *scalar_type(tg_ctx *x, tg_dtype t) { return tg_loop_type(x->L, t, 1); }

static tg_coord coord(tg_ctx *x, tg_value *v) {
    return (tg_coord){.v = v, .level = x->depth, .align = 1};
}

static tg_value *mask_operand(const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) ? tg_operand(op, op->n_operands - 1) : NULL;
}

/* Is element c present? NULL mask: constant true. */
static tg_value *present_at(tg_ctx *x, tg_value *mask, const tg_coord *c, int axis) {
    if (mask == NULL) {
        return tg_build_bool(at(x), true);
    }
    return tg_elem(x, mask, mask->type->rank == 1 ? c + axis : c).v;
}

/* Positions of the axis that can be present: all, or the mask's prefix. */
static tg_value *axis_trip(tg_lower *L, tg_value *mask, int axis, int64_t extent) {
    tg_value *span = mask == NULL ? NULL : tg_mask_span(L, mask, mask->type->rank == 1 ? 0 : axis);
    tg_need need = {.kind = TG_NEED_FULL};
    if (span != NULL && !tg_span_is_full(span)) {
        need = (tg_need){.kind = TG_NEED_SPAN, .span = span};
    }
    return tg_trip(L, extent, &need);
}

/* Opens loops over all axes but `axis`; c gets their coordinates. `first_trip` replaces the extent
 * of axis 0 when not NULL. */
static int open_axes(tg_ctx *x, const tg_type *t, int axis, tg_value *first_trip, tg_coord *c,
                     tg_op **loops) {
    int n = 0;
    for (int k = 0; k < t->rank; k++) {
        if (k != axis) {
            tg_value *iv, *trip = k == 0 && first_trip != NULL ? first_trip : ix(x, t->shape[k]);
            loops[n++] = tg_ctx_open(x, ix(x, 0), trip, 1, 0, NULL, &iv);
            c[k] = coord(x, iv);
        }
    }
    return n;
}

static int open_others(tg_ctx *x, const tg_type *t, int axis, tg_coord *c, tg_op **loops) {
    return open_axes(x, t, axis, NULL, c, loops);
}

static void close_others(tg_ctx *x, int n, tg_op **loops) {
    for (int i = n - 1; i >= 0; i--) {
        tg_ctx_close(x, loops[i], 0, NULL);
    }
}

static void write_at(tg_ctx *x, tg_value *dest, const tg_coord *c, tg_value *v) {
    if (tg_info(x->L, dest)->kind == TG_V_BUFFER) {
        tg_buffer_write(x, dest, c, (tg_ev){.v = v, .level = x->depth});
    }
}

static tg_value *load_at(tg_ctx *x, tg_value *base, tg_value *i, tg_dtype t) {
    tg_value *p = tg_build_gep(at(x), base, i, tg_scratch_elem_bytes(t));
    return tg_build_loadm(at(x), scalar_type(x, t), p, 0);
}

static void store_at(tg_ctx *x, tg_value *base, tg_value *i, tg_dtype t, tg_value *v) {
    tg_build_storem(at(x), tg_build_gep(at(x), base, i, tg_scratch_elem_bytes(t)), v, 0);
}

static tg_value *select(tg_ctx *x, tg_value *c, tg_value *a, tg_value *b) {
    return tg_build_select(at(x), c, a, b);
}

/* if (cond) around what is emitted until end_when. */
static tg_op *when(tg_ctx *x, tg_value *cond) { return tg_build_if(at(x), cond, 0, NULL); }

static void end_when(tg_ctx *x, tg_op *branch) {
    tg_build_else(at(x), branch, 0, NULL);
    tg_build_end_if(at(x), branch, 0, NULL);
}

/* Zeroes a whole buffer. */
static void clear_buffer(tg_ctx *x, const tg_value *v) {
    tg_value *ops[3] = {tg_buffer_ptr(x->L, at(x), v),
                        tg_build_int(at(x), scalar_type(x, TG_DT_U8), 0),
                        ix(x, tg_info(x->L, v)->bytes)};
    tg_build_op(at(x), TG_OP_MEMSET, 3, ops, 0, NULL, 0);
}

/* ---- scan
 * ----------------------------------------------------------------------------------------------------
 */

static void emit_scan(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *r = &op->results[0], *mask = mask_operand(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    tg_reduce_kind kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0);
    bool exclusive = tg_attr_int(op, TG_ATTR_EXCL, 0) != 0;
    tg_dtype t = v->type->dtype, w = tg_dtype_arith(t);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    int n = open_others(&x, v->type, axis, c, loops);
    tg_value *acc = tg_reduce_identity(L, at(&x), kind, t, 1), *iv;
    tg_value *identity = acc;
    tg_op *loop = tg_ctx_open(&x, ix(&x, 0), ix(&x, v->type->shape[axis]), 1, 1, &acc, &iv);
    c[axis] = coord(&x, iv);
    tg_value *e = tg_expand_convert(at(&x), L->mc, tg_elem(&x, v, c).v, t, w, TG_ROUND_RNE, false);
    if (mask != NULL) {
        e = select(&x, present_at(&x, mask, c, axis), e, identity);
    }
    tg_value *next = tg_reduce_step(L, at(&x), kind, w, acc, e);
    tg_value *out = tg_expand_convert(at(&x), L->mc, exclusive ? acc : next, w, r->type->dtype,
                                      TG_ROUND_RNE, false);
    write_at(&x, r, c, out);
    tg_ctx_close(&x, loop, 1, &next);
    close_others(&x, n, loops);
    tg_ctx_end(&x);
}

/* ---- sorting
 * ---------------------------------------------------------------------------------------------------
 */

/* u64 key of an element whose unsigned order is the language's ascending order. */
static tg_value *sort_key(tg_ctx *x, tg_value *v, tg_dtype t, bool descending) {
    tg_builder *b = at(x);
    const tg_type *u64 = scalar_type(x, TG_DT_U64);
    tg_value *key;
    if (tg_dtype_is_float(t)) {
        if (tg_dtype_is_storage(t)) {
            v = tg_expand_convert(b, x->L->mc, v, t, TG_DT_F32, TG_ROUND_RNE, false);
        }
        bool wide = t == TG_DT_F64;
        tg_value *nan = tg_build_cmp(b, TG_CMP_NE, v, v);
        tg_value *bits = tg_build_bitcast(b, v, wide ? TG_DT_U64 : TG_DT_U32);
        int64_t top = wide ? INT64_MIN : (int64_t)1 << 31;
        tg_value *sign = tg_build_int(b, bits->type, top);
        tg_value *negative = tg_build_cmp(b, TG_CMP_GE, bits, sign);
        key = tg_build_select(b, negative, tg_build_unary(b, TG_OP_NOT, bits),
                              tg_build_binary(b, TG_OP_OR, bits, sign));
        key = tg_build_cast(b, key, TG_DT_U64);
        key = tg_build_select(b, nan, tg_build_int(b, u64, -1), key);
    } else {
        tg_dtype w = tg_dtype_is_signed(t) ? TG_DT_I64 : TG_DT_U64;
        key = tg_expand_convert(b, x->L->mc, v, t, w, TG_ROUND_RNE, false);
        if (w == TG_DT_I64) {
            key = tg_build_bitcast(b, key, TG_DT_U64);
            key = tg_build_binary(b, TG_OP_XOR, key, tg_build_int(b, u64, INT64_MIN));
        }
    }
    return descending ? tg_build_unary(b, TG_OP_NOT, key) : key;
}

typedef struct keyed {
    tg_value *keys[2], *index[2]; /* ping and pong */
    tg_value *count;
} keyed;

static keyed take_keyed(tg_lower *L, int64_t n) {
    keyed k;
    for (int i = 0; i < 2; i++) {
        k.keys[i] = tg_scratch_take(&L->scratch, &L->b, (n + 8) * 8);
        k.index[i] = tg_scratch_take(&L->scratch, &L->b, (n + 8) * 4);
    }
    k.count = NULL;
    return k;
}

/* Collects the present elements of a row with their keys; absent positions go behind `extent - 1`
 * downwards, in reverse order. */
static void collect_keys(tg_ctx *x, keyed *k, tg_value *v, tg_value *mask, tg_coord *c, int axis,
                         tg_value *trip, bool descending) {
    tg_value *count = ix(x, 0), *iv;
    tg_value *last = ix(x, v->type->shape[axis] - 1);
    tg_op *loop = tg_ctx_open(x, ix(x, 0), trip, 1, 1, &count, &iv);
    c[axis] = coord(x, iv);
    tg_value *on = present_at(x, mask, c, axis);
    tg_value *key = sort_key(x, tg_elem(x, v, c).v, v->type->dtype, descending);
    tg_value *absent_at =
        tg_build_binary(at(x), TG_OP_SUB, last, tg_build_binary(at(x), TG_OP_SUB, iv, count));
    tg_value *place = mask == NULL ? iv : select(x, on, count, absent_at);
    store_at(x, k->keys[0], place, TG_DT_U64, key);
    store_at(x, k->index[0], place, TG_DT_I32, tg_build_cast(at(x), iv, TG_DT_I32));
    tg_value *next = add(x, count, tg_build_cast(at(x), on, TG_DT_I64));
    tg_ctx_close(x, loop, 1, &next);
    k->count = next;
}

/* One merge of the runs [lo, mid) and [mid, hi) of k's `from` side into `to`. */
static void merge_runs(tg_ctx *x, const keyed *k, tg_value *const *from, tg_value *const *to,
                       tg_value *lo, tg_value *mid, tg_value *hi) {
    tg_value *state[2] = {lo, mid}, *out;
    (void)k;
    tg_op *loop = tg_ctx_open(x, lo, hi, 1, 2, state, &out);
    tg_builder *b = at(x);
    tg_value *one = ix(x, 1);
    tg_value *i = tg_build_binary(b, TG_OP_MIN, state[0], tg_build_binary(b, TG_OP_SUB, mid, one));
    tg_value *j = tg_build_binary(b, TG_OP_MIN, state[1], tg_build_binary(b, TG_OP_SUB, hi, one));
    tg_value *ki = load_at(x, from[0], i, TG_DT_U64), *kj = load_at(x, from[0], j, TG_DT_U64);
    tg_value *left_open = tg_build_cmp(b, TG_CMP_LT, state[0], mid);
    tg_value *right_done = tg_build_cmp(b, TG_CMP_GE, state[1], hi);
    tg_value *le = tg_build_binary(b, TG_OP_OR, right_done, tg_build_cmp(b, TG_CMP_LE, ki, kj));
    tg_value *left = tg_build_binary(b, TG_OP_AND, left_open, le);
    tg_value *src = select(x, left, i, j);
    store_at(x, to[0], out, TG_DT_U64, select(x, left, ki, kj));
    store_at(x, to[1], out, TG_DT_I32, load_at(x, from[1], src, TG_DT_I32));
    tg_value *step = tg_build_cast(b, left, TG_DT_I64);
    tg_value *next[2] = {add(x, state[0], step),
                         add(x, state[1], tg_build_binary(b, TG_OP_SUB, one, step))};
    tg_ctx_close(x, loop, 2, next);
}

/* Sorts k's first `count` entries; the result lies on side 0. Widths double; the number of passes
 * is fixed by the extent, so a static ping-pong ends on a known side. */
static void merge_sort(tg_ctx *x, keyed *k, int64_t extent) {
    int side = 0;
    for (int64_t width = 1; width < extent; width *= 2) {
        side ^= 1;
    }
    if (side == 1) { /* odd number of passes: start from side 1 */
        for (int s = 0; s < 2; s++) {
            tg_value *ops[3] = {s == 0 ? k->keys[1] : k->index[1],
                                s == 0 ? k->keys[0] : k->index[0],
                                tg_build_binary(at(x), TG_OP_MUL, k->count, ix(x, s == 0 ? 8 : 4))};
            tg_build_op(at(x), TG_OP_MEMCPY, 3, ops, 0, NULL, 0);
        }
    }
    for (int64_t width = 1; width < extent; width *= 2) {
        tg_value *from[2] = {k->keys[side], k->index[side]};
        tg_value *to[2] = {k->keys[side ^ 1], k->index[side ^ 1]}, *lo;
        tg_op *loop = tg_ctx_open(x, ix(x, 0), k->count, 2 * width, 0, NULL, &lo);
        tg_value *mid = tg_build_binary(at(x), TG_OP_MIN, add(x, lo, ix(x, width)), k->count);
        tg_value *hi = tg_build_binary(at(x), TG_OP_MIN, add(x, lo, ix(x, 2 * width)), k->count);
        merge_runs(x, k, from, to, lo, mid, hi);
        tg_ctx_close(x, loop, 0, NULL);
        side ^= 1;
    }
}

static void emit_sort(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *mask = mask_operand(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    bool descending = tg_attr_int(op, TG_ATTR_DESC, 0) != 0;
    int64_t extent = v->type->shape[axis], mark = L->scratch.used;
    keyed k = take_keyed(L, extent);
    tg_value *full = tg_build_index(&L->b, extent);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    int n = open_others(&x, v->type, axis, c, loops);
    tg_value *trip = mask == NULL ? full : axis_trip(L, mask, axis, extent);
    collect_keys(&x, &k, v, mask, c, axis, trip, descending);
    merge_sort(&x, &k, extent);
    tg_value *iv;
    /* Present ones in order, then the absent ones (they were stored backwards). */
    tg_op *loop = tg_ctx_open(&x, ix(&x, 0), trip, 1, 0, NULL, &iv);
    tg_value *is_present = tg_build_cmp(at(&x), TG_CMP_LT, iv, k.count);
    tg_value *back = tg_build_binary(at(&x), TG_OP_SUB, ix(&x, extent - 1),
                                     tg_build_binary(at(&x), TG_OP_SUB, iv, k.count));
    tg_value *place = mask == NULL ? iv : select(&x, is_present, iv, back);
    tg_value *src = tg_build_cast(at(&x), load_at(&x, k.index[0], place, TG_DT_I32), TG_DT_I64);
    tg_coord from[TG_MAX_RANK];
    for (int a = 0; a < v->type->rank; a++) {
        from[a] = c[a];
    }
    from[axis] = coord(&x, src);
    c[axis] = coord(&x, iv);
    for (int r = 0; r < op->n_results; r++) {
        write_at(&x, &op->results[r], c, tg_elem(&x, tg_operand(op, r), from).v);
    }
    tg_ctx_close(&x, loop, 0, NULL);
    close_others(&x, n, loops);
    tg_ctx_end(&x);
    L->scratch.used = mark;
}

/* Small k: a sorted list of the best keys, each element inserted from below when it beats the last.
 */
static void insert_best(tg_ctx *x, keyed *k, int64_t want, tg_value *key, tg_value *index) {
    tg_value *worst = load_at(x, k->keys[0], ix(x, want - 1), TG_DT_U64);
    tg_op *branch = when(x, tg_build_cmp(at(x), TG_CMP_LT, key, worst));
    tg_value *iv, *place = ix(x, 0);
    /* position: how many listed keys are <= key (earlier elements win ties) */
    tg_op *find = tg_ctx_open(x, ix(x, 0), ix(x, want), 1, 1, &place, &iv);
    tg_value *le = tg_build_cmp(at(x), TG_CMP_LE, load_at(x, k->keys[0], iv, TG_DT_U64), key);
    place = add(x, place, tg_build_cast(at(x), le, TG_DT_I64));
    tg_ctx_close(x, find, 1, &place);
    tg_value *moves = tg_build_binary(at(x), TG_OP_SUB, ix(x, want - 1), place);
    tg_op *shift = tg_ctx_open(x, ix(x, 0), moves, 1, 0, NULL, &iv);
    tg_value *to = tg_build_binary(at(x), TG_OP_SUB, ix(x, want - 1), iv);
    tg_value *from = tg_build_binary(at(x), TG_OP_SUB, to, ix(x, 1));
    store_at(x, k->keys[0], to, TG_DT_U64, load_at(x, k->keys[0], from, TG_DT_U64));
    store_at(x, k->index[0], to, TG_DT_I32, load_at(x, k->index[0], from, TG_DT_I32));
    tg_ctx_close(x, shift, 0, NULL);
    store_at(x, k->keys[0], place, TG_DT_U64, key);
    store_at(x, k->index[0], place, TG_DT_I32, index);
    end_when(x, branch);
}

/* Keys are descending-order keys, so the best are the smallest; u64 all-ones marks a free entry,
 * and is itself the key of the worst value (-inf has a larger pattern than any number, never all
 * ones). */
static void best_by_insertion(tg_ctx *x, keyed *k, tg_value *v, tg_value *mask, tg_coord *c,
                              int axis, tg_value *trip, int64_t want) {
    tg_value *iv, *count = ix(x, 0);
    tg_op *fill = tg_ctx_open(x, ix(x, 0), ix(x, want), 1, 0, NULL, &iv);
    store_at(x, k->keys[0], iv, TG_DT_U64, tg_build_int(at(x), scalar_type(x, TG_DT_U64), -1));
    store_at(x, k->index[0], iv, TG_DT_I32, tg_build_int(at(x), scalar_type(x, TG_DT_I32), -1));
    tg_ctx_close(x, fill, 0, NULL);
    tg_op *loop = tg_ctx_open(x, ix(x, 0), trip, 1, 1, &count, &iv);
    c[axis] = coord(x, iv);
    tg_value *on = present_at(x, mask, c, axis);
    tg_value *key = sort_key(x, tg_elem(x, v, c).v, v->type->dtype, true);
    tg_op *branch = when(x, on);
    insert_best(x, k, want, key, tg_build_cast(at(x), iv, TG_DT_I32));
    end_when(x, branch);
    tg_value *next = add(x, count, tg_build_cast(at(x), on, TG_DT_I64));
    tg_ctx_close(x, loop, 1, &next);
    k->count = next;
}

/* Could an element's descending key be all ones? Integers' least value has it. */
static bool key_may_be_all_ones(tg_dtype t) { return !tg_dtype_is_float(t); }

static void emit_topk(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *mask = mask_operand(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    int64_t want = tg_attr_int(op, TG_ATTR_K, 1), extent = v->type->shape[axis],
            mark = L->scratch.used;
    keyed k = take_keyed(L, tg_max_i64(extent, want));
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    tg_value *trip = axis_trip(L, mask, axis, extent);
    int n = open_others(&x, v->type, axis, c, loops);
    if (want <= 64 && want < extent && !key_may_be_all_ones(v->type->dtype)) {
        best_by_insertion(&x, &k, v, mask, c, axis, trip, want);
    } else {
        collect_keys(&x, &k, v, mask, c, axis, trip, true);
        merge_sort(&x, &k, extent);
    }
    tg_value *iv;
    tg_op *loop = tg_ctx_open(&x, ix(&x, 0), ix(&x, want), 1, 0, NULL, &iv);
    tg_builder *b = at(&x);
    tg_value *some = tg_build_cmp(b, TG_CMP_LT, iv, k.count);
    tg_value *safe = select(&x, some, iv, ix(&x, 0));
    tg_value *src = load_at(&x, k.index[0], safe, TG_DT_I32);
    src = select(&x, some, src, tg_build_int(b, src->type, 0));
    tg_coord from[TG_MAX_RANK];
    for (int a = 0; a < v->type->rank; a++) {
        from[a] = c[a];
    }
    from[axis] = coord(&x, tg_build_cast(b, src, TG_DT_I64));
    c[axis] = coord(&x, iv);
    tg_value *e = tg_elem(&x, v, from).v;
    write_at(&x, &op->results[0], c, select(&x, some, e, tg_build_int(b, e->type, 0)));
    write_at(&x, &op->results[1], c, select(&x, some, src, tg_build_int(b, src->type, -1)));
    tg_ctx_close(&x, loop, 0, NULL);
    close_others(&x, n, loops);
    tg_ctx_end(&x);
    L->scratch.used = mark;
}

/* ---- counting and moving
 * --------------------------------------------------------------------------------------------- */

/* 0 <= i < n as a bool; *safe: i or 0. */
static tg_value *in_range(tg_ctx *x, tg_value *i, int64_t n, tg_value **safe) {
    tg_builder *b = at(x);
    tg_value *ok = tg_build_binary(b, TG_OP_AND, tg_build_cmp(b, TG_CMP_GE, i, ix(x, 0)),
                                   tg_build_cmp(b, TG_CMP_LT, i, ix(x, n)));
    *safe = select(x, ok, i, ix(x, 0));
    return ok;
}

static tg_value *index_value(tg_ctx *x, tg_value *v, const tg_coord *c) {
    tg_dtype t = v->type->dtype;
    return tg_expand_convert(at(x), x->L->mc, tg_elem(x, v, c).v, t, TG_DT_I64, TG_ROUND_RNE,
                             false);
}

static void emit_rank(tg_lower *L, tg_op *op) {
    tg_value *key = tg_operand(op, 0), *mask = mask_operand(op), *r = &op->results[0];
    int64_t n = tg_attr_int(op, TG_ATTR_N, 1), mark = L->scratch.used;
    tg_value *table = tg_scratch_take(&L->scratch, &L->b, n * 4);
    tg_value *trip = axis_trip(L, mask, 0, key->type->shape[0]), *iv;
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_value *clear[3] = {table, tg_build_int(at(&x), scalar_type(&x, TG_DT_U8), 0), ix(&x, n * 4)};
    tg_build_op(at(&x), TG_OP_MEMSET, 3, clear, 0, NULL, 0);
    tg_op *loop = tg_ctx_open(&x, ix(&x, 0), trip, 1, 0, NULL, &iv);
    tg_coord c = coord(&x, iv);
    tg_value *safe, *k = index_value(&x, key, &c);
    tg_value *ok = in_range(&x, k, n, &safe);
    tg_value *count = load_at(&x, table, safe, TG_DT_I32);
    tg_value *counted = tg_build_binary(at(&x), TG_OP_AND, ok, present_at(&x, mask, &c, 0));
    write_at(&x, r, &c, select(&x, ok, count, tg_build_int(at(&x), count->type, 0)));
    tg_value *inc = tg_build_cast(at(&x), counted, TG_DT_I32);
    store_at(&x, table, safe, TG_DT_I32, add(&x, count, inc));
    tg_ctx_close(&x, loop, 0, NULL);
    tg_ctx_end(&x);
    L->scratch.used = mark;
}

static void emit_compress(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *mask = tg_operand(op, 1), *r = &op->results[0];
    tg_value *trip = axis_trip(L, mask, 0, v->type->shape[0]), *iv;
    tg_ctx x = tg_ctx_begin(L, 1);
    bool wanted = tg_info(L, r)->kind == TG_V_BUFFER;
    if (wanted) {
        clear_buffer(&x, r);
    }
    tg_value *count = ix(&x, 0);
    tg_op *loop = tg_ctx_open(&x, ix(&x, 0), trip, 1, 1, &count, &iv);
    tg_coord c = coord(&x, iv);
    tg_value *on = tg_elem(&x, mask, &c).v;
    if (wanted) {
        tg_value *e = tg_elem(&x, v, &c).v;
        tg_op *branch = when(&x, on);
        tg_coord to = coord(&x, count);
        write_at(&x, r, &to, e);
        end_when(&x, branch);
    }
    tg_value *next = add(&x, count, tg_build_cast(at(&x), on, TG_DT_I64));
    tg_ctx_close(&x, loop, 1, &next);
    tg_info(L, &op->results[1])->loop = tg_build_cast(at(&x), next, TG_DT_I32);
    tg_ctx_end(&x);
}

static void emit_histogram(tg_lower *L, tg_op *op) {
    tg_value *bin = tg_operand(op, 0), *mask = mask_operand(op), *r = &op->results[0];
    tg_value *weight = op->n_operands > (mask != NULL ? 2 : 1) ? tg_operand(op, 1) : NULL;
    if (tg_info(L, r)->kind != TG_V_BUFFER) {
        return;
    }
    tg_value *trip = bin->type->rank == 0 ? NULL : axis_trip(L, mask, 0, bin->type->shape[0]);
    tg_ctx x = tg_ctx_begin(L, 1);
    clear_buffer(&x, r);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK + 1];
    int n = open_axes(&x, bin->type, -1, trip, c, loops);
    tg_value *safe, *i = index_value(&x, bin, c);
    tg_value *ok = in_range(&x, i, r->type->shape[0], &safe);
    ok = tg_build_binary(at(&x), TG_OP_AND, ok, present_at(&x, mask, c, 0));
    tg_coord to = coord(&x, safe);
    tg_dtype t = r->type->dtype;
    tg_value *w = weight == NULL ? tg_build_int(at(&x), scalar_type(&x, t), 1)
                                 : tg_expand_convert(at(&x), L->mc, tg_elem(&x, weight, c).v,
                                                     weight->type->dtype, t, TG_ROUND_RNE, false);
    tg_op *branch = when(&x, ok);
    tg_value *p = tg_build_gep(at(&x), tg_buffer_ptr(L, at(&x), r), to.v, tg_scratch_elem_bytes(t));
    tg_value *old = tg_build_loadm(at(&x), scalar_type(&x, t), p, 0);
    tg_build_storem(at(&x), p, add(&x, old, w), 0);
    end_when(&x, branch);
    close_others(&x, n, loops);
    tg_ctx_end(&x);
}

static void emit_scatter_add(tg_lower *L, tg_op *op) {
    tg_value *t = tg_operand(op, 0), *i = tg_operand(op, 1), *v = tg_operand(op, 2);
    tg_value *mask = mask_operand(op), *r = &op->results[0];
    if (tg_info(L, r)->kind != TG_V_BUFFER) {
        return;
    }
    tg_emit_copy(L, t, r);
    tg_value *trip = i->type->rank == 0 ? NULL : axis_trip(L, mask, 0, i->type->shape[0]);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK + 1];
    int n = open_axes(&x, i->type, -1, trip, c, loops);
    tg_value *safe, *k = index_value(&x, i, c);
    tg_value *ok = in_range(&x, k, r->type->shape[0], &safe);
    ok = tg_build_binary(at(&x), TG_OP_AND, ok, present_at(&x, mask, c, 0));
    tg_value *e = tg_elem(&x, v, c).v;
    tg_dtype dt = r->type->dtype;
    tg_op *branch = when(&x, ok);
    tg_value *p =
        tg_build_gep(at(&x), tg_buffer_ptr(L, at(&x), r), safe, tg_scratch_elem_bytes(dt));
    tg_value *old = tg_build_loadm(at(&x), scalar_type(&x, dt), p, 0);
    tg_dtype w = tg_dtype_arith(dt);
    tg_value *sum =
        add(&x, tg_expand_convert(at(&x), L->mc, old, dt, w, TG_ROUND_RNE, false),
            tg_expand_convert(at(&x), L->mc, e, v->type->dtype, w, TG_ROUND_RNE, false));
    tg_build_storem(at(&x), p, tg_expand_convert(at(&x), L->mc, sum, w, dt, TG_ROUND_RNE, false),
                    0);
    end_when(&x, branch);
    close_others(&x, n, loops);
    tg_ctx_end(&x);
}

static void emit_atomic(tg_lower *L, tg_op *op) {
    tg_value *r = &op->results[0];
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK + 1];
    int n = open_others(&x, tg_operand(op, 1)->type, -1, c, loops);
    tg_ev e = tg_atomic_at(&x, op, c);
    if (tg_is_tile(r)) {
        write_at(&x, r, c, e.v);
    } else {
        tg_info(L, r)->loop = e.v;
    }
    close_others(&x, n, loops);
    tg_ctx_end(&x);
}

/* ---- reductions with more state
 * -------------------------------------------------------------------------------------- */

static void arg_step(tg_ctx *x, tg_op *op, const tg_coord *c, int axis, tg_value **state) {
    bool most = tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_ARGMAX;
    tg_value *v = tg_operand(op, 0), *mask = mask_operand(op);
    tg_dtype t = v->type->dtype, w = tg_dtype_arith(t);
    tg_builder *b = at(x);
    tg_value *e = tg_expand_convert(b, x->L->mc, tg_elem(x, v, c).v, t, w, TG_ROUND_RNE, false);
    tg_value *none = tg_build_cmp(b, TG_CMP_LT, state[1], tg_build_int(b, state[1]->type, 0));
    tg_value *better = tg_build_cmp(b, most ? TG_CMP_GT : TG_CMP_LT, e, state[0]);
    if (tg_dtype_is_float(w)) {
        tg_value *nan = tg_build_cmp(b, TG_CMP_NE, e, e);
        tg_value *fresh = tg_build_cmp(b, TG_CMP_EQ, state[0], state[0]);
        better = tg_build_binary(b, TG_OP_OR, better, tg_build_binary(b, TG_OP_AND, nan, fresh));
    }
    better = tg_build_binary(b, TG_OP_OR, better, none);
    if (mask != NULL) {
        better = tg_build_binary(b, TG_OP_AND, better, present_at(x, mask, c, axis));
    }
    tg_value *i = tg_build_cast(b, tg_coord_scalar(x, &c[axis]), TG_DT_I32);
    state[0] = select(x, better, e, state[0]);
    state[1] = select(x, better, i, state[1]);
}

static void user_step(tg_ctx *x, tg_op *op, const tg_coord *c, int axis, int n_acc,
                      tg_value **state) {
    tg_lower *L = x->L;
    tg_region *r = op->regions[0];
    tg_value *mask = mask_operand(op);
    for (int i = 0; i < r->n_args; i++) {
        tg_info(L, r->args[i])->loop =
            i < n_acc ? state[i] : tg_elem(x, tg_operand(op, i - n_acc), c).v;
    }
    tg_value *on = mask == NULL ? NULL : present_at(x, mask, c, axis);
    L->b = *at(x);
    for (tg_op *o = r->first; o != NULL; o = o->next) {
        tg_opi(o)->done = false;
    }
    tg_emit_region(L, r);
    *at(x) = L->b;
    for (int i = 0; i < n_acc; i++) {
        tg_value *next = tg_scalar(L, tg_operand(r->last, i));
        state[i] = on == NULL ? next : select(x, on, next, state[i]);
    }
}

void tg_emit_scalar_reduce_loop(tg_lower *L, tg_op *op) {
    bool user = tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_USER;
    tg_value *v = tg_operand(op, 0), *mask = mask_operand(op), *iv;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0), n_state = user ? op->n_results : 2;
    int n_x = user ? op->regions[0]->n_args - op->n_results : 1;
    tg_value **state = TG_NEW_ARRAY(L->arena, tg_value *, n_state + 1);
    tg_value **init = TG_NEW_ARRAY(L->arena, tg_value *, n_state + 1);
    if (user) {
        for (int i = 0; i < n_state; i++) {
            init[i] = tg_scalar(L, tg_operand(op, n_x + i));
        }
    } else {
        init[0] = tg_build_int(&L->b, tg_loop_type(L, tg_dtype_arith(v->type->dtype), 1), 0);
        init[1] = tg_build_int(&L->b, tg_loop_type(L, TG_DT_I32, 1), -1);
    }
    tg_value *trip = axis_trip(L, mask, axis, v->type->shape[axis]);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK], out[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    int n = open_others(&x, v->type, axis, c, loops);
    for (int i = 0; i < n_state; i++) {
        state[i] = init[i];
    }
    tg_op *loop = tg_ctx_open(&x, ix(&x, 0), trip, 1, n_state, state, &iv);
    c[axis] = coord(&x, iv);
    if (user) {
        user_step(&x, op, c, axis, n_state, state);
    } else {
        arg_step(&x, op, c, axis, state);
    }
    tg_ctx_close(&x, loop, n_state, state);
    for (int k = 0, o = 0; k < v->type->rank; k++) {
        if (k != axis) {
            out[o++] = c[k];
        }
    }
    for (int i = 0; i < op->n_results; i++) {
        tg_value *r = &op->results[i], *s = user ? state[i] : state[1];
        if (tg_is_tile(r)) {
            write_at(&x, r, out, s);
        } else {
            tg_info(L, r)->loop = s;
        }
    }
    close_others(&x, n, loops);
    tg_ctx_end(&x);
}

void tg_emit_select_op(tg_lower *L, tg_op *op) {
    bool needed = op->code == TG_OP_ATOMIC;
    for (int r = 0; r < op->n_results; r++) {
        needed =
            needed || tg_info(L, &op->results[r])->kind == TG_V_BUFFER ||
            (tg_info(L, &op->results[r])->kind == TG_V_SCALAR && tg_value_is_used(&op->results[r]));
    }
    if (!needed) {
        return;
    }
    switch ((int)op->code) {
    case TG_OP_SCAN:
        emit_scan(L, op);
        return;
    case TG_OP_SORT:
        emit_sort(L, op);
        return;
    case TG_OP_TOPK:
        emit_topk(L, op);
        return;
    case TG_OP_RANK_BY_KEY:
        emit_rank(L, op);
        return;
    case TG_OP_COMPRESS:
        emit_compress(L, op);
        return;
    case TG_OP_HISTOGRAM:
        emit_histogram(L, op);
        return;
    case TG_OP_SCATTER_ADD:
        emit_scatter_add(L, op);
        return;
    default:
        emit_atomic(L, op);
        return;
    }
}
