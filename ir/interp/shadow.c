/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Race detection: for every element of a written parameter, which program wrote it and which read
 * it. Elements live in pages found by a hash table, so only what is touched costs memory.
 * Parameters that may share memory (`alias`) share one key space, in units of half a byte, and so
 * do the fields of a record; the others count elements.
 */
#include <string.h>

#include "ir/interp/internal.h"

enum { PAGE_LOG2 = 9, PAGE_SLOTS = 1 << PAGE_LOG2 };

/* Programs are stored as index + 1; 0 none. MANY: several readers, or atomics of several programs.
 */
#define MANY INT64_MAX

typedef struct slot {
    int64_t writer, reader;
    uint32_t store_id; /* the last executed store that wrote it */
    bool atomic;       /* the writes were atomic */
} slot;

typedef struct page {
    uint64_t key;
    int space;
    slot slots[PAGE_SLOTS];
} page;

typedef struct space {
    bool watched;
    int id;
    int unit_log2; /* bytes per slot, as a shift; -1: half bytes */
} space;

struct tg_shadow {
    tg_arena *arena;
    space *spaces; /* by parameter */
    page **table;
    size_t count, cap;
    page *last;
};

static int unit_log2(const tg_param *p, bool shared) {
    int bits = tg_dtype_bits(p->type->dtype);
    if (shared || bits == 0) {
        return -1; /* two elements of a sub-byte field share a byte */
    }
    return bits == 4 ? -1 : bits == 8 ? 0 : bits == 16 ? 1 : bits == 32 ? 2 : 3;
}

tg_shadow *tg_shadow_make(tg_arena *a, const tg_func *f, const tg_iv_tensor *const *tensors,
                          const bool *written) {
    tg_shadow *s = TG_NEW(a, tg_shadow);
    bool alias_written = false;
    s->arena = a;
    s->spaces = TG_NEW_ARRAY(a, space, f->n_params + 1);
    for (int p = 0; p < f->n_params; p++) {
        alias_written |= written[p] && (f->params[p].flags & TG_PARAM_ALIAS);
    }
    for (int p = 0; p < f->n_params; p++) {
        bool shared = (f->params[p].flags & TG_PARAM_ALIAS) != 0;
        s->spaces[p].watched = tensors[p] != NULL && (written[p] || (shared && alias_written));
        s->spaces[p].id = shared ? f->n_params : p;
        s->spaces[p].unit_log2 = unit_log2(&f->params[p], shared);
    }
    s->cap = 256;
    s->table = TG_NEW_ARRAY(a, page *, s->cap);
    return s;
}

bool tg_shadow_watches(const tg_shadow *s, int param) {
    return s != NULL && s->spaces[param].watched;
}

static size_t page_hash(uint64_t key, int sp) {
    uint64_t h = (key + (uint64_t)sp * 0x9E3779B97F4A7C15u) * 0xD6E8FEB86659FD93u;
    return (size_t)(h ^ h >> 32);
}

static void insert_page(page **table, size_t cap, page *p) {
    size_t i = page_hash(p->key, p->space) & (cap - 1);
    while (table[i] != NULL) {
        i = (i + 1) & (cap - 1);
    }
    table[i] = p;
}

static page *find_page(tg_shadow *s, uint64_t key, int sp) {
    if (s->last != NULL && s->last->key == key && s->last->space == sp) {
        return s->last;
    }
    for (size_t i = page_hash(key, sp) & (s->cap - 1); s->table[i] != NULL;
         i = (i + 1) & (s->cap - 1)) {
        if (s->table[i]->key == key && s->table[i]->space == sp) {
            return s->last = s->table[i];
        }
    }
    if (s->count * 2 >= s->cap) {
        page **bigger = TG_NEW_ARRAY(s->arena, page *, s->cap * 2);
        for (size_t i = 0; i < s->cap; i++) {
            if (s->table[i] != NULL) {
                insert_page(bigger, s->cap * 2, s->table[i]);
            }
        }
        s->table = bigger;
        s->cap *= 2;
    }
    page *p = TG_NEW(s->arena, page);
    p->key = key;
    p->space = sp;
    insert_page(s->table, s->cap, p);
    s->count++;
    return s->last = p;
}

static bool others(int64_t mark, int64_t me) { return mark != 0 && mark != me; }

static tg_race touch_read(slot *e, int64_t me, int64_t *out_other) {
    if (others(e->writer, me)) {
        *out_other = e->writer;
        return TG_RACE_READ;
    }
    e->reader = e->reader == 0 || e->reader == me ? me : MANY;
    return TG_RACE_NONE;
}

static tg_race touch_write(slot *e, bool atomic, int64_t me, uint32_t store_id,
                           int64_t *out_other) {
    bool both_atomic = atomic && (e->atomic || e->writer == 0);
    tg_race race = TG_RACE_NONE;
    if (others(e->writer, me) && !both_atomic) {
        *out_other = e->writer;
        race = TG_RACE_WRITES;
    } else if (others(e->reader, me)) {
        *out_other = e->reader;
        race = TG_RACE_READ;
    } else if (!atomic && e->writer == me && e->store_id == store_id) {
        *out_other = me;
        race = TG_RACE_TWICE;
    }
    e->atomic = both_atomic;
    e->writer = e->writer == 0 || e->writer == me ? me : both_atomic ? MANY : me;
    e->store_id = store_id;
    return race;
}

tg_race tg_shadow_touch(tg_shadow *s, const tg_iv_tensor *t, const char *addr, bool nibble,
                        tg_access access, int64_t program, uint32_t store_id, int64_t *out_other) {
    const space *sp = &s->spaces[t->param];
    uint64_t a = (uint64_t)(uintptr_t)addr;
    uint64_t unit = sp->unit_log2 < 0 ? a * 2 + nibble : a >> sp->unit_log2;
    page *p = find_page(s, unit >> PAGE_LOG2, sp->id);
    slot *e = &p->slots[unit & (PAGE_SLOTS - 1)];
    int64_t other = 0;
    tg_race race = access == TG_ACCESS_READ
                       ? touch_read(e, program + 1, &other)
                       : touch_write(e, access == TG_ACCESS_ATOMIC, program + 1, store_id, &other);
    *out_other = other == MANY ? -1 : other - 1;
    return race;
}
