/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chunk: long contractions go through shared memory in pieces.
 *
 * Takes a placed function without layouts. Gives one in which a `dot` of two blocks that are loaded
 * for it alone, and that are too large to stand in shared memory together, is a loop over pieces of
 * the contracted axis; where a loop along that axis does nothing else, its trips get shorter. The
 * order along that axis is kept. On machines that fetch blocks ahead the pieces leave room for it.
 * Also drops the mask of a `dot` whose both operands are zero where it is false; where a unit that
 * reads shared memory by itself would do the product, a computed operand is made zero there first.
 * Refuses nothing.
 *
 * Before:
 *   %3 = span %k, %K : span<256>
 *   %4 = load %a, %i, %3 {axes = [0, 1]} : f32[128, 256]
 *   %5 = load %b, %3, %j {axes = [0, 1]} : f32[256, 128]
 *   %6 = span_mask %3 : bool[256]
 *   %8 = dot %4, %5, %7, %6 {masked = true} : f32[128, 128]
 * After:
 *   %8 = for 0, min(256, %K - %k), 16, %7 : f32[128, 128] (%9: i64, %10: f32[128, 128]) {
 *     %11 = span %k + %9, %K : span<16>
 *     %12 = load %a, %i, %11 {axes = [0, 1]} : f32[128, 16]
 *     %13 = load %b, %11, %j {axes = [0, 1]} : f32[16, 128]
 *     %14 = dot %12, %13, %10 : f32[128, 128]
 *     yield %14
 *   }
 */
#include "backends/place/place.h"
#include "ir/passes/util.h"

/* One operand of dot: a load, perhaps permuted, and where the contracted axis is in it. */
typedef struct side {
    tg_op *permute, *load; /* permute may be NULL */
    int64_t axis;          /* of the load's result */
    int index;             /* the load's operand that gives it, a span */
} side;

/* The load behind v and the span that gives v's axis; false when there is none. */
static bool find_side(tg_value *v, int64_t axis, side *out) {
    *out = (side){.axis = axis};
    if (v->def != NULL && v->def->code == TG_OP_PERMUTE) {
        out->permute = v->def;
        out->axis = tg_attr_get(v->def, TG_ATTR_AXES)->list[axis];
        v = tg_operand(v->def, 0);
    }
    if (v->def == NULL || v->def->code != TG_OP_LOAD) {
        return false;
    }
    out->load = v->def;
    const tg_attr *axes = tg_attr_get(out->load, TG_ATTR_AXES);
    size_t at = 0;
    for (int i = 1; i <= out->load->operands[0].value->type->rank; i++) {
        const tg_type *t = out->load->operands[i].value->type;
        for (int k = 0; k < t->rank; k++) {
            if (axes->list[at++] == out->axis) {
                bool first = out->index == 0 && t->kind == TG_TY_SPAN;
                out->index = first ? i : -1;
            }
        }
    }
    return out->index > 0;
}

/* ---- masks ---------------------------------------------------------------------------------- */

/* The mask is false only where a side was read as zero: beyond its span or its tensor. */
static bool reads_zero(const tg_value *mask, const side *s) {
    const tg_op *op = mask->def;
    if (op == NULL || (op->code != TG_OP_SPAN_MASK && op->code != TG_OP_PRESENT) ||
        op->operands[0].value != tg_operand(s->load, s->index)) {
        return false;
    }
    const tg_dim *dim = s->load->operands[0].value->type->dims[s->index - 1];
    const tg_op *n = op->code == TG_OP_PRESENT ? op->operands[1].value->def : NULL;
    return op->code == TG_OP_SPAN_MASK ||
           (n != NULL && n->code == TG_OP_SYM && dim->code == TG_DIM_SYM &&
            tg_attr_int(n, TG_ATTR_SYM, -1) == dim->value);
}

/* Where the mask is false both operands were read as zero, so it masks nothing. */
static void drop_mask(tg_op *dot, const side *a, const side *b) {
    tg_value *mask = dot->n_operands == 4 ? tg_operand(dot, 3) : NULL;
    if (mask != NULL && reads_zero(mask, a) && reads_zero(mask, b)) {
        tg_drop_mask(dot);
    }
}

/* Units that read shared memory cannot mask, nor is what lanes computed masked once more on its way
 * to a unit: where b was read as zero, a becomes zero. */
