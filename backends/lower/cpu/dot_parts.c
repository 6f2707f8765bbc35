/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of the matrix product: index arithmetic, operand access in words, staging of rows, register
 * transposes and horizontal sums. Everything here emits loop IR at the generator's builder.
 */
#include "backends/lower/cpu/dot.h"

/* ---- arithmetic ------------------------------------------------------------------------------ */

tg_value *dot_ix(dot_gen *g, int64_t v) { return tg_build_index(g->b, v); }

tg_value *dot_add(dot_gen *g, tg_value *x, tg_value *y) {
    return tg_build_binary(g->b, TG_OP_ADD, x, y);
}

tg_value *dot_addc(dot_gen *g, tg_value *x, int64_t c) {
    return c == 0 ? x : dot_add(g, x, dot_ix(g, c));
}

tg_value *dot_sub(dot_gen *g, tg_value *x, tg_value *y) {
    return tg_build_binary(g->b, TG_OP_SUB, x, y);
}

tg_value *dot_mulc(dot_gen *g, tg_value *x, int64_t c) {
    return c == 1 ? x : tg_build_binary(g->b, TG_OP_MUL, x, dot_ix(g, c));
}

tg_value *dot_min(dot_gen *g, tg_value *x, tg_value *y) {
    int64_t cx, cy;
    if (x == y) {
        return x;
    }
    if (tg_value_const_int(x, &cx) && tg_value_const_int(y, &cy)) {
        return dot_ix(g, tg_min_i64(cx, cy));
    }
    return tg_build_binary(g->b, TG_OP_MIN, x, y);
}

tg_value *dot_lt(dot_gen *g, tg_value *x, tg_value *y) {
    int64_t cx, cy;
    if (tg_value_const_int(x, &cx) && tg_value_const_int(y, &cy)) {
        return tg_build_bool(g->b, cx < cy);
    }
    return tg_build_cmp(g->b, TG_CMP_LT, x, y);
}

tg_value *dot_atc(dot_gen *g, tg_value *base, tg_value *i, int64_t unit) {
    int64_t c;
    if (tg_value_const_int(i, &c) && c == 0) {
        return base;
    }
    return tg_build_gep(g->b, base, i, unit);
}

tg_value *dot_at(dot_gen *g, tg_value *base, tg_value *i, tg_value *unit) {
    int64_t c;
    if (tg_value_const_int(unit, &c)) {
        return dot_atc(g, base, i, c);
    }
    if (tg_value_const_int(i, &c) && c == 0) {
        return base;
    }
    return tg_build_gep(g->b, base, tg_build_binary(g->b, TG_OP_MUL, i, unit), 1);
}

tg_value *dot_words(dot_gen *g, tg_value *k) {
    int64_t c, n = g->per_word;
    if (n == 1) {
        return k;
    }
    if (tg_value_const_int(k, &c)) {
        return dot_ix(g, tg_cdiv_i64(c, n));
    }
    return tg_build_binary(g->b, TG_OP_SHR, dot_addc(g, k, n - 1), dot_ix(g, n / 2));
}

dot_loop dot_for(dot_gen *g, tg_value *lo, tg_value *hi, int64_t step) {
    dot_loop l;
    l.op = tg_build_for(g->b, lo, hi, dot_ix(g, step), 0, NULL, &l.iv);
    return l;
}

void dot_end_for(dot_gen *g, dot_loop l) { tg_build_end_for(g->b, l.op, 0, NULL); }

bool dot_if(dot_gen *g, tg_value *cond, tg_op **op) {
    int64_t c;
    *op = NULL;
    if (tg_value_const_int(cond, &c)) {
        return c != 0;
    }
    *op = tg_build_if(g->b, cond, 0, NULL);
    return true;
}

void dot_end_if(dot_gen *g, tg_op *op) {
    if (op) {
        tg_build_else(g->b, op, 0, NULL);
        tg_build_end_if(g->b, op, 0, NULL);
    }
}

