/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The team operations of the stage pass: scans, sorts, selections, user reductions and scatters run
 * over buffers (docs/placed.md has their operands). Inputs are staged, outputs and temporaries made
 * here, results read back where they are used as tiles.
 */
#include "backends/place/stage.h"

#include <string.h>

/* Lines up to this long are put in order by counting, and compressed so. */
enum { MAX_RANKED = 32 };
/* A scanned line is cut into at least MIN_PIECES pieces of at least MIN_PIECE elements. */
enum { MIN_PIECES = 4, MIN_PIECE = 5 };

typedef struct team {
    tg_stager *s;
    tg_op *op;
    tg_builder b;
    tg_value **operands, **out; /* out: the buffers of the results */
    int n;
} team;

static bool is_masked(const tg_op *op) { return tg_attr_int(op, TG_ATTR_MASKED, 0) != 0; }

static void add_in(team *t, tg_value *v) { t->operands[t->n++] = tg_stage_value(t->s, v); }

static tg_value *add_buffer(team *t, tg_dtype d, int rank, const int64_t *shape) {
    tg_value *buf = tg_place_buffer(t->s->p, d, rank, shape, t->op->span);
    t->operands[t->n++] = buf;
    return buf;
}

static void copy_attr(tg_op *to, const tg_op *from, tg_attr_key key) {
    if (tg_attr_get(from, key) != NULL) {
        tg_op_set_int(to, key, tg_attr_int(from, key, 0));
    }
}

/* The op itself; ins without the mask. */
static tg_op *make_team(team *t, tg_team_fn fn, int ins) {
    static const tg_attr_key keys[] = {TG_ATTR_AXIS, TG_ATTR_RED, TG_ATTR_EXCL,
                                       TG_ATTR_DESC, TG_ATTR_K,   TG_ATTR_N};
    tg_op *op = tg_build_op(&t->b, TG_OP_TEAM, t->n, t->operands, 0, NULL, 1);
    tg_op_set_int(op, TG_ATTR_TEAM, (int64_t)fn);
    for (size_t i = 0; i < TG_COUNT_OF(keys); i++) {
        copy_attr(op, t->op, keys[i]);
    }
    if (is_masked(t->op) || fn == TG_TEAM_COMPRESS) {
        tg_op_set_int(op, TG_ATTR_MASKED, 1);
    }
    tg_op_set_int(op, TG_ATTR_N_COUNT, ins);
    return op;
}

/* Result i of the tile op is what lies in buf. */
static void give(team *t, int i, tg_value *buf) {
    tg_value *x = tg_place_get(&t->b, buf, t->op->results[i].type);
    tg_value_map_put(t->s->staged, x, buf);
    tg_replace_all_uses(&t->op->results[i], x);
}

/* ---- temporaries ------------------------------------------------------------------------------
 */

/* Parts [lines, pieces] of lines of n elements that lanes scan together; false: a line a lane.
 * About sqrt(2 n) pieces, where the lanes allow it, of odd lengths. */
static bool add_parts(team *t, tg_dtype d, int64_t lines, int64_t n) {
    int64_t room = lines > 0 ? t->s->p->lanes / lines : 0, pieces = MIN_PIECES;
    if (room < MIN_PIECES || n < MIN_PIECES * MIN_PIECE) {
        return false;
    }
    while (pieces < room && pieces * pieces < 2 * n) {
        pieces++;
    }
    int64_t len = tg_max_i64(tg_cdiv_i64(n, pieces), MIN_PIECE) | 1;
    int64_t shape[2] = {lines, tg_cdiv_i64(n, len)};
    add_buffer(t, d, 2, shape);
    return true;
}

/* Positions: read some, write the others. */
static void add_positions(team *t, int rank, const int64_t *shape) {
    add_buffer(t, TG_DT_I32, rank, shape);
    add_buffer(t, TG_DT_I32, rank, shape);
}

/* Shared memory has atomics on integers of `bits`: always on 32. On Vulkan those on 64 are an
 * ability apart from that of device memory, which the machine's row speaks of. */
static bool has_atomics(const tg_machine *m, int bits) {
    bool wide = (m->simt & TG_SIMT_ATOMIC64) != 0 && m->emitter != TG_EMIT_SPIRV_VULKAN;
    return bits == 32 || (bits == 64 && wide);
}

/* Sums by bin of integers that have no atomics: words that have. Of floats in many bins: positions
 * of the elements. */
static void add_bins(team *t, tg_dtype d, int64_t bins, const tg_type *elements) {
    int bits = tg_dtype_bits(d);
    int64_t words[2] = {bits > 32 ? 2 : 1, bins}, n = tg_type_count(elements);
    if (!tg_dtype_is_float(d) && !has_atomics(t->s->p->machine, bits)) {
        add_buffer(t, TG_DT_U32, 2, words);
    } else if (tg_dtype_is_float(d) && bins > t->s->p->lanes && n > MAX_RANKED) {
        add_positions(t, 1, &n);
    }
}