static void move_mask(tg_placer *p, tg_op *dot, const side *b) {
    tg_value *mask = dot->n_operands == 4 ? tg_operand(dot, 3) : NULL, *a = tg_operand(dot, 0);
    if (mask == NULL || !reads_zero(mask, b) || !tg_place_wants_plain(p, dot)) {
        return;
    }
    const tg_type *t = a->type;
    tg_builder at = tg_builder_before(dot);
    at.span = dot->span;
    const int64_t last = t->rank - 1;
    tg_value *here = tg_build_broadcast(&at, mask, t->rank, t->shape, &last);
    bool real = tg_dtype_is_float(t->dtype);
    tg_value *zero = real ? tg_build_float(&at, t, 0.0) : tg_build_int(&at, t, 0);
    tg_set_operand(dot, 0, tg_build_select(&at, here, a, zero));
    tg_drop_mask(dot);
}

/* ---- chunks --------------------------------------------------------------------------------- */

static bool used_once(const tg_op *op) {
    return op == NULL || (op->results[0].uses != NULL && op->results[0].uses->next == NULL);
}

/* The load may be done again, piece by piece, where the dot stands. */
static bool can_move(const side *s, const tg_op *dot) {
    tg_value *span = tg_operand(s->load, s->index);
    if (s->load->parent != dot->parent || !used_once(s->load) || !used_once(s->permute) ||
        !tg_load_is_stable(s->load) || tg_attr_int(s->load, TG_ATTR_MASKED, 0) != 0 ||
        span->def == NULL || span->def->code != TG_OP_SPAN) {
        return false;
    }
    for (int i = 1; i < s->load->n_operands; i++) {
        const tg_type *t = s->load->operands[i].value->type;
        if (t->kind == TG_TY_TILE && t->rank > 0) {
            return false;
        }
    }
    return true;
}

static int64_t bytes_of(const tg_value *v) {
    return tg_type_count(v->type) * tg_place_elem_bytes(v->type->dtype);
}

/* Elements of the contracted axis at a time; the whole axis when it fits or cannot be halved. Where
 * shared memory has banks there is room for a word between the rows that lanes read side by side.
 * As many copies as the loop fetches ahead have room too, unless pieces would become too short for
 * a block's rows to be worth a transfer each.
 */
static int64_t chunk_of(const tg_placer *p, const tg_op *dot, int64_t k) {
    enum { ROW_BYTES = 128 };
    const tg_value *a = dot->operands[0].value;
    int64_t bytes = bytes_of(a) + bytes_of(dot->operands[1].value);
    int64_t chunk = k, rows = tg_type_count(a->type) / tg_max_i64(k, 1);
    int64_t room = p->machine->banks > 0 ? rows * 4 : 0,
            width = tg_place_elem_bytes(a->type->dtype);
    int64_t depth = tg_place_schedule_int(p->f, "stages", tg_max_i64(1, p->machine->stages));
    while (chunk % 2 == 0 && chunk > 8) {
        bool pays = depth > 1 && chunk / 2 * width >= ROW_BYTES;
        if ((bytes + room) * (pays ? depth : 1) <= p->shared_bytes) {
            break;
        }
        chunk /= 2;
        bytes /= 2;
    }
    return chunk;
}

/* The operand for positions lo .. lo + n of the contracted axis. */
static tg_value *piece(tg_builder *b, const side *s, tg_value *lo, int64_t n) {
    tg_op *span = tg_operand(s->load, s->index)->def;
    tg_value *part = tg_build_span(b, lo, tg_operand(span, 1), n);
    tg_value_map *map = tg_value_map_make(b->module->arena);
    tg_value_map_put(map, &span->results[0], part);
    int64_t shape[TG_MAX_RANK];
    const tg_type *t = s->load->results[0].type;
    for (int a = 0; a < t->rank; a++) {
        shape[a] = a == s->axis ? n : t->shape[a];
    }
    tg_op *load = tg_op_clone(s->load, b->region, map);
    if (b->before != NULL) {
        tg_op_unlink(load);
        tg_op_insert_before(b->before, load);
    }
    /* the same span may also index another axis: only this one is cut */
    for (int i = 1; i < load->n_operands; i++) {
        tg_set_operand(load, i, i == s->index ? part : tg_operand(s->load, i));
    }
    load->results[0].type = tg_type_tile(b->module, t->dtype, t->rank, shape);
    if (s->permute == NULL) {
        return &load->results[0];
    }
    return tg_build_permute(b, &load->results[0], tg_attr_get(s->permute, TG_ATTR_AXES)->list);
}

static tg_value *piece_dot(tg_builder *at, tg_op *dot, const side *a, const side *b, tg_value *lo_a,
                           tg_value *lo_b, tg_value *acc, int64_t chunk) {
    tg_value *operands[] = {piece(at, a, lo_a, chunk), piece(at, b, lo_b, chunk), acc};
    const tg_type *type = dot->results[0].type;
    tg_op *part = tg_build_op(at, TG_OP_DOT, 3, operands, 1, &type, 0);
    part->attrs = dot->attrs;
    part->n_attrs = dot->n_attrs;
    return &part->results[0];
}

