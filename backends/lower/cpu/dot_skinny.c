/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The skinny forms: few x rows, so packing y would cost more than it saves.
 *
 * Along k: y is contiguous along k (weights [N, K]). A block of MR x NR sums, each a vector along
 * k; lanes are added at the end. The rows of y are read where they lie, NR streams at once, widened
 * in registers; when several blocks of x use them they are first staged as words.
 *
 * Along rows: y is contiguous along its rows (weights [K, N]). U words of k at a time update whole
 * rows of acc: one load and store of acc for U products.
 */
#include "backends/lower/cpu/dot.h"

#include <string.h>

/* CHAINS of sums hide the latency of one. A single stream is asked for further ahead than each of
 * several: bytes. */
enum { MAX_BLOCK = 4, CHAINS = 8, LINE = 64, AHEAD = 1024, STREAM_AHEAD = 8192 };

/* ---- along k ------------------------------------------------------------------------------------
 */

typedef struct along_k {
    int mr, nr, unroll;
    int64_t most_rows; /* x rows this code has to serve */
    bool stage_x, stage_y;
    bool blocked_k;
    bool by_rows;      /* the only row of x: a single stream through y */
    int wide;          /* so many vectors of y at a time, into the same sums (0: one) */
    bool spread;       /* each of them every wide-th element: x is staged in that order */
    bool split;        /* y by dot_fetch_bytes, at once or staged: x is staged in that order */
    int64_t ks, pitch; /* block of k in elements; words between staged rows */
    int64_t step;      /* elements in a vector of words */
    tg_value *x_at, *y_at, *ends;
    tg_value *starts; /* a word for every staged row of x, or NULL */
    tg_value *least;  /* bf16: smallest element of x */
} along_k;

/* Words along k can be read where they lie. */
static bool plain_along_k(const dot_gen *g, const dot_side *s) {
    bool pairs = g->bf16 && s->op->base && s->op->dtype == TG_DT_BF16 && !g->d->kmask;
    return (pairs || dot_is_direct(g, s)) && s->k_unit && s->op->unit_cols >= 0;
}

static void choose_sums(const dot_gen *g, along_k *p, int64_t rows) {
    int64_t best = INT64_MAX;
    for (int mr = 1; mr <= MAX_BLOCK && mr <= rows; mr++) {
        for (int nr = 1; nr <= MAX_BLOCK && nr <= g->y.extent; nr++) {
            int held = mr < nr ? mr : nr;
            bool once = rows > MAX_BLOCK || mr == rows; /* few rows: y is read once */
            if (mr * nr + held + 1 > g->mc->vector_regs || !once) {
                continue;
            }
            int64_t blocks = tg_cdiv_i64(rows, mr) * tg_cdiv_i64(g->y.extent, nr);
            int64_t cost =
                blocks * (tg_max_i64(mr * nr, 8) * 16 + 6 * (mr + nr) + (nr == 4 ? 0 : 24));
            if (cost < best) {
                best = cost;
                p->mr = mr;
                p->nr = nr;
            }
        }
    }
    bool once = g->d->k > 0 && g->d->k < 2 * p->step;
    p->unroll = p->mr * p->nr <= 4 && !once ? 2 : 1;
}

static along_k plan_along_k(dot_gen *g, int64_t max_rows) {
    along_k p = {.step = (int64_t)g->vl * g->per_word};
    int64_t wb = g->word_bytes, rows = tg_min_i64(max_rows, g->x.extent), k = g->d->k;
    choose_sums(g, &p, rows);
    p.most_rows = rows;
    p.stage_x = g->bf16 || !plain_along_k(g, &g->x);
    p.stage_y = rows > p.mr && !plain_along_k(g, &g->y);
    if (!p.stage_y && (dot_takes_wide(g, &g->y) || dot_spreads(g, &g->y))) {
        p.wide = k > 0 && k < DOT_WIDE * p.step ? DOT_WIDE / 2 : DOT_WIDE;
        p.spread = dot_spreads(g, &g->y);
        p.stage_x = p.stage_x || p.spread;
        p.unroll = 1;
    }
    if (dot_splits_bytes(g, &g->y)) {
        p.split = true;
        g->y.split = p.stage_y;
        p.wide = p.stage_y ? 0 : 2;
        p.unroll = 1;
    }
    p.by_rows = p.wide == 0 && !p.stage_y && k <= 0 && rows == 1 && plain_along_k(g, &g->y);
    if (p.by_rows) {
        p.unroll = CHAINS / p.mr;
    }
    /* x rows pass once per block of y rows: a few of them from the first level, more from the
     * second. */
    int64_t ks = g->mc->l1_bytes / (wb * (rows + (p.stage_y ? p.nr : 0)));
    ks = tg_max_i64(tg_min_i64(ks / 64 * 64, 4096), 512);
    p.ks = ks * g->per_word;
    p.blocked_k = (p.stage_x || p.stage_y) && (k <= 0 || k > p.ks);
    int64_t len = p.blocked_k ? p.ks : k;
    if (p.stage_x || p.stage_y) {
        p.pitch = tg_round_up_i64(len, p.step) / g->per_word + 64 / wb;
    }
    if (p.stage_x) {
        p.x_at = tg_scratch_take(g->scratch, g->b, rows * p.pitch * wb);
        if (g->per_word == 4 && g->least != 0) {
            p.starts = tg_scratch_take(g->scratch, g->b, rows * wb);
        }
    }
    if (p.stage_y) {
        p.y_at = tg_scratch_take(g->scratch, g->b, p.nr * p.pitch * wb);
    }
    p.ends = tg_scratch_take(g->scratch, g->b, 2 * MAX_BLOCK * g->vl * wb);
    return p;
}

