/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel cache: immutable files named by their key in one directory of the user.
 *
 *   DIR/KEY.tgc = magic, key, length, XXH3-128 of the payload, payload
 *
 * Writing: a file of our own name aside (O_EXCL), written, synced, renamed over the final name. Two
 * processes that race write the same bytes; either rename wins. Reading: the head and the checksum
 * are verified; a damaged file is deleted and counts as a miss. The directory is made 0700 and used
 * only when it belongs to us and nobody else may write it. When anything about the directory is
 * wrong the cache is off: every get misses, every put is forgotten. Over the limit, the entries
 * used longest ago go first (access is recorded by touching the file's time).
 */
#define _GNU_SOURCE
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    NAME_BYTES = 40,
    HEAD_BYTES = 48,
    STALE_SECONDS = 3600,
    EVICT_BATCH = 64
};
static const char magic[8] = "TGCACH1\n";
static const uint64_t default_limit = 1ull << 30;

struct tgr_cache {
    tgr_context *context;
    int fd; /* of the directory; -1: off */
    uint64_t limit;
    char dir[PATH_BYTES];
};

/* ---- the directory -------------------------------------------------------------------------- */

static bool join(char *out, const char *a, const char *b) {
    int n = snprintf(out, PATH_BYTES, "%s%s", a, b);
    return n > 0 && n < PATH_BYTES;
}

static bool choose_dir(char *out, const char *given) {
    const char *env = getenv("TEGULA_CACHE_DIR"), *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    if (given) {
        return join(out, given, "");
    }
    if (env) {
        return env[0] && join(out, env, ""); /* set but empty turns the cache off */
    }
    if (xdg && xdg[0] == '/') {
        return join(out, xdg, "/tegula");
    }
    return home && home[0] == '/' && join(out, home, "/.cache/tegula");
}

/* mkdir -p; what exists already is left as it is. */
static void make_dirs(const char *dir) {
    char path[PATH_BYTES];
    if (!join(path, dir, "")) {
        return;
    }
    for (char *p = path + 1; *p; p++) {
        if (*p == '/') {
            *p = '\0';
            (void)mkdir(path, 0700);
            *p = '/';
        }
    }
    (void)mkdir(path, 0700);
}

static int open_dir(tgr_context *context, const char *dir) {
    make_dirs(dir);
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0) {
        tgr_log(context, TGR_LOG_WARNING, "kernel cache is off: %s: %s", dir, strerror(errno));
    } else if (st.st_uid != geteuid() || st.st_mode & (S_IWGRP | S_IWOTH)) {
        tgr_log(context, TGR_LOG_WARNING, "kernel cache is off: %s is not ours alone to write",
                dir);
    } else {
        return fd;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return -1;
}

tgr_status tgr_cache_open(tgr_context *context, const char *dir, uint64_t limit_bytes,
                          tgr_cache **out) {
    if (!context || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_cache *c = tgr_alloc(context, sizeof *c);
    if (!c) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening the cache");
    }
    c->context = context;
    c->limit = limit_bytes ? limit_bytes : default_limit;
    c->fd = choose_dir(c->dir, dir) ? open_dir(context, c->dir) : -1;
    if (c->fd < 0) {
        c->dir[0] = '\0';
    }
    tgr_context_retain(context);
    *out = c;
    return TGR_OK;
}

void tgr_cache_release(tgr_cache *cache) {
    if (cache) {
        tgr_context *context = cache->context;
        if (cache->fd >= 0) {
            (void)close(cache->fd);
        }
        tgr_free(context, cache, sizeof *cache);
        tgr_context_release(context);
    }
}

const char *tgr_cache_dir(const tgr_cache *cache) { return cache->dir; }

/* ---- entries -------------------------------------------------------------------------------- */

static void entry_name(const uint8_t key[16], char out[NAME_BYTES]) {
    for (int i = 0; i < 16; i++) {
        (void)snprintf(out + 2 * (size_t)i, 3, "%02x", key[i]);
    }
    memcpy(out + 32, ".tgc", 5);
}

static bool name_key(const char *name, uint8_t key[16]) {
    if (strlen(name) != 36 || strcmp(name + 32, ".tgc") != 0) {
        return false;
    }
    for (size_t i = 0; i < 16; i++) {
        unsigned v;
        if (!strchr("0123456789abcdef", name[2 * i]) ||
            !strchr("0123456789abcdef", name[2 * i + 1]) || sscanf(name + 2 * i, "%2x", &v) != 1) {
            return false;
        }
        key[i] = (uint8_t)v;
    }
    return true;
}

static bool read_all(int fd, void *to, size_t n) {
    for (char *p = to; n > 0;) {
        ssize_t got = read(fd, p, n);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        p += got;
        n -= (size_t)got;
    }
    return true;
}

