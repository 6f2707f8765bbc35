/* SPDX-License-Identifier: Apache-2.0 */
/* The cell stack: chunks that stay for reuse when the stack is cut back. See internal.h. */
#include "ir/interp/internal.h"

enum { CHUNK_MIN_BYTES = 1 << 18, CHUNK_MAX_BYTES = 1 << 26, CELL_ALIGN = 16 };

static tg_chunk *chunk_make(tg_arena *a, size_t bytes) {
    tg_chunk *c = TG_NEW(a, tg_chunk);
    c->cap = bytes;
    c->data = tg_arena_alloc(a, bytes);
    return c;
}

void tg_stack_init(tg_cell_stack *s, tg_arena *a) {
    *s = (tg_cell_stack){.arena = a, .first = chunk_make(a, CHUNK_MIN_BYTES)};
    s->current = s->first;
}

void *tg_stack_alloc(tg_cell_stack *s, size_t bytes) {
    if (bytes > SIZE_MAX / 2) {
        return tg_arena_alloc(s->arena, bytes); /* leaves through the out-of-memory exit */
    }
    size_t need = (bytes + CELL_ALIGN) / CELL_ALIGN * CELL_ALIGN;
    while (s->current->cap - s->used < need) {
        tg_chunk *next = s->current->next;
        if (next == NULL || next->cap < need) {
            size_t cap = s->current->cap * 2;
            cap = cap > CHUNK_MAX_BYTES ? CHUNK_MAX_BYTES : cap;
            tg_chunk *c = chunk_make(s->arena, cap < need ? need : cap);
            c->next = next;
            s->current->next = c;
            next = c;
        }
        s->current = next;
        s->used = 0;
    }
    void *p = s->current->data + s->used;
    s->used += need;
    return p;
}

tg_stack_mark tg_stack_get_mark(const tg_cell_stack *s) {
    return (tg_stack_mark){.chunk = s->current, .used = s->used};
}

void tg_stack_release(tg_cell_stack *s, tg_stack_mark m) {
    s->current = m.chunk;
    s->used = m.used;
}
