/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packed form: many rows and columns.
 *
 *   for each block of k (and of columns, when they are many)
 *       y is packed in panels of NR columns, k-major            [panel][word of k][NR]
 *       for each block of MR rows
 *           x is read where it lies, or staged as a few rows of words
 *           for each panel: MR x NR words of acc in registers, one broadcast and NV products a row
 *
 * A panel of k words and NR columns fits half the first cache level; all panels of a block fit the
 * second. x rows stay in the first level while all panels pass. The block shape is chosen so that
 * accumulators, one row of y and one broadcast fit the registers (6x16 f32 on 16 registers of 8).
 */
#include "backends/lower/cpu/dot.h"

/* Words of k by which packing runs ahead of itself in memory. */
enum { PREFETCH_K = 24 };

typedef struct packed {
    int mr, nv;
    int64_t nr;      /* nv * vl columns */
    int64_t kc, kcw; /* k block in elements and, rounded up to vectors, in words */
    int64_t nc;      /* columns packed at a time, a multiple of nr */
    bool blocked_k;  /* more than one block of k is possible */
    bool clamp_cols; /* the last panel sticks out of acc */
    tg_value *last;  /* first column of acc's last vector */
    tg_value *panels, *stage;
    tg_value *ends;      /* a square of words */
    tg_value *starts;    /* a word for every staged row, or NULL */
    tg_value *fits;      /* bf16: whether elements may be multiplied in pairs; NULL: not asked */
    int64_t stage_pitch; /* words between staged rows (k-contiguous x) or between k (else) */
} packed;

/* ---- shape ------------------------------------------------------------------------------------
 */

/* Registers a sum takes: those of 16 bits and of words at once, unless there is one group alone. */
static int sums_at_once(const dot_gen *g) {
    bool groups = g->d->k <= 0 || g->d->k > (int64_t)g->group * g->per_word;
    return g->per_word == 4 && g->group > 1 && groups ? 2 : 1;
}

static void choose_block(const dot_gen *g, packed *p) {
    int64_t best = INT64_MAX;
    /* A product of integers takes a register before it is added. */
    int regs = g->mc->vector_regs - (g->per_word == 4 ? 2 : 0), sums = sums_at_once(g);
    /* Fewer than 11 accumulators cannot hide the latency of two multipliers; integers are added in
     * a step of their own. */
    int least = g->per_word == 4 ? 6 : 11;
    for (int nv = 1; nv <= DOT_MAX_VECS; nv++) {
        for (int mr = 1; mr <= DOT_MAX_ROWS && mr * nv * sums + nv + 1 <= regs; mr++) {
            int64_t nr = (int64_t)nv * g->vl;
            int64_t blocks = tg_cdiv_i64(g->x.extent, mr) * tg_cdiv_i64(g->y.extent, nr);
            int64_t cost = blocks * (tg_max_i64(mr * nv, least) * 16 + 4 * (mr + nv));
            if (cost < best) {
                best = cost;
                p->mr = mr;
                p->nv = nv;
                p->nr = nr;
            }
        }
    }
}

static int64_t clamp_i64(int64_t v, int64_t lo, int64_t hi) {
    return tg_max_i64(lo, tg_min_i64(v, hi));
}