static tg_value *start_of(const side *s) {
    return tg_operand(tg_operand(s->load, s->index)->def, 0);
}

/* A loop along the contracted axis in blocks of k that does nothing but load and add up: what it
 * carries is the accumulator alone, and nobody else wants its variable. */
static bool is_plain_loop(const tg_op *loop, const tg_op *dot, const side *a, const side *b,
                          int64_t k) {
    const tg_region *body = dot->parent;
    int64_t step;
    if (loop == NULL || loop->code != TG_OP_FOR || body->n_args != 2 ||
        !tg_value_const_int(tg_operand(loop, 2), &step) || step != k ||
        start_of(a) != body->args[0] || start_of(b) != body->args[0] ||
        tg_operand(dot, 2) != body->args[1] || tg_operand(body->last, 0) != &dot->results[0]) {
        return false;
    }
    for (const tg_op *op = body->first; op != NULL; op = op->next) {
        bool own = op == a->load || op == b->load || op == a->permute || op == b->permute ||
                   op == dot || op == body->last || op->code == TG_OP_CONST_INT ||
                   (op->code == TG_OP_SPAN && tg_operand(op, 0) == body->args[0]) ||
                   (op->code == TG_OP_SPAN_MASK && op->results[0].uses == NULL);
        if (!own) {
            return false;
        }
    }
    return used_once(dot) && body->args[1]->uses->next == NULL;
}

static void narrow_loop(tg_op *loop, tg_op *dot, const side *a, const side *b, int64_t chunk) {
    tg_builder before = tg_builder_before(loop), at = tg_builder_before(dot);
    tg_value *lo = dot->parent->args[0];
    before.span = loop->span;
    at.span = dot->span;
    tg_set_operand(loop, 2, tg_build_index(&before, chunk));
    tg_value *acc = piece_dot(&at, dot, a, b, lo, lo, tg_operand(dot, 2), chunk);
    tg_replace_all_uses(&dot->results[0], acc);
    tg_op_erase(dot);
}

static void make_loop(tg_op *dot, const side *a, const side *b, int64_t k, int64_t chunk) {
    tg_builder at = tg_builder_before(dot);
    at.span = dot->span;
    tg_op *span = tg_operand(a->load, a->index)->def;
    tg_value *hi = tg_build_index(&at, k);
    if (tg_operand(b->load, b->index)->def == span) { /* beyond its end both are zero */
        tg_value *left = tg_build_binary(&at, TG_OP_SUB, tg_operand(span, 1), tg_operand(span, 0));
        hi = tg_build_binary(&at, TG_OP_MIN, hi, left);
    }
    tg_value *acc = tg_operand(dot, 2), *iv;
    tg_op *loop =
        tg_build_for(&at, tg_build_index(&at, 0), hi, tg_build_index(&at, chunk), 1, &acc, &iv);
    tg_value *lo_a = tg_build_binary(&at, TG_OP_ADD, start_of(a), iv);
    tg_value *lo_b = tg_build_binary(&at, TG_OP_ADD, start_of(b), iv);
    acc = piece_dot(&at, dot, a, b, lo_a, lo_b, acc, chunk);
    tg_build_end_for(&at, loop, 1, &acc);
    tg_replace_all_uses(&dot->results[0], acc);
    tg_op_erase(dot);
}

static void visit_dot(tg_placer *p, tg_op *dot) {
    int batch = (int)tg_attr_int(dot, TG_ATTR_BATCH, 0);
    side a, b;
    if (!find_side(tg_operand(dot, 1), batch, &b)) {
        return;
    }
    if (!find_side(tg_operand(dot, 0), batch + 1, &a)) {
        move_mask(p, dot, &b);
        return;
    }
    drop_mask(dot, &a, &b);
    int64_t k = tg_operand(dot, 1)->type->shape[batch], chunk = chunk_of(p, dot, k);
    bool one_load = a.load == b.load; /* x @ x.T */
    if (chunk < k && dot->n_operands == 3 && !one_load && can_move(&a, dot) && can_move(&b, dot)) {
        tg_op *loop = dot->parent->parent;
        if (is_plain_loop(loop, dot, &a, &b, k)) {
            narrow_loop(loop, dot, &a, &b, chunk);
        } else {
            make_loop(dot, &a, &b, k, chunk);
        }
    }
}

static void visit_region(tg_placer *p, tg_region *r) {
    for (tg_op *op = r->first, *next; op != NULL; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            visit_region(p, op->regions[i]);
        }
        if (op->code == TG_OP_DOT) {
            visit_dot(p, op);
        }
    }
}

tg_status tg_place_chunk(tg_placer *p) {
    visit_region(p, p->f->body);
    return TG_OK;
}