/* ---- loads and stores of words ----------------------------------------------------------------
 */

static const tg_type *words_type(dot_gen *g, int words) {
    return words == 1 ? g->word_type : tg_type_vec(g->b->module, g->word, words);
}

tg_value *dot_load(dot_gen *g, tg_value *ptr, int words, int64_t align) {
    return tg_build_loadm(g->b, words_type(g, words), ptr, align);
}

void dot_store(dot_gen *g, tg_value *ptr, tg_value *words, int64_t align) {
    tg_build_storem(g->b, ptr, words, align);
}

tg_value *dot_load_splat(dot_gen *g, tg_value *ptr) {
    return tg_build_splat(g->b, dot_load(g, ptr, 1, g->word_bytes), g->vl);
}

tg_value *dot_zero(dot_gen *g) {
    return tg_dtype_is_float(g->word) ? tg_build_float(g->b, g->vec_type, 0.0)
                                      : tg_build_int(g->b, g->vec_type, 0);
}

tg_value *dot_mac(dot_gen *g, tg_value *x, tg_value *y, tg_value *acc) {
    if (g->per_word == 1) {
        if (tg_dtype_is_float(g->word) && !(g->mc->features & TG_CPU_FMA)) {
            return tg_build_binary(g->b, TG_OP_ADD, acc, tg_build_binary(g->b, TG_OP_MUL, x, y));
        }
        return tg_build_fma(g->b, x, y, acc);
    }
    if (g->bf16) {
        return dot_bf16_add(g, x, y, acc);
    }
    if (g->sums_words) {
        return dot_add_words(g, x, y, acc);
    }
    if (g->per_word == 4) {
        tg_value *sums = dot_quad_words(g, dot_quad_halves(g, x, y));
        return tg_build_binary(g->b, TG_OP_ADD, acc, sums);
    }
    const tg_type *halves = tg_type_vec(g->b->module, TG_DT_I16, 2 * g->vl);
    tg_value *hx = tg_build1(g->b, TG_OP_BITCAST, halves, 1, x);
    tg_value *hy = tg_build1(g->b, TG_OP_BITCAST, halves, 1, y);
    tg_value *args[2] = {hx, hy};
    tg_value *sums = tg_build_intrinsic(g->b, g->pair_product, g->vec_type, 2, args);
    return tg_build_binary(g->b, TG_OP_ADD, acc, sums);
}

/* ---- operand access ---------------------------------------------------------------------------
 */

bool dot_is_direct(const dot_gen *g, const dot_side *s) {
    return g->per_word == 1 && s->op->base && s->op->dtype == g->d->compute && !g->d->kmask;
}

/* The leading `valid` elements at p, the rest zero, by the machine's own masked load. */
static tg_value *load_masked(dot_gen *g, const tg_type *t, tg_value *p, tg_value *valid) {
    tg_value *zero =
        tg_dtype_is_float(t->dtype) ? tg_build_float(g->b, t, 0.0) : tg_build_int(g->b, t, 0);
    tg_value *args[3] = {p, tg_build_pmask(g->b, valid, t->shape[0]), zero};
    tg_op *op = tg_build_op(g->b, TG_OP_LOADM, 3, args, 1, &t, 0);
    tg_op_set_int(op, TG_ATTR_MASKED, 1);
    tg_op_set_int(op, TG_ATTR_ALIGN, tg_dtype_bits(t->dtype) / 8);
    return &op->results[0];
}