/* Row r of a block: where its words start, or its number when it is fetched through the operand. */
typedef struct sum_rows {
    const dot_side *s;
    bool plain;      /* words lie at ptr[] */
    bool padded;     /* and zero words follow its end */
    tg_value *first; /* number of row 0 */
    tg_value *ptr[MAX_BLOCK], *number[MAX_BLOCK];
} sum_rows;

static tg_value *sum_word(dot_gen *g, const sum_rows *rows, int r, tg_value *k0, tg_value *k) {
    if (rows->plain) {
        int64_t unit = g->word_bytes / g->per_word;
        return dot_load(g, dot_atc(g, rows->ptr[r], k, unit), g->vl, unit);
    }
    return dot_fetch_k(g, rows->s, rows->number[r], dot_add(g, k0, k), g->vl, NULL);
}

static sum_rows staged_rows(dot_gen *g, const dot_side *s, tg_value *at, int64_t pitch,
                            tg_value *first, tg_value *row, int n) {
    sum_rows out = {.s = s, .plain = true, .padded = true, .first = row};
    for (int r = 0; r < n; r++) {
        out.number[r] = dot_block_row(g, s, row, r, n);
        out.ptr[r] = dot_atc(g, at, dot_sub(g, out.number[r], first), pitch * g->word_bytes);
    }
    return out;
}

static sum_rows memory_rows(dot_gen *g, const dot_side *s, tg_value *k0, tg_value *row, int n) {
    sum_rows out = {.s = s, .plain = plain_along_k(g, s), .first = row};
    for (int r = 0; r < n; r++) {
        out.number[r] = dot_block_row(g, s, row, r, n);
        if (out.plain) {
            out.ptr[r] =
                dot_at(g, dot_at(g, s->op->base, out.number[r], s->row_bytes), k0, s->k_bytes);
        }
    }
    return out;
}

/* A word of row r of y; `least`, if any, gets to know it. */
static tg_value *sum_word_y(dot_gen *g, const sum_rows *y, int r, tg_value *k0, tg_value *k,
                            tg_value **least) {
    tg_value *word = sum_word(g, y, r, k0, k);
    if (least != NULL) {
        *least = dot_least_add(g, *least, word);
    }
    return word;
}

/* Adds `unroll` vectors of words from k to the sums; the smaller side's vectors are held. */
static void sum_step(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                     tg_value *k0, tg_value *k, int unroll, tg_value **acc, tg_value **least) {
    for (int u = 0; u < unroll; u++) {
        tg_value *at = dot_addc(g, k, u * p->step), *held[MAX_BLOCK];
        bool hold_x = p->mr <= p->nr;
        int n_held = hold_x ? p->mr : p->nr, n_other = hold_x ? p->nr : p->mr;
        for (int i = 0; i < n_held; i++) {
            held[i] = hold_x ? sum_word(g, x, i, k0, at) : sum_word_y(g, y, i, k0, at, least);
        }
        for (int o = 0; o < n_other; o++) {
            tg_value *other =
                hold_x ? sum_word_y(g, y, o, k0, at, least) : sum_word(g, x, o, k0, at);
            for (int i = 0; i < n_held; i++) {
                int r = hold_x ? i : o, c = hold_x ? o : i;
                tg_value **s = &acc[(u * p->mr + r) * p->nr + c];
                *s = hold_x ? dot_mac(g, held[i], other, *s) : dot_mac(g, other, held[i], *s);
            }
        }
    }
}