static packed plan_packed(dot_gen *g) {
    packed p = {0};
    choose_block(g, &p);
    int64_t wb = g->word_bytes, unit = (int64_t)g->vl * g->per_word;
    int64_t n = tg_round_up_i64(g->y.extent, p.nr);
    int64_t l1_words = g->mc->l1_bytes / 2 / wb, l2_words = g->mc->l2_bytes / 2 / wb;
    /* Columns: all of them, unless 128 words of k would already fill the second level. */
    p.nc = clamp_i64(l2_words / 128 / p.nr * p.nr, p.nr, n);
    int64_t kcw = tg_min_i64(2 * l1_words / (p.nr + p.mr), l2_words / p.nc);
    kcw = clamp_i64(kcw / 64 * 64, 64, 512);
    int64_t k = g->d->k;
    p.blocked_k = k <= 0 || k > kcw * g->per_word;
    p.kc = p.blocked_k ? kcw * g->per_word : k;
    p.kcw = tg_round_up_i64(tg_round_up_i64(p.kc, unit) / g->per_word, g->vl);
    bool ends = g->d->acc_row_bytes != NULL && !dot_whole(&g->y, p.nr);
    p.clamp_cols = ends || n > g->acc_x_elems;
    p.last = dot_ix(g, tg_round_up_i64(g->y.extent, g->vl) - g->vl);
    if (ends) { /* nothing of acc's memory may be touched behind the columns */
        tg_value *up = dot_addc(g, g->y.len, g->vl - 1);
        up = tg_build_binary(g->b, TG_OP_AND, up, dot_ix(g, -(int64_t)g->vl));
        p.last = dot_addc(g, up, -(int64_t)g->vl);
    }
    p.panels = tg_scratch_take(g->scratch, g->b, p.nc * p.kcw * wb);
    p.ends = tg_scratch_take(g->scratch, g->b, (int64_t)g->vl * g->vl * wb);
    /* Rows side by side in memory put every k on a line of its own: read once, not once a panel. */
    if (!dot_is_direct(g, &g->x) || !g->x.k_unit) {
        int64_t rows = g->x.k_unit ? p.mr : tg_round_up_i64(p.mr, g->vl);
        p.stage_pitch = g->x.k_unit ? p.kcw + 64 / wb : rows;
        int64_t lines = g->x.k_unit ? p.mr : p.kcw;
        p.stage = tg_scratch_take(g->scratch, g->b, lines * p.stage_pitch * wb);
        if (g->per_word == 4 && g->least != 0) {
            p.starts = tg_scratch_take(g->scratch, g->b, p.mr * wb);
        }
    }
    return p;
}

/* ---- packing y ---------------------------------------------------------------------------------
 */

/* One block of the product: columns [n0, n0 + nl), k [k0, k0 + kl). */
typedef struct packed_block {
    tg_value *n0, *nl, *k0, *kl;
} packed_block;

/* First column of the panel vector at column `at`; panels beyond acc repeat its last vector. */
static tg_value *panel_vec(dot_gen *g, const packed *p, tg_value *at) {
    return p->clamp_cols ? dot_min(g, at, p->last) : at;
}

static tg_value *panel_at(dot_gen *g, const packed *p, tg_value *j) {
    return dot_atc(g, p->panels, j, p->kcw * g->word_bytes);
}

/* One word of k over all columns of the block; `at` is its offset in every panel. */
static void pack_word(dot_gen *g, const packed *p, const packed_block *blk, tg_value *k,
                      tg_value *at, bool odd) {
    bool whole = dot_whole(&g->y, p->nr);
    int64_t vec_bytes = g->vl * g->word_bytes;
    tg_value *zero = dot_ix(g, 0), *j, *carried[1] = {zero};
    tg_value *hi = whole ? blk->nl : dot_addc(g, blk->nl, 1 - p->nr);
    tg_op *loop = tg_build_for(g->b, zero, hi, dot_ix(g, p->nr), 1, carried, &j);
    tg_value *to = tg_build_gep(g->b, panel_at(g, p, j), at, 1);
    dot_prefetch_at(g, &g->y, dot_add(g, blk->n0, j), dot_addc(g, k, PREFETCH_K));
    for (int v = 0; v < p->nv; v++) {
        tg_value *col = dot_add(g, blk->n0, dot_addc(g, j, (int64_t)v * g->vl));
        tg_value *x = dot_fetch_rows(g, &g->y, col, k, g->vl, NULL, odd);
        dot_store(g, dot_atc(g, to, dot_ix(g, v), vec_bytes), x, vec_bytes);
    }
    carried[0] = dot_addc(g, j, p->nr);
    tg_build_end_for(g->b, loop, 1, carried);
    tg_op *edge;
    if (whole || !dot_if(g, dot_lt(g, carried[0], blk->nl), &edge)) {
        return;
    }
    to = tg_build_gep(g->b, panel_at(g, p, carried[0]), at, 1);
    dot_loop part = dot_for(g, zero, dot_ix(g, p->nr), g->vl);
    tg_value *col = panel_vec(g, p, dot_add(g, blk->n0, dot_add(g, carried[0], part.iv)));
    tg_value *valid = tg_build_binary(g->b, TG_OP_MAX, dot_sub(g, g->y.len, col), zero);
    tg_value *x = dot_fetch_rows(g, &g->y, col, k, g->vl, valid, odd);
    dot_store(g, dot_atc(g, to, part.iv, g->word_bytes), x, vec_bytes);
    dot_end_for(g, part);
    dot_end_if(g, edge);
}

