/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor every compiler room stands on: status codes, the compile environment (allocator, memory
 * limit, out-of-memory exit), arenas, string builder, interned strings, checked integer math.
 *
 * Memory: every compiler object lives in an arena of the environment and is freed with it. Arena
 * allocation never returns NULL: when the allocator or the limit refuses, control leaves through
 * tg_env.oom (longjmp), which each public entry point sets with TG_ENV_GUARD, and that entry point
 * returns TG_E_NOMEM. Nothing between the two may own memory outside an arena.
 */
#ifndef TG_BASE_H
#define TG_BASE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define TG_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define TG_MUST_USE __attribute__((warn_unused_result))
#define TG_NOT_NULL __attribute__((returns_nonnull))
#else
#define TG_PRINTF(fmt, args)
#define TG_MUST_USE
#define TG_NOT_NULL
#endif

#define TG_COUNT_OF(a) (sizeof(a) / sizeof((a)[0]))

typedef enum tg_status {
    TG_OK = 0,
    TG_E_NOMEM,       /* allocator or memory limit refused */
    TG_E_SOURCE,      /* the program is wrong; diagnostics were reported */
    TG_E_UNSUPPORTED, /* right, but this target cannot do it; a diagnostic says what */
    TG_E_IO,          /* a file could not be read or written */
    TG_E_FORMAT,      /* a file's bytes are not what they should be */
    TG_E_INVALID,     /* bad argument of an API call */
    TG_E_INTERNAL     /* our own bug, caught */
} tg_status;

/* Caller-supplied allocator. realloc semantics: ptr NULL allocates, new_bytes 0 frees. */
typedef struct tg_allocator {
    void *(*fn)(void *user, void *ptr, size_t old_bytes, size_t new_bytes);
    void *user;
} tg_allocator;

/* The C library's allocator. */
tg_allocator tg_allocator_default(void);

typedef struct tg_env {
    tg_allocator alloc;
    size_t limit_bytes; /* 0: none */
    size_t used_bytes;
    jmp_buf *oom; /* where arena allocation leaves to; must be set before the first allocation */
} tg_env;

/* `if (TG_ENV_GUARD(env, buf)) return TG_E_NOMEM;` with `jmp_buf buf` in the calling frame. */
#define TG_ENV_GUARD(env, buf) ((env)->oom = &(buf), setjmp(buf) != 0)

void tg_env_init(tg_env *env, tg_allocator alloc, size_t limit_bytes);

/* ---- arena ---------------------------------------------------------------------------------- */

typedef struct tg_arena {
    tg_env *env;
    struct tg_arena_block *head;
    char *next, *end;
} tg_arena;

void tg_arena_init(tg_arena *a, tg_env *env);
void tg_arena_fini(tg_arena *a); /* frees all blocks; the arena may be used again */
/* Zeroed memory, 16-byte aligned. Never NULL; see the file comment. */
void *tg_arena_alloc(tg_arena *a, size_t bytes) TG_NOT_NULL;
void *tg_arena_array(tg_arena *a, size_t count,
                     size_t elem_bytes) TG_NOT_NULL; /* checked product */
char *tg_arena_strndup(tg_arena *a, const char *s, size_t len);
char *tg_arena_strdup(tg_arena *a, const char *s);
char *tg_arena_printf(tg_arena *a, const char *fmt, ...) TG_PRINTF(2, 3);
/* The file that the file `from` calls `path`: beside it, with steps `.` and `x/..` taken out. */
char *tg_path_beside(tg_arena *a, const char *from, const char *path);

#define TG_NEW(arena, type) ((type *)tg_arena_alloc((arena), sizeof(type)))
#define TG_NEW_ARRAY(arena, type, n) ((type *)tg_arena_array((arena), (size_t)(n), sizeof(type)))

/*
 * Growing array in an arena: `struct { T *data; size_t count, cap; }`. The old storage stays in the
 * arena when it grows.
 */
#define TG_LIST(T)                                                                                 \
    struct {                                                                                       \
        T *data;                                                                                   \
        size_t count, cap;                                                                         \
    }
#define TG_LIST_PUSH(arena, list, ...)                                                             \
    do {                                                                                           \
        if ((list)->count == (list)->cap) {                                                        \
            (list)->data = tg_list_grow((arena), (list)->data, (list)->count, &(list)->cap,        \
                                        sizeof((list)->data[0]));                                  \
        }                                                                                          \
        (list)->data[(list)->count++] = __VA_ARGS__;                                               \
    } while (0)
void *tg_list_grow(tg_arena *a, const void *data, size_t count, size_t *cap,
                   size_t elem_bytes) TG_NOT_NULL;

/* ---- strings -------------------------------------------------------------------------------- */

/* Growing text in an arena; always NUL-terminated. */
typedef struct tg_sb {
    tg_arena *arena;
    char *data;
    size_t len, cap;
} tg_sb;

void tg_sb_init(tg_sb *sb, tg_arena *a);
void tg_sb_add(tg_sb *sb, const char *s);
void tg_sb_addn(tg_sb *sb, const char *s, size_t n);
void tg_sb_addc(tg_sb *sb, char c);
void tg_sb_addf(tg_sb *sb, const char *fmt, ...) TG_PRINTF(2, 3);
void tg_sb_addv(tg_sb *sb, const char *fmt, va_list ap);
/* Shortest decimal that reads back as the same double; inf, -inf, nan for those. */
void tg_sb_add_double(tg_sb *sb, double v);

/* String interner: equal texts give equal pointers. */
typedef struct tg_strtab {
    tg_arena *arena;
    const char **slots;
    size_t count, cap;
} tg_strtab;
void tg_strtab_init(tg_strtab *t, tg_arena *a);
const char *tg_intern(tg_strtab *t, const char *s, size_t len);

uint64_t tg_hash_bytes(const void *data, size_t n, uint64_t seed); /* FNV-1a, for tables only */

/* ---- checked math --------------------------------------------------------------------------- */

/* Each returns false and leaves *out alone when the result does not fit. */
bool tg_add_i64(int64_t a, int64_t b, int64_t *out);
bool tg_sub_i64(int64_t a, int64_t b, int64_t *out);
bool tg_mul_i64(int64_t a, int64_t b, int64_t *out);
bool tg_add_size(size_t a, size_t b, size_t *out);
bool tg_mul_size(size_t a, size_t b, size_t *out);

/* The language's integer division: x/0 = 0, x%0 = x, INT64_MIN/-1 wraps. */
int64_t tg_div_i64(int64_t a, int64_t b);
int64_t tg_mod_i64(int64_t a, int64_t b);
int64_t tg_cdiv_i64(int64_t a, int64_t b); /* rounds up for b > 0 */
int64_t tg_gcd_i64(int64_t a, int64_t b);  /* of the magnitudes; neither is INT64_MIN */

static inline int64_t tg_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t tg_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t tg_round_up_i64(int64_t a, int64_t to) { return (a + to - 1) / to * to; }

#endif