/* The same for p->wide vectors from k on, each row of y taken at once. */
static void sum_wide(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                     tg_value *k0, tg_value *k, tg_value **acc) {
    tg_value *xs[MAX_BLOCK][DOT_WIDE], *ys[DOT_WIDE];
    for (int r = 0; r < p->mr; r++) {
        for (int u = 0; u < p->wide; u++) {
            xs[r][u] = sum_word(g, x, r, k0, dot_addc(g, k, u * p->step));
        }
    }
    for (int c = 0; c < p->nr; c++) {
        if (p->split) {
            dot_fetch_bytes(g, y->s, y->number[c], dot_add(g, k0, k), ys);
        } else if (p->spread) {
            dot_fetch_spread(g, y->s, y->number[c], dot_add(g, k0, k), p->wide, ys);
        } else {
            dot_fetch_wide(g, y->s, y->number[c], dot_add(g, k0, k), p->wide, ys);
        }
        for (int u = 0; u < p->wide; u++) {
            for (int r = 0; r < p->mr; r++) {
                tg_value **s = &acc[r * p->nr + c];
                *s = dot_mac(g, xs[r][u], ys[u], *s);
            }
        }
    }
}

/* Rows to read the last, incomplete vector of words from: `end` is its place in the block. */
static sum_rows end_rows(dot_gen *g, const sum_rows *rows, int n, tg_value *k, tg_value *end,
                         tg_value *valid, tg_value *to) {
    if (rows->padded) {
        return *rows;
    }
    sum_rows out = {.plain = true};
    dot_stage_ends(g, rows->s, rows->first, n, k, valid, to);
    tg_value *back = dot_mulc(g, end, -(g->word_bytes / g->per_word));
    for (int r = 0; r < n; r++) {
        tg_value *at = dot_addc(g, back, (int64_t)r * g->vl * g->word_bytes);
        out.ptr[r] = tg_build_gep(g->b, to, at, 1);
    }
    return out;
}

/* Adds the `valid` elements at `end` of the block, fewer than a vector of words; `least` follows
 * the sums in acc if it is asked for. */
static void sum_end(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                    tg_value *k0, tg_value *end, tg_value *valid, bool look, tg_value **acc) {
    const tg_type *types[MAX_BLOCK * MAX_BLOCK + 1];
    tg_value *before[MAX_BLOCK * MAX_BLOCK + 1];
    int sums = p->mr * p->nr, n = sums + (look ? 1 : 0);
    for (int i = 0; i < n; i++) {
        types[i] = acc[i]->type;
        before[i] = acc[i];
    }
    tg_op *op = tg_build_if(g->b, dot_lt(g, dot_ix(g, 0), valid), n, types);
    tg_value *k = dot_add(g, k0, end);
    tg_value *y_ends = dot_atc(g, p->ends, dot_ix(g, MAX_BLOCK), g->vl * g->word_bytes);
    sum_rows xe = end_rows(g, x, p->mr, k, end, valid, p->ends);
    sum_rows ye = end_rows(g, y, p->nr, k, end, valid, y_ends);
    sum_step(g, p, &xe, &ye, k0, end, 1, acc, look ? &acc[sums] : NULL);
    tg_build_else(g->b, op, n, acc);
    tg_build_end_if(g->b, op, n, before);
    for (int i = 0; i < n; i++) {
        acc[i] = &op->results[i];
    }
}

/* Rows of y that are read once from memory: the hardware follows streams at a distance too short.
 */
static bool reads_once(const dot_gen *g, const along_k *p) {
    return g->vector_bytes >= LINE && g->d->k <= 0 && p->most_rows <= p->mr;
}

/* What lies behind the part of k of one of `rows` rows, in elements from its end on: that of the
 * row that is read next in its place. */
static tg_value *next_rows(dot_gen *g, const dot_side *s, int rows, tg_value *kl) {
    int64_t bits = tg_dtype_bits(s->op->dtype);
    if (s->op->base == NULL || bits < 8) {
        return dot_ix(g, 0);
    }
    tg_value *bytes = dot_mulc(g, s->row_bytes, rows);
    return dot_sub(g, tg_build_binary(g->b, TG_OP_DIV, bytes, dot_ix(g, bits / 8)), kl);
}

