/* SPDX-License-Identifier: Apache-2.0 */
/*
 * banks: how far apart the rows of a buffer lie.
 *
 * Takes a function whose buffers have bytes. Where lanes that access shared memory together would
 * meet in its banks, gives the buffer a memory layout with padded rows, and all of them new
 * offsets.
 *
 * Before:
 *   %3 = buffer : buf<shared, f32[64, 32], 1>
 * After:
 *   %3 = buffer : buf<shared, f32[64, 32], 1, "2; 1:32*1@mem*1 0:64*1@mem*33">
 *
 * What the lanes touch together follows from the layouts: lane l of a put, get, copy, product or
 * exchange starts at the coordinates its lane digits give, register digits 0, and takes as many
 * neighbours as a vector has. Rows longer by 0 to `banks` words are tried; the fewest cycles in
 * all accesses win (those in loops count more), then rows that keep 16-byte vectors aligned, then
 * the fewest bytes. Padding that shared memory has no room for is left out: nothing leaves
 * it for padding, and rings keep their depth. Machines without banks get none.
 */
#include "backends/place/place.h"
#include "ir/matrix.h"

#include <string.h>

enum { GROUP = 32, WORD = 4, MAX_BANKS = 64, ACOPY_BYTES = 16, MAX_BOX = 256 };

/* Lanes that touch a buffer together. */
typedef struct access {
    int64_t coord[GROUP][TG_MAX_RANK]; /* along the buffer's axes */
    int lanes;
    int64_t width, weight; /* elements along the last axis; executions, roughly */
} access;

typedef struct padding {
    tg_op *op;
    const tg_layout *layout;
    int64_t pad, gain; /* elements a row; weighed cycles it saves */
    bool taken;
} padding;

typedef struct chooser {
    tg_placer *p;
    const tg_type *type; /* of the buffer in hand */
    bool fixed;          /* something takes its rows to be dense */
    bool rows16;         /* a matrix unit reads its rows in 16 bytes: they stay aligned */
    int64_t most_row;    /* elements of a row with its padding: a box copies both */
    TG_LIST(access) accesses;
    uint32_t *stamp, now; /* by word: when it was last counted */
    int64_t words;
} chooser;

/* ---- what lanes touch ------------------------------------------------------------------------ */

/* Axis of the buffer behind each axis of a view; false: a view as another shape. */
static bool base_axes(const tg_value *v, int64_t map[TG_MAX_RANK]) {
    for (int a = 0; a < TG_MAX_RANK; a++) {
        map[a] = a;
    }
    for (; v->def->code == TG_OP_WINDOW; v = tg_operand(v->def, 0)) {
        const tg_attr *axes = tg_attr_get(v->def, TG_ATTR_AXES);
        if (axes == NULL && tg_attr_int(v->def, TG_ATTR_RING, 0) == 0) {
            return false;
        }
        for (int a = 0; axes != NULL && a < TG_MAX_RANK; a++) {
            map[a] = map[a] < (int64_t)axes->n_list ? axes->list[map[a]] : map[a];
        }
    }
    return true;
}

static int64_t weight_of(const tg_op *op) {
    int64_t w = 1;
    for (const tg_op *o = op->parent->parent; o != NULL && w < 4096; o = o->parent->parent) {
        w *= o->code == TG_OP_FOR || o->code == TG_OP_WHILE ? 8 : 1;
    }
    return w;
}

static int64_t lane_coord(const tg_layout *l, int axis, int64_t lane) {
    int64_t c = 0;
    for (int m = 0; m < l->n_modes; m++) {
        const tg_layout_mode *d = &l->modes[m];
        if (d->resource == TG_RES_LANE && d->axis == axis) {
            c += lane / d->place % d->extent * d->stride;
        }
    }
    return c;
}

/* Neighbours along an axis that a lane holds in consecutive registers, up to `most`. */
static int64_t neighbours(const tg_layout *l, int axis, int64_t most) {
    for (int m = 0; m < l->n_modes; m++) {
        const tg_layout_mode *d = &l->modes[m];
        if (d->resource == TG_RES_REG && d->axis == axis && d->stride == 1 && d->place == 1) {
            int64_t v = 1;
            while (v * 2 <= most && d->extent % (v * 2) == 0) {
                v *= 2;
            }
            return v;
        }
    }
    return 1;
}