static bool write_all(int fd, const void *from, size_t n) {
    for (const char *p = from; n > 0;) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return false;
        }
        p += put;
        n -= (size_t)put;
    }
    return true;
}

static void make_head(const uint8_t key[16], const void *bytes, size_t n,
                      uint8_t head[HEAD_BYTES]) {
    memcpy(head, magic, sizeof magic);
    memcpy(head + 8, key, 16);
    for (int i = 0; i < 8; i++) {
        head[24 + i] = (uint8_t)((uint64_t)n >> 8 * i);
    }
    tgr_hash128(bytes, n, head + 32);
}

typedef enum entry_state { ENTRY_GOOD, ENTRY_BAD, ENTRY_NOMEM } entry_state;

/* Reads the payload of an open entry; with out NULL it is only verified. */
static entry_state read_entry(tgr_cache *c, int fd, const uint8_t key[16], void **out,
                              size_t *out_n) {
    uint8_t head[HEAD_BYTES], want[HEAD_BYTES];
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < HEAD_BYTES ||
        !read_all(fd, head, sizeof head) || (uint64_t)st.st_size > TG_PACK_MAX_BYTES + HEAD_BYTES) {
        return ENTRY_BAD;
    }
    size_t n = (size_t)st.st_size - HEAD_BYTES;
    void *bytes = tgr_alloc_raw(c->context, n);
    if (!bytes) {
        return ENTRY_NOMEM;
    }
    bool good = read_all(fd, bytes, n);
    if (good) {
        make_head(key, bytes, n, want);
        good = memcmp(head, want, HEAD_BYTES) == 0;
    }
    if (good && out) {
        *out = bytes;
        *out_n = n;
    } else {
        tgr_free(c->context, bytes, n);
    }
    return good ? ENTRY_GOOD : ENTRY_BAD;
}

tgr_status tgr_cache_get(tgr_cache *cache, const uint8_t key[16], void **out_bytes,
                         size_t *out_n_bytes) {
    if (!cache || !key || !out_bytes || !out_n_bytes) {
        return TGR_E_INVALID;
    }
    *out_bytes = NULL;
    *out_n_bytes = 0;
    char name[NAME_BYTES];
    entry_name(key, name);
    int fd = cache->fd < 0 ? -1 : openat(cache->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        return TGR_E_NOT_FOUND;
    }
    entry_state s = read_entry(cache, fd, key, out_bytes, out_n_bytes);
    if (s == ENTRY_GOOD) {
        (void)futimens(fd, NULL); /* used now; a read-only directory keeps its times */
    }
    (void)close(fd);
    if (s == ENTRY_BAD) {
        tgr_log(cache->context, TGR_LOG_WARNING, "kernel cache: entry %s is damaged, deleted",
                name);
        (void)unlinkat(cache->fd, name, 0);
    }
    return s == ENTRY_GOOD ? TGR_OK
           : s == ENTRY_BAD
               ? TGR_E_NOT_FOUND
               : tgr_fail(cache->context, TGR_E_NOMEM, "out of memory reading the cache");
}

void tgr_cache_free(tgr_cache *cache, void *bytes, size_t n_bytes) {
    tgr_free(cache->context, bytes, n_bytes);
}

/* ---- walking -------------------------------------------------------------------------------- */

typedef int (*walk_fn)(tgr_cache *c, const char *name, const struct stat *st, void *user);

static void walk(tgr_cache *c, walk_fn fn, void *user) {
    int fd = c->fd < 0 ? -1 : openat(c->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return;
    }
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        struct stat st;
        if (fstatat(c->fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            fn(c, e->d_name, &st, user) != 0) {
            break;
        }
    }
    (void)closedir(d);
}

/* The entries used longest ago, oldest first, and the size of all. */
typedef struct census {
    uint64_t total, limit;
    int n;
    struct {
        char name[NAME_BYTES];
        int64_t time, bytes;
    } oldest[EVICT_BATCH];
} census;

static void census_put(census *s, const char *name, int64_t time, int64_t bytes) {
    int at = s->n < EVICT_BATCH ? s->n++ : EVICT_BATCH - 1;
    if (at == EVICT_BATCH - 1 && s->n == EVICT_BATCH && s->oldest[at].name[0] &&
        s->oldest[at].time <= time) {
        return;
    }
    for (; at > 0 && s->oldest[at - 1].time > time; at--) {
        s->oldest[at] = s->oldest[at - 1];
    }
    (void)snprintf(s->oldest[at].name, NAME_BYTES, "%s", name);
    s->oldest[at].time = time;
    s->oldest[at].bytes = bytes;
}