/* Row c of y, `bytes` of it from k on ahead. */
static void prefetch_along(dot_gen *g, const sum_rows *y, int c, tg_value *k0, tg_value *k,
                           tg_value *kl, tg_value *next, int64_t elems, int64_t ahead) {
    int64_t line = LINE * 8 / tg_dtype_bits(y->s->op->dtype);
    tg_value *at = dot_addc(g, k, ahead / LINE * line);
    tg_value *skip = tg_build_select(g->b, dot_lt(g, at, kl), dot_ix(g, 0), next);
    at = dot_add(g, k0, dot_add(g, at, skip));
    for (int64_t e = 0; e < elems; e += line) {
        dot_prefetch_at(g, y->s, y->number[c], dot_addc(g, at, e));
    }
}

/* Sums of the whole strides of the block, row by row of y; returns where they end. `least`, if any,
 * gets to know all of y that is seen. */
static tg_value *sum_by_rows(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                             tg_value *k0, tg_value *kl, tg_value **acc, tg_value **least) {
    int n = p->mr * p->unroll, seen = n, at = n + (least ? 1 : 0);
    int64_t stride = p->step * p->unroll;
    tg_value *k, *carried[CHAINS + 2], *next = next_rows(g, y->s, 1, kl);
    for (int c = 0; c < p->nr; c++) {
        for (int i = 0; i < n; i++) {
            carried[i] = dot_zero(g);
        }
        carried[seen] = least ? *least : NULL;
        carried[at] = dot_ix(g, 0);
        tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), dot_addc(g, kl, 1 - stride),
                                   dot_ix(g, stride), at + 1, carried, &k);
        prefetch_along(g, y, c, k0, k, kl, next, stride, STREAM_AHEAD);
        for (int u = 0; u < p->unroll; u++) {
            tg_value *from = dot_addc(g, k, u * p->step);
            tg_value *word = sum_word_y(g, y, c, k0, from, least ? &carried[seen] : NULL);
            for (int r = 0; r < p->mr; r++) {
                tg_value **s = &carried[u * p->mr + r];
                *s = dot_mac(g, sum_word(g, x, r, k0, from), word, *s);
            }
        }
        carried[at] = dot_addc(g, k, stride);
        tg_build_end_for(g->b, loop, at + 1, carried);
        for (int i = p->mr; i < n; i++) {
            tg_value **s = &carried[i % p->mr];
            *s = tg_build_binary(g->b, TG_OP_ADD, *s, carried[i]);
        }
        for (int r = 0; r < p->mr; r++) {
            acc[r * p->nr + c] = carried[r];
        }
        if (least) {
            *least = carried[seen];
        }
    }
    return carried[at];
}

/* The same of all rows at once. */
static tg_value *sum_strides(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                             tg_value *k0, tg_value *kl, tg_value *ahead, tg_value **acc,
                             tg_value **least) {
    int sums = p->mr * p->nr, n = sums * p->unroll, seen = n, at = n + (least ? 1 : 0);
    int64_t stride = p->step * (p->wide > 0 ? p->wide : p->unroll);
    tg_value *k, *carried[MAX_BLOCK * MAX_BLOCK * 2 + 2];
    for (int i = 0; i < n; i++) {
        carried[i] = dot_zero(g);
    }
    carried[seen] = least ? *least : NULL;
    carried[at] = dot_ix(g, 0);
    tg_value *next = reads_once(g, p) ? next_rows(g, y->s, p->nr, kl) : NULL;
    tg_value *hi = g->k_divisor % stride == 0 ? kl : dot_addc(g, kl, 1 - stride);
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), hi, dot_ix(g, stride), at + 1, carried, &k);
    if (ahead) {
        dot_prefetch_at(g, &g->y, ahead, dot_add(g, k0, k));
    }
    for (int c = 0; next != NULL && c < p->nr; c++) {
        prefetch_along(g, y, c, k0, k, kl, next, stride, AHEAD);
    }
    if (p->wide > 0) {
        sum_wide(g, p, x, y, k0, k, carried);
    } else {
        sum_step(g, p, x, y, k0, k, p->unroll, carried, least ? &carried[seen] : NULL);
    }
    carried[at] = dot_addc(g, k, stride);
    tg_build_end_for(g->b, loop, at + 1, carried);
    for (int i = 0; i < sums; i++) {
        acc[i] = carried[i];
        for (int u = 1; u < p->unroll; u++) {
            acc[i] = tg_build_binary(g->b, TG_OP_ADD, acc[i], carried[u * sums + i]);
        }
    }
    if (least) {
        *least = carried[seen];
    }
    return carried[at];
}

/* Sums of the block over [k0, k0 + kl): acc gets mr * nr vectors and, if `look`, the smallest
 * element of y. `ahead`: a y row needed later. */
