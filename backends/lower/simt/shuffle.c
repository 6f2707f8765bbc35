/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reductions across the lanes of one sub-group: no memory and no barrier.
 *
 * Before: every lane holds the part of its own registers, and the lanes along the axis are those
 * whose digits `axis` of the layout differ. After: all of them hold the whole.
 *
 *   sums and products of floats  every lane fetches the parts one after the other and combines them
 *                                in their order: the bits of the exchange through shared memory
 *   all others                   log2 steps of lane ^ 1, 2, 4 ..., the smaller lane's value first,
 *                                so that all lanes have the same bits
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"

typedef struct digits {
    int n;
    int64_t place[TS_MAX_DIGITS], extent[TS_MAX_DIGITS], parts;
} digits;

/* Lane digits along the axis, in the order of the parts. */
static digits digits_of(const tg_layout *l, int axis) {
    digits d = {.parts = 1};
    for (int m = 0; m < l->n_modes && d.n < TS_MAX_DIGITS; m++) {
        const tg_layout_mode *mode = &l->modes[m];
        if (mode->resource == TG_RES_LANE && mode->axis == axis && mode->extent > 1) {
            d.place[d.n] = mode->place;
            d.extent[d.n++] = mode->extent;
            d.parts *= mode->extent;
        }
    }
    return d;
}

/* What is combined: a part and, for argmin and argmax, its position. */
typedef struct part {
    tg_value *v, *at;
} part;

typedef struct shuffler {
    tg_simt *S;
    const tg_op *op;
    tg_reduce_kind kind;
    tg_dtype wide, stored;
    bool positions;
} shuffler;

static tg_value *fetch(const shuffler *s, tg_shuffle_mode mode, tg_value *v, tg_value *which) {
    return v == NULL ? NULL : tg_build_shfl(&s->S->b, mode, v, which);
}

static part combine(const shuffler *s, part x, part y) {
    tg_builder *b = &s->S->b;
    if (!s->positions) {
        return (part){ts_combine(b, s->kind, x.v, y.v), NULL};
    }
    tg_value *better = ts_better(b, s->kind == TG_RED_ARGMAX, y.v, y.at, x.v, x.at);
    return (part){tg_build_select(b, better, y.v, x.v), tg_build_select(b, better, y.at, x.at)};
}

static tg_value *lane_digit(const shuffler *s, const digits *d, int k) {
    tg_builder *b = &s->S->b;
    return ts_bin(b, TG_OP_REM, ts_bin(b, TG_OP_DIV, s->S->args.lane, d->place[k]), d->extent[k]);
}

/* One after the other. */
static part in_order(const shuffler *s, const digits *d, part own) {
    tg_builder *b = &s->S->b;
    tg_value *first = s->S->args.lane; /* of the sub-group and of these parts */
    first = ts_bin(b, TG_OP_REM, first, s->S->mc->subgroup);
    for (int k = 0; k < d->n; k++) {
        tg_value *skip = ts_bin(b, TG_OP_MUL, lane_digit(s, d, k), d->place[k]);
        first = tg_build_binary(b, TG_OP_SUB, first, skip);
    }
    part sum = {NULL, NULL};
    for (int64_t p = 0; p < d->parts; p++) {
        int64_t lane = 0, rest = p;
        for (int k = 0; k < d->n; k++) {
            lane += rest % d->extent[k] * d->place[k];
            rest /= d->extent[k];
        }
        tg_value *from = ts_bin(b, TG_OP_ADD, first, lane);
        part x = {fetch(s, TG_SHUFFLE_INDEX, own.v, from), NULL};
        sum = p == 0 ? x : combine(s, sum, x);
    }
    return sum;
}

static part by_halves(const shuffler *s, const digits *d, part own) {
    tg_builder *b = &s->S->b;
    for (int k = 0; k < d->n; k++) {
        for (int64_t step = d->place[k]; step < d->place[k] * d->extent[k]; step *= 2) {
            tg_value *which = tg_build_int(b, s->S->args.lane->type, step);
            part other = {fetch(s, TG_SHUFFLE_XOR, own.v, which),
                          fetch(s, TG_SHUFFLE_XOR, own.at, which)};
            tg_value *bit = ts_bin(b, TG_OP_AND, s->S->args.lane, step);
            tg_value *upper = tg_build_cmp(b, TG_CMP_NE, bit, tg_build_int(b, bit->type, 0));
            part x = {tg_build_select(b, upper, other.v, own.v), NULL}, y = x;
            y.v = tg_build_select(b, upper, own.v, other.v);
            if (s->positions) {
                x.at = tg_build_select(b, upper, other.at, own.at);
                y.at = tg_build_select(b, upper, own.at, other.at);
            }
            own = combine(s, x, y);
        }
    }
    return own;
}

void ts_reduce_shuffle(tg_simt *S, const tg_op *op, const ts_item *item, int64_t regs) {
    tg_builder *b = &S->b;
    shuffler s = {.S = S, .op = op, .kind = (tg_reduce_kind)tg_attr_int(op, TG_ATTR_RED, 0)};
    digits d = digits_of(item->layout, (int)tg_attr_int(op, TG_ATTR_AXIS, 0));
    s.positions = item->array2 != NULL;
    s.stored = s.positions ? tg_operand(op, 0)->type->dtype : op->results[0].type->dtype;
    s.wide = tg_dtype_arith(s.stored);
    bool ordered = tg_dtype_is_float(s.wide) && (s.kind == TG_RED_SUM || s.kind == TG_RED_PROD);
    tg_value *i;
    tg_op *loop = ts_each_register(S, b, regs, &i);
    tg_value *r = ts_i32(b, i);
    part own = {tg_build_aload(b, ts_type(S, s.wide, 1), item->array, r, 1), NULL};
    /* through the stored type, as the exchange buffer has it */
    own.v = tg_expand_convert(b, S->mc, own.v, s.wide, s.stored, TG_ROUND_RNE, false);
    own.v = tg_expand_convert(b, S->mc, own.v, s.stored, s.wide, TG_ROUND_RNE, false);
    if (s.positions) {
        own.at = tg_build_aload(b, tg_type_scalar(S->out, TG_DT_I32), item->array2, r, 1);
    }
    own = ordered ? in_order(&s, &d, own) : by_halves(&s, &d, own);
    (void)tg_build_astore(b, item->array, r, own.v, 1);
    if (s.positions) {
        (void)tg_build_astore(b, item->array2, r, own.at, 1);
    }
    tg_build_end_for(b, loop, 0, NULL);
}