/* `lanes` elements of the compute type along k or along the rows, unmasked by kmask. */
static tg_value *fetch(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, bool along_k,
                       int lanes, tg_value *valid) {
    const tg_dot_operand *op = s->op;
    bool unit = op->unit_cols >= 0 && s->k_unit == along_k;
    int bits = tg_dtype_bits(op->dtype);
    int narrowest = g->mc->features & TG_CPU_AVX512 ? 8 : 32;
    bool maskable = lanes > 1 && bits >= narrowest && (g->mc->features & TG_CPU_MASKED);
    if (op->base && (!valid || maskable) && (unit || lanes == 1) && bits >= 8) {
        tg_value *p = dot_at(g, dot_at(g, op->base, row, s->row_bytes), k, s->k_bytes);
        tg_dtype carrier = tg_carrier(op->dtype);
        const tg_type *t = lanes == 1 ? tg_type_scalar(g->b->module, carrier)
                                      : tg_type_vec(g->b->module, carrier, lanes);
        tg_value *x = valid ? load_masked(g, t, p, valid) : tg_build_loadm(g->b, t, p, bits / 8);
        if (g->bf16) {
            return dot_bf16_of(g, x, op->dtype);
        }
        return tg_expand_convert(g->b, g->mc, x, op->dtype, g->d->compute, TG_ROUND_RNE, false);
    }
    bool along_cols = s->is_a ? along_k : !along_k;
    tg_value *x = s->is_a ? op->vec(op->user, g->b, row, k, along_cols, lanes, valid)
                          : op->vec(op->user, g->b, k, row, along_cols, lanes, valid);
    return g->bf16 ? dot_bf16_bits(g, x) : x;
}

static tg_value *zero_like(dot_gen *g, const tg_value *x) {
    return tg_dtype_is_float(x->type->dtype) ? tg_build_float(g->b, x->type, 0.0)
                                             : tg_build_int(g->b, x->type, 0);
}

/* x with the elements of skipped k replaced by zero; x runs along k. */
static tg_value *mask_along_k(dot_gen *g, tg_value *x, tg_value *k, int lanes, tg_value *valid) {
    if (!g->d->kmask) {
        return x;
    }
    tg_module *m = g->b->module;
    const tg_type *t = lanes == 1 ? tg_type_scalar(m, TG_DT_U8) : tg_type_vec(m, TG_DT_U8, lanes);
    tg_value *p = dot_atc(g, g->d->kmask, k, 1), *bytes;
    if (valid && lanes > 1) {
        tg_value *args[3] = {p, tg_build_pmask(g->b, valid, lanes), tg_build_int(g->b, t, 0)};
        tg_op *op = tg_build_op(g->b, TG_OP_LOADM, 3, args, 1, &t, 0);
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
        bytes = &op->results[0];
    } else {
        bytes = tg_build_loadm(g->b, t, p, 1);
    }
    tg_value *on = tg_build_cmp(g->b, TG_CMP_NE, bytes, tg_build_int(g->b, t, 0));
    return tg_build_select(g->b, on, x, zero_like(g, x));
}

/* The same for x all of one k. */
static tg_value *mask_at_k(dot_gen *g, tg_value *x, tg_value *k, int lanes) {
    if (!g->d->kmask) {
        return x;
    }
    const tg_type *t = tg_type_scalar(g->b->module, TG_DT_U8);
    tg_value *byte = tg_build_loadm(g->b, t, dot_atc(g, g->d->kmask, k, 1), 1);
    tg_value *on = tg_build_cmp(g->b, TG_CMP_NE, byte, tg_build_int(g->b, t, 0));
    if (lanes > 1) {
        on = tg_build_splat(g->b, on, lanes);
    }
    return tg_build_select(g->b, on, x, zero_like(g, x));
}

tg_value *dot_fetch_k(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int words,
                      tg_value *valid) {
    int lanes = words * g->per_word;
    tg_value *x = fetch(g, s, row, k, true, lanes, valid);
    x = mask_along_k(g, x, k, lanes, valid);
    if (g->per_word == 1) {
        return x;
    }
    if (!g->bf16) {
        x = tg_build_cast(g->b, x, g->per_word == 4 ? TG_DT_I8 : TG_DT_I16);
    }
    if (g->per_word == 4 && s == &g->y && g->least != 0) {
        x = tg_build_binary(g->b, TG_OP_SUB, x, tg_build_int(g->b, x->type, g->least));
    }
    return tg_build1(g->b, TG_OP_BITCAST, words_type(g, words), 1, x);
}