/* The rows that packing's own look-ahead comes too late for, asked for all at once. */
static void prefetch_first_rows(dot_gen *g, const packed_block *blk) {
    if (g->y.op->base == NULL || g->y.op->unit_cols < 0) {
        return;
    }
    int64_t line = 64 * 8 / tg_dtype_bits(g->y.op->dtype);
    dot_loop k = dot_for(g, dot_ix(g, 0), dot_min(g, blk->kl, dot_ix(g, PREFETCH_K)), 1);
    dot_loop j = dot_for(g, dot_ix(g, 0), blk->nl, line);
    dot_prefetch_at(g, &g->y, dot_add(g, blk->n0, j.iv), dot_add(g, blk->k0, k.iv));
    dot_end_for(g, j);
    dot_end_for(g, k);
}

/* y contiguous along its columns (or in no direction): row by row, all panels side by side. */
static void pack_by_rows(dot_gen *g, const packed *p, const packed_block *blk) {
    int64_t row_bytes = p->nr * g->word_bytes, pw = g->per_word;
    tg_value *k, *carried[1] = {dot_ix(g, 0)};
    prefetch_first_rows(g, blk);
    tg_value *hi = g->k_divisor % pw == 0 ? blk->kl : dot_addc(g, blk->kl, 1 - pw);
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), hi, dot_ix(g, pw), 1, carried, &k);
    tg_value *at = dot_mulc(g, k, row_bytes / pw);
    pack_word(g, p, blk, dot_add(g, blk->k0, k), at, false);
    carried[0] = dot_addc(g, k, pw);
    tg_build_end_for(g->b, loop, 1, carried);
    tg_op *tail;
    if (g->k_divisor % pw != 0 && dot_if(g, dot_lt(g, carried[0], blk->kl), &tail)) {
        at = dot_mulc(g, carried[0], row_bytes / pw);
        pack_word(g, p, blk, dot_add(g, blk->k0, carried[0]), at, true);
        dot_end_if(g, tail);
    }
}

/* Stores vl columns x vl words of k transposed: rows of the panel. */
static void pack_square(dot_gen *g, const packed *p, tg_value **v, tg_value *to) {
    int64_t row_bytes = p->nr * g->word_bytes;
    dot_transpose(g, v);
    for (int c = 0; c < g->vl; c++) {
        dot_store(g, dot_atc(g, to, dot_ix(g, c), row_bytes), v[c], g->vl * g->word_bytes);
    }
}