static int64_t most_vector(const chooser *s) {
    return s->p->machine->emitter == TG_EMIT_OPENCL_C ? 8 : 4;
}

/*
 * Lanes at their places of layout l, whose axis a is axis to[a] of the buffer (-1: the access does
 * not move along it).
 */
static void add_access(chooser *s, const tg_op *op, const tg_layout *l, int rank,
                       const int64_t *shape, const int64_t *to, int64_t times) {
    access x;
    memset(&x, 0, sizeof x);
    x.weight = weight_of(op) * times;
    x.width = 1;
    int64_t lanes = tg_min_i64(GROUP, tg_layout_size(l, TG_RES_LANE));
    for (int64_t lane = 0; lane < lanes; lane++) {
        bool present = true;
        int64_t *c = x.coord[x.lanes];
        memset(c, 0, sizeof x.coord[0]);
        for (int a = 0; a < rank; a++) {
            int64_t at = lane_coord(l, a, lane);
            present &= at < shape[a];
            if (to[a] >= 0) {
                c[to[a]] = at;
            }
        }
        x.lanes += present;
    }
    for (int a = 0; a < rank; a++) {
        if (to[a] == s->type->rank - 1) {
            x.width = neighbours(l, a, most_vector(s));
        }
    }
    TG_LIST_PUSH(s->p->arena, &s->accesses, x);
}

static void visit_tile(chooser *s, const tg_op *op, const tg_type *t, const int64_t *map) {
    const tg_attr *axes = op->code == TG_OP_GET ? tg_attr_get(op, TG_ATTR_AXES) : NULL;
    int64_t to[TG_MAX_RANK];
    if (t->layout == NULL || t->rank == 0) {
        return;
    }
    for (int a = 0; a < t->rank; a++) {
        to[a] = map[axes != NULL ? axes->list[a] : a];
    }
    add_access(s, op, t->layout, t->rank, t->shape, to, 1);
}

/* As the lowering deals a copy's elements to the lanes. */
static void visit_copy(chooser *s, const tg_op *op, const int64_t *map) {
    const tg_type *t = op->operands[0].value->type;
    bool wide = (s->p->machine->simt & (TG_SIMT_ASYNC | TG_SIMT_UNROLLED)) != 0;
    int64_t vec = wide ? ACOPY_BYTES / tg_place_elem_bytes(t->dtype) : most_vector(s);
    if (tg_place_is_bulk(op)) { /* rows stay whole pieces of boxes, no lane touches them */
        s->rows16 = true;
        s->most_row = MAX_BOX;
        return;
    }
    if (t->rank == 0) {
        return;
    }
    while (t->shape[t->rank - 1] % vec != 0) {
        vec /= 2;
    }
    const tg_layout *l = tg_layout_blocked(s->p->m, t->rank, t->shape, s->p->f->lanes, vec);
    add_access(s, op, l, t->rank, t->shape, map, 1);
}

/* A matrix unit reads 8 rows of 16 bytes at a time, whichever of the block's two axes they run
 * along. */
static void visit_unit(chooser *s, const tg_op *op, int operand, const int64_t *map) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    const tg_type *t = op->results[0].type, *x = op->operands[operand].value->type;
    int last = t->rank - 1, row = map[last - 1] == s->type->rank - 1 ? last : last - 1;
    int64_t width = tg_place_elem_bytes(s->type->dtype);
    access a;
    memset(&a, 0, sizeof a);
    if (t->layout == NULL) {
        return;
    }
    a.lanes = TG_UNIT_ROWS;
    a.width = tg_max_i64(1, TG_UNIT_BYTES / width);
    a.weight = weight_of(op) * (x->shape[operand == 0 ? last : last - 1] / tg_max_i64(1, u->k));
    for (int lane = 0; lane < a.lanes; lane++) {
        a.coord[lane][map[row]] = lane;
    }
    s->rows16 = true;
    TG_LIST_PUSH(s->p->arena, &s->accesses, a);
}