bool dot_takes_wide(const dot_gen *g, const dot_side *s) {
    return s->op->narrow && g->per_word == 1 && g->vl > 1 && g->vl <= 16;
}

bool dot_spreads(const dot_gen *g, const dot_side *s) {
    return s->op->spread != NULL && g->per_word == 1 && g->vl > 1 && g->vl <= 16 &&
           g->d->kmask == NULL;
}

void dot_fetch_spread(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int n,
                      tg_value **out) {
    const tg_dot_operand *op = s->op;
    op->spread(op->user, g->b, s->is_a ? row : k, s->is_a ? k : row, s->is_a, g->vl, n, out);
}

void dot_spread_rows(dot_gen *g, tg_value *at, int64_t pitch_words, tg_value *count, tg_value *len,
                     int n) {
    int64_t group = (int64_t)n * g->vl, map[DOT_MAX_LANES];
    dot_loop rows = dot_for(g, dot_ix(g, 0), count, 1);
    tg_value *row = dot_atc(g, at, rows.iv, pitch_words * g->word_bytes);
    dot_loop e = dot_for(g, dot_ix(g, 0), dot_addc(g, len, 1 - group), group);
    tg_value *v[DOT_WIDE] = {NULL}, *all[2], *ptr[DOT_WIDE];
    for (int u = 0; u < n; u++) {
        ptr[u] = dot_atc(g, row, dot_addc(g, e.iv, u * g->vl), g->word_bytes);
        v[u] = dot_load(g, ptr[u], g->vl, g->word_bytes);
    }
    for (int l = 0; l < 2 * g->vl; l++) {
        map[l] = l;
    }
    for (int h = 0; h < 2; h++) {
        all[h] = n == 2 ? v[h] : tg_build_shuffle(g->b, v[2 * h], v[2 * h + 1], 2 * g->vl, map);
    }
    for (int u = 0; u < n; u++) {
        for (int l = 0; l < g->vl; l++) {
            map[l] = (int64_t)n * l + u;
        }
        dot_store(g, ptr[u], tg_build_shuffle(g->b, all[0], all[1], g->vl, map), g->word_bytes);
    }
    dot_end_for(g, e);
    dot_end_for(g, rows);
}

void dot_fetch_wide(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int n,
                    tg_value **out) {
    tg_value *all = dot_fetch_k(g, s, row, k, n * g->vl, NULL);
    for (int u = 0; u < n; u++) {
        int64_t map[16];
        for (int l = 0; l < g->vl; l++) {
            map[l] = u * g->vl + l;
        }
        out[u] = tg_build_shuffle(g->b, all, all, g->vl, map);
    }
}

/* The first element of a word. */
static tg_value *low_half(dot_gen *g, tg_value *x) {
    return g->bf16 ? tg_build_cast(g->b, x, TG_DT_U32)
                   : tg_build_binary(g->b, TG_OP_AND, x, tg_build_int(g->b, x->type, 0xFFFF));
}

tg_value *dot_fetch_rows(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k, int rows,
                         tg_value *valid, bool odd) {
    tg_value *lo = mask_at_k(g, fetch(g, s, row, k, false, rows, valid), k, rows);
    if (g->per_word == 1) {
        return lo;
    }
    lo = low_half(g, lo);
    if (!odd) {
        tg_value *k1 = dot_addc(g, k, 1);
        tg_value *hi = mask_at_k(g, fetch(g, s, row, k1, false, rows, valid), k1, rows);
        hi = g->bf16 ? tg_build_cast(g->b, hi, TG_DT_U32) : hi;
        hi = tg_build_binary(g->b, TG_OP_SHL, hi, tg_build_int(g->b, hi->type, 16));
        lo = tg_build_binary(g->b, TG_OP_OR, lo, hi);
    }
    return g->bf16 ? tg_build1(g->b, TG_OP_BITCAST, words_type(g, rows), 1, lo) : lo;
}