static void sum_once(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                     tg_value *k0, tg_value *kl, tg_value *ahead, bool look, tg_value **acc) {
    int sums = p->mr * p->nr, last = sums + (look ? 1 : 0);
    int64_t stride = p->step * (p->wide > 0 ? p->wide : p->unroll);
    tg_value *k, *carried[MAX_BLOCK * MAX_BLOCK + 2], **least = look ? &acc[sums] : NULL;
    acc[sums] = look ? dot_least_none(g) : NULL;
    if (p->wide == 0 && p->unroll == 1 && g->k_divisor == stride) { /* all of k in one step */
        for (int i = 0; i < sums; i++) {
            acc[i] = dot_zero(g);
        }
        sum_step(g, p, x, y, k0, dot_ix(g, 0), 1, acc, least);
        return;
    }
    tg_value *from = p->by_rows ? sum_by_rows(g, p, x, y, k0, kl, acc, least)
                                : sum_strides(g, p, x, y, k0, kl, ahead, acc, least);
    if (g->k_divisor % stride == 0) {
        return;
    }
    if (stride > p->step) {
        memcpy(carried, acc, sizeof *acc * (size_t)last);
        carried[last] = from;
        tg_value *hi = g->k_divisor % p->step == 0 ? kl : dot_addc(g, kl, 1 - p->step);
        tg_op *loop = tg_build_for(g->b, from, hi, dot_ix(g, p->step), last + 1, carried, &k);
        sum_step(g, p, x, y, k0, k, 1, carried, look ? &carried[sums] : NULL);
        carried[last] = dot_addc(g, k, p->step);
        tg_build_end_for(g->b, loop, last + 1, carried);
        memcpy(acc, carried, sizeof *acc * (size_t)last);
        from = carried[last];
    }
    if (g->k_divisor % p->step != 0) {
        sum_end(g, p, x, y, k0, from, dot_sub(g, kl, from), look, acc);
    }
}

/* The same; where elements turn out not to fit pairs, once more element by element. */
static void sum_block(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                      tg_value *k0, tg_value *kl, tg_value *ahead, tg_value **acc) {
    const tg_type *types[MAX_BLOCK * MAX_BLOCK];
    int n = p->mr * p->nr;
    bool look = g->bf16 && !g->sure;
    sum_once(g, p, x, y, k0, kl, ahead, look, acc);
    if (!look) {
        return;
    }
    for (int i = 0; i < n; i++) {
        types[i] = g->vec_type;
    }
    tg_value *fits = dot_bf16_fits(g, p->least, dot_least_of(g, acc[n]));
    tg_op *op = tg_build_if(g->b, fits, n, types);
    tg_build_else(g->b, op, n, acc);
    g->apart = true;
    sum_once(g, p, x, y, k0, kl, NULL, false, acc);
    g->apart = false;
    tg_build_end_if(g->b, op, n, acc);
    for (int i = 0; i < n; i++) {
        acc[i] = &op->results[i];
    }
}

/* Scalars of all sums of the block, [mr][nr]. */
static void lane_sums(dot_gen *g, const along_k *p, tg_value *const *acc, tg_value **out) {
    for (int i = 0; i < p->mr * p->nr; i++) {
        out[i] = NULL;
    }
    if (p->nr == 4 || p->mr == 4) {
        int groups = p->nr == 4 ? p->mr : p->nr;
        for (int q = 0; q < groups; q++) {
            tg_value *v[4];
            for (int i = 0; i < 4; i++) {
                v[i] = acc[p->nr == 4 ? q * 4 + i : i * p->nr + q];
            }
            tg_value *sum = dot_sum4(g, v);
            for (int i = 0; i < 4; i++) {
                out[p->nr == 4 ? q * 4 + i : i * p->nr + q] = tg_build_extract(g->b, sum, i);
            }
        }
        return;
    }
    for (int i = 0; i < p->mr * p->nr; i++) {
        out[i] = tg_build_reducev(g->b, TG_RED_SUM, acc[i]);
    }
}