/* vl columns of a panel from column `part` of it on: squares are transposed in registers. */
static void pack_part(dot_gen *g, const packed *p, const packed_block *blk, tg_value *panel,
                      tg_value *part) {
    int64_t wb = g->word_bytes, step = (int64_t)g->vl * g->per_word;
    int64_t unit = p->nr * wb / g->per_word; /* panel bytes per element of k */
    bool whole_k = g->k_divisor % step == 0;
    tg_value *col = dot_add(g, blk->n0, dot_add(g, panel, part)), *cols[DOT_MAX_LANES],
             *v[DOT_MAX_LANES];
    if (p->clamp_cols && !g->y.inside) {
        col = panel_vec(g, p, col);
    }
    tg_value *last = dot_addc(g, g->y.len, -1);
    for (int c = 0; c < g->vl; c++) {
        tg_value *i = dot_addc(g, col, c);
        cols[c] = g->y.inside ? i : dot_min(g, i, last);
    }
    tg_value *to = dot_atc(g, panel_at(g, p, panel), part, wb);
    tg_value *k, *carried[1] = {dot_ix(g, 0)};
    tg_value *hi = whole_k ? blk->kl : dot_addc(g, blk->kl, 1 - step);
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), hi, dot_ix(g, step), 1, carried, &k);
    for (int c = 0; c < g->vl; c++) {
        tg_value *at = dot_add(g, blk->k0, k);
        v[c] = dot_fetch_k(g, &g->y, cols[c], at, g->vl, NULL);
        dot_prefetch_at(g, &g->y, dot_addc(g, cols[c], g->vl), at);
    }
    pack_square(g, p, v, dot_atc(g, to, k, unit));
    carried[0] = dot_addc(g, k, step);
    tg_build_end_for(g->b, loop, 1, carried);
    tg_op *tail;
    if (!whole_k && dot_if(g, dot_lt(g, carried[0], blk->kl), &tail)) {
        dot_stage_ends(g, &g->y, col, g->vl, dot_add(g, blk->k0, carried[0]),
                       dot_sub(g, blk->kl, carried[0]), p->ends);
        for (int c = 0; c < g->vl; c++) {
            v[c] = dot_load(g, dot_atc(g, p->ends, dot_ix(g, c), g->vl * wb), g->vl, wb);
        }
        pack_square(g, p, v, dot_atc(g, to, carried[0], unit));
        dot_end_if(g, tail);
    }
}

/* Panels of columns that all exist. Returns where they end; NULL: nothing is left. */
static tg_value *pack_inside(dot_gen *g, const packed *p, const packed_block *blk) {
    tg_value *panel, *carried[1] = {dot_ix(g, 0)};
    bool whole = dot_whole(&g->y, p->nr);
    tg_value *hi = whole ? blk->nl : dot_addc(g, blk->nl, 1 - p->nr);
    g->y.inside = true;
    tg_op *loop = tg_build_for(g->b, carried[0], hi, dot_ix(g, p->nr), 1, carried, &panel);
    dot_loop part = dot_for(g, dot_ix(g, 0), dot_ix(g, p->nr), g->vl);
    pack_part(g, p, blk, panel, part.iv);
    dot_end_for(g, part);
    carried[0] = dot_addc(g, panel, p->nr);
    tg_build_end_for(g->b, loop, 1, carried);
    g->y.inside = false;
    return whole ? NULL : carried[0];
}

/* y contiguous along k. The panel that sticks out has code of its own where finding columns is much
 * of the work; in a plain matrix they are a step apart. */
static void pack_by_columns(dot_gen *g, const packed *p, const packed_block *blk) {
    tg_value *from = dot_ix(g, 0);
    tg_op *edge = NULL;
    if (g->y.op->base == NULL || dot_whole(&g->y, p->nr)) {
        from = pack_inside(g, p, blk);
        if (from == NULL || !dot_if(g, dot_lt(g, from, blk->nl), &edge)) {
            return;
        }
    }
    tg_value *panel;
    tg_op *loop = tg_build_for(g->b, from, blk->nl, dot_ix(g, p->nr), 0, NULL, &panel);
    dot_loop part = dot_for(g, dot_ix(g, 0), dot_ix(g, p->nr), g->vl);
    pack_part(g, p, blk, panel, part.iv);
    dot_end_for(g, part);
    tg_build_end_for(g->b, loop, 0, NULL);
    dot_end_if(g, edge);
}

/* ---- x rows ------------------------------------------------------------------------------------
 */