/* ---- staging ----------------------------------------------------------------------------------
 */

void dot_prefetch(dot_gen *g, tg_value *ptr, bool write) {
    tg_op *op = tg_build_op(g->b, TG_OP_PREFETCH, 1, &ptr, 0, NULL, 0);
    tg_op_set_int(op, TG_ATTR_LOCALITY, 3);
    tg_op_set_int(op, TG_ATTR_WRITE, write);
}

void dot_prefetch_at(dot_gen *g, const dot_side *s, tg_value *row, tg_value *k) {
    if (s->op->base) {
        dot_prefetch(g, dot_at(g, dot_at(g, s->op->base, row, s->row_bytes), k, s->k_bytes), false);
    }
}

/* One row being staged: element e of the block lies at k + e in the operand. */
typedef struct stage_row {
    const dot_side *s;
    tg_value *row, *k, *to;
    int ahead;
} stage_row;

static void stage_vectors(dot_gen *g, const stage_row *r, tg_value *e, int count, tg_value *valid) {
    int64_t step = (int64_t)g->vl * g->per_word, unit = g->word_bytes / g->per_word;
    tg_value *pair[2];
    bool split = r->s->split && count == 2;
    if (split) {
        dot_fetch_bytes(g, r->s, r->row, dot_add(g, r->k, e), pair);
    }
    for (int i = 0; i < count; i++) {
        tg_value *at = dot_addc(g, e, i * step);
        tg_value *x =
            split ? pair[i] : dot_fetch_k(g, r->s, r->row, dot_add(g, r->k, at), g->vl, valid);
        dot_store(g, dot_atc(g, r->to, at, unit), x, g->word_bytes);
    }
    /* Blocks of a row are too short for the hardware to follow: the next one is asked for here. */
    bool next = r->ahead == 0 && r->s->op->goes_on;
    if ((r->ahead > 0 && count > 1) || next) {
        tg_value *row = dot_addc(g, r->row, r->ahead);
        int64_t line = 64 * 8 / tg_dtype_bits(r->s->op->dtype), further = next ? g->d->k : 0;
        for (int64_t i = 0; i < count * step; i += line) {
            dot_prefetch_at(g, r->s, row, dot_add(g, r->k, dot_addc(g, e, i + further)));
        }
    }
}

void dot_stage_rows(dot_gen *g, const dot_side *s, tg_value *row, tg_value *count, tg_value *k,
                    tg_value *len, tg_value *to, int64_t pitch_words, int ahead) {
    int64_t step = (int64_t)g->vl * g->per_word,
            strides[2] = {s->split ? 2 * step : 4 * step, step};
    dot_loop rows = dot_for(g, dot_ix(g, 0), count, 1);
    stage_row r = {s, dot_add(g, row, rows.iv), k,
                   dot_atc(g, to, rows.iv, pitch_words * g->word_bytes), ahead};
    tg_value *carried[1] = {dot_ix(g, 0)}, *e;
    for (int pass = 0; pass < 2; pass++) {
        bool whole = g->k_divisor % strides[pass] == 0;
        if (g->d->k > 0 && g->d->k < strides[pass]) {
            continue;
        }
        tg_value *hi = whole ? len : dot_addc(g, len, 1 - strides[pass]);
        tg_op *loop = tg_build_for(g->b, carried[0], hi, dot_ix(g, strides[pass]), 1, carried, &e);
        stage_vectors(g, &r, e, (int)(strides[pass] / step), NULL);
        carried[0] = dot_addc(g, e, strides[pass]);
        tg_build_end_for(g->b, loop, 1, carried);
        if (whole) {
            break;
        }
    }
    tg_op *branch;
    if (g->k_divisor % step != 0 && dot_if(g, dot_lt(g, carried[0], len), &branch)) {
        stage_vectors(g, &r, carried[0], 1, dot_sub(g, len, carried[0]));
        dot_end_if(g, branch);
    }
    dot_end_for(g, rows);
}

