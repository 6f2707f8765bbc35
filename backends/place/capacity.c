/* SPDX-License-Identifier: Apache-2.0 */
/*
 * capacity: which bytes every buffer has.
 *
 * Takes a function with layouts. Gives every buffer its `offset`, and the function its shared and
 * scratch bytes. Refuses what the machine cannot hold, where it has no scratch memory, naming
 * values, lines and bytes.
 *
 * Before:
 *   %3 = buffer : buf<shared, f16[64, 32], 1>
 * After:
 *   %3 = buffer {offset = 4096} : buf<shared, f16[64, 32], 1>
 *
 * A buffer is alive from its first access to its last, stretched over loops that begin or end in
 * between. Buffers that are never alive together may share bytes (in shared memory only when their
 * elements are equally wide). They are placed first-fit, largest first. While they do not fit, the
 * one whose leaving costs least goes to scratch memory.
 */
#include "backends/place/walk.h"

typedef struct block {
    tg_op *op;
    tg_region *home; /* encloses all accesses */
    int begin, end;  /* alive */
    int64_t bytes, width, offset, align;
    int64_t traffic; /* bytes accessed, roughly */
    bool placed;
} block;

typedef struct blocks {
    tg_placer *p;
    TG_LIST(block) all;
} blocks;

/* ---- lifetimes ------------------------------------------------------------------------------ */

typedef void access_fn(void *user, tg_op *access);

static void each_access(tg_value *buf, access_fn *fn, void *user) {
    for (tg_use *u = buf->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_WINDOW) {
            each_access(&u->user->results[0], fn, user);
        } else {
            fn(user, u->user);
        }
    }
}

static void find_home(void *user, tg_op *access) {
    block *b = user;
    b->home = b->home == NULL ? access->parent : tg_common_region(b->home, access->parent);
}

static void find_life(void *user, tg_op *access) {
    block *b = user;
    tg_timeline_widen(access, b->home, &b->begin, &b->end);
    int64_t times = 1;
    for (const tg_op *o = access->parent->parent; o != NULL; o = o->parent->parent) {
        /* replicas of a role run apart: what one of them still uses another may be done with; and
         * so do roles, where no ring says when its places are free */
        bool told = b->home->parent == NULL && b->op->results[0].type->depth == 1;
        if (o->code == TG_OP_ROLE && (told || tg_attr_int(o, TG_ATTR_REPLICAS, 1) > 1)) {
            b->begin = (int)tg_min_i64(b->begin, tg_moment_of(o)->begin);
            b->end = (int)tg_max_i64(b->end, tg_moment_of(o)->end);
        }
        times *= (o->code == TG_OP_FOR || o->code == TG_OP_WHILE) && times < 4096 ? 8 : 1;
    }
    b->traffic += times * b->bytes;
}

/* A ring whose loop has not been rewritten yet: it will be filled in front of the loop. */
static bool is_planned(const tg_op *buffer) {
    for (const tg_use *u = buffer->results[0].uses; u != NULL; u = u->next) {
        if (tg_attr_int(u->user, TG_ATTR_RING, 0) != 0) {
            return false;
        }
    }
    return buffer->results[0].type->depth > 1;
}

static void collect(blocks *s) {
    for (tg_op *op = s->p->f->body->first; op != NULL; op = op->next) {
        if (op->code != TG_OP_BUFFER) {
            continue;
        }
        const tg_type *t = op->results[0].type;
        block b = {.op = op,
                   .begin = INT32_MAX,
                   .end = -1,
                   .bytes = tg_place_buffer_bytes(t),
                   .align = tg_max_i64(tg_place_buffer_align(t), tg_attr_int(op, TG_ATTR_ALIGN, 1)),
                   .width = tg_place_elem_bytes(t->dtype)};
        each_access(&op->results[0], find_home, &b);
        if (is_planned(op) && b.home != NULL && b.home->parent != NULL) {
            b.home = b.home->parent->parent;
        }
        each_access(&op->results[0], find_life, &b);
        TG_LIST_PUSH(s->p->arena, &s->all, b);
    }
}

/* ---- offsets -------------------------------------------------------------------------------- */

static bool may_share(const block *a, const block *b, tg_space space) {
    bool apart = a->end < b->begin || b->end < a->begin;
    return apart && (space != TG_SPACE_SHARED || a->width == b->width);
}

static tg_space space_of(const block *b) { return b->op->results[0].type->space; }

/* First offset at which b meets none of the placed blocks that it may not share with. */
static int64_t first_fit(const blocks *s, const block *b) {
    int64_t offset = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < s->all.count; i++) {
            const block *o = &s->all.data[i];
            if (o->placed && space_of(o) == space_of(b) && !may_share(o, b, space_of(b)) &&
                offset < o->offset + o->bytes && o->offset < offset + b->bytes) {
                offset = tg_round_up_i64(o->offset + o->bytes, b->align);
                moved = true;
            }
        }
    }
    return offset;
}

static block *largest(blocks *s, tg_space space, bool placed) {
    block *best = NULL;
    for (size_t i = 0; i < s->all.count; i++) {
        block *b = &s->all.data[i];
        if (b->placed == placed && space_of(b) == space &&
            (best == NULL || b->bytes > best->bytes)) {
            best = b;
        }
    }
    return best;
}

/* Places the blocks of a space; the bytes they need. */
static int64_t place_space(blocks *s, tg_space space) {
    int64_t need = 0;
    for (size_t i = 0; i < s->all.count; i++) {
        s->all.data[i].placed &= space_of(&s->all.data[i]) != space;
    }
    for (block *b = largest(s, space, false); b != NULL; b = largest(s, space, false)) {
        b->offset = first_fit(s, b);
        b->placed = true;
        need = tg_max_i64(need, b->offset + b->bytes);
    }
    return tg_round_up_i64(need, 16);
}