/* a[batch.., m, k] and b[batch.., k, n]: all lanes are at one k. */
static void visit_dot(chooser *s, const tg_op *op, int operand, const int64_t *map) {
    const tg_type *t = op->results[0].type;
    int64_t to[TG_MAX_RANK];
    if (t->layout == NULL || operand > 1) {
        return;
    }
    if (tg_attr_get(op, TG_ATTR_UNIT) != NULL) {
        visit_unit(s, op, operand, map);
        return;
    }
    for (int a = 0; a < t->rank; a++) {
        to[a] = a == (operand == 0 ? t->rank - 1 : t->rank - 2) ? -1 : map[a];
    }
    const tg_type *x = op->operands[0].value->type;
    add_access(s, op, t->layout, t->rank, t->shape, to, x->shape[x->rank - 1]);
}

/* [parts, count]: every lane its part of one element. */
static void visit_exchange(chooser *s, const tg_op *op) {
    const tg_type *t = op->operands[0].value->type;
    int axis = (int)tg_attr_int(op, TG_ATTR_AXIS, 0);
    if (t->layout == NULL || s->type->rank != 2) {
        s->fixed = true;
        return;
    }
    access x;
    memset(&x, 0, sizeof x);
    x.weight = weight_of(op);
    x.width = 1;
    int64_t lanes = tg_min_i64(GROUP, tg_layout_size(t->layout, TG_RES_LANE));
    for (int64_t lane = 0; lane < lanes; lane++) {
        int64_t elem = 0, part = 0, parts = 1;
        bool present = true;
        for (int a = 0; a < t->rank; a++) {
            int64_t c = lane_coord(t->layout, a, lane);
            present &= a == axis || c < t->shape[a];
            elem = a == axis ? elem : elem * t->shape[a] + c;
        }
        for (int m = 0; m < t->layout->n_modes; m++) {
            const tg_layout_mode *d = &t->layout->modes[m];
            if (d->resource == TG_RES_LANE && d->axis == axis && d->extent > 1) {
                part += lane / d->place % d->extent * parts;
                parts *= d->extent;
            }
        }
        x.coord[x.lanes][0] = part;
        x.coord[x.lanes][1] = elem;
        x.lanes += present;
    }
    TG_LIST_PUSH(s->p->arena, &s->accesses, x);
}

static void visit_uses(chooser *s, tg_value *v) {
    int64_t map[TG_MAX_RANK];
    if (!base_axes(v, map)) {
        s->fixed = true;
        return;
    }
    for (const tg_use *u = v->uses; u != NULL; u = u->next) {
        tg_op *op = u->user;
        switch ((int)op->code) {
        case TG_OP_WINDOW:
            visit_uses(s, &op->results[0]);
            break;
        case TG_OP_PUT:
            visit_tile(s, op, tg_operand(op, 1)->type, map);
            break;
        case TG_OP_GET:
            visit_tile(s, op, op->results[0].type, map);
            break;
        case TG_OP_GET_AT: /* where its lanes go only the indices know */
            break;
        case TG_OP_COPY:
            visit_copy(s, op, map);
            break;
        case TG_OP_DOT:
            visit_dot(s, op, tg_operand(op, 0) == v ? 0 : tg_operand(op, 1) == v ? 1 : 2, map);
            break;
        case TG_OP_REDUCE:
            visit_exchange(s, op);
            break;
        default: /* algorithms of the whole program have their own order of elements */
            s->fixed = true;
            break;
        }
    }
}

/* ---- counting -------------------------------------------------------------------------------- */