void dot_stage_ends(dot_gen *g, const dot_side *s, tg_value *row, int rows, tg_value *k,
                    tg_value *valid, tg_value *to) {
    dot_loop r = dot_for(g, dot_ix(g, 0), dot_ix(g, rows), 1);
    tg_value *i = dot_min(g, dot_add(g, row, r.iv), dot_addc(g, s->len, -1));
    tg_value *x = dot_fetch_k(g, s, i, k, g->vl, valid);
    dot_store(g, dot_atc(g, to, r.iv, g->vl * g->word_bytes), x, g->word_bytes);
    dot_end_for(g, r);
}

bool dot_whole(const dot_side *s, int64_t n) { return s->len_const >= 0 && s->len_const % n == 0; }

tg_value *dot_block_row(dot_gen *g, const dot_side *s, tg_value *row, int r, int rows) {
    if (r == 0) {
        return row;
    }
    tg_value *i = dot_addc(g, row, r);
    return s->inside || dot_whole(s, rows) ? i : dot_min(g, i, dot_addc(g, s->len, -1));
}

dot_rows dot_rows_direct(dot_gen *g, const dot_side *s, tg_value *row, int rows, tg_value *k) {
    dot_rows out = {.step_bytes = s->k_bytes};
    tg_value *base = dot_at(g, s->op->base, k, s->k_bytes);
    for (int r = 0; r < rows; r++) {
        out.row[r] = dot_at(g, base, dot_block_row(g, s, row, r, rows), s->row_bytes);
    }
    return out;
}

tg_value *dot_acc_row(dot_gen *g, tg_value *i) {
    const tg_dot_desc *d = g->d;
    return d->acc_row_bytes != NULL ? dot_at(g, d->acc, i, d->acc_row_bytes)
                                    : dot_atc(g, d->acc, i, g->acc_x_elems * g->word_bytes);
}

void dot_zero_acc(dot_gen *g) {
    bool y_inner = g->acc_y_elems == 1;
    const dot_side *outer = y_inner ? &g->x : &g->y, *inner = y_inner ? &g->y : &g->x;
    int64_t pitch = y_inner ? g->acc_x_elems : g->acc_y_elems;
    dot_loop rows = dot_for(g, dot_ix(g, 0), outer->len, 1);
    tg_value *p =
        y_inner ? dot_acc_row(g, rows.iv) : dot_atc(g, g->d->acc, rows.iv, pitch * g->word_bytes);
    dot_loop cols = dot_for(g, dot_ix(g, 0), inner->len, g->vl);
    dot_store(g, dot_atc(g, p, cols.iv, g->word_bytes), dot_zero(g), g->word_bytes);
    dot_end_for(g, cols);
    dot_end_for(g, rows);
}

/* ---- shuffles ---------------------------------------------------------------------------------
 */

/* Words in 16 bytes: shuffles inside such a lane cost one instruction on every vector unit. */
static int lane_words(const dot_gen *g) {
    int n = (int)(16 / g->word_bytes);
    return n < g->vl ? n : g->vl;
}

/*
 * Interleaves units of `unit` words of x and y within 16-byte lanes: the low (high = 0) or high
 * halves of each lane (unpcklps, unpckhpd ...).
 */
static tg_value *unpack(dot_gen *g, tg_value *x, tg_value *y, int unit, int high) {
    int64_t mask[DOT_MAX_LANES];
    int lane = lane_words(g), half = lane / 2;
    for (int l = 0; l < g->vl; l++) {
        int base = l / lane * lane, in = l % lane;
        int u = in / unit, o = in % unit; /* unit number in the result lane, word within it */
        int src = base + high * half + (u / 2) * unit + o;
        mask[l] = u % 2 ? g->vl + src : src;
    }
    return tg_build_shuffle(g->b, x, y, g->vl, mask);
}

