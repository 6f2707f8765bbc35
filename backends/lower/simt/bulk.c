/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of boxes of tensors (TG_SIMT_BULK). One lane starts the copy, its bytes complete on a
 * barrier of the buffer's copy, and all lanes wait for the barrier's phase:
 *
 *   %ok = tmap_ok %map                     // uniform; and whatever else the box cannot express
 *   mbar_expect bars, i, (%ok ? bytes : 0), lane 0
 *   if %ok { tcopy %map, buffer, ..., bars, i, lane 0, coordinates } else { the lanes' own copy }
 *   ...
 *   mbar_wait bars, i, phase bit i         // where the placed code waits
 *
 * Waits need not know which way a copy went: it arrives at its barrier in any case, and the groups
 * of the lanes' own copies are waited for besides. Every copy has one wait, so the parity to wait
 * for is a bit that each wait turns over, whatever loops stand around.
 *
 * Elements outside of the tensor become zero, which is what a copy means by absent; a span that
 * ends before the tensor does is asked for.
 */
#include "backends/lower/simt/simt.h"

#include "backends/lower/expand/expand.h"
#include "ir/tensor_map.h"

#include <string.h>

enum { BOX_ALIGN = 128, BAR_BYTES = 8, MOST_BARS = 32 };

static bool is_bulk(const tg_op *copy) {
    const char *kind = tg_attr_str(copy, TG_ATTR_KIND);
    return copy->code == TG_OP_COPY && kind != NULL && strcmp(kind, "tensor") == 0;
}

static int ring_of(const tg_op *copy) { return tg_attr_int(copy, TG_ATTR_RING, 0) != 0; }

/* Its token goes with a signal: roles.c has the barrier. */
static bool is_signalled(const tg_op *copy) {
    const tg_use *u = copy->results[0].uses;
    return u != NULL && u->user->code == TG_OP_SIGNAL;
}

/* ---- barriers ---------------------------------------------------------------------------------
 */

/* The one copy into a buffer that is looked at; NULL: none of them is bulk. */
static const tg_op *bulk_copy_of(const tg_op *buffer) {
    for (const tg_use *u = buffer->results[0].uses; u != NULL; u = u->next) {
        if (is_bulk(u->user) && !is_signalled(u->user)) {
            return u->user;
        }
    }
    return NULL;
}

static int bars_of(const tg_simt *S) {
    int n = 0;
    for (const tg_op *op = S->kernel->body->first; op != NULL; op = op->next) {
        bool shared = op->code == TG_OP_BUFFER && op->results[0].type->space == TG_SPACE_SHARED;
        if (shared && bulk_copy_of(op) != NULL && n + op->results[0].type->depth <= MOST_BARS) {
            n += (int)op->results[0].type->depth;
        }
    }
    return n;
}

int64_t ts_bulk_bytes(const tg_simt *S, int64_t shared_bytes) {
    int n = bars_of(S);
    return n == 0 ? 0 : tg_round_up_i64(shared_bytes, BAR_BYTES) - shared_bytes + n * BAR_BYTES;
}

void ts_bulk_begin(tg_simt *S, int64_t offset) {
    const tg_type *i32 = tg_type_scalar(S->out, TG_DT_I32);
    tg_builder *b = &S->b;
    S->bulk = (ts_bulk){.n = 0};
    int n = bars_of(S);
    if (n == 0) {
        return;
    }
    S->bulk.bars = tg_build_array(b, TG_SPACE_SHARED, TG_DT_U64, n,
                                  tg_round_up_i64(offset, BAR_BYTES), ts_name(S, "bars"));
    S->bulk.phases = ts_array(S, TG_DT_U32, 1, "phases");
    tg_value *zero = tg_build_int(b, i32, 0);
    (void)tg_build_astore(b, S->bulk.phases, zero,
                          tg_build_int(b, tg_type_scalar(S->out, TG_DT_U32), 0), 1);
    tg_op *branch = tg_build_if(b, ts_lane_is(S, 0), 0, NULL);
    for (int i = 0; i < n; i++) {
        (void)tg_build_mbar_init(b, S->bulk.bars, tg_build_int(b, i32, i), 1);
    }
    tg_build_else(b, branch, 0, NULL);
    tg_build_end_if(b, branch, 0, NULL);
    (void)tg_build_barrier(b, TG_FENCE_SHARED, 0);
}

/* i32 number of the barrier of the copy's place in its ring. slot: placed; NULL: the only one. */
static tg_value *bar_of(tg_simt *S, const ts_buf *u, tg_value *slot) {
    const tg_type *i32 = tg_type_scalar(S->out, TG_DT_I32);
    tg_builder *b = &S->b;
    if (u->copies == 1 || slot == NULL) {
        return tg_build_int(b, i32, u->bar - 1);
    }
    tg_value *s = ts_i32(b, ts_bin(b, TG_OP_REM, ts_scalar(S, slot), u->copies));
    return ts_bin(b, TG_OP_ADD, s, u->bar - 1);
}

/* ---- boxes ------------------------------------------------------------------------------------
 */

typedef struct box {
    const ts_tensor *tensor;
    const ts_buf *buf;
    int first;                        /* operand of the tensor's first index */
    int rank;                         /* of the tensor */
    int64_t side[TG_MAP_RANK], bytes; /* innermost first; of all panels together */
    int64_t panels, panel;            /* boxes beside each other, and elements of each */
} box;

/*
 * Swizzled rows are cut into panels, which lie one behind the other (swizzle.c): each is a box. The
 * hardware spreads rows by the address (PTX ISA 8.5, 5.5.7), so panels begin where the pattern
 * does.
 */
static bool cut_panels(box *x, int64_t *row, int64_t width) {
    const ts_buf *u = x->buf;
    x->panels = 1;
    if (u->swizzle != 0) {
        x->panels = u->columns / u->width;
        *row = u->width;
    }
    x->panel = u->count / x->panels;
    return x->panel * width % (u->swizzle != 0 ? 8 * u->swizzle : BOX_ALIGN) == 0;
}

/* Elements of a row with its padding, which is copied along; 0: rows are not pieces of a box. */
static int64_t row_of(const ts_buf *u) {
    int last = u->rank - 1;
    int64_t row = last == 0 ? u->shape[0] : u->stride[last - 1], dense = row;
    for (int a = last - 1; a >= 0; a--) {
        if (u->stride[a] != dense) {
            return 0;
        }
        dense *= u->shape[a];
    }
    bool fits = u->stride[last] == 1 && row >= u->shape[last] && dense == u->count;
    return fits && u->space == TG_SPACE_SHARED && u->offset == 0 ? row : 0;
}

static bool box_of(tg_simt *S, const tg_op *copy, box *x) {
    int ring = ring_of(copy);
    *x = (box){.first = 2 + ring, .buf = ts_buf_of(S, tg_operand(copy, 0))};
    x->tensor = ts_tensor_of(S, tg_operand(copy, 1 + ring));
    x->rank = x->tensor->rank;
    int64_t row = row_of(x->buf), width = x->tensor->elem_bytes;
    if (row == 0 || !cut_panels(x, &row, width) || x->rank > TG_MAP_RANK || row > TG_MAP_BOX ||
        row * width % TG_MAP_ALIGN != 0 || x->tensor->const_stride[x->rank - 1] != width ||
        width != tg_scratch_elem_bytes(x->buf->dtype)) {
        return false;
    }
    x->bytes = x->buf->count * width;
    for (int k = 0; k < x->rank; k++) {
        const tg_type *t = copy->operands[x->first + k].value->type;
        int64_t n = t->kind == TG_TY_SPAN ? t->shape[0] : 1;
        x->side[x->rank - 1 - k] = k == x->rank - 1 ? row : n;
    }
    return true;
}

/* The map, made of what the launch knows. */
static tg_value *map_of(tg_simt *S, const box *x) {
    const ts_tensor *t = x->tensor;
    tg_value *extents[TG_MAP_RANK], *strides[TG_MAP_RANK];
    for (int i = 0; i < x->rank; i++) {
        int k = x->rank - 1 - i;
        extents[i] = t->dim[k];
        strides[i] =
            t->const_stride[k] >= 0 ? tg_build_index(&S->entry, t->const_stride[k]) : t->stride[k];
    }
    return tg_build_tmap(&S->entry, t->dtype, x->rank, t->base, extents, strides, x->side,
                         x->buf->swizzle);
}

/* i32 coordinates; `ok` and-ed with what the box cannot express. */
static void coordinates(tg_simt *S, const tg_op *copy, const box *x, tg_value **at, tg_value **ok) {
    tg_builder *b = &S->b;
    for (int k = 0; k < x->rank; k++) {
        tg_value *v = tg_operand(copy, x->first + k), *lo, *dim = x->tensor->dim[k];
        if (v->type->kind == TG_TY_SPAN) {
            const ts_info *s = ts_of(S, v);
            int64_t n = v->type->shape[0], from, to;
            lo = s->lo;
            bool whole = s->hi == dim || (tg_value_const_int(s->lo, &from) &&
                                          tg_value_const_int(s->hi, &to) && to - from >= n);
            if (!whole) { /* no element of the box is in the tensor and not in the span */
                tg_value *end = tg_build_binary(b, TG_OP_MIN, ts_bin(b, TG_OP_ADD, lo, n), dim);
                *ok = tg_build_binary(b, TG_OP_AND, *ok, tg_build_cmp(b, TG_CMP_LE, end, s->hi));
            }
        } else {
            lo = tg_build_cast(b, ts_scalar(S, v), TG_DT_I64);
        }
        /* outside of the tensor stays outside */
        tg_value *c = tg_build1(b, TG_OP_CAST, tg_type_scalar(S->out, TG_DT_I32), 1, lo);
        tg_op_set_int(c->def, TG_ATTR_SAT, 1);
        at[x->rank - 1 - k] = c;
    }
}

/* ---- copies -----------------------------------------------------------------------------------
 */

static void start(tg_simt *S, const tg_op *copy, const box *x, tg_value *map, tg_value *bars,
                  tg_value *bar, tg_value **at) {
    tg_builder *b = &S->b;
    tg_value *index = ts_buf_start(b, x->buf);
    if (ring_of(copy)) {
        index =
            tg_build_binary(b, TG_OP_ADD, index, ts_buf_slot(S, b, x->buf, tg_operand(copy, 1)));
    }
    tg_value *column = at[0];
    for (int64_t p = 0; p < x->panels; p++) {
        at[0] = ts_bin(b, TG_OP_ADD, column, p * x->side[0]);
        tg_value *to = ts_bin(b, TG_OP_ADD, index, p * x->panel);
        (void)tg_build_tcopy(b, map, x->buf->memory, to, bars, bar, ts_lane_is(S, 0), at);
    }
}

/* All copies into the buffer can be boxes, or none is one: waits are those of the buffer. */
static bool claim(tg_simt *S, tg_value *buffer) {
    ts_buf *u = ts_buf_of(S, buffer);
    box x;
    for (const tg_use *use = buffer->uses; use != NULL && u->bar == 0; use = use->next) {
        if (use->user->code == TG_OP_COPY && (!is_bulk(use->user) || !box_of(S, use->user, &x))) {
            u->bar = -1;
        }
    }
    if (u->bar == 0 && S->bulk.bars != NULL &&
        S->bulk.n + u->copies <= S->bulk.bars->type->shape[0]) {
        u->bar = 1 + S->bulk.n;
        S->bulk.n += (int)u->copies;
    }
    return u->bar > 0;
}

bool ts_emit_bulk(tg_simt *S, tg_op *copy, const ts_item *item) {
    const tg_type *i32 = tg_type_scalar(S->out, TG_DT_I32);
    tg_builder *b = &S->b;
    tg_value *at[TG_MAP_RANK] = {NULL};
    box x;
    if (!is_bulk(copy) || is_signalled(copy) || !claim(S, tg_operand(copy, 0)) ||
        !box_of(S, copy, &x)) {
        return false;
    }
    tg_value *map = map_of(S, &x), *ok = tg_build_tmap_ok(&S->entry, map);
    tg_value *bar = bar_of(S, x.buf, ring_of(copy) ? tg_operand(copy, 1) : NULL);
    coordinates(S, copy, &x, at, &ok);
    tg_value *bytes =
        tg_build_select(b, ok, tg_build_int(b, i32, x.bytes), tg_build_int(b, i32, 0));
    (void)tg_build_mbar_expect(b, S->bulk.bars, bar, bytes, ts_lane_is(S, 0));
    tg_op *branch = tg_build_if(b, ok, 0, NULL);
    start(S, copy, &x, map, S->bulk.bars, bar, at);
    tg_build_else(b, branch, 0, NULL);
    ts_run_add(S, *item);
    ts_run_flush(S);
    tg_build_end_if(b, branch, 0, NULL);
    return true;
}

/* ---- in roles ---------------------------------------------------------------------------------
 */

/* The span ends where its tensor does, or no later than the box: nothing is to be asked. */
static bool is_whole(const tg_op *copy, int operand, const tg_dim *extent) {
    const tg_op *span = copy->operands[operand].value->def;
    const tg_value *hi = span->operands[1].value;
    int64_t from, to;
    if (tg_value_const_int(hi, &to)) {
        return (extent->code == TG_DIM_CONST && to >= extent->value) ||
               (tg_value_const_int(span->operands[0].value, &from) &&
                to - from >= span->results[0].type->shape[0]);
    }
    return hi->def != NULL && hi->def->code == TG_OP_SYM && extent->code == TG_DIM_SYM &&
           tg_attr_int(hi->def, TG_ATTR_SYM, -1) == extent->value;
}

static bool is_known_box(tg_simt *S, const tg_op *copy, box *x) {
    if (!is_bulk(copy) || !ring_of(copy) || !box_of(S, copy, x)) {
        return false;
    }
    const tg_type *t = copy->operands[2].value->type;
    for (int k = 0; k < x->rank; k++) {
        bool span = copy->operands[x->first + k].value->type->kind == TG_TY_SPAN;
        if (span && !is_whole(copy, x->first + k, t->dims[k])) {
            return false;
        }
    }
    return true;
}

/* Signals of a copy's token, all of them of this event; 0: others have it, too. */
static int64_t signals_of(const tg_op *copy, const tg_op *event) {
    int64_t n = 0;
    for (const tg_use *u = copy->results[0].uses; u != NULL; u = u->next) {
        bool own = u->user->code == TG_OP_SIGNAL && u->user->parent == copy->parent &&
                   u->user->operands[0].value->def == event;
        if (!own) {
            return 0;
        }
        n++;
    }
    return n;
}

int64_t ts_bulk_signals(tg_simt *S, const tg_op *event) {
    int64_t n = 0;
    for (const tg_use *u = event->results[0].uses; u != NULL; u = u->next) {
        const tg_op *copy = u->user->n_operands > 2 ? tg_operand(u->user, 2)->def : NULL;
        box x;
        if (u->user->code != TG_OP_SIGNAL) {
            continue;
        }
        int64_t own = copy != NULL && is_known_box(S, copy, &x) ? signals_of(copy, event) : 0;
        bool rings = own > 0 && tg_attr_int(event, TG_ATTR_N, 1) == own * x.buf->copies;
        if (!rings || (n != 0 && n != own)) {
            return 0;
        }
        n = own;
    }
    return n;
}

tg_value *ts_bulk_all_ok(tg_simt *S, const tg_op *event) {
    tg_value *all = NULL;
    for (const tg_use *u = event->results[0].uses; u != NULL; u = u->next) {
        box x;
        if (u->user->code == TG_OP_SIGNAL && box_of(S, tg_operand(u->user, 2)->def, &x)) {
            tg_value *ok = tg_build_tmap_ok(&S->entry, map_of(S, &x));
            all = all == NULL ? ok : tg_build_binary(&S->entry, TG_OP_AND, all, ok);
        }
    }
    return all;
}

void ts_bulk_start(tg_simt *S, tg_op *copy, tg_value *bars, tg_value *bar) {
    tg_value *at[TG_MAP_RANK] = {NULL}, *ok = tg_build_bool(&S->b, true);
    tg_builder *b = &S->b;
    box x;
    if (!box_of(S, copy, &x)) {
        ts_unsupported(S, copy, "this box"); /* cannot be: the event asked */
        return;
    }
    coordinates(S, copy, &x, at, &ok);
    tg_value *bytes = tg_build_int(b, tg_type_scalar(S->out, TG_DT_I32), x.bytes);
    (void)tg_build_mbar_expect(b, bars, bar, bytes, ts_lane_is(S, 0));
    start(S, copy, &x, map_of(S, &x), bars, bar, at);
}

/* ---- waits ------------------------------------------------------------------------------------
 */

bool ts_bulk_wait(tg_simt *S, const tg_op *wait) {
    const tg_op *copy = tg_operand(wait, 0)->def;
    if (copy == NULL || !is_bulk(copy) || (ring_of(copy) && wait->n_operands < 2)) {
        return false;
    }
    const ts_buf *u = ts_buf_of(S, tg_operand(copy, 0));
    if (u->bar <= 0) {
        return false;
    }
    ts_landing l = {.bar = bar_of(S, u, wait->n_operands > 1 ? tg_operand(wait, 1) : NULL)};
    TG_LIST_PUSH(S->arena, &S->bulk.landings, l);
    return true;
}

void ts_bulk_land(tg_simt *S) {
    const tg_type *i32 = tg_type_scalar(S->out, TG_DT_I32);
    const tg_type *u32 = tg_type_scalar(S->out, TG_DT_U32);
    tg_builder *b = &S->b;
    if (S->bulk.landings.count == 0) {
        return;
    }
    tg_value *zero = tg_build_int(b, i32, 0);
    tg_value *phases = tg_build_aload(b, u32, S->bulk.phases, zero, 1);
    for (size_t i = 0; i < S->bulk.landings.count; i++) {
        tg_value *bar = S->bulk.landings.data[i].bar, *shift = tg_build_cast(b, bar, TG_DT_U32);
        tg_value *parity = ts_bin(b, TG_OP_AND, tg_build_binary(b, TG_OP_SHR, phases, shift), 1);
        (void)tg_build_mbar_wait(b, S->bulk.bars, bar, tg_build_cast(b, parity, TG_DT_I32));
        tg_value *bit = tg_build_binary(b, TG_OP_SHL, tg_build_int(b, u32, 1), shift);
        phases = tg_build_binary(b, TG_OP_XOR, phases, bit);
    }
    (void)tg_build_astore(b, S->bulk.phases, zero, phases, 1);
    S->bulk.landings.count = 0;
}