/* x contiguous along its rows: [word of k][rows], read as whole vectors across the rows. */
static void stage_across(dot_gen *g, const packed *p, const packed_block *blk, tg_value *row,
                         bool masked) {
    int64_t wb = g->word_bytes, pw = g->per_word;
    tg_value *left = dot_sub(g, g->x.len, row);
    tg_value *words = dot_words(g, blk->kl);
    dot_loop l = dot_for(g, dot_ix(g, 0), words, 1);
    tg_value *to = dot_atc(g, p->stage, l.iv, p->stage_pitch * wb);
    tg_value *k = dot_mulc(g, l.iv, pw);
    tg_value *at = dot_add(g, blk->k0, k);
    tg_op *odd = NULL;
    bool may_be_odd = g->k_divisor % pw != 0;
    for (int pass = may_be_odd ? 0 : 1; pass < 2; pass++) {
        if (pass == 0) {
            odd =
                tg_build_if(g->b, dot_lt(g, dot_addc(g, blk->kl, -1), dot_addc(g, k, 1)), 0, NULL);
        } else if (odd) {
            tg_build_else(g->b, odd, 0, NULL);
        }
        for (int64_t r = 0; r < p->stage_pitch; r += g->vl) {
            tg_value *valid = NULL;
            if (masked) {
                valid = tg_build_binary(g->b, TG_OP_MAX, dot_addc(g, left, -r), dot_ix(g, 0));
            }
            tg_value *x =
                dot_fetch_rows(g, &g->x, dot_addc(g, row, r), at, g->vl, valid, pass == 0);
            dot_store(g, dot_atc(g, to, dot_ix(g, r), wb), x, wb);
        }
    }
    if (odd) {
        tg_build_end_if(g->b, odd, 0, NULL);
    }
    dot_end_for(g, l);
}

static dot_rows block_rows(dot_gen *g, const packed *p, const packed_block *blk, tg_value *row) {
    if (!p->stage) {
        return dot_rows_direct(g, &g->x, row, p->mr, blk->k0);
    }
    dot_rows out = {0};
    int64_t wb = g->word_bytes, pitch = p->stage_pitch;
    tg_value *left = dot_sub(g, g->x.len, row);
    if (g->x.k_unit) {
        tg_value *count =
            dot_whole(&g->x, p->mr) ? dot_ix(g, p->mr) : dot_min(g, left, dot_ix(g, p->mr));
        dot_stage_rows(g, &g->x, row, count, blk->k0, blk->kl, p->stage, pitch, p->mr);
        if (p->starts) {
            dot_quad_starts(g, p->stage, pitch, count, dot_words(g, blk->kl), p->starts);
        }
    } else {
        /* Vectors across the rows read up to stage_pitch rows: masked where x ends before. */
        tg_op *op = tg_build_if(g->b, dot_lt(g, left, dot_ix(g, pitch)), 0, NULL);
        stage_across(g, p, blk, row, true);
        tg_build_else(g->b, op, 0, NULL);
        stage_across(g, p, blk, row, false);
        tg_build_end_if(g->b, op, 0, NULL);
    }
    out.step_bytes = dot_ix(g, g->x.k_unit ? wb : pitch * wb);
    for (int r = 0; r < p->mr; r++) {
        tg_value *i = dot_ix(g, r);
        if (r > 0 && !dot_whole(&g->x, p->mr)) {
            i = dot_min(g, i, dot_addc(g, left, -1));
        }
        out.row[r] = dot_atc(g, p->stage, i, g->x.k_unit ? pitch * wb : wb);
        out.start[r] = p->starts ? dot_atc(g, p->starts, i, wb) : NULL;
    }
    return out;
}

/* ---- the register block -------------------------------------------------------------------------
 */

/* One group of words of four bytes from word w on: products are added in 16 bits as far as they
 * fit. */