/* Exchanges 16-byte lanes: pairs at distance d (in lanes) of the 2x2 block (x, y). */
static void exchange(dot_gen *g, tg_value **x, tg_value **y, int d) {
    int64_t lo[DOT_MAX_LANES], hi[DOT_MAX_LANES];
    int lane = lane_words(g);
    for (int l = 0; l < g->vl; l++) {
        bool second = (l / lane & d) != 0;
        lo[l] = second ? g->vl + l - d * lane : l;
        hi[l] = second ? g->vl + l : l + d * lane;
    }
    tg_value *a = tg_build_shuffle(g->b, *x, *y, g->vl, lo);
    tg_value *c = tg_build_shuffle(g->b, *x, *y, g->vl, hi);
    *x = a;
    *y = c;
}

/*
 * First every group of `lane` rows is transposed inside the 16-byte lanes (each round interleaves
 * the first half of the rows with the second), then whole lanes change places: log2 steps of one
 * shuffle a vector.
 */
void dot_transpose(dot_gen *g, tg_value **v) {
    int lane = lane_words(g), lanes = g->vl / lane;
    tg_value *t[DOT_MAX_LANES];
    for (int round = 1; round < lane; round *= 2) {
        for (int i = 0; i < g->vl; i++) {
            int base = i / lane * lane, pair = i % lane / 2;
            t[i] = unpack(g, v[base + pair], v[base + pair + lane / 2], 1, i % 2);
        }
        for (int i = 0; i < g->vl; i++) {
            v[i] = t[i];
        }
    }
    for (int d = 1; d < lanes; d *= 2) {
        for (int q = 0; q < lanes; q++) {
            for (int c = 0; !(q & d) && c < lane; c++) {
                exchange(g, &v[q * lane + c], &v[(q + d) * lane + c], d);
            }
        }
    }
}

static tg_value *halves_sum(dot_gen *g, tg_value *x) {
    int n = (int)x->type->shape[0] / 2;
    int64_t lo[DOT_MAX_LANES], hi[DOT_MAX_LANES];
    for (int l = 0; l < n; l++) {
        lo[l] = l;
        hi[l] = n + l;
    }
    return tg_build_binary(g->b, TG_OP_ADD, tg_build_shuffle(g->b, x, x, n, lo),
                           tg_build_shuffle(g->b, x, x, n, hi));
}

tg_value *dot_sum4_in_lanes(dot_gen *g, tg_value *const *v) {
    tg_value *s[2];
    for (int p = 0; p < 2; p++) {
        tg_value *lo = unpack(g, v[2 * p], v[2 * p + 1], 1, 0);
        tg_value *hi = unpack(g, v[2 * p], v[2 * p + 1], 1, 1);
        s[p] = tg_build_binary(g->b, TG_OP_ADD, lo, hi);
    }
    tg_value *lo = unpack(g, s[0], s[1], 2, 0), *hi = unpack(g, s[0], s[1], 2, 1);
    return tg_build_binary(g->b, TG_OP_ADD, lo, hi);
}

tg_value *dot_sum4(dot_gen *g, tg_value *const *v) {
    if (lane_words(g) == 4) {
        tg_value *sum = dot_sum4_in_lanes(g, v);
        while (sum->type->shape[0] > 4) {
            sum = halves_sum(g, sum);
        }
        return sum;
    }
    const tg_type *t = tg_type_vec(g->b->module, g->word, 4);
    tg_value *sum =
        tg_dtype_is_float(g->word) ? tg_build_float(g->b, t, 0.0) : tg_build_int(g->b, t, 0);
    for (int i = 0; i < 4; i++) {
        tg_value *x = g->vl == 1 ? v[i] : tg_build_reducev(g->b, TG_RED_SUM, v[i]);
        sum = tg_build_insert(g->b, sum, x, i);
    }
    return sum;
}
