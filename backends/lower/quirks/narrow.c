/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stores of 8 and 16 bits where the device would rewrite the whole word: every one becomes a
 * compare-exchange, which also keeps what other lanes put beside it.
 *
 *   storem p, v : u8    ─▶  seen = loadm p
 *                           do { found = atomicm p, v, seen {cas} } while (found != seen)
 *
 *   array u8[n] shared  ─▶  array u32[(n + 3) / 4]
 *                           loads shift and mask, stores exchange words
 *
 * Vectors that cover whole aligned words are left as they are.
 */
#include "backends/lower/quirks/soft.h"

/* More tries than any contention takes. */
enum { MOST_TRIES = 1 << 30 };

static bool is_narrow(const tg_type *t) {
    return (t->kind == TG_TY_TILE || t->kind == TG_TY_VEC) && tg_dtype_bits(t->dtype) <= 16;
}

static int64_t bytes_of(tg_dtype t) { return tg_dtype_bits(t) > 8 ? 2 : 1; }

/* v as the unsigned integer of its bytes. */
static tg_value *carried(const tg_xp *x, tg_value *v) {
    tg_dtype u = bytes_of(v->type->dtype) == 2 ? TG_DT_U16 : TG_DT_U8;
    return v->type->dtype == TG_DT_BOOL ? xcast(x, v, u) : v->type->dtype == u ? v : xbits(x, v, u);
}

static tg_value *lane_of(const tg_xp *x, tg_value *v, int64_t l) {
    return v->type->kind == TG_TY_VEC ? tg_build_extract(x->b, v, l) : v;
}

