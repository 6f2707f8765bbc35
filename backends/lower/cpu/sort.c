/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sort and top-k.
 *
 * Sorting works on keys: u64 integers whose order is the language's (NaN above +inf, -0 below +0;
 * complemented for descending order), moved together with i32 positions by a bottom-up merge, which
 * is stable. Absent elements are set aside first and appended behind.
 */
#include "backends/lower/cpu/select.h"

/* ---- sorting
 * ---------------------------------------------------------------------------------------------------
 */

/* u64 key of an element whose unsigned order is the language's ascending order. */
static tg_value *sort_key(tg_ctx *x, tg_value *v, tg_dtype t, bool descending) {
    tg_builder *b = sel_at(x);
    const tg_type *u64 = sel_scalar_type(x, TG_DT_U64);
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
    tg_value *count = sel_ix(x, 0), *iv;
    tg_value *last = sel_ix(x, v->type->shape[axis] - 1);
    tg_op *loop = tg_ctx_open(x, sel_ix(x, 0), trip, 1, 1, &count, &iv);
    c[axis] = sel_coord(x, iv);
    tg_value *on = sel_present_at(x, mask, c, axis);
    tg_value *key = sort_key(x, tg_elem(x, v, c).v, v->type->dtype, descending);
    tg_value *absent_at = tg_build_binary(sel_at(x), TG_OP_SUB, last,
                                          tg_build_binary(sel_at(x), TG_OP_SUB, iv, count));
    tg_value *place = mask == NULL ? iv : sel_select(x, on, count, absent_at);
    sel_store_at(x, k->keys[0], place, TG_DT_U64, key);
    sel_store_at(x, k->index[0], place, TG_DT_I32, tg_build_cast(sel_at(x), iv, TG_DT_I32));
    tg_value *next = sel_add(x, count, tg_build_cast(sel_at(x), on, TG_DT_I64));
    tg_ctx_close(x, loop, 1, &next);
    k->count = next;
}

/* One merge of the runs [lo, mid) and [mid, hi) of k's `from` side into `to`. */
static void merge_runs(tg_ctx *x, const keyed *k, tg_value *const *from, tg_value *const *to,
                       tg_value *lo, tg_value *mid, tg_value *hi) {
    tg_value *state[2] = {lo, mid}, *out;
    (void)k;
    tg_op *loop = tg_ctx_open(x, lo, hi, 1, 2, state, &out);
    tg_builder *b = sel_at(x);
    tg_value *one = sel_ix(x, 1);
    tg_value *i = tg_build_binary(b, TG_OP_MIN, state[0], tg_build_binary(b, TG_OP_SUB, mid, one));
    tg_value *j = tg_build_binary(b, TG_OP_MIN, state[1], tg_build_binary(b, TG_OP_SUB, hi, one));
    tg_value *ki = sel_load_at(x, from[0], i, TG_DT_U64),
             *kj = sel_load_at(x, from[0], j, TG_DT_U64);
    tg_value *left_open = tg_build_cmp(b, TG_CMP_LT, state[0], mid);
    tg_value *right_done = tg_build_cmp(b, TG_CMP_GE, state[1], hi);
    tg_value *le = tg_build_binary(b, TG_OP_OR, right_done, tg_build_cmp(b, TG_CMP_LE, ki, kj));
    tg_value *left = tg_build_binary(b, TG_OP_AND, left_open, le);
    tg_value *src = sel_select(x, left, i, j);
    sel_store_at(x, to[0], out, TG_DT_U64, sel_select(x, left, ki, kj));
    sel_store_at(x, to[1], out, TG_DT_I32, sel_load_at(x, from[1], src, TG_DT_I32));
    tg_value *step = tg_build_cast(b, left, TG_DT_I64);
    tg_value *next[2] = {sel_add(x, state[0], step),
                         sel_add(x, state[1], tg_build_binary(b, TG_OP_SUB, one, step))};
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
            tg_value *ops[3] = {
                s == 0 ? k->keys[1] : k->index[1], s == 0 ? k->keys[0] : k->index[0],
                tg_build_binary(sel_at(x), TG_OP_MUL, k->count, sel_ix(x, s == 0 ? 8 : 4))};
            tg_build_op(sel_at(x), TG_OP_MEMCPY, 3, ops, 0, NULL, 0);
        }
    }
    for (int64_t width = 1; width < extent; width *= 2) {
        tg_value *from[2] = {k->keys[side], k->index[side]};
        tg_value *to[2] = {k->keys[side ^ 1], k->index[side ^ 1]}, *lo;
        tg_op *loop = tg_ctx_open(x, sel_ix(x, 0), k->count, 2 * width, 0, NULL, &lo);
        tg_value *mid =
            tg_build_binary(sel_at(x), TG_OP_MIN, sel_add(x, lo, sel_ix(x, width)), k->count);
        tg_value *hi =
            tg_build_binary(sel_at(x), TG_OP_MIN, sel_add(x, lo, sel_ix(x, 2 * width)), k->count);
        merge_runs(x, k, from, to, lo, mid, hi);
        tg_ctx_close(x, loop, 0, NULL);
        side ^= 1;
    }
}