/* Cycles of an access beyond what as many words need. */
static int64_t extra_of(chooser *s, const access *x, const int64_t *stride) {
    int64_t load[MAX_BANKS] = {0}, most = 0, distinct = 0, banks = s->p->machine->banks;
    int64_t width = tg_place_elem_bytes(s->type->dtype);
    s->now++;
    for (int i = 0; i < x->lanes; i++) {
        int64_t at = 0;
        for (int a = 0; a < s->type->rank; a++) {
            at += x->coord[i][a] * stride[a];
        }
        int64_t last = ((at + x->width) * width - 1) / WORD;
        for (int64_t w = at * width / WORD; w <= last && w < s->words; w++) {
            if (s->stamp[w] != s->now) {
                s->stamp[w] = s->now;
                distinct++;
                most = tg_max_i64(most, ++load[w % banks]);
            }
        }
    }
    return most - tg_cdiv_i64(distinct, banks);
}

static int64_t extra_with(chooser *s, int64_t row) {
    int64_t stride[TG_MAX_RANK], dense = 1, sum = 0;
    for (int a = s->type->rank - 1; a >= 0; a--) {
        stride[a] = dense;
        dense *= a == s->type->rank - 1 ? row : s->type->shape[a];
    }
    for (size_t i = 0; i < s->accesses.count; i++) {
        sum += s->accesses.data[i].weight * extra_of(s, &s->accesses.data[i], stride);
    }
    return sum;
}

/* Elements to add to every row. */
static int64_t best_pad(chooser *s, int64_t *gain) {
    int64_t row = s->type->shape[s->type->rank - 1], best = 0;
    int64_t width = tg_place_elem_bytes(s->type->dtype), least = extra_with(s, row), plain = least;
    bool best_aligned = true;
    for (int64_t p = 1; p * width <= s->p->machine->banks * WORD && least > 0; p++) {
        bool aligned = (row + p) * width % 16 == 0;
        if (p * width % WORD != 0 || (s->rows16 && !aligned) || row + p > s->most_row) {
            continue;
        }
        int64_t extra = extra_with(s, row + p);
        if (extra < least || (extra == least && best != 0 && aligned && !best_aligned)) {
            least = extra;
            best = p;
            best_aligned = aligned;
        }
    }
    *gain = plain - least;
    return best;
}

/*
 * Units without a transposing read want K's neighbours side by side. A matrix that products alone
 * read, each with K along its rows' axis, lies the other way round: copied once, read by each
 * block.
 */
static bool is_turned(const chooser *s, const tg_value *buf) {
    int products = 0;
    if ((s->p->machine->simt & TG_SIMT_UNROLLED) == 0 || buf->type->rank != 2) {
        return false;
    }
    for (const tg_use *u = buf->uses; u != NULL; u = u->next) {
        int i = (int)(u - u->user->operands);
        bool product = u->user->code == TG_OP_DOT && i == 1 &&
                       tg_attr_str(u->user, TG_ATTR_UNIT) != NULL &&
                       u->user->results[0].type->rank == 2;
        bool filled = (u->user->code == TG_OP_COPY || u->user->code == TG_OP_PUT) && i == 0;
        if (!product && !filled) {
            return false;
        }
        products += product;
    }
    return products > 0;
}

/* Columns of 16 bytes more than they have, as rows of a unit's operands. */
static const tg_layout *turned(const chooser *s, int64_t *pad) {
    const tg_type *t = s->type;
    *pad = TG_UNIT_BYTES / tg_place_elem_bytes(t->dtype);
    tg_layout l = {.rank = 2, .n_modes = 2};
    for (int a = 0; a < 2; a++) {
        l.modes[a] = (tg_layout_mode){.axis = (int8_t)a,
                                      .resource = TG_RES_MEM,
                                      .extent = t->shape[a],
                                      .stride = 1,
                                      .place = a == 0 ? 1 : t->shape[0] + *pad};
    }
    return tg_layout_intern(s->p->m, &l);
}

