/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Products of few x rows with codes of four bits: y is looked up in a table that stays in a
 * register, no multiple of it is ever stored.
 *
 * A vector holds `granule` bytes of each of a few columns of the result, a column to so many of its
 * lanes of 16 bytes: a short block of k (a format's 32 codes are 16 bytes) fills whole registers
 * all the same. Shifting the words right by multiples of four bits brings one code after another
 * where the look-up reads it; x is staged in that order, repeated for every column of the vector.
 * Four vectors make a group of columns whose sums come out side by side.
 *
 *   FLOATS    a word a code, x in f32                                        8 parts
 *   PAIRS     bf16, where both sides are exact in it and far from its least normal number:
 *             two products added to an f32 by one instruction                4 parts
 *   BYTES     x of 8 bits, products added in i32                             2 parts
 */
#include "backends/lower/cpu/dot.h"

/* Rows of codes are many slow streams, which the hardware does not follow; bytes. */
enum { AHEAD = 128 };

enum { VECS = 4, MOST_ROWS = 16, MOST_MR = 4, MOST_PARTS = 8, CODE_BITS = 4 };

typedef enum element { BYTES = 1, PAIRS = 2, FLOATS = 4 } element; /* bytes of one */

typedef struct by_codes {
    const tg_dot_codes *y;
    element by;      /* as what x and y are multiplied */
    bool table;      /* BYTES: they are looked up; else a code is its value less the least one */
    bool halves;     /* BYTES: sums of 16 bits first, as no instruction adds four to a word */
    int64_t least;   /* BYTES: y's come less this, unsigned */
    int granule;     /* bytes of a column in a vector */
    int columns;     /* in a vector */
    int parts, unit; /* codes in a word of theirs; elements of k in a granule */
    int mr;
    bool once;         /* there are mr rows at most, and one at least */
    int64_t ks, pitch; /* block of k in elements; bytes between staged rows */
    bool blocked_k;
    tg_value *x_at, *starts, *values, *ones;
} by_codes;

/* ---- choice ------------------------------------------------------------------------------------
 */

static bool bytes_fit(const dot_gen *g, by_codes *p) {
    tg_range x = g->x.op->range;
    double lo = p->y->value[0], hi = lo;
    bool own = true;
    for (int c = 1; c < 16; c++) {
        lo = p->y->value[c] < lo ? p->y->value[c] : lo;
        hi = p->y->value[c] > hi ? p->y->value[c] : hi;
    }
    for (int c = 0; c < 16; c++) {
        own = own && p->y->value[c] - lo == c;
    }
    bool fit = g->x.op->ranged && x.lo >= INT8_MIN && x.hi <= INT8_MAX && hi - lo <= UINT8_MAX;
    if (!fit || !(g->mc->features & TG_CPU_MADDUBS) || !(g->mc->features & TG_CPU_PSHUFB)) {
        return false;
    }
    p->by = BYTES;
    p->table = !own;
    p->least = (int64_t)lo;
    p->halves = g->mc->vector_bytes < 64 || !(g->mc->features & TG_CPU_AVX512_VNNI);
    double most = (double)tg_max_i64(-x.lo, x.hi) * (hi - lo);
    return !p->halves || 4 * most <= INT16_MAX; /* two parts, two products each */
}

/* Are all values of x and y those of bf16, and zero or of a size whose products are normal? The
 * instruction takes subnormal numbers for zero. */
static bool pairs_fit(const dot_gen *g, const by_codes *p) {
    tg_dtype x = g->x.op->dtype;
    for (int c = 0; c < 16; c++) {
        double v = p->y->value[c], size = v < 0 ? -v : v;
        bool kept = size == 0 || (size >= 0x1p-60 && size <= 0x1p60);
        if (!kept || (tg_float_encode(TG_DT_F32, v, TG_ROUND_RNE, false) & 0xFFFF) != 0) {
            return false;
        }
    }
    return (g->mc->features & TG_CPU_AVX512_BF16) && tg_dtype_is_float(x) && tg_dtype_bits(x) <= 8;
}

static bool floats_fit(const dot_gen *g, by_codes *p) {
    p->by = pairs_fit(g, p) ? PAIRS : FLOATS;
    return g->d->compute == TG_DT_F32 && g->mc->vector_bytes == 64 &&
           (g->mc->features & TG_CPU_AVX512);
}

static bool plan_codes(const dot_gen *g, by_codes *p) {
    int vb = g->mc->vector_bytes;
    *p = (by_codes){.y = g->y.op->codes};
    if (p->y == NULL || g->d->kmask != NULL || g->acc_y_elems != 1 || g->x.extent > MOST_ROWS ||
        g->d->k % 32 != 0 || vb < 32 ||
        !(g->d->compute == TG_DT_I32 ? bytes_fit(g, p) : floats_fit(g, p))) {
        return false;
    }
    p->granule = g->d->k == 0 ? vb : (int)tg_min_i64(vb, (g->d->k & -g->d->k) * CODE_BITS / 8);
    p->columns = vb / p->granule;
    p->parts = 8 * (int)p->by / CODE_BITS;
    p->unit = p->granule * 8 / CODE_BITS;
    int group = VECS * p->columns;
    return tg_round_up_i64(g->y.extent, group) <= g->acc_x_elems;
}

/* ---- x -----------------------------------------------------------------------------------------
 */

static tg_value *as_bytes_or_pairs(dot_gen *g, const by_codes *p, tg_value *x) {
    if (p->by == BYTES) {
        return tg_build_cast(g->b, x, TG_DT_I8);
    }
    const tg_type *words = tg_type_vec(g->b->module, TG_DT_U32, x->type->shape[0]);
    x = tg_build1(g->b, TG_OP_BITCAST, words, 1, x);
    x = tg_build_binary(g->b, TG_OP_SHR, x, tg_build_int(g->b, words, 16));
    return tg_build_cast(g->b, x, TG_DT_U16);
}

/* A granule of a row of x: a vector for each part, repeated for every column. */
static void stage_granule(dot_gen *g, const by_codes *p, tg_value *x, tg_value *to) {
    int64_t lanes = g->mc->vector_bytes / (int)p->by, own = lanes / p->columns;
    int64_t map[DOT_MAX_LANES];
    x = p->by == FLOATS ? x : as_bytes_or_pairs(g, p, x);
    for (int s = 0; s < p->parts; s++) {
        for (int64_t l = 0; l < lanes; l++) {
            map[l] = l % own * p->parts + s;
        }
        dot_store(g, dot_atc(g, to, dot_ix(g, s), g->mc->vector_bytes),
                  tg_build_shuffle(g->b, x, x, lanes, map), g->mc->vector_bytes);
    }
}

/* What the sums of a row start from: their y come less the least. */
static void stage_start(dot_gen *g, const by_codes *p, tg_value *row, tg_value *sum) {
    tg_value *all = tg_build_reducev(g->b, TG_RED_SUM, sum);
    all = tg_build_binary(g->b, TG_OP_MUL, all, tg_build_int(g->b, g->word_type, p->least));
    dot_store(g, dot_atc(g, p->starts, row, g->word_bytes), all, g->word_bytes);
}

static void stage_x(dot_gen *g, const by_codes *p, tg_value *k0, tg_value *kl) {
    dot_loop rows = dot_for(g, dot_ix(g, 0), g->x.len, 1);
    tg_value *to = dot_atc(g, p->x_at, rows.iv, p->pitch), *k;
    const tg_type *sums = tg_type_vec(g->b->module, g->word, p->unit);
    tg_value *sum[1] = {p->starts != NULL ? tg_build_int(g->b, sums, 0) : dot_ix(g, 0)};
    tg_op *loop =
        tg_build_for(g->b, dot_ix(g, 0), kl, dot_ix(g, p->unit), p->starts != NULL, sum, &k);
    tg_value *x = dot_fetch_k(g, &g->x, rows.iv, dot_add(g, k0, k), p->unit, NULL);
    int64_t vb = g->mc->vector_bytes;
    stage_granule(g, p, x, dot_atc(g, to, k, p->parts * vb / p->unit));
    if (p->starts != NULL) {
        sum[0] = tg_build_binary(g->b, TG_OP_ADD, sum[0], x);
    }
    tg_build_end_for(g->b, loop, p->starts != NULL, sum);
    if (p->starts != NULL) {
        stage_start(g, p, rows.iv, sum[0]);
    }
    dot_end_for(g, rows);
}

/* ---- y -----------------------------------------------------------------------------------------
 */

static tg_value *look_up_table(dot_gen *g, const by_codes *p) {
    tg_module *m = g->b->module;
    tg_dtype t = p->by == BYTES ? TG_DT_U8 : p->by == PAIRS ? TG_DT_U16 : TG_DT_F32;
    int lanes = g->mc->vector_bytes / (int)p->by;
    const tg_type *one = tg_type_scalar(m, t), *all = tg_type_vec(m, t, lanes);
    tg_value *v = p->by == FLOATS ? tg_build_float(g->b, all, 0.0) : tg_build_int(g->b, all, 0);
    for (int l = 0; l < lanes; l++) {
        double of = p->y->value[l % 16];
        uint64_t bits = tg_float_encode(TG_DT_F32, of, TG_ROUND_RNE, false);
        tg_value *e = p->by == FLOATS  ? tg_build_float(g->b, one, of)
                      : p->by == PAIRS ? tg_build_int(g->b, one, (int64_t)(bits >> 16))
                                       : tg_build_int(g->b, one, (int64_t)of - p->least);
        v = tg_build_insert(g->b, v, e, l);
    }
    return v;
}

/* The bytes of `columns` rows of y at k, beside one another. */
static tg_value *join_columns(dot_gen *g, const by_codes *p, tg_value *const *row, tg_value *k) {
    const tg_type *t = tg_type_vec(g->b->module, TG_DT_U8, p->granule);
    tg_value *v[DOT_MAX_VECS], *byte = tg_build_binary(g->b, TG_OP_SHR, k, dot_ix(g, 1));
    int64_t map[DOT_MAX_LANES];
    for (int l = 0; l < DOT_MAX_LANES; l++) {
        map[l] = l;
    }
    for (int q = 0; q < p->columns; q++) {
        tg_value *at = tg_build_gep(g->b, row[q], byte, 1);
        dot_prefetch(g, tg_build_gep(g->b, at, dot_ix(g, AHEAD), 1), false);
        v[q] = tg_build_loadm(g->b, t, at, 1);
    }
    for (int n = p->columns, bytes = 2 * p->granule; n > 1; n /= 2, bytes *= 2) {
        for (int q = 0; q < n / 2; q++) {
            v[q] = tg_build_shuffle(g->b, v[2 * q], v[2 * q + 1], bytes, map);
        }
    }
    return v[0];
}

static tg_value *shifted(dot_gen *g, tg_value *x, int64_t by) {
    return by == 0 ? x : tg_build_binary(g->b, TG_OP_SHR, x, tg_build_int(g->b, x->type, by));
}

static tg_value *look_up(dot_gen *g, const char *name, tg_value *table, tg_value *index) {
    tg_value *args[2] = {table, index};
    return tg_build_intrinsic(g->b, name, table->type, 2, args);
}

/* Part s of a vector of codes. */
static tg_value *decode(dot_gen *g, const by_codes *p, tg_value *codes, int s) {
    tg_module *m = g->b->module;
    int vb = g->mc->vector_bytes;
    if (p->by != BYTES) {
        bool pairs = p->by == PAIRS;
        const tg_type *t = tg_type_vec(m, pairs ? TG_DT_U16 : TG_DT_U32, pairs ? vb / 2 : vb / 4);
        tg_value *words = tg_build1(g->b, TG_OP_BITCAST, t, 1, codes);
        return look_up(g, pairs ? "x86.avx512.permvar.hi.512" : "x86.avx512.permvar.sf.512",
                       p->values, shifted(g, words, (int64_t)CODE_BITS * s));
    }
    const tg_type *bytes = codes->type;
    tg_value *words = tg_build1(g->b, TG_OP_BITCAST, tg_type_vec(m, TG_DT_U16, vb / 2), 1, codes);
    words = shifted(g, words, (int64_t)CODE_BITS * s);
    words = tg_build_binary(g->b, TG_OP_AND, words, tg_build_int(g->b, words->type, 0x0F0F));
    tg_value *code = tg_build1(g->b, TG_OP_BITCAST, bytes, 1, words);
    return !p->table ? code
                     : look_up(g, vb == 64 ? "x86.avx512.pshuf.b.512" : "x86.avx2.pshuf.b",
                               p->values, code);
}

/* ---- sums --------------------------------------------------------------------------------------
 */

/* acc + the parts of y times those of a row of x at `at`. */
static tg_value *add_parts(dot_gen *g, const by_codes *p, tg_value *const *y, tg_value *at,
                           tg_value *acc) {
    int64_t vb = g->mc->vector_bytes;
    tg_module *m = g->b->module;
    tg_value *halves = NULL;
    for (int s = 0; s < p->parts; s++) {
        tg_value *from = dot_atc(g, at, dot_ix(g, s), vb);
        if (p->by == FLOATS) {
            acc = tg_build_fma(g->b, dot_load(g, from, g->vl, vb), y[s], acc);
            continue;
        }
        if (p->by == PAIRS) {
            tg_value *args[3] = {acc, tg_build_loadm(g->b, y[s]->type, from, vb), y[s]};
            acc = tg_build_intrinsic(g->b, "x86.avx512bf16.dpbf16ps.512", g->vec_type, 3, args);
            continue;
        }
        const tg_type *t = tg_type_vec(m, TG_DT_I8, vb);
        tg_value *x = tg_build_loadm(g->b, t, from, vb);
        if (!p->halves) {
            tg_value *args[3] = {acc, tg_build1(g->b, TG_OP_BITCAST, g->vec_type, 1, y[s]),
                                 tg_build1(g->b, TG_OP_BITCAST, g->vec_type, 1, x)};
            acc = tg_build_intrinsic(g->b, "x86.avx512.vpdpbusd.512", g->vec_type, 3, args);
            continue;
        }
        tg_value *args[2] = {y[s], x};
        tg_value *sum = tg_build_intrinsic(
            g->b, vb == 64 ? "x86.avx512.pmaddubs.w.512" : "x86.avx2.pmadd.ub.sw",
            tg_type_vec(m, TG_DT_I16, vb / 2), 2, args);
        halves = halves == NULL ? sum : tg_build_binary(g->b, TG_OP_ADD, halves, sum);
    }
    if (halves == NULL) {
        return acc;
    }
    tg_value *args[2] = {halves, tg_build_int(g->b, halves->type, 1)};
    tg_value *words = tg_build_intrinsic(
        g->b, vb == 64 ? "x86.avx512.pmaddw.d.512" : "x86.avx2.pmadd.wd", g->vec_type, 2, args);
    return tg_build_binary(g->b, TG_OP_ADD, acc, words);
}

/* A granule from k on: every vector of codes is decoded once for all rows of x. */
static void add_granule(dot_gen *g, const by_codes *p, tg_value *(*rows)[DOT_MAX_VECS],
                        tg_value *const *x, tg_value *k0, tg_value *k, tg_value **acc) {
    int64_t bytes = p->parts * g->mc->vector_bytes / p->unit;
    for (int c = 0; c < VECS; c++) {
        tg_value *codes = join_columns(g, p, rows[c], dot_add(g, k0, k)), *y[MOST_PARTS];
        for (int s = 0; s < p->parts; s++) {
            y[s] = decode(g, p, codes, s);
        }
        for (int r = 0; r < p->mr; r++) {
            tg_value **a = &acc[r * VECS + c];
            *a = add_parts(g, p, y, dot_atc(g, x[r], k, bytes), *a);
        }
    }
}

/* Sums of the columns of a group, side by side. */
static tg_value *group_sums(dot_gen *g, const by_codes *p, tg_value *const *acc) {
    tg_value *sum = dot_sum4_in_lanes(g, acc);
    for (int n = p->granule / 16; n > 1; n /= 2) {
        int64_t even[DOT_MAX_LANES], odd[DOT_MAX_LANES], words = sum->type->shape[0] / 2;
        for (int64_t l = 0; l < words; l++) {
            even[l] = l / 4 * 8 + l % 4;
            odd[l] = even[l] + 4;
        }
        sum = tg_build_binary(g->b, TG_OP_ADD, tg_build_shuffle(g->b, sum, sum, words, even),
                              tg_build_shuffle(g->b, sum, sum, words, odd));
    }
    return sum;
}

/* p->mr rows of x from i on with a group of columns from j on. */
static void sum_group(dot_gen *g, const by_codes *p, tg_value *(*rows)[DOT_MAX_VECS], tg_value *j,
                      tg_value *i, tg_value *k0, tg_value *kl) {
    tg_value *acc[MOST_MR * VECS], *x[MOST_MR], *number[MOST_MR], *ptr[MOST_MR], *k;
    int n = p->mr * VECS, group = VECS * p->columns;
    for (int r = 0; r < p->mr; r++) {
        number[r] = dot_block_row(g, &g->x, i, r, p->mr);
        x[r] = dot_atc(g, p->x_at, number[r], p->pitch);
    }
    for (int a = 0; a < n; a++) {
        acc[a] = dot_zero(g);
    }
    if (g->d->k == p->unit) {
        add_granule(g, p, rows, x, k0, dot_ix(g, 0), acc);
    } else {
        tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), kl, dot_ix(g, p->unit), n, acc, &k);
        add_granule(g, p, rows, x, k0, k, acc);
        tg_build_end_for(g->b, loop, n, acc);
    }
    tg_value *sum[MOST_MR];
    for (int r = 0; r < p->mr; r++) {
        sum[r] = group_sums(g, p, acc + (int64_t)r * VECS);
        if (p->starts != NULL) {
            tg_value *start =
                dot_load(g, dot_atc(g, p->starts, number[r], g->word_bytes), 1, g->word_bytes);
            sum[r] = tg_build_binary(g->b, TG_OP_ADD, sum[r], tg_build_splat(g->b, start, group));
        }
        tg_value *at = dot_atc(g, g->d->acc, number[r], g->acc_x_elems * g->word_bytes);
        ptr[r] = dot_atc(g, at, j, g->word_bytes);
        if (!g->d->acc_zero || p->blocked_k) {
            tg_value *old = dot_load(g, ptr[r], group, g->word_bytes);
            sum[r] = tg_build_binary(g->b, TG_OP_ADD, old, sum[r]);
        }
    }
    for (int r = 0; r < p->mr; r++) {
        dot_store(g, ptr[r], sum[r], g->word_bytes);
    }
}

