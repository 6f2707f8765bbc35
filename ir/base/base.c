/* SPDX-License-Identifier: Apache-2.0 */
/* Environment, arenas, string builder, interner, checked math: see base.h. */
#include "ir/base/base.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- environment ---------------------------------------------------------------------------- */

static void *libc_alloc(void *user, void *ptr, size_t old_bytes, size_t new_bytes) {
    (void)user;
    (void)old_bytes;
    if (new_bytes == 0) {
        free(ptr);
        return NULL;
    }
    return realloc(ptr, new_bytes);
}

tg_allocator tg_allocator_default(void) { return (tg_allocator){.fn = libc_alloc, .user = NULL}; }

void tg_env_init(tg_env *env, tg_allocator alloc, size_t limit_bytes) {
    *env = (tg_env){.alloc = alloc, .limit_bytes = limit_bytes};
}

/* ---- arena ---------------------------------------------------------------------------------- */

typedef struct tg_arena_block {
    struct tg_arena_block *next;
    size_t bytes; /* of the whole block, header included */
} tg_arena_block;

enum { ARENA_ALIGN = 16, ARENA_FIRST_BYTES = 16 << 10, ARENA_MAX_BYTES = 1 << 20 };

static size_t align_up(size_t n) { return (n + (ARENA_ALIGN - 1)) & ~(size_t)(ARENA_ALIGN - 1); }

void tg_arena_init(tg_arena *a, tg_env *env) { *a = (tg_arena){.env = env}; }

void tg_arena_fini(tg_arena *a) {
    for (tg_arena_block *b = a->head; b != NULL;) {
        tg_arena_block *next = b->next;
        a->env->used_bytes -= b->bytes;
        a->env->alloc.fn(a->env->alloc.user, b, b->bytes, 0);
        b = next;
    }
    *a = (tg_arena){.env = a->env};
}

static void out_of_memory(tg_env *env) { longjmp(*env->oom, 1); }

/* Adds a block with room for `bytes` more; the rest of the old block is given up. */
static void arena_grow(tg_arena *a, size_t bytes) {
    tg_env *env = a->env;
    size_t want = a->head != NULL ? a->head->bytes * 2 : ARENA_FIRST_BYTES;
    size_t need;
    if (want > ARENA_MAX_BYTES) {
        want = ARENA_MAX_BYTES;
    }
    if (!tg_add_size(bytes, align_up(sizeof(tg_arena_block)), &need)) {
        out_of_memory(env);
    }
    if (want < need) {
        want = need;
    }
    if (env->limit_bytes != 0 && want > env->limit_bytes - env->used_bytes) {
        want = need;
        if (want > env->limit_bytes - env->used_bytes) {
            out_of_memory(env);
        }
    }
    tg_arena_block *b = env->alloc.fn(env->alloc.user, NULL, 0, want);
    if (b == NULL) {
        out_of_memory(env);
    }
    env->used_bytes += want;
    *b = (tg_arena_block){.next = a->head, .bytes = want};
    a->head = b;
    a->next = (char *)b + align_up(sizeof(tg_arena_block));
    a->end = (char *)b + want;
}

void *tg_arena_alloc(tg_arena *a, size_t bytes) {
    if (bytes > SIZE_MAX / 2) {
        out_of_memory(a->env);
    }
    size_t n = align_up(bytes == 0 ? 1 : bytes);
    if (a->next == NULL || n > (size_t)(a->end - a->next)) {
        arena_grow(a, n);
    }
    void *p = a->next;
    a->next += n;
    return memset(p, 0, n);
}

void *tg_arena_array(tg_arena *a, size_t count, size_t elem_bytes) {
    size_t bytes;
    if (!tg_mul_size(count, elem_bytes, &bytes)) {
        out_of_memory(a->env);
    }
    return tg_arena_alloc(a, bytes);
}

char *tg_arena_strndup(tg_arena *a, const char *s, size_t len) {
    char *p = tg_arena_alloc(a, len + 1);
    if (len != 0) {
        memcpy(p, s, len);
    }
    return p;
}

char *tg_arena_strdup(tg_arena *a, const char *s) { return tg_arena_strndup(a, s, strlen(s)); }

char *tg_arena_printf(tg_arena *a, const char *fmt, ...) {
    tg_sb sb;
    tg_sb_init(&sb, a);
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    return sb.data;
}

/* One step of a path behind the first n characters of out; the new length. A step up takes the last
 * step away, unless that is one up itself or there is none. */
static size_t path_step(char *out, size_t n, const char *step, size_t len) {
    if (len == 0 || (len == 1 && step[0] == '.')) {
        return n;
    }
    size_t last = n;
    while (last > 0 && out[last - 1] != '/') {
        last--;
    }
    bool up = len == 2 && memcmp(step, "..", 2) == 0;
    bool last_up = n - last == 2 && memcmp(out + last, "..", 2) == 0;
    if (up && n > last && !last_up) {
        return last > 1 ? last - 1 : last;
    }
    if (n > 0 && out[n - 1] != '/') {
        out[n++] = '/';
    }
    memcpy(out + n, step, len);
    return n + len;
}

char *tg_path_beside(tg_arena *a, const char *from, const char *path) {
    const char *slash = path[0] == '/' ? NULL : strrchr(from, '/');
    int dir = slash == NULL ? 0 : (int)(slash - from) + 1;
    char *full = tg_arena_printf(a, "%.*s%s", dir, from, path), *out = tg_arena_strdup(a, full);
    size_t n = full[0] == '/' ? 1 : 0;
    for (const char *step = full, *end; *step != '\0'; step = *end == '/' ? end + 1 : end) {
        end = strchr(step, '/') != NULL ? strchr(step, '/') : step + strlen(step);
        n = path_step(out, n, step, (size_t)(end - step));
    }
    out[n] = '\0';
    return out;
}

