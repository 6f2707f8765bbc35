/* SPDX-License-Identifier: Apache-2.0 */
/*
 * swizzle: operands of units that read shared memory by themselves lie as those want them.
 *
 * Takes a function whose buffers have their spaces. Gives every product on such a unit (gmma)
 * operands in panels of 128, 64 or 32 bytes a row, xor-ed (ir/matrix.h), by the layouts of their
 * buffers; a product whose operands cannot lie so goes to the unit of single sub-groups that has
 * the same types and the same accumulator. Refuses nothing.
 *
 * Before:
 *   %3 = buffer {offset = 0} : buf<shared, f16[64, 128], 1>
 * After:
 *   %3 = buffer {offset = 0} : buf<shared, f16[64, 128], 1 @"2; 1:64*1@mem*1 0:64*1@mem*64
 * 1:2*64@mem*4096 xor(1,8,8)">
 *
 * An operand lies along its rows (K contiguous), or turned (M or N contiguous, 16 bits an element).
 * A buffer is swizzled when all that read it by unit are such products and the rest moves elements
 * one by one or 16 bytes together; a product stays with its unit when both buffers are. Both sets
 * only shrink, so a few rounds end it. The largest mode that divides the rows is taken.
 */
#include "backends/place/place.h"
#include "ir/matrix.h"

enum { ROWS = 8, K_BYTES = 32, MODES = 3 };
static const int64_t modes[MODES] = {128, 64, 32};

typedef struct buffer {
    tg_op *op;
    int64_t mode; /* bytes of a row of a panel, 0: not swizzled */
} buffer;

typedef struct swizzler {
    tg_placer *p;
    TG_LIST(buffer) buffers;
    TG_LIST(tg_op *) dots; /* on units that read memory */
} swizzler;

/* ---- how an operand lies --------------------------------------------------------------------- */

/* A value that views a buffer: axis a of it is the buffer's axis[a], from `offset` on. */
typedef struct view {
    tg_op *base;
    int rank, axis[TG_MAX_RANK];
    int64_t offset[TG_MAX_RANK]; /* by the buffer's axes */
} view;

/* False where something was reshaped on the way. */
static bool view_of(const tg_value *v, view *out) {
    *out = (view){.rank = v->type->rank};
    for (int a = 0; a < out->rank; a++) {
        out->axis[a] = a;
    }
    for (; v->def != NULL && v->def->code == TG_OP_WINDOW; v = v->def->operands[0].value) {
        const tg_attr *axes = tg_attr_get(v->def, TG_ATTR_AXES);
        const tg_attr *offsets = tg_attr_get(v->def, TG_ATTR_OFFSETS);
        int64_t offset[TG_MAX_RANK] = {0};
        if (tg_attr_int(v->def, TG_ATTR_RING, 0) != 0) {
            continue;
        }
        if (axes == NULL) {
            return false;
        }
        for (int a = 0; a < v->type->rank; a++) {
            offset[axes->list[a]] = out->offset[a];
        }
        for (size_t a = 0; offsets != NULL && a < offsets->n_list; a++) {
            offset[a] += offsets->list[a];
        }
        for (int a = 0; a < out->rank; a++) {
            out->axis[a] = (int)axes->list[out->axis[a]];
        }
        for (int a = 0; a < TG_MAX_RANK; a++) {
            out->offset[a] = offset[a];
        }
    }
    out->base = v->def;
    return v->def != NULL && v->def->code == TG_OP_BUFFER;
}

/* Rows between neighbours along an axis of a buffer (not its last). */
static int64_t rows_between(const tg_type *t, int axis) {
    int64_t n = 1;
    for (int a = axis + 1; a < t->rank - 1; a++) {
        n *= t->shape[a];
    }
    return n;
}

/* Columns that a group of lanes has together. */
static int64_t columns_of(const tg_type *acc, const tg_matrix_unit *u) {
    int64_t groups = 1;
    for (int i = 0; i < acc->layout->n_modes; i++) {
        const tg_layout_mode *d = &acc->layout->modes[i];
        bool across = d->resource == TG_RES_LANE && d->axis == acc->rank - 1;
        groups *= across && d->place >= u->lanes ? d->extent : 1;
    }
    return groups > 1 ? acc->shape[acc->rank - 1] / groups : 0;
}

/* Can operand `part` of a product be read from panels of `width` elements? */
static bool lies_in(const tg_op *dot, int part, const tg_matrix_unit *u, int64_t width) {
    view v;
    if (!view_of(dot->operands[part].value, &v)) {
        return false;
    }
    const tg_type *t = v.base->results[0].type, *acc = dot->results[0].type;
    int x = part == 0 ? v.rank - 2 : v.rank - 1, k = part == 0 ? v.rank - 1 : v.rank - 2;
    int last = t->rank - 1;
    bool turned = v.axis[x] == last;
    int across = v.axis[turned ? k : x];
    int64_t columns = columns_of(acc, u), from = v.offset[last], row = 0;
    if ((!turned && v.axis[k] != last) || (turned && tg_place_elem_bytes(t->dtype) != 2) ||
        rows_between(t, across) != 1) {
        return false;
    }
    for (int a = 0; a < last; a++) {
        row += v.offset[a] * rows_between(t, a);
    }
    for (int a = 0; a < v.rank - 2; a++) {
        bool steps = dot->operands[part].value->type->shape[a] > 1;
        if (steps && (v.axis[a] == last || rows_between(t, v.axis[a]) % ROWS != 0)) {
            return false;
        }
    }
    int64_t step = turned ? width : u->k;
    return row % ROWS == 0 && from % step == 0 && (!turned || part == 0 || columns % width == 0);
}

/* ---- who uses a buffer ----------------------------------------------------------------------- */