/* All rows of x with a group of columns from j on. */
static void sum_columns(dot_gen *g, const by_codes *p, tg_value *j, tg_value *k0, tg_value *kl) {
    tg_value *rows[VECS][DOT_MAX_VECS], *i, *last = dot_addc(g, g->y.len, -1);
    tg_value *pitch = p->y->row_bytes;
    for (int c = 0; c < VECS; c++) {
        for (int q = 0; q < p->columns; q++) {
            tg_value *row = dot_min(g, dot_addc(g, j, VECS * q + c), last);
            rows[c][q] = !g->y.inside ? dot_at(g, p->y->base, row, pitch)
                         : q > 0      ? dot_at(g, rows[c][0], dot_ix(g, VECS * q), pitch)
                         : c > 0      ? dot_at(g, rows[c - 1][0], dot_ix(g, 1), pitch)
                                      : dot_at(g, p->y->base, j, pitch);
        }
    }
    if (p->once) {
        sum_group(g, p, rows, j, dot_ix(g, 0), k0, kl);
        return;
    }
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), g->x.len, dot_ix(g, p->mr), 0, NULL, &i);
    sum_group(g, p, rows, j, i, k0, kl);
    tg_build_end_for(g->b, loop, 0, NULL);
}

static void emit_columns(dot_gen *g, by_codes *p, tg_value *k0, tg_value *kl) {
    int group = VECS * p->columns;
    bool whole = dot_whole(&g->y, group);
    stage_x(g, p, k0, kl);
    tg_value *j, *from[1] = {dot_ix(g, 0)};
    g->y.inside = true;
    tg_value *hi = whole ? g->y.len : dot_addc(g, g->y.len, 1 - group);
    tg_op *loop = tg_build_for(g->b, from[0], hi, dot_ix(g, group), 1, from, &j);
    sum_columns(g, p, j, k0, kl);
    from[0] = dot_addc(g, j, group);
    tg_build_end_for(g->b, loop, 1, from);
    g->y.inside = false;
    if (!whole) {
        loop = tg_build_for(g->b, from[0], g->y.len, dot_ix(g, group), 0, NULL, &j);
        sum_columns(g, p, j, k0, kl);
        tg_build_end_for(g->b, loop, 0, NULL);
    }
}