void sel_emit_sort(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *mask = sel_mask_operand(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    bool descending = tg_attr_int(op, TG_ATTR_DESC, 0) != 0;
    int64_t extent = v->type->shape[axis], mark = L->scratch.used;
    keyed k = take_keyed(L, extent);
    tg_value *full = tg_build_index(&L->b, extent);
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    int n = sel_open_others(&x, v->type, axis, c, loops);
    tg_value *trip = mask == NULL ? full : sel_axis_trip(L, mask, axis, extent);
    collect_keys(&x, &k, v, mask, c, axis, trip, descending);
    merge_sort(&x, &k, extent);
    tg_value *iv;
    /* Present ones in order, then the absent ones (they were stored backwards). */
    tg_op *loop = tg_ctx_open(&x, sel_ix(&x, 0), trip, 1, 0, NULL, &iv);
    tg_value *is_present = tg_build_cmp(sel_at(&x), TG_CMP_LT, iv, k.count);
    tg_value *back = tg_build_binary(sel_at(&x), TG_OP_SUB, sel_ix(&x, extent - 1),
                                     tg_build_binary(sel_at(&x), TG_OP_SUB, iv, k.count));
    tg_value *place = mask == NULL ? iv : sel_select(&x, is_present, iv, back);
    tg_value *src =
        tg_build_cast(sel_at(&x), sel_load_at(&x, k.index[0], place, TG_DT_I32), TG_DT_I64);
    tg_coord from[TG_MAX_RANK];
    for (int a = 0; a < v->type->rank; a++) {
        from[a] = c[a];
    }
    from[axis] = sel_coord(&x, src);
    c[axis] = sel_coord(&x, iv);
    for (int r = 0; r < op->n_results; r++) {
        sel_write_at(&x, &op->results[r], c, tg_elem(&x, tg_operand(op, r), from).v);
    }
    tg_ctx_close(&x, loop, 0, NULL);
    sel_close_others(&x, n, loops);
    tg_ctx_end(&x);
    L->scratch.used = mark;
}

/* Small k: a sorted list of the best keys, each element inserted from below when it beats the last.
 */
static void insert_best(tg_ctx *x, keyed *k, int64_t want, tg_value *key, tg_value *index) {
    tg_value *worst = sel_load_at(x, k->keys[0], sel_ix(x, want - 1), TG_DT_U64);
    tg_op *branch = sel_when(x, tg_build_cmp(sel_at(x), TG_CMP_LT, key, worst));
    tg_value *iv, *place = sel_ix(x, 0);
    /* position: how many listed keys are <= key (earlier elements win ties) */
    tg_op *find = tg_ctx_open(x, sel_ix(x, 0), sel_ix(x, want), 1, 1, &place, &iv);
    tg_value *le =
        tg_build_cmp(sel_at(x), TG_CMP_LE, sel_load_at(x, k->keys[0], iv, TG_DT_U64), key);
    place = sel_add(x, place, tg_build_cast(sel_at(x), le, TG_DT_I64));
    tg_ctx_close(x, find, 1, &place);
    tg_value *moves = tg_build_binary(sel_at(x), TG_OP_SUB, sel_ix(x, want - 1), place);
    tg_op *shift = tg_ctx_open(x, sel_ix(x, 0), moves, 1, 0, NULL, &iv);
    tg_value *to = tg_build_binary(sel_at(x), TG_OP_SUB, sel_ix(x, want - 1), iv);
    tg_value *from = tg_build_binary(sel_at(x), TG_OP_SUB, to, sel_ix(x, 1));
    sel_store_at(x, k->keys[0], to, TG_DT_U64, sel_load_at(x, k->keys[0], from, TG_DT_U64));
    sel_store_at(x, k->index[0], to, TG_DT_I32, sel_load_at(x, k->index[0], from, TG_DT_I32));
    tg_ctx_close(x, shift, 0, NULL);
    sel_store_at(x, k->keys[0], place, TG_DT_U64, key);
    sel_store_at(x, k->index[0], place, TG_DT_I32, index);
    sel_end_when(x, branch);
}

/* Keys are descending-order keys, so the best are the smallest; u64 all-ones marks a free entry,
 * and is itself the key of the worst value (-inf has a larger pattern than any number, never all
 * ones). */
static void best_by_insertion(tg_ctx *x, keyed *k, tg_value *v, tg_value *mask, tg_coord *c,
                              int axis, tg_value *trip, int64_t want) {
    tg_value *iv, *count = sel_ix(x, 0);
    tg_op *fill = tg_ctx_open(x, sel_ix(x, 0), sel_ix(x, want), 1, 0, NULL, &iv);
    sel_store_at(x, k->keys[0], iv, TG_DT_U64,
                 tg_build_int(sel_at(x), sel_scalar_type(x, TG_DT_U64), -1));
    sel_store_at(x, k->index[0], iv, TG_DT_I32,
                 tg_build_int(sel_at(x), sel_scalar_type(x, TG_DT_I32), -1));
    tg_ctx_close(x, fill, 0, NULL);
    tg_op *loop = tg_ctx_open(x, sel_ix(x, 0), trip, 1, 1, &count, &iv);
    c[axis] = sel_coord(x, iv);
    tg_value *on = sel_present_at(x, mask, c, axis);
    tg_value *key = sort_key(x, tg_elem(x, v, c).v, v->type->dtype, true);
    tg_op *branch = sel_when(x, on);
    insert_best(x, k, want, key, tg_build_cast(sel_at(x), iv, TG_DT_I32));
    sel_end_when(x, branch);
    tg_value *next = sel_add(x, count, tg_build_cast(sel_at(x), on, TG_DT_I64));
    tg_ctx_close(x, loop, 1, &next);
    k->count = next;
}

/* Could an element's descending key be all ones? Integers' least value has it. */
static bool key_may_be_all_ones(tg_dtype t) { return !tg_dtype_is_float(t); }

void sel_emit_topk(tg_lower *L, tg_op *op) {
    tg_value *v = tg_operand(op, 0), *mask = sel_mask_operand(op);
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    int64_t want = tg_attr_int(op, TG_ATTR_K, 1), extent = v->type->shape[axis],
            mark = L->scratch.used;
    keyed k = take_keyed(L, tg_max_i64(extent, want));
    tg_ctx x = tg_ctx_begin(L, 1);
    tg_coord c[TG_MAX_RANK];
    tg_op *loops[TG_MAX_RANK];
    tg_value *trip = sel_axis_trip(L, mask, axis, extent);
    int n = sel_open_others(&x, v->type, axis, c, loops);
    if (want <= 64 && want < extent && !key_may_be_all_ones(v->type->dtype)) {
        best_by_insertion(&x, &k, v, mask, c, axis, trip, want);
    } else {
        collect_keys(&x, &k, v, mask, c, axis, trip, true);
        merge_sort(&x, &k, extent);
    }
    tg_value *iv;
    tg_op *loop = tg_ctx_open(&x, sel_ix(&x, 0), sel_ix(&x, want), 1, 0, NULL, &iv);
    tg_builder *b = sel_at(&x);
    tg_value *some = tg_build_cmp(b, TG_CMP_LT, iv, k.count);
    tg_value *safe = sel_select(&x, some, iv, sel_ix(&x, 0));
    tg_value *src = sel_load_at(&x, k.index[0], safe, TG_DT_I32);
    src = sel_select(&x, some, src, tg_build_int(b, src->type, 0));
    tg_coord from[TG_MAX_RANK];
    for (int a = 0; a < v->type->rank; a++) {
        from[a] = c[a];
    }
    from[axis] = sel_coord(&x, tg_build_cast(b, src, TG_DT_I64));
    c[axis] = sel_coord(&x, iv);
    tg_value *e = tg_elem(&x, v, from).v;
    sel_write_at(&x, &op->results[0], c, sel_select(&x, some, e, tg_build_int(b, e->type, 0)));
    sel_write_at(&x, &op->results[1], c, sel_select(&x, some, src, tg_build_int(b, src->type, -1)));
    tg_ctx_close(&x, loop, 0, NULL);
    sel_close_others(&x, n, loops);
    tg_ctx_end(&x);
    L->scratch.used = mark;
}