static void add_temporaries(team *t, tg_team_fn fn) {
    const tg_op *op = t->op;
    const tg_type *x = tg_operand(op, 0)->type, *r = op->results[0].type;
    int64_t n = x->rank > 0 ? x->shape[tg_attr_int(op, TG_ATTR_AXIS, 0)] : 1;
    switch (fn) {
    case TG_TEAM_SCAN:
        (void)add_parts(t, r->dtype, n > 0 ? tg_type_count(x) / n : 0, n);
        return;
    case TG_TEAM_SORT:
    case TG_TEAM_TOPK:
    case TG_TEAM_RANK_BY_KEY:
        if (n > MAX_RANKED) {
            add_positions(t, x->rank, x->shape);
        }
        return;
    case TG_TEAM_HISTOGRAM:
        add_bins(t, r->dtype, tg_type_count(r), x);
        return;
    case TG_TEAM_SCATTER_ADD:
        add_bins(t, r->dtype, tg_type_count(r), tg_operand(op, 1)->type);
        return;
    case TG_TEAM_COMPRESS:
    case TG_TEAM_FOLD:
        return;
    }
}

/* ---- operations whose outputs are shaped like results -----------------------------------------
 */

static void simple_team(team *t, tg_team_fn fn) {
    tg_op *op = t->op;
    int n = op->n_operands - (is_masked(op) ? 1 : 0);
    for (int i = 0; i < op->n_operands; i++) {
        add_in(t, tg_operand(op, i));
    }
    for (int i = 0; i < op->n_results; i++) {
        const tg_type *r = op->results[i].type;
        t->out[i] = add_buffer(t, r->dtype, r->rank, r->shape);
    }
    add_temporaries(t, fn);
    make_team(t, fn, n);
    for (int i = 0; i < op->n_results; i++) {
        give(t, i, t->out[i]);
    }
}

/* y and a count of one element. */
static void compress_team(team *t) {
    tg_op *op = t->op;
    const tg_type *r = op->results[0].type;
    static const int64_t one[1] = {1}, zero[1] = {0};
    add_in(t, tg_operand(op, 0));
    add_in(t, tg_operand(op, 1));
    tg_value *y = add_buffer(t, r->dtype, r->rank, r->shape);
    tg_value *count = add_buffer(t, TG_DT_I32, 1, one);
    if (r->shape[0] > MAX_RANKED) {
        (void)add_parts(t, TG_DT_I32, 1, r->shape[0]);
    }
    make_team(t, TG_TEAM_COMPRESS, 1);
    give(t, 0, y);
    give(t, 1, tg_place_window(&t->b, count, 0, NULL, NULL, zero));
}

/* Initial values become tiles of the reduced shape. */
static void fold_team(team *t) {
    tg_op *op = t->op;
    int n = op->n_results;
    for (int i = 0; i < n; i++) {
        add_in(t, tg_operand(op, i));
    }
    for (int i = 0; i < n; i++) {
        const tg_type *r = op->results[i].type;
        tg_value *init = tg_operand(op, n + i);
        if (r->rank > 0) {
            init = tg_build_splat_tile(&t->b, init, r->rank, r->shape);
        }
        tg_value *buf = add_buffer(t, r->dtype, r->rank, r->shape);
        tg_place_put(&t->b, buf, init);
    }
    if (is_masked(op)) {
        add_in(t, tg_operand(op, 2 * n));
    }
    for (int i = 0; i < n; i++) {
        const tg_type *r = op->results[i].type;
        t->out[i] = add_buffer(t, r->dtype, r->rank, r->shape);
    }
    tg_op *made = make_team(t, TG_TEAM_FOLD, 2 * n);
    made->regions[0] = op->regions[0]; /* the region moves */
    made->regions[0]->parent = made;
    op->regions[0] = tg_region_make(op->func, op);
    for (int i = 0; i < n; i++) {
        give(t, i, t->out[i]);
    }
}

static bool team_fn(const tg_op *op, tg_team_fn *out) {
    switch ((int)op->code) {
    case TG_OP_SCAN:
        *out = TG_TEAM_SCAN;
        return true;
    case TG_OP_SORT:
        *out = TG_TEAM_SORT;
        return true;
    case TG_OP_TOPK:
        *out = TG_TEAM_TOPK;
        return true;
    case TG_OP_RANK_BY_KEY:
        *out = TG_TEAM_RANK_BY_KEY;
        return true;
    case TG_OP_COMPRESS:
        *out = TG_TEAM_COMPRESS;
        return true;
    case TG_OP_HISTOGRAM:
        *out = TG_TEAM_HISTOGRAM;
        return true;
    case TG_OP_SCATTER_ADD:
        *out = TG_TEAM_SCATTER_ADD;
        return true;
    case TG_OP_REDUCE:
        *out = TG_TEAM_FOLD;
        return tg_attr_int(op, TG_ATTR_RED, 0) == TG_RED_USER;
    default:
        return false;
    }
}

bool tg_stage_team(tg_stager *s, tg_op *op) {
    tg_team_fn fn;
    if (!team_fn(op, &fn)) {
        return false;
    }
    team t = {.s = s, .op = op, .b = tg_builder_before(op)};
    t.b.span = op->span;
    t.operands = TG_NEW_ARRAY(s->p->arena, tg_value *, 3 * op->n_operands + 8);
    t.out = TG_NEW_ARRAY(s->p->arena, tg_value *, op->n_results);
    if (fn == TG_TEAM_COMPRESS) {
        compress_team(&t);
    } else if (fn == TG_TEAM_FOLD) {
        fold_team(&t);
    } else {
        simple_team(&t, fn);
    }
    tg_op_erase(op);
    return true;
}