static void emit_rows(dot_gen *g, by_codes *p, int mr, int64_t rows) {
    int64_t mark = g->scratch->used;
    int64_t per_element = p->parts * g->mc->vector_bytes / p->unit, k = g->d->k;
    p->mr = mr;
    p->once = rows <= mr;
    p->ks = tg_max_i64(g->mc->l1_bytes / per_element / rows, p->unit) / p->unit * p->unit;
    p->blocked_k = k <= 0 || k > p->ks;
    p->pitch = (p->blocked_k ? p->ks : k) * per_element;
    p->x_at = tg_scratch_take(g->scratch, g->b, rows * p->pitch);
    p->starts = p->by == BYTES && p->least != 0
                    ? tg_scratch_take(g->scratch, g->b, rows * g->word_bytes)
                    : NULL;
    p->values = p->by == BYTES && !p->table ? NULL : look_up_table(g, p);
    tg_value *k0 = dot_ix(g, 0), *kl = g->d->k_len;
    if (!p->blocked_k) {
        emit_columns(g, p, k0, kl);
    } else {
        if (g->d->acc_zero) {
            dot_zero_acc(g);
        }
        dot_loop ks = dot_for(g, k0, kl, p->ks);
        kl = dot_min(g, dot_ix(g, p->ks), dot_sub(g, kl, ks.iv));
        emit_columns(g, p, ks.iv, kl);
        dot_end_for(g, ks);
    }
    g->scratch->used = mark;
}