static void add_quads(dot_gen *g, const packed *p, const dot_rows *rows, tg_value *panel,
                      tg_value *w, tg_value **acc) {
    tg_value *halves[DOT_MAX_ROWS * DOT_MAX_VECS], *y[DOT_MAX_VECS];
    int64_t vec_bytes = g->vl * g->word_bytes;
    for (int u = 0; u < g->group; u++) {
        tg_value *at = dot_addc(g, w, u), *from = dot_atc(g, panel, at, p->nr * g->word_bytes);
        for (int v = 0; v < p->nv; v++) {
            y[v] = dot_load(g, dot_atc(g, from, dot_ix(g, v), vec_bytes), g->vl, vec_bytes);
        }
        for (int r = 0; r < p->mr; r++) {
            tg_value *x = dot_load_splat(g, dot_at(g, rows->row[r], at, rows->step_bytes));
            for (int v = 0; v < p->nv; v++) {
                int i = r * p->nv + v;
                if (g->sums_words) {
                    acc[i] = dot_add_words(g, x, y[v], acc[i]);
                    continue;
                }
                tg_value *s = dot_quad_halves(g, x, y[v]);
                halves[i] = u == 0 ? s : tg_build_binary(g->b, TG_OP_ADD, halves[i], s);
            }
        }
    }
    for (int i = 0; i < p->mr * p->nv && !g->sums_words; i++) {
        acc[i] = tg_build_binary(g->b, TG_OP_ADD, acc[i], dot_quad_words(g, halves[i]));
    }
}

/* The panel and the staged rows are filled with zeros up to whole groups. */
static void sum_quads(dot_gen *g, const packed *p, const dot_rows *rows, tg_value *panel,
                      tg_value *words, tg_value **acc) {
    int n = p->mr * p->nv;
    int64_t c;
    tg_value *w;
    if (tg_value_const_int(words, &c) && c > 0 && c <= g->group) {
        add_quads(g, p, rows, panel, dot_ix(g, 0), acc);
        return;
    }
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), words, dot_ix(g, g->group), n, acc, &w);
    add_quads(g, p, rows, panel, w, acc);
    tg_build_end_for(g->b, loop, n, acc);
}

/* acc[r][v] of the block, summed over the words of the panel. */
static void sum_words(dot_gen *g, const packed *p, const dot_rows *rows, tg_value *panel,
                      tg_value *words, tg_value **acc) {
    int n = p->mr * p->nv;
    tg_value *w;
    for (int i = 0; i < n; i++) {
        tg_value *start = rows->start[i / p->nv];
        acc[i] = start ? dot_load_splat(g, start) : dot_zero(g);
    }
    if (g->per_word == 4) {
        sum_quads(g, p, rows, panel, words, acc);
        return;
    }
    tg_op *loop = tg_build_for(g->b, dot_ix(g, 0), words, dot_ix(g, 1), n, acc, &w);
    tg_value *at = dot_atc(g, panel, w, p->nr * g->word_bytes), *y[DOT_MAX_VECS];
    int64_t vec_bytes = g->vl * g->word_bytes;
    for (int v = 0; v < p->nv; v++) {
        y[v] = dot_load(g, dot_atc(g, at, dot_ix(g, v), vec_bytes), g->vl, vec_bytes);
    }
    for (int r = 0; r < p->mr; r++) {
        tg_value *x = dot_load_splat(g, dot_at(g, rows->row[r], w, rows->step_bytes));
        for (int v = 0; v < p->nv; v++) {
            acc[r * p->nv + v] = dot_mac(g, x, y[v], acc[r * p->nv + v]);
        }
    }
    tg_build_end_for(g->b, loop, n, acc);
}

/* The same, element by element where they do not fit pairs. */
static void sum_panel(dot_gen *g, const packed *p, const dot_rows *rows, tg_value *panel,
                      tg_value *words, tg_value **acc) {
    const tg_type *types[DOT_MAX_ROWS * DOT_MAX_VECS];
    int n = p->mr * p->nv;
    if (p->fits == NULL) {
        sum_words(g, p, rows, panel, words, acc);
        return;
    }
    for (int i = 0; i < n; i++) {
        types[i] = g->vec_type;
    }
    tg_op *op = tg_build_if(g->b, p->fits, n, types);
    sum_words(g, p, rows, panel, words, acc);
    tg_build_else(g->b, op, n, acc);
    g->apart = true;
    sum_words(g, p, rows, panel, words, acc);
    g->apart = false;
    tg_build_end_if(g->b, op, n, acc);
    for (int i = 0; i < n; i++) {
        acc[i] = &op->results[i];
    }
}