/* acc block += sums; all loads come before all stores, since rows may repeat. */
static void add_block(dot_gen *g, const along_k *p, const sum_rows *x, const sum_rows *y,
                      tg_value *const *acc, bool store_only) {
    tg_value *ptr[MAX_BLOCK * MAX_BLOCK], *sum[MAX_BLOCK * MAX_BLOCK];
    int64_t wb = g->word_bytes;
    bool vectors =
        p->nr == 4 && g->acc_y_elems == 1 && g->acc_x_elems >= tg_round_up_i64(g->y.extent, 4);
    int n = vectors ? p->mr : p->mr * p->nr, per_row = vectors ? 1 : p->nr;
    if (vectors) {
        for (int r = 0; r < p->mr; r++) {
            sum[r] = dot_sum4(g, acc + r * 4);
        }
    } else {
        lane_sums(g, p, acc, sum);
    }
    for (int i = 0; i < n; i++) {
        tg_value *at = dot_acc_row(g, x->number[i / per_row]);
        ptr[i] = dot_atc(g, at, y->number[vectors ? 0 : i % per_row], g->acc_y_elems * wb);
        if (p->starts) {
            tg_value *start = dot_load(g, dot_atc(g, p->starts, x->number[i / per_row], wb), 1, wb);
            start = vectors ? tg_build_splat(g->b, start, 4) : start;
            sum[i] = tg_build_binary(g->b, TG_OP_ADD, sum[i], start);
        }
        if (!store_only) {
            tg_value *old = dot_load(g, ptr[i], vectors ? 4 : 1, wb);
            sum[i] = tg_build_binary(g->b, TG_OP_ADD, old, sum[i]);
        }
    }
    for (int i = 0; i < n; i++) {
        dot_store(g, ptr[i], sum[i], wb);
    }
}

/* The hardware follows a row once it runs: only the heads of the next rows are asked for. */
static void prefetch_heads(dot_gen *g, const along_k *p, const sum_rows *y, tg_value *k0) {
    int64_t line = 64 * 8 / tg_dtype_bits(y->s->op->dtype);
    for (int64_t at = 0; at < 4 * line; at += line) {
        for (int r = 0; r < p->nr; r++) {
            dot_prefetch_at(g, y->s, dot_addc(g, y->number[r], p->nr), dot_addc(g, k0, at));
        }
    }
}

/* The sums of all x rows with p->nr rows of y from j on. */
static void sum_rows_at(dot_gen *g, const along_k *p, tg_value *k0, tg_value *kl, tg_value *j) {
    tg_value *zero = dot_ix(g, 0), *acc[MAX_BLOCK * MAX_BLOCK + 1];
    sum_rows y;
    if (p->stage_y) {
        tg_value *count = dot_min(g, dot_sub(g, g->y.len, j), dot_ix(g, p->nr));
        dot_stage_rows(g, &g->y, j, count, k0, kl, p->y_at, p->pitch, 0);
        y = staged_rows(g, &g->y, p->y_at, p->pitch, j, j, p->nr);
    } else {
        y = memory_rows(g, &g->y, k0, j, p->nr);
        if (!p->by_rows) {
            prefetch_heads(g, p, &y, k0);
        }
    }
    /* Every block of x rows asks for one row of the next y block, spread over its own work. */
    bool several = p->most_rows > p->mr;
    tg_value *i, *ahead[1] = {dot_addc(g, j, p->nr)};
    tg_op *loop = tg_build_for(g->b, zero, g->x.len, dot_ix(g, p->mr), 1, ahead, &i);
    sum_rows x = p->stage_x ? staged_rows(g, &g->x, p->x_at, p->pitch, zero, i, p->mr)
                            : memory_rows(g, &g->x, k0, i, p->mr);
    sum_block(g, p, &x, &y, k0, kl, several ? ahead[0] : NULL, acc);
    add_block(g, p, &x, &y, acc, g->d->acc_zero && !p->blocked_k);
    ahead[0] = dot_addc(g, ahead[0], 1);
    tg_build_end_for(g->b, loop, 1, ahead);
}

static void stage_x_rows(dot_gen *g, along_k *p, tg_value *k0, tg_value *kl) {
    dot_stage_rows(g, &g->x, dot_ix(g, 0), g->x.len, k0, kl, p->x_at, p->pitch, 0);
    if (p->spread) {
        dot_spread_rows(g, p->x_at, p->pitch, g->x.len, kl, p->wide);
    }
    if (p->split) {
        dot_split_rows(g, p->x_at, p->pitch, g->x.len, kl);
    }
    if (p->starts) {
        dot_quad_starts(g, p->x_at, p->pitch, g->x.len, dot_words(g, kl), p->starts);
    }
    if (g->bf16 && !g->sure) {
        p->least = dot_least_rows(g, p->x_at, p->pitch, g->x.len, dot_words(g, kl));
    }
}