static const tg_matrix_unit *reader_of(const tg_op *op) {
    const tg_matrix_unit *u =
        op->code == TG_OP_DOT ? tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT)) : NULL;
    return u != NULL && tg_matrix_reads_memory(u) ? u : NULL;
}

static bool uses_fit(const tg_value *v, int64_t width, int *products) {
    for (const tg_use *use = v->uses; use != NULL; use = use->next) {
        const tg_op *op = use->user;
        const tg_matrix_unit *u = reader_of(op);
        int part = (int)(use - op->operands);
        switch ((int)op->code) {
        case TG_OP_WINDOW:
            if (!uses_fit(&op->results[0], width, products)) {
                return false;
            }
            break;
        case TG_OP_DOT:
            if (u == NULL || part > 1 || !lies_in(op, part, u, width)) {
                return false;
            }
            (*products)++;
            break;
        case TG_OP_PUT:
        case TG_OP_GET:
        case TG_OP_GET_AT:
        case TG_OP_COPY:
            break;
        default:
            return false;
        }
    }
    return true;
}

static int64_t mode_of(const tg_op *op) {
    const tg_type *t = op->results[0].type;
    int64_t bytes = tg_place_elem_bytes(t->dtype), last = t->rank - 1;
    if (t->space != TG_SPACE_SHARED || t->rank < 2 || t->shape[last - 1] % ROWS != 0) {
        return 0;
    }
    for (int i = 0; i < MODES; i++) {
        int products = 0;
        if (t->shape[last] * bytes % modes[i] == 0 &&
            uses_fit(&op->results[0], modes[i] / bytes, &products) && products > 0) {
            return modes[i];
        }
    }
    return 0;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static int64_t mode_below(const swizzler *s, const tg_value *operand) {
    if (operand->type->kind != TG_TY_BUFFER) {
        return modes[0]; /* lanes hold it */
    }
    const tg_op *base = tg_place_buffer_of((tg_value *)operand);
    for (size_t i = 0; i < s->buffers.count; i++) {
        if (s->buffers.data[i].op == base) {
            return s->buffers.data[i].mode;
        }
    }
    return 0;
}

static bool round_once(swizzler *s) {
    bool changed = false;
    for (size_t i = 0; i < s->buffers.count; i++) {
        buffer *b = &s->buffers.data[i];
        int64_t mode = b->mode == 0 ? 0 : mode_of(b->op);
        changed |= mode != b->mode;
        b->mode = mode;
    }
    for (size_t i = 0; i < s->dots.count; i++) {
        tg_op *dot = s->dots.data[i];
        const tg_matrix_unit *u = reader_of(dot);
        if (u != NULL && (mode_below(s, dot->operands[0].value) == 0 ||
                          mode_below(s, dot->operands[1].value) == 0)) {
            const tg_matrix_unit *instead = tg_matrix_instead(u);
            tg_op_set_str(dot, TG_ATTR_UNIT, instead->name);
            changed = true;
        }
    }
    return changed;
}

static void collect(swizzler *s, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_BUFFER) {
            buffer b = {.op = op, .mode = modes[0]};
            TG_LIST_PUSH(s->p->arena, &s->buffers, b);
        } else if (reader_of(op) != NULL) {
            TG_LIST_PUSH(s->p->arena, &s->dots, op);
        }
        for (int i = 0; i < op->n_regions; i++) {
            collect(s, op->regions[i]);
        }
    }
}

/* ---- layouts --------------------------------------------------------------------------------- */

static void add_mode(tg_layout *l, int axis, int64_t extent, int64_t stride, int64_t place) {
    if (extent > 1) {
        l->modes[l->n_modes++] = (tg_layout_mode){.axis = (int8_t)axis,
                                                  .resource = TG_RES_MEM,
                                                  .extent = extent,
                                                  .stride = stride,
                                                  .place = place};
    }
}

static const tg_layout *panels(tg_placer *p, const tg_type *t, int64_t mode) {
    int64_t bytes = tg_place_elem_bytes(t->dtype), width = mode / bytes, place = width;
    int last = t->rank - 1;
    tg_layout l = {.rank = (uint8_t)t->rank, .xor_q = 128 / mode, .xor_g = mode / 16};
    l.xor_chunk = 16 / bytes;
    add_mode(&l, last, width, 1, 1);
    for (int a = last - 1; a >= 0; a--) {
        add_mode(&l, a, t->shape[a], 1, place);
        place *= t->shape[a];
    }
    add_mode(&l, last, t->shape[last] / width, width, place);
    return tg_layout_intern(p->m, &l);
}

static void set_layout(tg_placer *p, tg_op *op, const tg_layout *l) {
    const tg_type *t = op->results[0].type;
    op->results[0].type = tg_type_buffer(p->m, t->space, t->dtype, t->rank, t->shape, t->depth, l);
}

static void apply(swizzler *s) {
    for (size_t i = 0; i < s->buffers.count; i++) {
        buffer *b = &s->buffers.data[i];
        const tg_layout *l = b->mode == 0 ? NULL : panels(s->p, b->op->results[0].type, b->mode);
        if (b->mode != 0 || (b->op->results[0].type->layout != NULL &&
                             b->op->results[0].type->layout->xor_g != 0)) {
            set_layout(s->p, b->op, l);
        }
    }
}

tg_status tg_place_swizzle(tg_placer *p) {
    swizzler s = {.p = p};
    tg_status st = TG_OK;
    collect(&s, p->f->body);
    if (s.dots.count == 0) {
        return TG_OK;
    }
    do { /* aligned offsets may push a buffer out of shared memory */
        while (round_once(&s)) {
        }
        apply(&s);
        st = tg_place_capacity(p);
    } while (st == TG_OK && round_once(&s));
    return st;
}