static int take_census(tgr_cache *c, const char *name, const struct stat *st, void *user) {
    census *s = user;
    uint8_t key[16];
    if (name_key(name, key)) {
        s->total += (uint64_t)st->st_size;
        census_put(s, name, (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                   st->st_size);
    } else if (strncmp(name, "new-", 4) == 0 && time(NULL) - st->st_mtime > STALE_SECONDS) {
        (void)unlinkat(c->fd, name, 0); /* left behind by a process that died */
    }
    return 0;
}

/* Deletes the oldest entries until the rest fits. */
static void evict(tgr_cache *c) {
    for (;;) {
        census s = {.limit = c->limit};
        walk(c, take_census, &s);
        int removed = 0;
        for (int i = 0; i < s.n && s.total > s.limit; i++) {
            if (unlinkat(c->fd, s.oldest[i].name, 0) == 0 || errno == ENOENT) {
                s.total -= (uint64_t)s.oldest[i].bytes;
                removed++;
            }
        }
        if (s.total <= s.limit || removed == 0) {
            return;
        }
    }
}

/* ---- storing -------------------------------------------------------------------------------- */

static int open_aside(tgr_cache *c, char name[NAME_BYTES]) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    for (unsigned attempt = 0; attempt < 16; attempt++) {
        (void)snprintf(name, NAME_BYTES, "new-%lx-%lx-%x", (unsigned long)getpid(),
                       (unsigned long)t.tv_nsec ^ (unsigned long)(uintptr_t)name, attempt);
        int fd = openat(c->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0 || errno != EEXIST) {
            return fd;
        }
    }
    return -1;
}

tgr_status tgr_cache_put(tgr_cache *cache, const uint8_t key[16], const void *bytes,
                         size_t n_bytes) {
    if (!cache || !key || (!bytes && n_bytes)) {
        return TGR_E_INVALID;
    }
    if (cache->fd < 0 || n_bytes > TG_PACK_MAX_BYTES || n_bytes + HEAD_BYTES > cache->limit) {
        return TGR_OK;
    }
    char name[NAME_BYTES], aside[NAME_BYTES];
    uint8_t head[HEAD_BYTES];
    entry_name(key, name);
    make_head(key, bytes, n_bytes, head);
    int fd = open_aside(cache, aside);
    if (fd < 0) {
        tgr_log(cache->context, TGR_LOG_INFO, "kernel cache: cannot write to %s: %s", cache->dir,
                strerror(errno));
        return TGR_OK;
    }
    bool good = write_all(fd, head, sizeof head) && write_all(fd, bytes, n_bytes) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    good = good && renameat(cache->fd, aside, cache->fd, name) == 0;
    if (!good) {
        tgr_log(cache->context, TGR_LOG_WARNING, "kernel cache: writing to %s: %s", cache->dir,
                strerror(errno));
        (void)unlinkat(cache->fd, aside, 0);
        return TGR_OK;
    }
    (void)fsync(cache->fd);
    evict(cache);
    return TGR_OK;
}

/* ---- listing -------------------------------------------------------------------------------- */

typedef struct listing {
    tgr_cache_list_fn fn;
    void *user;
    bool verify;
    int64_t removed;
} listing;

static int list_one(tgr_cache *c, const char *name, const struct stat *st, void *user) {
    listing *l = user;
    tgr_cache_entry e = {
        .bytes = (uint64_t)st->st_size, .time_s = (int64_t)st->st_mtime, .valid = 1};
    if (!name_key(name, e.key)) {
        return 0;
    }
    if (l->verify) {
        int fd = openat(c->fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        e.valid = fd >= 0 && read_entry(c, fd, e.key, NULL, NULL) != ENTRY_BAD;
        if (fd >= 0) {
            (void)close(fd);
        }
        if (!e.valid) {
            (void)unlinkat(c->fd, name, 0);
        }
    }
    return l->fn ? l->fn(l->user, &e) : 0;
}

tgr_status tgr_cache_list(tgr_cache *cache, int32_t verify, tgr_cache_list_fn fn, void *user) {
    if (!cache) {
        return TGR_E_INVALID;
    }
    listing l = {.fn = fn, .user = user, .verify = verify != 0};
    walk(cache, list_one, &l);
    return TGR_OK;
}

static int remove_one(tgr_cache *c, const char *name, const struct stat *st, void *user) {
    uint8_t key[16];
    (void)st;
    if (name_key(name, key) || strncmp(name, "new-", 4) == 0) {
        ((listing *)user)->removed += unlinkat(c->fd, name, 0) == 0;
    }
    return 0;
}

tgr_status tgr_cache_clear(tgr_cache *cache, int64_t *out_removed) {
    if (!cache) {
        return TGR_E_INVALID;
    }
    listing l = {0};
    walk(cache, remove_one, &l);
    if (out_removed) {
        *out_removed = l.removed;
    }
    return TGR_OK;
}