static void emit_sums(dot_gen *g, along_k *p, tg_value *k0, tg_value *kl) {
    if (p->stage_x) {
        stage_x_rows(g, p, k0, kl);
    }
    /* Along a short k finding the rows is much of the work: those that all exist are a step apart.
     */
    tg_value *j, *from[1] = {dot_ix(g, 0)};
    if (g->per_word == 4 && g->d->k > 0 && g->d->k <= 2 * p->step && !dot_whole(&g->y, p->nr)) {
        g->y.inside = true;
        tg_value *hi = dot_addc(g, g->y.len, 1 - p->nr);
        tg_op *loop = tg_build_for(g->b, from[0], hi, dot_ix(g, p->nr), 1, from, &j);
        sum_rows_at(g, p, k0, kl, j);
        from[0] = dot_addc(g, j, p->nr);
        tg_build_end_for(g->b, loop, 1, from);
        g->y.inside = false;
    }
    tg_op *loop = tg_build_for(g->b, from[0], g->y.len, dot_ix(g, p->nr), 0, NULL, &j);
    sum_rows_at(g, p, k0, kl, j);
    tg_build_end_for(g->b, loop, 0, NULL);
}

void dot_emit_along_k(dot_gen *g, int64_t max_rows) {
    int64_t mark = g->scratch->used;
    along_k p = plan_along_k(g, max_rows);
    tg_value *k0 = dot_ix(g, 0), *kl = g->d->k_len;
    if (p.blocked_k) {
        if (g->d->acc_zero) {
            dot_zero_acc(g);
        }
        dot_loop ks = dot_for(g, k0, g->d->k_len, p.ks);
        kl = dot_min(g, dot_ix(g, p.ks), dot_sub(g, g->d->k_len, ks.iv));
        emit_sums(g, &p, ks.iv, kl);
        dot_end_for(g, ks);
    } else {
        emit_sums(g, &p, k0, kl);
    }
    g->scratch->used = mark;
}

/* ---- along rows
 * ----------------------------------------------------------------------------------- */

typedef struct along_rows {
    int mr, unroll, nv;
    bool staged;
    int64_t ks, pitch;
    tg_value *x_at;
} along_rows;

/* One strip of nv vectors of every acc row from column j, over `words` words of k from k. */
static void update_strip(dot_gen *g, const along_rows *p, const dot_rows *x, tg_value *w,
                         tg_value *k, tg_value *j, int nv, int words, tg_value *valid, bool odd,
                         tg_value *const *held) {
    tg_value *c[MAX_BLOCK * 2], *at[MAX_BLOCK * 2];
    int64_t wb = g->word_bytes;
    for (int i = 0; i < p->mr * nv; i++) {
        tg_value *row = dot_acc_row(g, dot_block_row(g, &g->x, dot_ix(g, 0), i / nv, p->mr));
        at[i] = dot_atc(g, row, dot_addc(g, j, (int64_t)(i % nv) * g->vl), wb);
        c[i] = dot_load(g, at[i], g->vl, wb);
    }
    for (int u = 0; u < words; u++) {
        tg_value *y[2];
        if (!valid && words > 1) {
            dot_prefetch_at(g, &g->y, j, dot_addc(g, k, (int64_t)(u + words) * g->per_word));
        }
        for (int v = 0; v < nv; v++) {
            y[v] = dot_fetch_rows(g, &g->y, dot_addc(g, j, (int64_t)v * g->vl),
                                  dot_addc(g, k, (int64_t)u * g->per_word), g->vl, valid, odd);
        }
        for (int r = 0; r < p->mr; r++) {
            tg_value *s =
                held ? held[r * words + u]
                     : dot_load_splat(g, dot_at(g, x->row[r], dot_addc(g, w, u), x->step_bytes));
            for (int v = 0; v < nv; v++) {
                c[r * nv + v] = dot_mac(g, s, y[v], c[r * nv + v]);
            }
        }
    }
    for (int i = 0; i < p->mr * nv; i++) {
        dot_store(g, at[i], c[i], wb);
    }
}

