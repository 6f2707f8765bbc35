/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one way to read bytes of a package: a cursor that cannot leave its range. Reading past the
 * end sets `bad`, which sticks, and yields zeros; callers check it once per item.
 */
#ifndef TGR_CURSOR_H
#define TGR_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct tgr_cursor {
    const uint8_t *begin, *next, *end;
    bool bad;
} tgr_cursor;

static inline tgr_cursor tgr_cursor_make(const void *bytes, size_t n) {
    const uint8_t *p = bytes; /* NULL for an empty section: no arithmetic on it then */
    return (tgr_cursor){.begin = p, .next = p, .end = n > 0 ? p + n : p, .bad = false};
}

static inline size_t tgr_cursor_left(const tgr_cursor *c) { return (size_t)(c->end - c->next); }
static inline size_t tgr_cursor_at(const tgr_cursor *c) { return (size_t)(c->next - c->begin); }

/* The next n bytes, or NULL and bad. */
static inline const uint8_t *tgr_cursor_bytes(tgr_cursor *c, size_t n) {
    if (c->bad || n > tgr_cursor_left(c)) {
        c->bad = true;
        return NULL;
    }
    const uint8_t *p = c->next;
    c->next += n;
    return p;
}

static inline uint64_t tgr_cursor_uint(tgr_cursor *c, size_t n) {
    const uint8_t *p = tgr_cursor_bytes(c, n);
    uint64_t v = 0;
    for (size_t i = n; p && i > 0; i--) {
        v = v << 8 | p[i - 1];
    }
    return v;
}

static inline uint8_t tgr_cursor_u8(tgr_cursor *c) { return (uint8_t)tgr_cursor_uint(c, 1); }
static inline uint16_t tgr_cursor_u16(tgr_cursor *c) { return (uint16_t)tgr_cursor_uint(c, 2); }
static inline uint32_t tgr_cursor_u32(tgr_cursor *c) { return (uint32_t)tgr_cursor_uint(c, 4); }
static inline uint64_t tgr_cursor_u64(tgr_cursor *c) { return tgr_cursor_uint(c, 8); }

/* A count of items that take at least item_bytes each: never more than what is left can hold. */
static inline uint32_t tgr_cursor_count(tgr_cursor *c, size_t item_bytes, uint32_t max) {
    uint32_t n = tgr_cursor_u32(c);
    if (n > max || n > tgr_cursor_left(c) / item_bytes) {
        c->bad = true;
        return 0;
    }
    return n;
}

#endif