static void prefetch_rows(dot_gen *g, const packed *p, tg_value *const *c) {
    int64_t bytes = p->nr * g->word_bytes;
    for (int r = 0; r < p->mr; r++) {
        for (int64_t at = 0; at < bytes; at += 64) {
            dot_prefetch(g, tg_build_gep(g->b, c[r], dot_ix(g, 1), at), true);
        }
    }
}

/* While the panels pass over one block of x rows, the next block's memory is asked for: at panel
 * column j the part of about that many words. */
static void prefetch_next(dot_gen *g, const packed *p, const packed_block *blk, tg_value *row,
                          tg_value *j) {
    if (p->stage || g->x.op->unit_cols == 0) {
        return;
    }
    for (int r = 0; r < p->mr; r++) {
        dot_prefetch_at(g, &g->x, dot_addc(g, row, p->mr + r), dot_add(g, blk->k0, j));
    }
}

/* In all lanes: whether acc holds sums already. */
static tg_value *later_block(dot_gen *g, const packed_block *blk) {
    return tg_build_splat(g->b, dot_lt(g, dot_ix(g, 0), blk->k0), g->vl);
}

static void emit_block(dot_gen *g, const packed *p, const packed_block *blk, const dot_rows *rows,
                       tg_value *const *acc_rows, tg_value *j, tg_value *words) {
    tg_value *acc[DOT_MAX_ROWS * DOT_MAX_VECS], *c[DOT_MAX_ROWS * DOT_MAX_VECS];
    int64_t wb = g->word_bytes;
    bool store_only = g->d->acc_zero && !p->blocked_k;
    tg_value *later = g->d->acc_zero ? later_block(g, blk) : NULL;
    tg_value *col = dot_add(g, blk->n0, j), *first[DOT_MAX_ROWS];
    for (int r = 0; r < p->mr; r++) {
        first[r] = dot_atc(g, acc_rows[r], col, wb);
    }
    if (!store_only) {
        prefetch_rows(g, p, first);
    }
    sum_panel(g, p, rows, panel_at(g, p, j), words, acc);
    for (int r = 0; r < p->mr; r++) {
        for (int v = 0; v < p->nv; v++) {
            int i = r * p->nv + v;
            c[i] = p->clamp_cols
                       ? dot_atc(g, acc_rows[r],
                                 panel_vec(g, p, dot_addc(g, col, (int64_t)v * g->vl)), wb)
                       : dot_atc(g, first[r], dot_ix(g, v), g->vl * wb);
            if (!store_only) {
                tg_value *old = dot_load(g, c[i], g->vl, wb);
                old = later ? tg_build_select(g->b, later, old, dot_zero(g)) : old;
                acc[i] = tg_build_binary(g->b, TG_OP_ADD, old, acc[i]);
            }
        }
    }
    for (int i = 0; i < p->mr * p->nv; i++) {
        dot_store(g, c[i], acc[i], wb);
    }
}

/* One panel; of the last one half the vectors where that is all there is. */
static void emit_columns(dot_gen *g, const packed *p, const packed_block *blk, const dot_rows *rows,
                         tg_value *const *acc_rows, tg_value *j, tg_value *words) {
    packed narrow = *p;
    narrow.nv = p->nv / 2;
    if (p->nv % 2 != 0 || g->per_word != 1 || dot_whole(&g->y, p->nr)) {
        emit_block(g, p, blk, rows, acc_rows, j, words);
        return;
    }
    tg_value *half = dot_ix(g, p->nr / 2 + 1);
    tg_op *op = tg_build_if(g->b, dot_lt(g, dot_sub(g, blk->nl, j), half), 0, NULL);
    emit_block(g, &narrow, blk, rows, acc_rows, j, words);
    tg_build_else(g->b, op, 0, NULL);
    emit_block(g, p, blk, rows, acc_rows, j, words);
    tg_build_end_if(g->b, op, 0, NULL);
}