static void set_space(tg_placer *p, tg_value *buf, tg_space space) {
    const tg_type *t = buf->type;
    buf->type = tg_type_buffer(p->m, space, t->dtype, t->rank, t->shape, t->depth, t->layout);
    for (tg_use *u = buf->uses; u != NULL; u = u->next) {
        if (u->user->code == TG_OP_WINDOW) {
            set_space(p, &u->user->results[0], space);
        }
    }
}

/*
 * The block whose leaving helps most: of those after which the rest fits, the one with the least
 * traffic (bytes times accesses, those in loops counted more); else the largest.
 */
static block *choose_to_leave(blocks *s) {
    block *best = NULL;
    for (size_t i = 0; i < s->all.count; i++) {
        block *b = &s->all.data[i];
        if (space_of(b) != TG_SPACE_SHARED) {
            continue;
        }
        set_space(s->p, &b->op->results[0], TG_SPACE_SCRATCH);
        bool fits = place_space(s, TG_SPACE_SHARED) <= s->p->shared_bytes;
        set_space(s->p, &b->op->results[0], TG_SPACE_SHARED);
        if (fits && (best == NULL || b->traffic < best->traffic)) {
            best = b;
        }
    }
    (void)place_space(s, TG_SPACE_SHARED);
    return best != NULL ? best : largest(s, TG_SPACE_SHARED, true);
}

/* ---- too much ------------------------------------------------------------------------------- */

static block *largest_of_all(blocks *s, int64_t below, const block *after) {
    block *best = NULL;
    for (size_t i = 0; i < s->all.count; i++) {
        block *b = &s->all.data[i];
        bool later = b->bytes < below || (b->bytes == below && b > after);
        if (later && (best == NULL || b->bytes > best->bytes)) {
            best = b;
        }
    }
    return best;
}

/* One value: its line and bytes, and the extent at which all would fit if they shrank alike. */
static void note_block(blocks *s, tg_diag *d, const block *b, int64_t need, int64_t have) {
    const tg_type *t = b->op->results[0].type;
    int axis = 0;
    tg_sb sb;
    tg_sb_init(&sb, s->p->arena);
    tg_type_print(&sb, tg_type_tile(s->p->m, t->dtype, t->rank, t->shape), s->p->f);
    for (int a = 1; a < t->rank; a++) {
        axis = t->shape[a] > t->shape[axis] ? a : axis;
    }
    int64_t fits =
        t->rank == 0 ? 0 : (int64_t)((double)t->shape[axis] * (double)have / (double)need);
    if (fits > 0) {
        tg_note_add(s->p->sink, d, b->op->span,
                    "%lld bytes hold this %s; an extent of %lld instead of %lld would fit",
                    (long long)b->bytes, sb.data, (long long)fits, (long long)t->shape[axis]);
    } else {
        tg_note_add(s->p->sink, d, b->op->span, "%lld bytes hold this %s", (long long)b->bytes,
                    sb.data);
    }
}

static tg_status refuse(blocks *s, int64_t need, int64_t have, const char *what) {
    tg_diag *d =
        tg_error(s->p->sink, TG_D_CAPACITY, s->p->f->span,
                 "kernel %s needs %lld bytes of %s memory a program; %s has %lld", s->p->f->name,
                 (long long)need, what, s->p->machine->name, (long long)have);
    block *b = largest_of_all(s, INT64_MAX, NULL);
    for (int i = 0; i < 8 && b != NULL; i++) {
        note_block(s, d, b, need, have);
        b = largest_of_all(s, b->bytes, b);
    }
    return TG_E_UNSUPPORTED;
}

/* ---- the pass ------------------------------------------------------------------------------- */

/* Buffers leave shared memory until the rest fits; the bytes it takes. */
static int64_t make_room(blocks *s, int64_t need) {
    tg_placer *p = s->p;
    while (need > p->shared_bytes) {
        block *b = choose_to_leave(s);
        if (b == NULL) {
            break;
        }
        tg_report(p->sink, TG_SEV_REMARK, TG_D_CAPACITY, b->op->span,
                  "%lld bytes of this value are kept in device memory: %s has %lld bytes of shared "
                  "memory",
                  (long long)b->bytes, p->machine->name, (long long)p->shared_bytes);
        set_space(p, &b->op->results[0], TG_SPACE_SCRATCH);
        need = place_space(s, TG_SPACE_SHARED);
    }
    return need;
}

int64_t tg_place_shared_need(tg_placer *p) {
    blocks s = {.p = p};
    tg_timeline t;
    tg_timeline_make(&t, p->f, p->arena);
    collect(&s);
    tg_timeline_clear(p->f);
    return place_space(&s, TG_SPACE_SHARED);
}

tg_status tg_place_capacity(tg_placer *p) {
    blocks s = {.p = p};
    tg_timeline t;
    tg_timeline_make(&t, p->f, p->arena);
    collect(&s);
    tg_timeline_clear(p->f);
    int64_t need = place_space(&s, TG_SPACE_SHARED), most = p->machine->scratch_bytes;
    if (need > p->shared_bytes && most == 0) {
        return refuse(&s, need, p->shared_bytes, "shared");
    }
    need = make_room(&s, need);
    int64_t scratch = place_space(&s, TG_SPACE_SCRATCH);
    if (scratch > most) {
        return refuse(&s, scratch, most, "device");
    }
    for (size_t i = 0; i < s.all.count; i++) {
        tg_op_set_int(s.all.data[i].op, TG_ATTR_OFFSET, s.all.data[i].offset);
    }
    p->f->shared_bytes = need;
    p->f->scratch_bytes = scratch;
    return TG_OK;
}