static void consider(chooser *s, tg_op *op, padding *out) {
    s->type = op->results[0].type;
    const tg_type *t = s->type;
    int64_t count = tg_type_count(t), row = t->rank < 2 ? 0 : t->shape[t->rank - 1];
    *out = (padding){.op = op};
    if (row == 0 || count <= row || t->layout != NULL || t->space != TG_SPACE_SHARED) {
        return;
    }
    if (is_turned(s, &op->results[0])) {
        out->layout = turned(s, &out->pad);
        out->gain = INT64_MAX;
        return;
    }
    s->fixed = s->rows16 = false;
    s->most_row = INT64_MAX;
    s->accesses.count = 0;
    visit_uses(s, &op->results[0]);
    int64_t width = tg_place_elem_bytes(t->dtype);
    int64_t bytes = count / row * (row * width + (int64_t)s->p->machine->banks * WORD);
    if (s->fixed || bytes > 4 * s->p->shared_bytes) {
        return;
    }
    if (bytes / WORD + 1 > s->words) {
        s->words = bytes / WORD + 1;
        s->stamp = TG_NEW_ARRAY(s->p->arena, uint32_t, (size_t)s->words);
        memset(s->stamp, 0, (size_t)s->words * sizeof *s->stamp);
        s->now = 0;
    }
    out->pad = best_pad(s, &out->gain);
    if (out->pad > 0) {
        out->layout = tg_layout_memory(s->p->m, t->rank, t->shape, row + out->pad);
    }
}

/* ---- the pass -------------------------------------------------------------------------------- */

static void set_layout(tg_placer *p, padding *d, const tg_layout *l) {
    tg_value *v = &d->op->results[0];
    const tg_type *t = v->type;
    v->type = tg_type_buffer(p->m, t->space, t->dtype, t->rank, t->shape, t->depth, l);
    d->taken = l != NULL;
}

/* All of it where that fits; else one after the other, greatest gain first, what still fits. */
static void apply(tg_placer *p, padding *all, size_t n) {
    for (size_t i = 0; i < n; i++) {
        set_layout(p, &all[i], all[i].layout);
    }
    if (n == 0 || tg_place_shared_need(p) <= p->shared_bytes) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        set_layout(p, &all[i], NULL);
    }
    for (size_t k = 0; k < n; k++) {
        padding *best = NULL;
        for (size_t i = 0; i < n; i++) {
            if (all[i].gain > 0 && (best == NULL || all[i].gain > best->gain)) {
                best = &all[i];
            }
        }
        if (best == NULL) {
            break;
        }
        set_layout(p, best, best->layout);
        best->gain = 0;
        if (tg_place_shared_need(p) > p->shared_bytes) {
            set_layout(p, best, NULL);
        }
    }
}

static void tell(tg_placer *p, const padding *d) {
    const tg_type *t = d->op->results[0].type;
    int64_t rows = tg_type_count(t) / t->shape[t->rank - 1];
    long long bytes = (long long)(rows * d->pad * tg_place_elem_bytes(t->dtype));
    if (d->taken) {
        tg_report(p->sink, TG_SEV_REMARK, TG_D_BANKS, d->op->span,
                  "rows of this value lie %lld elements apart in shared memory, so that lanes do "
                  "not meet in its banks: %lld bytes of padding",
                  (long long)(t->shape[t->rank - 1] + d->pad), bytes);
    } else {
        tg_report(p->sink, TG_SEV_REMARK, TG_D_BANKS, d->op->span,
                  "lanes meet in the banks of shared memory at this value: %s has no room for %lld "
                  "bytes of padding",
                  p->machine->name, bytes);
    }
}

tg_status tg_place_banks(tg_placer *p) {
    if (p->machine->banks <= 0 || p->machine->banks > MAX_BANKS) {
        return TG_OK;
    }
    chooser s = {.p = p};
    TG_LIST(padding) found = {0};
    for (tg_op *op = p->f->body->first; op != NULL; op = op->next) {
        padding d;
        bool swizzled = op->code == TG_OP_BUFFER && op->results[0].type->layout != NULL;
        if (op->code == TG_OP_BUFFER && !swizzled) {
            consider(&s, op, &d);
            if (d.layout != NULL) {
                TG_LIST_PUSH(p->arena, &found, d);
            }
        }
    }
    apply(p, found.data, found.count);
    bool changed = false;
    for (size_t i = 0; i < found.count; i++) {
        tell(p, &found.data[i]);
        changed |= found.data[i].taken;
    }
    return changed ? tg_place_capacity(p) : TG_OK; /* offsets; what left shared memory stays away */
}