/* All columns, `words` words of k from word w of the block at k0. */
static void update_rows(dot_gen *g, const along_rows *p, const dot_rows *x, tg_value *k0,
                        tg_value *w, int words, bool odd) {
    tg_value *k = dot_add(g, k0, dot_mulc(g, w, g->per_word)), *held[8];
    for (int u = 0; p->mr == 1 && u < words; u++) {
        held[u] = dot_load_splat(g, dot_at(g, x->row[0], dot_addc(g, w, u), x->step_bytes));
    }
    tg_value *const *splats = p->mr == 1 ? held : NULL;
    int64_t step = (int64_t)p->nv * g->vl;
    bool whole = dot_whole(&g->y, step);
    tg_value *j, *carried[1] = {dot_ix(g, 0)};
    tg_value *hi = whole ? g->y.len : dot_addc(g, g->y.len, 1 - step);
    tg_op *loop = tg_build_for(g->b, carried[0], hi, dot_ix(g, step), 1, carried, &j);
    update_strip(g, p, x, w, k, j, p->nv, words, NULL, odd, splats);
    carried[0] = dot_addc(g, j, step);
    tg_build_end_for(g->b, loop, 1, carried);
    if (whole) {
        return;
    }
    loop = tg_build_for(g->b, carried[0], g->y.len, dot_ix(g, g->vl), 0, NULL, &j);
    tg_value *valid = dot_whole(&g->y, g->vl) ? NULL : dot_sub(g, g->y.len, j);
    dot_loop u = dot_for(g, dot_ix(g, 0), dot_ix(g, words), 1);
    tg_value *ku = dot_add(g, k, dot_mulc(g, u.iv, g->per_word));
    update_strip(g, p, x, dot_add(g, w, u.iv), ku, j, 1, 1, valid, odd, NULL);
    dot_end_for(g, u);
    tg_build_end_for(g->b, loop, 0, NULL);
}

static void update_block(dot_gen *g, const along_rows *p, tg_value *k0, tg_value *kl) {
    tg_value *zero = dot_ix(g, 0), *w, *full = kl;
    dot_rows x;
    if (p->staged) {
        dot_stage_rows(g, &g->x, zero, g->x.len, k0, kl, p->x_at, p->pitch, 0);
        x = (dot_rows){.step_bytes = dot_ix(g, g->word_bytes)};
        for (int r = 0; r < p->mr; r++) {
            x.row[r] = dot_atc(g, p->x_at, dot_block_row(g, &g->x, zero, r, p->mr),
                               p->pitch * g->word_bytes);
        }
    } else {
        x = dot_rows_direct(g, &g->x, zero, p->mr, k0);
    }
    if (g->per_word == 2) {
        full = tg_build_binary(g->b, TG_OP_SHR, kl, dot_ix(g, 1));
    }
    tg_value *carried[1] = {zero};
    tg_op *loop = tg_build_for(g->b, zero, dot_addc(g, full, 1 - p->unroll), dot_ix(g, p->unroll),
                               1, carried, &w);
    update_rows(g, p, &x, k0, w, p->unroll, false);
    carried[0] = dot_addc(g, w, p->unroll);
    tg_build_end_for(g->b, loop, 1, carried);
    if (g->k_divisor % ((int64_t)p->unroll * g->per_word) != 0) {
        loop = tg_build_for(g->b, carried[0], full, dot_ix(g, 1), 0, NULL, &w);
        update_rows(g, p, &x, k0, w, 1, false);
        tg_build_end_for(g->b, loop, 0, NULL);
    }
    tg_op *odd;
    tg_value *twice = g->per_word == 2 ? dot_mulc(g, full, 2) : kl;
    if (g->k_divisor % g->per_word != 0 && dot_if(g, dot_lt(g, twice, kl), &odd)) {
        update_rows(g, p, &x, k0, full, 1, true);
        dot_end_if(g, odd);
    }
}

void dot_emit_along_rows(dot_gen *g, int64_t max_rows) {
    int64_t mark = g->scratch->used, wb = g->word_bytes, k = g->d->k;
    along_rows p = {.mr = (int)tg_min_i64(max_rows, g->x.extent), .ks = 2048};
    p.unroll = p.mr == 1 ? 8 : 4;
    p.nv = 2;
    p.staged = !dot_is_direct(g, &g->x);
    bool blocked = p.staged && (k <= 0 || k > p.ks);
    if (p.staged) {
        p.pitch = tg_round_up_i64(blocked ? p.ks : k, (int64_t)g->vl * g->per_word) + 64 / wb;
        p.x_at = tg_scratch_take(g->scratch, g->b, p.mr * p.pitch * wb);
    }
    if (g->d->acc_zero) {
        dot_zero_acc(g);
    }
    tg_value *k0 = dot_ix(g, 0), *kl = g->d->k_len;
    tg_op *any; /* no row at all: the block's repeated rows would not exist */
    if (!dot_if(g, dot_lt(g, k0, g->x.len), &any)) {
        g->scratch->used = mark;
        return;
    }
    if (blocked) {
        dot_loop ks = dot_for(g, k0, g->d->k_len, p.ks);
        kl = dot_min(g, dot_ix(g, p.ks), dot_sub(g, g->d->k_len, ks.iv));
        update_block(g, &p, ks.iv, kl);
        dot_end_for(g, ks);
    } else {
        update_block(g, &p, k0, kl);
    }
    dot_end_if(g, any);
    g->scratch->used = mark;
}