/* One row, two, or more: the products of rows that repeat cost as much as others. */
static void emit_by_rows(dot_gen *g, by_codes *p) {
    int64_t known = g->x.len_const, most = known >= 0 ? known : g->x.extent;
    tg_op *branch[2] = {NULL, NULL}, *any;
    int depth = 0;
    if (!dot_if(g, dot_lt(g, dot_ix(g, 0), g->x.len), &any)) {
        return;
    }
    for (int mr = 1; mr < MOST_MR && mr < most && known < 0; mr *= 2) {
        branch[depth] = tg_build_if(g->b, dot_lt(g, g->x.len, dot_ix(g, mr + 1)), 0, NULL);
        emit_rows(g, p, mr, mr);
        tg_build_else(g->b, branch[depth++], 0, NULL);
    }
    emit_rows(g, p, (int)tg_min_i64(most, MOST_MR), most);
    while (depth > 0) {
        tg_build_end_if(g->b, branch[--depth], 0, NULL);
    }
    dot_end_if(g, any);
}

bool dot_emit_codes(dot_gen *g, tg_op **otherwise) {
    by_codes p;
    *otherwise = NULL;
    if (!plan_codes(g, &p)) {
        return false;
    }
    dot_gen own = *g;
    own.per_word = 1;
    own.bf16 = false;
    own.vl = (int)(g->mc->vector_bytes / g->word_bytes);
    own.vec_type = tg_type_vec(g->b->module, g->word, own.vl);
    tg_value *rest = tg_build_binary(g->b, TG_OP_AND, g->d->k_len, dot_ix(g, p.unit - 1));
    tg_value *fits =
        g->k_divisor % p.unit == 0 ? NULL : tg_build_cmp(g->b, TG_CMP_EQ, rest, dot_ix(g, 0));
    tg_value *usable = p.y->usable;
    fits = fits == NULL     ? usable
           : usable == NULL ? fits
                            : tg_build_binary(g->b, TG_OP_AND, fits, usable);
    if (fits == NULL) {
        emit_by_rows(&own, &p);
        return true;
    }
    *otherwise = tg_build_if(g->b, fits, 0, NULL);
    emit_by_rows(&own, &p);
    tg_build_else(g->b, *otherwise, 0, NULL);
    return true;
}