void *tg_list_grow(tg_arena *a, const void *data, size_t count, size_t *cap, size_t elem_bytes) {
    size_t want = *cap == 0 ? 8 : *cap * 2;
    void *p = tg_arena_array(a, want, elem_bytes);
    if (count != 0) {
        memcpy(p, data, count * elem_bytes);
    }
    *cap = want;
    return p;
}

/* ---- strings -------------------------------------------------------------------------------- */

static void sb_reserve(tg_sb *sb, size_t more) {
    size_t need;
    if (!tg_add_size(sb->len, more, &need) || !tg_add_size(need, 1, &need)) {
        out_of_memory(sb->arena->env);
    }
    if (need <= sb->cap) {
        return;
    }
    size_t cap = sb->cap * 2 > need ? sb->cap * 2 : need;
    char *p = tg_arena_alloc(sb->arena, cap);
    memcpy(p, sb->data, sb->len);
    sb->data = p;
    sb->cap = cap;
}

void tg_sb_init(tg_sb *sb, tg_arena *a) {
    *sb = (tg_sb){.arena = a, .data = tg_arena_alloc(a, 64), .cap = 64};
}

void tg_sb_addn(tg_sb *sb, const char *s, size_t n) {
    sb_reserve(sb, n);
    if (n != 0) {
        memcpy(sb->data + sb->len, s, n);
    }
    sb->len += n;
    sb->data[sb->len] = '\0';
}

void tg_sb_add(tg_sb *sb, const char *s) { tg_sb_addn(sb, s, strlen(s)); }

void tg_sb_addc(tg_sb *sb, char c) { tg_sb_addn(sb, &c, 1); }

void tg_sb_addv(tg_sb *sb, const char *fmt, va_list ap) {
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    if (n > 0) {
        sb_reserve(sb, (size_t)n);
        (void)vsnprintf(sb->data + sb->len, (size_t)n + 1, fmt, again);
        sb->len += (size_t)n;
    }
    va_end(again);
}

void tg_sb_addf(tg_sb *sb, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(sb, fmt, ap);
    va_end(ap);
}

void tg_sb_add_double(tg_sb *sb, double v) {
    if (isnan(v)) {
        tg_sb_add(sb, "nan");
        return;
    }
    if (isinf(v)) {
        tg_sb_add(sb, v < 0 ? "-inf" : "inf");
        return;
    }
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, v);
        if (strtod(text, NULL) == v) {
            break;
        }
    }
    tg_sb_add(sb, text);
    if (strpbrk(text, ".e") == NULL) {
        tg_sb_add(sb, ".0");
    }
}

void tg_strtab_init(tg_strtab *t, tg_arena *a) { *t = (tg_strtab){.arena = a}; }

uint64_t tg_hash_bytes(const void *data, size_t n, uint64_t seed) {
    const unsigned char *p = data;
    uint64_t h = seed ^ 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * 0x100000001b3u;
    }
    return h ^ (h >> 29);
}

static void strtab_grow(tg_strtab *t) {
    size_t cap = t->cap == 0 ? 64 : t->cap * 2;
    const char **slots = TG_NEW_ARRAY(t->arena, const char *, cap);
    for (size_t i = 0; i < t->cap; i++) {
        if (t->slots[i] == NULL) {
            continue;
        }
        size_t at = (size_t)tg_hash_bytes(t->slots[i], strlen(t->slots[i]), 0) & (cap - 1);
        while (slots[at] != NULL) {
            at = (at + 1) & (cap - 1);
        }
        slots[at] = t->slots[i];
    }
    t->slots = slots;
    t->cap = cap;
}

const char *tg_intern(tg_strtab *t, const char *s, size_t len) {
    if (t->count * 2 >= t->cap) {
        strtab_grow(t);
    }
    size_t at = (size_t)tg_hash_bytes(s, len, 0) & (t->cap - 1);
    for (; t->slots[at] != NULL; at = (at + 1) & (t->cap - 1)) {
        if (strncmp(t->slots[at], s, len) == 0 && t->slots[at][len] == '\0') {
            return t->slots[at];
        }
    }
    t->slots[at] = tg_arena_strndup(t->arena, s, len);
    t->count++;
    return t->slots[at];
}

/* ---- checked math --------------------------------------------------------------------------- */

bool tg_add_i64(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

bool tg_sub_i64(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_sub_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

bool tg_mul_i64(int64_t a, int64_t b, int64_t *out) {
    int64_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

bool tg_add_size(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_add_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

bool tg_mul_size(size_t a, size_t b, size_t *out) {
    size_t r;
    if (__builtin_mul_overflow(a, b, &r)) {
        return false;
    }
    *out = r;
    return true;
}

int64_t tg_div_i64(int64_t a, int64_t b) {
    if (b == 0) {
        return 0;
    }
    return b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

int64_t tg_mod_i64(int64_t a, int64_t b) {
    if (b == 0) {
        return a;
    }
    return b == -1 ? 0 : a % b;
}

int64_t tg_cdiv_i64(int64_t a, int64_t b) {
    int64_t q = tg_div_i64(a, b);
    return b > 0 && a > 0 && tg_mod_i64(a, b) != 0 ? q + 1 : q;
}

int64_t tg_gcd_i64(int64_t a, int64_t b) {
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    while (b != 0) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}