static int64_t lanes_of(const tg_value *v) {
    return v->type->kind == TG_TY_VEC ? v->type->shape[0] : 1;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* Where an exchange happens: through a pointer, or in an array of words. */
typedef struct place {
    tg_value *ptr;          /* or NULL: */
    tg_value *words, *word; /* array, index */
    tg_value *shift;        /* u32, bits */
    uint32_t mask;          /* of the field, unshifted */
    tg_value *value;        /* ptr: the narrow value; else u32 */
} place;

/* What to put over a place that holds `seen`, and what was found there. */
static tg_value *exchange(const tg_xp *x, const place *p, tg_value *seen) {
    if (p->ptr) {
        tg_value *r = tg_build1(x->b, TG_OP_ATOMICM, seen->type, 3, p->ptr, p->value, seen);
        tg_op_set_int(r->def, TG_ATTR_ATOMIC, TG_ATOMIC_CAS);
        return r;
    }
    tg_value *hole = xbin(x, TG_OP_SHL, xi(x, seen, TG_DT_U32, p->mask), p->shift);
    tg_value *rest = xbin(x, TG_OP_AND, seen, tg_build_unary(x->b, TG_OP_NOT, hole));
    tg_value *want = xbin(x, TG_OP_OR, rest, xbin(x, TG_OP_SHL, p->value, p->shift));
    return tg_build_aatomic(x->b, TG_ATOMIC_CAS, p->words, p->word, want, seen);
}

static void store_by_exchange(const tg_xp *x, const place *p, tg_value *seen) {
    tg_builder *b = x->b;
    tg_value *start[2] = {seen, tg_build_bool(b, true)};
    const tg_type *types[2] = {seen->type, start[1]->type};
    tg_op *w = tg_build_op(b, TG_OP_WHILE, 2, start, 2, types, 2);
    tg_op_set_int(w, TG_ATTR_MAX, MOST_TRIES);
    tg_value *args[3];
    for (int r = 0; r < 2; r++) {
        if (!w->regions[r]) {
            w->regions[r] = tg_region_make(b->func, w);
        }
        tg_builder in = tg_builder_at_end(w->regions[r]);
        tg_xp y = {&in, x->mc};
        in.span = b->span;
        args[1] = tg_region_add_arg(w->regions[r], types[0], NULL);
        args[2] = tg_region_add_arg(w->regions[r], types[1], NULL);
        args[0] = args[2];
        if (r == 1) {
            tg_value *found = exchange(&y, p, args[1]);
            args[2] = xcmp(&y, TG_CMP_NE, found, args[1]);
            args[1] = found;
        }
        tg_build_op(&in, TG_OP_YIELD, r == 0 ? 3 : 2, args + r, 0, NULL, 0);
    }
}

/* Inside `if mask` where there is one. */
static void store_lane(const tg_xp *x, tg_value *ptr, tg_value *v, tg_value *mask) {
    tg_op *branch = mask ? tg_build_if(x->b, mask, 0, NULL) : NULL;
    place p = {.ptr = ptr, .value = v};
    store_by_exchange(x, &p, tg_build_loadm(x->b, v->type, ptr, 0));
    if (branch) {
        tg_build_else(x->b, branch, 0, NULL);
        tg_build_end_if(x->b, branch, 0, NULL);
    }
}

/* ---- device memory --------------------------------------------------------------------------- */

static bool whole_words(const tg_op *op) {
    const tg_value *v = tg_operand(op, 1);
    int64_t bytes = lanes_of(v) * bytes_of(v->type->dtype);
    return op->n_operands == 2 && bytes % 4 == 0 && tg_attr_int(op, TG_ATTR_ALIGN, 1) % 4 == 0;
}

static bool rewrite_store(const tg_xp *x, tg_op *op) {
    bool scatter = op->code == TG_OP_SCATTERM;
    tg_value *v = tg_operand(op, scatter ? 2 : 1);
    if (!is_narrow(v->type) || (!scatter && whole_words(op))) {
        return false;
    }
    int at = scatter ? 3 : 2;
    tg_value *mask = op->n_operands > at ? tg_operand(op, at) : NULL, *u = carried(x, v);
    int64_t bytes = scatter ? tg_attr_int(op, TG_ATTR_BYTES, 1) : bytes_of(v->type->dtype);
    for (int64_t l = 0; l < lanes_of(v); l++) {
        tg_value *index = scatter
                              ? xcast(x, tg_build_extract(x->b, tg_operand(op, 1), l), TG_DT_I64)
                              : tg_build_index(x->b, l);
        tg_value *ptr = tg_build_gep(x->b, tg_operand(op, 0), index, bytes);
        store_lane(x, ptr, lane_of(x, u, l), mask ? lane_of(x, mask, l) : NULL);
    }
    return true;
}

/* ---- shared memory --------------------------------------------------------------------------- */

typedef struct narrow_array {
    const tg_value *old;
    tg_value *words;
    int64_t skew; /* of its first byte in the first word */
    struct narrow_array *next;
} narrow_array;

static const narrow_array *find(const narrow_array *list, const tg_value *array) {
    while (list && list->old != array) {
        list = list->next;
    }
    return list;
}

static narrow_array *widen_arrays(tg_func *f, tg_arena *a) {
    narrow_array *list = NULL;
    for (tg_op *op = f->body->first, *next; op; op = next) {
        next = op->next;
        const tg_type *t = op->n_results ? op->results[0].type : NULL;
        if (op->code != TG_OP_ARRAY || t->space != TG_SPACE_SHARED ||
            tg_dtype_bits(t->dtype) > 16) {
            continue;
        }
        int64_t offset = tg_attr_int(op, TG_ATTR_OFFSET, 0), from = offset / 4 * 4;
        int64_t to = (offset + t->shape[0] * bytes_of(t->dtype) + 3) / 4 * 4;
        tg_builder b = tg_builder_before(op);
        narrow_array *n = TG_NEW(a, narrow_array);
        *n = (narrow_array){.old = &op->results[0], .skew = offset - from, .next = list};
        n->words = tg_build_array(&b, TG_SPACE_SHARED, TG_DT_U32, (to - from) / 4, from,
                                  tg_attr_str(op, TG_ATTR_NAME));
        f->shared_bytes = to > f->shared_bytes ? to : f->shared_bytes;
        list = n;
    }
    return list;
}

/* The lanes write zeros into all words: an exchange must not meet what nobody wrote. */
static void clear_arrays(tg_func *f, const narrow_array *list) {
    tg_op *first = f->body->first;
    while (first && first->code == TG_OP_ARRAY) {
        first = first->next;
    }
    tg_builder b = tg_builder_before(first);
    tg_value *lane = tg_build_cast(&b, f->body->args[2], TG_DT_I64), *zero = NULL;
    for (const narrow_array *n = list; n; n = n->next) {
        tg_value *i, *end = tg_build_index(&b, n->words->type->shape[0]);
        tg_op *loop = tg_build_for(&b, lane, end, tg_build_index(&b, f->lanes), 0, NULL, &i);
        zero = tg_build_int(&b, tg_type_scalar(b.module, TG_DT_U32), 0);
        tg_build_astore(&b, n->words, tg_build_cast(&b, i, TG_DT_I32), zero, 1);
        tg_build_end_for(&b, loop, 0, NULL);
    }
    tg_build_barrier(&b, TG_FENCE_SHARED, 0);
}

/* Element index + l of a narrow array of `bytes`: its word and where in it. */
static void locate(const tg_xp *x, const narrow_array *n, tg_value *index, int64_t l, int64_t bytes,
                   place *out) {
    tg_value *byte = xbini(x, TG_OP_MUL, xbini(x, TG_OP_ADD, index, l), bytes);
    byte = xbini(x, TG_OP_ADD, byte, n->skew);
    out->words = n->words;
    out->word = xbini(x, TG_OP_SHR, byte, 2);
    tg_value *low = xbini(x, TG_OP_AND, byte, 3);
    out->shift = xbits(x, xbini(x, TG_OP_MUL, low, 8), TG_DT_U32);
    out->mask = bytes == 2 ? 0xffff : 0xff;
}

static tg_value *load_lane(const tg_xp *x, const narrow_array *n, const tg_op *op, int64_t l) {
    tg_dtype t = op->results[0].type->dtype;
    place p = {0};
    locate(x, n, tg_operand(op, 1), l, bytes_of(t), &p);
    const tg_type *word = n->words->type;
    tg_value *w =
        tg_build_aload(x->b, tg_type_scalar(x->b->module, word->dtype), p.words, p.word, 1);
    w = xcast(x, xbin(x, TG_OP_SHR, w, p.shift), bytes_of(t) == 2 ? TG_DT_U16 : TG_DT_U8);
    return t == TG_DT_BOOL ? xcast(x, w, t) : w->type->dtype == t ? w : xbits(x, w, t);
}

static bool rewrite_shared(const tg_xp *x, const narrow_array *list, tg_op *op) {
    bool load = op->code == TG_OP_ALOAD, store = op->code == TG_OP_ASTORE;
    const narrow_array *n = load || store ? find(list, tg_operand(op, 0)) : NULL;
    if (!n) {
        return false;
    }
    if (store) {
        tg_value *u = carried(x, tg_operand(op, 2));
        for (int64_t l = 0; l < lanes_of(u); l++) {
            place p = {.value = xcast(x, lane_of(x, u, l), TG_DT_U32)};
            locate(x, n, tg_operand(op, 1), l, bytes_of(u->type->dtype), &p);
            tg_value *zero = xi(x, p.word, TG_DT_U32, 0);
            store_by_exchange(x, &p,
                              tg_build_aatomic(x->b, TG_ATOMIC_ADD, p.words, p.word, zero, NULL));
        }
        return true;
    }
    const tg_type *t = op->results[0].type;
    tg_value *r = load_lane(x, n, op, 0);
    if (t->kind == TG_TY_VEC) {
        r = tg_build_splat(x->b, r, t->shape[0]);
        for (int64_t l = 1; l < t->shape[0]; l++) {
            r = tg_build_insert(x->b, r, load_lane(x, n, op, l), l);
        }
    }
    tg_replace_all_uses(&op->results[0], r);
    return true;
}

static void rewrite(tg_region *r, const narrow_array *arrays) {
    for (tg_op *op = r->first, *next; op; op = next) {
        next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            rewrite(op->regions[i], arrays);
        }
        tg_builder b = tg_builder_before(op);
        tg_xp x = {&b, NULL};
        b.span = op->span;
        bool store = op->code == TG_OP_STOREM || op->code == TG_OP_SCATTERM;
        if (store ? rewrite_store(&x, op) : rewrite_shared(&x, arrays, op)) {
            tg_op_erase(op);
        }
    }
}

/* What reads or writes narrow elements of shared memory all at once, as matrix units and copies do;
 * or NULL. */
static const tg_op *takes_whole(const tg_func *f) {
    for (const tg_op *op = f->body->first; op; op = op->next) {
        const tg_type *t = op->code == TG_OP_ARRAY ? op->results[0].type : NULL;
        bool narrow = t && t->space == TG_SPACE_SHARED && tg_dtype_bits(t->dtype) <= 16;
        for (const tg_use *u = narrow ? op->results[0].uses : NULL; u; u = u->next) {
            if (u->user->code != TG_OP_ALOAD && u->user->code != TG_OP_ASTORE) {
                return u->user;
            }
        }
    }
    return NULL;
}

/* Does nothing but name the op that stands in the way, if there is one; NULL: done. */
const tg_op *tg_narrow_by_words(tg_func *f) {
    const tg_op *whole = takes_whole(f);
    if (whole) {
        return whole;
    }
    narrow_array *arrays = widen_arrays(f, f->module->arena);
    rewrite(f->body, arrays);
    if (arrays) {
        clear_arrays(f, arrays);
    }
    for (narrow_array *n = arrays; n; n = n->next) {
        tg_op_erase(n->old->def);
    }
    return NULL;
}