/* The smallest element of the packed panels, or of the staged rows from `row` on. */
static tg_value *least_packed(dot_gen *g, const packed *p, const packed_block *blk,
                              tg_value *words) {
    tg_value *last = dot_addc(g, blk->nl, p->nr - 1);
    tg_value *panels = tg_build_binary(g->b, TG_OP_DIV, last, dot_ix(g, p->nr));
    return dot_least_rows(g, p->panels, p->kcw * p->nr, panels, dot_mulc(g, words, p->nr));
}

static tg_value *least_staged(dot_gen *g, const packed *p, tg_value *row, tg_value *words) {
    if (!g->x.k_unit) {
        return dot_least_rows(g, p->stage, p->stage_pitch, words, dot_ix(g, p->stage_pitch));
    }
    tg_value *count = dot_min(g, dot_sub(g, g->x.len, row), dot_ix(g, p->mr));
    return dot_least_rows(g, p->stage, p->stage_pitch, count, words);
}

static void emit_blocks(dot_gen *g, packed *p, const packed_block *blk) {
    if (g->y.k_unit) {
        pack_by_columns(g, p, blk);
    } else {
        pack_by_rows(g, p, blk);
    }
    tg_value *words = dot_words(g, blk->kl), *acc_rows[DOT_MAX_ROWS];
    bool look = g->bf16 && !g->sure;
    tg_value *least = look ? least_packed(g, p, blk, words) : NULL;
    dot_loop i = dot_for(g, dot_ix(g, 0), g->x.len, p->mr);
    dot_rows rows = block_rows(g, p, blk, i.iv);
    p->fits = look ? dot_bf16_fits(g, least_staged(g, p, i.iv, words), least) : NULL;
    for (int r = 0; r < p->mr; r++) {
        tg_value *at = dot_block_row(g, &g->x, i.iv, r, p->mr);
        acc_rows[r] = dot_acc_row(g, at);
    }
    dot_loop j = dot_for(g, dot_ix(g, 0), blk->nl, p->nr);
    prefetch_next(g, p, blk, i.iv, j.iv);
    emit_columns(g, p, blk, &rows, acc_rows, j.iv, words);
    dot_end_for(g, j);
    dot_end_for(g, i);
}

void dot_emit_packed(dot_gen *g) {
    int64_t mark = g->scratch->used;
    packed p = plan_packed(g);
    packed_block blk = {dot_ix(g, 0), g->y.len, dot_ix(g, 0), g->d->k_len};
    dot_loop cols = {0}, ks = {0};
    tg_op *empty;
    if (g->d->acc_zero && p.blocked_k && dot_if(g, dot_lt(g, g->d->k_len, dot_ix(g, 1)), &empty)) {
        dot_zero_acc(g);
        dot_end_if(g, empty);
    }
    bool blocked_n = p.nc < g->y.extent;
    if (blocked_n) {
        cols = dot_for(g, blk.n0, g->y.len, p.nc);
        blk.n0 = cols.iv;
        blk.nl = dot_min(g, dot_ix(g, p.nc), dot_sub(g, g->y.len, cols.iv));
    }
    if (p.blocked_k) {
        ks = dot_for(g, blk.k0, g->d->k_len, p.kc);
        blk.k0 = ks.iv;
        blk.kl = dot_min(g, dot_ix(g, p.kc), dot_sub(g, g->d->k_len, ks.iv));
    }
    emit_blocks(g, &p, &blk);
    if (p.blocked_k) {
        dot_end_for(g, ks);
    }
    if (blocked_n) {
        dot_end_for(g, cols);
    }
    g->scratch->used = mark;
}
